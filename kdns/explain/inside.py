"""A question asked inside a server instead of over the network, with the way it took there.

What a Passage says (server.tracing) becomes a Visit in words that operators read.
"""

import time
from collections.abc import Iterable
from ipaddress import ip_address

from kdns.client.search import Heard
from kdns.explain.said import NOT_ASKED, Trace, Visit
from kdns.plugins.base import DROP, SKIP, Client
from kdns.server.places import PLAIN, PROXIED, Place
from kdns.server.router import Router
from kdns.server.service import Service
from kdns.server.tracing import Passage, Passages, follow
from kdns.wire import names, types
from kdns.wire.message import Answer, WireError
from kdns.wire.scan import scan


class Inside:
    """Asks the plugins of a running server, for somebody at an address."""

    def __init__(self, service: Service, address: str, ours: Iterable[str]) -> None:
        self._service = service
        self._place, self._router = _first(service)
        self._address = ip_address(address or "127.0.0.1").packed
        self._ours = {*ours, *(host for host, _ in service.addresses)}
        """Addresses that lead to this server."""
        self.traces: dict[tuple[str, int], Trace] = {}
        """By absolute name and type."""

    async def ask(self, nameserver: tuple[str, int], packet: bytes, transport: str) -> Heard:
        """The reply, from the listener that pods are served by (client.search.Ask)."""
        if self._ours and nameserver[0] not in self._ours:
            return Heard(None, NOT_ASKED, 0.0, transport)
        client = Client(self._address, 40000, transport, b"\x7f\0\0\1", self._place.port)
        services = self._service.services
        began = time.perf_counter()
        is_stream = transport != "udp"
        reply, seen = await follow(self._router, services, packet, client, whole=is_stream)
        took_s = time.perf_counter() - began
        try:
            question = scan(packet)
        except WireError:
            return Heard(reply, "", took_s, transport)
        asked = (names.format(question.name), question.type)
        self.traces[asked] = trace(seen, self._place, services.clock())
        return Heard(reply, "" if reply else "the server drops it", took_s, transport)


def _first(service: Service) -> tuple[Place, Router]:
    """The first listener for plain DNS, else the first."""
    routers = service.assembly.routers
    plain = [place for place in routers if place.scheme in {PLAIN, PROXIED}]
    first = next(iter(plain or routers))
    return first, routers[first]


def trace(seen: Passages, place: Place, now: float) -> Trace:
    """What was seen, in words."""
    parts = seen.parts
    first = parts[0].result if parts else None
    block = f"{names.format(seen.zones[0])}:{place.port}" if seen.zones else ""
    visits = tuple(_visit(at, parts, now) for at in range(len(parts)))
    if not isinstance(first, Answer):
        return Trace(block, visits)
    return Trace(block, visits, first.plugin, first.error, first.ede)


def _visit(at: int, parts: list[Passage], now: float) -> Visit:
    part = parts[at]
    inner = parts[at + 1] if at + 1 < len(parts) and parts[at + 1].depth > part.depth else None
    has_passed = inner is not None and inner.result is part.result
    answered = "passed on" if has_passed else _answered(part)
    notes = () if has_passed else _notes(part, now)
    return Visit(
        part.plugin, part.depth, names.format(part.key), types.type_name(part.type), answered, notes
    )


def _answered(part: Passage) -> str:
    found = part.result
    if found is None:
        return "failed"
    if found is SKIP:
        return "passed on"
    if found is DROP:
        return "dropped"
    assert isinstance(found, Answer)
    code = types.rcode_name(found.rcode)
    count = sum(len(rrset.rdatas) for rrset in found.answer)
    if found.rcode or found.error:
        return code
    return f"{code}, {count} record{'' if count == 1 else 's'}" if count else f"{code}, no data"


def _notes(part: Passage, now: float) -> tuple[str, ...]:
    """What an answer says of itself."""
    found = part.result
    notes = [f"{label} {value}" for label, value in part.notes.items() if value]
    if isinstance(found, Answer):
        if found.error:
            notes.append(found.error)
        notes += [f"EDE {code} {text}".rstrip() for code, text in found.ede]
        if found.aging is not None and found.plugin == part.plugin:
            notes.append(f"kept for {max(now - found.aging[0], 0):.0f} s")
    return tuple(notes)
