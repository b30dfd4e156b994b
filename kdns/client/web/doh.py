"""DNS over HTTPS (RFC 8484): queries as requests for /dns-query."""

from base64 import urlsafe_b64encode

from kdns.client.line import UpstreamError
from kdns.client.web.http2 import Headers, Response

_TYPE = "application/dns-message"
_PATH = "/dns-query"


class Doh:
    """The dialect of one server, by POST or GET."""

    transport = "https"

    def __init__(self, authority: str, method: str) -> None:
        self._method = method
        self._start = (
            (":method", method),
            (":scheme", "https"),
            (":authority", authority),
        )

    def request(self, packet: bytes) -> tuple[Headers, bytes]:
        """Headers and body for a query."""
        if self._method == "GET":
            text = urlsafe_b64encode(packet).rstrip(b"=").decode()
            return (*self._start, (":path", f"{_PATH}?dns={text}"), ("accept", _TYPE)), b""
        length = ("content-length", str(len(packet)))
        about = ((":path", _PATH), ("accept", _TYPE), ("content-type", _TYPE), length)
        return (*self._start, *about), packet

    def message(self, response: Response) -> bytes:
        """The reply in a response."""
        if response.status != "200":
            raise UpstreamError(f"https: status {response.status or 'missing'}")
        kind = response.headers.get(b"content-type", b"").partition(b";")[0].strip()
        if kind.lower() != _TYPE.encode():
            raise UpstreamError(f"https: content-type {kind.decode('latin-1')!r}")
        return bytes(response.body)
