"""A seed, a cluster and a Corefile become questions: every name they can have, and near misses.

A question carries its finished packet, whether it goes over TCP, and the kind it is counted under.
"""

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import dns.name
import dns.rdatatype

from tests.differential import packets
from tests.differential.clusters import ADDRESSES, HOSTS, NAMESPACES, PORTS, SERVICES, Cluster
from tests.differential.corefiles import Config
from tests.differential.upstream import CODES, RECORDS

TYPES = (
    ("A",) * 8 + ("AAAA",) * 5 + ("SRV",) * 5 + ("PTR", "TXT", "NS", "SOA", "MX", "CNAME", "CNAME")
    + ("HTTPS", "SVCB", "CAA", "ANY", "DS", "HINFO", "NAPTR", "TYPE65280", "DNSKEY")
)  # fmt: skip
PLUGIN_NAMES = (
    "host.hosts.test", "other.hosts.test", "none.hosts.test", "twenty.hosts.test", "two.hosts.test",
    "a.wild.hosts.test", "b.a.wild.hosts.test", "wild.hosts.test", "nine.hosts.test", "hosts.test",
    "alias.hosts.test", "x.hosts.test",
    "a-1.tmpl.test", "a-300.tmpl.test", "a-x.tmpl.test", "b.tmpl.test", "x.c.tmpl.test", "tmpl.test",
    "host.rewrite.test", "web.rewrite.test", "www.rewrite.test", "two.rewrite.test", "missing.rewrite.test",
    "pre-www.outside.test", "pre-host.hosts.test", "rewrite.test", "x.rewrite.outside.test",
    ".", "test", "org", "nowhere.invalid",
    "localhost", "a.localhost", "localhost.outside.test", "1.0.0.127.in-addr.arpa", "0.in-addr.arpa",
    "version.bind", "id.server", "hostname.bind",
    "six.zone.test", "a.zone.test", "c.zone.test", "cc.zone.test", "out.zone.test", "gone.zone.test",
    "zone.test", "mail.zone.test", "t.zone.test", "ent.zone.test", "b.ent.zone.test", "x.ent.zone.test",
    "y.w.zone.test", "x.w.zone.test", "y.x.w.zone.test", "w.zone.test", "y.wc.zone.test", "sub.zone.test",
    "ns.sub.zone.test", "x.sub.zone.test", "_http._tcp.zone.test", "_tcp.zone.test", "none.zone.test",
    "v4.outside.test", "six.outside.test", "www.outside.test", "mapped.outside.test",
    "www.outside.test.default.svc.cluster.local", "v4.outside.test.default.svc.cluster.local",
    "www.default.svc.cluster.local", "missing.default.svc.cluster.local", "two.default.svc.cluster.local",
    "www.svc.cluster.local", "a.zone.test.default.svc.cluster.local",
    "20.2.0.192.in-addr.arpa", "7.2.0.192.in-addr.arpa", "80.2.0.192.in-addr.arpa", "9.2.0.192.in-addr.arpa",
    "2.0.192.in-addr.arpa", "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A question ready to send."""

    kind: str
    packet: bytes
    tcp: bool
    text: str
    """How a person reads it."""
    client: str = "127.0.0.1"
    after_s: float = 0.0
    """How long to wait before it is asked."""


def generate(rng: Random, cluster: Cluster | None, config: Config, count: int) -> list[Asked]:
    """`count` questions about a cluster and a Corefile."""
    makers: list[tuple[str, Callable[[], str]]] = []
    if cluster and config.zones:
        names = Names(rng, cluster, config)
        makers += [(kind, getattr(names, kind)) for kind in Names.KINDS]
    plugins = ("plugins", lambda: rng.choice(PLUGIN_NAMES))
    outside = ("outside", lambda: rng.choice([*RECORDS, *CODES, "missing.outside.test."]))
    if "k8s_external" in config.words and config.zones and cluster:
        makers += [("external", names.external)] * 4
    makers += [plugins, outside] * (1 if makers else 4)
    return [_ask(rng, *rng.choice(makers)) for _ in range(count)]


def again(rng: Random, asked: list[Asked]) -> list[Asked]:
    """The questions, each asked again now and then: later, with DO or CD, or by somebody else."""
    found = []
    for at, one in enumerate(asked):
        found.append(one)
        for _ in range(rng.choice((0, 1, 1, 2))):
            earlier = asked[rng.randint(max(at - 6, 0), at)]
            packet = bytearray(earlier.packet)
            said = " again"
            if rng.random() < 0.3 and len(packet) > 12 and not packet[2] & 0x78:
                packet[3] ^= 0x10
                said += " with CD turned"
            if earlier.packet[-11:-8] == b"\0\0\x29" and rng.random() < 0.4:
                packet[-4] ^= 0x80
                said += " with DO turned"
            client = rng.choice(("127.0.0.1", "127.0.0.9"))
            after_s = 1.1 if rng.random() < 0.08 else 0.0
            text = f"{earlier.text}{said} by {client} after {after_s} s"
            found.append(Asked(earlier.kind, bytes(packet), earlier.tcp, text, client, after_s))
    return found


def odd_packets(rng: Random, count: int) -> list[Asked]:
    """Some of the hand-made packets."""
    chosen = rng.sample(sorted(packets.PACKETS), min(count, len(packets.PACKETS)))
    return [Asked("packet", packets.PACKETS[name], rng.random() < 0.2, name) for name in chosen]


class Names:
    """Draws names that the kubernetes plugin knows, might know, or must not know."""

    KINDS = (
        "service", "service", "service", "endpoint", "endpoint", "port", "port", "pod", "reverse", "reverse",
        "above", "zonal", "multicluster", "deep", "wrong",
    )  # fmt: skip

    def __init__(self, rng: Random, cluster: Cluster, config: Config) -> None:
        self.rng = rng
        self.cluster = cluster
        self.config = config
        meta = [each["metadata"] for each in cluster.of("Service") + cluster.of("ServiceImport")]
        self.services = [(each["name"], each["namespace"]) for each in meta] or [("web", "default")]
        self.spaces = sorted({space for _, space in self.services})
        self.ips = sorted({*ADDRESSES["IPv4"], *ADDRESSES["IPv6"], *_cluster_ips(cluster)})

    def zone(self) -> str:
        """A zone of the stanza."""
        return self.rng.choice(self.config.zones)

    def service(self) -> str:
        """A service there is, mostly."""
        name, space = self.rng.choice(self.services)
        if self.rng.random() < 0.1:
            name = self.rng.choice(SERVICES)
        return f"{name}.{space}.svc.{self.zone()}"

    def external(self) -> str:
        """A name of k8s_external, or nearly one; or the reverse name of an address outside."""
        name, space = self.rng.choice(self.services)
        addresses = ("198.51.100.7", "198.51.100.9", "2001:db8::99", "198.51.100.200")
        reverse = ipaddress.ip_address(self.rng.choice(addresses)).reverse_pointer
        own = f"{name}.{space}.ext.test"
        label = self.rng.choice([*HOSTS, *map(dashed, self.ips)])
        return self.rng.choice(
            (own, own, own, f"_{self.rng.choice(PORTS)}._tcp.{own}", f"{label}.{own}", f"{space}.ext.test",
             "ext.test", "dns.ext.test", "ns1.dns.ext.test", "ns.ext.test", "x.dns.ext.test", f"a.b.{own}",
             f"nowhere.{space}.ext.test", f"{name}.nowhere.ext.test", reverse)
        )  # fmt: skip

    def endpoint(self) -> str:
        """One label before a service: host name, pod name, dashed address, or none of them."""
        addresses = [dashed(ip) for ip in self.ips]
        pods = ("pod-0", "pod-1", "p" * 63, "web-5d9c-x")
        label = self.rng.choice(
            [*addresses, *HOSTS, *HOSTS, *pods, "_http", "http", "_tcp", "_udp", "one", "*"]
        )
        return f"{label}.{self.service()}"

    def port(self) -> str:
        """Two labels before a service."""
        port, protocol = self.rng.choice(PORTS), self.rng.choice(("tcp", "tcp", "udp", "sctp", "x"))
        form = self.rng.choice(("_{}._{}", "_{}._{}", "_{}._{}", "{}.{}", "_{}.{}", "{}._{}"))
        return form.format(port, protocol) + "." + self.service()

    def pod(self) -> str:
        """A pod name, or nearly one."""
        odd = (
            "10-0-0",
            "10-0-0-256",
            "1-2-3-4-5",
            "a-b-c-d",
            "--1",
            "1--",
            "10.0.0.1",
            "pod-0",
            "fd00--",
        )
        label = self.rng.choice([dashed(ip) for ip in self.ips] * 2 + list(odd))
        return f"{label}.{self.rng.choice(self.spaces)}.pod.{self.zone()}"

    def reverse(self) -> str:
        """A reverse name: whole, partial, too long, or out of range."""
        name = ipaddress.ip_address(self.rng.choice(self.ips)).reverse_pointer
        cut = self.rng.random()
        if cut < 0.1:
            return name.partition(".")[2]
        if cut < 0.15:
            return ".".join(name.split(".")[-self.rng.randint(1, 4) :])
        if cut < 0.2:
            return self.rng.choice(("1.", "x.", "256.")) + name
        if cut < 0.25:
            return self.rng.choice(
                ("1.2.3.300.in-addr.arpa", "01.0.0.10.in-addr.arpa", "9.9.9.11.in-addr.arpa")
            )
        return name

    def above(self) -> str:
        """Apex, empty non-terminals and the special names."""
        space = self.rng.choice([*self.spaces, *NAMESPACES])
        label = self.rng.choice(
            ("", "", "svc.", "pod.", f"{space}.svc.", f"{space}.pod.", "dns-version.", "ns.dns.", "dns.",
             "x.ns.dns.", "endpoints.", "*.svc.", f"*.{space}.svc.", "x.dns-version.", "in-addr.", "local.")
        )  # fmt: skip
        return label + self.zone()

    def zonal(self) -> str:
        """Zone-scoped headless names."""
        zone = self.rng.choice(
            ("eu-1a", "eu-1b", "Zone.with.dots", "zone.with.dots", "us", "none", "web-0")
        )
        word = self.rng.choice(
            (
                "pin._zone",
                "prefer._zone",
                "pin._zone",
                "bad._zone",
                "_zone",
                "pin.zone",
                "PIN._Zone",
            )
        )
        return f"{zone}.{word}.{self.service()}"

    def multicluster(self) -> str:
        """An endpoint of one cluster of the set."""
        label = self.rng.choice([dashed(ip) for ip in self.ips] + list(HOSTS) + ["pod-0"])
        return f"{label}.{self.rng.choice(('one', 'two', 'three', 'four'))}.{self.service()}"

    def deep(self) -> str:
        """Too many labels."""
        return f"a.{self.port()}" if self.rng.random() < 0.5 else f"a.b.c.d.{self.service()}"

    def wrong(self) -> str:
        """A service in the wrong place."""
        name, space = self.rng.choice(self.services)
        return self.rng.choice(
            (f"{name}.nowhere.svc.{self.zone()}", f"{name}.{space}.{self.zone()}", f"{name}.{space}.foo.{self.zone()}",
             f"{space}.{name}.svc.{self.zone()}", f"{name}.{space}.svc.cluster.locale", f"{name}.{space}.svc.local",
             f"{name}..svc.{self.zone()}".replace("..", "."), f"{name}.{space}.svc", f"{name}.{space}.svc.x.{self.zone()}")
        )  # fmt: skip


def _ask(rng: Random, kind: str, name: Callable[[], str]) -> Asked:
    text = name()
    type_ = rng.choice(TYPES)
    if kind == "reverse" and rng.random() < 0.8:
        type_ = "PTR"
    if kind == "above" and rng.random() < 0.5:
        type_ = rng.choice(("NS", "SOA", "TXT", "A", "SRV"))
    if kind == "outside" and rng.random() < 0.4:
        type_ = rng.choice(("MX", "TXT", "HTTPS", "CAA", "SRV", "NS", "SOA"))
    tcp = rng.random() < 0.15
    if tcp and rng.random() < 0.1:
        type_ = rng.choice(("AXFR", "IXFR"))
    if rng.random() < 0.25:
        text = "".join(rng.choice((c.lower(), c.upper())) for c in text)
    wire = dns.name.from_text(text).to_wire()
    cls = rng.choice((3, 255)) if rng.random() < 0.02 else 1
    if text.lower().endswith((".bind", ".server")) and rng.random() < 0.8:
        type_, cls = "TXT", 3
    number = int(dns.rdatatype.from_text(type_))
    flags = sum(bit for bit, odds in _FLAGS if rng.random() < odds)
    opcode = rng.choice((1, 2, 4, 5)) if rng.random() < 0.01 else 0
    edns, said = _edns(rng)
    packet = packets.header(flags | packets.opcode(opcode), ar=len(edns) > 0)
    packet += packets.question(wire, number, cls) + edns
    words = f"{text} {type_} class {cls} flags {flags:#x} opcode {opcode}{said}"
    return Asked(kind, packet, tcp, words + (" tcp" if tcp else ""))


_FLAGS = ((packets.RD, 0.85), (packets.CD, 0.1), (packets.AD, 0.2))


def _edns(rng: Random) -> tuple[bytes, str]:
    if rng.random() < 0.5:
        return b"", ""
    size = rng.choice((512, 1232, 1232, 4096, 0, 100, 65535))
    do = 0x8000 if rng.random() < 0.3 else 0
    options = rng.choice(
        (b"", b"", packets.COOKIE, packets.option(3, b""), packets.option(65001, b"hi"))
    )
    return packets.opt(
        size, 0, do, options
    ), f" edns {size}{' do' if do else ''} {options.hex()}".rstrip()


def dashed(ip: str) -> str:
    """The endpoint label of an address."""
    label = ip.replace(".", "-").replace(":", "-")
    return label + "0" if label.endswith("-") else label


def _cluster_ips(cluster: Cluster) -> Iterator[str]:
    for each in cluster.of("Service"):
        spec = each["spec"]
        given = spec.get("clusterIPs") or [spec.get("clusterIP", "None")]
        yield from (ip for ip in given if ip != "None")
    for each in cluster.of("ServiceImport"):
        yield from each["spec"].get("ips", ())
