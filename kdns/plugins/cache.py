"""Keeps what the rest of the chain answered, for as long as its records say.

Never what was made from the cluster just now (`Answer.live`): cluster names are not stale, ever.
An entry keeps the stamps of the facts it was made from and is a miss once one of them has moved.
All records of an answer leave with one TTL, also on a miss (CoreDNS). Refreshes run as tasks of
the plugin, a bounded number at a time, never on the way of a query that can be answered.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar

from kdns.client.background import Background, within
from kdns.client.shelf import CacheKey, Entry, size_of
from kdns.client.shelves import Popularity, Shelves, Staleness
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
from kdns.plugins.base import (
    DROP,
    SKIP,
    Classifier,
    Filter,
    Ledger,
    Query,
    Result,
    Site,
    Soon,
    zone_of,
)
from kdns.wire import classify, names, types
from kdns.wire.carried import Carried
from kdns.wire.classify import DENIAL, PLAIN_TTL, SUCCESS, Limits, is_failure, settled
from kdns.wire.edns import client_scope
from kdns.wire.message import Answer

_CAPACITY = 9984
_LEAST_TTL = 5
_OPCODE = 0x7800
_NEVER = float("inf")
Before = tuple[int, int, tuple[float, tuple[Classifier, ...], bool] | None]
"""A ledger as it was before the rest of the chain: touches, mark, and what else was noted."""


class Cache(Filter):
    """`cache [TTL] [ZONES…] { … }`."""

    name: ClassVar[str] = "cache"
    lets_live_pass = True
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
        capacities: dict[str, int] = {}
        self._limits: dict[str, Limits] = {}
        for kind, highest in ((SUCCESS, 3600), (DENIAL, 1800)):
            capacity, ttl, least = _given(settings, kind, (_CAPACITY, most or highest, _LEAST_TTL))
            capacities[kind] = capacity
            self._limits[kind] = Limits(ttl, least)
        self._servfail = int(settings.get("servfail", 5.0))
        self._disabled = _disabled(settings)
        self._keeps_ttl = settings.has("keepttl")
        self._popularity = _popularity(settings)
        self._stale = _staleness(settings)
        self._capacities = capacities
        self._refreshes = Background() if self._popularity or self._stale.most_s else None

    @cached_property
    def _shelves(self) -> Shelves:
        """Made at the first question: by then `view`, which is built later, has said its name."""
        zones = ",".join(names.format(zone) for zone in self._zones)
        return Shelves(
            self._capacities,
            self.site.stamps.values,
            self.site.counters,
            (self.site.label, zones, self.site.beside.get("view", "")),
            self._stale,
            self._popularity,
        )

    def tasks(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """The refreshes, where some option asks for them."""
        return (self._refreshes.run(),) if self._refreshes else ()

    def size(self, kind: str) -> int:
        """How many entries of a kind are stored."""
        return self._shelves.size(kind)

    # Asking

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """What is stored, else what the rest of the chain answers, stored if it may be."""
        question = query.question
        is_ours = self._has_root or zone_of(query.key, self._zones) is not None
        if not is_ours or question.flags & _OPCODE:
            return next_(query)
        key = (query.key, query.type, query.cls, question.do, not question.flags & types.CD)
        entry = None if query.is_apart else self._shelves.find(key, query.now)
        if entry is None:
            return self._missed(key, query, next_)
        return self._hit(entry, query, next_)

    def _hit(self, entry: Entry, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        self._shelves.credit(entry, query.now)
        if query.now < entry.expires:
            self._prefetch(entry, query, next_)
            return self._give(entry, query)
        self._shelves.count("coredns_cache_served_stale_total")
        return self._give_stale(entry, query, next_)

    def _missed(
        self, key: CacheKey, query: Query, next_: Soon, replacing: Entry | None = None
    ) -> Result | Awaitable[Result]:
        """The rest of the chain's answer; what is live passes at the price of a look.

        perf: bench miss A with cache; the most frequent miss of all.
        """
        ledger = query.ledger
        outer = None
        if ledger.until != _NEVER or ledger.audience or ledger.is_personal:
            outer = ledger.until, ledger.audience, ledger.is_personal
            ledger.until, ledger.audience, ledger.is_personal = _NEVER, (), False
        count = len(ledger.touched if ledger.facts is None else ledger.facts)
        answer = next_(query)
        if answer is SKIP or (type(answer) is Answer and (answer.live or answer is DROP)):
            if outer is not None:
                _rejoin(ledger, *outer)
            return answer
        ledger.settle()
        mark = ledger.mark
        if len(ledger.touched) > count:
            # Nothing was waited for since they were touched: their stamps are what they were then.
            stamps = ledger.stamps.values
            mark -= sum([stamps[at] for at in ledger.touched[count:]])
        before = (count, mark, outer)
        if isinstance(answer, Answer):
            return self._settled(key, query, answer, before, replacing)
        return self._waited(key, query, answer, before, replacing)

    async def _waited(
        self,
        key: CacheKey,
        query: Query,
        waited: Awaitable[Result],
        before: Before,
        replacing: Entry | None,
    ) -> Result:
        answer = await waited
        if answer is SKIP or answer is DROP or answer.live:
            if before[2] is not None:
                _rejoin(query.ledger, *before[2])
            return answer
        return self._settled(key, query, answer, before, replacing)

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
        return self._kept(entry, query)

    def _kept(self, entry: Entry, query: Query) -> Answer:
        """What is stored, as this asker gets it."""
        aging = None if self._keeps_ttl else (entry.stored, entry.ttl)
        flags = entry.answer.flags & ~(0 if _wants_ad(query) else types.AD)
        return entry.answer.but(flags=flags, plugin=self.name, error="", aging=aging)

    # Storing

    async def _ask(self, query: Query, next_: Soon, replacing: Entry) -> Result:
        """Asks the rest of the chain again for what is stored."""
        answer = self._missed(replacing.key, query, next_, replacing)
        return answer if isinstance(answer, Answer) or answer is SKIP else await answer

    def _settled(
        self, key: CacheKey, query: Query, answer: Answer, before: Before, replacing: Entry | None
    ) -> Answer:
        """The answer with one TTL, stored if it may be."""
        ledger, now = query.ledger, query.now
        count, mark, outer = before
        if (
            type(answer) is Carried
            and not (answer.rcode or answer.flags & types.TC or answer.cargo.authority)
            and query.type in answer.cargo.found
        ):
            # perf: bench forward; the same as below for what is usual
            kind, ttl = SUCCESS, self._limits[SUCCESS].clamp(answer.cargo.least_ttl)
            given: Answer = answer.settled(ttl)
        else:
            kind, ttl = self._judge(query, answer)
            given = settled(answer, ttl)
        is_shared = not (ledger.is_personal or ledger.audience or query.is_apart)
        if kind and ttl and is_shared and not _is_scoped(answer):
            disabled = self._disabled[kind]
            if not disabled or zone_of(query.key, disabled) is None:
                facts = tuple(ledger.touched[count:]) if len(ledger.touched) > count else ()
                expires = now + ttl if now + ttl < ledger.until else ledger.until
                size = size_of(given)
                entry = Entry(
                    key, kind, given, now, ttl, expires, facts, ledger.mark - mark, size, now, now
                )
                self._shelves.store(entry, replacing)
                ledger.keep = False  # what is stored ages from now on; this reply would not
        if outer is not None:
            _rejoin(ledger, *outer)
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

    # Refreshing

    def _prefetch(self, entry: Entry, query: Query, next_: Soon) -> None:
        wide = self._popularity
        if wide is None or entry.popularity < wide.least or query.now < wide.opens(entry):
            return
        if self._refresh(entry, query, next_):
            self._shelves.count("coredns_cache_prefetch_total")

    async def _give_stale(self, entry: Entry, query: Query, next_: Soon) -> Result:
        """An answer for an entry that is over: fresh if it is verified in time, else stale."""
        stale = self._stale
        if not stale.verifies:
            self._refresh(entry, query, next_)
        elif not stale.is_single:
            answer = await self._ask(query, next_, entry)
            if self._shelves.is_news(_answered(answer), entry):
                return answer
        else:
            verified: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
            if self._refresh(entry, query, next_, verified):
                fresh = await within(verified, stale.timeout_s)
                if fresh is not None:
                    query.forget()
                    return fresh
        query.forget()
        answer = self._kept(entry, query)
        is_gone = answer.rcode == types.NXDOMAIN
        code = types.EDE_STALE_NXDOMAIN if is_gone else types.EDE_STALE_ANSWER
        given = answer if self._keeps_ttl else settled(answer, stale.ttl)
        return given.but(ede=(*given.ede, (code, "")))

    def _refresh(
        self,
        entry: Entry,
        query: Query,
        next_: Soon,
        verified: "asyncio.Future[Answer | None] | None" = None,
    ) -> bool:
        """Has an entry asked again in the background, unless that is under way or too early."""
        if entry.is_refreshing or query.now < entry.recheck_at or self._refreshes is None:
            return False

        async def work() -> None:
            answer: Result | None = None
            try:
                answer = await self._ask(_again(query, self.site), next_, entry)
            finally:
                entry.is_refreshing = False
                fresh = _answered(answer)
                is_news = self._shelves.is_news(fresh, entry)
                if not is_news:
                    entry.recheck_at = self.site.clock() + self._stale.recheck_s
                if verified is not None and not verified.done():
                    verified.set_result(fresh if is_news else None)

        entry.is_refreshing = self._refreshes.submit(work)
        return entry.is_refreshing


def _is_scoped(answer: Answer) -> bool:
    """True when the upstream said that it answered a part of the network (RFC 7871 §7.3)."""
    return bool(answer.options) and client_scope(answer.options) > 0


def _answered(result: Result | None) -> Answer | None:
    return None if result is SKIP else result


def _again(query: Query, site: Site) -> Query:
    """The same query asked now, on a ledger of its own."""
    ledger = Ledger(site.stamps, query.ledger.route)
    other = Query.of(query.question, query.client, site.clock(), ledger)
    other.key, other.type, other.cls = query.key, query.type, query.cls
    other.zone, other.depth = query.zone, query.depth
    return other


def _rejoin(
    ledger: Ledger, until: float, audience: tuple[Classifier, ...], is_personal: bool
) -> None:
    """Adds what was noted before the cache to what the rest of the chain noted."""
    ledger.until = min(until, ledger.until)
    ledger.audience = tuple(dict.fromkeys(audience + ledger.audience))
    ledger.is_personal |= is_personal


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
    try:
        return Popularity.of(*_given(settings, "prefetch", (0, 60.0, 10)))
    except ValueError as error:
        raise settings.all("prefetch")[0].fail(f"cache prefetch: {error}") from error


def _staleness(settings: Settings) -> Staleness:
    policy = settings.all("serve_stale_policy")
    if not settings.has("serve_stale"):
        if policy:
            raise policy[0].fail("cache: serve_stale_policy needs serve_stale")
        return Staleness()
    line = settings.all("serve_stale")[0]
    try:
        return Staleness.of(line.values or (3600.0,), duration(0), prefers_positive=bool(policy))
    except ValueError as error:
        raise line.fail(f"cache serve_stale: {error}") from error
