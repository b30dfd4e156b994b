"""When a CronJob runs: five fields with names, lists, ranges and steps, or words like `@hourly`.

A schedule is asked for the next of its times after another, in seconds since the epoch. Its times
are those of the clock on a wall: an hour that summer time leaves out is left out, one that comes
twice counts twice. What is wrong with one is told in the words of a real server.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

_YEARS = 5
"""A time that is not found within so many years never comes."""
_MINUTE, _HOUR = 60, 3600
_MOST_INT = 1 << 63
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_EVERY = "@every "
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3,
          "s": 1.0, "m": 60.0, "h": 3600.0}  # fmt: skip
_ZONE_PART = re.compile(r"(?!\.{1,2}$)(?!-)[A-Za-z._0-9+-]{1,14}")


class Schedule(Protocol):
    """Times that come again and again."""

    def next(self, after: float) -> float | None:
        """The first of them after a time; None where none comes."""

    def last(self, after: float, until: float) -> float | None:
        """The latest of them after one time and up to another; None where there is none."""


@dataclass(frozen=True, slots=True)
class _Field:
    """What stands in one place of five: bounds, and names for numbers."""

    least: int
    most: int
    names: dict[str, int]


_FIELDS = (
    _Field(0, 59, {}),
    _Field(0, 23, {}),
    _Field(1, 31, {}),
    _Field(1, 12, {name: at for at, name in enumerate(_MONTHS, 1)}),
    _Field(0, 6, {name: at for at, name in enumerate(_DAYS)}),
)


@dataclass(frozen=True, slots=True)
class _Interval:
    """So many seconds after the last time."""

    seconds: int

    def next(self, after: float) -> float:
        """The end of the interval that begins with a time."""
        return float(int(after) + self.seconds)

    def last(self, after: float, until: float) -> float | None:
        """The end of the last whole interval."""
        count = int(until - int(after)) // self.seconds
        return float(int(after) + count * self.seconds) if count > 0 else None


@dataclass(frozen=True, slots=True)
class _Calendar:
    """Minutes of hours of days."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    needs_both: bool
    """A day must fit by its number and by its name; one of the two was a star."""
    zone: tzinfo

    def next(self, after: float) -> float | None:
        """The first minute after a time that fits."""
        if not (self.minutes and self.hours):
            return None
        at = (int(after) // _MINUTE + 1) * _MINUTE
        last = datetime.fromtimestamp(at, self.zone).year + _YEARS
        while True:
            wall = datetime.fromtimestamp(at, self.zone)
            if wall.year > last:
                return None
            if not self._has(wall):
                at = self._later_day(wall, at)
            elif wall.hour not in self.hours:
                at += _HOUR - wall.minute * _MINUTE
            elif wall.minute not in self.minutes:
                at += _MINUTE
            else:
                return float(at)

    def last(self, after: float, until: float) -> float | None:
        """Sought in growing spans before the end: a lab may have been off for long."""
        spans = [until - span for span in (_HOUR, 24 * _HOUR, 32 * 24 * _HOUR)]
        for start in [*(one for one in spans if one > after), after]:
            found, at = None, self.next(start)
            while at is not None and at <= until:
                found, at = at, self.next(at)
            if found is not None:
                return found
        return None

    def _has(self, wall: datetime) -> bool:
        by_number, by_name = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        fits = by_number and by_name if self.needs_both else by_number or by_name
        return wall.month in self.months and fits

    def _later_day(self, wall: datetime, at: int) -> int:
        """The beginning of the next day, or month where this one is none."""
        day = wall.replace(hour=0, minute=0, fold=0)
        if wall.month not in self.months:
            day = day.replace(day=1) + timedelta(days=31)
            day = day.replace(day=1)
        else:
            day += timedelta(days=1)
        return max(int(day.timestamp()), at + _MINUTE)


def parse(text: str, zone: tzinfo = UTC) -> Schedule:
    """A schedule; raises ValueError with what is wrong."""
    if text.startswith(("TZ=", "CRON_TZ=")):
        named, _, text = text.partition(" ")
        name = named.partition("=")[2]
        try:
            zone = zone_of(name)
        except ValueError as error:
            raise ValueError(f"provided bad location {name}: {error}") from None
        text = text.strip()
    if text.startswith(_EVERY):
        return _Interval(max(int(_seconds(text)), 1))
    if text.startswith("@"):
        if text not in _WORDS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _WORDS[text]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        listed = " ".join(parts)
        raise ValueError(f"expected exactly 5 fields, found {len(parts)}: [{listed}]")
    minutes, hours, days, months, weekdays = (
        frozenset(_numbers(part, field)) for part, field in zip(parts, _FIELDS, strict=True)
    )
    needs_both = any(_is_star(part) for part in (parts[2], parts[4]))
    return _Calendar(minutes, hours, days, months, weekdays, needs_both, zone)


def zone_of(name: str) -> tzinfo:
    """A time zone; "" is UTC; raises ValueError for one that nobody knows."""
    if name in {"", "UTC", "Etc/UTC"}:  # there, too, where a machine has no time zones
        return UTC
    if not all(_ZONE_PART.fullmatch(part) for part in name.split("/")):
        raise ValueError(f"unknown time zone {name}")
    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        raise ValueError(f"unknown time zone {name}") from None


def _is_star(part: str) -> bool:
    """True for a field that holds a plain star: it says nothing."""
    return any(re.fullmatch(r"[*?](-[^/]*)?(/0*1)?", one) for one in part.split(","))


def _numbers(part: str, field: _Field) -> Iterator[int]:
    for one in filter(None, part.split(",")):
        yield from _range(one, field)


def _range(text: str, field: _Field) -> range:
    """`*`, `2`, `2-5`, each with `/step`."""
    bounds, *steps = text.split("/")
    low, *high = bounds.split("-")
    if low in {"*", "?"}:
        first, last = field.least, field.most
    else:
        first = last = _number(low, field.names)
        if len(high) > 1:
            raise ValueError(f"too many hyphens: {text}")
        if high:
            last = _number(high[0], field.names)
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = _number(steps[0], {}) if steps else 1
    if steps and not high:
        last = field.most
    if first < field.least:
        raise ValueError(f"beginning of range ({first}) below minimum ({field.least}): {text}")
    if last > field.most:
        raise ValueError(f"end of range ({last}) above maximum ({field.most}): {text}")
    if first > last:
        raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if not step:
        raise ValueError(f"step of range should be a positive number: {text}")
    return range(first, last + 1, step)


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise _no_number(text, "invalid syntax")
    if len(text) > 19 or abs(int(text)) >= _MOST_INT:
        raise _no_number(text, "value out of range")
    if int(text) < 0:
        raise ValueError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)


def _no_number(text: str, why: str) -> ValueError:
    return ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": {why}')


def _seconds(text: str) -> float:
    """The length of time in `@every 1h30m`."""
    given = text.removeprefix(_EVERY)
    bare = given.lstrip("+-") if given[:1] in {"+", "-"} else given
    if bare == "0":
        return 0.0
    wrong, found, place = f'invalid duration "{given}"', 0.0, 0
    for part in re.finditer(r"([0-9]*\.?[0-9]*)([^0-9.]*)", bare):
        number, unit = part.groups()
        if part.start() != place or not number.strip("."):
            break
        place = part.end()
        if unit not in _UNITS:
            wrong = f'unknown unit "{unit}"' if unit else "missing unit"
            wrong += f' in duration "{given}"'
            break
        found += float(number) * _UNITS[unit]
        if place == len(bare):
            return -found if given.startswith("-") else found
    raise ValueError(f"failed to parse duration {text}: time: {wrong}")
