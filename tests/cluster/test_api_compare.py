"""What a watch missed is found by comparing with a list, and nothing else is."""

import asyncio
import json
from dataclasses import replace

import pytest

from kdns.cluster.api.compare import spread_s
from kdns.cluster.api.shared import Timing
from kdns.cluster.selection import Selection
from tests.cluster.following import following, until
from tests.cluster.scripted_api import Reply, ScriptedApi, namespace, pod, refused, service, slice_

OFTEN = Timing(compare_s=0.05, settle_s=0.1)
REPAIRED = ("kdns_drift_repaired_total", "services")


@pytest.fixture
async def api():
    async with ScriptedApi() as made:
        made.put("namespaces", namespace("default"))
        for n in range(3):
            made.put("services", service(f"s{n}", f"10.96.0.{n + 1}"))
        yield made


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    monkeypatch.setattr("kdns.cluster.api.backoff.BASE_S", 0.02)


async def compared(api, times=2, resource="services"):
    """Waits for so many more comparisons to begin, so that one less has ended."""
    before = len(api.asked(f"metadata {resource}"))
    await until(lambda: len(api.asked(f"metadata {resource}")) >= before + times + 1)


async def test_events_that_were_never_sent_are_repaired_counted_and_named(api, caplog):
    async with following(api.url, timing=OFTEN) as seen:
        api.put("services", service("new", "10.96.0.8"), tell=False)
        api.put("services", service("s0", "10.96.0.9"), tell=False)
        api.delete("services", "default", "s1", tell=False)
        await until(lambda: seen.services == {"default/s0", "default/s2", "default/new"})
        await until(lambda: seen.count(*REPAIRED) == 3)
        assert seen.store.services["default/s0"].addresses == (bytes((10, 96, 0, 9)),)
        await compared(api)
        assert seen.count(*REPAIRED) == 3
    lines = [one.message for one in caplog.records if "missed" in one.message]
    assert lines == [
        "the watch of services missed changes, repaired: default/new, default/s0, default/s1"
    ]
    assert api.asked("watchlist services")[1:] == []


async def test_a_repair_needs_no_other_verb_than_list(api):
    async with following(api.url, timing=OFTEN) as seen:
        api.put("services", service("new", "10.96.0.8"), tell=False)
        await until(lambda: "default/new" in seen.services)
        (fetched,) = api.asked("list services")
        assert fetched.path == "/api/v1/namespaces/default/services"
        assert fetched.query["fieldSelector"] == "metadata.name=new"


async def test_an_event_on_its_way_is_no_drift(api):
    """It comes between the list and the moment the watch has passed the list's version."""
    async with following(api.url, timing=replace(OFTEN, settle_s=5)) as seen:
        api.put("services", service("new", "10.96.0.8"), tell=False)
        late = api.objects["services"]["default", "new"]
        await until(lambda: len(api.asked("metadata services")) == 1)
        api.open("services")[0].send("ADDED", late)
        await until(lambda: "default/new" in seen.services)
        await compared(api)
        assert not seen.count(*REPAIRED)
        assert not api.asked("list services")


async def test_a_bookmark_past_the_list_shows_what_was_missed(api):
    async with following(api.url, timing=replace(OFTEN, settle_s=60)) as seen:
        api.put("services", service("new", "10.96.0.8"), tell=False)
        await compared(api, 0)
        assert "default/new" not in seen.services
        api.bookmark("services")
        await until(lambda: "default/new" in seen.services)


async def test_what_changed_during_the_comparison_is_left_alone(api):
    """The fetched object must not undo what the watch says meanwhile."""
    async with following(api.url, timing=replace(OFTEN, settle_s=60)) as seen:
        api.put("services", service("new", "10.96.0.8"), tell=False)
        await compared(api, 0)
        api.delete("services", "default", "new")
        await compared(api)
        assert "default/new" not in seen.services
        assert not seen.count(*REPAIRED)


async def test_what_changed_while_it_was_fetched_is_left_alone(api):
    """What was fetched is older than what the watch said meanwhile."""
    async with following(api.url, timing=OFTEN) as seen:
        api.put("services", service("new", "10.96.0.8"), tell=False)
        page = {"metadata": {}, "items": [api.objects["services"]["default", "new"]]}
        held = asyncio.Event()
        api.fail("list services", Reply(body=json.dumps(page).encode(), when=held))
        await until(lambda: api.asked("list services"))
        api.delete("services", "default", "new")
        api.put("services", service("mark", "10.96.0.9"))
        await until(lambda: "default/mark" in seen.services)
        held.set()
        await compared(api)
        assert "default/new" not in seen.services
        assert not seen.count(*REPAIRED)


async def test_what_is_ignored_for_a_reason_is_no_drift(api):
    api.put("services", service("odd", "10.96.0.300"))
    api.put("pods", pod("ends", "10.1.0.1", deletionTimestamp="2026-01-01T00:00:00Z"))
    api.put("endpointslices", slice_("lone", "10.0.0.1", owner=""))
    imported = slice_("far", "10.0.0.2")
    imported["metadata"]["labels"] = {
        "multicluster.kubernetes.io/service-name": "far",
        "multicluster.kubernetes.io/source-cluster": "c",
    }
    api.put("endpointslices", imported)
    async with following(api.url, timing=OFTEN, selection=Selection(imports=False)) as seen:
        for resource in ("services", "pods", "endpointslices"):
            await compared(api, resource=resource)
        assert not [key for key in seen.counters.values if key[0] == "kdns_drift_repaired_total"]


async def test_a_list_older_than_the_watch_lists_again(api):
    async with following(api.url, timing=OFTEN) as seen:
        api.version = 40
        api.objects["services"] = {}
        api.put("services", service("older"), tell=False)
        await until(lambda: seen.services == {"default/older"})
        assert seen.count("kdns_resyncs_total", "services", "older") == 1
        assert not seen.count(*REPAIRED)


async def test_a_server_that_went_back_and_passed_us_meanwhile_is_followed(api):
    """Nothing in the watch shows it: its versions are higher than ours."""
    async with following(api.url, timing=Timing(compare_s=3600, settle_s=0.1)) as seen:
        await api.stop()
        await until(lambda: seen.api.failure)
        api.objects["services"] = {}
        api.put("services", service("other"), tell=False)
        api.version += 1000
        await api.start()
        await until(lambda: seen.services == {"default/other"})
        assert not seen.count("kdns_resyncs_total", "services", "older")


async def test_a_comparison_that_a_server_refuses_that_is_just_back_is_made_soon(api):
    async with following(api.url, timing=Timing(compare_s=3600, settle_s=0.1)) as seen:
        await api.stop()
        await until(lambda: seen.api.failure)
        api.objects["services"] = {}
        api.put("services", service("other"), tell=False)
        api.version += 1000
        api.faults.append((lambda one: one.query.get("limit") == "500", refused(429), [9]))
        await api.start()
        await until(lambda: seen.services == {"default/other"})


async def test_a_resource_that_did_not_notice_an_outage_is_compared_as_well(api):
    """While one request tries, the others wait at the door and find the server back."""
    async with following(api.url, timing=Timing(compare_s=3600, settle_s=0.1)) as seen:
        api.fail("metadata namespaces", refused(503))
        api.put("services", service("new", "10.96.0.8"), tell=False)
        await until(lambda: api.open("namespaces") and api.open("services"))
        api.open("namespaces")[0].end()
        await until(lambda: api.asked("watch namespaces"))
        api.open("services")[0].end()
        await until(lambda: "default/new" in seen.services)


async def test_much_drift_is_a_list_anew(api):
    async with following(api.url, timing=OFTEN) as seen:
        for n in range(150):
            api.put("services", service(f"new{n}", "10.96.1.1"), tell=False)
        await until(lambda: len(seen.services) == 153)
        assert seen.count("kdns_resyncs_total", "services", "drift") == 1
        assert not api.asked("list services")


async def test_a_comparison_reads_pages(api):
    for n in range(700):
        api.put("services", service(f"new{n}", "10.96.1.1"))
    async with following(api.url, timing=OFTEN) as seen:
        await compared(api, 3)
        assert not seen.count(*REPAIRED)
        first, second = api.asked("metadata services")[:2]
        assert (first.query["limit"], "continue" in second.query) == ("500", True)


async def test_a_server_without_metadata_lists_is_compared_with_whole_objects(api):
    async with following(api.url, timing=OFTEN) as seen:
        api.put("services", service("new", "10.96.0.8"), tell=False)
        body = api._list(replace(api.requests[0], resource="services", query={}, headers={})).body
        assert b"clusterIP" in body
        api.fail("metadata services", Reply(body=body), times=99)
        await until(lambda: "default/new" in seen.services)
        assert seen.count(*REPAIRED) == 1


async def test_a_comparison_that_fails_changes_nothing(api):
    async with following(api.url, timing=OFTEN) as seen:
        api.fail("metadata", refused(500), times=6)
        api.fail("metadata", Reply(body=b"<html>"), times=6)
        await compared(api, 5)
        assert len(seen.services) == 3
        assert not seen.api.failure


@pytest.mark.parametrize(("size", "seconds"), [(0, 5), (10_000, 5), (60_000, 30), (1_000_000, 60)])
def test_the_more_there_is_to_list_the_wider_all_are_spread(size, seconds):
    assert spread_s(size) == seconds


async def test_the_spread_is_that_of_the_last_list(api, monkeypatch):
    sizes = []
    monkeypatch.setattr("kdns.cluster.api.compare.spread_s", lambda size: sizes.append(size) or 0)
    async with following(api.url, timing=OFTEN) as seen:
        await compared(api)
        await api.stop()
        await until(lambda: seen.api.failure)
        await api.start()
        await until(lambda: 3 in sizes)
