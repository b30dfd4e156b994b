"""A running server tells what it answers from, and asks its API server little for the rest."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from kdns.cluster.objects import Pod
from kdns.explain import gather_server
from kdns.explain.gather_server import QUIET_S, OfServer
from kdns.lab.faults import Fault
from kdns.lab.resources import CONFIGMAPS, NAMESPACES, SERVICES, SLICES
from kdns.plugins.kubernetes import Kubernetes
from kdns.server.assembly import Services, build
from kdns.server.service import Service
from tests.explain.cluster import DENY, WEB, counted, create, filled, forbid, pod, service, slice_
from tests.explain.test_gather import MANIFESTS

KINDS = ("services", "endpointslices", "pods", "networkpolicies")


@asynccontextmanager
async def serving(source, options="", beside=""):
    """A server on this source; gives its plugins."""
    services, errors = Services(), []
    stanza = f"kubernetes cluster.local in-addr.arpa {{\n{source}\n{options}\n}}"
    assembly = build(
        f".:0 {{\nbind 127.0.0.1\n{beside}\n{stanza}\n}}", "/Corefile", services, errors
    )
    assert not errors
    server = Service(assembly, services)
    await server.start()
    try:
        yield assembly.plugins
    finally:
        await server.stop()


@pytest.fixture
async def lab():
    async with filled() as made:
        yield made


@pytest.fixture
async def of_server():
    made = OfServer()
    yield made
    await made.close()


def cluster_of(plugins):
    return next(one for one in plugins if isinstance(one, Kubernetes)).cluster


async def until(is_so, within_s=40.0):
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_the_store_and_what_it_does_not_keep(lab, of_server):
    async with serving(f"endpoint {lab.url}", "pods insecure") as plugins:
        facts = await of_server.facts(plugins, [WEB], "")
    assert set(facts.services) >= {"shop/web", "db/sql", "shop/alias", "kube-system/kube-dns"}
    web = facts.services["shop/web"]
    assert (web.selector, web.addresses, web.ports[0].target) == (
        {"app": "web"},
        ("10.96.0.1",),
        "8080",
    )
    assert facts.services["shop/alias"].external_name == "sql.db.svc.cluster.local"
    (one,) = facts.slices["shop/web"]
    assert one.triggered == "2026-11-21T10:00:01Z"
    assert [(each.addresses[0], each.is_ready) for each in one.endpoints] == [
        ("10.0.0.1", True),
        ("10.0.0.2", False),
    ]
    assert [each.addresses[0] for each in facts.slices["db/sql"][0].endpoints] == ["10.0.0.3"]
    assert {one.name: one.is_ready for one in facts.pods["shop"]} == {
        "web-0": True,
        "web-1": False,
    }
    assert [one.spec for one in facts.policies["shop"]] == [DENY]
    assert facts.unknown == {}
    server = facts.server
    assert server.is_kdns
    assert server.has_synced
    assert (server.zones, server.behind, server.pods) == (("cluster.local.",), (), "insecure")
    assert (server.stale_s, server.failure, server.is_silent, server.chosen) == (0.0, "", False, ())


async def test_what_the_server_has_not_heard_is_told(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        lab.faults.add(Fault("silence", verb="watch"))
        service(lab, "shop/new", "10.96.0.9")
        slice_(lab, "shop/web", "10.0.0.8", number=1)
        lab.storage.delete(SERVICES, "db", "sql")
        names = [WEB, "new.shop.svc.cluster.local.", "sql.db.svc.cluster.local."]
        facts = await of_server.facts(plugins, names, "")
    assert "shop/new" not in facts.services
    assert facts.services["db/sql"].addresses == ("10.96.0.2",)
    assert facts.server.behind == ("db/sql", "shop/new", "shop/web")
    assert len(facts.slices["shop/web"]) == 1


async def test_changed_endpoints_are_those_of_the_server(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        lab.faults.add(Fault("silence", verb="watch"))
        made = lab.storage.get(SLICES, "shop", "web-0")
        ready = [{"addresses": ["10.0.0.1"], "conditions": {"ready": False}}]
        lab.storage.update(SLICES, "shop", "web-0", made | {"endpoints": ready})
        facts = await of_server.facts(plugins, [WEB], "")
    assert [one.is_ready for one in facts.slices["shop/web"][0].endpoints] == [True, False]
    assert facts.slices["shop/web"][0].triggered
    assert facts.server.behind == ("shop/web",)


async def test_nothing_is_kept_of_what_was_served(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        await of_server.facts(plugins, [WEB], "")
        assert of_server._copy is not None
        await until(lambda: of_server._copy is None)


async def test_a_namespace_that_ends_is_known(lab, of_server):
    create(lab, CONFIGMAPS, "shop", "last", metadata={"finalizers": ["example.com/stay"]})
    async with serving(f"endpoint {lab.url}") as plugins:
        lab.storage.delete(NAMESPACES, "", "shop")
        facts = await of_server.facts(plugins, [WEB], "")
    assert facts.namespaces["shop"].is_terminating
    assert not facts.namespaces["db"].is_terminating


async def test_what_is_on_its_way_is_waited_for(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        lab.faults.add(Fault("delay", resource="networkpolicies", delay_s=0.1))
        asking = asyncio.ensure_future(of_server.facts(plugins, [WEB], ""))
        await asyncio.sleep(0.05)
        slice_(lab, "shop/web", "10.0.0.8", number=1)
        facts = await asking
    assert len(facts.slices["shop/web"]) == 2


async def test_when_endpoints_last_changed_is_told(lab, of_server):
    before = datetime.now(UTC)
    async with serving(f"endpoint {lab.url}", beside="status 127.0.0.1:0") as plugins:
        slice_(lab, "shop/web", "10.0.0.8", number=1)
        cluster = cluster_of(plugins)
        await until(lambda: len(cluster.store.slices("shop/web")) == 2)
        facts = await of_server.facts(plugins, [WEB], "")
    assert set(facts.server.applied) == {"shop/web"}
    received, applied = map(datetime.fromisoformat, facts.server.applied["shop/web"])
    assert before - timedelta(seconds=1) <= received <= applied <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("resource", "unknown"),
    [
        ("services", {"selectors"}),
        ("pods", {"pods"}),
        ("networkpolicies", {"policies"}),
        ("endpointslices", {"triggers"}),
    ],
)
async def test_what_rbac_forbids_is_unknown_but_never_what_is_served(
    lab, of_server, resource, unknown
):
    async with serving(f"endpoint {lab.url}") as plugins:
        forbid(lab, resource)
        facts = await of_server.facts(plugins, [WEB], "")
    assert set(facts.unknown) == unknown
    assert facts.unknown[next(iter(unknown))].startswith(f"403: may not list {resource}")
    assert facts.services["shop/web"].addresses == ("10.96.0.1",)
    assert len(facts.slices["shop/web"][0].endpoints) == 2
    assert facts.server.behind == ()


async def test_with_the_api_server_gone_what_is_served_is_known_at_once(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        await lab.stop_serving()
        await until(lambda: cluster_of(plugins).failure)
        began = time.monotonic()
        facts = await of_server.facts(plugins, [WEB], "")
        took = time.monotonic() - began
    assert took < 3
    assert 0 < facts.server.stale_s < QUIET_S
    assert set(facts.unknown) == {"selectors", "triggers", "pods", "policies"}
    assert facts.slices["shop/web"]
    assert facts.server.failure
    assert facts.server.behind == ()


async def test_data_that_no_api_server_gave_has_no_age(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        await lab.stop_serving()
        cluster = cluster_of(plugins)
        await until(lambda: cluster.failure)
        cluster.freshness.expect(Pod)  # as all kinds are after a start from a snapshot
        facts = await of_server.facts(plugins, [WEB], "")
    assert facts.server.failure
    assert facts.server.stale_s == 0


async def test_many_explanations_cost_one_request_a_kind(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        hits = {
            kind: lab.faults.add(Fault("delay", resource=kind, namespace="shop", delay_s=0.05))
            for kind in KINDS
        }
        names = [WEB, "nothing.shop.svc.cluster.local."]
        await asyncio.gather(
            *[of_server.facts(plugins, [names[at % 2]], "shop") for at in range(20)]
        )
        await of_server.facts(plugins, [WEB], "shop/web-0")
        assert {kind: fault.hits for kind, fault in hits.items()} == dict.fromkeys(KINDS, 1)


async def test_what_was_asked_is_soon_asked_again(lab, of_server, monkeypatch):
    monkeypatch.setattr(gather_server, "KEPT_S", 0.05)
    async with serving(f"endpoint {lab.url}") as plugins:
        hits = counted(lab, "networkpolicies")
        await of_server.facts(plugins, [WEB], "")
        before = hits.hits
        pod(lab, "shop/web-9", "10.0.0.9", app="web")
        await asyncio.sleep(0.1)
        facts = await of_server.facts(plugins, [WEB], "")
    assert hits.hits == 2 * before
    assert "web-9" in {one.name for one in facts.pods["shop"]}


async def test_what_was_asked_before_a_change_is_asked_again_at_once(lab, of_server, monkeypatch):
    monkeypatch.setattr(gather_server, "COPY_S", 0.0)
    async with serving(f"endpoint {lab.url}") as plugins:
        await of_server.facts(plugins, [WEB], "")
        pod(lab, "shop/web-9", "10.0.0.9", app="web")
        slice_(lab, "shop/web", "10.0.0.9", number=1)
        cluster = cluster_of(plugins)
        await until(lambda: len(cluster.store.slices("shop/web")) == 2)
        facts = await of_server.facts(plugins, [WEB], "")
    assert facts.server.behind == ()
    assert "web-9" in {one.name for one in facts.pods["shop"]}


async def test_no_more_than_two_gather_at_once(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        busy, most = 0, 0
        gather = of_server._gather

        async def watched(*args):
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            try:
                return await gather(*args)
            finally:
                busy -= 1

        of_server._gather = watched
        await asyncio.gather(*[of_server.facts(plugins, [WEB], "") for _ in range(6)])
    assert most == 2


async def test_who_gives_up_takes_nothing_from_the_others(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        counted(lab, "pods")
        first = asyncio.ensure_future(of_server.facts(plugins, [WEB], ""))
        second = asyncio.ensure_future(of_server.facts(plugins, [WEB], ""))
        await asyncio.sleep(0.02)
        first.cancel()
        assert (await second).pods["shop"]
        with pytest.raises(asyncio.CancelledError):
            await first


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("1.0.0.10.in-addr.arpa.", "shop/web"),
        ("1.0.96.10.in-addr.arpa.", "shop/web"),
        ("alias.shop.svc.cluster.local.", "db/sql"),
    ],
)
async def test_addresses_and_aliases_lead_on(lab, of_server, name, key):
    async with serving(f"endpoint {lab.url}") as plugins:
        facts = await of_server.facts(plugins, [name], "")
    assert facts.services[key].selector
    assert key.partition("/")[0] in facts.pods


async def test_services_are_found_by_their_address(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        facts = await of_server.facts(plugins, [WEB], "")
        assert facts.service_at("10.96.0.2").name == "sql"
        assert [facts.service_at(one) for one in ("10.96.0.3", "fd00::1", "none")] == [None] * 3
    assert ("shop", "web") in set(facts.names)


async def test_who_asks_is_known_by_his_address(lab, of_server):
    async with serving(f"endpoint {lab.url}") as plugins:
        facts = await of_server.facts(plugins, [], "10.0.0.3")
    assert [one.name for one in facts.pods["db"]] == ["sql-0"]


async def test_options_that_leave_something_out_are_told(lab, of_server):
    options = "namespaces shop\nlabels app=web"
    async with serving(f"endpoint {lab.url}", options) as plugins:
        facts = await of_server.facts(plugins, [WEB], "")
    assert facts.server.chosen == ("namespaces shop", "labels app=web")
    assert facts.server.behind == ("shop/web",)
    assert facts.server.pods == "disabled"


async def test_a_server_without_a_cluster_says_so(of_server):
    facts = await of_server.facts([], [WEB], "")
    assert facts.server.is_kdns
    assert facts.unknown["services"] == "this server has no kubernetes plugin"


async def test_manifests_are_read_for_what_the_store_does_not_keep(tmp_path, of_server):
    path = tmp_path / "all.yaml"
    path.write_text(MANIFESTS)
    async with serving(f"manifests {path}") as plugins:
        facts = await of_server.facts(plugins, [WEB], "")
        assert facts.services["shop/web"].selector == {"app": "web"}
        assert facts.services["shop/web"].addresses
        assert facts.derived == {"shop/web", "shop/db"}
        assert {one.name for one in facts.pods["shop"]} == {"web-0", "web-1", "db-0"}
        assert facts.server.behind == ()
        assert facts.unknown == {"policies": "the manifests have no NetworkPolicies"}
        path.write_text(MANIFESTS.replace("app: web}, ports", "app: gone}, ports"))
        again = await of_server.facts(plugins, [WEB], "")
        assert again.services["shop/web"].selector == {"app": "gone"}
