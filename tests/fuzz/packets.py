"""Packets of every kind, and what becomes of them when bits flip, ends go missing, parts move."""

import struct
from collections.abc import Sequence
from random import Random

import dns.message

from tests.differential.packets import PACKETS

NAMES = (
    "web.shop.svc.cluster.local", "mysql.shop.svc.cluster.local", "mysql-1.mysql.shop.svc.cluster.local",
    "_mysql._tcp.mysql.shop.svc.cluster.local", "stock.shop.svc.cluster.local", "payments.shop.svc.cluster.local",
    "store.shop.svc.cluster.local", "kube-dns.kube-system.svc.cluster.local", "nothing.shop.svc.cluster.local",
    "10-244-1-1.shop.pod.cluster.local", "fd00--1.shop.pod.cluster.local", "shop.svc.cluster.local",
    "svc.cluster.local", "cluster.local", "ns.dns.cluster.local", "dns-version.cluster.local",
    "eu-1.pin._zone.mysql.shop.svc.cluster.local", "20.0.96.10.in-addr.arpa", "1.1.244.10.in-addr.arpa",
    "10.0.96.10.in-addr.arpa", "in-addr.arpa", "4.0.0.0.0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa",
    "pay.example.com", "www.example.com", "a-7.tmpl.test", "web.rewrite.test", "web.shop.svc.again.test", "x.whoami.test", ".",
    "web.shop.svc.cluster.local.shop.svc.cluster.local", "WeB.sHoP.sVc.ClUsTeR.lOcAl", "many.big.svc.cluster.local",
)  # fmt: skip
TYPES = (
    "A", "AAAA", "SRV", "PTR", "TXT", "SOA", "NS", "CNAME", "MX", "ANY", "HTTPS", "DS", "AXFR",
    "IXFR", "CAA", "TYPE0", "TYPE65280",
)  # fmt: skip
EDGES = (0, 1, 2, 3, 4, 11, 12, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xC1, 0xFE, 0xFF)


def seeds(rng: Random) -> list[bytes]:
    """Queries for every kind of name and type, and every odd packet the differential knows."""
    made = list(PACKETS.values())
    for name in NAMES:
        for type_ in TYPES:
            query = dns.message.make_query(name, type_)
            query.id = rng.getrandbits(16)
            if rng.random() < 0.5:
                size = rng.choice((0, 512, 1232, 4096, 65535))
                query.use_edns(0, rng.choice((0, 0x8000)), size)
            made.append(query.to_wire())
    return made


def mutate(rng: Random, corpus: Sequence[bytes]) -> bytes:
    """A packet after none, one or several changes."""
    packet = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 8))):
        rng.choice(CHANGES)(rng, packet, corpus)
    return bytes(packet[:65535])


def _flip(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    if packet:
        packet[rng.randrange(len(packet))] ^= 1 << rng.randrange(8)


def _set(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    if packet:
        packet[rng.randrange(len(packet))] = rng.choice(EDGES)


def _cut(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(packet) + 1)
    del packet[at : at + rng.randint(1, 12)]


def _end(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    del packet[rng.randrange(len(packet) + 1) :]


def _put(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(packet) + 1)
    packet[at:at] = rng.randbytes(rng.randint(1, 12))


def _counts(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    if len(packet) >= 12:
        at = rng.choice((4, 6, 8, 10))
        packet[at : at + 2] = struct.pack("!H", rng.choice((0, 1, 1, 2, 3, 255, 65535)))


def _flags(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    if len(packet) >= 4:
        packet[2:4] = rng.randbytes(2)
        packet[2] &= rng.choice((0x7F, 0x07, 0xFF))


def _pointer(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(packet) + 1)
    packet[at : at + rng.choice((0, 1, 2))] = struct.pack("!H", 0xC000 | rng.randrange(64))


def _splice(rng: Random, packet: bytearray, corpus: Sequence[bytes]) -> None:
    other = rng.choice(corpus)
    at = rng.randrange(len(packet) + 1)
    packet[at:] = other[rng.randrange(len(other) + 1) :]


def _record(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    """One more record at the end, counted or not."""
    type_ = rng.choice((1, 2, 5, 6, 12, 16, 28, 33, 41, 41, 41, 250, 65280, rng.getrandbits(16)))
    value = rng.randbytes(rng.choice((0, 1, 4, 16, 40)))
    owner = rng.choice((b"\0", b"\xc0\x0c", b"\1x\0", b"\xc0\x00"))
    length = rng.choice((len(value), len(value), 0, len(value) + 1, 65535))
    cls, ttl = rng.choice((1, 1232, 65535)), rng.choice((0, 1 << 16, 0x8000, 0xFFFFFFFF))
    packet += owner + struct.pack("!HHIH", type_, cls, ttl, length) + value
    if len(packet) >= 12 and rng.random() < 0.8:
        packet[11] = (packet[11] + 1) & 0xFF


def _repeat(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    if packet:
        at = rng.randrange(len(packet))
        part = packet[at : at + rng.randint(1, 40)]
        packet[at:at] = part * rng.choice((1, 2, 10))


def _case(rng: Random, packet: bytearray, _: Sequence[bytes]) -> None:
    for at in range(12, len(packet)):
        if (packet[at] & 0xDF) in range(0x41, 0x5B) and rng.random() < 0.5:
            packet[at] ^= 0x20


CHANGES = (
    _flip, _flip, _set, _set, _cut, _end, _put, _counts, _flags, _pointer, _splice, _record, _repeat, _case,
)  # fmt: skip
