"""kubernetes on an API server: what the stanza asks for, waiting, and answers marked as stale."""

import asyncio
import logging
from contextlib import asynccontextmanager

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from kdns.cluster import cluster as module
from kdns.cluster.api.connection import Access
from kdns.cluster.objects import Namespace
from kdns.cluster.snapshot import write
from kdns.cluster.store import Put
from kdns.plugins.kubernetes import Kubernetes
from kdns.server.assembly import Services, build
from kdns.server.service import Service
from tests.cluster.sources import FakeApi, until
from tests.cluster.things import service, slice_
from tests.fakes import Clock, chain

STANZA = "kubernetes cluster.local in-addr.arpa"
WEB = "web.a.svc.cluster.local"
KNOWN = (Namespace("a"), service("web", "1"), service("db"), slice_("x", "2", "3", of="db"))
STALE, NOT_READY = 3, 14


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "Api", FakeApi)
    monkeypatch.setattr(FakeApi, "made", None)
    monkeypatch.setattr(module, "SNAPSHOT_GRACE_S", 0.02)
    monkeypatch.setattr(module, "LOOK_S", 0.002)


@asynccontextmanager
async def serving(options="", *, clock=None, before="", waits=False):
    """A server of this stanza on a loopback port, with its plugin and its API."""
    services = Services(clock=clock) if clock else Services()
    errors = []
    timeout = "" if waits else "startup_timeout 0"
    text = f".:0 {{\nbind 127.0.0.1\n{before}\n{STANZA} {{\n{options}\n{timeout}\n}}\n}}"
    assembly = build(text, "/Corefile", services, errors)
    assert not errors
    server = Service(assembly, services)
    await server.start()
    plugin = next(one for one in assembly.plugins if isinstance(one, Kubernetes))
    try:
        yield server, plugin, FakeApi.made
    finally:
        await server.stop()


async def ask(server, name, type_="A", *, edns=True, payload=1232):
    """What is answered over UDP."""
    query = dns.message.make_query(name, type_)
    query.use_edns(0 if edns else -1, 0, payload)
    told = asyncio.get_running_loop().create_future()

    class Asks(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            transport.sendto(query.to_wire())

        def datagram_received(self, data, _):
            told.set_result(data)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Asks, remote_addr=("127.0.0.1", server.addresses[0][1])
    )
    try:
        return dns.message.from_wire(await asyncio.wait_for(told, 40))
    finally:
        transport.close()


def ede(reply):
    return [(o.code, o.text) for o in reply.options if o.otype == dns.edns.OptionType.EDE]


def bare(reply):
    """All that staleness must not change."""
    return (
        reply.rcode(),
        reply.flags,
        sorted(
            row
            for section in reply.sections
            for rrset in section
            for row in rrset.to_text().split("\n")
        ),
    )


# Options


def origin(options):
    made = chain(f"{STANZA} {{\n{options}\n}}", Kubernetes)
    return made.plugins[0].cluster.origin


@pytest.mark.parametrize(
    ("options", "access"),
    [
        ("", Access()),
        ("endpoint https://one:1 https://two:2", Access("https://one:1")),
        ("endpoint http://a\nendpoint http://b", Access("http://b")),
        ("endpoint http://a\ntls c k r", Access("http://a", "c", "k", "r")),
        ("kubeconfig f", Access(kubeconfig="f")),
        ("endpoint http://a\nkubeconfig f ctx", Access(kubeconfig="f", context="ctx")),
        (
            "apiserver_qps 1.5\napiserver_burst 3\napiserver_max_inflight 7",
            Access(qps=1.5, burst=3, max_inflight=7),
        ),
    ],
)
def test_the_stanza_says_how_the_api_server_is_reached(options, access):
    assert origin(options).access == access


def test_a_snapshot_lies_beside_the_corefile_that_names_it():
    assert origin("snapshot kept").snapshot == "kept"
    assert origin("snapshot /var/lib/kept").snapshot == "/var/lib/kept"


@pytest.mark.parametrize(
    ("other", "lines"),
    [("snapshot f\nttl 9", []), ("snapshot g\npods verified", []), ("pods verified", []),
     ("snapshot f\npods verified", [8])],
)  # fmt: skip
def test_stanzas_with_other_options_keep_their_snapshots_apart(other, lines):
    errors = []
    one = f"a.test {{\n{STANZA} {{\nsnapshot f\n}}\n}}\n"
    build(f"{one}b.test {{\n{STANZA} {{\n{other}\n}}\n}}", "Corefile", Services(), errors)
    assert [error.line for error in errors] == lines
    assert all("keeps its snapshot in the same file" in str(error) for error in errors)


async def test_a_start_that_finds_the_cluster_known_waits_for_nothing(caplog):
    """As in every reload, also with `startup_timeout 0`."""
    async with serving() as (_, plugin, api):
        api.list_all(*KNOWN)
        await asyncio.wait_for(plugin.cluster.synced.wait(), 40)
        caplog.clear()
        await plugin.start()
    assert "before the cluster is known" not in caplog.text


@pytest.mark.parametrize("option", ["snapshot f", "stale_after 5m"])
def test_what_is_for_an_api_server_does_not_go_with_manifests(option):
    errors = []
    text = f". {{\n{STANZA} {{\nmanifests x\n{option}\n}}\n}}"
    build(text, "Corefile", Services(), errors)
    assert [option.split()[0] in str(error) and error.line == 4 for error in errors] == [True]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("endpoint http://a http://b", ["of several endpoints only the first is used: http://a"]),
        ("endpoint http://a\nkubeconfig f", ["endpoint is not used"]),
        ("endpoint http://a", []),
    ],
)
async def test_what_is_passed_over_is_said_once(options, said, caplog):
    async with serving(options, waits=False):
        found = [one.message for one in caplog.records if "endpoint" in one.message]
    assert len(found) == len(said)
    assert all(words in line for words, line in zip(said, found, strict=True))


# Starting


async def test_start_waits_until_everything_was_told_once():
    starting = asyncio.create_task(anext(aiter_of(serving(waits=True))))
    await until(lambda: FakeApi.made)
    await asyncio.sleep(0.01)
    assert not starting.done()
    FakeApi.made.list_all(*KNOWN)
    server, plugin, _ = await asyncio.wait_for(starting, 40)
    assert plugin.is_ready
    await server.stop()


async def aiter_of(manager):
    yield await manager.__aenter__()


async def test_a_start_that_waits_says_so_and_why(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    made = chain(f"{STANZA} {{\n startup_timeout 150ms\n}}", Kubernetes)
    plugin = made.plugins[0]
    sleep = asyncio.sleep

    async def quicker(seconds):
        await sleep(seconds / 20)

    monkeypatch.setattr("kdns.plugins.kubernetes.asyncio.sleep", quicker)
    plugin.cluster._api = FakeApi(freshness=plugin.cluster.freshness)
    plugin.cluster._api.failure = "10.0.0.1:443: connection refused"
    await plugin.start()
    waiting = [one.message for one in caplog.records if one.message.startswith("waiting")]
    assert len(waiting) >= 2
    assert set(waiting) == {"waiting for the cluster's first state"}  # the reason has its own line
    assert (
        "serving before the cluster is known: nothing whole was read in 0.15 s: 10.0" in caplog.text
    )


async def test_start_does_not_wait_where_a_snapshot_serves(tmp_path):
    made = chain(f"{STANZA} {{\nsnapshot {tmp_path}/kept\n}}", Kubernetes)
    write(str(tmp_path / "kept"), made.plugins[0].cluster.origin.owner, KNOWN)
    async with serving(f"snapshot {tmp_path}/kept", waits=True) as (server, plugin, _):
        assert plugin.is_ready
        assert ede(await ask(server, WEB)) == [(STALE, "cluster data from a snapshot")]


async def test_before_the_first_state_a_failure_says_that_it_is_not_ready_yet():
    async with serving() as (server, plugin, api):
        reply = await ask(server, WEB)
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert ede(reply) == [(NOT_READY, "the cluster is not known yet")]
        assert not plugin.is_ready
        api.list_all(*KNOWN)
        await until(lambda: plugin.is_ready)
        assert ede(await ask(server, "none.a.svc.cluster.local")) == []


# Staleness

QUESTIONS = [
    (WEB, "A"),
    (WEB, "AAAA"),
    ("none.a.svc.cluster.local", "A"),
    ("db.a.svc.cluster.local", "A"),
    ("_http._tcp.db.a.svc.cluster.local", "SRV"),
    ("1.0.0.10.in-addr.arpa", "PTR"),
    ("cluster.local", "SOA"),
]


@pytest.mark.parametrize("before", ["", "loadbalance", "cache 30", "cache 30\nloadbalance"])
async def test_old_data_is_marked_and_otherwise_as_it_was(before):
    clock = Clock()
    async with serving("stale_after 5m", clock=clock, before=before) as (server, plugin, api):
        api.list_all(*KNOWN)
        await until(lambda: plugin.is_ready)
        fresh = {one: [await ask(server, *one) for _ in range(4)][-1] for one in QUESTIONS}
        assert not any(map(ede, fresh.values()))
        clock.now += 301
        plugin.judge_age()
        why = "no news from the API server for more than 300 s"
        for _ in range(4):
            for one in QUESTIONS:
                reply = await ask(server, *one)
                assert ede(reply) == [(STALE, why)], one
                assert bare(reply) == bare(fresh[one])
        for kind in list(api.freshness.ages()):
            api.freshness.heard(kind)
        plugin.judge_age()
        for _ in range(4):
            for one in QUESTIONS:
                assert ede(await ask(server, *one)) == []


async def test_who_does_not_speak_edns_is_not_told():
    clock = Clock()
    async with serving("", clock=clock) as (server, plugin, api):
        api.list_all(*KNOWN)
        await until(lambda: plugin.is_ready)
        clock.now += 301
        plugin.judge_age()
        for _ in range(4):
            reply = await ask(server, WEB, edns=False)
            assert (reply.edns, reply.options) == (-1, ())


async def test_a_truncated_answer_is_marked_too():
    clock = Clock()
    many = slice_("x", *(f"10.1.0.{n}" for n in range(1, 201)), of="db")
    async with serving("", clock=clock) as (server, plugin, api):
        api.list_all(Namespace("a"), service("db"), many)
        await until(lambda: plugin.is_ready)
        clock.now += 301
        plugin.judge_age()
        for _ in range(4):
            reply = await ask(server, "db.a.svc.cluster.local", payload=600)
            assert reply.flags & dns.flags.TC
            assert [code for code, _ in ede(reply)] == [STALE]


async def test_what_other_plugins_answer_is_not_marked():
    clock = Clock()
    text = "hosts {\n192.0.2.1 fixed.example\nfallthrough\n}"
    async with serving("", clock=clock, before=text) as (server, plugin, api):
        api.list_all(*KNOWN)
        await until(lambda: plugin.is_ready)
        clock.now += 301
        plugin.judge_age()
        assert ede(await ask(server, "fixed.example")) == []


async def test_stale_after_0_never_marks():
    clock = Clock()
    async with serving("stale_after 0", clock=clock) as (_, plugin, api):
        api.list_all(*KNOWN)
        await until(lambda: plugin.is_ready)
        clock.now += 1e6
        assert plugin.tasks() == ()
        assert plugin.staleness == ""


async def test_the_flip_is_noticed_by_itself_and_told_in_the_log(monkeypatch, caplog):
    monkeypatch.setattr("kdns.plugins.kubernetes.TICK_S", 0.002)
    caplog.set_level(logging.INFO)
    clock = Clock()
    async with serving("", clock=clock) as (_, plugin, api):
        api.list_all(*KNOWN)
        await until(lambda: plugin.is_ready)
        api.failure = "10.0.0.1:443: no route"
        clock.now += 301
        await until(lambda: plugin.staleness)
        for kind in list(api.freshness.ages()):
            api.freshness.heard(kind)
        await until(lambda: not plugin.staleness)
    said = [one.message for one in caplog.records if "marked as stale" in one.message]
    assert said == [
        "no news from the API server for more than 300 s: 10.0.0.1:443: no route; "
        "answers are marked as stale",
        "the API server speaks again: answers are no longer marked as stale",
    ]


async def test_files_are_never_stale(tmp_path):
    (tmp_path / "x.yaml").write_text("{kind: Namespace, apiVersion: v1, metadata: {name: a}}")
    made = chain(f"{STANZA} {{\nmanifests {tmp_path}\n}}", Kubernetes)
    assert made.plugins[0].tasks() == ()


async def test_the_snapshots_mark_goes_once_everything_was_told(tmp_path):
    kept = f"snapshot {tmp_path}/kept"
    made = chain(f"{STANZA} {{\n{kept}\n}}", Kubernetes)
    write(str(tmp_path / "kept"), made.plugins[0].cluster.origin.owner, KNOWN)
    async with serving(kept, waits=True) as (server, _, api):
        for _ in range(4):
            assert ede(await ask(server, WEB)) == [(STALE, "cluster data from a snapshot")]
        api.list_all(*KNOWN)
        await until(lambda: not FakeApi.made.failure and api.freshness.is_whole)
        for _ in range(4):
            assert ede(await ask(server, WEB)) == []


# Metrics, sharing


async def test_age_and_staleness_are_metrics():
    clock = Clock()
    async with serving("", clock=clock) as (server, plugin, api):
        counters = server.services.counters
        read = lambda name: dict(counters.asked[name]())  # noqa: E731
        api.list_all(*KNOWN)
        await until(lambda: plugin.is_ready)
        clock.now += 40
        api.freshness.heard(Namespace)
        assert read("kdns_data_age_seconds") == {
            ("namespaces",): 0.0, ("services",): 40.0, ("endpointslices",): 40.0, ("pods",): 40.0,
        }  # fmt: skip
        assert read("kdns_data_stale") == {(): 0.0}
        clock.now += 301
        plugin.judge_age()
        assert read("kdns_data_stale") == {(): 1.0}


async def test_a_reload_with_the_same_stanza_lists_nothing_again():
    async with serving() as (server, plugin, api):
        api.list_all(*KNOWN)
        await until(lambda: plugin.is_ready)
        errors = []
        text = f".:0 {{\nbind 127.0.0.1\n{STANZA} {{\nttl 30\n}}\n}}"
        services = server.services
        again = build(text, "/Corefile", services, errors)
        other = again.plugins[-1]
        assert other.cluster is plugin.cluster
        assert other.is_ready
        await asyncio.wait_for(other.start(), 40)
        api.say(Put(service("late", "9")))
        await until(lambda: "a/late" in other.cluster.store.services)
        assert api.lists == 1
