"""A master that a test scripts: it gives zones over TCP, and their serial over UDP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

from kdns.keeping.pour import whole
from kdns.wire import names, types
from kdns.wire.encode import encode
from kdns.wire.message import Answer
from kdns.wire.parse import parse as read
from kdns.wire.scan import scan
from kdns.zone.files.parse import parse
from kdns.zone.files.zone import Zone, compiled

APEX = names.parse_key("example")
TEXT = """$ORIGIN example.
$TTL 60
@ SOA ns host {serial} {timers} 60
@ NS ns
ns A 192.0.2.1
www A 192.0.2.{serial}
"""


def zone(serial: int = 1, extra: str = "", timers: str = "7200 900 86400") -> Zone:
    text = TEXT.format(serial=serial, timers=timers) + extra
    return compiled(APEX, parse("db", APEX, lambda _: text))


class Source:
    """A zone as `pour` wants it."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone

    def records(self, _) -> Iterator:
        return self.zone.rrsets()


class Master:
    """Gives what `messages` makes; counts who asked for what."""

    def __init__(self, present: Zone) -> None:
        self.present = present
        self.asked: list[int] = []
        self.is_away = False
        self.port = 0
        self.messages: Callable[[int], Iterator[Answer]] = lambda _: whole(
            Source(self.present), APEX, "test"
        )

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            size = int.from_bytes(await reader.readexactly(2), "big")
            packet = await reader.readexactly(size)
            self.asked.append(scan(packet).type)
            if not self.is_away:
                for answer in self.messages(_serial(packet)):
                    wire = encode(scan(packet), answer, types.QR | types.AA).wire
                    writer.write(len(wire).to_bytes(2, "big") + wire)
                    await writer.drain()  # what is sent may have no end
        writer.close()

    def say(self, packet: bytes) -> bytes | None:
        self.asked.append(types.SOA)
        if self.is_away:
            return None
        answer = Answer(answer=(self.present.soa,))
        return encode(scan(packet), answer, types.QR | types.AA).wire


def _serial(packet: bytes) -> int:
    soas = [one for one in read(packet).authority if one.type == types.SOA]
    return int.from_bytes(soas[0].rdatas[0][-20:-16], "big") if soas else 0


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, master: Master) -> None:
        self.master = master

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, packet: bytes, peer) -> None:
        reply = self.master.say(packet)
        if reply is not None:
            self.transport.sendto(reply, peer)


@asynccontextmanager
async def serving(present: Zone) -> AsyncIterator[Master]:
    master = Master(present)
    server = await asyncio.start_server(master.serve, "127.0.0.1", 0)
    master.port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(master), local_addr=("127.0.0.1", master.port)
    )
    try:
        yield master
    finally:
        transport.close()
        server.close()
        await server.wait_closed()


async def until(is_so: Callable[[], object]) -> None:
    """Waits, however long others have the machine."""
    async with asyncio.timeout(40):
        while not is_so():
            await asyncio.sleep(0.01)
