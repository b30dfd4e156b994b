"""Reads the text of a resolv.conf as glibc or as musl does.

Both heed the first three nameservers, and of `domain` and `search` the last. Differences: glibc
takes only the first word of `domain` and caps ndots at 15, timeout at 30 and attempts at 5; musl
takes `domain` for `search`, caps at 15, 60 and 10, and skips a line of 255 octets and more. Without
either word glibc would search what follows the first dot of the host's own name, unknown here.
"""

import re
import socket
from ipaddress import IPv6Address

from kdns.client.search_terms import Libc, Resolv

_PORT = 53
_MOST_SERVERS = 3
_DEFAULTS = {"ndots": 1, "timeout": 5, "attempts": 2}
_CAPS: dict[Libc, dict[str, int]] = {
    "glibc": {"ndots": 15, "timeout": 30, "attempts": 5},
    "musl": {"ndots": 15, "timeout": 60, "attempts": 10},
}
_LONGEST = {"glibc": None, "musl": 254}
_BLANKS = {"glibc": " \t", "musl": " \t\n\v\f\r"}
_KEYWORDS = frozenset({"nameserver", "domain", "search", "options"})


def parse_resolv(text: str, libc: Libc) -> Resolv:
    """What a libc makes of a resolv.conf; whatever it does not understand, it skips."""
    servers: list[tuple[str, int]] = []
    search: tuple[str, ...] = ()
    numbers = dict(_DEFAULTS)
    options: list[str] = []
    for line in text.split("\n"):
        keyword, words = _words(line, libc)
        if keyword == "nameserver" and words and (host := _host(words[0])):
            servers.append((host, _PORT))
        elif keyword in {"domain", "search"} and (words or libc == "musl"):
            first_only = keyword == "domain" and libc == "glibc"
            search = tuple(words[:1] if first_only else words)
        elif keyword == "options":
            numbers |= _numbers(words, libc)
            options += [word for word in words if not word.startswith(tuple(_WITH_NUMBER))]
    return Resolv(
        tuple(servers[:_MOST_SERVERS]) or Resolv().nameservers,
        search,
        numbers["ndots"],
        float(numbers["timeout"]),
        numbers["attempts"],
        tuple(options),
    )


_WITH_NUMBER = {f"{key}:": key for key in _DEFAULTS}


def _words(line: str, libc: Libc) -> tuple[str, list[str]]:
    """The keyword of a line, which begins it, and the words behind; nothing for other lines."""
    longest, blanks = _LONGEST[libc], _BLANKS[libc]
    if longest is not None and len(line.encode()) > longest:
        return "", []
    keyword, *words = re.split(f"[{blanks}]+", line)
    if keyword not in _KEYWORDS or keyword == line:
        return "", []
    return keyword, [word for word in words if word]


def _host(word: str) -> str:
    """The address of a nameserver, as connect() takes it; empty when it is none."""
    try:
        return socket.inet_ntoa(socket.inet_aton(word))
    except OSError:
        pass
    try:
        IPv6Address(word)
    except ValueError:
        return ""
    return word


def _numbers(words: list[str], libc: Libc) -> dict[str, int]:
    """The numbers among options, within the caps."""
    read = _last_numbers if libc == "glibc" else _first_numbers
    return {key: min(number, _CAPS[libc][key]) for key, number in read(words).items()}


def _last_numbers(words: list[str]) -> dict[str, int]:
    """glibc: of each word that begins so, the last counts; what is no number is 0."""
    found = {}
    for word in words:
        for start, key in _WITH_NUMBER.items():
            if word.startswith(start):
                digits = re.match("[0-9]+", word[len(start) :])
                found[key] = int(digits.group()) if digits else 0
    return found


def _first_numbers(words: list[str]) -> dict[str, int]:
    """musl: the first place in the line counts, within a word too; what is no number is skipped."""
    line = " ".join(words)
    found = {}
    for start, key in _WITH_NUMBER.items():
        digits = re.match("[0-9]+", line.partition(start)[2])
        if digits:
            found[key] = int(digits.group())
    return found
