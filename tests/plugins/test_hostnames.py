"""hostnames: services answer under the names that their annotations ask for."""

import pytest

from kdns.cluster.objects import Service, Slice
from kdns.cluster.store import Delete, Put
from kdns.corefile.tree import ConfigError
from kdns.plugins.hostnames import Hostnames
from kdns.plugins.kubernetes import Kubernetes
from tests.fakes import chain
from tests.zone import outer
from tests.zone.outer import said
from tests.zone.worlds import as_list, endpoint, namespace, objects, rows, service, slice_

DNS = "external-dns.alpha.kubernetes.io/"


def named(name, hosts="", internal="", ttl="", *, ips=(), lb=(), cluster=("10.0.0.9",), **fields):
    """A service with these annotations and external addresses."""
    made = service(name, *cluster, **fields)
    said = {"hostname": hosts, "internal-hostname": internal, "ttl": ttl}
    made["metadata"]["annotations"] = {DNS + key: text for key, text in said.items() if text}
    made["spec"] |= {"externalIPs": list(ips)}
    made["status"] = {"loadBalancer": {"ingress": [{"hostname": host} for host in lb]}}
    return made


CLUSTER = (
    namespace("a"),
    named("web", "web.example.org, w.example.org", "in.example.org", "60", ips=["192.0.2.1"]),
    named("two", "w.example.org", ttl="30", ips=["192.0.2.2", "2001:db8::2"]),
    named("lb", "lb.example.org", lb=["lb.outside.test"]),
    named("both", "both.example.org", "both.example.org", ips=["192.0.2.3"], cluster=("10.0.0.3",)),
    named("wild", "*.wild.example.org", ips=["192.0.2.4"]),
    named("wait", "wait.example.org"),
    named("head", internal="head.example.org", cluster=()),
    slice_("head", endpoint("10.1.0.1"), endpoint("10.1.0.2", ready=False)),
    named("hide", "hide.example.org", ips=["192.0.2.7"], ns="hidden"),
    named("else", "x.example.net", ips=["192.0.2.8"]),
    service("plain", "10.0.0.5"),
)


def cluster(options="", zones="example.org", *, synced=True):
    text = f"hostnames {zones} {{\n{options}\n}}\nkubernetes cluster.local {{\nnamespaces a\n}}"
    made = chain(text, Hostnames, Kubernetes)
    return outer.follow(made, CLUSTER, synced=synced)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("web.example.org A", "192.0.2.1"),
        ("web.example.org AAAA", "NODATA"),
        ("w.example.org A", "192.0.2.1 | 192.0.2.2"),
        ("w.example.org AAAA", "2001:db8::2"),
        ("in.example.org A", "10.0.0.9"),
        ("both.example.org A", "10.0.0.3 | 192.0.2.3"),
        ("head.example.org A", "10.1.0.1"),
        ("lb.example.org A", "lb.outside.test."),
        ("x.wild.example.org A", "192.0.2.4"),
        ("wild.example.org A", "NODATA"),
        ("wait.example.org A", "NODATA"),
        ("hide.example.org A", "NODATA"),
        ("web.example.org SRV", "0 100 80 web.example.org."),
        ("_http._tcp.web.example.org SRV", "0 100 80 web.example.org."),
        ("_none._tcp.web.example.org SRV", "NXDOMAIN"),
        ("_http._tcp.none.example.org SRV", "NXDOMAIN"),
        ("none.example.org A", "NXDOMAIN"),
        ("plain.a.example.org A", "NXDOMAIN"),
        ("x.example.net A", "SKIP"),
        ("example.org NS", "ns1.dns.example.org."),
        ("ns1.dns.example.org AAAA", "NODATA"),
    ],
)
async def test_names(asked, expected):
    assert await said(cluster(), *asked.split()) == expected


@pytest.mark.parametrize(
    ("name", "ttl"),
    [("web.example.org", 60), ("w.example.org", 30), ("both.example.org", 7)],
)
async def test_the_least_ttl_that_is_asked_for_counts(name, ttl):
    reply = await cluster("ttl 7").dig(name)
    assert {rrset.ttl for rrset in reply.answer} == {ttl}


async def test_srv_records_come_with_addresses():
    reply = await cluster().dig("_http._tcp.web.example.org", "SRV")
    assert rows(reply.additional) == ["web.example.org. 60 A 192.0.2.1"]


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("web.example.org", Delete(Service, "a", "web")),
        ("none.example.org", Put(objects([named("n", "none.example.org")])[-1])),
        ("web.example.org", Put(objects([named("web", "web.example.org", ips=["192.0.2.9"])])[-1])),
        ("head.example.org", Delete(Slice, "a", "head--ipv4")),
    ],
)
async def test_an_answer_is_forgotten_when_what_it_says_changes(name, event):
    made = cluster()
    await made.ask(name)
    ledger = made.ledger
    assert ledger.keep
    assert not ledger.audience
    ledger.settle()
    change = made.plugins[1].cluster.store.apply(event, 1001)
    assert change.keys
    made.site.stamps.bump(change.keys)
    assert not ledger.is_right()


async def test_before_the_cluster_is_known_nothing_is_denied():
    assert await said(cluster(synced=False), "none.example.org") == "SERVFAIL"
    assert await said(cluster("fallthrough", synced=False), "none.example.org") == "SKIP"


async def test_names_that_do_not_exist_may_fall_through():
    assert await said(cluster("fallthrough"), "none.example.org") == "SKIP"


def test_annotations_are_kept_only_where_they_are_read():
    kept = cluster().plugins[1].cluster.store
    assert kept.services["a/web"].more is not None
    plain = chain("kubernetes cluster.local", Kubernetes).plugins[0].cluster.store
    plain.apply_all(as_list(objects(CLUSTER)), 1000)
    assert plain.services["a/web"].more is None


def test_there_must_be_a_cluster_in_the_block():
    [plugin] = chain("hostnames example.org", Hostnames).plugins
    with pytest.raises(ConfigError, match="no kubernetes"):
        plugin.look()


@pytest.mark.parametrize(
    ("text", "why"),
    [("hostnames", "root zone"), ("hostnames a {\nttl -1\n}", "ttl"), ("hostnames a..b", "zone")],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError, match=why):
        chain(text, Hostnames)
