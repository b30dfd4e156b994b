"""Domain names as wire bytes: text in and out, folding, suffixes, reverse names.

A name is its uncompressed wire form, the root's zero byte included. A `Key` is a name in lower
case, so it may be used as a dict key and compared. Length bytes are at most 63, below "A", hence
`bytes.lower` folds a whole name at once (RFC 4343: ASCII letters only).
"""

from ipaddress import IPv6Address
from typing import NewType

Key = NewType("Key", bytes)

LONGEST = 255
"""Octets of the longest name."""

ROOT = Key(b"\0")
IN_ADDR = Key(b"\x07in-addr\x04arpa\0")
IP6 = Key(b"\x03ip6\x04arpa\0")

_OCTETS = {b"%c%d" % (len(str(octet)), octet): octet for octet in range(256)}
"""Octets by their labels."""
_PLAIN = frozenset(range(0x21, 0x7F)) - frozenset(b'.\\"();@$')


def fold(name: bytes) -> Key:
    """Lower-cases a wire name."""
    return Key(name.lower())


def parse(text: str, origin: bytes = ROOT) -> bytes:
    """Turns presentation text into a wire name; one without a last dot ends in `origin`.

    Raises ValueError for what cannot be a name: empty labels, labels over 63 or names over 255.
    """
    if text in {".", ""}:
        return ROOT
    out = bytearray()
    label = bytearray()
    raw = text.encode("utf-8", "surrogateescape")
    if b"\\" not in raw:  # perf: a zone file of 100,000 names
        parts = raw.split(b".")
        last = parts.pop()
        for part in parts:
            _close(out, part, text)
        label += last
    else:
        _read_escaped(out, label, raw, text)
    if label:
        _close(out, label, text)
        out += origin
    else:
        out.append(0)
    if len(out) > 255:
        raise ValueError(f"name {text!r} is longer than 255 octets")
    return bytes(out)


def _read_escaped(out: bytearray, label: bytearray, raw: bytes, text: str) -> None:
    """Reads labels byte by byte; what is behind the last dot stays in `label`."""
    at = 0
    while at < len(raw):
        byte = raw[at]
        at += 1
        if byte == 0x2E:
            _close(out, label, text)
            label.clear()
            continue
        if byte == 0x5C:
            byte, at = _escaped(raw, at, text)
        label.append(byte)


def _close(out: bytearray, label: bytes | bytearray, text: str) -> None:
    if not 0 < len(label) < 64:
        raise ValueError(f"name {text!r} has a label of {len(label)} octets, not 1 to 63")
    out.append(len(label))
    out += label


def _escaped(raw: bytes, at: int, text: str) -> tuple[int, int]:
    if raw[at : at + 3].isdigit() and len(raw) >= at + 3:
        value = int(raw[at : at + 3])
        if value < 256:
            return value, at + 3
    elif at < len(raw) and not raw[at : at + 1].isdigit():
        return raw[at], at + 1
    raise ValueError(f"name {text!r} has a bad escape")


def parse_key(text: str) -> Key:
    """Turns presentation text into a folded wire name."""
    return fold(parse(text))


def format(name: bytes) -> str:  # noqa: A001 - the verb of style.md for bytes to text
    """Turns a wire name into absolute presentation text, escaping what text cannot hold."""
    if name == ROOT:
        return "."
    return "".join(format_label(label) + "." for label in labels(name))


def format_label(label: bytes) -> str:
    """Turns one label into presentation text."""
    return "".join(
        chr(b) if b in _PLAIN else f"\\{chr(b)}" if 0x20 < b < 0x7F else f"\\{b:03d}" for b in label
    )


def labels(name: bytes) -> list[bytes]:
    """Splits a wire name into its labels, the root left out."""
    out = []
    at = 0
    while size := name[at]:
        out.append(name[at + 1 : at + 1 + size])
        at += 1 + size
    return out


def from_labels(parts: list[bytes]) -> bytes:
    """Joins labels into a wire name."""
    return b"".join(bytes((len(p),)) + p for p in parts) + b"\0"


def is_below(key: Key, zone: Key) -> bool:
    """True when `key` is `zone` or lies below it, label by label."""
    rest = len(key) - len(zone)
    if rest < 0 or not key.endswith(zone):
        return False
    if len(zone) == 1:
        return True
    at = 0
    while at < rest:
        at += key[at] + 1
    return at == rest


def is_reverse(key: Key) -> bool:
    """True in the zones of reverse names."""
    return is_below(key, IN_ADDR) or is_below(key, IP6)


def parent(key: Key) -> Key:
    """The name one label shorter; the root's parent is the root."""
    return Key(key[key[0] + 1 :]) if key[0] else key


def reverse(address: bytes) -> Key:
    """The PTR name of a packed IPv4 or IPv6 address."""
    if len(address) == 4:
        return Key(from_labels([b"%d" % b for b in reversed(address)])[:-1] + IN_ADDR)
    return Key(b"".join(b"\x01%c" % c for c in reversed(address.hex().encode())) + IP6)


def parse_reverse(key: Key) -> bytes | None:
    """The packed address a complete PTR name stands for, else None."""
    if key.endswith(IN_ADDR):
        return _parse_in_addr(key)
    if key.endswith(IP6) and len(key) == 64 + len(IP6):
        digits = key[1:64:2]
        if key[0:64:2] != b"\x01" * 32:
            return None
        try:
            return bytes.fromhex(digits[::-1].decode("ascii"))
        except ValueError:
            return None
    return None


def _parse_in_addr(key: Key) -> bytes | None:
    """perf: bench once PTR; four labels without a loop."""
    end = len(key) - len(IN_ADDR)
    octets = _OCTETS
    try:
        first = key[0] + 1
        second = first + key[first] + 1
        third = second + key[second] + 1
        if third + key[third] + 1 != end:
            return None
        return bytes(
            (
                octets[key[third:end]],
                octets[key[second:third]],
                octets[key[first:second]],
                octets[key[:first]],
            )
        )
    except (KeyError, IndexError):  # no octet, or a label that reaches into what looks like the end
        return None


def format_address(address: bytes) -> str:
    """The canonical text of a packed address."""
    if len(address) == 4:
        return ".".join(map(str, address))
    return IPv6Address(address).compressed


def has_labels(key: Key, labels: bytes) -> bool:
    """True when labels stand together somewhere in a name."""
    at = 0
    while key[at]:
        if key.startswith(labels, at):
            return True
        at += key[at] + 1
    return False
