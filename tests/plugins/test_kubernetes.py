"""The kubernetes plugin: options, source, sync state, fallthrough, and targets outside the zone."""

import dns.flags
import dns.rcode
import pytest

from kdns.cluster.store import Put, Synced
from kdns.corefile.options import check
from kdns.corefile.tree import ConfigError, Directive, Word
from kdns.plugins.base import SKIP, Backend, Ledger, Query, Result
from kdns.plugins.kubernetes import Kubernetes
from kdns.plugins.metadata import Metadata
from kdns.wire import names, records, types
from kdns.wire.message import Answer, RRset
from tests.fakes import Clock, at_work, chain, client, question
from tests.fakes import site as make_site
from tests.zone.worlds import (
    as_list,
    endpoint,
    objects,
    pod,
    rows,
    service,
    slice_,
    told,
)

CLUSTER = (
    service("web", "10.0.0.1"),
    service("db"),
    slice_("db", endpoint("10.1.0.1"), endpoint("10.1.0.2", hostname="h")),
    service("ext", external="Out.Example"),
    service("hop", external="ext.a.svc.cluster.local"),
    pod("p", "127.0.0.1", app="shop"),
)
STANZA = "kubernetes cluster.local in-addr.arpa ip6.arpa"


class Outside(Backend):
    """Says what a test wants to every name it is asked."""

    name = "outside"
    says: Result | None = SKIP
    asked: list[bytes]

    async def answer(self, query: Query) -> Result:
        self.asked = [*getattr(self, "asked", []), query.key]
        return self.says


def kubernetes(options="", documents=CLUSTER, stanza=STANZA, *, synced=True, **changes):
    """A chain of kubernetes and a stub behind it, over a cluster; and the two plugins."""
    made = chain(f"{stanza} {{\n{options}\n}}\noutside", Kubernetes, Outside, **changes)
    plugin, outside = made.plugins
    events = as_list(objects(documents)) if documents else []
    plugin.cluster.store.apply_all([*events, *([Synced()] if synced else [])], 1000)
    return made, plugin, outside


async def said(made, name, type_="A"):
    return told(await made.dig(name, type_))


# Options


def refused(text, *words, stanza=STANZA):
    with pytest.raises(ConfigError) as caught:
        kubernetes(text, stanza=stanza)
    assert caught.value.line > 1 or not text
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("ttl 3601", ["3600"]),
        ("ttl -1", ["ttl"]),
        ("ttl", ["ttl"]),
        ("pods sometimes", ["disabled", "verified"]),
        ("pods", ["pods"]),
        ("namespaces", ["namespaces"]),
        ("namespaces a\nnamespace_labels b=c", ["namespaces", "exclude"]),
        ("zonal\nnoendpoints", ["zonal", "noendpoints"]),
        ("namespace_labels ,", ["namespace_labels"]),
        ("labels a=b=c", ["labels"]),
        ("multicluster other.local", ["other.local", "zones"]),
        ("ignore everything", ["empty_service"]),
        ("endpoint_pod_names yes", ["yes"]),
        ("noendpoints yes", ["yes"]),
        ("kubeconfig a b c", ["kubeconfig"]),
        ("tls a b", ["tls"]),
        ("apiserver_qps -1", ["apiserver_qps"]),
        ("apiserver_burst 1.5", ["apiserver_burst"]),
        ("startup_timeout soon", ["startup_timeout", "duration"]),
        ("manifests", ["manifests"]),
        ("manifests x\nkubeconfig y", ["two sources"]),
        ("upstream", ["upstream", "always resolved"]),
        ("resyncperiod 5m", ["resyncperiod", "take the line out"]),
        ("federation a b", ["federation"]),
        ("transfer to *", ["transfer"]),
        ("namespace a", ["namespaces"]),
    ],
)
def test_a_wrong_option_is_refused_with_what_was_expected(options, words):
    refused(options, *words)


def test_every_zone_being_a_reverse_zone_is_refused():
    refused("", "reverse zone", stanza="kubernetes in-addr.arpa 10.0.0.0/8")


@pytest.mark.parametrize(
    "options",
    [
        "endpoint http://localhost:1 http://localhost:2",
        "tls a b c",
        "kubeconfig f ctx",
        "apiserver_qps 1.5\napiserver_burst 0\napiserver_max_inflight 3",
        "namespaces a b\nnamespaces c",
        "namespace_labels team in (a, b),!old",
        "labels a=b, c notin (d)",
        "ignore empty_service and whatever",
        'labels ""',
        "fallthrough",
        "fallthrough in-addr.arpa",
        "multicluster",
        "multicluster cluster.local",
        "ttl 5\nttl 6",
        "zonal\nendpoint_pod_names\nstartup_timeout 0",
    ],
)
def test_what_coredns_takes_is_taken(options):
    kubernetes(options)


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        ("ttl 30", "web.a.svc.cluster.local", "web.a.svc.cluster.local. 30 A 10.0.0.1"),
        ("noendpoints", "db.a.svc.cluster.local", None),
        ("namespaces b", "web.a.svc.cluster.local", None),
        (
            "pods insecure",
            "1-2-3-4.a.pod.cluster.local",
            "1-2-3-4.a.pod.cluster.local. 5 A 1.2.3.4",
        ),
        ("pods verified", "1-2-3-4.a.pod.cluster.local", None),
        (
            "pods verified",
            "127-0-0-1.a.pod.cluster.local",
            "127-0-0-1.a.pod.cluster.local. 5 A 127.0.0.1",
        ),
        ("labels tier=front", "web.a.svc.cluster.local", None),
        ("labels !tier", "web.a.svc.cluster.local", "web.a.svc.cluster.local. 5 A 10.0.0.1"),
        ("namespace_labels team", "web.a.svc.cluster.local", None),
        ("ignore empty_service", "web.a.svc.cluster.local", None),
    ],
)
async def test_options_reach_the_answers(options, name, expected):
    made, *_ = kubernetes(options)
    reply = await made.dig(name)
    assert rows(reply.answer) == ([expected] if expected else [])
    assert (reply.rcode() == dns.rcode.NXDOMAIN) == (expected is None)


async def test_zones_default_to_those_of_the_block():
    made, *_ = kubernetes(stanza="kubernetes", zones=(names.parse_key("my.zone"),))
    assert await said(made, "web.a.svc.my.zone") == "10.0.0.1"
    assert await made.ask("web.a.svc.cluster.local") is SKIP


async def test_a_cidr_argument_stands_for_all_its_reverse_zones():
    made, *_ = kubernetes(stanza="kubernetes cluster.local 10.0.0.0/15")
    assert await said(made, "1.0.0.10.in-addr.arpa", "PTR") == "web.a.svc.cluster.local."
    assert await said(made, "9.0.1.10.in-addr.arpa", "PTR") == "NXDOMAIN"
    assert await made.ask("1.0.2.10.in-addr.arpa", "PTR") is SKIP


# Outcomes


@pytest.mark.parametrize("type_", ["AXFR", "IXFR"])
async def test_transfers_are_refused_without_records(type_):
    made, *_ = kubernetes()
    reply = await made.dig("cluster.local", type_)
    assert reply.rcode() == dns.rcode.REFUSED
    assert not reply.flags & dns.flags.AA
    assert not reply.authority


async def test_other_names_go_to_the_next_plugin():
    made, *_ = kubernetes()
    assert await made.ask("example.org") is SKIP
    assert made.ledger.touched == []


@pytest.mark.parametrize(
    ("option", "name", "passes"),
    [
        ("fallthrough", "nope.a.svc.cluster.local", True),
        ("fallthrough", "9.9.9.9.in-addr.arpa", True),
        ("fallthrough in-addr.arpa", "9.9.9.9.in-addr.arpa", True),
        ("fallthrough in-addr.arpa", "nope.a.svc.cluster.local", False),
        ("fallthrough a.svc.cluster.local", "nope.a.svc.cluster.local", True),
        ("fallthrough a.svc.cluster.local", "nope.b.svc.cluster.local", False),
        ("fallthrough", "a.svc.cluster.local", False),
        ("", "nope.a.svc.cluster.local", False),
    ],
)
@pytest.mark.parametrize("synced", [True, False])
async def test_only_names_that_do_not_exist_fall_through(option, name, passes, synced):
    made, _, outside = kubernetes(option, synced=synced)
    result = await made.ask(name)
    assert (result is SKIP) == passes
    assert hasattr(outside, "asked") == passes


async def test_before_the_first_sync_a_miss_is_servfail_with_the_soa_and_nothing_is_remembered():
    made, plugin, _ = kubernetes(documents=(), synced=False)
    reply = await made.dig("web.a.svc.cluster.local")
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert reply.flags & dns.flags.AA
    assert reply.authority[0][0].serial == 0
    assert not made.ledger.keep
    assert not plugin.is_ready
    assert await said(made, "cluster.local") == "NODATA"
    assert not made.ledger.keep


async def test_before_the_first_sync_what_is_known_is_answered():
    made, *_ = kubernetes(synced=False)
    assert await said(made, "web.a.svc.cluster.local") == "10.0.0.1"
    assert not made.ledger.keep


async def test_answers_may_be_remembered_once_synced():
    made, plugin, _ = kubernetes()
    assert plugin.is_ready
    await made.ask("web.a.svc.cluster.local")
    assert made.ledger.keep
    assert made.ledger.until == float("inf")
    assert made.ledger.audience == ()


async def test_a_change_makes_a_remembered_answer_wrong():
    made, plugin, _ = kubernetes()
    await made.ask("web.a.svc.cluster.local")
    ledger = made.ledger
    change = plugin.cluster.store.apply(Put(objects([service("x", "10.0.0.9")])[1]), 2000)
    made.site.stamps.bump(change.keys)
    assert ledger.is_right()
    change = plugin.cluster.store.apply(Put(objects([service("web", "10.0.0.9")])[1]), 2000)
    made.site.stamps.bump(change.keys)
    assert not ledger.is_right()


# ExternalName


def address(name, text, ttl=60):
    return RRset(names.parse(name), types.A, ttl, (records.address(text),))


async def test_an_outside_target_is_asked_of_the_server_itself():
    made, _, outside = kubernetes()
    outside.says = Answer(answer=(address("out.example", "203.0.113.1"),))
    reply = await made.dig("ext.a.svc.cluster.local")
    assert rows(reply.answer) == [
        "Out.Example. 60 A 203.0.113.1",
        "ext.a.svc.cluster.local. 5 CNAME Out.Example.",
    ]
    assert reply.flags & dns.flags.AA
    assert outside.asked == [names.parse_key("out.example")]


async def test_the_whole_chain_of_cnames_is_shown():
    made, _, outside = kubernetes()
    outside.says = Answer(answer=(address("out.example", "203.0.113.1"),))
    reply = await made.dig("hop.a.svc.cluster.local")
    assert [rrset.name.to_text() for rrset in reply.answer] == [
        "hop.a.svc.cluster.local.",
        "ext.a.svc.cluster.local.",
        "Out.Example.",
    ]


@pytest.mark.parametrize(
    "fails",
    [
        SKIP,
        Answer(rcode=types.NXDOMAIN),
        Answer(rcode=types.SERVFAIL, error="no upstream"),
        Answer(rcode=types.REFUSED),
        Answer(),
    ],
    ids=["skip", "nxdomain", "servfail", "refused", "nodata"],
)
async def test_a_target_that_fails_leaves_the_bare_cname(fails):
    made, _, outside = kubernetes()
    outside.says = fails
    reply = await made.dig("ext.a.svc.cluster.local")
    assert reply.rcode() == dns.rcode.NOERROR
    assert rows(reply.answer) == ["ext.a.svc.cluster.local. 5 CNAME Out.Example."]


async def test_a_target_that_gets_no_reply_leaves_nothing():
    made, *_ = kubernetes()

    async def dropped(_):
        return None

    made.route = dropped
    reply = await made.dig("hop.a.svc.cluster.local")
    assert told(reply) == "NODATA"
    assert reply.authority


async def test_truncation_of_the_targets_answer_is_passed_on():
    made, _, outside = kubernetes()
    outside.says = Answer(answer=(address("out.example", "203.0.113.1"),), flags=types.TC)
    assert (await made.dig("ext.a.svc.cluster.local")).flags & dns.flags.TC


async def test_a_cached_target_is_counted_down_and_held_for_that_second_only():
    clock = Clock(1003.5)
    made, _, outside = kubernetes(clock=clock)
    outside.says = Answer(answer=(address("out.example", "203.0.113.1"),), aging=(1000.25, 60))
    reply = await made.dig("ext.a.svc.cluster.local")
    assert [rrset.ttl for rrset in reply.answer] == [5, 57]
    assert made.ledger.until == 1004.25


async def test_targets_that_lead_back_and_forth_between_zones_end():
    documents = (
        service("x", external="y.a.svc.out.example"),
        service("y", external="x.a.svc.cluster.local"),
    )
    made, *_ = kubernetes(documents=documents, stanza="kubernetes cluster.local out.example")
    found = await made.ask("x.a.svc.cluster.local")
    assert isinstance(found, Answer)
    assert found.rcode == types.NOERROR
    assert not made.ledger.keep


# Metadata


async def test_metadata_is_offered_before_any_plugin_has_seen_the_query():
    made = chain(f"metadata\n{STANZA} {{\n pods verified\n}}", Metadata, Kubernetes)
    store = made.plugins[1].cluster.store
    store.apply_all([*as_list(objects(CLUSTER)), Synced()], 1000)
    await made.ask("_http._tcp.web.a.svc.cluster.local", who=client("127.0.0.1"))
    labels = [*made.ledger.metadata, "kubernetes/client-label/app", "kubernetes/client-label/none"]
    assert made.ledger.keep  # nobody has read what is about the asker
    made.query.tell(labels)
    assert made.ledger.told == {
        "kubernetes/port-name": "http",
        "kubernetes/protocol": "tcp",
        "kubernetes/endpoint": "",
        "kubernetes/service": "web",
        "kubernetes/namespace": "a",
        "kubernetes/kind": "svc",
        "kubernetes/client-namespace": "a",
        "kubernetes/client-pod-name": "p",
        "kubernetes/client-label/app": "shop",
    }
    assert not made.ledger.keep


@pytest.mark.parametrize(
    ("label", "is_personal"),
    [("client-namespace", False), ("client-pod-name", True), ("client-label/app", True)],
)
async def test_that_a_client_is_unknown_is_about_him_too(label, is_personal):
    made = chain(f"metadata\n{STANZA} {{\n pods verified\n}}", Metadata, Kubernetes)
    await made.ask("web.a.svc.cluster.local", who=client("192.0.2.77"))
    made.query.tell([f"kubernetes/{label}"])
    assert made.ledger.told == {}
    assert made.ledger.is_personal == is_personal
    assert bool(made.ledger.audience) != is_personal


async def test_metadata_without_verified_pods_may_be_remembered():
    made = chain(f"metadata\n{STANZA}", Metadata, Kubernetes)
    made.plugins[1].cluster.store.apply_all([*as_list(objects(CLUSTER)), Synced()], 1000)
    await made.ask("x.y.z.web.a.svc.cluster.local")
    assert made.ledger.metadata["kubernetes/parse-error"]() == "invalid query name"
    assert made.ledger.keep


async def test_metadata_is_not_made_for_names_of_others():
    made = chain(f"metadata\n{STANZA}", Metadata, Kubernetes)
    await made.ask("example.org")
    assert made.ledger.metadata == {}


# Source and start

MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: a}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
"""


def running(made):
    """The chain's plugins with their tasks, as the server runs them."""
    return at_work(made.plugins, made.site.shared)


async def test_manifests_are_served_once_started(tmp_path):
    (tmp_path / "web.yaml").write_text(MANIFEST)
    made = chain(f"{STANZA} {{\n manifests {tmp_path}\n}}", Kubernetes)
    async with running(made):
        assert made.plugins[0].is_ready
        assert await said(made, "web.a.svc.cluster.local") == "10.0.0.1"
        assert await said(made, "cluster.local", "NS") == "ns.dns.cluster.local."
        assert await said(made, "ns.dns.cluster.local") == "127.0.0.1"


def test_manifests_lie_beside_the_corefile_that_names_them():
    def word(text):
        return Word(text, "/etc/dns/Corefile", 3)

    line = Directive(word("manifests"), (word("demo"), word("/abs/x.yaml")))
    stanza = Directive(word("kubernetes"), (word("cluster.local"),), (line,))
    plugin = Kubernetes(check(stanza, Kubernetes.syntax), make_site())
    assert plugin.cluster.origin.manifests == ("/etc/dns/demo", "/abs/x.yaml")


async def test_start_waits_a_bounded_time_and_then_serves_unsynced(tmp_path, caplog):
    text = f"{STANZA} {{\n manifests {tmp_path}/absent.yaml\n startup_timeout 10ms\n}}"
    made = chain(text, Kubernetes)
    async with running(made):
        assert not made.plugins[0].is_ready
        assert await said(made, "web.a.svc.cluster.local") == "SERVFAIL"
    assert "serving before the cluster is known" in caplog.text


async def test_stanzas_with_one_source_and_selection_share_a_store(tmp_path):
    where = make_site()
    both = [
        chain(f"{STANZA} {{\n manifests {tmp_path}\n {option}\n}}", Kubernetes, shared=where.shared)
        for option in ("ttl 5", "ttl 30", "labels a=b")
    ]
    one, two, other = (made.plugins[0].cluster for made in both)
    assert one is two
    assert one is not other


async def test_every_change_of_the_source_reaches_the_stamps(tmp_path):
    (tmp_path / "web.yaml").write_text(MANIFEST)
    made = chain(f"{STANZA} {{\n manifests {tmp_path}\n}}", Kubernetes)
    await made.ask("web.a.svc.cluster.local")
    before = made.ledger
    async with running(made):
        assert not before.is_right()


# What other plugins are told


async def test_the_search_path_of_the_asker_is_told_to_others():
    made, plugin, _ = kubernetes("pods verified")
    search = made.site.beside["search"]["kubernetes"]
    path = [names.format(key) for key in search(a_query(made, "x.y.cluster.local"))]
    assert path[:3] == ["a.svc.cluster.local.", "svc.cluster.local.", "cluster.local."]
    assert path[-1] == "."
    assert made.ledger.audience == (made.site.beside["clients"],)
    assert made.ledger.facts == [b"\x7f\0\0\1"]
    assert made.ledger.keep
    assert search(a_query(made, "x.y.cluster.local", "10.9.9.9")) is None
    assert made.ledger.audience, "even the absence of a pod depends on the asker"
    assert search(a_query(made, "example.org")) is None
    assert made.site.beside["cluster"].store is plugin.cluster.store


async def test_without_verified_pods_nobody_is_told_who_asks():
    made, _, _ = kubernetes("pods insecure")
    assert "clients" not in made.site.beside
    assert "search" not in made.site.beside


def test_the_forward_zones_of_all_stanzas_are_known_to_the_process():
    made, _, _ = kubernetes()
    assert made.site.shared["cluster zones"] == {names.parse_key("cluster.local")}


def a_query(made, name, who="127.0.0.1"):
    asked = question(name)
    made.ledger = Ledger(made.site.stamps, made.route, facts=[])
    return Query.of(asked, client(who), made.site.clock(), made.ledger)
