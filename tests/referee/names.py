"""An upstream that knows no name: what is forwarded is NXDOMAIN at once, but for what it is told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Known = dict[tuple[str, str], list[str]]
"""By name with its last dot and type: the data of the records."""


@contextmanager
def serve_nothing() -> Iterator[int]:
    """An upstream on a free port that says NXDOMAIN to everything."""
    with serve({}) as port:
        yield port


@contextmanager
def serve(known: Known) -> Iterator[int]:
    """An upstream on a free port that knows these records."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    threading.Thread(target=_answer_all, args=(sock, known), daemon=True).start()
    try:
        yield int(sock.getsockname()[1])
    finally:
        sock.sendto(b"", sock.getsockname())


def _answer_all(sock: socket.socket, known: Known) -> None:
    with sock:
        while True:
            wire, peer = sock.recvfrom(4096)
            if not wire:
                return
            sock.sendto(_answer(wire, known), peer)


def _answer(wire: bytes, known: Known) -> bytes:
    query = dns.message.from_wire(wire)
    reply = dns.message.make_response(query, recursion_available=True)
    asked = query.question[0]
    name, type_ = asked.name.to_text().lower(), dns.rdatatype.to_text(asked.rdtype)
    found = known.get((name, type_))
    if found:
        reply.answer.append(dns.rrset.from_text(asked.name, 5, "IN", type_, *found))
    elif not any(name == other for other, _ in known):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply.to_wire()
