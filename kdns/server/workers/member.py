"""One worker as the supervisor knows it: its process, the channel to it, what it said last."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable
from itertools import count
from typing import Final

from kdns.server.workers.channel import Channel
from kdns.server.workers.command import command
from kdns.server.workers.messages import (
    Ask,
    Begin,
    Call,
    Feed,
    Numbers,
    Open,
    Reply,
    Setup,
    Standing,
    ToSupervisor,
    ToWorker,
    pack,
    to_supervisor,
)

ANSWER_S: Final = 70.0
"""What a worker may take for a request: a profile takes a minute."""
NUMBERS_S: Final = 2.0
"""What it may take for its numbers before the last ones are good enough."""

Hear = Callable[["Member", ToSupervisor], None]


class Member:
    """A worker that was started."""

    def __init__(
        self, number: int, setup: Setup, now: float, hear: Hear, *, inherits: bool = False
    ) -> None:
        self.number = number
        self.began_at = now
        self.standing = Standing(is_serving=False, is_ready=False)
        self.is_leaving = False
        """It was told to stop."""
        self.is_outdated = False
        """It began with a Corefile that is not served any more."""
        self.numbers = Numbers(0, [], [])
        self._hear = hear
        self._ids = count(1)
        self._asked: dict[int, asyncio.Future[Reply | Numbers]] = {}
        self._permitted: Open | None = None
        ours, its = socket.socketpair()
        with its:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
                # The number is for whoever looks at the list of processes.
                command("worker", its.fileno(), str(number + 1)),
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
        self.channel = Channel(ours, self._take, lambda: None)
        self.say(Begin(number, setup, inherits=inherits))

    def say(self, message: ToWorker) -> None:
        """Sends a message."""
        self.channel.send(pack(message))

    def feed(self, sock: socket.socket, *, gives: bool) -> None:
        """Hands it one end of a way to another worker."""
        self.channel.send(pack(Feed(gives)), os.dup(sock.fileno()))

    def permit(self, message: Open) -> None:
        """Lets it open its sockets, as soon as it has what the message asks for."""
        if message != self._permitted:
            self._permitted = message
            self.say(message)

    async def call(
        self, address: tuple[str, int], path: str, query: dict[str, str]
    ) -> Reply | None:
        """Its reply to an HTTP request, None when it ended or did not answer."""
        id_ = next(self._ids)
        found = await self._answer(Call(id_, address, path, query), id_, ANSWER_S)
        return found if isinstance(found, Reply) else None

    async def count(self) -> Numbers:
        """What it has counted, as of now if it answers."""
        id_ = next(self._ids)
        await self._answer(Ask(id_), id_, NUMBERS_S)
        return self.numbers

    async def _answer(self, message: ToWorker, id_: int, limit_s: float) -> Reply | Numbers | None:
        asked: asyncio.Future[Reply | Numbers] = asyncio.get_running_loop().create_future()
        self._asked[id_] = asked
        self.say(message)
        try:
            async with asyncio.timeout(limit_s):
                return await asked
        except (TimeoutError, EOFError):
            return None
        finally:
            self._asked.pop(id_, None)

    def end(self) -> None:
        """Takes what it said before it ended."""
        self.channel.read_on()
        self.channel.close()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(EOFError())

    def _take(self, octets: bytes) -> None:
        message = to_supervisor(octets)
        if isinstance(message, Standing):
            self.standing = message
        if isinstance(message, Numbers):
            self.numbers = message
        if isinstance(message, Numbers | Reply):
            asked = self._asked.get(message.id)
            if asked is not None and not asked.done():
                asked.set_result(message)
        else:
            self._hear(self, message)
