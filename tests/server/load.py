"""Clients that ask without pause and count: every question has a name and an ID of its own.

A question over UDP is lost when its one packet is not answered. One over TCP is lost when it is
not answered on its connection nor on one more (RFC 7766 §6.2.4: servers may close idle ones).
"""

import asyncio
import itertools
import secrets
import socket
from collections import Counter
from dataclasses import dataclass, field

from kdns.wire import names

WAIT_S = 20.0
KINDS = ("hot", "u{}", "s{}.slow")
"""A name everybody asks, one that is asked once, one that is forwarded to a slow upstream."""


def packet(name: str) -> bytes:
    return secrets.token_bytes(2) + b"\1\0\0\1" + bytes(6) + names.parse(name) + b"\0\1\0\1"


@dataclass
class Load:
    """Asks a server on 127.0.0.1 for names below `example` until `end` is called."""

    port: int
    allowed: list[frozenset[int]]
    """What may be answered, over time; the last one holds now."""
    asked: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    reconnects: int = 0
    pace_s: float = 0.0

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task[None]] = []
        self._ends = False

    def start(self, *, udp: int, tcp: int) -> None:
        """Begins, with so many clients at once."""
        self._tasks = [asyncio.create_task(self._udp()) for _ in range(udp)]
        self._tasks += [asyncio.create_task(self._tcp()) for _ in range(tcp)]

    async def end(self) -> None:
        """Lets every client finish what it asked."""
        self._ends = True
        await asyncio.gather(*self._tasks)

    def _name(self) -> str:
        number = next(self._numbers)
        return KINDS[number % len(KINDS)].format(number) + ".example"

    async def _udp(self) -> None:
        """A new source port now and then: shared ports are given out by it."""
        while not self._ends:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect(("127.0.0.1", self.port))
                for _ in range(7):
                    await self._ask(sock)
                    await asyncio.sleep(self.pace_s)

    async def _ask(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        name, since = self._name(), len(self.allowed)
        sent = packet(name)
        self.asked += 1
        try:
            await loop.sock_sendall(sock, sent)
            async with asyncio.timeout(WAIT_S):
                self._judge(name, sent, await loop.sock_recv(sock, 4096), since)
        except OSError as error:
            self.lost.append(f"udp {name}: {error!r}")

    async def _tcp(self) -> None:
        while not self._ends:
            batch: dict[bytes, tuple[str, bytes]] = {}
            while len(batch) < 4:
                name = self._name()
                sent = packet(name)
                batch[sent[:2]] = (name, sent)
            self.asked += len(batch)
            for attempt in range(2):
                await self._exchange(batch)
                if not batch:
                    break
                self.reconnects += attempt == 0
            self.lost += [f"tcp {name}" for name, _ in batch.values()]
            await asyncio.sleep(self.pace_s)

    async def _exchange(self, batch: dict[bytes, tuple[str, bytes]]) -> None:
        """One connection; what was answered leaves the batch."""
        since = len(self.allowed)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return
        try:
            async with asyncio.timeout(WAIT_S):
                for _, sent in list(batch.values()):
                    writer.write(len(sent).to_bytes(2, "big") + sent)
                    await asyncio.sleep(0)
                while batch:
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    reply = await reader.readexactly(size)
                    name, sent = batch.pop(reply[:2])
                    self._judge(name, sent, reply, since)
        except (OSError, EOFError, RuntimeError):
            pass  # closed; RuntimeError is how uvloop says that a write comes too late
        finally:
            writer.close()

    def _judge(self, name: str, sent: bytes, reply: bytes, since: int) -> None:
        said = reply[-1] if reply[3] & 15 == 0 else -1
        may = frozenset().union(*self.allowed[since - 1 :])
        self.answers[said] += 1
        if (
            reply[:2] != sent[:2]
            or reply[12 : len(sent)] != sent[12:]
            or (said not in (may if ".slow." not in name else {99}))
        ):
            self.wrong.append(f"{name}: {said}, not one of {set(may)}")
