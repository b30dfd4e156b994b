"""Passes queries on to upstream servers and their replies back.

A Filter for the sake of `next`: what an upstream said is kept while later forward stanzas are
asked, and stands when none of them takes the query. Everything else never asks further. Forwarded
answers are for this once; only `cache`, further out, makes them worth remembering.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import partial
from itertools import chain
from typing import Any, ClassVar, cast

from kdns.client.budget import Budget, network_of
from kdns.client.choice import POLICIES, Choice
from kdns.client.dialers import dialer, has_quic
from kdns.client.exchange import Exchange, Manner
from kdns.client.figures import Figures
from kdns.client.line import Reply, UpstreamError, address_text
from kdns.client.overheard import Overheard
from kdns.client.packets import Asked, asking, mixed
from kdns.client.peer import Peer, Probing
from kdns.client.reading import carried, recased
from kdns.client.resolve import locate
from kdns.client.secured import Secured
from kdns.client.security import Credentials
from kdns.client.targets import (
    Place,
    Target,
    distinct,
    parse_address,
    parse_target,
)
from kdns.client.upstream import TCP, UDP, Keeping, Upstream
from kdns.corefile.options import (
    Settings,
    Shape,
    Syntax,
    address,
    choice,
    duration,
    integer,
    rcode,
    text,
    zone,
    zones,
)
from kdns.plugins.base import SKIP, Filter, Query, Result, Site, Soon, waiting, zone_of
from kdns.wire import names, types
from kdns.wire.message import Answer

_MOST_TARGETS = 15
_MOST_UNDERWAY = 8000
"""Queries under way without `max_concurrent`: a listener has room for 10,000, and what others ask
must find some while an upstream is dead."""
_ALL_DOWN = "coredns_forward_healthcheck_broken_total"
_REJECTED = "coredns_forward_max_concurrent_rejects_total"
_STAYS = "a name of the cluster must not leave it"
_LEFT = "kdns_cluster_names_forwarded_total"
_UNSIGNED = 2**32 - 1


def _positive(word: str) -> float:
    value = duration()(word)
    if value <= 0:
        raise ValueError("a duration over zero such as 2s")
    return value


def _failing(word: str) -> int:
    value = rcode(word)
    if value == types.NOERROR:
        raise ValueError("a response code other than NOERROR")
    return value


class Forward(Filter):
    """`forward FROM TO… { … }`."""

    name: ClassVar[str] = "forward"
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(words=(zone, parse_target), rest=parse_target),
        options={
            "except": Shape(rest=zones, at_least=1, repeats=True),
            "force_tcp": Shape(),
            "prefer_udp": Shape(),
            "expire": Shape((duration(0),), is_loose=True),
            "max_age": Shape((duration(0),), is_loose=True),
            "max_idle_conns": Shape((integer(),), is_loose=True),
            "read_timeout": Shape((_positive,), is_loose=True),
            "max_fails": Shape((integer(0, _UNSIGNED),), is_loose=True),
            "max_connect_attempts": Shape((integer(0, _UNSIGNED),), is_loose=True),
            "policy": Shape((choice(*POLICIES),), is_loose=True),
            "health_check": Shape((duration(0),), rest=text),
            "max_concurrent": Shape((integer(),), is_loose=True),
            "next": Shape(rest=rcode, at_least=1, repeats=True),
            "next_on_nodata": Shape(),
            "failover": Shape(rest=_failing, at_least=1, repeats=True),
            "failfast_all_unhealthy_upstreams": Shape(),
            "source_address": Shape((address,), is_loose=True),
            "resolver": Shape(rest=parse_address, at_least=1, repeats=True),
            "tls": Shape(maybe=(text, text, text)),
            "tls_servername": Shape((text,), is_loose=True),
            "doh_method": Shape((choice("POST", "GET"),), is_loose=True),
            "mixed_case": Shape(),
            "budget": Shape((integer(1),)),
            "cluster_names": Shape((choice("refuse"),)),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.zone: names.Key = settings.args[0]
        """The zone whose names are forwarded; the root makes a server recursive."""
        self._is_root = self.zone == names.ROOT
        self._places: tuple[Target | Place, ...] = settings.args[1:]
        self._except = tuple(chain.from_iterable(settings.values("except")))
        self._transport = TCP if settings.has("force_tcp") else ""
        retries_over_tcp = settings.has("prefer_udp") and not self._transport
        if retries_over_tcp:
            self._transport = UDP
        self._manner = Manner(
            self.name,
            site.clock,
            settings.get("read_timeout", 2.0),
            settings.get("max_connect_attempts"),
            frozenset(settings.values("failover")),
            retries_over_tcp,
        )
        self._patience_s = self._manner.patience_s
        self._most: int = settings.get("max_concurrent", 0)
        self._next = frozenset(settings.values("next"))
        self._has_next_on_nodata = settings.has("next_on_nodata")
        self._hands_over = bool(self._next) or self._has_next_on_nodata
        self._budget: int = settings.get("budget", 0)
        self._is_simple = not (self._hands_over or self._manner.failover or retries_over_tcp)
        """True when the first reply is the answer, whatever it says."""
        self._mixes_case = settings.has("mixed_case")
        self._refuses_cluster_names = settings.has("cluster_names")
        self._cluster: tuple[bytes, ...] = ()
        """The labels of the cluster's zones, from start on; a name that has them anywhere is one
        that leaves."""
        self._keeping = _keeping(settings)
        self._probing = _probing(settings)
        self._credentials = _credentials(settings, site)
        _check(settings, self._places)
        self.peers: list[Peer] = []
        """The upstreams; known from start on."""
        self._choice = self._among([])
        self._started = asyncio.Event()
        self._running = 0
        self._crowded = self._most or _MOST_UNDERWAY // 4  # from then on clients are counted
        self._shares = Budget(_MOST_UNDERWAY)

    # Start and stop

    def look(self) -> None:
        """Reads the certificates."""
        if not self.settings.has("tls") and all(each.scheme == "dns" for each in self._places):
            return
        try:
            self._credentials.context()
        except (OSError, ValueError) as error:
            line = next(iter(self.settings.all("tls")), self.settings)
            raise line.fail(f"forward tls: cannot use the certificates: {error}") from error

    async def start(self) -> None:
        """Reads resolv.conf files and certificates, and looks up host names."""
        found: list[Target] = []
        for place in self._places:
            found += [place] if isinstance(place, Target) else await self._locate(place)
        if not found:
            raise self.settings.fail("forward: no nameserver found in the given files")
        if len(found) > _MOST_TARGETS:
            raise self.settings.fail(f"forward: {len(found)} upstreams, at most 15 are allowed")
        await asyncio.to_thread(self.look)
        self.peers = [await self._peer(target) for target in distinct(found)]
        self._choice = self._among(self.peers)
        zones_ = self.site.shared.get("cluster zones", ())
        self._cluster = tuple(bytes(each[:-1]) for each in zones_ if each != names.ROOT)
        self._started.set()

    def _among(self, peers: list[Peer]) -> Choice:
        return Choice(
            peers,
            self.settings.get("policy", "random"),
            self.site.chance,
            fails_fast=self.settings.has("failfast_all_unhealthy_upstreams"),
            when_all_are_down=partial(self.site.counters.add, _ALL_DOWN),
        )

    async def _locate(self, place: Place) -> list[Target]:
        """The servers a file or a host name stands for."""
        known: dict[str, list[str]] = self.site.share("forward hosts", dict)
        try:
            return await locate(place, self.settings.values("resolver"), known)
        except (OSError, UnicodeError) as error:
            raise self.settings.fail(f"forward: cannot read {place.text}: {error}") from error
        except UpstreamError as error:
            hint = "it is no file either, so it was taken for a host name"
            raise self.settings.fail(f"forward: {place.text}: {error}", hint) from error

    async def _peer(self, target: Target) -> Peer:
        figures = Figures(self.site.counters, self.name, address_text((target.host, target.port)))
        budget = Budget(self._budget) if self._budget else None
        upstream = Upstream(target.host, target.port, self._keeping, figures.count_line)
        if target.scheme != "dns":
            dial = await asyncio.to_thread(
                dialer,
                target,
                self._credentials,
                doh_method=self.settings.get("doh_method", "POST"),
                idle_s=max(self._keeping.expire, self._patience_s),
            )
            is_patient = self._manner.attempts == 1
            upstream = Secured(
                target, dial, self._keeping, figures.count_line, is_patient=is_patient
            )
        if tell := self.site.beside.get("dnstap"):
            heard = Overheard(upstream, target.scheme, tell, self.site.clock)
            upstream = cast("Upstream", heard)  # it has all of one
        return Peer(upstream, self._probing, figures, budget)

    def tasks(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """The health checks."""
        return (self._watch(),) if self._probing.max_fails else ()

    async def _watch(self) -> None:
        await self._started.wait()
        await asyncio.gather(*(peer.watch() for peer in self.peers))

    async def stop(self) -> None:
        """Closes the sockets."""
        for peer in self.peers:
            peer.upstream.close()

    @property
    def account(self) -> str:
        return f"forward: {names.format(self.zone)} to {' '.join(one.text for one in self.peers)}"

    # Answering

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """The upstreams' answer; of what is excepted or outside the zone, the next plugin's."""
        key = query.key
        is_ours = self._is_root or names.is_below(key, self.zone)
        if not is_ours or (self._except and zone_of(key, self._except) is not None):
            return next_(query)
        query.ledger.keep = False  # `forget`, at once
        for labels in self._cluster:
            if key.find(labels) >= 0 and names.has_labels(key, labels):
                if self._refuses_cluster_names:
                    return _answer(types.REFUSED, _STAYS, types.EDE_BLOCKED)
                self.site.counters.add(_LEFT)
                break
        if self._running >= self._crowded:
            return self._shared(query, next_)
        return self._forwarded(query, next_)

    def _shared(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """The same while many queries wait: a client network gets no more places than are free."""
        places, network = self._shares, network_of(query.client.address)
        places.spent_now = self._running
        if self._most or not places.takes(network):
            query.reads_client()
            return self._rejected()
        return places.through(network, self._forwarded(query, next_))

    def _rejected(self) -> Answer:
        if not self._most:
            why = "too many queries wait for upstreams, of this client's network or of all"
            return _answer(types.SERVFAIL, why, types.EDE_OTHER)
        self.site.counters.add(_REJECTED)
        why = f"concurrent queries exceeded maximum {self._most}"
        return _answer(types.REFUSED, why, types.EDE_OTHER)

    async def _forwarded(self, query: Query, next_: Soon) -> Result:
        """Asks the first upstream; what is more than its plain reply goes on from there."""
        self._running += 1
        try:
            asked = _packet(query)
            plain = asked[1]
            transport = self._transport or (UDP if query.client.transport == UDP else TCP)
            clock = self.site.clock
            began = clock()
            peer = None if self._budget else self._choice.first()
            reply: Reply | None = None
            answer: Answer | None = None
            if peer is not None:
                if self._mixes_case and peer.keeps_case:
                    asked = mixed(asked)
                try:
                    send = peer.upstream.send
                    reply = await send(asked[0], transport, self._patience_s, asked[1])
                except UpstreamError as error:
                    reply = error
                # perf: bench forward; one coroutine, one await
                if type(reply) is bytes and self._is_simple and query.key == query.question.key:
                    octets = recased(reply, plain) if self._mixes_case else reply
                    answer = carried(octets, 12 + len(plain), query.key, self.name)
                    if answer is not None:
                        peer.figures.count_reply(answer.rcode, clock() - began)
                        query.note("forward/upstream", peer.format)
            if answer is None:
                answer = await self._exchanged(query, (asked, plain, transport, began), peer, reply)
        finally:
            self._running -= 1
        if not self._hands_over or answer.error or not self._is_for_next(answer):
            return answer
        later = await waiting(next_)(query)
        return answer if later is SKIP or later.plugin != self.name else later

    async def _exchanged(
        self,
        query: Query,
        how: tuple[Asked, bytes, str, float],
        peer: Peer | None,
        reply: Reply | None,
    ) -> Answer:
        asked, plain, transport, began = how
        exchange = Exchange(
            self._manner,
            self._choice,
            query.question,
            (query.key, query.type),
            asked,
            plain,
            network_of(query.client.address),
            transport,
            began,
        )
        answer = await exchange.run(peer, reply)
        if exchange.peer is not None:
            query.note("forward/upstream", exchange.peer.format)
        if self._budget and answer.error:
            query.reads_client()  # others may have room
        return answer

    def _is_for_next(self, answer: Answer) -> bool:
        if answer.rcode in self._next:
            return True
        return self._has_next_on_nodata and answer.rcode == types.NOERROR and not answer.answer


def _packet(query: Query) -> Asked:
    """The query as the asker sent it: flags, letter case and EDNS; and the question in it."""
    asked = query.question
    name = asked.name if query.key == asked.key else query.key
    opt = (asked.size, asked.do, asked.options) if asked.has_opt else None
    return asking(name, query.type, query.cls, asked.flags & ~types.QR, opt)


def _keeping(settings: Settings) -> Keeping:
    expire, max_age = settings.get("expire", 10.0), settings.get("max_age", 0.0)
    if max_age and max_age < expire:
        line = settings.all("max_age")[-1]
        raise line.fail(f"forward: max_age must not be less than expire ({expire:g}s)")
    source = settings.get("source_address")
    return Keeping(
        expire,
        max_age,
        settings.get("max_idle_conns", 0),
        names.format_address(source) if source else "",
    )


def _probing(settings: Settings) -> Probing:
    most = settings.get("max_fails", 2)
    if not settings.has("health_check"):
        return Probing(max_fails=most)
    line = settings.all("health_check")[-1]
    try:
        return Probing.of(line.values, most)
    except ValueError as error:
        raise line.fail(f"forward health_check: {error}") from error


def _credentials(settings: Settings, site: Site) -> Credentials:
    words = settings.all("tls")[-1].values if settings.has("tls") else ()
    return Credentials.of(words, site.root, settings.get("tls_servername", ""))


def _check(settings: Settings, places: tuple[Target | Place, ...]) -> None:
    """What only all options together show."""
    if len(places) > _MOST_TARGETS:
        raise settings.fail(f"forward: {len(places)} upstreams, at most 15 are allowed")
    name = settings.get("tls_servername", "")
    for place in places:
        if name and place.server_name:
            raise settings.fail(
                f"forward: {place.server_name!r} and tls_servername {name!r} name one server twice"
            )
        if place.scheme == "quic" and not has_quic():
            raise settings.fail("forward: quic:// needs aioquic", "install kdns[quic]")


def _answer(rcode: int, why: str, code: int) -> Answer:
    """What is said without asking anybody."""
    return Answer(rcode=rcode, plugin=Forward.name, error=why, ede=((code, why),))
