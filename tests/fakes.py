"""Stand-ins for tests: a Site, a chain of real plugins asked without a socket, a settable clock."""

from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random

import dns.message

from kdns.corefile.options import check
from kdns.corefile.parser import parse
from kdns.observe.counters import Counters
from kdns.plugins.base import (
    SKIP,
    Client,
    Ledger,
    Plugin,
    Query,
    Result,
    Site,
    Stamps,
    waiting,
    zone_of,
)
from kdns.server.assembly import Assembly
from kdns.server.chain import join
from kdns.server.crew import Crew, Runners
from kdns.wire import names, records, types
from kdns.wire.encode import encode
from kdns.wire.message import Answer, Question


class Clock:
    """Time that stands until a test moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def site(**changes: object) -> Site:
    clock = Clock()
    plain = Site(
        zones=(names.ROOT,),
        label="dns://:53",
        stamps=Stamps(),
        counters=Counters(),
        chance=Random(1),
        clock=clock,
        wall=clock,
        root="",
        listen=(("127.0.0.1", 53),),
        shared={},
    )
    return replace(plain, **changes)


def client(address: str = "127.0.0.1", transport: str = "udp", port: int = 40000) -> Client:
    return Client(records.address(address), port, transport, b"\x7f\0\0\1", 53)


def question(name: str, type_: str = "A", *, flags: int = types.RD, **changes: object) -> Question:
    wire = names.parse(name)
    return Question(1, flags, wire, names.fold(wire), types.parse_type(type_), **changes)


def padded(packet: bytes, padding: bytes) -> bytes:
    """A packet without EDNS, now with an OPT that holds this padding."""
    sizes = [size.to_bytes(2, "big") for size in (len(padding) + 4, len(padding))]
    opt = b"\0\0\x29\4\xd0\0\0\0\0" + sizes[0] + b"\0\x0c" + sizes[1] + padding
    return packet[:11] + b"\1" + packet[12:] + opt


@dataclass
class Chain:
    """One server block without sockets; the query of the last ask and its ledger are kept."""

    plugins: list[Plugin]
    site: Site
    ledger: Ledger = field(init=False)
    query: Query = field(init=False)

    async def ask(
        self, name: str, type_: str = "A", who: Client | None = None, **q: object
    ) -> Result:
        asked = question(name, type_, **q)
        self.ledger = Ledger(self.site.stamps, self.route)
        query = Query.of(asked, who or client(), self.site.clock(), self.ledger)
        query.zone = zone_of(query.key, self.site.zones) or names.ROOT
        self.query = query
        return await waiting(join(self.plugins))(query)

    async def route(self, query: Query) -> Answer | None:
        answer = await waiting(join(self.plugins))(query)
        return Answer(rcode=types.REFUSED) if answer is SKIP else answer

    async def dig(self, name: str, type_: str = "A", who: Client | None = None, **q: object):
        """The reply as dnspython reads it."""
        answer = await self.ask(name, type_, who, **q)
        assert isinstance(answer, Answer), answer
        wire = encode(
            question(name, type_, **q),
            answer,
            types.QR | types.RD | answer.flags,
            now=self.site.clock(),
        )
        return dns.message.from_wire(wire.wire)


def plugins(text: str, where: Site, *kinds: type[Plugin]) -> list[Plugin]:
    """The plugins of the directives in `text` (the inside of a server block), in file order."""
    known = {kind.name: kind for kind in kinds}
    block = parse(f".:53 {{\n{text}\n}}\n", "Corefile", environ={}, read=_no_file, glob=_no_glob)[0]
    return [
        known[d.name.text](check(d, known[d.name.text].syntax), where) for d in block.directives
    ]


def chain(text: str, *kinds: type[Plugin], **changes: object) -> Chain:
    """A Chain of these directives, in the order they stand in `text`."""
    where = site(**changes)
    return Chain(plugins(text, where, *kinds), where)


@asynccontextmanager
async def at_work(
    plugins: list[Plugin], shared: Mapping[Hashable, object]
) -> AsyncIterator[list[BaseException]]:
    """Plugins and what they share, run as the server runs them; gives what failed so far."""
    failures: list[BaseException] = []
    runners = Runners(failures.append)
    crew = Crew(Assembly(plugins=plugins, shared=shared), runners, failures.append)
    try:
        await crew.start()
        yield failures
    finally:
        await crew.stop()
        await runners.keep({})


def _no_file(path: str) -> str:
    raise FileNotFoundError(path)


def _no_glob(pattern: str) -> list[str]:
    return []
