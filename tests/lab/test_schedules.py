"""When CronJobs run: what real schedules say, also where summer time begins and ends."""

import io
import struct
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from kdns.lab import schedules


def middle_europe() -> tzinfo:
    """A zone with summer time, on machines without time zones, too (RFC 9636)."""
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = b"TZif2" + bytes(15) + counts + struct.pack(">lbb", 3600, 0, 0) + b"CET\0"
    rule = b"\nCET-1CEST,M3.5.0,M10.5.0/3\n"
    return ZoneInfo.from_file(io.BytesIO(block + block + rule))


def moment(text: str, zone: tzinfo = UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def times(text: str, after: str, count: int, zone: tzinfo = UTC) -> list[str]:
    """The next times of a schedule, as a clock on a wall shows them."""
    schedule, at, found = schedules.parse(text, zone), moment(after, zone), []
    for _ in range(count):
        following = schedule.next(at)
        assert following is not None
        at = following
        found.append(datetime.fromtimestamp(at, zone).strftime("%a %d %b %Y %H:%M"))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * *", ["Fri 02 Jan 2026 03:05", "Fri 02 Jan 2026 03:06"]),
        ("*/15 * * * *", ["Fri 02 Jan 2026 03:15", "Fri 02 Jan 2026 03:30"]),
        ("5/20 3 * * *", ["Fri 02 Jan 2026 03:05", "Fri 02 Jan 2026 03:25"]),
        ("0 9-17/4 * * *", ["Fri 02 Jan 2026 09:00", "Fri 02 Jan 2026 13:00"]),
        ("30 8,20 * * *", ["Fri 02 Jan 2026 08:30", "Fri 02 Jan 2026 20:30"]),
        ("0 0 * * mon-WED", ["Mon 05 Jan 2026 00:00", "Tue 06 Jan 2026 00:00"]),
        ("0 0 29 feb *", ["Tue 29 Feb 2028 00:00"]),
        ("0 0 13 * 5", ["Fri 09 Jan 2026 00:00", "Tue 13 Jan 2026 00:00"]),
        # a star with a step says something: a day fits by its number or by its name
        ("0 0 */2 * 1", ["Sat 03 Jan 2026 00:00", "Mon 05 Jan 2026 00:00"]),
        ("0 0 ? 3 sun", ["Sun 01 Mar 2026 00:00", "Sun 08 Mar 2026 00:00"]),
        ("@hourly", ["Fri 02 Jan 2026 04:00", "Fri 02 Jan 2026 05:00"]),
        ("@midnight", ["Sat 03 Jan 2026 00:00", "Sun 04 Jan 2026 00:00"]),
        ("@weekly", ["Sun 04 Jan 2026 00:00", "Sun 11 Jan 2026 00:00"]),
        ("@monthly", ["Sun 01 Feb 2026 00:00", "Sun 01 Mar 2026 00:00"]),
        ("@yearly", ["Fri 01 Jan 2027 00:00", "Sat 01 Jan 2028 00:00"]),
        ("@every 1h30m", ["Fri 02 Jan 2026 04:34", "Fri 02 Jan 2026 06:04"]),
        ("@every 90s", ["Fri 02 Jan 2026 03:05", "Fri 02 Jan 2026 03:07"]),
    ],
)
def test_the_next_times(text: str, expected: list[str]) -> None:
    assert times(text, "2026-01-02T03:04:10", len(expected)) == expected


@pytest.mark.parametrize("text", ["0 0 30 2 *", ", * * * *", "* , * * *"])
def test_what_never_comes(text: str) -> None:
    assert schedules.parse(text).next(moment("2026-01-02T03:04:10")) is None


def test_an_hour_that_summer_time_leaves_out_is_left_out() -> None:
    found = times("30 2 * * *", "2026-03-28T00:00:00", 3, middle_europe())
    assert found == ["Sat 28 Mar 2026 02:30", "Mon 30 Mar 2026 02:30", "Tue 31 Mar 2026 02:30"]


def test_an_hour_that_comes_twice_counts_twice() -> None:
    found = times("30 2 * * *", "2026-10-25T00:00:00", 3, middle_europe())
    assert found == ["Sun 25 Oct 2026 02:30", "Sun 25 Oct 2026 02:30", "Mon 26 Oct 2026 02:30"]


@pytest.mark.parametrize(
    ("text", "after", "until", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00:30", "2026-01-01T00:00:59", None),
        ("* * * * *", "2026-01-01T00:00:30", "2026-01-01T00:01:00", "2026-01-01T00:01:00"),
        ("* * * * *", "2025-01-01T00:00:00", "2026-01-01T00:01:30", "2026-01-01T00:01:00"),
        ("0 0 1 1 *", "2020-05-01T00:00:00", "2026-07-01T00:01:30", "2026-01-01T00:00:00"),
        ("0 6 * * *", "2026-01-01T00:00:00", "2026-01-20T00:00:00", "2026-01-19T06:00:00"),
        ("@every 40s", "2026-01-01T00:00:10", "2026-01-01T01:00:00", "2026-01-01T00:59:30"),
        ("@every 40s", "2026-01-01T00:00:10", "2026-01-01T00:00:49", None),
    ],
)
def test_the_last_time_before_another(
    text: str, after: str, until: str, expected: str | None
) -> None:
    found = schedules.parse(text).last(moment(after), moment(until))
    assert found == (None if expected is None else moment(expected))


def test_a_zone_in_the_schedule_is_read() -> None:
    assert times("TZ=UTC 0 0 * * *", "2026-01-02T03:04:10", 1) == ["Sat 03 Jan 2026 00:00"]
    with pytest.raises(ValueError, match="provided bad location Nowhere: unknown time zone"):
        schedules.parse("CRON_TZ=Nowhere 0 0 * * *")


@pytest.mark.parametrize("name", ["Nowhere", "/etc/passwd", "../UTC", "a" * 20, "Europe/"])
def test_a_zone_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        schedules.zone_of(name)
