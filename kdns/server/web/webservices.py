"""What is asked over HTTP: DNS over HTTPS (RFC 8484), and DNS over gRPC as CoreDNS has it.

A request becomes a DNS message or a Refusal, a reply becomes a Response; which version of HTTP
carries them is not known here.
"""

import re
from base64 import urlsafe_b64decode
from binascii import Error
from functools import lru_cache
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import parse_qsl

from msgspec import Struct

from kdns.observe.counters import Counters
from kdns.wire.lifetime import lifetime

PATH: Final = "/dns-query"
TYPE: Final = "application/dns-message"
MAX_MESSAGE: Final = 65535
GRPC_PATH: Final = "/coredns.dns.DnsService/Query"
_UPDATE: Final = 5
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")

_COUNTED: Final = {
    "https": "coredns_dns_https_responses_total",
    "https3": "coredns_dns_https3_responses_total",
}

Fields = tuple[tuple[str, str], ...]


class Request(Struct):
    """What matters of a request, however it came."""

    method: str
    target: str
    """Path and query."""
    type: str = ""
    """The content type, lower-case, without parameters."""
    forwarded: tuple[str, ...] = ()
    """Who is said to ask, the last proxy's word last."""
    body: bytes = b""


class Response(Struct):
    """What is answered."""

    status: int
    fields: Fields = ()
    body: bytes = b""
    trailers: Fields = ()


class Refusal(Exception):
    """A request that holds no query, and the response that says so."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class Service(Protocol):
    """What is served over HTTP."""

    transport: str
    max_body: int

    def query(self, request: Request) -> bytes:
        """The DNS message in a request; raises Refusal."""

    def response(self, reply: bytes | None) -> Response:
        """What a reply is answered as; None is silence."""

    def refusal(self, status: int) -> Response:
        """What is answered where there is no request to speak of."""

    def count(self, counters: Counters, label: str, response: Response) -> None:
        """Counts a response."""


def plain(status: int) -> Response:
    """A status with its name for a body."""
    text = f"{status} {HTTPStatus(status).phrase}\n".encode()
    fields: Fields = (("content-type", "text/plain; charset=utf-8"),)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        fields += (("allow", "GET, POST"),)
    return Response(status, fields, text)


class Doh:
    """DNS over HTTPS."""

    max_body = MAX_MESSAGE

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self._metric = _COUNTED[transport]

    def query(self, request: Request) -> bytes:
        """The message in the body of a POST, or in the `dns` of a GET."""
        path, _, words = request.target.partition("?")
        if path != PATH:
            raise Refusal(plain(HTTPStatus.NOT_FOUND))
        if request.method == "POST":
            if request.type != TYPE:
                raise Refusal(plain(HTTPStatus.UNSUPPORTED_MEDIA_TYPE))
            message = request.body
        elif request.method == "GET":
            message = _from_text(words)
        else:
            refused = plain(HTTPStatus.METHOD_NOT_ALLOWED)
            refused.body = b"" if request.method == "HEAD" else refused.body
            raise Refusal(refused)
        # CoreDNS: no updates over HTTP, and what has no header is no query.
        if len(message) < 12 or message[2] >> 3 & 0xF == _UPDATE:
            raise Refusal(plain(HTTPStatus.BAD_REQUEST))
        return message

    def response(self, reply: bytes | None) -> Response:
        """The reply, and how long HTTP may keep it."""
        if reply is None:
            return plain(HTTPStatus.BAD_REQUEST)
        age = _age(reply) if len(reply) <= _SHORT else lifetime(reply)
        return Response(HTTPStatus.OK, (_KIND, ("cache-control", f"max-age={age}")), reply)

    def refusal(self, status: int) -> Response:
        """The status alone."""
        return plain(status)

    def count(self, counters: Counters, label: str, response: Response) -> None:
        """Counts by status."""
        counters.add(self._metric, label, str(response.status))


_KIND: Final = ("content-type", TYPE)
_SHORT: Final = 512
_age = lru_cache(maxsize=1024)(lifetime)
"""perf: bench transports; hot replies are the same octets, for RFC 8484 §4.1 has all IDs zero."""


def _from_text(words: str) -> bytes:
    try:
        plain_words = words.startswith("dns=") and _BASE64URL.fullmatch(words, 4)
        found = (
            [words[4:]]
            if plain_words
            else [value for name, value in parse_qsl(words, max_num_fields=20) if name == "dns"]
        )
        if len(found) == 1 and _BASE64URL.fullmatch(found[0]):
            message = urlsafe_b64decode(found[0] + "=" * (-len(found[0]) % 4))
            if len(message) <= MAX_MESSAGE:
                return message
    except (ValueError, Error):
        pass
    raise Refusal(plain(HTTPStatus.BAD_REQUEST))


OK, INVALID, UNIMPLEMENTED, INTERNAL = "0", "3", "12", "13"
"""Statuses of gRPC."""
_CALL: Final = (("content-type", "application/grpc"),)
_DONE: Final = (("grpc-status", OK),)


class Grpc:
    """coredns.dns.DnsService/Query: a DnsPacket each way, its field 1 the message."""

    transport = "grpc"
    max_body = MAX_MESSAGE + 16

    def query(self, request: Request) -> bytes:
        """The message in a call."""
        if request.method != "POST" or not request.type.startswith("application/grpc"):
            raise Refusal(plain(HTTPStatus.UNSUPPORTED_MEDIA_TYPE))
        if request.target != GRPC_PATH:
            raise Refusal(_failed(UNIMPLEMENTED, "unknown service or method"))
        body = request.body
        if len(body) < 5 or body[0] or len(body) != 5 + int.from_bytes(body[1:5], "big"):
            raise Refusal(_failed(UNIMPLEMENTED, "expected one message, not compressed"))
        message = _unpacked(body[5:])
        if len(message) < 12 or message[2] >> 3 & 0xF == _UPDATE:
            raise Refusal(_failed(INVALID, "no query"))
        return message

    def response(self, reply: bytes | None) -> Response:
        """The reply in a DnsPacket."""
        if reply is None:
            return _failed(INTERNAL, "no reply")
        packet = b"\x0a" + _varint(len(reply)) + reply
        body = b"\x00" + len(packet).to_bytes(4, "big") + packet
        return Response(HTTPStatus.OK, _CALL, body, _DONE)

    def refusal(self, _status: int) -> Response:
        """A call that was not whole, or too large."""
        return _failed(INVALID, "no call")

    def count(self, _counters: Counters, _label: str, _response: Response) -> None:
        """CoreDNS counts nothing of its own here."""


def _failed(status: str, why: str) -> Response:
    fields = (("content-type", "application/grpc"), ("grpc-status", status), ("grpc-message", why))
    return Response(HTTPStatus.OK, fields)


def _varint(value: int) -> bytes:
    octets = b""
    while value > 0x7F:
        octets += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return octets + bytes((value,))


def _unpacked(packet: bytes) -> bytes:
    """The field 1 of a DnsPacket; empty where it is not as it should be."""
    message, at = b"", 0
    try:
        while at < len(packet):
            key, at = _read_varint(packet, at)
            size, at = _read_varint(packet, at)
            if key & 7 == 2:  # octets
                if key >> 3 == 1:
                    message = packet[at : at + size]
                at += size
            elif key & 7:
                return b""
    except IndexError:
        return b""
    return message if at == len(packet) else b""


def _read_varint(packet: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        octet = packet[at]
        value |= (octet & 0x7F) << shift
        at += 1
        if octet < 0x80:
            break
        shift += 7
    return value, at
