"""What a look-up is told in: the resolv.conf it heeds, each question of it, and how it ends."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

Libc = Literal["glibc", "musl"]
Failure = Literal["silent", "refused", "cut"]
Outcome = Literal["answered", "no data", "no such name", "failed"]


@dataclass(frozen=True, slots=True)
class Resolv:
    """What a resolv.conf says, or the defaults where it says nothing."""

    nameservers: tuple[tuple[str, int], ...] = (("127.0.0.1", 53),)
    """In order; glibc and musl heed the first three."""
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout_s: float = 5.0
    attempts: int = 2
    options: tuple[str, ...] = ()
    """All others, as written: rotate, use-vc, edns0, single-request, no-aaaa, trust-ad …"""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one question to one server."""

    reply: bytes | None = None
    error: str = ""
    """Why there is none: it did not answer within 5 s, the port is closed …"""
    took_s: float = 0.0
    transport: str = "udp"
    failure: Failure = "silent"
    """Where there is none: nothing came, the port is closed, or the connection was closed."""


Ask = Callable[[tuple[str, int], bytes, str], Awaitable[Heard]]
"""Asks a nameserver this packet over this transport (udp or tcp). How long it waits is its own
matter (`search_sockets`); the reply has the packet's id."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a walk, and what it led to."""

    name: str
    """Absolute, with the final dot."""
    type: int
    nameserver: tuple[str, int]
    heard: Heard
    because: str
    """Why this name: `as written (it has 2 dots, ndots is 5)`, `search domain 1 of 3: …`."""
    then: str
    """What the libc makes of it: `goes on`, `ends here: answered`, `asks the next server` …"""


@dataclass(frozen=True, slots=True)
class Walk:
    """A whole look-up, as an application gets it."""

    libc: Libc
    asked: tuple[Asked, ...]
    outcome: Outcome
    says: str
    """What the application is told: EAI_NONAME, EAI_AGAIN, EAI_NODATA; empty when answered."""
    name: str = ""
    """The name that was answered, absolute."""
    canonical: str = ""
    """Where its CNAMEs lead."""
    addresses: tuple[str, ...] = ()
