"""Chooses the server block for a name: the longest zone on this listener that holds it.

DS is answered by the parent, so its search goes on past the first match (facts C.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdns.plugins.base import DROP, SKIP, Observer, Plugin, Query, Result, Soon, waiting
from kdns.wire import types
from kdns.wire.message import Answer
from kdns.wire.names import ROOT, Key

NO_NEXT = Answer(rcode=types.SERVFAIL, error="no next plugin found")
REFUSED = Answer(rcode=types.REFUSED)


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

    def __post_init__(self) -> None:
        told = [one for one in self.observers if one.wants_all]
        object.__setattr__(self, "each", tuple(one for one in told if one.wants_each))
        object.__setattr__(self, "summing", tuple(one for one in told if not one.wants_each))
        is_tallied = bool(told) and not any(one.wants_each or one.wants_callers for one in told)
        object.__setattr__(self, "is_tallied", is_tallied)

    def takes(self, cls: int) -> bool:
        """True when questions of a class other than IN go to the chain."""
        return self.classes is None or cls in self.classes


def _refuse(_query: Query) -> Result:
    return REFUSED


class Router:
    """The server blocks of one listener, by zone."""

    def __init__(
        self, blocks: Mapping[bytes, Block], *, recurses: bool, strays: tuple[Observer, ...] = ()
    ) -> None:
        self.blocks = blocks
        self.underway = 0
        """Queries that these blocks have not answered yet."""
        self.stray = Block(Key(b""), _refuse, (), strays)
        """Where observers are told of questions that no block took."""
        self.recurses = recurses
        """True when a block forwards the root: this listener can recurse."""
        self.only = blocks.get(ROOT) if len(blocks) == 1 else None
        """The one block of a listener that serves the root alone: the usual Corefile."""
        self.is_observed = bool(strays) or any(
            observer.wants_all for block in blocks.values() for observer in block.observers
        )
        """Somebody is to be told of every answer that was not in the table."""
        self.wants_each = any(block.each for block in blocks.values())
        """Somebody is to be told of every answer, one by one."""
        self.wants_callers = any(
            one.wants_callers for block in blocks.values() for one in block.summing
        )
        """Somebody lists clients."""

    def choose(self, key: Key, type_: int) -> Block | None:
        """The block that answers a name, None when no zone holds it."""
        if type_ == types.DS:
            return self._parent(key)
        blocks = self.blocks
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
            block = self.blocks.get(suffix)
            if block is not None and not (suffix == ROOT and found is not None):
                found = block
            size = key[at]
            if not size:
                return found
            at += size + 1

    async def route(self, query: Query) -> Answer | None:
        """Answers a query the server asks itself; None when it was dropped."""
        block = self.only or self.choose(query.key, query.type)
        if block is None or not block.has_handlers:
            return REFUSED
        query.zone = block.zone
        answer = await waiting(block.chain)(query)
        if answer is SKIP:
            return NO_NEXT
        return None if answer is DROP else answer
