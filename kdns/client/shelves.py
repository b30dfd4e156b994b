"""Both kinds of answers a cache keeps, and which of them are fresh, stale, popular or news."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kdns.client.shelf import CacheKey, Entry, Shelf
from kdns.observe.counters import Counters
from kdns.wire import types
from kdns.wire.classify import DENIAL, SUCCESS, is_failure
from kdns.wire.message import Answer

MOST_RECHECK_S = 300


@dataclass(frozen=True, slots=True)
class Staleness:
    """`serve_stale`."""

    most_s: float = 0.0
    verifies: bool = False
    timeout_s: float = 0.0
    ttl: int = 0
    recheck_s: float = 0.0
    prefers_positive: bool = False

    @classmethod
    def of(
        cls,
        words: tuple[Any, ...],  # Any: converted words and plain ones
        span: Callable[[str], float],
        *,
        prefers_positive: bool,
    ) -> "Staleness":
        """From the words of `serve_stale`; raises ValueError."""
        most_s, *rest = words
        mode = rest.pop(0).lower() if rest else "immediate"
        if mode not in {"immediate", "verify"}:
            raise ValueError(f"expected immediate or verify, found {mode!r}")
        is_verify = mode == "verify"
        if len(rest) > 2 + is_verify:
            raise ValueError(f"unexpected {rest[2 + is_verify]!r}")
        try:
            spans = [span(word) for word in rest]
        except ValueError as error:
            raise ValueError(f"expected {error}") from error
        timeout_s = spans.pop(0) if is_verify and spans else 0.0
        ttl, recheck_s = (*spans, 0.0, 0.0)[:2]
        if ttl % 1:
            raise ValueError("expected a TTL of whole seconds")
        if recheck_s > MOST_RECHECK_S:
            raise ValueError(f"expected at most {MOST_RECHECK_S}s between tries")
        return cls(most_s, is_verify, timeout_s, int(ttl), recheck_s, prefers_positive)

    @property
    def is_single(self) -> bool:
        """One verification per entry at a time, the other askers get the stale answer at once."""
        return self.timeout_s > 0 or self.recheck_s > 0


@dataclass(frozen=True, slots=True)
class Popularity:
    """`prefetch`: how many hits, without what gap, and in the last part of an entry's life."""

    least: int
    gap_s: float
    percent: int

    @classmethod
    def of(cls, least: int, gap_s: float, percent: int) -> "Popularity | None":
        """From the words of `prefetch`, None for none; raises ValueError."""
        if not 10 <= percent <= 90:
            raise ValueError(f"expected a percentage from 10% to 90%, found {percent}%")
        return cls(least, gap_s, percent) if least else None

    def opens(self, entry: Entry) -> float:
        """When the entry may be refreshed."""
        return entry.stored + entry.ttl - max(-(-entry.ttl * self.percent // 100), 1)


class Shelves:
    """The shelves of one `cache`, and what is counted of them."""

    def __init__(
        self,
        capacities: Mapping[str, int],
        stamps: list[int],
        counters: Counters,
        labels: tuple[str, str, str],
        stale: Staleness,
        popularity: Popularity | None,
    ) -> None:
        self._counted = counters.values
        self._where = labels
        self._requests = self._label("coredns_cache_requests_total", "")
        self._misses = self._label("coredns_cache_misses_total", "")
        self._shelves = {
            kind: Shelf(kind, most, self._counted, self._label) for kind, most in capacities.items()
        }
        self._found, self._denied = (self._shelves[kind].entries for kind in (SUCCESS, DENIAL))
        self._stamps = stamps
        self._stale = stale
        self._popularity = popularity

    def size(self, kind: str) -> int:
        """How many entries of a kind are stored."""
        return len(self._shelves[kind].entries)

    def find(self, key: CacheKey, now: float) -> Entry | None:
        """The entry to answer with: fresh, else stale where that is allowed. None is a miss."""
        denied = self._denied
        if key in self._found or (denied and key in denied):
            entry = self._best(key, now)
            if entry is not None:
                return entry
        # perf: bench miss A with cache; most questions are the cluster's and never here
        counted = self._counted
        counted[self._requests] += 1
        counted[self._misses] += 1
        return None

    def _best(self, key: CacheKey, now: float) -> Entry | None:
        denied = self._usable(self._shelves[DENIAL], key, now)
        found = self._usable(self._shelves[SUCCESS], key, now)
        if denied is None or found is None:
            return denied or found
        is_fresh = now < found.expires
        if self._stale.prefers_positive or (is_fresh and now >= denied.expires):
            return found
        return found if is_fresh and is_failure(denied.answer) else denied

    def _usable(self, shelf: Shelf, key: CacheKey, now: float) -> Entry | None:
        entry = shelf.entries.get(key)
        if entry is None:
            return None
        stale_s = 0.0 if is_failure(entry.answer) else self._stale.most_s
        if now < entry.expires + stale_s and entry.is_right(self._stamps):
            return entry
        shelf.drop(key)
        return None

    def credit(self, entry: Entry, now: float) -> None:
        """Counts a hit, and those that the answer table had meanwhile."""
        wide = self._popularity
        if wide is not None:
            served = entry.hits - entry.counted
            if not served and now - entry.last >= wide.gap_s:
                entry.popularity = 0
            entry.popularity += served + 1
        entry.last = now
        entry.is_spared = True
        entry.hits += 1
        self._shelves[entry.kind].settle(entry)

    def store(self, entry: Entry, replacing: Entry | None) -> None:
        """Stores an entry; one that replaces another only where it is news."""
        if replacing is not None:
            if not self.is_news(entry.answer, replacing):
                return
            entry.popularity, entry.last = replacing.popularity, replacing.last
        kind, key = entry.kind, entry.key
        self._shelves[kind].put(entry)
        other = self._denied if kind == SUCCESS else self._found
        if other and key in other and not is_failure(entry.answer):
            self._shelves[DENIAL if kind == SUCCESS else SUCCESS].drop(key)

    def is_news(self, answer: Answer | None, held: Entry) -> bool:
        """True for an answer that may take the place of what is stored."""
        if answer is None or answer.error or answer.flags & types.TC:
            return False
        if self._stale.prefers_positive and held.kind == SUCCESS and not answer.answer:
            return False
        return answer.rcode in {types.NOERROR, types.NXDOMAIN}

    def count(self, metric: str) -> None:
        """Adds one to a counter."""
        self._counted[self._label(metric, "")] += 1

    def _label(self, metric: str, kind: str) -> tuple[str, ...]:
        """The key of a counter."""
        server, zones, view = self._where
        return (metric, server, kind, zones, view) if kind else (metric, server, zones, view)
