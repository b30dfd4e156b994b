"""Rdata of a type as a row of fields, each read from words of text and from octets.

One table serves both directions, so that text → rdata → text holds for every type in it. The types
are those whose rdata is a plain row (numbers, names, strings, hex, base64); SVCB parameters have a
module of their own.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from re import compile as pattern
from typing import NamedTuple

from kdns.wire import dnssec, names, odd, svcb, types

_TTL = pattern(r"(?:[0-9]+[wdhmsWDHMS])*[0-9]*")
_SPAN = pattern(r"([0-9]+)([wdhmsWDHMS]?)")
_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "": 1}


class Word(NamedTuple):
    """A word of presentation text, escapes not yet undone."""

    text: str
    is_quoted: bool = False


class Words:
    """The words of one rdata, taken one after the other."""

    def __init__(self, words: list[Word], origin: bytes = names.ROOT) -> None:
        self._words = words
        self._at = 0
        self.origin = origin
        """What names without a last dot end in, and what `@` is."""

    def __bool__(self) -> bool:
        return self._at < len(self._words)

    def take(self) -> Word:
        """The next word; ValueError when there is none."""
        if not self:
            raise ValueError("the record data ends too early")
        self._at += 1
        return self._words[self._at - 1]

    def rest(self) -> str:
        """All further words, joined: hex and base64 may be broken anywhere."""
        return "".join(self.texts())

    def texts(self) -> list[str]:
        """All further words, one by one."""
        return [self.take().text for _ in range(len(self._words) - self._at)]


@dataclass(frozen=True, slots=True)
class Field:
    """How one field is read from words, and from octets at an offset."""

    parse: Callable[[Words], bytes]
    format: Callable[[bytes, int], tuple[str, int]]


def parse_ttl(text: str) -> int:
    """A TTL in seconds or as 1h30m; ValueError when it is none."""
    if not text or not _TTL.fullmatch(text):
        raise ValueError(f"{text!r} is no TTL")
    total = sum(int(number) * _SECONDS[unit.lower()] for number, unit in _SPAN.findall(text))
    if total > 0xFFFFFFFF:
        raise ValueError(f"{text!r} is no TTL: it needs more than 32 bits")
    return total


def unescape(text: str) -> bytes:
    """The octets of a word: `\\DDD` is an octet, `\\X` is X."""
    raw = text.encode("utf-8", "surrogateescape")
    if b"\\" not in raw:
        return raw
    out = bytearray()
    at = 0
    while at < len(raw):
        if raw[at] != 0x5C:
            out.append(raw[at])
            at += 1
        elif raw[at + 1 : at + 4].isdigit() and at + 4 <= len(raw):
            if int(raw[at + 1 : at + 4]) > 255:
                raise ValueError(f"{text!r} has a bad escape")
            out.append(int(raw[at + 1 : at + 4]))
            at += 4
        elif at + 1 < len(raw):
            out.append(raw[at + 1])
            at += 2
        else:
            raise ValueError(f"{text!r} ends in a backslash")
    return bytes(out)


def quote(octets: bytes) -> str:
    """Octets as a quoted string."""
    return '"' + "".join(map(_quoted, octets)) + '"'


def _quoted(octet: int) -> str:
    if octet in b'"\\':
        return "\\" + chr(octet)
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"


def _slice(rdata: bytes, at: int, size: int) -> bytes:
    if at + size > len(rdata):
        raise ValueError("the record data ends too early")
    return rdata[at : at + size]


def _number(
    size: int, read: Callable[[str], int] = int, write: Callable[[int], str] = str
) -> Field:
    def parse(words: Words) -> bytes:
        text = words.take().text
        value = read(text)
        if not 0 <= value < 256**size:
            raise ValueError(f"{text!r} does not fit {size * 8} bits")
        return value.to_bytes(size, "big")

    def format_(rdata: bytes, at: int) -> tuple[str, int]:
        return write(int.from_bytes(_slice(rdata, at, size), "big")), at + size

    return Field(parse, format_)


def _parse_name(words: Words) -> bytes:
    text = words.take().text
    return words.origin if text == "@" else names.parse(text, words.origin)


def _format_name(rdata: bytes, at: int) -> tuple[str, int]:
    end = at
    while size := _slice(rdata, end, 1)[0]:
        if size > 63:
            raise ValueError("the record data holds a compressed name")
        end += size + 1
    return names.format(rdata[at : end + 1]), end + 1


def _string(octets: bytes) -> bytes:
    if len(octets) > 255:
        raise ValueError("a string is longer than 255 octets")
    return bytes((len(octets),)) + octets


def _format_string(rdata: bytes, at: int) -> tuple[str, int]:
    size = _slice(rdata, at, 1)[0]
    return quote(_slice(rdata, at + 1, size)), at + 1 + size


def _parse_strings(words: Words) -> bytes:
    out = _string(unescape(words.take().text))
    while words:
        out += _string(unescape(words.take().text))
    return out


def _format_strings(rdata: bytes, at: int) -> tuple[str, int]:
    out = []
    while at < len(rdata):
        text, at = _format_string(rdata, at)
        out.append(text)
    return " ".join(out), at


def _parse_tag(words: Words) -> bytes:
    return _string(_tag(words.take().text).encode())


def _format_tag(rdata: bytes, at: int) -> tuple[str, int]:
    size = _slice(rdata, at, 1)[0]
    return _tag(_slice(rdata, at + 1, size).decode("latin-1")), at + 1 + size


def _tag(text: str) -> str:
    if not (text.isascii() and text.isalnum()):
        raise ValueError(f"{text!r} is no property of CAA: letters and digits only")
    return text


def _groups(size: int, mark: str) -> Field:
    """Hex groups joined by a mark: EUI48, EUI64, and the 64 bits of NID and L64."""

    def parse(words: Words) -> bytes:
        groups = words.take().text.split(mark)
        width = 4 if mark == ":" else 2
        if len(groups) * width != size * 2 or any(len(g) > width or not g for g in groups):
            raise ValueError(f"expected {size * 2 // width} hex groups joined by {mark!r}")
        return bytes.fromhex("".join(group.zfill(width) for group in groups))

    def format_(rdata: bytes, at: int) -> tuple[str, int]:
        text = _slice(rdata, at, size).hex(mark, 2 if mark == ":" else 1)
        return text, at + size

    return Field(parse, format_)


def _address(size: int, kind: type[IPv4Address] | type[IPv6Address]) -> Field:
    return Field(
        lambda words: kind(words.take().text).packed,
        lambda rdata, at: (names.format_address(_slice(rdata, at, size)), at + size),
    )


def _whole(read: Callable[[list[str]], bytes], write: Callable[[bytes], str]) -> Field:
    """All that is left, with a grammar of its own."""
    return Field(
        lambda words: read(words.texts()), lambda rdata, at: (write(rdata[at:]), len(rdata))
    )


def _parse_salt(words: Words) -> bytes:
    text = words.take().text
    return b"\0" if text == "-" else _string(bytes.fromhex(text))


def _format_salt(rdata: bytes, at: int) -> tuple[str, int]:
    size = _slice(rdata, at, 1)[0]
    return _slice(rdata, at + 1, size).hex() or "-", at + 1 + size


def _format_hash(rdata: bytes, at: int) -> tuple[str, int]:
    size = _slice(rdata, at, 1)[0]
    return dnssec.format_hash(_slice(rdata, at + 1, size)), at + 1 + size


def _parse_nsap(words: Words) -> bytes:
    text = words.take().text
    if not text.lower().startswith("0x"):
        raise ValueError(f"{text!r} is no address such as 0x47000580")
    return bytes.fromhex(text[2:].replace(".", ""))


def _gateway(kind: int, words: Words) -> bytes:
    field = {1: A4, 2: A6, 3: NAME}.get(kind)
    if field is None:
        if kind or words.take().text != ".":
            raise ValueError(f"{kind} is no kind of gateway, or its gateway is not .")
        return b""
    return field.parse(words)


def _format_way(kind: int, rdata: bytes, at: int) -> tuple[str, int]:
    field = {1: A4, 2: A6, 3: NAME}.get(kind)
    if field is None:
        if kind:
            raise ValueError(f"{kind} is no kind of gateway")
        return ".", at
    return field.format(rdata, at)


def _parse_gateway(words: Words) -> bytes:
    """The kind of gateway, an algorithm, the gateway (IPSECKEY, RFC 4025 §3.1)."""
    head = N8.parse(words) + N8.parse(words)
    return head + _gateway(head[0], words)


def _format_gateway(rdata: bytes, at: int) -> tuple[str, int]:
    kind, algorithm = _slice(rdata, at, 2)
    text, at = _format_way(kind, rdata, at + 2)
    return f"{kind} {algorithm} {text}", at


def _parse_relay(words: Words) -> bytes:
    """Discovery bit and kind of relay in one octet, the relay (AMTRELAY, RFC 8777 §4.3.1)."""
    optional, kind = N8.parse(words)[0], N8.parse(words)[0]
    if optional > 1 or kind > 127:
        raise ValueError("the discovery bit is 0 or 1")
    return bytes((optional << 7 | kind,)) + _gateway(kind, words)


def _format_relay(rdata: bytes, at: int) -> tuple[str, int]:
    octet = _slice(rdata, at, 1)[0]
    text, at = _format_way(octet & 0x7F, rdata, at + 1)
    return f"{octet >> 7} {octet & 0x7F} {text}", at


N8, N16, N32 = _number(1), _number(2), _number(4)
TTL = _number(4, parse_ttl)
TYPE = _number(2, types.parse_type, types.type_name)
NAME = Field(_parse_name, _format_name)
STRING = Field(lambda words: _string(unescape(words.take().text)), _format_string)
STRINGS = Field(_parse_strings, _format_strings)
TAG = Field(_parse_tag, _format_tag)
REST = Field(
    lambda words: unescape(words.take().text),
    lambda rdata, at: (quote(rdata[at:]), len(rdata)),
)
HEX = Field(
    lambda words: bytes.fromhex(words.rest()),
    lambda rdata, at: (rdata[at:].hex(), len(rdata)),
)
BASE64 = Field(
    lambda words: b64decode(words.rest(), validate=True),
    lambda rdata, at: (b64encode(rdata[at:]).decode(), len(rdata)),
)
PARAMS = Field(
    lambda words: svcb.parse(words.texts(), unescape),
    lambda rdata, at: (svcb.format(rdata[at:], quote), len(rdata)),
)
MOMENT = _number(4, dnssec.parse_time, dnssec.format_time)
BITMAP = _whole(dnssec.parse_types, dnssec.format_types)
LOC = _whole(odd.parse_loc, odd.format_loc)
APL = _whole(odd.parse_apl, odd.format_apl)
SALT = Field(_parse_salt, _format_salt)
HASH = Field(
    lambda words: _string(dnssec.parse_hash(words.take().text)),
    _format_hash,
)
GATEWAY = Field(_parse_gateway, _format_gateway)
RELAY = Field(_parse_relay, _format_relay)
NSAP = Field(_parse_nsap, lambda rdata, at: ("0x" + rdata[at:].hex(), len(rdata)))
A4, A6 = _address(4, IPv4Address), _address(16, IPv6Address)

_KEY = (N16, N8, N8, BASE64)
_DIGEST = (N16, N8, N8, HEX)
_T = types.TYPES
TABLE: dict[int, tuple[Field, ...]] = {
    types.A: (A4,),
    types.AAAA: (A6,),
    types.SOA: (NAME, NAME, N32, TTL, TTL, TTL, TTL),
    types.SRV: (N16, N16, N16, NAME),
    types.NAPTR: (N16, N16, STRING, STRING, STRING, NAME),
    types.CAA: (N8, TAG, REST),
    types.HINFO: (STRING, STRING),
    types.SVCB: (N16, NAME, PARAMS),
    types.HTTPS: (N16, NAME, PARAMS),
    _T["X25"]: (STRING,),
    _T["PX"]: (N16, NAME, NAME),
    _T["SSHFP"]: (N8, N8, HEX),
    _T["CERT"]: (N16, N16, N8, BASE64),
    _T["URI"]: (N16, N16, REST),
    _T["EUI48"]: (_groups(6, "-"),),
    _T["EUI64"]: (_groups(8, "-"),),
    _T["NID"]: (N16, _groups(8, ":")),
    _T["L32"]: (N16, A4),
    _T["L64"]: (N16, _groups(8, ":")),
    _T["LP"]: (N16, NAME),
    _T["LOC"]: (LOC,),
    _T["APL"]: (APL,),
    _T["ISDN"]: (STRINGS,),
    _T["GPOS"]: (STRING, STRING, STRING),
    _T["NSAP-PTR"]: (NAME,),
    _T["NSAP"]: (NSAP,),
    _T["IPSECKEY"]: (N8, GATEWAY, BASE64),
    _T["AMTRELAY"]: (N8, RELAY),
    _T["CSYNC"]: (N32, N16, BITMAP),
    types.NSEC: (NAME, BITMAP),
    types.NSEC3: (N8, N8, N16, SALT, HASH, BITMAP),
    _T["NSEC3PARAM"]: (N8, N8, N16, SALT),
    _T["ZONEMD"]: (N32, N8, N8, HEX),
}
"""The fields of each type that is a plain row."""
for _names, _fields in (
    ("NS CNAME PTR DNAME MB MD MF MG MR", (NAME,)),
    ("MX AFSDB RT KX", (N16, NAME)),
    ("TXT SPF AVC NINFO RESINFO", (STRINGS,)),
    ("MINFO RP TALINK", (NAME, NAME)),
    ("DNSKEY CDNSKEY KEY RKEY", _KEY),
    ("DS CDS TA DLV", _DIGEST),
    ("RRSIG SIG", (TYPE, N8, N8, TTL, MOMENT, MOMENT, N16, NAME, BASE64)),
    ("TLSA SMIMEA", (N8, N8, N8, HEX)),
    ("OPENPGPKEY DHCID", (BASE64,)),
):
    TABLE.update(dict.fromkeys(map(_T.__getitem__, _names.split()), _fields))


def parse(type_: int, words: Words) -> bytes:
    """The rdata of a type in the table; raises ValueError with what is wrong."""
    rdata = b"".join(field.parse(words) for field in TABLE[type_])
    if words:
        raise ValueError(f"{words.take().text!r} is one word too many")
    return rdata


def format(type_: int, rdata: bytes) -> str:  # noqa: A001 - the verb of style.md
    """The text of rdata of a type in the table; ValueError when it is cut or too long."""
    out = []
    at = 0
    for field in TABLE[type_]:
        text, at = field.format(rdata, at)
        out.append(text)
    if at != len(rdata):
        raise ValueError("the record data goes on after its end")
    return " ".join(filter(None, out))
