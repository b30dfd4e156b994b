"""Ingresses, played: one HTTP/1.1 front on a load balancer address, for all of them.

Each ingress is given that address in its status. Which services its hosts and paths lead to is
`routes`; how one request is carried is `exchange`.
"""

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from kdns.lab.errors import ApiError, Obj
from kdns.lab.history import Event
from kdns.lab.proxy import messages
from kdns.lab.proxy.board import Board, log
from kdns.lab.proxy.exchange import Exchange
from kdns.lab.proxy.routes import Backend, Routes, endpoints_at
from kdns.lab.proxy.slices import Endpoint
from kdns.lab.resources import INGRESSES
from kdns.lab.storage import Storage
from kdns.observe import streams

if TYPE_CHECKING:
    from kdns.lab.ground.base import Listener

PORT = 80
HEAD_S = 30.0
"""For the whole of a head once it has begun, and between two requests."""


class IngressFront:
    """The front and what it routes by."""

    def __init__(self, board: Board, storage: Storage) -> None:
        self._board = board
        self._storage = storage
        self._ingresses: dict[tuple[str, str], Obj] = {}
        self._routes: Routes | None = None
        self._listener: Listener | None = None
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble = ""

    @property
    def address(self) -> str:
        """The last host of the range: load balancers of services are counted from the first."""
        return str(self._board.dial.ground.ranges.outside[-2])

    def change(self, event: Event) -> None:
        """An ingress is new, changed or gone."""
        metadata = event.object["metadata"]
        key = metadata["namespace"], metadata["name"]
        if event.type == "DELETED":
            self._ingresses.pop(key, None)
        else:
            self._ingresses[key] = event.object
            self._give_address(event.object)
        self._routes = None
        self.settle()

    def clear(self) -> None:
        """Forgets all ingresses."""
        self._ingresses.clear()
        self._routes = None

    def find(self, host: str, path: str) -> Backend | None:
        """Where a request goes."""
        self._board.catch_up(None)
        if self._routes is None:
            self._routes = Routes(self._ingresses.values())
        return self._routes.find(host, path)

    def endpoints(self, backend: Backend, client: str) -> list[Endpoint]:
        """The endpoints of a backend, in the order to try."""
        table = self._board.table
        service = table.services.get(backend.service)
        found = endpoints_at(backend, service, table.slices_of(backend.service))
        turns = self._board.turns(backend.service, str(backend.port), "HTTP")
        return turns.order(found, client, 0, 0.0)

    def settle(self) -> None:
        """Listens while there is an ingress."""
        if self._opening:
            return
        if self._ingresses and self._listener is None:
            self._listen()
        elif not self._ingresses and self._listener is not None:
            self._close()

    async def end(self) -> None:
        """Closes all."""
        if self._opening:
            await self._opening
        self._close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Private

    def _give_address(self, ingress: Obj) -> None:
        status = ingress.get("status") or {}
        points = (status.get("loadBalancer") or {}).get("ingress") or []
        if [point.get("ip") for point in points] == [self.address]:
            return
        metadata = ingress["metadata"]
        given = {**status, "loadBalancer": {"ingress": [{"ip": self.address}]}}
        new = {**ingress, "metadata": {**metadata}, "status": given}
        new["metadata"].pop("resourceVersion", None)
        with suppress(ApiError):  # it has gone already
            space, name = metadata["namespace"], metadata["name"]
            self._storage.update(INGRESSES, space, name, new, part="status")

    def _listen(self) -> None:
        try:
            self._listener = self._board.dial.ground.listen(self.address, PORT, "TCP")
            copy = self._listener.socket.dup()  # asyncio closes what it is given by itself
        except OSError as error:
            self._close()
            if self._trouble != str(error):
                words = "ingress: nothing listens on %s:%d: %s"
                log.warning(words, self.address, PORT, error.strerror or error)
            self._trouble = str(error)
            return
        self._trouble = ""
        self._opening = asyncio.ensure_future(self._serve(copy))

    async def _serve(self, copy: socket.socket) -> None:
        limit = messages.HEAD_BYTES
        self._server = await asyncio.start_server(self._accept, sock=copy, limit=limit)
        self._opening = None
        self.settle()  # the last ingress may have gone meanwhile

    def _close(self) -> None:
        if self._server:
            self._server.close()
        if self._listener:
            self._board.dial.ground.listeners.close(self._listener)
        self._server = self._listener = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        peer = writer.get_extra_info("peername")
        client = peer[0] if peer else ""
        if task is None or not self._board.connections.take(client):
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            await self._converse(client, reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            # The client has gone or is too slow, or the lab ends: asyncio would print a traceback.
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            self._board.connections.leave(client)
            streams.close(writer)

    async def _converse(
        self, client: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        exchange = Exchange(self._board, reader, writer, client)
        while True:
            try:
                async with asyncio.timeout(HEAD_S):
                    read = await messages.read_head(reader)
                if read is None:
                    return
                again = await exchange.carry(messages.request(*read), self.find, self.endpoints)
            except messages.MessageError as error:
                await exchange.refuse(error.status, str(error))
                return
            if not again:
                return
