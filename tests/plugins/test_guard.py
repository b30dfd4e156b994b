"""guard: which services are taken for public names, and what becomes of them."""

import asyncio
import logging

import pytest

from kdns.cluster.objects import Namespace, Pod, Service
from kdns.cluster.store import Delete, Put, Synced
from kdns.corefile.tree import ConfigError
from kdns.plugins import guard as module
from kdns.plugins.autopath import Autopath
from kdns.plugins.base import SKIP
from kdns.plugins.cache import Cache
from kdns.plugins.guard import Guard
from kdns.plugins.kubernetes import Kubernetes
from kdns.zone import shadows
from tests import fakes
from tests.plugins.searching import Outside, Server, musl, pod_path
from tests.zone.worlds import endpoint, objects, service, slice_

KINDS = (Autopath, Guard, Cache, Kubernetes, Outside)
CLUSTER = (
    service("yahoo", "10.0.0.66", ns="com"),
    service("web", "10.0.0.1"),
    service("kube-dns", "10.0.0.10", ns="kube-system"),
    service("prod", ns="svc"),
    slice_("prod", endpoint("10.0.0.67", hostname="db"), ns="svc"),
    service("db", "10.0.0.3", ns="prod"),
)
YAHOO = "yahoo.com.svc.cluster.local"
CLIENT = "10.1.0.1"


def server(stanza: str = "guard", options: str = "") -> Server:
    text = f"{stanza}\nkubernetes cluster.local {{\n{options}\n}}\noutside"
    made = Server(text, CLUSTER, kinds=KINDS)
    made.outside.set("yahoo.com", "192.0.2.1")
    return made


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.WARNING, "kdns.guard")
    return lambda: [record.message for record in caplog.records if record.name == "kdns.guard"]


@pytest.mark.parametrize(
    ("mode", "name", "type_", "expected"),
    [
        ("", YAHOO, "A", "10.0.0.66"),
        ("ede", YAHOO, "A", "10.0.0.66"),
        ("refuse", YAHOO, "A", "NXDOMAIN"),
        ("refuse", YAHOO, "AAAA", "NXDOMAIN"),
        ("refuse", "no.com.svc.cluster.local", "A", "NXDOMAIN"),
        ("refuse", "web.a.svc.cluster.local", "A", "10.0.0.1"),
        ("refuse", "kube-dns.kube-system.svc.cluster.local", "A", "10.0.0.10"),
        ("refuse", "db.prod.svc.svc.cluster.local", "A", "NXDOMAIN"),
        ("refuse", "db.prod.svc.cluster.local", "A", "NXDOMAIN"),
        ("refuse", "com.svc.cluster.local", "A", ""),
        ("refuse", "yahoo.com", "A", "192.0.2.1"),
    ],
)
async def test_what_shadows_a_name_is_answered_as_told(mode, name, type_, expected):
    made = server(f"guard {mode}")
    await made.plugins[0].start()
    for _ in range(4):
        assert await made.said(CLIENT, name, type_) == expected


async def test_refused_services_leave_the_public_name_to_every_resolver():
    for mode, found in (("log", "10.0.0.66"), ("refuse", "192.0.2.1")):
        made = server(f"guard {mode}")
        assert await musl(made, CLIENT, "yahoo.com", pod_path("a")) == {found}


@pytest.mark.parametrize(("mode", "code"), [("ede", 0), ("refuse", 15)])
async def test_the_client_is_told_why(mode, code):
    made = fakes.chain(f"guard {mode}\nkubernetes cluster.local", Guard, Kubernetes)
    events = [*map(Put, objects(CLUSTER)), Synced()]
    made.plugins[1].cluster.store.apply_all(events, 1000)
    reply = await made.dig(YAHOO, "A", None, has_opt=True, size=1232)
    [option] = reply.options
    assert (option.code, option.text) == (
        code,
        "service yahoo in namespace com shadows the public name yahoo.com",
    )


async def test_each_service_is_named_once_in_the_log(lines):
    made = server()
    plugin = made.plugins[0]
    await plugin.start()
    plugin.judge()
    assert [line.split(" for ")[0] for line in lines()] == [
        "service yahoo in namespace com shadows the public name yahoo.com",
        "service db in namespace prod shadows the public name db.prod",
        "service prod in namespace svc shadows names in namespace prod that end in .svc",
    ]
    made.apply(Put(Service("com", "google")))
    plugin.judge()
    assert len(lines()) == 4
    assert "google.com" in lines()[-1]
    key = ("kdns_guard_shadowing_services", "dns://:53")
    assert made.site.counters.values[key] == 4
    made.apply(Delete(Service, "com", "google"), Delete(Service, "com", "yahoo"))
    plugin.judge()
    assert made.site.counters.values[key] == 2
    made.apply(Put(Service("com", "google")))
    plugin.judge()
    assert len(lines()) == 5, "one that comes back is told again"


async def test_many_services_of_one_namespace_take_few_lines(lines):
    made = server()
    made.apply(*(Put(Service("prod", f"many-{number}")) for number in range(500)))
    await made.plugins[0].start()
    assert "498 more services in namespace prod do so, too" in lines()
    assert len(lines()) == 6


async def test_a_reload_names_nothing_again(lines):
    made = server()
    await made.plugins[0].start()
    told = len(lines())
    again = Guard(made.plugins[0].settings, made.site)
    await again.start()
    assert len(lines()) == told > 0


async def test_a_list_of_domains_takes_the_place_of_ours(tmp_path, lines):
    (tmp_path / "tlds").write_text("# Version 1\nCOM\nXN--P1AI\n")
    made = server(f"guard refuse {{\n tlds {tmp_path}/tlds\n}}")
    await made.plugins[0].start()
    assert len(lines()) == 2, "com, and svc in any case"
    assert await made.said(CLIENT, "db.prod.svc.cluster.local") == "10.0.0.3"
    assert await made.said(CLIENT, YAHOO) == "NXDOMAIN"


@pytest.mark.parametrize("order", [("10.1.0.1", "10.1.0.2"), ("10.1.0.2", "10.1.0.1")])
async def test_pods_of_the_namespace_itself_see_its_services(order):
    made = server("guard refuse", "pods verified")
    made.apply(Put(Pod("com", "p", (b"\x0a\1\0\1",))), Put(Pod("a", "p", (b"\x0a\1\0\2",))))
    expected = {"10.1.0.1": "10.0.0.66", "10.1.0.2": "NXDOMAIN"}
    for _ in range(5):
        for address in order:
            assert await made.said(address, YAHOO) == expected[address]
    assert made.hits > 2
    made.apply(Put(Pod("a", "p", (b"\x0a\1\0\1",))), Delete(Pod, "com", "p"))
    assert await made.said("10.1.0.1", YAHOO) == "NXDOMAIN"


async def test_answers_follow_the_cluster():
    made = server("guard refuse")
    for _ in range(4):
        assert await made.said(CLIENT, YAHOO) == "NXDOMAIN"
    made.apply(Put(Namespace("org")), Put(Service("org", "new", (b"\1\2\3\4",))))
    assert await made.said(CLIENT, "new.org.svc.cluster.local") == "NXDOMAIN"
    assert await made.said(CLIENT, "new.a.svc.cluster.local") == "NXDOMAIN"
    made.apply(Put(Service("a", "new", (b"\1\2\3\4",))))
    assert await made.said(CLIENT, "new.a.svc.cluster.local") == "1.2.3.4"


async def test_what_shadows_is_counted_from_the_table_too():
    made = server()
    for _ in range(6):
        await made.ask(CLIENT, YAHOO)
        await made.ask(CLIENT, "web.a.svc.cluster.local")
    await made.pipeline.tell_all()
    assert made.site.counters.values["kdns_guard_answers_total", "dns://:53", "log"] == 6


async def test_without_a_cluster_there_is_nothing_to_guard():
    made = fakes.chain("guard", Guard)
    assert await made.ask(YAHOO) is SKIP
    with pytest.raises(ConfigError, match="no cluster to guard"):
        await made.plugins[0].start()


@pytest.mark.parametrize("content", [None, "# nothing\n"])
async def test_a_list_that_cannot_be_used_is_a_mistake(tmp_path, content):
    if content is not None:
        (tmp_path / "tlds").write_text(content)
    made = server(f"guard {{\n tlds {tmp_path}/tlds\n}}")
    with pytest.raises(ConfigError, match="tlds"):
        await made.plugins[0].start()


@pytest.mark.parametrize("stanza", ["guard deny", "guard log ede", "guard {\n tlds\n}"])
def test_mistakes(stanza):
    with pytest.raises(ConfigError):
        fakes.chain(stanza, Guard)


def test_the_list_holds_what_people_call_namespaces_and_domains():
    assert {
        "com",
        "net",
        "org",
        "io",
        "dev",
        "app",
        "de",
        "cloud",
        "prod",
        "shop",
    } <= shadows.PUBLIC
    assert not {"default", "svc", "local", "kube-system", "test", "staging"} & shadows.PUBLIC


async def test_the_cluster_is_followed(monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    made = server()
    [work] = made.plugins[0].tasks()
    task = asyncio.ensure_future(work)
    key = ("kdns_guard_shadowing_services", "dns://:53")
    async with asyncio.timeout(40):
        while made.site.counters.values.get(key) != 3:
            await asyncio.sleep(0.001)
        made.apply(Delete(Service, "com", "yahoo"))
        while made.site.counters.values[key] != 2:
            await asyncio.sleep(0.001)
    task.cancel()


async def test_an_answer_that_must_be_waited_for_is_judged():
    made = server("guard refuse")
    made.apply(Put(Service("com", "out", external_name="yahoo.com")))
    for _ in range(3):
        assert await made.said(CLIENT, "out.com.svc.cluster.local") == "NXDOMAIN"
