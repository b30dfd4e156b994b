"""Zones as they come: as text, by a transfer of a master, and changed by UPDATE messages."""

import asyncio
from random import Random

import dns.message
import dns.update

from kdns.keeping.pour import incremental, whole
from kdns.keeping.pull import PullError, _taken
from kdns.wire import types
from kdns.wire.encode import encode
from kdns.wire.message import WireError
from kdns.wire.scan import scan
from kdns.zone.files import update
from kdns.zone.files.changes import applied, differing, records
from kdns.zone.files.parse import ZoneError, parse
from kdns.zone.files.zone import compiled, finish
from tests.fuzz.packets import mutate
from tests.fuzz.targets import Target
from tests.keeping.masters import APEX, Source, zone

ALL_TYPES = """$ORIGIN example.
$TTL 1h
@ SOA ns host ( 7 ; serial
  7200 900 1W 60 )
@ NS ns
ns 300 IN A 192.0.2.1
   AAAA 2001:db8::1
mail MX 10 ns
txt TXT "a \\"b\\" \\065" ; comment
    TXT ( "long" "er" )
_x._tcp SRV 0 0 53 ns.example.
*.wild CNAME ns
sub DS 1 8 2 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF
odd TYPE65280 \\# 3 010203
caa CAA 0 issue "ca.example"
loc LOC 51 30 12.748 N 0 7 39.611 W 0.00m 0.00m 0.00m 0.00m
svc HTTPS 1 . alpn=h2,h3 port=443 ipv4hint=192.0.2.1
nap NAPTR 100 10 "u" "sip+E2U" "!^.*$!sip:a@b!" .
$GENERATE 1-20/3 host-${0,3,d} A 10.0.0.$
$INCLUDE other sub.example.
"""
OTHER = "a A 10.1.1.1\n$ORIGIN b\n@ TXT x\n"
HEAD, LINES = (
    "".join(ALL_TYPES.splitlines(keepends=True)[:6]),
    ALL_TYPES.splitlines(keepends=True)[6:],
)
TEXTS = (ALL_TYPES, *(HEAD + line for line in LINES), HEAD + OTHER, HEAD.replace("IN", "CH"))


def _text(_: Random, octets: bytes) -> None:
    files = {"db": octets.decode("utf-8", "replace"), "other": OTHER}
    made = compiled(APEX, parse("db", APEX, lambda path: files.get(path, "")))
    assert made.soa.type == types.SOA


PLAIN = ALL_TYPES.replace("sub DS", ";").replace("odd TYPE65280", ";")
CONTENTS = update.gathered(APEX, parse("db", APEX, lambda path: PLAIN if path == "db" else OTHER))


def _updates() -> list[bytes]:
    one, two, three = (dns.update.UpdateMessage("example", id=at) for at in (1, 2, 3))
    one.add("new", 60, "A", "10.0.0.9")
    one.delete("mail")
    one.replace("@", 60, "SOA", "ns host 8 1 2 3 4")
    two.present("txt", "TXT")
    two.absent("none")
    two.present("ns", "A", "192.0.2.1")
    two.delete("txt", "TXT", '"long" "er"')
    two.add("ns", 60, "CNAME", "mail")
    three.delete("@", "NS")
    three.delete("@", "NS", "ns")
    three.delete("@")
    three.add("a.b.c", 0, "MX", "10 mail")
    return [message.to_wire() for message in (one, two, three)]


def _update(_: Random, packet: bytes) -> None:
    if len(packet) < 12:
        return  # of nobody's: no plugin is asked
    read = update.read(packet)
    update.prerequisites(CONTENTS, read.prerequisites)
    update.permitted(read.updates, lambda _owner, _type: True)
    update.scanned(CONTENTS, read.updates)
    after = update.applied(CONTENTS, read.updates)
    made = compiled(APEX, after.records())
    assert made.serial == after.serial, "a zone without its serial"


KNOWN = zone(1, "a A 1.1.1.1\n")
LATER = zone(3, "b A 1.1.1.3\nc TXT x\n" + "".join(f"h{at} A 10.0.0.{at}\n" for at in range(90)))
STEPS = [finish(differing(KNOWN, LATER))]
ASKED = dns.message.make_query("example", "AXFR", id=0).to_wire()
MESSAGES = [
    [encode(scan(ASKED), answer, types.QR | types.AA).wire for answer in made]
    for made in (whole(Source(LATER), APEX, "test"), incremental(STEPS, "test"))
]


class _Master:
    """Says what it has as soon as it is asked, under the id it was asked with."""

    def __init__(self, rng: Random, reader: asyncio.StreamReader, first: bytes) -> None:
        self.rng, self.reader, self.first = rng, reader, first

    def write(self, query: bytes) -> None:
        rng = self.rng
        rest = rng.choice(MESSAGES)[1:]
        for message in (self.first, *rest):
            bent = message if rng.random() < 0.7 else mutate(rng, MESSAGES[0] + MESSAGES[1])
            if rng.random() < 0.95:
                bent = query[2:4] + bent[2:]
            self.reader.feed_data(len(bent).to_bytes(2, "big") + bent)
        self.reader.feed_eof()


async def _transfer(rng: Random, octets: bytes) -> None:
    reader = asyncio.StreamReader()
    known = rng.choice((None, KNOWN))
    pulled = await _taken(reader, _Master(rng, reader, octets), APEX, known)
    if pulled.is_current and known is not None:
        return
    if pulled.differences:
        compiled(APEX, applied(known, pulled.differences))
    else:
        compiled(APEX, records(pulled.rrsets))


TARGETS = (
    Target("zone text", [text.encode() for text in TEXTS], _text, (ZoneError,), 2.0),
    Target("UPDATE", _updates(), _update, (WireError, update.Refused)),
    Target(
        "transfers",
        MESSAGES[0] + MESSAGES[1],
        _transfer,
        (PullError, WireError, ZoneError, EOFError),
    ),
)
