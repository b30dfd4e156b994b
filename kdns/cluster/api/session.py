"""Requests to the API server, with our identity, throttled and counted.

Every failure leaves here as a SourceError. While no connection can be made, one request at a time
tries, every 0.75 to 1.5 s: a refused connection costs the server one packet, so 5,000 nodes make
5,000 of them a second, and all find it within 2 s of its return.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlencode, urlsplit

from kdns import __version__
from kdns.cluster.api.backoff import Backoff
from kdns.cluster.api.client import Client, Connection, Peer, basic, bracketed, proxy_header
from kdns.cluster.api.credentials import Credentials, Identity, Secrets
from kdns.cluster.api.failures import Broken, SourceError, Unreachable, refusal, unreachable
from kdns.cluster.api.relay import Relay
from kdns.cluster.api.throttle import Throttle
from kdns.observe.catalogue import API_DURATIONS
from kdns.observe.counters import Counters

ANSWER_S = 15.0
"""Until an answer begins, and between its pieces (but for watches, which have a deadline)."""
WHOLE_S = 60.0
"""Until an answer that is no watch has come whole: one that trickles in is no better than none."""
DOWN_S = 1.5
JSON = "application/json"
METADATA = f"{JSON};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,{JSON}"
"""Servers that cannot reduce objects to their metadata send them whole."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes to, and the lines of its head that never change."""

    peer: Peer
    start: str
    """What precedes the path in the first line."""
    host: str
    lines: str


class Body:
    """The body of an answer, piece by piece."""

    def __init__(self, connection: Connection, where: str) -> None:
        self._connection = connection
        self._where = where
        self.interrupt = connection.interrupt
        """Makes a read that waits end with TimeoutError."""
        self.gather = connection.gather
        """Leaves what comes in the next moment with the system, to be read at one stroke."""

    async def read(self, limit_s: float) -> bytes:
        """The next piece, empty at an orderly end; TimeoutError when none comes in time."""
        try:
            return await self._connection.read(limit_s)
        except TimeoutError:
            raise
        except OSError as error:
            said = error.strerror or "in the middle of an answer"
            raise Broken(f"the connection to {self._where} broke: {said}") from None

    async def whole(self) -> bytes:
        """All of it."""
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(WHOLE_S):
                while piece := await self.read(ANSWER_S):
                    pieces.append(piece)
        except TimeoutError:
            raise Broken(f"{self._where} stopped in the middle of an answer") from None
        return b"".join(pieces)


class Session:
    """The one way to the API server."""

    def __init__(
        self,
        credentials: Credentials,
        throttle: Throttle,
        counters: Counters,
        relay: Relay,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._credentials = credentials
        self._throttle = throttle
        self._counters = counters
        self._clock = clock
        self._pause = Backoff(chance)
        self._is_down = False
        self._door = asyncio.Lock()
        self.has_watch_lists = True
        """False once the server refused one, until the connection breaks."""
        self.outages = 0
        """How often the server was away, or not itself: it may be another when it is back."""
        self._client = Client(relay)

    def close(self) -> None:
        """Closes every connection that waits for a request."""
        self._client.close()

    async def get(
        self, path: str, query: Mapping[str, str], *, what: str, accept: str = JSON
    ) -> bytes:
        """The whole answer."""
        async with self.open(path, query, what=what, accept=accept) as body:
            return await body.whole()

    @asynccontextmanager
    async def open(
        self, path: str, query: Mapping[str, str], *, what: str, accept: str = JSON
    ) -> AsyncGenerator[Body, None]:
        """The answer as it comes; `what` is the request in words, for messages."""
        async with self._door if self._is_down else nullcontext():
            if self._is_down:
                await asyncio.sleep(self._pause.delay(DOWN_S))
            connection, route, where = await self._send(path, query, what, accept)
        try:
            yield Body(connection, where)
        finally:
            self._client.done(connection, route.peer)

    async def _send(
        self, path: str, query: Mapping[str, str], what: str, accept: str
    ) -> tuple[Connection, Route, str]:
        """An answer of 200; once more with new credentials where the old ones may be to blame."""
        identity = await self._credentials.current()
        try:
            return await self._ask(identity, path, query, what, accept)
        except SourceError as error:
            # Refused, or the server's certificate is not signed by the CA that we have read.
            refused = getattr(error, "status", 0) == 401
            is_ours = refused or isinstance(error, Unreachable)
            if not (is_ours and await self._credentials.renew(identity, refused=refused)):
                raise
        return await self._ask(await self._credentials.current(), path, query, what, accept)

    async def _ask(
        self, identity: Identity, path: str, query: Mapping[str, str], what: str, accept: str
    ) -> tuple[Connection, Route, str]:
        secrets = identity.secrets
        try:
            route = _route(identity)
        except ValueError as error:
            raise SourceError(f"{secrets.url} is no URL of an API server: {error}") from None
        host = route.host
        delay = self._throttle.delay()
        self._observe("coredns_kubernetes_rest_client_rate_limiter_duration_seconds", host, delay)
        await asyncio.sleep(delay)
        async with self._throttle.inflight:
            started = self._clock()
            code = "<error>"
            try:
                asked = f"{path}?{urlencode(query, quote_via=quote)}" if query else path
                connection = await self._request(route, secrets, asked, accept)
                code = str(connection.reply.status)
            finally:
                self._counters.add(
                    "coredns_kubernetes_rest_client_requests_total", code, "GET", host
                )
                took = self._clock() - started
                self._observe("coredns_kubernetes_rest_client_request_duration_seconds", host, took)
        reply = connection.reply
        if reply.status == 200:
            return connection, route, secrets.where
        self.outages += reply.status >= 500  # a proxy's word for the same
        try:
            body = await Body(connection, secrets.where).whole()
        finally:
            self._client.done(connection, route.peer)
        wait = reply.headers.get("retry-after", "")
        raise refusal(reply.status, body, wait, what=what, where=secrets.where, who=secrets.whose)

    async def _request(self, route: Route, secrets: Secrets, asked: str, accept: str) -> Connection:
        try:
            head = f"GET {route.start}{asked} HTTP/1.1\r\n{route.lines}Accept: {accept}\r\n\r\n"
            octets = head.encode("latin-1")
        except UnicodeEncodeError as error:  # the only header that is not ours is the token
            raise SourceError(f"cannot log in at {secrets.where}: {error}") from None
        try:
            async with asyncio.timeout(ANSWER_S):
                connection = await self._client.get(route.peer, octets)
        except TimeoutError:
            self._is_down = False  # it listens, so the others may try as well
            self.outages += 1
            raise Broken(f"{secrets.where} did not answer in {ANSWER_S:g} s") from None
        except OSError as error:
            self._is_down = True
            self.outages += 1
            self.has_watch_lists = True
            ca = secrets.pair.ca_file or "the system's store"
            raise unreachable(error, where=secrets.where, ca=ca) from None
        self._is_down = False
        self._pause.reset()
        return connection

    def _observe(self, metric: str, host: str, value: float) -> None:
        self._counters.histogram(API_DURATIONS, metric, "GET", host).observe(value)


@lru_cache(maxsize=2)
def _route(identity: Identity) -> Route:
    """ValueError where the URL is none, or the token no header."""
    secrets = identity.secrets
    at = urlsplit(secrets.url)
    if at.scheme not in {"http", "https"} or not at.hostname:
        raise ValueError("expected http://HOST or https://HOST")
    port = at.port or (443 if at.scheme == "https" else 80)
    proxy = urlsplit(secrets.proxy) if secrets.proxy else None
    peer = Peer(at.hostname, port, identity.context, secrets.server_name, proxy)
    host = at.netloc.rpartition("@")[2]
    said = secrets.authorization or basic(at)
    if any(sign in said for sign in "\r\n\0"):
        raise SourceError(f"cannot log in at {secrets.where}: the token holds a line end")
    lines = f"Host: {host}\r\nUser-Agent: kdns/{__version__}\r\nAccept-Encoding: identity\r\n"
    if said:
        lines += f"Authorization: {said}\r\n"
    start = quote(at.path, safe="/%~:@!$&'()*+,;=").rstrip("/")
    if proxy is not None and identity.context is None:
        start = f"http://{bracketed(at.hostname, port)}{start}"
        lines += proxy_header(proxy)
    return Route(peer, start, host, lines)
