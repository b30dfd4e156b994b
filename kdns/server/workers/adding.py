"""Several workers' JSON objects as one: what counts is added up, the rest is the lead's.

Numbers and lists under `totals`, at whatever depth, are added; rows of lists (`[name, number]`) by
their first member, the most frequent first; lists of numbers place by place.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

TOTALS = "totals"


def added(bodies: Sequence[bytes]) -> bytes:
    """The objects as one; the first is the lead's."""
    lead, *others = [msgspec.json.decode(body) for body in bodies]
    return msgspec.json.encode(_joined(lead, others))


def _joined(lead: Any, others: Sequence[Any]) -> Any:
    # Any: JSON values
    if not isinstance(lead, dict):
        return lead
    return {
        name: (_sum if name == TOTALS else _joined)(
            value, [one[name] for one in others if isinstance(one, dict) and name in one]
        )
        for name, value in lead.items()
    }


def _sum(lead: Any, others: Sequence[Any]) -> Any:
    values = [lead, *(one for one in others if type(one) is type(lead))]
    if isinstance(lead, dict):
        names = dict.fromkeys(name for value in values for name in value)
        found = {name: [one[name] for one in values if name in one] for name in names}
        return {name: _sum(first, rest) for name, (first, *rest) in found.items()}
    if isinstance(lead, list):
        rows = [row for value in values for row in value]
        return _ranked(rows) if any(isinstance(row, list) for row in rows) else _by_place(values)
    is_number = isinstance(lead, int | float) and not isinstance(lead, bool)
    return sum(others, lead) if is_number else lead


def _ranked(rows: Sequence[Any]) -> list[Any]:
    counts: dict[str, float] = {}
    for name, count in rows:
        counts[name] = counts.get(name, 0) + count
    return sorted(([*row] for row in counts.items()), key=lambda row: -row[1])


def _by_place(values: Sequence[Sequence[Any]]) -> list[Any]:
    longest = max(len(value) for value in values)
    return [sum(value[at] for value in values if at < len(value)) for at in range(longest)]
