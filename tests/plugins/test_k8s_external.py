"""k8s_external: names for clients outside, as CoreDNS 1.15.0 answers them or better."""

import dns.rdatatype
import pytest

from kdns.cluster.store import Delete, Put
from kdns.corefile.tree import ConfigError
from kdns.plugins.base import SKIP, Backend, Query, Result
from kdns.plugins.k8s_external import K8sExternal
from kdns.plugins.kubernetes import Kubernetes
from kdns.wire import names, records, types
from kdns.wire.message import Answer, RRset
from tests.fakes import chain
from tests.zone.outer import follow, said
from tests.zone.worlds import endpoint, namespace, objects, rows, service, slice_, told


def outer(name: str, *hosts: str, ips=(), cluster=("10.0.0.9",), **fields):
    """A service with external addresses, and load balancers known by name."""
    made = service(name, *cluster, **fields)
    made["spec"] |= {"type": "LoadBalancer", "externalIPs": list(ips)}
    made["status"] = {"loadBalancer": {"ingress": [{"hostname": host} for host in hosts]}}
    return made


CLUSTER = (
    namespace("a"),
    namespace("b"),
    outer("ext", ips=["192.0.2.1", "2001:db8::1"], ports=["http:80", "dns:53/UDP"]),
    outer("dup", ips=["192.0.2.1"]),
    outer("lb", "Lb.Outside.test"),
    outer("two", "one.outside.test", "two.outside.test"),
    outer("mix", "lb.outside.test", ips=["192.0.2.4"]),
    outer("bare", ips=["192.0.2.7"], ports=[]),
    service("plain", "10.0.0.5"),
    service("head"),
    slice_("head", endpoint("10.1.0.1"), endpoint("10.1.0.2", hostname="h2"),
           endpoint("10.1.0.3", ready=False)),
    slice_("head", endpoint("fd00::1"), name="head-6"),
    outer("hide", ips=["192.0.2.12"], ns="hidden"),
    service("name", external="www.outside.test"),
)  # fmt: skip


class Outside(Backend):
    """What this server says of other names."""

    name = "outside"
    says: dict[tuple[str, int], Answer | None] | None = None

    async def answer(self, query: Query) -> Result:
        return (self.says or {}).get((names.format(query.key), query.type), SKIP)


def external(options="", zones="example.org in-addr.arpa ip6.arpa", kubernetes="namespaces a b"):
    text = f"k8s_external {zones} {{\n{options}\n}}\nkubernetes cluster.local {{\n{kubernetes}\n}}"
    made = chain(text + "\noutside", K8sExternal, Kubernetes, Outside)
    return follow(made, CLUSTER)


A_RECORD = RRset(
    names.parse_key("lb.outside.test"), types.A, 30, (records.address("198.51.100.1"),)
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("ext.a.example.org A", "192.0.2.1"),
        ("ext.a.example.org AAAA", "2001:db8::1"),
        ("ext.a.example.org MX", "NODATA"),
        ("EXT.a.example.org A", "192.0.2.1"),
        ("x.ext.a.example.org A", "192.0.2.1"),
        ("dup.a.example.org AAAA", "NODATA"),
        ("_http._tcp.dup.a.example.org A", "192.0.2.1"),
        ("http.tcp.dup.a.example.org A", "192.0.2.1"),
        ("_none._tcp.dup.a.example.org A", "NXDOMAIN"),
        ("ext.a.example.org SRV", "0 25 53 ext.a.example.org. | 0 25 80 ext.a.example.org."),
        ("_dns._udp.ext.a.example.org SRV", "0 50 53 ext.a.example.org."),
        ("bare.a.example.org A", "192.0.2.7"),
        ("bare.a.example.org SRV", "NODATA"),
        ("_http._tcp.bare.a.example.org SRV", "NXDOMAIN"),
        ("a.b.c.ext.a.example.org A", "NXDOMAIN"),
        ("plain.a.example.org A", "NXDOMAIN"),
        ("name.a.example.org A", "NXDOMAIN"),
        ("head.a.example.org A", "NXDOMAIN"),
        ("hide.hidden.example.org A", "NXDOMAIN"),
        ("no.a.example.org SOA", "NXDOMAIN"),
        ("ext.a.example.org SOA", "NODATA"),
        ("a.example.org A", "NODATA"),
        ("hidden.example.org A", "NXDOMAIN"),
        ("none.example.org A", "NXDOMAIN"),
        ("example.org A", "NODATA"),
        ("dns.example.org A", "NODATA"),
        ("x.dns.example.org A", "NXDOMAIN"),
        ("x.ns1.dns.example.org A", "NXDOMAIN"),
        ("example.org NS", "ns1.dns.example.org."),
        ("mix.a.example.org A", "192.0.2.4"),
        ("mix.a.example.org AAAA", "NODATA"),
        ("lb.a.example.org CNAME", "Lb.Outside.test."),
        ("lb.a.example.org TXT", "NODATA"),
        ("two.a.example.org CNAME", "two.outside.test."),
        ("1.2.0.192.in-addr.arpa PTR", "dup.a.example.org. | ext.a.example.org."),
        ("1.2.0.192.in-addr.arpa A", "NODATA"),
        ("9.2.0.192.in-addr.arpa PTR", "NXDOMAIN"),
        ("12.2.0.192.in-addr.arpa PTR", "NXDOMAIN"),
        ("in-addr.arpa NS", "ns1.dns.in-addr.arpa."),
        ("cluster.local A", "NODATA"),
        ("other.test A", "SKIP"),
    ],
)
async def test_names(asked, expected):
    assert await said(external(), *asked.split()) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("head.a.example.org A", "10.1.0.1 | 10.1.0.2"),
        ("head.a.example.org AAAA", "fd00::1"),
        ("head.a.example.org TXT", "NODATA"),
        ("h2.head.a.example.org A", "10.1.0.2"),
        ("10-1-0-3.head.a.example.org A", "NXDOMAIN"),
        ("h2.head.a.example.org SRV", "0 100 8080 h2.head.a.example.org."),
        ("_http._tcp.head.a.example.org SRV",
         "0 33 8080 10-1-0-1.head.a.example.org. | 0 33 8080 fd00--1.head.a.example.org. | "
         "0 33 8080 h2.head.a.example.org."),
        ("_none._tcp.head.a.example.org A", "NXDOMAIN"),
    ],
)  # fmt: skip
async def test_headless_services_answer_their_endpoints_when_wanted(asked, expected):
    assert await said(external("headless"), *asked.split()) == expected


async def test_the_soa_has_the_ttl_and_the_apex_of_the_options():
    made = external("apex NIC\nttl 600")
    reply = await made.dig("none.example.org")
    [line] = rows(reply.authority)
    assert line.startswith("example.org. 600 SOA ns1.nic.example.org. hostmaster.nic.example.org.")
    assert line.endswith("7200 1800 86400 600")
    assert await said(made, "dns.example.org") == "NXDOMAIN"


async def test_srv_records_come_with_the_addresses_of_their_target():
    reply = await external().dig("_http._tcp.ext.a.example.org", "SRV")
    assert rows(reply.additional) == [
        "ext.a.example.org. 5 A 192.0.2.1",
        "ext.a.example.org. 5 AAAA 2001:db8::1",
    ]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Answer(answer=(A_RECORD,)), "198.51.100.1 | Lb.Outside.test."),
        (Answer(types.NXDOMAIN), "Lb.Outside.test."),
        (Answer(types.SERVFAIL), "Lb.Outside.test."),
    ],
)
async def test_a_load_balancer_with_a_name_is_asked_for(reply, expected):
    made = external()
    made.plugins[2].says = {("lb.outside.test.", types.A): reply}
    assert await said(made, "lb.a.example.org") == expected


async def test_srv_of_a_load_balancer_with_a_name_points_there_with_its_addresses():
    made = external()
    made.plugins[2].says = {("lb.outside.test.", types.A): Answer(answer=(A_RECORD,))}
    reply = await made.dig("_http._tcp.mix.a.example.org", "SRV")
    assert told(reply) == "0 50 80 lb.outside.test. | 0 50 80 mix.a.example.org."
    assert rows(reply.additional) == [
        "lb.outside.test. 30 A 198.51.100.1",
        "mix.a.example.org. 5 A 192.0.2.4",
    ]


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        ("", "none.example.org", "NXDOMAIN"),
        ("fallthrough", "none.example.org", "SKIP"),
        ("fallthrough x.example.org", "none.example.org", "NXDOMAIN"),
        ("fallthrough x.example.org", "none.x.example.org", "SKIP"),
        ("fallthrough", "a.example.org", "NODATA"),
    ],
)
async def test_names_that_do_not_exist_may_fall_through(options, name, expected):
    assert await said(external(options), name) == expected


async def test_before_the_cluster_is_known_nothing_exists_and_nothing_is_remembered():
    text = "k8s_external example.org\nkubernetes cluster.local"
    made = chain(text, K8sExternal, Kubernetes)
    made.plugins[0].look()
    assert await said(made, "ext.a.example.org") == "NXDOMAIN"
    assert not made.ledger.keep


@pytest.mark.parametrize(
    ("name", "type_", "event"),
    [
        ("ext.a.example.org", "A", Put(next(o for o in objects(CLUSTER) if o.name == "dup"))),
        ("new.a.example.org", "A", None),
        ("1.2.0.192.in-addr.arpa", "PTR", None),
    ],
)
async def test_an_answer_is_forgotten_when_its_service_changes(name, type_, event):
    made = external()
    store = made.plugins[1].cluster.store
    await made.ask(name, type_)
    ledger = made.ledger
    assert ledger.keep
    assert not ledger.audience
    ledger.settle()
    changed = objects([outer(name.partition(".")[0], ips=["192.0.2.99"])])
    if type_ == "PTR":
        made.site.stamps.bump(store.apply(Delete(type(changed[-1]), "a", "ext"), 1001).keys)
    else:
        made.site.stamps.bump(store.apply(Put(changed[-1]), 1001).keys)
    assert not ledger.is_right()


async def test_its_zones_are_listed_as_its_names_answer():
    made = external("headless")
    source = made.plugins[0]
    assert source in made.site.beside["transfer"]
    example, reverse = (names.parse_key(text) for text in ("example.org", "in-addr.arpa"))
    assert source.serial(example) == 1000
    listed = list(source.records(example))
    assert [rrset.type for rrset in listed[:2]] == [types.SOA, types.NS]
    owners = {names.format(rrset.owner) for rrset in listed}
    assert not {name for name in owners if "hid" in name or "plain" in name or "name" in name}
    for rrset in listed[2:]:
        reply = await made.ask(names.format(rrset.owner), dns.rdatatype.to_text(rrset.type))
        assert set(rrset.rdatas) <= {rdata for one in reply.answer for rdata in one.rdatas}, rrset
    assert "10-1-0-1.head.a.example.org." in owners
    pointers = {names.format(rrset.owner) for rrset in source.records(reverse)}
    assert "4.2.0.192.in-addr.arpa." in pointers
    assert not {name for name in pointers if name.startswith("12.")}


async def test_there_must_be_a_cluster_in_the_block():
    [plugin] = chain("k8s_external example.org", K8sExternal).plugins
    with pytest.raises(ConfigError, match="no kubernetes"):
        plugin.look()
    assert plugin.zones == ()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("ttl 3601", "3600"), ("ttl -1", "0"), ("apex", "apex"), ("apex a.b", "one label"),
        ("headless x", "'x'"), ("other", "other"),
    ],
)  # fmt: skip
def test_mistakes(options, why):
    with pytest.raises(ConfigError, match=why):
        external(options)
