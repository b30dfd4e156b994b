"""What the cells of `kubectl get` are made of: ages, selectors, the columns that every kind has."""

from collections.abc import Mapping
from datetime import datetime

from kdns.lab.errors import Obj
from kdns.lab.rules import Column

NAME = Column(
    "Name",
    format="name",
    description="Name must be unique within a namespace.",
)
AGE = Column("Age", description="How long ago the object was created.")

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 86400 * 365


def age(obj: Obj, now: float) -> str:
    """How long ago an object was made."""
    return since(obj["metadata"].get("creationTimestamp"), now)


def since(time: str | None, now: float) -> str:
    """How long ago a time was, as `5m12s`; what is not known is `<unknown>`."""
    if not time:
        return "<unknown>"
    return duration(now - datetime.fromisoformat(time).timestamp())


def duration(seconds: float) -> str:
    """A length of time in two units at most, the second only where it matters."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    for below, unit, word, part, small in _STEPS:
        if whole < below:
            rest = whole % unit // part
            return (
                f"{whole // unit}{word}{rest}{small}"
                if rest and small
                else f"{whole // unit}{word}"
            )
    return f"{whole // _YEAR}y"


_STEPS = (
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 1, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 1, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 1, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
)
"""Below so many seconds: the unit, its sign, the smaller unit and its sign ("": not shown)."""


def selector(labels: Mapping[str, str] | None) -> str:
    """Labels as `a=b,c=d`, or `<none>`."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or "<none>"


def label_selector(given: Obj | None) -> str:
    """A selector with labels and expressions as `a=b,c in (d,e)`, or `<none>`."""
    if given is None:
        return "<none>"
    terms = [f"{key}={value}" for key, value in (given.get("matchLabels") or {}).items()]
    for one in given.get("matchExpressions") or []:
        key, values = one.get("key", ""), ",".join(sorted(one.get("values") or []))
        terms.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }.get(one.get("operator", ""), "<error>")
        )
    return ",".join(sorted(terms)) or "<none>"
