"""Questions become readings: what a server said, and when. One at a time, or steadily from a thread.

A steady asker never stops at a silence: every question is a reading, answered or not.
"""

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Reading:
    """One question and what came of it; times are monotonic seconds."""

    name: str
    sent: float
    got: float | None
    rcode: str = ""
    addresses: frozenset[str] = frozenset()
    is_stale: bool = False
    """The reply carries EDE 3."""

    @property
    def is_answered(self) -> bool:
        """True when a reply came in time."""
        return self.got is not None

    def __str__(self) -> str:
        took = "no reply" if self.got is None else f"{(self.got - self.sent) * 1000:.1f} ms"
        return f"{self.name}: {self.rcode} {sorted(self.addresses)} ({took})"


def ask(
    port: int, name: str, type_: str = "A", *, tcp: bool = False, wait_s: float = 20.0
) -> dns.message.Message:
    """One question and its reply, with EDNS; truncation is for the caller to see."""
    query = dns.message.make_query(name, type_, use_edns=0, payload=1232)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, HOST, wait_s, port)


def texts(reply: dns.message.Message, type_: str = "A") -> list[str]:
    """The data of a reply's records of one type, sorted."""
    wanted = dns.rdatatype.from_text(type_)
    return sorted(
        record.to_text() for rrset in reply.answer if rrset.rdtype == wanted for record in rrset
    )


def look(port: int, name: str, type_: str = "A", *, wait_s: float = 20.0) -> Reading:
    """One question as a reading."""
    sent = time.monotonic()
    try:
        reply = ask(port, name, type_, wait_s=wait_s)
    except (dns.exception.Timeout, OSError):
        return Reading(name, sent, None)
    return reading_of(name, sent, time.monotonic(), reply.to_wire())


def eventually(
    holds: Callable[[], bool], *, within_s: float, every_s: float = 0.05, what: str = ""
) -> float:
    """Waits until something holds; returns how long that took, fails when it takes too long."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > within_s:
            raise AssertionError(f"not within {within_s:g} s: {what or holds}")
        time.sleep(every_s)
    return time.monotonic() - started


@dataclass
class Steady:
    """Asks some names in turn, `rate` questions a second, from entry to exit.

    Replies are matched by ID; a question is given up after `patience_s`.
    """

    port: int
    names: list[str]
    rate: float = 100.0
    patience_s: float = 20.0
    type_: str = "A"
    readings: list[Reading] = field(default_factory=list)

    def __enter__(self) -> "Steady":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def since(self, when: float) -> list[Reading]:
        """The readings of questions sent after a moment."""
        return [each for each in list(self.readings) if each.sent >= when]

    @property
    def lost(self) -> list[Reading]:
        """Questions without a reply."""
        return [each for each in self.readings if not each.is_answered]

    def wrong(self, is_right: Callable[[Reading], bool]) -> list[Reading]:
        """The replies that are not right, and the questions that got none."""
        return [each for each in self.readings if not each.is_answered or not is_right(each)]

    def _run(self) -> None:
        packets = [
            dns.message.make_query(name, self.type_, use_edns=0, payload=1232).to_wire()
            for name in self.names
        ]
        sock = _connected(self.port)
        waiting: dict[int, tuple[str, float]] = {}
        number, due = 0, time.monotonic()
        while not self._stop.is_set() or waiting:
            now = time.monotonic()
            if now >= due and not self._stop.is_set():
                at = number % len(packets)
                number += 1
                due = max(due + 1 / self.rate, now - 0.1)
                waiting[number & 0xFFFF] = (self.names[at], time.monotonic())
                try:
                    sock.send(struct.pack("!H", number & 0xFFFF) + packets[at][2:])
                except OSError:
                    sock.close()
                    sock = _connected(self.port)
            self._receive(sock, waiting, 0.02 if self._stop.is_set() else max(due - now, 0.0))
            self._give_up(waiting)
        sock.close()

    def _receive(
        self, sock: socket.socket, waiting: dict[int, tuple[str, float]], wait_s: float
    ) -> None:
        if not select.select([sock], [], [], wait_s)[0]:
            return
        try:
            wire = sock.recv(65535)
        except OSError:  # the port is closed at this moment
            return
        asked = waiting.pop(int.from_bytes(wire[:2], "big"), None)
        if asked:
            self.readings.append(reading_of(*asked, time.monotonic(), wire))

    def _give_up(self, waiting: dict[int, tuple[str, float]]) -> None:
        limit = time.monotonic() - self.patience_s
        while waiting:
            number, (name, sent) = next(iter(waiting.items()))
            if sent > limit:
                return
            del waiting[number]
            self.readings.append(Reading(name, sent, None))


def _connected(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((HOST, port))
    sock.setblocking(False)
    return sock


def reading_of(name: str, sent: float, got: float, wire: bytes) -> Reading:
    """A reply as a reading."""
    reply = dns.message.from_wire(wire)
    found = [
        str(ip_address(record.address))
        for rrset in reply.answer
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
        for record in rrset
    ]
    stale = any(option.otype == 15 and option.code == 3 for option in reply.options)
    return Reading(name, sent, got, dns.rcode.to_text(reply.rcode()), frozenset(found), stale)
