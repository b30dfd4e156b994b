"""The pages that `kdns help TOPIC` prints: one for each directive, and those in kdns/help."""

from pathlib import Path

import kdns
from kdns.cli import markdown

ROOT = Path(kdns.__file__).parent


def directives() -> dict[str, Path]:
    """The pages of directives, by name."""
    return _pages("plugins")


def guides() -> dict[str, Path]:
    """The other pages, by topic."""
    return _pages("help")


def _pages(folder: str) -> dict[str, Path]:
    return {path.stem: path for path in sorted((ROOT / folder).glob("*.md"))}


def find(topic: str) -> Path | None:
    """The page of a topic."""
    return {**directives(), **guides()}.get(topic)


def summary(path: Path) -> str:
    """What a page is about: its first paragraph, without the name that directives put first."""
    for block in markdown.parse(path.read_text(encoding="utf-8")):
        if isinstance(block, markdown.Paragraph):
            text = "".join(piece for piece, _ in markdown.spans(block.text))
            return text.partition(" – ")[2] or text
    return ""
