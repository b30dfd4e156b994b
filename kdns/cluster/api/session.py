"""Requests to the API server: one aiohttp session, with our identity, throttled and counted.

Every failure leaves here as a SourceError. While no connection can be made, one request at a time
tries, every 0.75 to 1.5 s: a refused connection costs the server one packet, so 5,000 nodes make
5,000 of them a second, and all find it within 2 s of its return.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext

import aiohttp
from yarl import URL

from kdns import __version__
from kdns.cluster.api.backoff import Backoff
from kdns.cluster.api.credentials import Credentials, Identity
from kdns.cluster.api.failures import Broken, SourceError, Unreachable, refusal, unreachable
from kdns.cluster.api.throttle import Throttle
from kdns.observe.catalogue import API_DURATIONS
from kdns.observe.counters import Counters

CONNECT_S = 4.0
"""So that a packet that got lost is sent again at least every 3 s."""
ANSWER_S = 15.0
"""Until an answer begins, and between its pieces (but for watches, which have a deadline)."""
WHOLE_S = 60.0
"""Until an answer that is no watch has come whole: one that trickles in is no better than none."""
DOWN_S = 1.5
JSON = "application/json"
METADATA = f"{JSON};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,{JSON}"
"""Servers that cannot reduce objects to their metadata send them whole."""


class Body:
    """The body of an answer, piece by piece."""

    def __init__(self, response: aiohttp.ClientResponse, where: str) -> None:
        self._response = response
        self._where = where
        self._limit: asyncio.Timeout | None = None

    async def read(self, limit_s: float) -> bytes:
        """The next piece, empty at an orderly end; TimeoutError when none comes in time."""
        try:
            async with asyncio.timeout(limit_s) as self._limit:
                return await self._response.content.readany()
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            said = getattr(error, "strerror", None) or "in the middle of an answer"
            raise Broken(f"the connection to {self._where} broke: {said}") from None
        finally:
            self._limit = None

    def interrupt(self) -> None:
        """Makes a read that waits end with TimeoutError."""
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())

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
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            headers={"User-Agent": f"kdns/{__version__}", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.close()

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
            response, where = await self._send(path, query, what, accept)
        try:
            yield Body(response, where)
        finally:
            response.close()

    async def _send(
        self, path: str, query: Mapping[str, str], what: str, accept: str
    ) -> tuple[aiohttp.ClientResponse, str]:
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
    ) -> tuple[aiohttp.ClientResponse, str]:
        secrets = identity.secrets
        try:
            url = URL(secrets.url + path).with_query(query)
        except ValueError as error:
            raise SourceError(f"{secrets.url} is no URL of an API server: {error}") from None
        host = url.authority
        delay = self._throttle.delay()
        self._observe("coredns_kubernetes_rest_client_rate_limiter_duration_seconds", host, delay)
        await asyncio.sleep(delay)
        async with self._throttle.inflight:
            started = self._clock()
            code = "<error>"
            try:
                response = await self._request(url, identity, accept)
                code = str(response.status)
            finally:
                self._counters.add(
                    "coredns_kubernetes_rest_client_requests_total", code, "GET", host
                )
                took = self._clock() - started
                self._observe("coredns_kubernetes_rest_client_request_duration_seconds", host, took)
        if response.status == 200:
            return response, secrets.where
        self.outages += response.status >= 500  # a proxy's word for the same
        try:
            body = await Body(response, secrets.where).whole()
        finally:
            response.close()
        wait = response.headers.get("Retry-After", "")
        raise refusal(
            response.status, body, wait, what=what, where=secrets.where, who=secrets.whose
        )

    async def _request(self, url: URL, identity: Identity, accept: str) -> aiohttp.ClientResponse:
        secrets = identity.secrets
        try:
            async with asyncio.timeout(ANSWER_S):
                response = await self._client.get(
                    url,
                    headers={**identity.headers, "Accept": accept},
                    ssl=True if identity.context is None else identity.context,
                    server_hostname=secrets.server_name or None,
                    proxy=secrets.proxy or None,
                    allow_redirects=False,
                )
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                self._is_down = False  # it listens, so the others may try as well
                self.outages += 1
                raise Broken(f"{secrets.where} did not answer in {ANSWER_S:g} s") from None
            self._is_down = True
            self.outages += 1
            self.has_watch_lists = True
            ca = secrets.pair.ca_file or "the system's store"
            raise unreachable(error, where=secrets.where, ca=ca) from None
        except ValueError as error:  # a header that is none: the only one of ours is the token
            raise SourceError(f"cannot log in at {secrets.where}: {error}") from None
        self._is_down = False
        self._pause.reset()
        return response

    def _observe(self, metric: str, host: str, value: float) -> None:
        self._counters.histogram(API_DURATIONS, metric, "GET", host).observe(value)


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices within a minute that the other side is gone."""
    family, type_, protocol, _, _ = address
    made = socket.socket(family, type_, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
