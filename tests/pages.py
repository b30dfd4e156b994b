"""Puts a measured table between its marks: whole into a help page, the telling rows into the README."""

from collections.abc import Collection
from pathlib import Path

TOP = Path(__file__).parents[1]
README = TOP / "README.md"
HELP = TOP / "kdns" / "help"


def marks(maker: str) -> tuple[str, str]:
    """The lines around what `make MAKER` writes."""
    return f"<!-- made by make {maker} -->", f"<!-- end of make {maker} -->"


def written(path: Path, maker: str) -> str:
    """What stands between the marks."""
    begin, end = marks(maker)
    return path.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0].strip()


def write(table: str, path: Path, maker: str) -> None:
    """Replaces what stands between the marks."""
    begin, end = marks(maker)
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    assert after, f"{path} has no room for the table of make {maker}"
    path.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def brief(table: str, names: Collection[str]) -> str:
    """The head of a Markdown table and the rows of these names."""
    head, rule, *rows = (line for line in table.splitlines() if line.startswith("|"))
    return "\n".join([head, rule, *(row for row in rows if first_cell(row) in names)])


def first_cell(row: str) -> str:
    """What a row is about."""
    return row.split("|")[1].strip()
