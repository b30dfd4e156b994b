"""One question followed through the server: which plugins it came to, and what each made of it.

The plugins are those that serve; only the chain that joins them is another one, with somebody
standing around each. So following costs the others nothing, and what is seen is what is answered.
Observers are not told, gates are not asked: no list and nobody's share is touched. Plugins that
count for themselves (`cache`, `acl`, `forward`) count it, and `cache` keeps what it is told.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field

from kdns.plugins.base import SKIP, Client, Plugin, Query, Result, Soon
from kdns.server.assembly import Services
from kdns.server.chain import join
from kdns.server.pipeline import Pipeline
from kdns.server.router import Block, Router
from kdns.wire.message import Answer
from kdns.wire.names import Key


@dataclass(slots=True)
class Passage:
    """One plugin's part: what it was asked, and what came back from it."""

    plugin: str
    depth: int
    """How many plugins stand around it."""
    key: Key
    type: int
    result: Result | None = None
    """None while it waits, and for good where it failed."""
    notes: dict[str, str] = field(default_factory=dict)
    """What it says of how it found its answer: `forward/upstream`."""


@dataclass(slots=True)
class Passages:
    """All parts, in the order the plugins were asked."""

    zones: list[Key] = field(default_factory=list)
    """Of the server blocks that answered, the first one for the packet, others for look-ups of
    names that it led to."""
    parts: list[Passage] = field(default_factory=list)
    _open: list[Passage] = field(default_factory=list)

    def watch(self, plugin: Plugin, chain: Soon) -> Soon:
        """Notes what comes to a plugin, and what comes back (`server.chain`)."""

        def asked(query: Query) -> Result | Awaitable[Result]:
            if not self._open:
                self.zones.append(query.zone)
            query.ledger.witness = self._note
            part = Passage(plugin.name, len(self._open), query.key, query.type)
            self.parts.append(part)
            self._open.append(part)
            found = chain(query)
            if isinstance(found, Answer) or found is SKIP:
                self._left(part, found)
                return found
            return self._later(part, found)

        return asked

    async def _later(self, part: Passage, waited: Awaitable[Result]) -> Result:
        found = await waited
        self._left(part, found)
        return found

    def _left(self, part: Passage, found: Result) -> None:
        part.result = found
        if part in self._open:  # what stood behind it and failed is over, too
            del self._open[self._open.index(part) :]

    def _note(self, label: str, value: str) -> None:
        if self._open:
            self._open[-1].notes[label] = value


async def follow(
    router: Router, services: Services, packet: bytes, client: Client, *, whole: bool = False
) -> tuple[bytes | None, Passages]:
    """The reply to a packet as these blocks answer it now, and the way it took."""
    seen = Passages()
    blocks = [
        Block(
            one.zone, join(one.plugins, seen.watch), one.plugins, (), one.has_handlers, one.classes
        )
        for one in router.blocks
    ]
    followed = Router(blocks, recurses=router.recurses)
    followed.gates = ()
    pipeline = Pipeline(
        followed,
        services.stamps,
        services.counters,
        services.clock,
        services.chance,
        table=None,
        whole=whole,
    )
    return await pipeline.respond(packet, client, services.clock()), seen
