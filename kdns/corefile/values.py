"""Words of a Corefile become values: the converters that option tables are made of.

Each takes the text of a word and returns a value, or raises ValueError with what was expected, in
words that complete "expected …". Numbers and durations are read as CoreDNS reads them.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeVar

from kdns.corefile import keys, patterns
from kdns.wire import types
from kdns.wire.names import Key

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 36e2,
}
_OLD_CODES = {"NOTIMPL": "NOTIMP", "BADSIG": "BADVERS"}
_LONGEST = 2**63 / 1e9
"""Seconds that CoreDNS can hold, in nanoseconds of 63 bits."""


def text(word: str) -> str:
    """The word as it is."""
    return word


def integer(low: int | None = 0, high: int | None = None) -> Callable[[str], int]:
    """A whole number within bounds, and those of CoreDNS, which has 64 bits for it."""
    expected = "a whole number" + _within(low, high)
    least = -(2**63) if low is None else low
    most = 2**63 - 1 if high is None else high

    def convert(word: str) -> int:
        if not _INTEGER.fullmatch(word):
            raise ValueError(expected)
        return _bounded(int(word), least, most, expected)

    return convert


def number(low: float | None = 0, high: float | None = None) -> Callable[[str], float]:
    """A number within bounds."""
    expected = "a number" + _within(low, high)

    def convert(word: str) -> float:
        if not _NUMBER.fullmatch(word):
            raise ValueError(expected)
        return _bounded(float(word), low, high, expected)

    return convert


def duration(
    low: float | None = None, high: float | None = None, *, bare_seconds: bool = False
) -> Callable[[str], float]:
    """A duration such as 1h20m or 250ms, in seconds; a bare number too if it means seconds."""
    expected = "a duration such as 5s" + _within(low, high, "s")

    def convert(word: str) -> float:
        if bare_seconds and _INTEGER.fullmatch(word):
            return _bounded(float(word), low, high, expected)
        return _bounded(_seconds(word, expected), low, high, expected)

    return convert


def _seconds(word: str, expected: str) -> float:
    sign = -1.0 if word.startswith("-") else 1.0
    spans = word[1:] if word[:1] in {"+", "-"} else word
    if spans == "0":
        return 0.0
    total = 0.0
    at = 0
    while match := _SPAN.match(spans, at):
        total += float(match[1]) * _UNITS[match[2]]
        at = match.end()
    if not at or at < len(spans) or total > _LONGEST:
        raise ValueError(expected)
    return sign * total


def _within(low: float | None, high: float | None, unit: str = "") -> str:
    if low is not None and high is not None:
        return f" from {low:.15g}{unit} to {high:.15g}{unit}"
    if low is not None:
        return f", at least {low:.15g}{unit}"
    return f", at most {high:.15g}{unit}" if high is not None else ""


Number = TypeVar("Number", int, float)


def _bounded(value: Number, low: float | None, high: float | None, expected: str) -> Number:
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(expected)
    return value


def percent(word: str) -> int:
    """A share such as `10%`, as a number from 0 to 100; the sign is required."""
    digits = word.removesuffix("%")
    if digits == word or not _INTEGER.fullmatch(digits) or not 0 <= int(digits) <= 100:
        raise ValueError("a percentage such as 10%")
    return int(digits)


def choice(*words: str) -> Callable[[str], str]:
    """One of the given words."""
    expected = " or ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]

    def convert(word: str) -> str:
        if word not in words:
            raise ValueError(expected)
        return word

    return convert


def zone(word: str) -> Key:
    """One zone; of an address block that is several zones, the first."""
    return zones(word)[0]


def zones(word: str) -> tuple[Key, ...]:
    """The zones a word stands for: one, or those of an address block. Scheme and port are cut."""
    rest = keys.split(word)[1]
    if not rest:
        raise ValueError("a zone")
    try:
        return keys.expand_zone(rest)
    except ValueError as error:
        raise ValueError(f"a zone ({error})") from error


def address(word: str) -> bytes:
    """An IPv4 or IPv6 address, packed; without the zone of an interface."""
    try:
        return ip_address(word.replace("%", "?")).packed
    except ValueError:
        raise ValueError("an IP address") from None


def network(word: str) -> IPv4Network | IPv6Network:
    """An address block such as 10.0.0.0/8, or an address; without the zone of an interface."""
    try:
        return ip_network(word.replace("%", "?"), strict=False)
    except ValueError:
        raise ValueError("an address block such as 10.0.0.0/8, or an address") from None


def host_port(word: str) -> tuple[str, int]:
    """`host:port`, `[address]:port` or `:port`; the host is empty for all addresses."""
    host, mark, port = word.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    is_whole = mark and port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536
    if not is_whole or (":" in host and not is_bracketed):
        raise ValueError("an address with a port such as 127.0.0.1:8080 or :8080")
    return (host[1:-1] if is_bracketed else host), int(port)


def type_(word: str) -> int:
    """A record type such as AAAA or TYPE65."""
    return types.parse_type(word)


def class_(word: str) -> int:
    """A class such as IN or CH."""
    return types.parse_class(word)


def rcode(word: str) -> int:
    """A response code such as NXDOMAIN."""
    name = _OLD_CODES.get(word, word.upper())
    if name not in types.RCODES:
        raise ValueError("a response code such as NXDOMAIN")
    return types.RCODES[name]


def regex(max_length: int = 10_000) -> Callable[[str], patterns.Pattern]:
    """A regular expression in the syntax of Go, compiled."""

    def convert(word: str) -> patterns.Pattern:
        if len(word) > max_length:
            raise ValueError(f"a regular expression of at most {max_length} characters")
        try:
            return patterns.compile_go(word)
        except ValueError as error:
            raise ValueError(f"a regular expression ({error})") from error

    return convert
