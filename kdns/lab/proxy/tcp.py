"""One TCP place: connections are accepted, an endpoint is chosen for each, bytes pass both ways.

An endpoint that does not take the connection is followed by the next; when all have failed the
client is reset, as one is whose service lost its last endpoint. What a policy forbids, or a rule
for one node cannot serve, is held without a word, as if its packets were dropped.
"""

import asyncio
import socket
from contextlib import suppress
from functools import partial

from kdns.lab.ground.base import Listener
from kdns.lab.ground.splice import reset, splice
from kdns.lab.proxy.board import Board, log
from kdns.lab.proxy.rules import Rule
from kdns.lab.proxy.slices import Endpoint

HOLD_S = 130.0
"""As long as Linux tries to connect to what drops its packets."""
TRIES_S = 12.0
PIECE = 65536
_AT_ONCE = 64
_PAUSE_S = 0.2


class TcpFront:
    """A listener and its connections."""

    def __init__(self, board: Board, rule: Rule, listener: Listener) -> None:
        self._board = board
        self._place = rule.place
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[None], socket.socket] = {}
        self._is_closed = False
        self._loop.add_reader(listener.socket.fileno(), self._accept)

    def update(self, rule: Rule) -> None:
        """The rule has changed: it is looked at for each new connection."""

    def close(self) -> None:
        """Listens no more; connections that are under way go on, those that wait are reset."""
        self._is_closed = True
        self._loop.remove_reader(self._listener.socket.fileno())
        self._board.dial.ground.listeners.close(self._listener)

    @property
    def is_busy(self) -> bool:
        """True while it has connections."""
        return bool(self._tasks)

    async def end(self) -> None:
        """Ends the connections, too."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listener.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue
            except OSError as error:
                self._pause(error)
                return
            connection.setblocking(False)
            self._take(connection, address[0])
            if self._is_closed:
                return

    def _pause(self, error: OSError) -> None:
        """Too many open files: what waits stays in the kernel for a moment."""
        why = f"{_words(self._place)} cannot accept a connection: {reason(error)}"
        self._board.connections.complain(why)
        self._loop.remove_reader(self._listener.socket.fileno())
        self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listener.socket.fileno(), self._accept)

    def _take(self, connection: socket.socket, client: str) -> None:
        rule = self._board.rule_at(self._place)
        if rule is None or not rule.members or not self._board.connections.take(client):
            reset(connection)
            return
        self._board.connections_of[rule.service] += 1
        task = self._loop.create_task(self._carry(rule, connection, client))
        self._tasks[task] = connection
        task.add_done_callback(partial(self._gone, client))

    def _gone(self, client: str, task: "asyncio.Task[None]") -> None:
        reset(self._tasks.pop(task))  # if it is open still, for whatever reason
        self._board.connections.leave(client)
        if not task.cancelled() and (error := task.exception()):
            log.error("kube-proxy: %s: a connection failed: %r", _words(self._place), error)

    async def _carry(self, rule: Rule, connection: socket.socket, client: str) -> None:
        """One connection, from its beginning to its end."""
        order = self._board.order(rule, client)
        if not order or not self._board.allows(client, order[0], "TCP"):
            await self._hold(connection, client)
            return
        other = await self._connect(rule, order, client)
        if other is None:
            return
        await splice(connection, other)

    async def _connect(
        self, rule: Rule, order: list[Endpoint], client: str
    ) -> socket.socket | None:
        """A connection to the first endpoint that takes it and is still one."""
        board, why = self._board, ""
        end = self._loop.time() + TRIES_S
        for nth, endpoint in enumerate(order):
            if self._loop.time() > end:
                break
            if nth:
                now = board.rule_at(self._place)
                if now is None or endpoint.place not in {
                    one.place for one in board.candidates(now, client)
                }:
                    continue
                if not board.allows(client, endpoint, "TCP"):
                    continue
            try:
                made = await board.dial.connect(endpoint, client)
            except (OSError, TimeoutError) as error:
                why = f"{endpoint.address}:{endpoint.port}: {reason(error)}"
                continue
            board.keep(rule, client, endpoint)
            return made
        board.failures_of[rule.service] += 1
        count = board.failures_of[rule.service]
        if not count & (count - 1):
            words = "kube-proxy: %s: no endpoint of %s takes a connection (%s)"
            log.warning(words, _words(self._place), rule.service, why)
        return None

    async def _hold(self, connection: socket.socket, client: str) -> None:
        """Takes what comes and says nothing, until the client gives up."""
        if not self._board.held.take(client):
            return
        try:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(HOLD_S):
                    await _drain(connection)
        finally:
            self._board.held.leave(client)


async def _drain(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(connection, PIECE):
        pass


def reason(error: BaseException) -> str:
    """A failure in a few words."""
    if isinstance(error, TimeoutError) and not getattr(error, "errno", None):
        return "no answer"
    return (getattr(error, "strerror", "") or str(error)).lower()


def _words(place: tuple[str, int, str]) -> str:
    return f"{place[0]}:{place[1]}"
