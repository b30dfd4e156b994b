"""A scripted resolver on loopback: fixed names with fixed answers, for `forward` to ask.

The same question always gets the same answer, over UDP and TCP alike, so that two servers which
forward to it can be compared.
"""

import asyncio
import struct
from contextlib import suppress

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

SOA = ("outside.test.", 300, "IN", "SOA", "ns.outside.test. root.outside.test. 7 1 2 3 60")
BIG = [f"192.0.2.{i}" for i in range(1, 120)]

RECORDS: dict[str, list[tuple[str, ...]]] = {
    "www.outside.test.": [
        ("300", "A", "192.0.2.80"),
        ("300", "AAAA", "2001:db8::80"),
        ("300", "TXT", '"a text" "and another"'),
    ],
    "two.outside.test.": [("60", "A", "192.0.2.1", "192.0.2.2"), ("60", "AAAA", "2001:db8::1")],
    "v4.outside.test.": [("30", "A", "192.0.2.4")],
    "six.outside.test.": [("30", "AAAA", "64:ff9b::c000:207", "2001:db8::80")],
    "mapped.outside.test.": [("90", "CNAME", "six.outside.test.")],
    "zero.outside.test.": [("0", "A", "192.0.2.10")],
    "one.outside.test.": [("1", "A", "192.0.2.11")],
    "long.outside.test.": [("604800", "A", "192.0.2.12")],
    "alias.outside.test.": [("120", "CNAME", "www.outside.test.")],
    "alias2.outside.test.": [("60", "CNAME", "Alias.outside.test.")],
    "dangling.outside.test.": [("60", "CNAME", "missing.outside.test.")],
    "mail.outside.test.": [("300", "MX", "10 mx1.outside.test.", "20 MX2.outside.test.")],
    "srv.outside.test.": [("300", "SRV", "0 5 443 www.outside.test.")],
    "https.outside.test.": [("300", "HTTPS", '1 . alpn="h2"'), ("300", "CAA", '0 issue "ca.test"')],
    "big.outside.test.": [("60", "A", *BIG)],
    "outside.test.": [("300", "NS", "ns.outside.test."), ("300", *SOA[3:])],
    "ns.outside.test.": [("300", "A", "192.0.2.53")],
    "80.2.0.192.in-addr.arpa.": [("300", "PTR", "www.outside.test.")],
}
"""Owner → (TTL, type, rdata…). Below outside.test all else does not exist; elsewhere it is refused,
but for the names that fail in a way of their own."""

CODES = {
    "servfail.outside.test.": dns.rcode.SERVFAIL,
    "refused.outside.test.": dns.rcode.REFUSED,
    "notimp.outside.test.": dns.rcode.NOTIMP,
}


def reply(wire: bytes, limit: int) -> bytes | None:
    """The reply to a packet, cut to an empty one with TC where it is longer than the limit."""
    asked = _read(wire)
    if asked is None or not asked.question:
        return None
    answer = dns.message.make_response(asked, recursion_available=True, our_payload=1232)
    answer.flags |= asked.flags & dns.flags.CD  # RFC 4035 §3.2.2, which dnspython leaves to us
    _fill(answer, asked.question[0])
    whole = packed(answer)
    if asked.edns >= 0:
        limit = max(limit, asked.payload)
    if len(whole) <= limit:
        return whole
    answer.answer, answer.authority, answer.additional = [], [], []
    answer.flags |= dns.flags.TC
    return packed(answer)


def _read(wire: bytes) -> dns.message.Message | None:
    """The query; without EDNS where dnspython is stricter than resolvers are."""
    for is_question_only in (False, True):
        with suppress(dns.exception.DNSException):
            return dns.message.from_wire(wire, question_only=is_question_only, ignore_trailing=True)
    return None


def packed(message: dns.message.Message) -> bytes:
    """The message without name compression: dnspython's own would lend names the asker's case."""
    sections = [message.answer, message.authority, [message.opt] if message.opt else []]
    counts = [sum(map(len, section)) for section in sections]
    wire = struct.pack("!6H", message.id, message.flags, 1, *counts)
    asked = message.question[0]
    wire += asked.name.to_wire() + struct.pack("!2H", asked.rdtype, asked.rdclass)
    for rrset in [rrset for section in sections for rrset in section]:
        for rdata in rrset:
            data = rdata.to_wire()
            fixed = struct.pack("!2HIH", rrset.rdtype, rrset.rdclass, rrset.ttl, len(data))
            wire += rrset.name.to_wire() + fixed + data
    return wire


def _fill(answer: dns.message.Message, question: dns.rrset.RRset) -> None:
    name, type_ = question.name, question.rdtype
    text = name.to_text().lower()
    if text in CODES:
        answer.set_rcode(CODES[text])
        return
    if not text.endswith("outside.test.") and text not in RECORDS:
        answer.set_rcode(dns.rcode.NXDOMAIN)
        answer.authority.append(dns.rrset.from_text(".", 300, "IN", "SOA", ". . 1 2 3 4 30"))
        return
    for _ in range(8):
        rows = RECORDS.get(name.to_text().lower())
        if rows is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
            break
        wanted = [row for row in rows if dns.rdatatype.from_text(row[1]) in (type_, 5)]
        for ttl, kind, *rdata in wanted:
            answer.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, *rdata))
        if not wanted or wanted[0][1] != "CNAME" or type_ == dns.rdatatype.CNAME:
            if wanted:
                return
            break
        name = dns.name.from_text(wanted[0][2])
    answer.authority.append(dns.rrset.from_text(*SOA))


class Upstream(asyncio.DatagramProtocol):
    """The resolver on one port, UDP and TCP, from `start` to `stop`."""

    transport: asyncio.DatagramTransport
    server: asyncio.Server

    async def start(self) -> int:
        """Opens both sockets and returns their port."""
        loop = asyncio.get_running_loop()
        while True:
            self.server = await loop.create_server(_Stream, "127.0.0.1", 0)
            port: int = self.server.sockets[0].getsockname()[1]
            with suppress(OSError):
                await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", port))
                return port
            self.server.close()

    def stop(self) -> None:
        """Closes both sockets."""
        self.server.close()
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # asyncio's own typing is wider

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = reply(data, 512)
        if answer is not None:
            self.transport.sendto(answer, addr)


class _Stream(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.got = b""

    def data_received(self, data: bytes) -> None:
        self.got += data
        while len(self.got) >= 2 and len(self.got) >= 2 + int.from_bytes(self.got[:2], "big"):
            size = 2 + int.from_bytes(self.got[:2], "big")
            answer = reply(self.got[2:size], 65535)
            self.got = self.got[size:]
            if answer is not None:
                self.transport.write(len(answer).to_bytes(2, "big") + answer)
