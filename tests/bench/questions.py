"""A bench cluster of so many services becomes the packets that each scenario sends.

The packets are written by hand, as stub resolvers write them: no EDNS but where it is said. Chance
comes from seeded generators, so that every server and every run gets the same.
"""

import random
import struct
from collections.abc import Iterator

from tests.bench.cluster import address
from tests.bench.load import CUT, NXDOMAIN, RECORDS, Packet

A, PTR, AAAA, SRV = 1, 12, 28, 33
ENDPOINTS = 15
PODS = "bench.svc.cluster.local", "svc.cluster.local", "cluster.local"
"""What a pod of the namespace has as its search path."""
EDNS = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
"""An OPT record that takes 1232 octets."""


def query(name: str, type_: int, options: bytes | None = None) -> bytes:
    """A query with RD; an OPT record with these options where they are given."""
    labels = name.rstrip(".").encode().split(b".")
    wire = b"".join(bytes([len(label)]) + label for label in labels)
    head = struct.pack("!6H", 0, 0x0100, 1, 0, 0, options is not None)
    packet = head + wire + b"\0" + struct.pack("!HH", type_, 1)
    if options is None:
        return packet
    return packet + EDNS[:-2] + struct.pack("!H", len(options)) + options


def service(at: int) -> str:
    """The name of the at-th service."""
    return f"svc-{at}.bench.svc.cluster.local"


def reverse(dotted: str) -> str:
    """The name of an address below in-addr.arpa."""
    return ".".join(reversed(dotted.split("."))) + ".in-addr.arpa"


def service_address(at: int) -> str:
    """The ClusterIP of the at-th service, as `cluster.objects` gives it."""
    return f"10.{96 + at // 65536}.{at >> 8 & 255}.{at & 255}"


def hot(services: int) -> list[Packet]:
    """A of 20 names."""
    return [(query(service(at * services // 20), A), RECORDS) for at in range(20)]


def once(services: int, round_: int, rounds: int) -> list[Packet]:
    """Everything that can be asked of a share of the services, each question in one round only."""
    out: list[Packet] = []
    for at in range(round_, services, rounds):
        pod = address(at * ENDPOINTS + at % ENDPOINTS)
        out += [
            (query(service(at), A), RECORDS),
            (query(service(at), AAAA), 0),
            (query(f"_http._tcp.{service(at)}", SRV), RECORDS),
            (query(reverse(service_address(at)), PTR), RECORDS),
            (query(reverse(pod), PTR), RECORDS),
            (query(pod.replace(".", "-") + ".bench.pod.cluster.local", A), RECORDS),
        ]
    random.Random(round_).shuffle(out)
    return out


def missing(count: int, round_: int) -> list[Packet]:
    """A of random names that do not exist, other ones each round."""
    chance = random.Random(1000 + round_)
    names = (f"{chance.getrandbits(48):012x}.bench.svc.cluster.local" for _ in range(count))
    return [(query(name, A), NXDOMAIN) for name in names]


def noisy(services: int, count: int, round_: int) -> list[Packet]:
    """A of 1,000 names in random letter case, with random client cookies: no packet comes twice."""
    chance = random.Random(2000 + round_)
    known = min(services, 1000)
    out = []
    for _ in range(count):
        name = service(chance.randrange(known))
        bits = chance.getrandbits(len(name))
        mixed = "".join(c.upper() if bits >> i & 1 else c for i, c in enumerate(name))
        cookie = b"\0\x0a\0\x08" + chance.randbytes(8)
        out.append((query(mixed, A, cookie), RECORDS))
    return out


def pods(services: int, count: int) -> list[Packet]:
    """What resolvers of pods send: A and AAAA together, search paths walked (ndots:5), Zipf.

    Of the look-ups 40 % are for a service of the own namespace, 20 % for `name.namespace`, 10 % for
    the whole name, which walks the path too, and 30 % for a name outside of the cluster.
    """
    chance = random.Random(3000)
    known = min(services, 2000)
    ranks = [1 / (rank + 1) for rank in range(known)]
    inside = iter(chance.choices(range(known), ranks, k=count))
    outside = iter(chance.choices(range(100), ranks[:100], k=count))
    out: list[Packet] = []
    while len(out) < count:
        kind = chance.random()
        at = next(inside)
        if kind < 0.4:
            out += looked_up(f"svc-{at}", 0)
        elif kind < 0.6:
            out += looked_up(f"svc-{at}.bench", 1)
        elif kind < 0.7:
            out += looked_up(service(at), 3)
        else:
            out += looked_up(f"api-{next(outside)}.example.com", 3)
    return out


def looked_up(name: str, misses: int) -> Iterator[Packet]:
    """The pairs of queries for a name that is found after so many suffixes of the search path."""
    for suffix in PODS[:misses]:
        for type_ in (A, AAAA):
            yield query(f"{name}.{suffix}", type_), NXDOMAIN
    found = f"{name}.{PODS[misses]}" if misses < len(PODS) else name
    yield query(found, A), RECORDS
    yield query(found, AAAA), 0


def outside(count: int, round_: int) -> list[Packet]:
    """A of names outside of the cluster, other ones each round."""
    names = [f"h{at}-{round_}.example.com" for at in range(count)]
    return [(query(name, A), RECORDS) for name in names]


def large() -> list[Packet]:
    """A of the headless service of 500 endpoints, whole."""
    return [(query("large.bench.svc.cluster.local", A), RECORDS)]


def large_cut() -> list[Packet]:
    """The same over UDP: it does not fit into 1232 octets."""
    return [(query("large.bench.svc.cluster.local", A, b""), CUT)]


def zone(services: int, large: int) -> str:
    """The records that answer all of this, as a zone file of the root for a server of zones."""
    lines = [
        "$TTL 30", ". SOA ns.dns. root.dns. 1 7200 1800 86400 30", ". NS ns.dns.", "ns.dns. A 192.0.2.1",
        "*.example.com. A 192.0.2.7",
    ]  # fmt: skip
    for at in range(services):
        name, pod = f"{service(at)}.", address(at * ENDPOINTS + at % ENDPOINTS)
        dashed = pod.replace(".", "-")
        lines += [
            f"{name} A {service_address(at)}",
            f"_http._tcp.{name} SRV 0 100 80 {name}",
            f"{reverse(service_address(at))}. PTR {name}",
            f"{reverse(pod)}. PTR {dashed}.{name}",
            f"{dashed}.bench.pod.cluster.local. A {pod}",
        ]
    lines += [f"large.bench.svc.cluster.local. A {address(0x90000 + n)}" for n in range(large)]
    return "\n".join(lines) + "\n"
