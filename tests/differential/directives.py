"""`python -m tests.differential.directives`: every directive of CoreDNS, and what is the same here.

The table is made from the pages: where the section "Differences from CoreDNS" says `None`, a
directive is the same; else its first point stands for all, with how many more there are.
"""

from kdns.cli.topics import differences
from kdns.plugins import ORDER, OURS

LONGEST = 150


def table() -> list[str]:
    """One line for each sort, and one for each directive that differs; in CoreDNS's order."""
    found = {name: differences(name) for name in ORDER}
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
