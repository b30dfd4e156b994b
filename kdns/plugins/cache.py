"""Keeps what the rest of the chain answered, for as long as its records say.

Never what was made from the cluster just now (`Answer.live`): cluster names are not stale, ever.
An entry keeps the stamps of the facts it was made from and is a miss once one of them has moved.
All records of an answer leave with one TTL, also on a miss (CoreDNS). Refreshes run as tasks of
the plugin, a bounded number at a time, never on the way of a query that can be answered.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

from kdns.client.background import Background, within
from kdns.client.shelf import CacheKey, Entry, Shelf, Span, make_entry
from kdns.corefile.options import (
    Settings,
    Shape,
    Syntax,
    choice,
    duration,
    integer,
    percent,
    text,
    zones,
)
from kdns.plugins.base import DROP, SKIP, Filter, Ledger, Next, Query, Result, Site, zone_of
from kdns.wire import classify, names, types
from kdns.wire.classify import DENIAL, PLAIN_TTL, SUCCESS, Limits, is_failure, settled
from kdns.wire.message import Answer

_CAPACITY = 9984
_LEAST_TTL = 5
_OPCODE = 0x7800


@dataclass(frozen=True, slots=True)
class Staleness:
    """`serve_stale`."""

    most_s: float = 0.0
    verifies: bool = False
    timeout_s: float = 0.0
    ttl: int = 0
    recheck_s: float = 0.0
    prefers_positive: bool = False

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

    def opens(self, entry: Entry) -> float:
        """When the entry may be refreshed."""
        return entry.stored + entry.ttl - max(-(-entry.ttl * self.percent // 100), 1)


class Cache(Filter):
    """`cache [TTL] [ZONES…] { … }`."""

    name: ClassVar[str] = "cache"
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(rest=text),
        options={
            SUCCESS: Shape((integer(),), (integer(1), integer())),
            DENIAL: Shape((integer(),), (integer(1), integer())),
            "prefetch": Shape((integer(),), (duration(0), percent)),
            "serve_stale": Shape(maybe=(duration(0),), rest=text),
            "serve_stale_policy": Shape((choice("prefer_positive"),)),
            "servfail": Shape((duration(0, 300),)),
            "disable": Shape((choice(SUCCESS, DENIAL),), rest=zones, repeats=True),
            "keepttl": Shape(),
        },
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        most, self._zones = _arguments(settings, site)
        self._has_root = names.ROOT in self._zones
        self._labels: dict[tuple[str, str], tuple[str, ...]] = {}
        self._zone_label = ",".join(names.format(zone) for zone in self._zones)
        self._shelves: dict[str, Shelf] = {}
        self._limits: dict[str, Limits] = {}
        for kind, highest in ((SUCCESS, 3600), (DENIAL, 1800)):
            capacity, ttl, least = _given(settings, kind, (_CAPACITY, most or highest, _LEAST_TTL))
            self._shelves[kind] = Shelf(kind, capacity, self._count)
            self._limits[kind] = Limits(ttl, least)
        self._servfail = int(settings.get("servfail", 5.0))
        self._disabled = _disabled(settings)
        self._keeps_ttl = settings.has("keepttl")
        self._popularity = _popularity(settings)
        self._stale = _staleness(settings)
        self._refreshes = Background() if self._popularity or self._stale.most_s else None

    def tasks(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """The refreshes, where some option asks for them."""
        return (self._refreshes.run(),) if self._refreshes else ()

    def size(self, kind: str) -> int:
        """How many entries of a kind are stored."""
        return len(self._shelves[kind])

    # Asking

    async def around(self, query: Query, next_: Next) -> Result:
        """What is stored, else what the rest of the chain answers, stored if it may be."""
        question = query.question
        is_ours = self._has_root or zone_of(query.key, self._zones) is not None
        if not is_ours or question.flags & _OPCODE:
            return await next_(query)
        is_checked = not question.flags & types.CD
        key = (query.key, query.type, query.cls, question.do, is_checked)
        entry = self._find(key, query.now)
        if entry is None:
            self._count("coredns_cache_requests_total")
            self._count("coredns_cache_misses_total")
            return await self._ask(key, query, next_)
        self._credit(entry, query.now)
        if query.now < entry.expires:
            self._prefetch(entry, query, next_)
            return self._give(entry, query)
        self._count("coredns_cache_served_stale_total")
        return await self._give_stale(entry, query, next_)

    def _find(self, key: CacheKey, now: float) -> Entry | None:
        """The entry to answer with: fresh, else stale where that is allowed."""
        denied = self._usable(self._shelves[DENIAL], key, now)
        found = self._usable(self._shelves[SUCCESS], key, now)
        if denied is None or found is None:
            return denied or found
        is_fresh = now < found.expires
        if self._stale.prefers_positive or (is_fresh and now >= denied.expires):
            return found
        return found if is_fresh and is_failure(denied.answer) else denied

    def _usable(self, shelf: Shelf, key: CacheKey, now: float) -> Entry | None:
        entry = shelf.find(key)
        if entry is None:
            return None
        stale_s = 0.0 if is_failure(entry.answer) else self._stale.most_s
        if now < entry.expires + stale_s and entry.is_right(self.site.stamps.values):
            return entry
        shelf.drop(key)
        return None

    def _credit(self, entry: Entry, now: float) -> None:
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

    def _give(self, entry: Entry, query: Query) -> Answer:
        """A fresh entry's answer, with all that the answer table must know about it."""
        until = entry.expires
        if self._popularity is not None:
            opens = self._popularity.opens(entry)
            until = min(until, opens if query.now < opens else query.now + 1)
        ledger = query.ledger
        ledger.touched.extend(entry.touched)
        ledger.mark += entry.mark
        query.credit(entry)
        query.until(until)
        if entry.is_refreshing:
            query.forget()  # the next asker should have what the refresh brings
        return entry.answer if _wants_ad(query) else entry.plain

    # Storing

    async def _ask(
        self, key: CacheKey, query: Query, next_: Next, *, replacing: Entry | None = None
    ) -> Result:
        """Asks the rest of the chain, and stores what may be stored."""
        answer, span, is_general = await _noting(query, next_)
        if answer is SKIP or answer is DROP or answer.live:
            return answer
        kind, ttl = self._judge(query, answer)
        given = settled(answer, ttl)
        if kind and ttl and is_general and not self._is_disabled(kind, query.key):
            aging = None if self._keeps_ttl else (query.now, ttl)
            held = given.but(plugin=self.name, error="", aging=aging)
            self._store(make_entry(key, kind, held, span, query.now, ttl), replacing)
            query.forget()  # what is stored ages from now on; this reply would not
        if answer.error:
            return answer
        if not given.flags & types.AD or _wants_ad(query):
            return given
        return given.but(flags=given.flags & ~types.AD)

    def _judge(self, query: Query, answer: Answer) -> tuple[str, int]:
        """Which shelf an answer belongs on, none if it may not be kept, and its TTL."""
        if answer.error:
            return (DENIAL if answer.rcode == types.SERVFAIL else ""), self._servfail
        is_transfer = query.type in {types.AXFR, types.IXFR}
        if is_failure(answer) and not is_transfer:
            return DENIAL, self._servfail
        signed_at = int(self.site.wall()) if query.question.do else None
        kind = classify.kind(answer, query.type, signed_at=signed_at)
        if not kind:
            return "", self._limits[SUCCESS].clamp(PLAIN_TTL)
        ttl = self._limits[kind].clamp(classify.least_ttl(answer))
        return ("" if classify.is_unfinished(answer, query.type) else kind), ttl

    def _is_disabled(self, kind: str, key: names.Key) -> bool:
        disabled = self._disabled[kind]
        return bool(disabled) and zone_of(key, disabled) is not None

    def _store(self, entry: Entry, replacing: Entry | None) -> None:
        if replacing is not None:
            if not self._is_news(entry.answer, replacing):
                return
            entry.popularity, entry.last = replacing.popularity, replacing.last
        self._shelves[entry.kind].put(entry)
        if not is_failure(entry.answer):
            self._shelves[DENIAL if entry.kind == SUCCESS else SUCCESS].drop(entry.key)

    # Refreshing

    def _is_news(self, answer: Result | None, held: Entry) -> bool:
        """True for an answer that may take the place of what is stored."""
        if answer is None or answer is SKIP or answer.error or answer.flags & types.TC:
            return False
        if self._stale.prefers_positive and held.kind == SUCCESS and not answer.answer:
            return False
        return answer.rcode in {types.NOERROR, types.NXDOMAIN}

    def _prefetch(self, entry: Entry, query: Query, next_: Next) -> None:
        wide = self._popularity
        if wide is None or entry.popularity < wide.least or query.now < wide.opens(entry):
            return
        if self._refresh(entry, query, next_):
            self._count("coredns_cache_prefetch_total")

    async def _give_stale(self, entry: Entry, query: Query, next_: Next) -> Result:
        """An answer for an entry that is over: fresh if it is verified in time, else stale."""
        stale = self._stale
        if not stale.verifies:
            self._refresh(entry, query, next_)
        elif not stale.is_single:
            answer = await self._ask(entry.key, query, next_, replacing=entry)
            if self._is_news(answer, entry):
                return answer
        else:
            verified: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
            if self._refresh(entry, query, next_, verified):
                fresh = await within(verified, stale.timeout_s)
                if fresh is not None:
                    query.forget()
                    return fresh
        query.forget()
        answer = entry.answer if _wants_ad(query) else entry.plain
        return answer if self._keeps_ttl else settled(answer, stale.ttl)

    def _refresh(
        self,
        entry: Entry,
        query: Query,
        next_: Next,
        verified: "asyncio.Future[Answer | None] | None" = None,
    ) -> bool:
        """Has an entry asked again in the background, unless that is under way or too early."""
        if entry.is_refreshing or query.now < entry.recheck_at or self._refreshes is None:
            return False

        async def work() -> None:
            answer: Result | None = None
            try:
                answer = await self._ask(
                    entry.key, _again(query, self.site), next_, replacing=entry
                )
            finally:
                entry.is_refreshing = False
                is_news = self._is_news(answer, entry)
                if not is_news:
                    entry.recheck_at = self.site.clock() + self._stale.recheck_s
                if verified is not None and not verified.done():
                    verified.set_result(answer if is_news and answer is not SKIP else None)

        entry.is_refreshing = self._refreshes.submit(work)
        return entry.is_refreshing

    def _count(self, metric: str, kind: str = "", *, by: int = 1) -> None:
        labels = self._labels.get((metric, kind))
        if labels is None:
            # perf: bench forwarded; made once, as a miss counts four things
            middle = (kind, self._zone_label) if kind else (self._zone_label,)
            labels = self._labels[metric, kind] = (metric, self.site.label, *middle, "")
        self.site.counters.values[labels] += by


def _again(query: Query, site: Site) -> Query:
    """The same query asked now, on a ledger of its own."""
    ledger = Ledger(site.stamps, query.ledger.route)
    other = Query.of(query.question, query.client, site.clock(), ledger)
    other.key, other.type, other.cls = query.key, query.type, query.cls
    other.zone, other.depth = query.zone, query.depth
    return other


async def _noting(query: Query, next_: Next) -> tuple[Result, Span, bool]:
    """The rest of the chain's answer, what it was made from, and whether it is for everybody."""
    ledger = query.ledger
    count, mark, until = len(ledger.touched), ledger.mark, ledger.until
    audience, is_personal = ledger.audience, ledger.is_personal
    ledger.until, ledger.audience, ledger.is_personal = float("inf"), (), False
    answer = await next_(query)
    is_general = not ledger.is_personal and not ledger.audience
    span = Span(tuple(ledger.touched[count:]), ledger.mark - mark, ledger.until)
    ledger.until = min(until, ledger.until)
    ledger.audience = tuple(dict.fromkeys(audience + ledger.audience))
    ledger.is_personal |= is_personal
    return answer, span, is_general


def _wants_ad(query: Query) -> bool:
    return query.question.do or bool(query.question.flags & types.AD)


# What the Corefile says


def _arguments(settings: Settings, site: Site) -> tuple[int, tuple[names.Key, ...]]:
    """The TTL, 0 when none is given, and the zones."""
    words = list(settings.args)
    most = 0
    if words and words[0].lstrip("+-").isdigit():
        most = int(words.pop(0))
        if most < 1:
            raise settings.fail(f"cache: expected a TTL of at least 1, found {most}")
    try:
        given = tuple(zone for word in words for zone in zones(word))
    except ValueError as error:
        raise settings.fail(f"cache: expected {error}") from error
    return most, given or site.zones


def _given(settings: Settings, option: str, defaults: tuple[Any, ...]) -> tuple[Any, ...]:
    """An option's values, defaults for those left out."""
    values = settings.values(option)
    return values + defaults[len(values) :]


def _disabled(settings: Settings) -> dict[str, tuple[names.Key, ...]]:
    found: dict[str, tuple[names.Key, ...]] = {SUCCESS: (), DENIAL: ()}
    for line in settings.all("disable"):
        kind, *given = line.values
        found[kind] += tuple(chain.from_iterable(given)) or (names.ROOT,)
    return found


def _popularity(settings: Settings) -> Popularity | None:
    least, gap_s, share = _given(settings, "prefetch", (0, 60.0, 10))
    if not 10 <= share <= 90:
        raise settings.all("prefetch")[0].fail(
            f"cache prefetch: expected a percentage from 10% to 90%, found {share}%"
        )
    return Popularity(least, gap_s, share) if least else None


def _staleness(settings: Settings) -> Staleness:
    policy = settings.has("serve_stale_policy")
    if not settings.has("serve_stale"):
        if policy:
            line = settings.all("serve_stale_policy")[0]
            raise line.fail("cache: serve_stale_policy needs serve_stale")
        return Staleness()
    line = settings.all("serve_stale")[0]
    most_s, *words = line.values or (3600.0,)
    mode = words.pop(0).lower() if words else "immediate"
    if mode not in {"immediate", "verify"}:
        raise line.fail(f"cache serve_stale: expected immediate or verify, found {mode!r}")
    is_verify = mode == "verify"
    if len(words) > 2 + is_verify:
        raise line.fail(f"cache serve_stale: unexpected {words[2 + is_verify]!r}")
    try:
        spans = [duration(0)(word) for word in words]
    except ValueError as error:
        raise line.fail(f"cache serve_stale: expected {error}") from error
    timeout_s = spans.pop(0) if is_verify and spans else 0.0
    ttl, recheck_s = (*spans, 0.0, 0.0)[:2]
    if ttl % 1:
        raise line.fail("cache serve_stale: expected a TTL of whole seconds")
    return Staleness(most_s, is_verify, timeout_s, int(ttl), recheck_s, policy)
