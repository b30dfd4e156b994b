"""What single functions read: signatures, cookies, PROXY headers, gRPC messages, MaxMind DBs."""

import hmac
from random import Random

import dns.message

from kdns.client.line import UpstreamError
from kdns.client.web import grpc
from kdns.wire import cookies, names, proxied, tsig
from kdns.wire.message import WireError
from kdns.wire.mmdb import Mmdb, MmdbError
from tests.fuzz.targets import Target
from tests.mmdb import database

NOW = 1_700_000_000
KEY, SHA256 = names.parse_key("key.example"), names.parse_key("hmac-sha256")
SECRET = b"s" * 32
ASKER = b"\x0a\0\0\1"
PLAIN = [
    dns.message.make_query(f"{name}.example", type_, id=at).to_wire()
    for at, (name, type_) in enumerate((("a", "A"), ("www", "SOA"), ("x" * 60, "AXFR")))
]


def signed(packet: bytes) -> bytes:
    """A request with its TSIG."""
    id_ = int.from_bytes(packet[:2], "big")
    made = tsig.Tsig(len(packet), KEY, SHA256, NOW, tsig.FUDGE_S, b"", id_)
    return tsig.append(packet, made, hmac.digest(SECRET, packet + made.variables(), "sha256"))


SIGNED = [signed(packet) for packet in PLAIN]


def _signature(_: Random, packet: bytes) -> None:
    found = tsig.find(packet)
    if found is None:
        return
    secret = SECRET if found.key == KEY else None
    if not tsig.verify(packet, found, secret, NOW):
        bare = tsig._unsigned(packet, found)
        assert bare in PLAIN, "a packet that was changed verifies"
        assert hmac.compare_digest(found.mac, tsig.find(SIGNED[PLAIN.index(bare)]).mac)


SECRETS = cookies.Secrets(own=b"o" * 16, shared=[b"t" * 16])
COOKIE = SECRETS.make(b"12345678", ASKER, NOW)


def _with_cookie(cookie: bytes) -> bytes:
    asked = dns.message.make_query("a.example", "A", id=1)
    asked.use_edns(0, options=[dns.edns.GenericOption(cookies.COOKIE, cookie)])
    return asked.to_wire()


COOKIES = [COOKIE, COOKIE[:8], *map(_with_cookie, (COOKIE, COOKIE[:8], COOKIE + b"x")),
           bytes(7) + b"\0\0\0\0\1\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\x08" + COOKIE[:8]]  # fmt: skip


def _cookie(_: Random, octets: bytes) -> None:
    if cookies.is_formed(octets) and len(octets) == len(COOKIE):
        is_ours = SECRETS.age(octets, ASKER, NOW) is not None
        assert is_ours == (octets == COOKIE), "a cookie that was changed is believed"
    block = cookies.block_alone(octets)
    if block is not None:
        cookies.cookie_of(block)


V2 = b"\r\n\r\n\0\r\nQUIT\n\x21"
HEADERS = [
    b"PROXY TCP4 10.0.0.1 10.0.0.2 4000 53\r\n" + PLAIN[0],
    b"PROXY TCP6 fd00::1 ::ffff:10.0.0.1 1 65535\r\n",
    b"PROXY UNKNOWN what ever\r\nx",
    V2 + b"\x11\0\x0c" + ASKER * 2 + b"\x0f\xa0\0\x35" + PLAIN[1],
    V2 + b"\x21\0\x27" + bytes(32) + b"\0\1\0\2" + b"\4\0\0",
    V2[:-1] + b"\x20\0\0\0",
]


def _proxied(_: Random, octets: bytes) -> None:
    for part in (octets, octets[: len(octets) // 2]):
        header = proxied.read(part)
        assert header is None or header.size <= len(part), "a header longer than what came"


CALLS = [grpc.pack(packet) for packet in PLAIN] + [b"\0\0\0\0\7\x08\x05\x0a\x03abc", bytes(5)]


def _call(_: Random, octets: bytes) -> None:
    assert isinstance(grpc.unpack(octets), bytes)


RECORDS = {
    "10.0.0.0/8": {"country": {"iso_code": "DE", "names": {"en": "x" * 40}}, "n": 70_000},
    "192.0.2.128/25": {"location": {"latitude": 1.5, "is": True}, "all": [1, "two", {}]},
    "2001:db8::/32": {"city": {"geoname_id": 5}},
}
DATABASES = [database(RECORDS, bits=bits) for bits in (24, 28, 32)]


def _places(_: Random, octets: bytes) -> None:
    made = Mmdb(octets)
    for address in (ASKER, b"\xc0\0\2\xff", b"\x20\1\x0d\xb8" + bytes(12), bytes(16)):
        made.record(made.find(address))


TARGETS = (
    Target("TSIG", SIGNED + PLAIN, _signature, (WireError,)),
    Target("cookies", COOKIES, _cookie, ()),
    Target("PROXY headers", HEADERS, _proxied, (proxied.Malformed,)),
    Target("gRPC messages", CALLS, _call, (UpstreamError,)),
    Target("MaxMind DBs", DATABASES, _places, (MmdbError,)),
)
