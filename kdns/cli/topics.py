"""The pages that `kdns help TOPIC` prints: one for each directive, and those in kdns/help."""

import re
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


def differences(directive: str) -> list[str] | None:
    """What its page says is different from CoreDNS: none where nothing is; None without a page."""
    page = directives().get(directive)
    if page is None:
        return None
    _, title, section = page.read_text(encoding="utf-8").partition("## Differences from CoreDNS")
    if not title:
        raise ValueError(f"{page.name} has no section on the differences")
    text = section.partition("\n## ")[0].strip()
    if re.fullmatch(r"None( known)?\.", text):
        return []
    found = re.split(r"^\* ", text, flags=re.MULTILINE)
    return [" ".join(one.split()) for one in found if one.strip()]


def summary(path: Path) -> str:
    """What a page is about: its first paragraph, without the name that directives put first."""
    for block in markdown.parse(path.read_text(encoding="utf-8")):
        if isinstance(block, markdown.Paragraph):
            text = "".join(piece for piece, _ in markdown.spans(block.text))
            return text.partition(" – ")[2] or text
    return ""
