"""kubernetes with `topology`: whom headless services answer with which endpoints, and who shares it."""

from itertools import permutations

import dns.message
import pytest

from kdns.cluster.cluster import Cluster
from kdns.cluster.objects import Node, Service
from kdns.cluster.store import Delete, Put, Synced
from kdns.corefile.tree import ConfigError
from kdns.plugins.kubernetes import Kubernetes
from kdns.plugins.loadbalance import Loadbalance
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from tests.fakes import chain, client
from tests.stubs import World
from tests.zone.worlds import (
    as_list,
    endpoint,
    namespace,
    node,
    objects,
    service,
    slice_,
    told,
)


def hinted(ip, zone, *hints, **fields):
    named = {"forZones": [{"name": hint} for hint in hints]}
    return endpoint(ip, zone=zone, **({"hints": named} if hints else {}), **fields)


def near(name, *ips, policy="PreferClose"):
    made = service(name, *ips)
    made["spec"]["trafficDistribution"] = policy
    return made


ENDS = (hinted("10.9.0.1", "z1"), hinted("10.9.0.2", "z2"), hinted("10.9.0.3", "z1", ready=False))
CLUSTER = (
    namespace("a"),
    node("n1", "192.0.2.1", zone="z1", pods="10.1.0.0/16"),
    node("n2", "192.0.2.2", zone="z2", pods="10.2.0.0/16"),
    node("n3", "192.0.2.3", zone="z3", pods="10.3.0.0/16"),
    node("n4", "192.0.2.4", pods="10.4.0.0/16"),
    near("db"),
    slice_("db", *ENDS),
    near("same", policy="PreferSameZone"),
    slice_("same", *ENDS),
    service("hint"),
    slice_("hint", hinted("10.9.0.1", "z1", "z1", "z3"), hinted("10.9.0.2", "z1", "z2")),
    service("half"),
    slice_("half", hinted("10.9.0.1", "z1", "z1"), hinted("10.9.0.2", "z2")),
    service("plain"),
    slice_("plain", *ENDS),
    near("web", "10.0.0.9"),
    slice_("web", *ENDS),
)
ALL = "10.9.0.1 | 10.9.0.2"
NEAR_1, NEAR_2 = "10.9.0.1 > 10.9.0.2", "10.9.0.2 > 10.9.0.1"
IN = {"z1": "10.1.0.5", "z2": "10.2.0.5", "z3": "10.3.0.5", "none": "10.4.0.5", "out": "9.9.9.9"}


def cluster(options="topology"):
    made = chain(f"kubernetes cluster.local {{\n{options}\n}}", Kubernetes)
    made.plugins[0].cluster.store.apply_all([*as_list(objects(CLUSTER)), Synced()], 1000)
    return made


def in_order(reply):
    return " > ".join(str(rdata) for rrset in reply.answer for rdata in rrset)


async def said(made, name, where="z1", type_="A"):
    return told(await made.dig(f"{name}.a.svc.cluster.local", type_, client(IN[where])))


@pytest.mark.parametrize(
    ("name", "where", "expected"),
    [
        ("db", "z1", NEAR_1),
        ("db", "z2", NEAR_2),
        ("db", "z3", ALL),
        ("db", "none", ALL),
        ("db", "out", ALL),
        ("same", "z2", NEAR_2),
        ("hint", "z1", NEAR_1),
        ("hint", "z2", NEAR_2),
        ("hint", "z3", NEAR_1),
        ("half", "z1", ALL),
        ("plain", "z1", ALL),
        ("web", "z1", "10.0.0.9"),
    ],
)
async def test_who_is_answered_what(name, where, expected):
    reply = await cluster().dig(f"{name}.a.svc.cluster.local", "A", client(IN[where]))
    is_ordered = expected in {NEAR_1, NEAR_2}
    assert (in_order(reply) if is_ordered else told(reply)) == expected


@pytest.mark.parametrize(
    ("name", "type_", "expected"),
    [
        ("db", "AAAA", "NODATA"),
        ("_http._tcp.db", "A", ALL),
        ("10-9-0-2.db", "A", "10.9.0.2"),
        ("none", "A", "NXDOMAIN"),
        ("db", "TXT", "NODATA"),
    ],
)
async def test_all_else_is_as_before(name, type_, expected):
    assert await said(cluster(), name, "z1", type_) == expected
    assert await said(cluster(""), name, "z1", type_) == expected


async def test_without_the_option_nobody_is_looked_at():
    made = cluster("")
    assert await said(made, "db", "z1") == ALL
    assert not made.ledger.audience
    assert not made.plugins[0].cluster.origin.selection.nodes


@pytest.mark.parametrize(
    ("name", "is_shared"),
    [("db", False), ("half", False), ("plain", True), ("web", True), ("no", True)],
)
async def test_an_answer_is_shared_by_all_unless_the_place_of_the_asker_mattered(name, is_shared):
    made = cluster()
    await said(made, name)
    assert made.ledger.keep
    assert (made.ledger.audience == ()) == is_shared


def named(name):
    return next(one for one in objects(CLUSTER) if one.name == name)


@pytest.mark.parametrize(
    "event",
    [
        Delete(Node, "", "n1"),
        Put(next(o for o in objects([node("n1", "192.0.2.1", zone="z2", pods="10.1.0.0/16")]))),
        Delete(Service, "a", "db"),
    ],
)
async def test_an_answer_is_forgotten_when_what_it_says_changes(event):
    made = cluster()
    await said(made, "db", "z1")
    made.ledger.settle()
    made.site.stamps.bump(made.plugins[0].cluster.store.apply(event, 1001).keys)
    assert not made.ledger.is_right()


@pytest.mark.parametrize("order", [list(order) for order in permutations(["z1", "z2", "out"])])
async def test_the_answer_table_keeps_the_zones_apart(order):
    errors = []
    services = Services()
    text = "cluster.local {\n kubernetes {\n endpoint http://127.0.0.1:1\n topology\n startup_timeout 0\n }\n}\n"
    assembly = build(text, "Corefile", services, errors)
    assert not errors
    [made] = [one for one in assembly.shared.values() if isinstance(one, Cluster)]
    made.store.apply_all([*as_list(objects(CLUSTER)), Synced()], 1000)
    [router] = assembly.routers.values()
    table = AnswerTable(services.stamps, services.chance, lambda peer: peer)
    pipeline = Pipeline(
        router, services.stamps, services.counters, services.clock, services.chance, table=table
    )
    expected = {"z1": (NEAR_1,), "z2": (NEAR_2,), "out": (NEAR_1, NEAR_2)}
    hits = 0
    for _ in range(4):
        for where in order:
            who = client(IN[where])
            packet = dns.message.make_query("db.a.svc.cluster.local", "A", id=7).to_wire()
            reply = pipeline.recall(packet, who.address, services.clock())
            hits += reply is not None
            if reply is None:
                reply = await pipeline.respond(packet, who, services.clock())
            assert in_order(dns.message.from_wire(reply)) in expected[where]
    assert hits >= 3, "the table was never asked"
    assert made.store.nodes.zone_of(client(IN["z1"]).address) == "z1"
    change = made.store.apply(
        Put(named("n2").__class__("n1", (), True, "z2", ((bytes((10, 1, 0, 0)), 16),))), 1001
    )
    services.stamps.bump(change.keys)
    packet = dns.message.make_query("db.a.svc.cluster.local", "A", id=7).to_wire()
    who = client(IN["z1"])
    assert pipeline.recall(packet, who.address, services.clock()) is None
    reply = await pipeline.respond(packet, who, services.clock())
    assert in_order(dns.message.from_wire(reply)) == NEAR_2, "the node has moved"


@pytest.mark.parametrize("near_count", [1, 2, 40])
@pytest.mark.parametrize("edns", [False, True])
async def test_those_near_take_turns_before_all_others_whatever_fits(near_count, edns):
    """With loadbalance, from the chain and from the table, whole and cut to 512 octets."""
    near = {f"10.9.1.{at}" for at in range(near_count)}
    far = [f"10.9.2.{at}" for at in range(60)]
    ends = [hinted(ip, "z1") for ip in sorted(near)] + [hinted(ip, "z2") for ip in far]
    text = "loadbalance\nkubernetes cluster.local {\ntopology\n}"
    made = chain(text, Loadbalance, Kubernetes)
    objects_ = objects((*CLUSTER, slice_("db", *ends)))
    made.plugins[1].cluster.store.apply_all([*as_list(objects_), Synced()], 1000)
    world = World(*made.plugins)
    asked = dns.message.make_query("db.a.svc.cluster.local", "A")
    asked.use_edns(0 if edns else -1, payload=4096)
    first = set()
    for at in range(60):
        asked.id = at
        ask = world.ask if at % 2 else world.plain
        reply = await ask(asked.to_wire(), client(IN["z1"]).address)
        shown = in_order(dns.message.from_wire(reply, ignore_trailing=True)).split(" > ")
        assert set(shown[:near_count]) <= near
        assert set(shown) >= near or len(shown) < near_count
        assert not near & set(shown[near_count:])
        if edns:
            assert shown[near_count:] == far
        first.add(shown[0])
    assert len(first) > 1 or near_count == 1


@pytest.mark.parametrize(
    ("options", "why"), [("topology x", "'x'"), ("topology\nnoendpoints", "noendpoints")]
)
def test_mistakes(options, why):
    with pytest.raises(ConfigError, match=why):
        cluster(options)
