"""ingress: hosts of Ingresses, Gateways and HTTPRoutes answer where they are reached."""

import pytest

from kdns.cluster.objects import Gateway, Ingress
from kdns.cluster.store import Delete, Put
from kdns.corefile.tree import ConfigError
from kdns.plugins.base import SKIP, Backend, Query, Result
from kdns.plugins.ingress import Ingress as Plugin
from kdns.plugins.kubernetes import Kubernetes
from kdns.wire import names, records, types
from kdns.wire.message import Answer, RRset
from tests.fakes import chain
from tests.zone import outer
from tests.zone.outer import said
from tests.zone.worlds import gateway, ingress, namespace, objects, route, told

CLUSTER = (
    namespace("a"),
    namespace("b"),
    ingress("shop", "shop.example.org", "Www.Example.org", ips=["192.0.2.1", "2001:db8::1"]),
    ingress("also", "www.example.org", ips=["192.0.2.2"]),
    ingress("deep", "a.b.c.example.org", ips=["192.0.2.3"]),
    ingress("wild", "*.w.example.org", ips=["192.0.2.4"]),
    ingress("tame", "x.y.w.example.org", ips=["192.0.2.5"]),
    ingress("lb", "lb.example.org", names=["one.test", "two.test"]),
    ingress("wait", "wait.example.org"),
    ingress("else", "shop.example.net", ips=["192.0.2.6"]),
    ingress("hide", "hide.example.org", ips=["192.0.2.7"], ns="hidden"),
    ingress("top", "example.com", ips=["192.0.2.8"]),
    gateway("gw", "gw.example.org", "*.g.example.org", ips=["192.0.2.10"]),
    route("r", "r.example.org", to="gw"),
    route("lost", "lost.example.org", to="nowhere"),
    route("spy", "spy.example.org", to="gw", ns="hidden"),
    route("too", "too.example.org", to="gw", ns="b"),
)


class Outside(Backend):
    """What this server says of other names."""

    name = "outside"

    async def answer(self, query: Query) -> Result:
        if query.key == names.parse_key("two.test") and query.type == types.A:
            return Answer(answer=(RRset(query.key, types.A, 9, (records.address("1.2.3.4"),)),))
        return SKIP


def cluster(options="", zones="example.org example.com", *, synced=True):
    text = f"ingress {zones} {{\n{options}\n}}\nkubernetes cluster.local {{\nnamespaces a b\n}}"
    made = chain(text + "\noutside", Plugin, Kubernetes, Outside)
    return outer.follow(made, CLUSTER, synced=synced)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("shop.example.org A", "192.0.2.1"),
        ("SHOP.example.org AAAA", "2001:db8::1"),
        ("shop.example.org MX", "NODATA"),
        ("shop.example.org SRV", "NODATA"),
        ("x.shop.example.org A", "NXDOMAIN"),
        ("www.example.org A", "192.0.2.1 | 192.0.2.2"),
        ("a.b.c.example.org A", "192.0.2.3"),
        ("b.c.example.org A", "NODATA"),
        ("c.example.org A", "NODATA"),
        ("x.c.example.org A", "NXDOMAIN"),
        ("w.example.org A", "NODATA"),
        ("one.w.example.org A", "192.0.2.4"),
        ("two.one.w.example.org A", "192.0.2.4"),
        ("y.w.example.org A", "NODATA"),
        ("z.y.w.example.org A", "NXDOMAIN"),
        ("x.y.w.example.org A", "192.0.2.5"),
        ("*.w.example.org A", "192.0.2.4"),
        ("lb.example.org A", "1.2.3.4 | two.test."),
        ("lb.example.org CNAME", "two.test."),
        ("wait.example.org A", "NODATA"),
        ("hide.example.org A", "NODATA"),
        ("gw.example.org A", "192.0.2.10"),
        ("one.g.example.org A", "192.0.2.10"),
        ("r.example.org A", "192.0.2.10"),
        ("lost.example.org A", "NODATA"),
        ("spy.example.org A", "NODATA"),
        ("too.example.org A", "192.0.2.10"),
        ("example.org A", "NODATA"),
        ("example.com A", "192.0.2.8"),
        ("example.com NS", "ns1.dns.example.com."),
        ("example.org NS", "ns1.dns.example.org."),
        ("none.example.org A", "NXDOMAIN"),
        ("none.example.org SOA", "NXDOMAIN"),
        ("shop.example.net A", "SKIP"),
    ],
)
async def test_hosts(asked, expected):
    assert await said(cluster(), *asked.split()) == expected


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        ("fallthrough", "none.example.org", "SKIP"),
        ("fallthrough", "c.example.org", "NODATA"),
        ("fallthrough x.example.org", "none.example.org", "NXDOMAIN"),
    ],
)
async def test_names_that_do_not_exist_may_fall_through(options, name, expected):
    assert await said(cluster(options), name) == expected


async def test_before_the_cluster_is_known_nothing_is_denied():
    made = cluster(synced=False)
    reply = await made.dig("none.example.org", has_opt=True, size=1232)
    assert told(reply) == "SERVFAIL"
    assert [option.code for option in reply.options] == [types.EDE_NOT_READY]
    assert not made.ledger.keep


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        ("fallthrough", "none.example.org", "SKIP"),
        ("fallthrough example.com", "none.example.org", "SERVFAIL"),
        ("fallthrough example.com", "none.example.com", "SKIP"),
        ("fallthrough", "shop.example.org", "192.0.2.1"),
    ],
)
async def test_until_then_others_may_still_answer_where_they_ever_may(options, name, expected):
    """Nobody could look up anything while the API server is away, its own name included."""
    made = cluster(options, synced=False)
    assert await said(made, name) == expected
    assert not made.ledger.keep


def made_of(*documents):
    return [one for one in objects(documents) if isinstance(one, Ingress | Gateway)]


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("shop.example.org", Delete(Ingress, "a", "shop")),
        ("none.example.org", Put(made_of(ingress("n", "none.example.org"))[0])),
        ("none.example.org", Put(made_of(ingress("n", "*.example.org"))[0])),
        ("none.example.org", Put(made_of(ingress("n", "x.none.example.org"))[0])),
        ("x.none.example.org", Put(made_of(ingress("n", "none.example.org"))[0])),
        ("c.example.org", Delete(Ingress, "a", "deep")),
        ("two.one.w.example.org", Put(made_of(ingress("n", "one.w.example.org"))[0])),
        ("two.one.w.example.org", Put(made_of(ingress("n", "z.one.w.example.org"))[0])),
        ("z.y.w.example.org", Delete(Ingress, "a", "tame")),
        ("r.example.org", Delete(Gateway, "a", "gw")),
        ("lost.example.org", Put(made_of(gateway("nowhere", ips=["192.0.2.77"]))[0])),
    ],
)
async def test_an_answer_is_forgotten_when_what_it_says_changes(name, event):
    made = cluster()
    before = await said(made, name)
    ledger = made.ledger
    assert ledger.keep
    assert not ledger.audience
    ledger.settle()
    made.site.stamps.bump(made.plugins[1].cluster.store.apply(event, 1001).keys)
    assert not ledger.is_right()
    if "none" not in name:
        assert await said(made, name) != before


async def test_other_names_are_kept():
    made = cluster()
    await made.ask("shop.example.org")
    made.ledger.settle()
    change = made.plugins[1].cluster.store.apply(Delete(Ingress, "a", "deep"), 1001)
    made.site.stamps.bump(change.keys)
    assert made.ledger.is_right()


async def test_the_serial_follows_the_hosts():
    made = cluster()
    made.plugins[1].cluster.store.apply(Delete(Ingress, "a", "deep"), 4242)
    reply = await made.dig("example.org", "SOA")
    assert reply.answer[0][0].serial == 4242


def test_it_has_ingresses_and_gateways_watched():
    made = cluster()
    assert made.plugins[1].cluster.origin.selection.entrances
    assert (
        not chain("kubernetes cluster.local", Kubernetes)
        .plugins[0]
        .cluster.origin.selection.entrances
    )


def test_there_must_be_a_cluster_in_the_block():
    [plugin] = chain("ingress example.org", Plugin).plugins
    with pytest.raises(ConfigError, match="no kubernetes"):
        plugin.look()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ingress", "root zone"), ("ingress .", "root zone"), ("ingress a {\nttl 3601\n}", "3600"),
        ("ingress a {\nttl\n}", "ttl"), ("ingress a..b", "zone"), ("ingress a {\nother\n}", "other"),
    ],
)  # fmt: skip
def test_mistakes(text, why):
    with pytest.raises(ConfigError, match=why):
        chain(text, Plugin)
