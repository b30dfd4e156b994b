"""`python -m tests.differential.directives`: every directive of CoreDNS, and what is the same here.

The table is made from the pages: where the section "Differences from CoreDNS" says `None`, a
directive is the same; else its first point stands for all, with how many more there are.
"""

import re
from pathlib import Path

from kdns.plugins import ORDER, OURS

PAGES = Path(__file__).parents[2] / "kdns/plugins"
TITLE = "## Differences from CoreDNS"
LONGEST = 150


def points(name: str) -> list[str] | None:
    """The differences that a page names, none of them for `None`; None where there is no page."""
    path = PAGES / f"{name}.md"
    if not path.exists():
        return None
    _, title, section = path.read_text(encoding="utf-8").partition(TITLE)
    if not title:
        raise ValueError(f"{path.name} has no section on the differences")
    text = section.partition("\n## ")[0].strip()
    if re.fullmatch(r"None( known)?\.", text):
        return []
    found = re.split(r"^\* ", text, flags=re.MULTILINE)
    return [" ".join(one.split()) for one in found if one.strip()]


def table() -> list[str]:
    """One line for each sort, and one for each directive that differs; in CoreDNS's order."""
    found = {name: points(name) for name in ORDER}
    theirs = [name for name in ORDER if name not in OURS]
    same = [name for name in theirs if found[name] == []]
    missing = [name for name in theirs if found[name] is None]
    differ = [f"{name}: {_short(found[name] or [])}" for name in theirs if found[name]]
    return [
        f"the same: {', '.join(same)}",
        f"missing (refused as not implemented): {', '.join(missing)}",
        f"only here: {', '.join(name for name in ORDER if name in OURS)}",
        *differ,
    ]


def _short(points_: list[str]) -> str:
    first = points_[0]
    if len(first) > LONGEST:
        first = first[: first.rindex(" ", 0, LONGEST)].rstrip(",;:") + " …"
    more = len(points_) - 1
    return f"{first} (+{more})" if more else first


if __name__ == "__main__":
    print("\n".join(table()))
