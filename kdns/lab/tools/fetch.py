"""One HTTP request from a pod, for curl and wget: the name, the connection, TLS, the reply."""

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from kdns.lab.tools.lookup import find
from kdns.lab.tools.pod import Pod

PORTS = {"http": 80, "https": 443}


class FetchError(Exception):
    """What keeps from a reply; `because` is the error beneath, `stage` where it was met."""

    def __init__(self, stage: str, because: Exception, took_s: float = 0.0) -> None:
        super().__init__(str(because))
        self.stage = stage
        """resolve, connect, tls, send, or receive."""
        self.because = because
        self.took_s = took_s


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for."""

    url: SplitResult
    method: str
    headers: Mapping[str, str]
    body: bytes | None = None
    connect_s: float = 0.0
    total_s: float = 0.0
    """0: as long as it takes."""
    is_insecure: bool = False
    authority: str = ""
    """A file of certificates."""
    known: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Addresses that are not looked up."""

    @property
    def host(self) -> str:
        """Without brackets."""
        return self.url.hostname or ""

    @property
    def port(self) -> int:
        """The one of the URL, or the scheme's."""
        return self.url.port or PORTS[self.url.scheme]

    @property
    def target(self) -> str:
        """Path and query."""
        query = f"?{self.url.query}" if self.url.query else ""
        return (self.url.path or "/") + query


def address_of(text: str) -> SplitResult:
    """A URL as people type it; raises ValueError for what is none."""
    url = urlsplit(text if "://" in text else f"http://{text}")
    if not url.hostname:
        raise ValueError("no host part in the URL")
    _ = url.port  # raises ValueError for what is no port
    return url


@dataclass(slots=True)
class Exchange:
    """A request on its way; `tell` hears of each step."""

    pod: Pod
    request: Request
    tell: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    peer: tuple[str, int] = ("", 0)
    source: str = ""
    found_s: float = 0.0

    def reply(self) -> http.client.HTTPResponse:
        """The reply with its headers, the body still to come; raises FetchError."""
        sock = self._connect()
        self.source = sock.getsockname()[0]
        if self.request.url.scheme == "https":
            sock = self._secured(sock)
        connection = http.client.HTTPConnection(self.request.host, self.request.port)
        connection.sock = sock
        try:
            self._send(connection)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise FetchError("receive", error, self.took_s) from None
        finally:
            sock.close()  # the reply holds it for as long as it is read

    @property
    def took_s(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def _left(self, most: float = 0.0) -> float | None:
        """How long the next step may take; None for any time."""
        limits = [limit - self.took_s for limit in (self.request.total_s, most) if limit]
        if not limits:
            return None
        if min(limits) <= 0:
            raise FetchError("connect", TimeoutError(), self.took_s)
        return min(limits)

    def _connect(self) -> socket.socket:
        request = self.request
        addresses = self._addresses()
        self.found_s = self.took_s
        failed: Exception = OSError("no address")
        for address in addresses:
            place = self.pod.place(address, request.port)
            self.tell(f"  Trying {address}:{request.port}...")
            try:
                sock = self.pod.socket(place, socket.SOCK_STREAM)
                sock.settimeout(self._left(request.connect_s))
                try:
                    sock.connect(place)
                except OSError:
                    sock.close()
                    raise
            except OSError as error:
                failed = error
                self.tell(f"connect to {address} port {request.port} failed: {words_of(error)}")
                continue
            self.peer = (address, request.port)
            self.tell(f"Connected to {request.host} ({address}) port {request.port}")
            sock.settimeout(self._left())
            return sock
        raise FetchError("connect", failed, self.took_s)

    def _addresses(self) -> tuple[str, ...]:
        request = self.request
        if known := request.known.get((request.host, request.port)):
            return (self.pod.moved(known),)
        try:
            within_s = self._left(request.connect_s)
            return find(self.pod, request.host, within_s=within_s).addresses
        except (LookupError, TimeoutError) as error:
            raise FetchError("resolve", error, self.took_s) from None

    def _secured(self, sock: socket.socket) -> ssl.SSLSocket:
        try:
            context = ssl.create_default_context(cafile=self.request.authority or None)
            if self.request.is_insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            return context.wrap_socket(sock, server_hostname=self.request.host)
        except OSError as error:
            sock.close()
            raise FetchError("tls", error, self.took_s) from None

    def _send(self, connection: http.client.HTTPConnection) -> None:
        request = self.request
        connection.putrequest(
            request.method, request.target, skip_host=True, skip_accept_encoding=True
        )
        for name, text in request.headers.items():
            connection.putheader(name, text)
        connection.endheaders(request.body)


def words_of(error: Exception) -> str:
    """The kernel's words, as programs print them."""
    if isinstance(error, TimeoutError):
        return "Connection timed out"
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
