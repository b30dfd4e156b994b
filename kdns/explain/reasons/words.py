"""How reasons put things: lists, counts, ages, commands, and which known name comes nearest."""

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from heapq import nsmallest
from os.path import commonprefix
from typing import Final

SHOWN: Final = 4
"""Names of a list; of the rest the number."""
MOST_LIKELY: Final = 1000
MOST_RATED: Final = 50
"""Words that are compared letter by letter: perf: 0.1 ms each, on the loop of a server."""


def listed(words: Iterable[str], most: int = SHOWN) -> str:
    """`a, b and 3 more`."""
    every = list(words)
    if len(every) <= most + 1:
        return ", ".join(every)
    return f"{', '.join(every[:most])} and {len(every) - most} more"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 pod`, `3 pods`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def pairs(labels: Mapping[str, str]) -> str:
    """Labels as kubectl's `-l` takes them."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def command(*parts: str) -> str:
    """A command as a shell takes it."""
    return shlex.join(part for part in parts if part)


def kubectl(namespace: str, *parts: str) -> str:
    """A kubectl command in a namespace."""
    return command("kubectl", "-n", namespace, *parts)


def moment(text: str) -> float | None:
    """An RFC 3339 time in seconds since the epoch; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def between(start: str, end: str) -> float | None:
    """Seconds from one time to another; None where one of them is not known."""
    first, last = moment(start), moment(end)
    return None if first is None or last is None else last - first


def lasting(seconds: float) -> str:
    """`40 ms`, `1.5 s`, `12 s`, `4 min`, `3 h`, `2 days`."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    for size, unit, below in ((1, "s", 120), (60, "min", 120), (3600, "h", 48)):
        if seconds / size < below:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def since(then: str, now: str) -> str:
    """` since 2026-11-20T10:00:00Z (3 h)`; empty where the time is not known."""
    if not then:
        return ""
    age = between(then, now)
    return f" since {then}" + (f" ({lasting(age)})" if age is not None and age >= 1 else "")


def nearest(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known words that may have been meant, the nearest first."""
    limit = max(1, len(word) // 3)
    rated = []
    for one in _likely(word, set(known)):
        apart = distance(word, one, limit)
        if apart > limit and min(len(word), len(one)) >= 3 and (one in word or word in one):
            apart = limit
        if apart <= limit:
            rated.append((apart, one))
    return [one for _, one in sorted(rated)[:most]]


def _likely(word: str, known: Collection[str]) -> Collection[str]:
    """Of very many words those of like length, beginning and end: to rate all takes seconds."""
    if len(known) <= MOST_RATED:
        return known
    head, tail, turned = word[:2], word[-2:], word[::-1]
    close = [
        one
        for one in known
        if one in word or word in one or (one.startswith(head) and one.endswith(tail))
    ]
    if len(close) < MOST_RATED:
        close += [one for one in known if one.startswith(head) != one.endswith(tail)]

    def unlike(one: str) -> tuple[int, str]:
        same = commonprefix((one, word)), commonprefix((one[::-1], turned))  # noqa: RUF071
        return abs(len(one) - len(word)) - sum(map(len, same)), one

    return nsmallest(MOST_RATED, sorted(close)[:MOST_LIKELY], key=unlike)


def distance(one: str, other: str, limit: int) -> int:
    """How many letters were left out, added, changed or swapped; above `limit`, any number so."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: Sequence[int] = ()
    row: Sequence[int] = range(len(other) + 1)
    for at, letter in enumerate(one):
        last, before, new = before, row, [at + 1]
        for place, wanted in enumerate(other):
            best = min(before[place] + (letter != wanted), before[place + 1] + 1, new[place] + 1)
            if place and at and letter == other[place - 1] and one[at - 1] == wanted:
                best = min(best, last[place - 1] + 1)
            new.append(best)
        row = new
    return row[-1]
