"""What the watchers of one API server share, and how long what may take."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kdns.cluster.api.channel import Channel
from kdns.cluster.api.report import Report
from kdns.cluster.api.session import Session
from kdns.cluster.freshness import Freshness
from kdns.cluster.objects import Object, Slice
from kdns.cluster.pace import Pace
from kdns.cluster.selection import Selection
from kdns.observe.counters import Counters

Versions = Callable[[type[Object]], Iterable[tuple[str, str, str]]]
"""Namespace, name and version of every object of a kind that the Store holds."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long what may take, in seconds."""

    progress_s: float = 150.0
    """A watch that has nothing to say for so long is dead: bookmarks come each minute."""
    list_s: float = 10.0
    """The same while a WatchList comes, which does not wait for anything to happen."""
    watch_s: float = 300.0
    """The server ends watches after this to twice this, so that its load spreads anew."""
    compare_s: float = 300.0
    """From one comparison with a fresh list to the next, at most."""
    settle_s: float = 20.0
    """How long to wait for a watch to reach the version of such a list."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the watchers of a server share."""

    session: Session
    selection: Selection
    channel: Channel
    pace: Pace
    report: Report
    freshness: Freshness
    counters: Counters
    versions: Versions
    timing: Timing
    clock: Callable[[], float]
    chance: Callable[[], float]
    triggered: Callable[[Slice, float], None] | None
