"""GET requests become answers, over connections that are kept for the next one.

perf: bench-cluster. Ours and not aiohttp's, which costs 0.2 s and 9 MB at the start, and two turns
of the loop for each event of a watch: here who waits for a piece goes on as it comes (relay.py).
"""

import asyncio
import errno
import socket
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast
from urllib.parse import SplitResult, unquote

from kdns.cluster.api.relay import Prompt, Relay
from kdns.cluster.api.reply import MAX_LINE, HttpError, Reply
from kdns.cluster.api.tls import Context

CONNECT_S = 4.0
"""So that a packet that got lost is sent again at least every 3 s."""
KEPT_S = 15.0
"""How long a connection waits for its next request."""
MOST = 1 << 16
"""Bytes that wait to be read; more is not taken from the system: uvloop would read 2 MB a turn."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a connection leads to."""

    host: str
    port: int
    context: Context | None
    """None for plain HTTP."""
    server_name: str = ""
    """What the certificate must name, empty for the host."""
    proxy: SplitResult | None = None


class Connection(asyncio.Protocol):
    """A connection and the answer that comes over it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._transport: asyncio.Transport | None = None
        self._waiting: Prompt | None = None
        self._error: OSError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._is_paused = False
        self._is_asking = False
        self.reply = Reply()
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is somebody at the other end."""
        self._transport = cast("asyncio.Transport", transport)  # that of uvloop for TLS is none

    def data_received(self, data: bytes) -> None:
        """A piece came."""
        try:
            self.reply.feed(data)
        except HttpError as error:
            self._fail(error)
        self._wake()
        if sum(map(len, self.reply.pieces)) > MOST:
            self._pause()

    def eof_received(self) -> None:
        """Nothing more comes, so the connection is of no use."""

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.is_closed = True
        self._stop_timer()
        if not self.reply.end() and self._error is None:
            lost = ConnectionResetError(errno.ECONNRESET, "in the middle of an answer")
            self._error = exc if isinstance(exc, OSError) else lost
        self._wake()

    async def ask(self, head: bytes) -> None:
        """Sends a request; returns when the head of its answer has come."""
        assert self._transport is not None
        self.reply, self._is_asking = Reply(), True
        self._resume()
        self._transport.write(head)
        if self._error is None:
            await self._wait(None)
        self._is_asking = False
        if self._error is not None and not self.reply.status:
            raise self._error

    async def read(self, limit_s: float) -> bytes:
        """The next piece, empty behind the last; TimeoutError when none comes in time."""
        reply = self.reply
        if not (reply.pieces or reply.is_over or self._error):
            self._resume()
            await self._wait(limit_s)
        if reply.pieces:
            found = reply.pieces[0] if len(reply.pieces) == 1 else b"".join(reply.pieces)
            reply.pieces.clear()
            return found
        if self._error is not None and not reply.is_over:
            raise self._error
        return b""

    async def gather(self, seconds: float) -> None:
        """Leaves what comes in the next moment with the system, to be read at one stroke."""
        self._pause()
        await asyncio.sleep(seconds)

    def interrupt(self) -> None:
        """Makes a read that waits end with TimeoutError."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(TimeoutError())

    def close(self) -> None:
        """Ends it at once."""
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_free(self) -> bool:
        """True when another request may follow."""
        return self.reply.is_over and not (self.reply.is_last or self.is_closed)

    async def _wait(self, limit_s: float | None) -> None:
        self._waiting = waiting = Prompt()
        self._deadline = float("inf")
        if limit_s is not None:
            self._limit(limit_s)
        try:
            await waiting
        finally:
            self._waiting = None

    def _limit(self, limit_s: float) -> None:
        """Interrupts the wait in so many seconds; a timer that is due before looks again then."""
        loop = asyncio.get_running_loop()
        self._deadline = deadline = loop.time() + max(limit_s, 0.0)
        if self._timer is not None and self._timer.when() <= deadline:
            return
        self._stop_timer()
        self._timer = loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        left = self._deadline - asyncio.get_running_loop().time()
        if left <= 0:
            self.interrupt()
        elif self._deadline < float("inf"):
            self._limit(left)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        reply = self.reply
        has_come = reply.status if self._is_asking else reply.pieces or reply.is_over
        if self._waiting is not None and (has_come or self._error):
            self._relay.wake(self._waiting)

    def _fail(self, error: OSError) -> None:
        self._error = error
        self.close()

    def _pause(self) -> None:
        if not (self._is_paused or self.is_closed) and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and self._transport is not None and not self.is_closed:
            self._is_paused = False
            self._transport.resume_reading()


class Client:
    """The connections to the API server."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._free: dict[Connection, Peer] = {}

    async def get(self, peer: Peer, head: bytes) -> Connection:
        """Sends a request; the answer's head has come when this returns. Raises OSError."""
        while (kept := self._kept(peer)) is not None:
            try:
                return await _asked(kept, head)
            except OSError:  # the server may have closed it meanwhile: that is no failure
                if kept.reply.has_begun:
                    raise
        return await _asked(await self._connect(peer), head)

    def done(self, connection: Connection, peer: Peer) -> None:
        """An answer was read, or is of no interest: the connection is kept if it can be."""
        if not connection.is_free:
            connection.close()
            return
        self._free[connection] = peer
        asyncio.get_running_loop().call_later(KEPT_S, self._drop, connection, connection.reply)

    def close(self) -> None:
        """Closes what is kept."""
        for one in self._free:
            one.close()
        self._free.clear()

    def _kept(self, peer: Peer) -> Connection | None:
        for one, whose in reversed(self._free.items()):
            if whose == peer:
                del self._free[one]
                return one if not one.is_closed else self._kept(peer)
        return None

    def _drop(self, connection: Connection, last: Reply) -> None:
        """Closes a connection whose last answer is still this one."""
        if connection in self._free and connection.reply is last:
            del self._free[connection]
            connection.close()

    async def _connect(self, peer: Peer) -> Connection:
        proxy = peer.proxy
        host, port = (peer.host, peer.port) if proxy is None else _of(proxy)
        sock = await _reach(await _addresses(host, port))
        loop = asyncio.get_running_loop()
        try:
            if proxy is not None and peer.context is not None:
                await _tunnel(sock, peer, proxy)
            async with asyncio.timeout(CONNECT_S):
                _, made = await loop.create_connection(
                    lambda: Connection(self._relay),
                    sock=sock,
                    ssl=peer.context,
                    server_hostname=(peer.server_name or peer.host) if peer.context else None,
                )
        except TimeoutError:
            sock.close()
            raise HttpError(f"TLS was not agreed on in {CONNECT_S:g} s") from None
        except BaseException:
            sock.close()
            raise
        return made


def _of(proxy: SplitResult) -> tuple[str, int]:
    if proxy.scheme != "http" or not proxy.hostname:
        raise HttpError("its proxy-url is none of an http proxy")
    return proxy.hostname, proxy.port or 80


async def _asked(connection: Connection, head: bytes) -> Connection:
    try:
        await connection.ask(head)
    except BaseException:
        connection.close()
        raise
    return connection


AddressInfo = tuple[
    int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]


async def _addresses(host: str, port: int) -> Iterable[AddressInfo]:
    kind, numeric = socket.SOCK_STREAM, socket.AI_NUMERICHOST
    try:
        return socket.getaddrinfo(host, port, type=kind, flags=numeric)
    except socket.gaierror:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)


async def _reach(addresses: Iterable[AddressInfo]) -> socket.socket:
    """A connected socket; the first address that answers."""
    failure: OSError = HttpError("it has no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            _keep_alive(sock)
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().sock_connect(sock, address)
        except TimeoutError:
            sock.close()
            failure = HttpError(f"no connection was made in {CONNECT_S:g} s")
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _keep_alive(sock: socket.socket) -> None:
    """Notices within a minute that the other side is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


async def _tunnel(sock: socket.socket, peer: Peer, proxy: SplitResult) -> None:
    """Has a proxy lead a connection on to the peer."""
    at = bracketed(peer.host, peer.port)
    loop = asyncio.get_running_loop()
    head = f"CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n{proxy_header(proxy)}\r\n"
    said = b""
    async with asyncio.timeout(CONNECT_S):
        await loop.sock_sendall(sock, head.encode("latin-1"))
        while b"\r\n\r\n" not in said:
            piece = await loop.sock_recv(sock, 4096)
            said += piece
            if not piece or len(said) > MAX_LINE:
                raise HttpError("the proxy does not answer")
    code = said[9:12].decode("latin-1")
    if code != "200":
        raise HttpError(f"the proxy answered {code}")


def bracketed(host: str, port: int) -> str:
    """Host and port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def proxy_header(proxy: SplitResult) -> str:
    """The line that says to a proxy who we are, or nothing."""
    found = basic(proxy)
    return f"Proxy-Authorization: {found}\r\n" if found else ""


def basic(url: SplitResult) -> str:
    """The user and password that stand in a URL, as a header says them."""
    if not url.username:
        return ""
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"
