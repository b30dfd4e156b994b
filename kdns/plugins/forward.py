"""Passes queries on to upstream servers and their replies back.

A Filter for the sake of `next`: what an upstream said is kept while later forward stanzas are
asked, and stands when none of them takes the query. Everything else never asks further. Forwarded
answers are for this once; only `cache`, further out, makes them worth remembering.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import partial
from itertools import chain
from typing import Any, ClassVar

from kdns.client.choice import POLICIES, Choice
from kdns.client.figures import Figures
from kdns.client.line import MismatchError, Reply, UpstreamError, address_text
from kdns.client.packets import Asked, asking, read
from kdns.client.peer import Peer, Probing
from kdns.client.resolve import content_of, resolve
from kdns.client.targets import (
    Place,
    Target,
    distinct,
    host_name,
    parse_address,
    parse_nameservers,
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
from kdns.wire.carried import Carried, folded, screen
from kdns.wire.message import Answer
from kdns.wire.parse import Message

_MOST_TARGETS = 15
_WINDOW_S = 5.0
"""No attempt starts later than this after the query came (CoreDNS)."""
_PAUSE_S = 0.01
_ALL_DOWN = "coredns_forward_healthcheck_broken_total"
_Found = tuple[Answer, int]
"""An answer, and the code the upstream gave."""
_UNSIGNED = 2**32 - 1
_KEPT = types.AA | types.TC | types.RA | types.AD


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
            "expire": Shape((duration(0),)),
            "max_age": Shape((duration(0),)),
            "max_idle_conns": Shape((integer(),)),
            "read_timeout": Shape((_positive,)),
            "max_fails": Shape((integer(0, _UNSIGNED),)),
            "max_connect_attempts": Shape((integer(0, _UNSIGNED),)),
            "policy": Shape((choice(*POLICIES),)),
            "health_check": Shape((duration(0),), rest=text),
            "max_concurrent": Shape((integer(),)),
            "next": Shape(rest=rcode, at_least=1, repeats=True),
            "next_on_nodata": Shape(),
            "failover": Shape(rest=_failing, at_least=1, repeats=True),
            "failfast_all_unhealthy_upstreams": Shape(),
            "source_address": Shape((address,)),
            "resolver": Shape(rest=parse_address, at_least=1, repeats=True),
            "tls": Shape(maybe=(text, text, text)),
            "tls_servername": Shape((text,)),
            "doh_method": Shape((choice("POST", "GET"),)),
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
        self._retries_over_tcp = settings.has("prefer_udp") and not self._transport
        if self._retries_over_tcp:
            self._transport = UDP
        self._read_timeout: float = settings.get("read_timeout", 2.0)
        self._attempts: int | None = settings.get("max_connect_attempts")
        self._most: int = settings.get("max_concurrent", 0)
        self._next = frozenset(settings.values("next"))
        self._has_next_on_nodata = settings.has("next_on_nodata")
        self._failover = frozenset(settings.values("failover"))
        self._is_simple = not (
            self._next or self._has_next_on_nodata or self._failover or self._retries_over_tcp
        )
        """True when the first reply is the answer, whatever it says."""
        self._keeping = _keeping(settings)
        self._probing = _probing(settings)
        _check(settings, self._places)
        self.peers: list[Peer] = []
        """The upstreams; known from start on."""
        self._choice = self._among([])
        self._started = asyncio.Event()
        self._running = 0

    # Start and stop

    async def start(self) -> None:
        """Reads resolv.conf files and looks up host names."""
        found: list[Target] = []
        for place in self._places:
            found += [place] if isinstance(place, Target) else await self._locate(place)
        if not found:
            raise self.settings.fail("forward: no nameserver found in the given files")
        if len(found) > _MOST_TARGETS:
            raise self.settings.fail(f"forward: {len(found)} upstreams, at most 15 are allowed")
        self.peers = [self._peer(target) for target in distinct(found)]
        self._choice = self._among(self.peers)
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
        try:
            content = await asyncio.to_thread(content_of, place.text)
        except (OSError, UnicodeError) as error:
            raise self.settings.fail(f"forward: cannot read {place.text}: {error}") from error
        if content is not None:
            return [place.at(one) for one in parse_nameservers(content)]
        try:
            found = await resolve(host_name(place), self.settings.values("resolver"))
        except (UpstreamError, ValueError) as error:
            hint = "it is no file either, so it was taken for a host name"
            raise self.settings.fail(f"forward: {place.text}: {error}", hint) from error
        return [place.at(one) for one in found]

    def _peer(self, target: Target) -> Peer:
        where = address_text((target.host, target.port))
        figures = Figures(self.site.counters, self.name, where)
        upstream = Upstream(target.host, target.port, self._keeping, figures.count_line)
        return Peer(upstream, self._probing, figures)

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

    # Answering

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """The upstreams' answer; of what is excepted or outside the zone, the next plugin's."""
        key = query.key
        is_ours = self._is_root or names.is_below(key, self.zone)
        if not is_ours or (self._except and zone_of(key, self._except) is not None):
            return next_(query)
        query.ledger.keep = False  # `forget`, at once
        if self._most and self._running >= self._most:
            self.site.counters.add("coredns_forward_max_concurrent_rejects_total")
            why = f"concurrent queries exceeded maximum {self._most}"
            return Answer(rcode=types.REFUSED, plugin=self.name, error=why)
        return self._forwarded(query, next_)

    async def _forwarded(self, query: Query, next_: Soon) -> Result:
        """Asks the first upstream; what is more than its plain reply goes on from there."""
        self._running += 1
        try:
            asked = _packet(query)
            transport = self._transport or (UDP if query.client.transport == UDP else TCP)
            began = self.site.clock()
            peer = self._choice.first()
            reply, answer = None, None
            if peer is not None:
                try:
                    send = peer.upstream.send
                    reply = await send(asked[0], transport, self._read_timeout, asked[1])
                except UpstreamError as error:
                    reply = error
                # perf: bench forward; one coroutine, one await
                if type(reply) is bytes and self._is_simple:
                    answer = self._carried(query, reply, len(asked[1]))
                    if answer is not None:
                        self._note(query, peer, answer.rcode, began)
            if answer is None:
                answer = await self._exchange(query, asked, transport, began, (peer, reply))
        finally:
            self._running -= 1
        if self._is_simple or answer.error or not self._hands_over(answer):
            return answer
        later = await waiting(next_)(query)
        return answer if later is SKIP or later.plugin != self.name else later

    def _note(self, query: Query, peer: Peer, code: int, began: float) -> None:
        peer.figures.count_reply(code, self.site.clock() - began)
        query.note("forward/upstream", peer.format)

    def _hands_over(self, answer: Answer) -> bool:
        if answer.rcode in self._next:
            return True
        return self._has_next_on_nodata and answer.rcode == types.NOERROR and not answer.answer

    async def _exchange(
        self,
        query: Query,
        asked: Asked,
        transport: str,
        began: float,
        first: tuple[Peer | None, Reply | None],
    ) -> Answer:
        """Asks upstreams in turn until one answers, time or attempts are over.

        The first attempt was made already, if there is a reply (or an error) to begin with.
        """
        count = len(self.peers)
        deadline = began + _WINDOW_S
        left = 2 * count if self._attempts is None else self._attempts or -1
        passed = 0
        outcome = self._failed("no healthy proxies")
        reply = first[1]
        for peer in self._choice.picks(first[0]):
            try:
                if reply is None:
                    began = self.site.clock()
                    if not left or began >= deadline:
                        break
                    reply = await peer.send(asked, transport, self._read_timeout)
                found, reply = await self._repeated(query, peer, asked, transport, reply), None
            except MismatchError:
                return Answer(rcode=types.FORMERR, plugin=self.name)
            except UpstreamError as error:
                reply = None
                left -= 1
                peer.suspect()
                outcome = self._failed(str(error))
                if left < 0:  # without limit: what fails at once must not spin
                    await asyncio.sleep(_PAUSE_S)
                continue
            outcome, code = found
            self._note(query, peer, code, began)
            passed += code in self._failover
            if code not in self._failover or passed >= count:
                break
        return outcome

    async def _repeated(
        self, query: Query, peer: Peer, asked: Asked, transport: str, reply: Reply
    ) -> _Found:
        """What the upstream says in the end, with all that does not count as another attempt."""
        patience_s = self._read_timeout
        message, transport = await peer.settle(asked, transport, patience_s, reply)
        found = self._read(query, message, len(asked[1]), transport)
        if found[0].flags & types.TC and transport == UDP and self._retries_over_tcp:
            message, transport = await peer.settle(asked, TCP, patience_s)
            return self._read(query, message, len(asked[1]), transport)
        return found

    def _read(self, query: Query, reply: bytes, asked: int, transport: str) -> _Found:
        """The reply as an Answer, and the code in it."""
        carried = self._carried(query, reply, asked)
        if carried is not None:
            return carried, carried.rcode
        message = read(reply, is_datagram=transport == UDP)
        return self._answer(query, message), message.rcode

    def _carried(self, query: Query, reply: bytes, asked: int) -> Answer | None:
        """The reply as it came, where it is plain."""
        key = query.key
        cargo = screen(reply, 12 + asked, key) if key == query.question.key else None
        if cargo is None:
            return None
        flags = reply[2] << 8 | reply[3]
        kept, options = flags & _KEPT, cargo.options
        return Carried(flags & 0xF, flags=kept, options=options, plugin=self.name, cargo=cargo)

    def _answer(self, query: Query, message: Message) -> Answer:
        """The reply as an Answer; its EDNS options stay, those of the asker never reach here."""
        code = message.rcode
        if code > 15 and not query.question.has_opt:
            return self._failed(f"extended code {types.rcode_name(code)} in reply without EDNS")
        return Answer(
            code,
            folded(message.answer, query.question.name, query.key),
            folded(message.authority, query.question.name, query.key),
            message.additional,
            message.flags & _KEPT,
            options=message.options,
            plugin=self.name,
        )

    def _failed(self, why: str) -> Answer:
        return Answer(rcode=types.SERVFAIL, plugin=self.name, error=why)


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
    words = list(line.values[1:])
    recurses, domain = True, names.ROOT
    while words:
        word = words.pop(0)
        if word == "no_rec":
            recurses = False
        elif word == "domain" and words:
            try:
                domain = names.parse_key(words.pop(0))
            except ValueError as error:
                raise line.fail(f"forward health_check: {error}") from error
        else:
            why = "expected no_rec or domain NAME"
            raise line.fail(f"forward health_check: {why}, found {word!r}")
    return Probing(line.values[0], most, recurses, domain)


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
    for option in ("tls", "tls_servername", "doh_method"):
        for line in settings.all(option):
            raise line.fail(f"forward: {option} is not implemented yet", "remove it")
    for place in places:
        if place.scheme != "dns":
            raise settings.fail(
                f"forward: {place.scheme}:// is not implemented yet", "use dns:// upstreams"
            )
