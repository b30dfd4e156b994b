"""Packets go to any DNS server and its replies return: raw sockets, dnspython only to read.

Nothing here knows kdns: what is sent and read stands on the wire for everybody.
"""

import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dns.message
import pytest

PATIENCE_S = 30.0
"""How long a reply may take."""
FENCES = 10
"""How many queries are answered while a reply that must not come would have come."""


@dataclass(frozen=True)
class Server:
    """A server that serves `zone`, and in it `name` with an address and no SRV-like surprises."""

    host: str
    port: int
    zone: str
    name: str
    big: str = ""
    """A name whose addresses do not fit into 512 octets; empty where the server has none."""

    def missing(self) -> str:
        """A name of the zone that does not exist, a new one each time."""
        return f"missing-{secrets.token_hex(6)}.{self.zone}"

    @contextmanager
    def udp(self) -> Iterator[socket.socket]:
        """A connected UDP socket."""
        with socket.socket(self._family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect((self.host, self.port))
            yield sock

    @contextmanager
    def tcp(self) -> Iterator[socket.socket]:
        """A TCP connection."""
        with socket.create_connection((self.host, self.port), PATIENCE_S) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield sock

    @property
    def _family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def send(self, packet: bytes, *, tcp: bool = False) -> bytes:
        """The reply to a packet."""
        if tcp:
            with self.tcp() as sock:
                sock.sendall(frame(packet))
                return receive(sock)
        with self.udp() as sock:
            sock.send(packet)
            try:
                return sock.recv(65535)
            except TimeoutError:
                pytest.fail(f"no reply within {PATIENCE_S} s to {packet.hex()}")

    def ask(
        self, name: str, type_: str = "A", *, tcp: bool = False, flags: str = "", **edns: object
    ) -> dns.message.Message:
        """The reply to a query; `flags` in words, `edns` as dnspython's make_query takes it."""
        return self.exchange(query(name, type_, flags=flags, **edns), tcp=tcp)

    def exchange(self, asked: dns.message.Message, *, tcp: bool = False) -> dns.message.Message:
        """The reply to a message, checked to be one."""
        reply = dns.message.from_wire(self.send(asked.to_wire(), tcp=tcp))
        assert reply.id == asked.id
        assert reply.flags & dns.flags.QR
        return reply

    def is_silent_for(self, packet: bytes) -> bool:
        """True when a packet gets no reply, although every query behind it gets its own."""
        with self.udp() as sock:
            sock.send(packet)
            for _ in range(FENCES):
                after = query(self.name).to_wire()
                sock.send(after)
                if sock.recv(65535)[:2] != after[:2]:
                    return False
        return True


def query(name: str, type_: str = "A", *, flags: str = "", **edns: object) -> dns.message.Message:
    """A query, with no flag and no EDNS unless given."""
    asked = dns.message.make_query(name, type_, **edns)
    asked.flags = dns.flags.from_text(flags)
    return asked


def frame(packet: bytes) -> bytes:
    """A message as it goes over TCP."""
    return struct.pack("!H", len(packet)) + packet


def receive(sock: socket.socket) -> bytes:
    """One message from a TCP connection."""
    size = int.from_bytes(exactly(sock, 2), "big")
    return exactly(sock, size)


def exactly(sock: socket.socket, size: int) -> bytes:
    """That many octets."""
    got = b""
    while len(got) < size:
        try:
            more = sock.recv(size - len(got))
        except TimeoutError:
            pytest.fail(f"the connection went quiet after {len(got)} of {size} octets")
        assert more, f"the connection was closed after {len(got)} of {size} octets"
        got += more
    return got
