"""Two `shapes.Status`, some time apart, become the lines of `kdns top`.

Names and clients are what attackers choose: whatever is no printable ASCII is escaped, and no line
is wider than asked for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kdns.status.shapes import Cluster, Row, Status, Totals, Upstream
from kdns.wire.shown import plain

BOLD: Final = "\x1b[1m"
RED: Final = "\x1b[31m"
PLAIN: Final = "\x1b[0m"
COLUMNS: Final = 114
"""From so many on the three lists stand side by side."""
LEAST_ROWS: Final = 3
UPSTREAMS: Final = 6
_HALVES: Final = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """What a screen is drawn for."""

    width: int
    height: int
    is_colored: bool = False

    def bold(self, text: str) -> str:
        """For titles."""
        return f"{BOLD}{text}{PLAIN}" if self.is_colored and text else text

    def red(self, text: str) -> str:
        """For what a person should look at."""
        return f"{RED}{text}{PLAIN}" if self.is_colored and text else text

    def cut(self, text: str, width: int = 0) -> str:
        """As much as there is room for."""
        room = width or self.width
        return text if len(text) <= room else text[: max(room - 1, 0)] + "…"


def lines(now: Status, before: Status | None, frame: Frame) -> list[str]:
    """The screen."""
    if before is not None and (before.started != now.started or before.now >= now.now):
        before = None  # it was started anew
    since = now.now - (before.now if before is not None else now.started)
    change = since_then(now.totals, before.totals if before is not None else Totals())
    head = [*_head(now, change, max(since, 0.001), frame), *_sources(now, frame)]
    rows = max(frame.height - len(head) - 1, 0)
    return [*head, "", *_lists(now, frame, rows)][: max(frame.height, 1)]


def since_then(now: Totals, before: Totals) -> Totals:
    """What was counted in between."""
    return Totals(
        queries=now.queries - before.queries,
        hits=now.hits - before.hits,
        kept=now.kept - before.kept,
        failures=now.failures - before.failures,
        rcodes=_less(now.rcodes, before.rcodes),
        plugins=_less(now.plugins, before.plugins),
        transports=_less(now.transports, before.transports),
        latency=[
            count - (before.latency[at] if at < len(before.latency) else 0)
            for at, count in enumerate(now.latency)
        ],
    )


def percentile(latency: Sequence[int], bounds: Sequence[float], part: float) -> str:
    """What so great a part of the queries took at most, as a bucket's bound."""
    wanted, seen = sum(latency) * part, 0
    if not wanted:
        return "-"
    for count, bound in zip(latency, bounds, strict=False):
        seen += count
        if seen >= wanted:
            return f"≤{_span(bound)}"
    return f">{_span(bounds[-1])}" if bounds else "-"


def _less(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in now.items()}


def _head(now: Status, change: Totals, since: float, frame: Frame) -> Iterator[str]:
    workers = f"{now.workers} workers  " if now.workers > 1 else ""
    up = _span(max(now.now - now.started, 0))
    yield frame.bold(
        frame.cut(f"kdns {plain(now.version)}  counts for {up}  {workers}{now.memory >> 20} MB")
    )
    asked = change.queries
    yield frame.cut(
        f"{_number(asked / since)} queries/s  from the table {_part(change.hits, asked)}"
        f"  from the cache {_part(change.kept, asked)}  failed {_part(change.failures, asked)}"
        f"  in all {_number(now.totals.queries)}"
    )
    parts = (("half", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999))
    took = [f"{name} {percentile(change.latency, now.bounds, part)}" for name, part in parts]
    yield frame.cut("answered within  " + "  ".join(took))
    of = change if asked else now.totals  # an idle server shows what it did before
    for name, counts in (("codes", of.rcodes), ("by", of.plugins), ("over", of.transports)):
        yield frame.cut(f"{name:6s}{_shares(counts, of.queries) or '-'}")


def _shares(counts: Mapping[str, int], whole: int) -> str:
    ranked = sorted(((count, name) for name, count in counts.items() if count > 0), reverse=True)
    return "  ".join(f"{plain(name)} {_part(count, whole)}" for count, name in ranked)


def _sources(now: Status, frame: Frame) -> Iterator[str]:
    for cluster in now.clusters:
        text, is_well = _cluster(cluster)
        yield frame.cut(text) if is_well else frame.red(frame.cut(text))
    for one in now.upstreams[:UPSTREAMS]:
        text = frame.cut(_upstream(one))
        yield text if one.is_healthy else frame.red(text)
    if len(now.upstreams) > UPSTREAMS:
        down = sum(not one.is_healthy for one in now.upstreams[UPSTREAMS:])
        yield f"… and {len(now.upstreams) - UPSTREAMS} upstreams more, {down} of them down"


def _cluster(cluster: Cluster) -> tuple[str, bool]:
    """A line, and whether all is well."""
    name = " ".join(cluster.zones[:1]) or cluster.source
    text = f"cluster {plain(name)}  "
    if not cluster.has_synced:
        return text + plain(f"not known yet  {cluster.failure}"), False
    unready = f", {_number(cluster.unready)} not ready" if cluster.unready else ""
    text += f"{_number(cluster.services)} services, {_number(cluster.endpoints)} endpoints{unready}"
    if cluster.age_s:  # files are always fresh
        text += f"  {_span(cluster.age_s)} old"
    if cluster.is_restored:
        text += "  from a snapshot"
    if cluster.failure:
        text += plain(f"  {cluster.failure}")
    return text, not (cluster.failure or cluster.is_restored)


def _upstream(one: Upstream) -> str:
    health = "healthy" if one.is_healthy else "DOWN"
    if one.failures:
        health += f", {one.failures} probes failed"
    spent = f"  {one.latency_ms:.1f} ms" if one.queries else ""
    return f"upstream {plain(one.address)} for {plain(one.zone)}  {health}{spent}  " + (
        f"{_number(one.queries)} replies"
    )


def _lists(now: Status, frame: Frame, rows: int) -> list[str]:
    """The lists, side by side where there is room, else one above the other."""
    totals, pods = now.totals, now.pods

    def client(address: str) -> str:
        return f"{address} {pods[address]}" if address in pods else address

    found: list[tuple[str, list[Row], Callable[[str], str]]] = [
        ("names, lately", totals.names, str),
        ("names that do not exist", totals.missing, str),
        ("clients", totals.clients, client),
    ]
    if frame.width < COLUMNS:
        count = max(rows // _HALVES - 1, LEAST_ROWS)
        return [
            line
            for title, listed, told in found
            for line in _column(title, listed[:count], told, frame, frame.width)
        ]
    width = (frame.width - 4) // 3
    columns = [
        _column(title, listed[: max(rows - 1, LEAST_ROWS)], told, frame, width)
        for title, listed, told in found
    ]
    longest = max(map(len, columns))
    bare = Frame(frame.width, frame.height)
    padded = [
        [_filled(line, width, bare) for line in (*column, *[""] * (longest - len(column)))]
        for column in columns
    ]
    return ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]


def _filled(line: str, width: int, bare: Frame) -> str:
    shown = line.replace(BOLD, "").replace(PLAIN, "")
    return line + " " * max(width - len(bare.cut(shown, width)), 0)


def _column(
    title: str, rows: Sequence[Row], told: Callable[[str], str], frame: Frame, width: int
) -> list[str]:
    text = [f"{_number(count):>7} {plain(told(name))}" for name, count in rows]
    return [frame.bold(frame.cut(title, width)), *(frame.cut(line, width) for line in text)]


def _part(count: int, whole: int) -> str:
    return f"{100 * count / whole:.1f} %" if whole else "-"


def _number(value: float) -> str:
    """`950`, `12,345`, `1.2 M`."""
    if value < 10 and value != int(value):
        return f"{value:.1f}"
    return f"{value:,.0f}" if value < 1_000_000 else f"{value / 1_000_000:,.1f} M"


def _span(seconds: float) -> str:
    """`0.25 ms`, `3.1 s`, `5 min`, `3 h 12 min`, `4 d 3 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = int(seconds // 60)
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
