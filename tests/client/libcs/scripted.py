"""What a scripted nameserver answers: the same table for real sockets and for the walk's `ask`.

A table says what is done by the most telling of these keys: `name TYPE @n`, `name @n`, `* @n`,
`name TYPE`, `name`, `* TYPE`, `*`, n being 0 for the first nameserver. What is done is one of the
words below, or records: `A 10.0.0.1`, `CNAME other.test. A 10.0.0.1`.
"""

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

CODES = {"NXDOMAIN", "SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"}
SILENT = {"drop", "closed"}
CLOSES = b""
"""No reply over TCP: the connection is closed."""


def deed(table: dict[str, str], packet: bytes, server: int) -> str:
    """What this nameserver does about this query."""
    question = dns.message.from_wire(packet).question[0]
    name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
    at = f"@{server}"
    keys = (f"{name} {kind} {at}", f"{name} {at}", f"* {kind} {at}", f"* {at}", f"{name} {kind}",
            name, f"* {kind}", "*")  # fmt: skip
    return next(table[key] for key in keys if key in table)


def replied(table: dict[str, str], packet: bytes, server: int, transport: str) -> bytes | None:
    """The reply; None where there is silence."""
    try:
        word = deed(table, packet, server)
    except dns.exception.DNSException:
        return None
    if word in SILENT:
        return None
    reply = dns.message.make_response(dns.message.from_wire(packet))
    reply.flags |= dns.flags.AA | dns.flags.RA
    if word == "short":
        return packet[:2] + b"\x81\x80"
    if word.startswith("TC "):
        if transport == "udp":
            reply.flags |= dns.flags.TC
            return reply.to_wire()
        word = word[3:]
        if word == "close":
            return CLOSES
        if word in SILENT:
            return None
    if word == "other-id":
        reply.id ^= 1
    elif word == "other-question":
        reply.question[0].name = dns.name.from_text("other.invalid.")
    elif word in CODES:
        reply.set_rcode(dns.rcode.from_text(word))
    elif word == "lame":
        reply.flags &= ~(dns.flags.AA | dns.flags.RA)
    elif word != "NODATA":
        _fill(reply, word.split())
    wire = reply.to_wire()
    return wire[:-2] if word == "A cut" and reply.answer else wire


def _fill(reply: dns.message.Message, words: list[str]) -> None:
    """Records one after the other; a CNAME leads to the owner of those behind it."""
    question = reply.question[0]
    owner = question.name
    for kind, value in zip(words[::2], words[1::2], strict=True):
        rdtype = dns.rdatatype.from_text(kind)
        if rdtype not in (question.rdtype, dns.rdatatype.CNAME):
            continue
        text = "192.0.2.1" if value == "cut" else value
        reply.answer.append(dns.rrset.from_text(owner, 5, "IN", kind, text))
        if rdtype == dns.rdatatype.CNAME:
            owner = dns.name.from_text(value)
