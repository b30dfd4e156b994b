"""Service parameters of SVCB and HTTPS records (RFC 9460 §2): text to octets and back."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from struct import error as _StructError
from struct import pack, unpack_from

_KEYS = {
    "mandatory": 0, "alpn": 1, "no-default-alpn": 2, "port": 3, "ipv4hint": 4, "ech": 5,
    "ipv6hint": 6, "dohpath": 7, "ohttp": 8,
}  # fmt: skip
_NAMES = {number: name for name, number in _KEYS.items()}
_EMPTY = frozenset((2, 8))


def parse(words: Iterable[str], unescape: Callable[[str], bytes]) -> bytes:
    """The parameters of a record, sorted by key; raises ValueError."""
    found: dict[int, bytes] = {}
    for word in words:
        name, mark, text = word.partition("=")
        key = _key(name)
        if key in found:
            raise ValueError(f"{name} is given twice")
        if key in _EMPTY:
            if mark:
                raise ValueError(f"{name} takes no value")
            found[key] = b""
        else:
            found[key] = _parse_value(key, name, unescape(text))
    for key in _mandatory(found.get(0, b"")):
        if key not in found:
            raise ValueError(f"{_name(key)} is mandatory but missing")
    return b"".join(pack("!HH", key, len(found[key])) + found[key] for key in sorted(found))


def _mandatory(octets: bytes) -> tuple[int, ...]:
    return unpack_from(f"!{len(octets) // 2}H", octets)


def _key(name: str) -> int:
    digits = name.removeprefix("key")
    if name in _KEYS:
        return _KEYS[name]
    if digits != name and digits.isascii() and digits.isdigit() and int(digits) < 65536:
        return int(digits)
    raise ValueError(f"{name!r} is no service parameter")


def _name(key: int) -> str:
    return _NAMES.get(key) or f"key{key}"


def _parse_value(key: int, name: str, octets: bytes) -> bytes:
    text = octets.decode("latin-1")
    if not octets and key in _NAMES:
        raise ValueError(f"{name} needs a value")
    if key == 0:
        return b"".join(pack("!H", one) for one in sorted(map(_key, text.split(","))))
    if key == 1:
        return b"".join(bytes((len(one),)) + one for one in _protocols(octets))
    if key == 3:
        if not text.isdigit() or int(text) > 65535:
            raise ValueError(f"{text!r} is no port")
        return pack("!H", int(text))
    if key == 4:
        return b"".join(IPv4Address(one).packed for one in text.split(","))
    if key == 6:
        return b"".join(IPv6Address(one).packed for one in text.split(","))
    return b64decode(octets, validate=True) if key == 5 else octets


def _protocols(octets: bytes) -> list[bytes]:
    """Splits at commas; `\\,` and `\\\\` stand for themselves (RFC 9460 appendix A.1)."""
    out = [bytearray()]
    octet = iter(octets)
    for one in octet:
        if one == 0x2C:
            out.append(bytearray())
        else:
            out[-1].append(next(octet, one) if one == 0x5C else one)
    if not all(0 < len(one) < 256 for one in out):
        raise ValueError("a protocol of alpn has 1 to 255 octets")
    return [bytes(one) for one in out]


def format(octets: bytes, quote: Callable[[bytes], str]) -> str:  # noqa: A001 - style.md's verb
    """The text of parameters; ValueError when they are cut."""
    out = []
    at = 0
    try:
        while at < len(octets):
            key, size = unpack_from("!HH", octets, at)
            value = octets[at + 4 : at + 4 + size]
            if len(value) < size:
                raise ValueError("a service parameter is cut")
            at += 4 + size
            out.append(_name(key) + _format_value(key, value, quote))
    except (_StructError, IndexError) as error:
        raise ValueError("a service parameter is cut") from error
    return " ".join(out)


def _format_value(key: int, value: bytes, quote: Callable[[bytes], str]) -> str:
    if key in _EMPTY:
        return ""
    if key == 0:
        return "=" + ",".join(map(_name, _mandatory(value)))
    if key == 1:
        return "=" + quote(b",".join(_split_alpn(value)))
    if key == 3:
        return f"={unpack_from('!H', value)[0]}"
    if key == 4:
        return "=" + ",".join(str(IPv4Address(value[i : i + 4])) for i in range(0, len(value), 4))
    if key == 6:
        return "=" + ",".join(str(IPv6Address(value[i : i + 16])) for i in range(0, len(value), 16))
    if key == 5:
        return "=" + b64encode(value).decode()
    return "=" + quote(value)


def _split_alpn(value: bytes) -> list[bytes]:
    out = []
    at = 0
    while at < len(value):
        size = value[at]
        one = value[at + 1 : at + 1 + size]
        out.append(one.replace(b"\\", b"\\\\").replace(b",", b"\\,"))
        at += 1 + size
    return out
