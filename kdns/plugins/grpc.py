"""Passes queries on to servers that speak DNS over gRPC, as CoreDNS's `grpc://` does.

A Filter for the sake of `fallthrough`, and because what is not answered may still be somebody's
further in. What comes back is for this once; `cache` makes it worth remembering.
"""

import asyncio
from collections.abc import Coroutine
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from kdns.client.choice import POLICIES, Choice
from kdns.client.dialers import grpc_dialer
from kdns.client.exchange import Exchange, Manner
from kdns.client.figures import GrpcFigures
from kdns.client.line import UpstreamError, address_text
from kdns.client.packets import asking
from kdns.client.peer import Peer, Probing
from kdns.client.resolve import locate
from kdns.client.secured import Secured
from kdns.client.security import Credentials
from kdns.client.targets import Place, Target, parse_grpc_target
from kdns.client.upstream import Keeping
from kdns.corefile.options import Settings, Shape, Syntax, choice, text, zone, zones
from kdns.plugins.base import (
    Filter,
    Next,
    Query,
    Result,
    Site,
    fallthrough,
    zone_of,
)
from kdns.wire import names, types
from kdns.wire.message import Answer

_MOST_TARGETS = 15
_KEPT_S = 60.0
"""How long an idle connection is kept: they are dear and few."""


class Grpc(Filter):
    """`grpc FROM TO… { … }`."""

    name: ClassVar[str] = "grpc"
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(words=(zone, parse_grpc_target), rest=parse_grpc_target),
        options={
            "except": Shape(rest=zones, at_least=1, repeats=True),
            "tls": Shape(maybe=(text, text, text)),
            "tls_servername": Shape((text,), is_loose=True),
            "policy": Shape((choice(*POLICIES),), is_loose=True),
            "fallthrough": Shape(rest=zones),
        },
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.zone: names.Key = settings.args[0]
        self._places: tuple[Target | Place, ...] = settings.args[1:]
        self._except = tuple(chain.from_iterable(settings.values("except")))
        self._through = fallthrough(settings)
        self._credentials = _credentials(settings, site)
        if len(self._places) > _MOST_TARGETS:
            raise settings.fail(f"grpc: {len(self._places)} upstreams, at most 15 are allowed")
        self._manner = Manner(self.name, site.clock)
        self.peers: list[Peer] = []
        """The upstreams; known from start on."""
        self._choice = self._among([])
        self._started = asyncio.Event()

    def look(self) -> None:
        """Reads the certificates; what is no address must be a file."""
        for place in self._places:
            if isinstance(place, Place) and not Path(place.text).is_file():
                raise self.settings.fail(f"grpc: {place.text} is neither an address nor a file")
        if self._credentials is None:
            return
        try:
            self._credentials.context()
        except (OSError, ValueError) as error:
            line = self.settings.all("tls")[-1]
            raise line.fail(f"grpc tls: cannot use the certificates: {error}") from error

    async def start(self) -> None:
        """Reads resolv.conf files and certificates."""
        await asyncio.to_thread(self.look)
        found: list[Target] = []
        for place in self._places:
            found += [place] if isinstance(place, Target) else await self._locate(place)
        if not 0 < len(found) <= _MOST_TARGETS:
            raise self.settings.fail(f"grpc: {len(found)} upstreams, 1 to 15 are allowed")
        self.peers = [await self._peer(target) for target in found]
        self._choice = self._among(self.peers)
        self._started.set()

    def _among(self, peers: list[Peer]) -> Choice:
        policy = self.settings.get("policy", "random")
        return Choice(
            peers, policy, self.site.chance, fails_fast=False, when_all_are_down=lambda: None
        )

    async def _locate(self, place: Place) -> list[Target]:
        try:
            return await locate(place, (), {})
        except (OSError, UnicodeError, UpstreamError) as error:
            raise self.settings.fail(f"grpc: cannot read {place.text}: {error}") from error

    async def _peer(self, target: Target) -> Peer:
        figures = GrpcFigures(self.site.counters, address_text((target.host, target.port)))
        dial = await asyncio.to_thread(grpc_dialer, target, self._credentials)
        upstream = Secured(target, dial, Keeping(_KEPT_S), figures.count_line)
        return Peer(upstream, Probing(), figures)

    def tasks(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """The health checks."""
        return (self._watch(),)

    async def _watch(self) -> None:
        await self._started.wait()
        await asyncio.gather(*(peer.watch() for peer in self.peers))

    async def stop(self) -> None:
        """Closes the connections."""
        for peer in self.peers:
            peer.upstream.close()

    async def around(self, query: Query, next_: Next) -> Result:
        """The upstreams' answer, or the next plugin's where it falls through."""
        key = query.key
        is_excepted = self._except and zone_of(key, self._except) is not None
        if is_excepted or not names.is_below(key, self.zone):
            return await next_(query)
        query.forget()
        answer = await self._asked(query)
        is_missed = answer.error or answer.rcode == types.NXDOMAIN
        if is_missed and zone_of(key, self._through) is not None:
            return await next_(query)
        return answer

    async def _asked(self, query: Query) -> Answer:
        asked = query.question
        name = asked.name if query.key == asked.key else query.key
        opt = (asked.size, asked.do, asked.options) if asked.has_opt else None
        packet = asking(name, query.type, query.cls, asked.flags & ~types.QR, opt)
        exchange = Exchange(
            self._manner,
            self._choice,
            asked,
            (query.key, query.type),
            packet,
            packet[1],
            b"",
            "",
            self.site.clock(),
        )
        answer = await exchange.run(None, None)
        if exchange.peer is not None:
            query.note("grpc/upstream", exchange.peer.format)
        return answer


def _credentials(settings: Settings, site: Site) -> Credentials | None:
    """None for a connection in the clear: without the option `tls`."""
    if not settings.has("tls"):
        return None
    words = settings.all("tls")[-1].values
    return Credentials.of(words, site.root, settings.get("tls_servername", ""))
