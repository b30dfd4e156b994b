"""Zones are answered as the RFCs say: on generated hard zones the same as Knot and NSD do.

Left out is what differs on purpose: positive answers name the zone's servers (CoreDNS), and Knot
has no place for a name that gets too long.
"""

import asyncio
import socket
from random import Random

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from kdns.keeping.pull import Pulled, PullError, pull
from kdns.wire import names, types
from kdns.wire.encode import encode
from kdns.wire.message import Answer, Question
from kdns.wire.names import Key
from kdns.zone.files.answer import Alias, find
from kdns.zone.files.changes import records
from kdns.zone.files.parse import parse
from kdns.zone.files.zone import Zone, compiled
from tests.conformance import knot, nsd
from tests.zone.files import hard

ZONES = 8
QUESTIONS = 250


def ours(zone: Zone, name: str, type_: str, *, do: bool = False) -> dns.message.Message:
    key = names.parse_key(name)
    question = Question(1, 0, key, key, types.parse_type(type_), has_opt=do, size=4096, do=do)
    found = find(zone, key, question.type, do=do)
    if isinstance(found, Alias):
        found = Answer(answer=found.answer, authority=found.authority, flags=types.AA)
    return dns.message.from_wire(encode(question, found, types.QR | found.flags).wire)


def theirs(sock: socket.socket, name: str, type_: str, *, do: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, type_, use_edns=0, payload=4096, want_dnssec=do)
    sock.send(query.to_wire())
    return dns.message.from_wire(sock.recv(65535))


def shape(message: dns.message.Message, apex: str) -> dict[str, object]:
    """What must be the same: code, AA and the sections as sets; no apex NS beside an answer."""

    def rows(section) -> list[str]:
        return sorted(
            f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}".lower()
            for rrset in section
            for rdata in rrset
            if not (section is message.authority and str(rrset.name) == apex and _is_ns(rrset))
        )

    return {
        "rcode": dns.rcode.to_text(message.rcode()),
        "aa": bool(message.flags & dns.flags.AA),
        "answer": rows(message.answer),
        "authority": rows(message.authority),
        "additional": rows(message.additional),
    }


def check(ours: dict[str, object], theirs: dict[str, object], asked: str) -> None:
    """The same; but a CNAME to itself, which Knot sends, is SERVFAIL here (CoreDNS)."""
    if ours["rcode"] == "SERVFAIL":
        rows = [row.split() for row in theirs["answer"]]
        assert any(row[2] == "cname" and row[0] == row[3] for row in rows), asked
        return
    more = set(ours["authority"]) - set(theirs["authority"])
    if more and all("nsec" in row.split()[2:4] for row in more):
        # Knot does not prove that a wildcard without records is there (RFC 4035 §3.1.3.4).
        ours["authority"] = [row for row in ours["authority"] if row not in more]
    assert ours == theirs, asked


def _is_ns(rrset) -> bool:
    return rrset.rdtype == types.NS or (rrset.rdtype == types.RRSIG and rrset.covers == types.NS)


def connected(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", port))
    sock.settimeout(30)
    return sock


@pytest.mark.parametrize(
    "serving",
    [
        pytest.param(knot.serving, id="Knot", marks=knot.needs_knot),
        pytest.param(nsd.serving, id="NSD", marks=nsd.needs_nsd),
    ],
)
def test_generated_zones_are_answered_as_others_do(tmp_path, serving):
    chance = Random(20261121)
    texts = {f"z{at}.example.": hard.zone(f"z{at}.example.", chance) for at in range(ZONES)}
    with serving(tmp_path, texts) as port, connected(port) as sock:
        for apex, text in texts.items():
            key = names.parse_key(apex)
            zone = compiled(key, parse(apex, key, {apex: text}.get))
            for name, type_ in hard.questions(apex, chance, QUESTIONS):
                found = shape(ours(zone, name, type_), apex)
                expected = shape(theirs(sock, name, type_), apex)
                if serving is nsd.serving:  # it gives the addresses of the servers it names
                    for each in (found, expected):
                        rows = each["additional"]
                        each["additional"] = [
                            row for row in rows if not row.startswith(f"ns.{apex}")
                        ]
                check(found, expected, f"{name} {type_}\n{text}")


SIGNING = """
policy:
  - id: nsec
    manual: off
  - id: nsec3
    nsec3: on
    nsec3-iterations: 5
acl:
  - id: any
    address: 127.0.0.1
    action: transfer
"""


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["nsec", "nsec3"])
@knot.needs_knot
async def test_zones_that_knot_signed_are_served_and_denied_as_knot_does(tmp_path, policy):
    chance = Random(20261122)
    texts = {f"z{at}.example.": hard.zone(f"z{at}.example.", chance) for at in range(4)}
    options = f"    dnssec-signing: on\n    dnssec-policy: {policy}\n    acl: any"
    with knot.serving(tmp_path, texts, SIGNING, options) as port, connected(port) as sock:
        for apex in texts:
            key = names.parse_key(apex)
            pulled = await transferred(port, key)
            zone = compiled(key, records(pulled.rrsets))
            assert zone.is_signed
            assert zone.nsec3 if policy == "nsec3" else zone.nsec
            for name, type_ in hard.questions(apex, chance, 120):
                if name.startswith("*"):
                    continue  # Knot proves nothing where a wildcard answers for such a name
                check(
                    shape(ours(zone, name, type_, do=True), apex),
                    shape(theirs(sock, name, type_, do=True), apex),
                    f"{name} {type_}",
                )


async def transferred(port: int, apex: Key) -> Pulled:
    """The signed zone, which takes Knot a moment."""
    async with asyncio.timeout(60):
        while True:
            try:
                found = await pull(("127.0.0.1", port), apex, None)
            except PullError:
                await asyncio.sleep(0.1)
                continue
            if any(rrset.type == types.RRSIG for rrset in found.rrsets):
                return found
            await asyncio.sleep(0.1)
