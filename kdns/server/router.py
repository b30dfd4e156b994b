"""Chooses the server block for a query: that of the longest zone on this listener that holds it.

Of several blocks for a zone the first takes it whose choosers all say so (`view`); where none does,
the search goes on with shorter zones. DS is answered by the parent, so its search goes on past the
first match (facts C.1).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from kdns.plugins.base import (
    DROP,
    SIGNED,
    SKIP,
    Chooser,
    Gate,
    Observer,
    Plugin,
    Query,
    Result,
    Soon,
    waiting,
)
from kdns.server.chain import REFUSED, strange
from kdns.wire import types
from kdns.wire.message import Answer, Question
from kdns.wire.names import ROOT, Key
from kdns.wire.scan import options

P = TypeVar("P", bound=Plugin)

NO_NEXT = Answer(
    rcode=types.SERVFAIL,
    error="no next plugin found",
    ede=((types.EDE_OTHER, "nothing in the server block answers this"),),
)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A server block as it runs on one listener, for one of its zones."""

    zone: Key
    chain: Soon
    plugins: tuple[Plugin, ...]
    observers: tuple[Observer, ...]
    has_handlers: bool = True
    """False for a block without anything that could answer, filter or observe: it refuses."""
    classes: frozenset[int] | None = frozenset()
    """Classes beside IN that go to the chain; None for all of them (`forward`)."""

    each: tuple[Observer, ...] = field(init=False)
    """Those who are told of every single reply."""
    summing: tuple[Observer, ...] = field(init=False)
    """Those who are told of replies from the table as sums."""
    is_tallied: bool = field(init=False)
    """Nobody wants to know more of an answer than what can be counted."""
    labels: frozenset[str] = field(init=False)
    """Metadata that its observers read."""
    choosers: tuple[Chooser, ...] = field(init=False)
    """Those who say which queries it takes."""
    opcodes: frozenset[int] = field(init=False)
    """What it takes beside queries and notifications."""
    strange: Soon = field(init=False)
    """Its chain for questions of other classes than IN."""

    def __post_init__(self) -> None:
        told = [one for one in self.observers if one.wants_all]
        object.__setattr__(self, "each", tuple(one for one in told if one.wants_each))
        object.__setattr__(self, "summing", tuple(one for one in told if not one.wants_each))
        is_tallied = bool(told) and not any(one.wants_each or one.wants_callers for one in told)
        object.__setattr__(self, "is_tallied", is_tallied)
        labels = frozenset().union(*(one.labels for one in told))
        object.__setattr__(self, "labels", labels)
        choosers = tuple(one for one in self.plugins if isinstance(one, Chooser))
        object.__setattr__(self, "choosers", choosers)
        opcodes = frozenset().union(*(one.opcodes for one in self.plugins))
        object.__setattr__(self, "opcodes", opcodes)
        object.__setattr__(self, "strange", strange(self.plugins))

    def takes(self, cls: int) -> bool:
        """True when questions of a class other than IN go to the chain."""
        return self.classes is None or cls in self.classes

    def wants(self, query: Query) -> bool:
        """True when every chooser takes the query."""
        return all(one.takes(query) for one in self.choosers)


def _refuse(_query: Query) -> Result:
    return REFUSED


class Router:
    """The server blocks of one listener, in the order of the Corefile."""

    def __init__(
        self, blocks: Iterable[Block], *, recurses: bool, strays: tuple[Observer, ...] = ()
    ) -> None:
        self.blocks = tuple(blocks)
        self._by_zone: dict[bytes, Block] = {}
        """The first one of each zone."""
        self._zones: dict[bytes, list[Block]] = {}
        for block in self.blocks:
            self._by_zone.setdefault(block.zone, block)
            self._zones.setdefault(block.zone, []).append(block)
        self.has_views = any(block.choosers for block in self.blocks)
        """Some block takes only certain queries: `choose` is not enough, `view` is to be asked."""
        plugins = dict.fromkeys(one for block in self.blocks for one in block.plugins)
        self.gates = tuple(one for one in plugins if isinstance(one, Gate))
        self.room = sum(gate.room for gate in self.gates)
        """Octets that all gates together add to a reply."""
        self.reads: frozenset[int] = frozenset().union(*(one.reads for one in plugins))
        """EDNS options that some plugin reads."""
        self.opcodes: frozenset[int] = frozenset().union(*(one.opcodes for one in plugins))
        """What some block takes beside queries and notifications."""
        self.underway = 0
        """Queries that these blocks have not answered yet."""
        self.stray = Block(Key(b""), _refuse, (), strays)
        """Where observers are told of questions that no block took."""
        self.recurses = recurses
        """True when a block forwards the root: this listener can recurse."""
        is_plain = len(self.blocks) == 1 and not self.has_views
        self.only = self._by_zone.get(ROOT) if is_plain else None
        """The one block of a listener that serves the root alone: the usual Corefile."""
        self.is_observed = bool(strays) or any(
            observer.wants_all for block in self.blocks for observer in block.observers
        )
        """Somebody is to be told of every answer that was not in the table."""
        self.wants_each = any(block.each for block in self.blocks)
        """Somebody is to be told of every answer, one by one."""
        self.wants_callers = any(
            one.wants_callers for block in self.blocks for one in block.summing
        )
        """Somebody lists clients."""

    def first(self, kind: type[P]) -> P | None:
        """The first plugin of a kind, whichever block it stands in."""
        plugins = (one for block in self.blocks for one in block.plugins)
        return next((one for one in plugins if isinstance(one, kind)), None)

    def choose(self, key: Key, type_: int) -> Block | None:
        """The block that answers a name, None when no zone holds it."""
        if type_ == types.DS:
            return self._parent(key)
        blocks = self._by_zone
        at = 0
        while True:
            block = blocks.get(key[at:])
            if block is not None:
                return block
            size = key[at]
            if not size:
                return None
            at += size + 1

    def _parent(self, key: Key) -> Block | None:
        """For DS: the least specific zone other than the root; the root only if nothing else."""
        found: Block | None = None
        at = 0
        while True:
            suffix = key[at:]
            block = self._by_zone.get(suffix)
            if block is not None and not (suffix == ROOT and found is not None):
                found = block
            size = key[at]
            if not size:
                return found
            at += size + 1

    def view(self, query: Query) -> Block | None:
        """The block that takes a query, where blocks take only certain ones."""
        key, found, at = query.key, None, 0
        while True:
            suffix = key[at:]
            blocks = self._zones.get(suffix, ())
            if query.type == types.DS and suffix != ROOT:
                blocks = blocks[::-1]  # CoreDNS: of several blocks for the parent the last one
            block = next((one for one in blocks if one.wants(query)), None)
            if block is not None and query.type != types.DS:
                return block
            if block is not None and not (suffix == ROOT and found is not None):
                found = block
            size = key[at]
            if not size:
                return found
            at += size + 1

    def read(self, question: Question, packet: bytes) -> bytes:
        """What plugins read of a packet beside its question: equal where they may answer alike."""
        found = [row for row in options(question.options) if row[0] in self.reads]
        if SIGNED in self.reads and packet[10:12] != bytes((0, question.has_opt)):
            found.append((SIGNED, b""))
        return b"".join(b"%d:%b;" % row for row in found)

    async def route(self, query: Query) -> Answer | None:
        """Answers a query the server asks itself; None when it was dropped."""
        if self.has_views:
            block = self.view(query)
        else:
            block = self.only or self.choose(query.key, query.type)
        if block is None or not block.has_handlers:
            return REFUSED
        query.zone = block.zone
        answer = await waiting(block.chain)(query)
        if answer is SKIP:
            return NO_NEXT
        return None if answer is DROP else answer
