"""What a reply is, and what is done to one last: cut to size, sealed, or poured out in messages.

Gates stand before the pipeline: what they turn away is answered here without it.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain
from struct import Struct
from typing import Any

from kdns.plugins.base import SILENCE, Client, Gate, Query, Seal
from kdns.wire import types
from kdns.wire.encode import WireAnswer, cut, encode, turned
from kdns.wire.message import Transfer, WireError

MAX_DATAGRAM = 65507
"""What IPv4 can carry over UDP, whatever size the asker says."""
KEPT = 0x7800 | types.RD | types.CD
"""Header bits that a reply has of its question."""
SAID = types.AA | types.TC | types.AD
"""Header bits that are the plugins' to say."""

_HEAD = Struct("!HHHHH").pack


class Flow:
    """A reply of many messages, for a stream."""

    def __init__(self, messages: Iterator[bytes]) -> None:
        self.messages = messages


Reply = bytes | Flow | None
"""None is silence. Only a pipeline of a stream says a Flow."""
Soonest = bytes | Awaitable[Reply] | None
"""A reply, or what gives one when it has been waited for."""
Ask = Callable[[bytes, Client, float], Soonest]


def admitted(gates: Sequence[Gate], ask: Ask) -> Ask:
    """Asks the gates first, and has their seals put on the reply."""

    def reply(packet: bytes, client: Client, now: float) -> Soonest:
        seals = []
        for gate in gates:
            said = gate.admit(packet, client, now)
            if said is SILENCE:
                return None
            if isinstance(said, bytes):
                return said
            if said is not None:
                seals.append(said)
        found = ask(packet, client, now)
        if not seals or found is None:
            return found
        return _sealed(found, seals) if isinstance(found, bytes) else _later(found, seals)

    return reply


async def _later(waited: Awaitable[Reply], seals: Sequence[Seal]) -> Reply:
    reply = await waited
    return _sealed(reply, seals) if isinstance(reply, bytes) else reply


def _sealed(reply: bytes, seals: Sequence[Seal]) -> bytes | None:
    """The reply as the gates want it, the first of them last; a seal may make it SILENCE."""
    for seal in reversed(seals):
        reply = seal(reply)
        if reply is SILENCE:
            return None
    return reply


def poured(query: Query, answer: Transfer) -> Iterator[bytes]:
    """The messages of a transfer, one by one."""
    finish = query.ledger.finish
    for message in answer.messages():
        flags = types.QR | query.question.flags & KEPT | message.flags & SAID
        wire = encode(query.question, message, flags, now=query.now, turn=0.0).wire
        yield finish.seal(wire) if finish is not None and finish.seal is not None else wire


def flow(messages: Iterator[bytes]) -> tuple[bytes, Flow] | None:
    """The first message, and all of them; None where there are none."""
    first: Any = next(messages, None)  # Any: see below, a None is not a message
    return None if first is None else (first, Flow(chain((first,), messages)))


def fitted(wire: WireAnswer, turn: float, limit: int) -> bytes:
    """The message with its addresses turned, cut to what the asker takes."""
    reply = wire.wire if wire.block is None else turned(wire.wire, wire.block, turn)
    return cut(reply, wire.name_end, wire.opt_at, limit) if len(reply) > limit else reply


def limited(size: int) -> int:
    """How long a datagram may be for an asker who says he takes `size`."""
    return min(max(size, 512), MAX_DATAGRAM)


def rejected(packet: bytes, error: WireError) -> bytes | None:
    """The bare header for a packet that asks nothing we can scan, or silence (facts C.1)."""
    if error.rcode is None:
        return None
    flags = types.QR | (packet[2] << 8 | packet[3]) & KEPT | error.rcode
    counts = 1 if error.question_end else 0
    return packet[:2] + _HEAD(flags, counts, 0, 0, 0) + packet[12 : error.question_end]
