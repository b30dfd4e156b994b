"""A transfer from a master: the messages of AXFR or IXFR to records, checked as they come.

What is not a whole zone is refused (RFC 5936 §2.2, RFC 1995 §4): it begins and ends with the same
SOA, every message answers our question, and there is an end to how much a master may say.
"""

import asyncio
from collections.abc import AsyncIterator
from secrets import token_bytes

from kdns.client.line import address_text, strerror
from kdns.observe import streams
from kdns.wire import names, types
from kdns.wire.message import RRset, WireError
from kdns.wire.names import Key
from kdns.wire.parse import Message, parse
from kdns.zone.files.zone import Zone, is_newer, serial_of
from kdns.zone.transfers import Difference

CONNECT_S = 5.0
READ_S = 30.0
"""How long a master may think about a message."""
WHOLE_S = 900.0
"""How long all of a transfer may take: meanwhile no other master is asked, and nothing expires."""
LARGEST_BYTES = 1 << 27


class PullError(Exception):
    """The master gave no zone, and why."""


class Pulled:
    """What a master said: differences to what was known, or all records of another generation."""

    def __init__(self) -> None:
        self.is_current = False
        """There is nothing newer."""
        self.differences: tuple[Difference, ...] = ()
        self.rrsets: list[RRset] = []
        """All records, the SOA first and only once; empty where there are differences."""


async def pull(master: tuple[str, int], apex: Key, known: Zone | None) -> Pulled:
    """Asks a master for a zone: what changed since `known`, else all of it. Raises PullError."""
    where = address_text(master)
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(*master)
    except TimeoutError:
        raise PullError(f"{where}: no connection within {CONNECT_S:.0f} s") from None
    except OSError as error:
        raise PullError(f"{where}: {strerror(error)}") from error
    whole = asyncio.timeout(WHOLE_S)
    try:
        async with whole:
            return await _taken(reader, writer, apex, known)
    except TimeoutError:
        why = f"no end after {WHOLE_S:.0f} s" if whole.expired() else f"nothing for {READ_S:.0f} s"
        raise PullError(f"{where}: {why}") from None
    except (OSError, EOFError) as error:
        raise PullError(f"{where}: the connection ended in the middle") from error
    except (PullError, WireError) as error:
        raise PullError(f"{where}: {error}") from error
    finally:
        streams.close(writer)


async def _taken(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, apex: Key, known: Zone | None
) -> Pulled:
    query = _query(apex, known)
    writer.write(len(query).to_bytes(2, "big") + query)
    taking = _Taking(apex, known)
    async for message in _messages(reader, query):
        for rrset in message.answer:
            taking.take(rrset)
        if taking.is_whole:
            return taking.result()
    raise PullError("it ended before the closing SOA")


def _query(apex: Key, known: Zone | None) -> bytes:
    type_ = types.AXFR if known is None else types.IXFR
    counts = b"\0\1\0\0" + (b"\0\0" if known is None else b"\0\1") + b"\0\0"
    query = token_bytes(2) + b"\0\0" + counts + apex + type_.to_bytes(2, "big") + b"\0\1"
    if known is None:
        return query
    rdata = known.soa.rdatas[0]
    fixed = b"\xc0\x0c\0\x06\0\1\0\0\0\0" + len(rdata).to_bytes(2, "big")
    return query + fixed + rdata


async def _messages(reader: asyncio.StreamReader, query: bytes) -> AsyncIterator[Message]:
    size = 0
    while True:
        async with asyncio.timeout(READ_S):
            head = await reader.readexactly(2)
            reply = await reader.readexactly(int.from_bytes(head, "big"))
        size += len(reply)
        if size > LARGEST_BYTES:
            raise PullError(f"the zone has more than {LARGEST_BYTES >> 20} MiB")
        if len(reply) < 12 or reply[:2] != query[:2] or not reply[2] & 0x80:
            raise PullError("a message that is no reply to our question")
        message = parse(reply)
        if message.rcode:
            raise PullError(f"it said {types.rcode_name(message.rcode)}")
        yield message
        await asyncio.sleep(0)


class _Taking:
    """The records of a transfer, told apart as they come."""

    def __init__(self, apex: Key, known: Zone | None) -> None:
        self.apex = apex
        self.known = known
        self.is_whole = False
        self._count = 0
        self._soa: RRset | None = None
        self._style = ""
        self._parts: list[tuple[RRset, list[RRset]]] = []
        """Incremental: each SOA with the records behind it."""
        self._all: list[RRset] = []

    def take(self, rrset: RRset) -> None:
        """The next records; raises PullError where they cannot be."""
        if self.is_whole and not self._style:
            return  # nothing newer: what else a master says does not matter
        if self.is_whole:
            raise PullError("records behind the closing SOA")
        for rdata in rrset.rdatas:
            one = rrset
            if len(rrset.rdatas) > 1 and rrset.type == types.SOA:
                one = RRset(rrset.owner, rrset.type, rrset.ttl, (rdata,), rrset.cls)
            self._take(one)
            if one is rrset:
                break

    def _take(self, rrset: RRset) -> None:
        self._count += 1
        is_soa = rrset.type == types.SOA
        if is_soa and (names.fold(rrset.owner) != self.apex or len(rrset.rdatas[0]) < 22):
            raise PullError("an SOA that is not of the zone")
        if self._soa is None:
            if not is_soa:
                raise PullError("it does not begin with an SOA")
            self._soa = rrset
            self._all.append(rrset)
            serial = serial_of(rrset)
            self.is_whole = self.known is not None and not is_newer(serial, self.known.serial)
            return
        if not self._style:
            is_old = is_soa and serial_of(rrset) != serial_of(self._soa)
            self._style = "incremental" if is_old and self.known is not None else "whole"
        if self._style == "whole":
            self._take_whole(rrset, is_soa=is_soa)
        else:
            self._take_part(rrset, is_soa=is_soa)

    def _take_whole(self, rrset: RRset, *, is_soa: bool) -> None:
        assert self._soa is not None
        if not is_soa:
            self._all.append(rrset)
        elif serial_of(rrset) != serial_of(self._soa):
            raise PullError("the zone changed in the middle of its transfer")
        else:
            self.is_whole = True

    def _take_part(self, rrset: RRset, *, is_soa: bool) -> None:
        assert self._soa is not None
        if not is_soa:
            self._parts[-1][1].append(rrset)
            return
        is_last = serial_of(rrset) == serial_of(self._soa)
        if is_last and len(self._parts) % 2 == 0:
            self.is_whole = True
        else:
            self._parts.append((rrset, []))

    def result(self) -> Pulled:
        """What was said."""
        pulled = Pulled()
        pulled.is_current = self._count == 1
        if self._style == "incremental":
            pairs = zip(self._parts[::2], self._parts[1::2], strict=True)
            pulled.differences = tuple(
                Difference(old, tuple(removed), new, tuple(added))
                for (old, removed), (new, added) in pairs
            )
        else:
            pulled.rrsets = self._all
        return pulled
