"""A DNS server of few names for what asks in these tests, in threads; it notes who asked."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

RECORDS = """
web.default.svc.cluster.local. 30 IN A 127.96.1.2
headless.default.svc.cluster.local. 30 IN A 127.244.1.5
headless.default.svc.cluster.local. 30 IN A 127.244.2.7
alias.default.svc.cluster.local. 30 IN CNAME web.default.svc.cluster.local.
twice.default.svc.cluster.local. 30 IN CNAME alias.default.svc.cluster.local.
_http._tcp.web.default.svc.cluster.local. 30 IN SRV 0 100 80 web.default.svc.cluster.local.
dual.default.svc.cluster.local. 30 IN A 127.96.1.3
dual.default.svc.cluster.local. 30 IN AAAA fd00:10:96::3
six.default.svc.cluster.local. 30 IN AAAA fd00:10:96::4
text.default.svc.cluster.local. 30 IN TXT "a b" "c"
web.shop.svc.cluster.local. 30 IN A 127.96.1.4
down.default.svc.cluster.local. 30 IN A 127.96.9.9
www.example.org. 30 IN A 192.0.2.80
2.1.96.127.in-addr.arpa. 30 IN PTR web.default.svc.cluster.local.
5.1.244.127.in-addr.arpa. 30 IN PTR 127-244-1-5.headless.default.svc.cluster.local.
"""
BIG = dns.name.from_text("big.default.svc.cluster.local.")
BROKEN = dns.name.from_text("broken.default.svc.cluster.local.")


def records() -> dict[tuple[dns.name.Name, int], dns.rrset.RRset]:
    found: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
    lines = [line.split(maxsplit=4) for line in RECORDS.strip().splitlines()]
    lines += [[BIG.to_text(), "30", "IN", "A", f"127.244.3.{at}"] for at in range(1, 101)]
    for owner, ttl, _, kind, text in lines:
        one = dns.rrset.from_text(owner, int(ttl), "IN", kind, text)
        key = one.name, one.rdtype
        found[key] = found[key].union(one) if key in found else one
        found[key].ttl = 30
    return found


TABLE = records()
NAMES = {name for name, _ in TABLE}


def answer(wire: bytes, limit: int) -> bytes:
    query = dns.message.from_wire(wire)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA | dns.flags.RA
    name, kind = query.question[0].name, query.question[0].rdtype
    reply.set_rcode(_fill(reply, name, kind))
    try:
        return reply.to_wire(max_size=max(query.payload, 512) if limit == 512 else limit)
    except dns.exception.TooBig:
        cut = dns.message.make_response(query)
        cut.flags |= dns.flags.AA | dns.flags.RA | dns.flags.TC
        return cut.to_wire()


def _fill(reply: dns.message.Message, name: dns.name.Name, kind: int) -> int:
    if name == BROKEN:
        return dns.rcode.SERVFAIL
    while alias := TABLE.get((name, dns.rdatatype.CNAME)):
        reply.answer.append(alias)
        name = alias[0].target
    if found := TABLE.get((name, kind)):
        reply.answer.append(found)
    return dns.rcode.NOERROR if name in NAMES else dns.rcode.NXDOMAIN


class Naming:
    """Listens on UDP and TCP of one address."""

    def __init__(self, address: str, port: int = 0) -> None:
        self.asked: list[tuple[str, str, str]] = []
        """(name, type, whose address) of each question."""
        tcp = socketserver.ThreadingTCPServer((address, port), self._handler(is_stream=True), False)
        tcp.allow_reuse_address = True
        tcp.daemon_threads = True
        tcp.server_bind()
        tcp.server_activate()
        self.port = tcp.server_address[1]
        udp = socketserver.UDPServer((address, self.port), self._handler(is_stream=False))
        self._servers = (tcp, udp)

    def _handler(self, *, is_stream: bool) -> type[socketserver.BaseRequestHandler]:
        note = self.asked

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                if is_stream:
                    head = self.request.recv(2)
                    wire = self.request.recv(int.from_bytes(head, "big"))
                else:
                    wire = self.request[0]
                query = dns.message.from_wire(wire).question[0]
                kind = dns.rdatatype.to_text(query.rdtype)
                note.append((query.name.to_text(), kind, self.client_address[0]))
                reply = answer(wire, 65535 if is_stream else 512)
                if is_stream:
                    self.request.sendall(len(reply).to_bytes(2, "big") + reply)
                else:
                    self.request[1].sendto(reply, self.client_address)

        return Handler

    @contextmanager
    def serving(self) -> Iterator["Naming"]:
        threads = [
            threading.Thread(target=one.serve_forever, args=(0.02,)) for one in self._servers
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            for one in self._servers:
                one.shutdown()
                one.server_close()
            for thread in threads:
                thread.join()


def naming(address: str = "127.96.0.10", port: int = 0) -> Naming:
    """One whose port is free for UDP too."""
    for _ in range(20):
        try:
            return Naming(address, port)
        except OSError:
            if port:
                raise
    raise AssertionError("no port is free")


def free_port(address: str = "127.96.0.10") -> int:
    with socket.socket() as one:
        one.bind((address, 0))
        return one.getsockname()[1]
