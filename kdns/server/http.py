"""HTTP/1.1 for what plugins serve beside DNS: probes, metrics, profiles. GET and HEAD, no more.

Endpoints of all plugins are merged by address: one listener each. Everything a client can do has a
bound: bytes and seconds for a request, seconds idle, connections, those that follow what happens. A
reply may be large: it is written no faster than it is read. Requests take turns with the event
loop, one at a time: whoever sends thousands at once delays his own replies, not DNS.
"""

import asyncio
import logging
import ssl
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

from kdns.observe import streams
from kdns.plugins.base import Endpoint, Guard, HttpReply, Plugin
from kdns.server import guarding
from kdns.server.sockets import StartError, open_stream

MAX_HEAD_BYTES = 8192
"""Request line and headers."""
REQUEST_S = 5.0
"""A request begun must be whole by then; so must the first one of a connection."""
IDLE_S = 120.0
"""How long a connection may wait for its next request: scrapes come every minute."""
WRITE_S = 30.0
"""How long a client may take to read a reply."""
LAST_TURNS = 8
"""Of the loop, which needs some between accepting a connection and knowing of it."""
MAX_CONNECTIONS = 256
MAX_FOLLOWERS = 64
"""Connections that follow an endpoint (`Endpoint.follows_s`)."""
QUIET_S = 15.0
"""How long a follower hears nothing at most: what stands between may think him gone."""
CHUNK_BYTES = 1 << 16

_MORE: dict[int, str] = {
    HTTPStatus.METHOD_NOT_ALLOWED: "Allow: GET, HEAD\r\n",
    HTTPStatus.UNAUTHORIZED: "WWW-Authenticate: Bearer\r\n",
}
"""What a reply of some status says beside."""

Address = tuple[str, int]

log = logging.getLogger("kdns.server.http")


class BadRequest(Exception):
    """A request that is not served, and the status that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(HTTPStatus(status).phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """What matters of a request."""

    method: str
    path: str
    query: Mapping[str, str]
    keeps_alive: bool
    fields: Mapping[str, str]
    """Headers by lower-case name."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The endpoints of one address, and the directive that named it first."""

    directive: str
    routes: dict[str, Endpoint]

    @property
    def web(self) -> str:
        """The web configuration file that some endpoint has, if any."""
        return next((one.web for one in self.routes.values() if one.web), "")

    @property
    def guard(self) -> Guard | None:
        """The guard that some endpoint has, if any: it is that of the address."""
        return next((one.guard for one in self.routes.values() if one.guard), None)


def offers(plugins: Iterable[Plugin]) -> dict[Address, Offer]:
    """What plugins serve, by address. Of two with the same path the first one answers."""
    found: dict[Address, Offer] = {}
    for plugin in plugins:
        for endpoint in plugin.endpoints():
            host = "127.0.0.1" if endpoint.host == "localhost" else endpoint.host
            offer = found.setdefault((host, endpoint.port), Offer(plugin.name, {}))
            offer.routes.setdefault(endpoint.path, endpoint)
    return found


class HttpListener:
    """One listening socket, open from its making; accepts once `start` was called."""

    def __init__(self, address: Address, offer: Offer, ours: Collection[int] = ()) -> None:
        host, port = address
        try:
            self.sock = open_stream(host, port, ours)
        except StartError as error:
            raise StartError(f"{offer.directive}: {error}") from error
        self.port: int = self.sock.getsockname()[1]
        """The real one, where the Corefile says 0."""
        self.routes = offer.routes
        self._web = offer.web
        self.connections: dict[Connection, None] = {}
        self.followers = 0
        self._server: asyncio.Server | None = None
        self._turn = asyncio.Lock()

    @property
    def guard(self) -> Guard | None:
        """Who may read what is served now."""
        return Offer("", self.routes).guard

    async def turn(self) -> None:
        """Returns when it is the turn of one more request."""
        async with self._turn:
            await asyncio.sleep(0)

    async def start(self) -> None:
        """Begins to accept, the first time."""
        if self._server is not None:
            return
        context = _secured(self._web) if self._web else None
        self._server = await asyncio.start_server(
            self._accept,
            sock=self.sock,
            limit=MAX_HEAD_BYTES,
            ssl=context,
            ssl_handshake_timeout=REQUEST_S if context else None,
        )

    async def stop(self, grace_s: float) -> None:
        """Stops accepting, finishes the replies under way, closes every connection."""
        if self._server is None:
            self.sock.close()
            return
        for sock in self._server.sockets:  # what asyncio accepts of a server that closes is lost
            asyncio.get_running_loop().remove_reader(sock.fileno())
        for _ in range(LAST_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        for _ in range(LAST_TURNS):  # uvloop has accepted all the while
            await asyncio.sleep(0)
        for connection in list(self.connections):
            connection.close()
        tasks = [one.task for one in self.connections]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.connections) >= MAX_CONNECTIONS:
            min(self.connections, key=lambda one: one.is_busy).abort()  # the oldest of the idle
        connection = Connection(self, reader, writer)
        self.connections[connection] = None
        try:
            await connection.run()
        except (OSError, EOFError, TimeoutError, RuntimeError, asyncio.CancelledError):
            # Gone, too slow, or told to go; RuntimeError is how uvloop says that it is closed.
            writer.transport.abort()
        finally:
            self.connections.pop(connection, None)
            streams.close(writer)


class Connection:
    """One client's connection: requests one after the other."""

    def __init__(
        self, listener: HttpListener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.is_busy = False
        """True from the first byte of a request to the end of its reply."""
        self._listener = listener
        self._reader = reader
        self._writer = writer
        self._is_ending = False
        self._follows = False

    def close(self) -> None:
        """Takes no more requests; closes at once when none is under way that will end."""
        self._is_ending = True
        if self._follows or not self.is_busy:
            self.abort()

    def abort(self) -> None:
        """Closes at once."""
        self.task.cancel()

    async def run(self) -> None:
        """Serves until the client has enough, or we have."""
        patience_s = REQUEST_S
        keeps_alive = True
        while keeps_alive and not self._is_ending:
            try:
                head = await self._head(patience_s)
                await self._listener.turn()
                request = parse(head)
                reply = await self._reply(request)
            except BadRequest as refusal:
                request, reply = Request("GET", "", {}, False, {}), _refused(refusal.status)
            if reply is None:
                await self._follow(request)
                return
            keeps_alive = request.keeps_alive and not self._is_ending
            await self._write(reply, is_bodiless=request.method == "HEAD", keeps_alive=keeps_alive)
            self.is_busy = False
            patience_s = IDLE_S

    async def _head(self, patience_s: float) -> bytes:
        """The next request's line and headers; EOFError where there is none."""
        async with asyncio.timeout(patience_s):
            first = await self._reader.readexactly(1)
        self.is_busy = True
        try:
            async with asyncio.timeout(REQUEST_S):
                return first + await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None

    async def _reply(self, request: Request) -> HttpReply | None:
        """The reply; None for a request that wants to follow, and may."""
        guard = self._listener.guard
        status = guard and await guarding.refusal(guard, request.path, request.fields)
        if status:
            return _refused(status)
        endpoint = self._listener.routes.get(request.path)
        if endpoint is None:
            return _refused(HTTPStatus.NOT_FOUND)
        if request.method not in {"GET", "HEAD"}:
            raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED)
        if not endpoint.follows_s:
            return await self._served(endpoint, request.query)
        is_full = self._listener.followers >= MAX_FOLLOWERS
        return _refused(HTTPStatus.SERVICE_UNAVAILABLE) if is_full else None

    async def _served(self, endpoint: Endpoint, query: Mapping[str, str]) -> HttpReply:
        try:
            return await endpoint.serve(query)
        except Exception as error:
            log.error("%s could not be served", endpoint.path, exc_info=error)  # noqa: TRY400 - one line
            return _refused(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _follow(self, request: Request) -> None:
        """Writes what an endpoint says anew, as server-sent events, for as long as it is served."""
        self._follows = True
        self._listener.followers += 1
        try:
            fields = "Content-Type: text/event-stream\r\nConnection: close\r\n"
            await self._send(self._head_of(HTTPStatus.OK, fields).encode("latin-1"))
            if request.method == "GET":
                await self._tell(request)
        finally:
            self._listener.followers -= 1

    async def _tell(self, request: Request) -> None:
        after = request.query.get("after", request.fields.get("last-event-id", ""))
        quiet_s, guard = 0.0, self._listener.guard
        while not (self._is_ending or self._reader.at_eof()):
            endpoint = self._listener.routes.get(request.path)
            if endpoint is None or not endpoint.follows_s or self._listener.guard != guard:
                return  # a new guard lets nobody stay whom it has not seen
            reply = await self._served(endpoint, {**request.query, "after": after})
            if reply.status != HTTPStatus.OK:
                return
            quiet_s += endpoint.follows_s
            if reply.mark != after:
                after, quiet_s = reply.mark, 0.0
                await self._send(b"id: %b\ndata: %b\n\n" % (after.encode(), reply.body))
            elif quiet_s >= QUIET_S:
                quiet_s = 0.0
                await self._send(b":\n\n")
            await asyncio.sleep(endpoint.follows_s)

    async def _send(self, octets: bytes) -> None:
        async with asyncio.timeout(WRITE_S):
            self._writer.write(octets)
            await self._writer.drain()

    def _head_of(self, status: int, fields: str) -> str:
        """Status line and headers."""
        phrase = HTTPStatus(status).phrase
        own = guarding.headers(self._listener.guard)
        return f"HTTP/1.1 {status} {phrase}\r\n{fields}{own}\r\n"

    async def _write(self, reply: HttpReply, *, is_bodiless: bool, keeps_alive: bool) -> None:
        """Writes in pieces, each when the last one has left."""
        more = _MORE.get(reply.status, "") + ("" if keeps_alive else "Connection: close\r\n")
        fields = f"Content-Type: {reply.type}\r\nContent-Length: {len(reply.body)}\r\n"
        head = self._head_of(reply.status, fields + more)
        body = memoryview(b"" if is_bodiless else reply.body)
        self._writer.write(head.encode("latin-1") + body[:CHUNK_BYTES])
        async with asyncio.timeout(WRITE_S):
            await self._writer.drain()
            for at in range(CHUNK_BYTES, len(body), CHUNK_BYTES):
                self._writer.write(bytes(body[at : at + CHUNK_BYTES]))
                await self._writer.drain()


def _secured(web: str) -> ssl.SSLContext | None:
    """What connections speak, by a web configuration file."""
    from kdns.observe import webfile  # noqa: PLC0415 - YAML is read by few

    try:
        return webfile.secured(web)
    except webfile.WebError as error:
        raise StartError(str(error)) from error


def parse(head: bytes) -> Request:
    """Reads a request's line and headers; raises BadRequest."""
    lines = head.decode("latin-1").lstrip("\r\n").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in {"HTTP/1.1", "HTTP/1.0"}:
        raise BadRequest(HTTPStatus.BAD_REQUEST)
    method, target, version = words
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if line and (not colon or not name or name != name.strip()):
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        if name.lower() == "host" and "host" in fields:  # RFC 9112 §3.2
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        fields[name.lower()] = value.strip()
    try:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=20))
    except ValueError:
        raise BadRequest(HTTPStatus.BAD_REQUEST) from None
    # A body would be taken for the next request: whoever sends one is not asked again.
    has_body = fields.get("content-length", "0") != "0" or "transfer-encoding" in fields
    said = fields.get("connection", "").lower()
    stays = "close" not in said if version == "HTTP/1.1" else "keep-alive" in said
    return Request(method, unquote(parts.path), query, stays and not has_body, fields)


def _refused(status: int) -> HttpReply:
    return HttpReply(status, f"{status} {HTTPStatus(status).phrase}\n".encode())
