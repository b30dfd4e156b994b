"""nodeport: names of node ports answer the nodes that take them."""

import pytest

from kdns.cluster.objects import Node, Slice
from kdns.cluster.store import Delete, Put
from kdns.corefile.tree import ConfigError
from kdns.plugins.kubernetes import Kubernetes
from kdns.plugins.nodeport import NodePort
from tests.fakes import chain
from tests.zone import outer
from tests.zone.outer import said
from tests.zone.worlds import (
    as_list,
    endpoint,
    namespace,
    node,
    objects,
    rows,
    service,
    slice_,
)


def ported(name, *numbers, cluster=("10.0.0.9",), local=False, **fields):
    """A service whose ports have these node ports."""
    made = service(name, *cluster, **fields)
    for port, number in zip(made["spec"]["ports"], numbers, strict=False):
        port["nodePort"] = number
    made["spec"] |= {"type": "NodePort"}
    if local:
        made["spec"]["externalTrafficPolicy"] = "Local"
    return made


CLUSTER = (
    namespace("a"),
    node("n1", "192.0.2.1", "2001:db8::1"),
    node("n2", "192.0.2.2"),
    node("n3", "192.0.2.3", ready=False),
    ported("web", 30080, 30053, ports=["http:80", "dns:53/UDP"]),
    ported("dual", 30081, cluster=("10.0.0.8", "fd00::8")),
    ported("near", 30082, cluster=("10.0.0.7",), local=True),
    slice_("near", endpoint("10.1.0.1", nodeName="N2"), endpoint("10.1.0.2", nodeName="n3"),
           endpoint("10.1.0.3", nodeName="n1", ready=False)),
    ported("lone", 30083, cluster=("10.0.0.6",), local=True),
    ported("half", 30084, cluster=("10.0.0.5",), ports=["one:1", "two:2"]),
    service("plain", "10.0.0.4"),
    ported("hide", 30085, ns="hidden", cluster=("10.0.0.3",)),
)  # fmt: skip
ZONE = "nodeport.cluster.local"


def cluster(options="", zones="", *, synced=True):
    text = f"nodeport {zones} {{\n{options}\n}}\nkubernetes cluster.local 10.in-addr.arpa {{\nnamespaces a\n}}"
    made = chain(text, NodePort, Kubernetes)
    return outer.follow(made, CLUSTER, synced=synced)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (f"web.a.{ZONE} A", "192.0.2.1 | 192.0.2.2"),
        (f"WEB.a.{ZONE} A", "192.0.2.1 | 192.0.2.2"),
        (f"web.a.{ZONE} AAAA", "NODATA"),
        (f"dual.a.{ZONE} AAAA", "2001:db8::1"),
        (f"web.a.{ZONE} TXT", "NODATA"),
        (f"near.a.{ZONE} A", "192.0.2.2"),
        (f"lone.a.{ZONE} A", "NODATA"),
        (f"web.a.{ZONE} SRV", f"0 25 30053 web.a.{ZONE}. | 0 25 30080 web.a.{ZONE}."),
        (f"_http._tcp.web.a.{ZONE} SRV", f"0 50 30080 web.a.{ZONE}."),
        (f"_http._udp.web.a.{ZONE} SRV", "NXDOMAIN"),
        (f"_tcp.web.a.{ZONE} SRV", "NODATA"),
        (f"x.web.a.{ZONE} A", "NXDOMAIN"),
        (f"a.b.c.web.a.{ZONE} A", "NXDOMAIN"),
        (f"_one._tcp.half.a.{ZONE} SRV", f"0 50 30084 half.a.{ZONE}."),
        (f"_two._tcp.half.a.{ZONE} SRV", "NXDOMAIN"),
        (f"plain.a.{ZONE} A", "NXDOMAIN"),
        (f"none.a.{ZONE} A", "NXDOMAIN"),
        (f"hide.hidden.{ZONE} A", "NXDOMAIN"),
        (f"a.{ZONE} A", "NODATA"),
        (f"{ZONE} A", "NODATA"),
        (f"{ZONE} NS", f"ns1._dns.{ZONE}."),
        ("web.a.svc.cluster.local A", "10.0.0.9"),
        ("9.0.0.10.in-addr.arpa PTR", "web.a.svc.cluster.local."),
    ],
)
async def test_names(asked, expected):
    assert await said(cluster(), *asked.split()) == expected


async def test_srv_records_come_with_the_addresses_of_nodes():
    reply = await cluster().dig(f"near.a.{ZONE}", "SRV")
    assert rows(reply.additional) == [f"near.a.{ZONE}. 5 A 192.0.2.2"]


async def test_zones_may_be_others_than_those_of_the_cluster():
    made = cluster("ttl 30", "example.org")
    assert await said(made, "web.a.nodeport.example.org") == "192.0.2.1 | 192.0.2.2"
    assert await said(made, f"web.a.{ZONE}") == "NXDOMAIN"


def of(*documents):
    return next(one for one in objects(documents) if isinstance(one, Node | Slice))


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("web", Delete(Node, "", "n1")),
        ("web", Put(of(node("n4", "192.0.2.4")))),
        ("web", Put(of(node("n3", "192.0.2.3")))),
        ("near", Put(of(slice_("near", endpoint("10.1.0.1", nodeName="n1"))))),
        ("none", Put(next(o for o in objects([ported("none", 30099)]) if o.name == "none"))),
    ],
)
async def test_an_answer_is_forgotten_when_what_it_says_changes(name, event):
    made = cluster()
    before = await said(made, f"{name}.a.{ZONE}")
    ledger = made.ledger
    assert ledger.keep
    assert not ledger.audience
    ledger.settle()
    made.site.stamps.bump(made.plugins[1].cluster.store.apply(event, 1001).keys)
    assert not ledger.is_right()
    assert await said(made, f"{name}.a.{ZONE}") != before


@pytest.mark.parametrize(
    "new", [node("n1", "192.0.2.1", "2001:db8::1", zone="z"), node("n3", "192.0.2.33", ready=False)]
)
async def test_other_news_of_nodes_move_nothing(new):
    made = cluster()
    await made.ask(f"web.a.{ZONE}")
    made.ledger.settle()
    change = made.plugins[1].cluster.store.apply(Put(of(new)), 1001)
    made.site.stamps.bump(change.keys)
    assert made.ledger.is_right()


async def test_before_the_cluster_is_known_nothing_is_denied():
    assert await said(cluster(synced=False), f"none.a.{ZONE}") == "SERVFAIL"
    assert await said(cluster("fallthrough", synced=False), f"none.a.{ZONE}") == "SERVFAIL"
    made = cluster("fallthrough", "example.org", synced=False)
    assert await said(made, "none.a.nodeport.example.org") == "SKIP"


async def test_names_that_do_not_exist_may_fall_through():
    assert await said(cluster("fallthrough"), f"none.a.{ZONE}") == "NXDOMAIN", "kubernetes says so"
    made = cluster("fallthrough", "example.org")
    assert await said(made, "none.a.nodeport.example.org") == "SKIP"


def test_nodes_are_watched_only_here():
    assert cluster().plugins[1].cluster.origin.selection.nodes
    [plain] = chain("kubernetes cluster.local", Kubernetes).plugins
    assert not plain.cluster.origin.selection.nodes
    plain.cluster.store.apply_all(as_list(objects(CLUSTER)), 1000)
    assert plain.cluster.store.get(Node, "", "n1") is None
    assert plain.cluster.store.services["a/web"].more is None
    assert plain.cluster.store.slices("a/near")[0].nodes is None


def test_there_must_be_a_cluster_in_the_block():
    [plugin] = chain("nodeport", NodePort).plugins
    with pytest.raises(ConfigError, match="no kubernetes"):
        plugin.look()


@pytest.mark.parametrize(
    ("text", "why"),
    [("nodeport {\nttl 4000\n}", "3600"), ("nodeport a..b", "zone"), ("nodeport {\nx\n}", "x")],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError, match=why):
        chain(text, NodePort)
