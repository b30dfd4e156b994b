"""DNS over gRPC as CoreDNS speaks it: /coredns.dns.DnsService/Query with DnsPacket{bytes msg = 1}.

A gRPC message is a length behind an octet for compression, its content one protobuf field; both
are written by hand, for that is all there is to them.
"""

from kdns.client.line import UpstreamError
from kdns.client.web.http2 import Headers, Response

_PATH = "/coredns.dns.DnsService/Query"
_FIELD = 0x0A
"""Field 1, of octets behind their length."""


class Grpc:
    """The dialect of one server."""

    transport = "grpc"

    def __init__(self, authority: str, *, is_secure: bool) -> None:
        self._headers = (
            (":method", "POST"),
            (":scheme", "https" if is_secure else "http"),
            (":authority", authority),
            (":path", _PATH),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        )

    def request(self, packet: bytes) -> tuple[Headers, bytes]:
        """Headers and body for a query."""
        return self._headers, pack(packet)

    def message(self, response: Response) -> bytes:
        """The reply in a response; raises UpstreamError with gRPC's status."""
        status = response.headers.get(b"grpc-status", b"")
        if response.status != "200" or status != b"0":
            why = response.headers.get(b"grpc-message", b"").decode("utf-8", "replace")
            code = status.decode("latin-1") or f"http {response.status or 'none'}"
            raise UpstreamError(f"grpc: status {code}{': ' if why else ''}{why}")
        return unpack(bytes(response.body))


def pack(message: bytes) -> bytes:
    """A DNS message as a gRPC message."""
    packet = bytes([_FIELD]) + _varint(len(message)) + message
    return b"\0" + len(packet).to_bytes(4, "big") + packet


def unpack(body: bytes) -> bytes:
    """The DNS message in a gRPC message; raises UpstreamError."""
    if len(body) < 5 or body[0] or int.from_bytes(body[1:5], "big") != len(body) - 5:
        raise UpstreamError("grpc: malformed message")
    at, found = 5, b""
    while at < len(body):
        key, at = _number(body, at)
        if key & 7 == 0:
            _, at = _number(body, at)
            continue
        if key & 7 != 2:
            raise UpstreamError("grpc: malformed packet")
        size, at = _number(body, at)
        if at + size > len(body):
            raise UpstreamError("grpc: malformed packet")
        if key == _FIELD:
            found = body[at : at + size]
        at += size
    return found


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends."""
    number = shift = 0
    while at < len(body) and shift < 64:
        octet = body[at]
        at += 1
        number |= (octet & 127) << shift
        if octet < 128:
            return number, at
        shift += 7
    raise UpstreamError("grpc: malformed packet")
