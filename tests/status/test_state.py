"""The JSON behind the page: what it tells, what it hides, and what it costs."""

import asyncio
import json
import time

import aiohttp
import pytest

from kdns.cluster.cluster import Cluster
from kdns.cluster.objects import Pod, Port, Slice
from kdns.cluster.store import Delete, Put, Store, Synced
from kdns.corefile.parser import parse
from kdns.lab.lab import Lab
from kdns.lab.resources import NAMESPACES, SERVICES, SLICES
from kdns.server.understood import LENGTH
from kdns.status.services import Listing, shown
from kdns.status.state import PULSES, State, block_shapes, pod_at
from tests import upstream
from tests.cluster.things import ips, pod, service, slice_
from tests.running import Running, free_port
from tests.status.watched import watched

PLAIN = """
.:0 {
    status 127.0.0.1:0
    template IN A missing.example {
        rcode NXDOMAIN
    }
    hosts {
        10.0.0.1 a.example
    }
}
"""


async def test_what_was_asked_is_counted_and_listed(tmp_path):
    async with watched(PLAIN, tmp_path) as served:
        for _ in range(8):
            await served.ask("a.example")
        await served.ask("missing.example")
        found = await served.counted(9)
    totals = found.totals
    assert (totals.queries, totals.rcodes) == (9, {"NOERROR": 8, "NXDOMAIN": 1})
    assert totals.hits >= 1, "the table gave what was asked again"
    assert sum(totals.latency) == 9
    assert len(totals.latency) == len(found.bounds) + 1
    assert totals.transports == {"udp": 9}
    assert totals.names[0][0] == "a.example."
    assert totals.clients[0][0] == "127.0.0.1"
    assert found.started <= found.now <= time.time()
    assert found.memory > 1 << 20


async def test_names_that_do_not_exist_have_a_list_of_their_own(tmp_path):
    async with watched(PLAIN, tmp_path) as served:
        await served.ask("missing.example")
        found = await served.counted(1)
    assert found.totals.missing == [("missing.example.", 1)]


async def test_failures_are_those_the_server_could_not_answer(tmp_path):
    dead = f".:0 {{\n status 127.0.0.1:0\n forward . 127.0.0.1:{free_port()}\n}}\n"
    async with watched(dead, tmp_path) as served:
        await served.ask("a.example")
        found = await served.counted(1)
        assert found.totals.failures == 1
        async with asyncio.timeout(40):
            while (await served.status()).upstreams[0].is_healthy:
                await asyncio.sleep(0.1)
        [one] = (await served.status()).upstreams
    assert (one.zone, one.failures >= 2, one.queries) == (".", True, 0)


async def test_upstreams_tell_their_latency(tmp_path):
    async with upstream.Upstream(upstream.answers()) as to:
        text = f".:0 {{\n status 127.0.0.1:0\n forward . 127.0.0.1:{to.port}\n}}\n"
        async with watched(text, tmp_path) as served:
            for at in range(4):
                await served.ask(f"{at}.example")
            found = await served.counted(4)
    [one] = found.upstreams
    assert (one.address, one.is_healthy, one.queries) == (f"127.0.0.1:{to.port}", True, 4)
    assert 0 < one.latency_ms < 1000


# The Corefile as understood


def test_blocks_are_shown_in_the_order_plugins_are_asked():
    text = "a.example:5300 {\n forward . 1.1.1.1 {\n max_fails 3\n policy random\n }\n log\n cache 30\n}\n"
    [one] = block_shapes(read(text))
    assert one.keys == ["a.example:5300"]
    assert one.plugins == ["log", "cache 30", "forward . 1.1.1.1 { max_fails 3; policy random }"]


@pytest.mark.parametrize(
    ("line", "shown_as"),
    [
        ("tsig {\n secret key. c2VjcmV0\n}", "tsig { secret key. *** }"),
        ("tsig {\n secrets /etc/keys\n}", "tsig { secrets /etc/keys }"),
        ("cookies {\n secret /etc/cookies\n}", "cookies { secret /etc/cookies }"),
        ("etcd {\n credentials me c2VjcmV0\n}", "etcd { credentials me *** }"),
        ("route53 {\n aws_access_key ID c2VjcmV0\n}", "route53 { aws_access_key ID *** }"),
        ("x {\n my_password c2VjcmV0\n}", "x { my_password *** }"),
        ("x {\n api-key c2VjcmV0 \n apikey c2VjcmV0\n}", "x { api-key ***; apikey *** }"),
        ("forward . https://me:c2VjcmV0@1.1.1.1/q", "forward . https://***@1.1.1.1/q"),
        ("status {\n token /etc/token\n}", "status { token /etc/token }"),
        ('rewrite name "a b" c', 'rewrite name "a b" c'),
    ],
)
def test_secrets_are_masked(line, shown_as):
    [one] = block_shapes(read(f". {{\n{line}\n}}\n"))
    assert one.plugins == [shown_as]
    assert "c2VjcmV0" not in str(one)


def test_a_long_directive_is_cut():
    lines = "\n".join(f"10.0.0.{at} host-{at}.example" for at in range(200))
    [one] = block_shapes(read(f". {{\nhosts {{\n{lines}\n}}\n}}\n"))
    assert len(one.plugins[0]) == LENGTH


def read(text):
    return parse(text, "Corefile", environ={}, read=lambda _: "", glob=lambda _: [])


async def test_the_status_shows_the_blocks_that_serve(tmp_path):
    async with watched(PLAIN, tmp_path) as served:
        [one] = (await served.status()).blocks
        assert one.plugins == [
            "status 127.0.0.1:0",
            "template IN A missing.example { rcode NXDOMAIN }",
            "hosts { 10.0.0.1 a.example }",
        ]
        assert await served.serving.reload(PLAIN.replace("hosts", "any\n hosts"))
        async with asyncio.timeout(40):
            while "any" not in (await served.status()).blocks[0].plugins:
                await asyncio.sleep(0.05)


# Services


def world(count=120, endpoints=2):
    store = Store()
    for at in range(count):
        name = f"svc-{at:05d}"
        store.apply(Put(service(name, f"10.9.{at >> 8}.{at & 255}", ns=f"ns{at % 3}")), 1.0)
        ends = [
            f"10.{128 + at // 16384}.{at >> 6 & 255}.{(at & 63) * 4 + n}"
            for n in range(min(endpoints, 4))
        ]
        more = [f"10.{64 + n}.{at >> 8 & 255}.{at & 255}" for n in range(endpoints - len(ends))]
        pods = tuple(f"{name}-{n}" for n in range(endpoints))
        store.apply(
            Put(slice_(f"{name}-x", *ends, *more, of=name, ns=f"ns{at % 3}", pods=pods)), 1.0
        )
    store.apply(Synced(), 1.0)
    return store


async def pages(listing, **query):
    """All pages of a search."""
    found, after = [], ""
    while True:
        page = json.loads(await listing.page({"after": after, "limit": "7", **query}))
        found += [f"{one['namespace']}/{one['name']}" for one in page["services"]]
        after = page["more"]
        if not after:
            return found, page["total"]


async def test_services_come_in_pages_sorted_each_once():
    store = world()
    found, total = await pages(Listing(lambda: [store], time.monotonic))
    assert found == sorted(store.services)
    assert total == 120


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("SVC-00007", ["ns1/svc-00007"]),
        ("ns2/svc-0001", [f"ns2/svc-000{at}" for at in (11, 14, 17)]),
        ("10.9.0.7", ["ns1/svc-00007"]),
        ("10.128.0.29", ["ns1/svc-00007"]),
        ("10.255.0.1", []),
        ("<script>", []),
    ],
)
async def test_a_search_finds_names_and_addresses(search, found):
    store = world()
    listing = Listing(lambda: [store], time.monotonic)
    assert await pages(listing, search=search) == (found, len(found))


async def test_what_changed_is_listed_and_counted_a_second_later_at_most():
    store, now = world(3), [10.0]
    listing = Listing(lambda: [store], lambda: now[0])
    await listing.refresh()
    counted = listing.counted(store)
    assert (counted.services, counted.endpoints, counted.unready) == (3, 6, 0)
    store.apply(Put(service("new", "10.9.9.9", ns="a")), 2.0)
    store.apply(Put(slice_("new-x", "7", "8", of="new", unready=frozenset({1}))), 2.0)
    store.apply(Delete(type(service("x")), "ns0", "svc-00000"), 2.0)
    assert (await pages(listing))[1] == 3, "not yet"
    now[0] += 1.0
    found, _ = await pages(listing)
    assert found == ["a/new", "ns1/svc-00001", "ns2/svc-00002"]
    counted = listing.counted(store)
    assert (counted.services, counted.endpoints, counted.unready) == (3, 6, 1)


def test_a_service_is_shown_as_operators_know_it():
    ports = (Port("http", 80, "tcp"), Port("", 53, "udp"), Port("all", -1, "tcp"))
    slices = (Slice("a", "x", "s", 4, b"".join(ips("1", "2")), frozenset({1}), pods=("p", "")),)
    found = shown(service("s", "9"), slices)
    assert (found.kind, found.addresses, found.ready, found.unready) == (
        "ClusterIP",
        ["10.0.0.9"],
        1,
        1,
    )
    assert [(one.address, one.is_ready, one.name) for one in found.endpoints] == [
        ("10.0.0.1", True, "p"),
        ("10.0.0.2", False, ""),
    ]
    named = type(service("s"))("a", "s", ports=ports, external_name="x.example")
    assert (shown(named, ()).kind, shown(named, ()).target) == ("ExternalName", "x.example")
    assert shown(named, ()).ports == ["http 80/tcp", "53/udp", "all any/tcp"]
    assert shown(service("s"), ()).kind == "headless"


def test_of_many_endpoints_the_first_hundred_are_shown():
    whole = tuple(slice_(f"x{at}", *(f"10.1.{at}.{n}" for n in range(100))) for at in range(5))
    found = shown(service("s", "9"), whole)
    assert (found.ready, len(found.endpoints)) == (500, 100)


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3"])
async def test_a_limit_that_is_none_is_refused(tmp_path, limit):
    async with watched(PLAIN, tmp_path) as served:
        assert b"limit" in await served.get(f"/services?limit={limit}", 400)
        assert (await served.get("/services"))["total"] == 0
        assert await served.get("/explain?name=a") == {"asked": {"name": "a"}}


async def test_ten_thousand_services_do_not_hold_the_loop():
    """Of 15 endpoints each: neither the first list, nor a new one, nor the largest page."""
    store, now = world(10_000, 15), [10.0]
    listing = Listing(lambda: [store], lambda: now[0])
    assert await worst(listing.refresh) < 0.01
    store.apply(Put(service("new", "10.9.9.9", ns="zz")), 2.0)
    now[0] += 2
    assert await worst(listing.refresh) < 0.01
    assert await worst(lambda: listing.page({"limit": "200"})) < 0.01
    assert await worst(lambda: listing.page({"search": "svc", "after": "ns1/"})) < 0.01
    counted = listing.counted(store)
    assert (counted.services, counted.endpoints) == (10_001, 150_000)


async def worst(work, tries=5):
    """The longest time that others on the loop waited, in the best of some tries."""
    return min([await longest_wait(work) for _ in range(tries)])


async def longest_wait(work):
    """By the thread's own time: that others had the processor is no fault of ours."""
    gaps = []

    async def tick():
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            gaps.append(time.thread_time() - before)

    ticking = asyncio.ensure_future(tick())
    await asyncio.sleep(0)
    await work()
    await asyncio.sleep(0)
    ticking.cancel()
    await asyncio.gather(ticking, return_exceptions=True)
    return max(gaps)


# Who asks


def test_a_client_is_known_by_its_pod_or_by_the_slice_it_stands_in():
    store = Store()
    store.apply_all([Put(service("s", "9")), Put(slice_("x", "1", "2", pods=("p1", "")))], 1.0)
    assert pod_at(store, ips("1")[0]) == "a/p1"
    assert pod_at(store, ips("2")[0]) == ""
    store.apply(Put(pod("q", "1", ns="b")), 1.0)
    assert pod_at(store, ips("1")[0]) == "b/q"
    assert isinstance(store.get(Pod, "b", "q"), Pod)


# What happens


CLUSTER = """
.:0 {{
    status 127.0.0.1:0
    kubernetes cluster.local {{
        endpoint {}
    }}
}}
"""
SPACE = "shop"


def endpoints(name, *addresses, unready=(), trigger=""):
    annotations = {"endpoints.kubernetes.io/last-change-trigger-time": trigger} if trigger else {}
    return {
        "metadata": {
            "name": f"{name}-0",
            "labels": {"kubernetes.io/service-name": name},
            "annotations": annotations,
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [one],
                "conditions": {"ready": one not in unready},
                "targetRef": {"kind": "Pod", "name": f"{name}-{at}", "namespace": SPACE},
            }
            for at, one in enumerate(addresses)
        ],
    }


def fill(lab, count=1):
    lab.storage.create(NAMESPACES, "", {"metadata": {"name": SPACE}})
    for at in range(count):
        port = {"name": "http", "port": 80, "protocol": "TCP"}
        spec = {"clusterIP": f"10.96.{at >> 8}.{at & 255}", "ports": [port], "type": "ClusterIP"}
        lab.storage.create(SERVICES, SPACE, {"metadata": {"name": f"web{at}"}, "spec": spec})
        lab.storage.create(SLICES, SPACE, endpoints(f"web{at}", "10.244.0.1", "10.244.0.2"))


def change(lab, *addresses, **more):
    kept = dict(lab.storage.get(SLICES, SPACE, "web0-0"))
    fresh = endpoints("web0", *addresses, **more)
    kept["endpoints"] = fresh["endpoints"]
    kept["metadata"] = {**kept["metadata"], "annotations": fresh["metadata"]["annotations"]}
    lab.storage.update(SLICES, SPACE, "web0-0", kept)


async def test_a_change_at_the_api_is_told_within_a_second(tmp_path):
    async with Lab(is_open=True, has_controllers=False) as lab:
        fill(lab)
        async with watched(CLUSTER.format(lab.url), tmp_path) as served:
            found = await served.status()
            [cluster] = found.clusters
            assert (cluster.source, cluster.zones) == (lab.url, ["cluster.local."])
            assert (cluster.services, cluster.endpoints, cluster.unready) == (1, 2, 0)
            assert cluster.has_synced
            assert cluster.age_s < 40
            async with served.events() as messages:
                first = await anext(messages)
                assert [one["what"] for one in first["changes"]] == ["listed: 1 services"]
                began = time.time()
                trigger = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began - 3))
                change(lab, "10.244.0.1", "10.244.0.3", unready=("10.244.0.1",), trigger=trigger)
                told = await following(messages)
                took = [time.time() - began]
                while min(took) >= 1 and len(took) < 12:  # others share the machine
                    again = time.time()
                    change(lab, "10.244.0.1", *(f"10.244.0.{at}" for at in range(3, 5 + len(took))))
                    await following(messages)
                    took.append(time.time() - again)
                assert min(took) < 1, took
    what = {one["address"]: one["what"] for one in told}
    assert what == {"10.244.0.1": "not ready", "10.244.0.2": "removed", "10.244.0.3": "added"}
    for one in told:
        assert one["service"] == "shop/web0"
        assert 2 < one["delay_s"] < 4 + took[0]
        assert 0 <= one["ours_s"] <= took[0]
        assert began <= one["at"] <= time.time()
    assert next(one["name"] for one in told if one["what"] == "added") == "web0-1"


async def following(messages):
    async with asyncio.timeout(40):
        while True:
            message = await anext(messages)
            if message["changes"]:
                return message["changes"]


async def test_a_service_that_comes_is_listed(tmp_path):
    async with Lab(is_open=True, has_controllers=False) as lab:
        fill(lab)
        async with (
            watched(CLUSTER.format(lab.url), tmp_path) as served,
            served.events() as messages,
        ):
            await anext(messages)
            spec = {"clusterIP": "10.96.7.7", "ports": [{"port": 80}], "type": "ClusterIP"}
            lab.storage.create(SERVICES, SPACE, {"metadata": {"name": "new"}, "spec": spec})
            [told] = await following(messages)
            assert (told["what"], told["service"]) == ("service added", "shop/new")
            async with asyncio.timeout(40):
                while not (page := await served.get("/services?search=new"))["services"]:
                    await asyncio.sleep(0.05)
            assert [one["name"] for one in page["services"]] == ["new"]


async def test_marks_tell_what_is_new_and_nothing_twice(tmp_path):
    async with Lab(is_open=True, has_controllers=False) as lab:
        fill(lab)
        async with watched(CLUSTER.format(lab.url), tmp_path) as served:
            [cluster] = [
                one for one in served.serving.services.shared.values() if isinstance(one, Cluster)
            ]
            newest = (await served.status()).newest
            unready = frozenset({0})
            for at in range(300):
                old = cluster.store.get(Slice, SPACE, "web0-0")
                flipped = type(old)(
                    SPACE, "web0-0", "web0", 4, old.addresses, unready if at % 2 == 0 else frozenset(),
                    pods=old.pods, ports=old.ports,
                )  # fmt: skip
                cluster._feed.apply_at_once(Put(flipped))
            found = await served.get(f"/changes?after={newest}")
            assert (len(found["changes"]), found["missed"]) == (200, 100)
            numbers = [one["number"] for one in found["changes"]]
            assert numbers == list(range(newest + 101, newest + 301))
            assert (await served.get(f"/changes?after={newest + 300}"))["changes"] == []
            assert (await served.get("/changes?after=nonsense"))["missed"] == 0


async def test_many_viewers_cost_as_much_as_one(tmp_path, monkeypatch):
    made = []
    make = State._make
    monkeypatch.setattr(State, "_make", lambda state: made.append(1) or make(state))
    async with watched(PLAIN, tmp_path) as served:
        bodies = await asyncio.gather(*(served.get("/status") for _ in range(20)))
        assert all(body == bodies[0] for body in bodies)
        assert len(made) == 1


async def test_odd_viewers_leave_no_more_than_a_few_messages(tmp_path, monkeypatch):
    monkeypatch.setattr("kdns.status.state.KEPT_S", 60.0)
    made = []
    make = State._make
    monkeypatch.setattr(State, "_make", lambda state: made.append(state) or make(state))
    async with watched(PLAIN, tmp_path) as served:
        for after in range(3 * PULSES):
            await served.get(f"/changes?after={after}")
        [state] = made
        assert 0 < len(state._pulses) <= PULSES


async def test_workers_are_added_up(tmp_path):
    port = free_port()
    path = tmp_path / "Corefile"
    path.write_text(
        f". {{\n bind 127.0.0.1\n status 127.0.0.1:{port}\n hosts {{\n 10.0.0.1 a.example\n }}\n}}\n"
    )
    with Running(path, "-workers", "2") as running:
        await asyncio.to_thread(running.wait)
        for _ in range(20):
            await asyncio.to_thread(running.ask, "a.example")
        url = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session, asyncio.timeout(40):
            queries = 0
            while queries < 20:
                await asyncio.sleep(0.2)
                async with session.get(url + "/status") as reply:
                    found = await reply.json()
                queries = found["totals"]["rcodes"].get("NOERROR", 0)
            assert (queries, found["workers"]) == (20, 2)
            assert found["totals"]["queries"] == sum(found["totals"]["latency"])
            async with session.get(url + "/events") as reply:
                for _ in range(2):
                    while not (line := await reply.content.readline()).startswith(b"data: "):
                        pass
                    assert json.loads(line[6:])["status"]["totals"]["rcodes"]["NOERROR"] == 20
            async with session.get(url + "/services") as reply:
                assert await reply.json() == {"services": [], "total": 0, "more": ""}
            async with session.get(url + "/") as reply:
                assert reply.content_type == "text/html"
