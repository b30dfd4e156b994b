"""Each rule of following a resource, against a server that misbehaves on command."""

import asyncio
import json
from dataclasses import replace

import pytest

from kdns.cluster.objects import Namespace, Service, ServiceImport, Slice
from kdns.cluster.selection import Selection
from kdns.cluster.selectors import parse
from kdns.cluster.store import Delete, Prune, Put, Synced
from tests.cluster.following import QUIET, following, until
from tests.cluster.scripted_api import (
    Reply,
    ScriptedApi,
    bookmark,
    namespace,
    pod,
    refused,
    service,
    slice_,
)

SHORT = replace(QUIET, progress_s=0.3, list_s=0.1)


@pytest.fixture
async def api():
    async with ScriptedApi() as made:
        made.put("namespaces", namespace("default"))
        made.put("services", service("web"))
        made.put("endpointslices", slice_("web-1", "10.0.0.1"))
        yield made


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    """So that a row of failures costs no second."""
    monkeypatch.setattr("kdns.cluster.api.backoff.BASE_S", 0.02)


# Lists


async def test_a_watch_list_is_asked_with_an_empty_version_and_its_match(api):
    async with following(api.url) as seen:
        assert seen.services == {"default/web"}
    assert not api.asked("list")
    for request in api.asked("watchlist"):
        assert request.query["resourceVersion"] == ""
        assert request.query["resourceVersionMatch"] == "NotOlderThan"
        assert request.query["allowWatchBookmarks"] == "true"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["user-agent"].startswith("kdns/")


async def test_watches_end_after_a_time_of_their_own(api):
    async with following(api.url):
        assert {one.query["timeoutSeconds"] for one in api.asked("watch")} == {"300"}


async def test_synced_comes_once_and_after_every_list(api):
    async with following(api.url) as seen:
        api.put("services", service("db", "10.96.0.2"))
        await until(lambda: "default/db" in seen.services)
        at = seen.events.index(Synced())
        pruned = {one.kind for one in seen.events[:at] if isinstance(one, Prune)}
        assert pruned == {Namespace, Service, Slice}
        assert seen.events.count(Synced()) == 1


@pytest.mark.parametrize("status", [400, 422])
async def test_a_refused_watch_list_becomes_pages_and_is_remembered(api, status):
    for n in range(250):
        api.put("services", service(f"s{n}", "10.96.1.1"))
    api.fail("watchlist", refused(status), times=99)
    async with following(api.url) as seen:
        assert len(seen.services) == 251
        pages = api.asked("list services")
        assert [one.query["limit"] for one in pages] == ["100"] * 3
        assert not any("resourceVersion" in one.query for one in pages)
        assert [bool(one.query.get("continue")) for one in pages] == [False, True, True]
        tried = len(api.asked("watchlist"))
        await until(lambda: api.open("services"))
        api.open("services")[0].send("ERROR", {"code": 410})
        await until(lambda: len(api.asked("list services")) == 6)
        assert len(api.asked("watchlist")) == tried


async def test_a_watch_list_is_tried_again_after_the_connection_was_lost(api):
    api.has_watch_lists = False
    async with following(api.url) as seen:
        await until(lambda: api.open("services"))
        await api.stop()
        await until(lambda: seen.api.failure)
        api.has_watch_lists = True
        api.version = 1  # so that it must list
        before = len(api.asked("watchlist services"))
        await api.start()
        await until(lambda: len(api.asked("watchlist services")) > before)


@pytest.mark.parametrize("sign", ["silence", "a bookmark"])
async def test_a_server_that_ignores_the_request_for_a_list_is_asked_for_pages(api, sign):
    text = b"" if sign == "silence" else _event("BOOKMARK", bookmark("services", 200))
    body = _event("ADDED", api.objects["services"]["default", "web"]) + text
    api.fail("watchlist services", Reply(body=body, is_stuck=True))
    async with following(api.url, timing=SHORT) as seen:
        assert seen.services == {"default/web"}
        assert api.asked("list services")
        assert seen.count("kdns_resyncs_total", "services", "unlisted") == 1


async def test_an_expired_continue_restarts_the_list(api):
    api.has_watch_lists = False
    for n in range(150):
        api.put("services", service(f"s{n}", "10.96.1.1"))
    api.faults.append((lambda one: "continue" in one.query, refused(410), [1]))
    async with following(api.url) as seen:
        assert len(seen.services) == 151
        tokens = [bool(one.query.get("continue")) for one in api.asked("list services")]
        assert tokens == [False, True, False, True]


async def test_upserts_of_a_list_are_applied_at_once_and_deletions_at_its_end(api):
    async with following(api.url) as seen:
        api.delete("services", "default", "web", tell=False)
        api.put("services", service("new", "10.96.0.3"), tell=False)
        api.fail("watchlist services", _stream("ADDED", api.objects["services"]["default", "new"]))
        api.open("services")[0].send("ERROR", {"code": 410})
        await until(lambda: "default/new" in seen.services)
        await until(lambda: "default/web" not in seen.services)
        kinds = [type(one) for one in seen.events[seen.events.index(Synced()) :]]
        assert kinds == [Synced, Put, Put, Prune]


async def test_a_list_that_is_cut_deletes_nothing(api):
    async with following(api.url) as seen:
        api.delete("services", "default", "web", tell=False)
        api.put("services", service("new", "10.96.0.3"), tell=False)
        cut = _stream("ADDED", api.objects["services"]["default", "new"])
        api.fail("watchlist services", cut, times=2)
        api.fail("watchlist services", Reply(is_silent=True), times=99)
        api.open("services")[0].send("ERROR", {"code": 410})
        await until(lambda: len(api.asked("watchlist services")) == 4)
        assert seen.services == {"default/web", "default/new"}


async def test_pages_that_break_off_delete_nothing(api):
    api.has_watch_lists = False
    async with following(api.url) as seen:
        await until(lambda: api.open("services"))
        api.delete("services", "default", "web", tell=False)
        api.fail("list services", Reply(body=b'{"metadata":{},"items":[', is_cut=True), times=3)
        before = len(api.asked("list services"))
        api.open("services")[0].send("ERROR", {"code": 410})
        await until(lambda: len(api.asked("list services")) == before + 2)
        assert seen.services == {"default/web"}
        await until(lambda: not seen.services)


async def test_an_object_deleted_while_the_list_comes_is_gone(api):
    gone = api.objects["services"]["default", "web"]
    text = _event("ADDED", gone) + _event("DELETED", gone)
    text += _event("BOOKMARK", bookmark("services", api.version, ends_list=True))
    api.fail("watchlist services", Reply(body=text))
    async with following(api.url) as seen:
        assert not seen.services
        assert Prune(Service, frozenset()) in seen.events


# Watches


async def test_changes_are_followed(api):
    async with following(api.url) as seen:
        api.put("services", service("db", "10.96.0.2"))
        await until(lambda: "default/db" in seen.services)
        api.put("services", service("db", "10.96.0.9"))
        await until(lambda: seen.store.services["default/db"].addresses == (bytes((10, 96, 0, 9)),))
        api.delete("services", "default", "db")
        await until(lambda: "default/db" not in seen.services)
        assert len(api.requests) == 3


@pytest.mark.parametrize("how", ["end", "cut", "close_half"])
async def test_a_watch_that_ends_or_breaks_is_resumed_after_a_look(api, how):
    async with following(api.url) as seen:
        api.put("services", service("db", "10.96.0.2"))
        await until(lambda: "default/db" in seen.services)
        before = str(api.version)
        getattr(api.open("services")[0], how)()
        api.put("services", service("new", "10.96.0.3"))
        await until(lambda: "default/new" in seen.services)
        look, resumed = api.requests[-2:]
        assert (str(look), look.query) == ("metadata services", {"limit": "1"})
        assert str(resumed) == "watch services"
        assert resumed.query["resourceVersion"] == before
        assert resumed.query["allowWatchBookmarks"] == "true"
        assert len(api.asked("watchlist services")) == 1


async def test_a_watch_cut_in_the_middle_of_a_line_loses_nothing(api):
    async with following(api.url) as seen:
        watch = api.open("services")[0]
        api.put("services", service("a", "10.96.0.2"), tell=False)
        whole = _event("ADDED", api.objects["services"]["default", "a"])
        api.put("services", service("b", "10.96.0.3"), tell=False)
        half = _event("ADDED", api.objects["services"]["default", "b"])[:50]
        api.history.append(
            (api.version, "ADDED", "services", api.objects["services"]["default", "b"])
        )
        watch.send_raw(whole + half)
        watch.end()
        await until(lambda: {"default/a", "default/b"} <= seen.services)
        assert len(api.asked("watchlist services")) == 1


async def test_what_came_before_garbage_counts(api):
    async with following(api.url) as seen:
        watch = api.open("services")[0]
        api.put("services", service("a", "10.96.0.2"), tell=False)
        watch.send_raw(_event("ADDED", api.objects["services"]["default", "a"]) + b"<html>\n")
        await until(lambda: "default/a" in seen.services)
        await until(lambda: api.asked("watch services"))
        assert api.asked("watch services")[0].query["resourceVersion"] == str(api.version)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"code": 410, "message": "too old resource version"}, "expired"),
        ({"code": 504, "message": "Too large resource version"}, "ahead"),
        ({"code": 500, "status": "Failure"}, "error"),
    ],
    ids=["410", "504", "500"],
)
async def test_an_error_in_a_watch_lists_again(api, status, reason):
    async with following(api.url) as seen:
        api.put("services", service("lost", "10.96.0.2"), tell=False)
        api.open("services")[0].send("ERROR", status)
        await until(lambda: "default/lost" in seen.services)
        assert len(api.asked("watchlist services")) == 2
        assert seen.count("kdns_resyncs_total", "services", reason) == 1


@pytest.mark.parametrize("status", [410, 504])
async def test_a_resumption_that_is_refused_for_its_version_lists_again(api, status):
    async with following(api.url) as seen:
        api.put("services", service("lost", "10.96.0.2"), tell=False)
        api.fail("watch services", refused(status))
        api.open("services")[0].end()
        await until(lambda: "default/lost" in seen.services)
        assert seen.count("kdns_resyncs_total", "services", "expired") == 1


async def test_a_silent_watch_lists_again(api):
    async with following(api.url, timing=SHORT) as seen:
        api.put("services", service("lost", "10.96.0.2"), tell=False)
        await until(lambda: "default/lost" in seen.services)
        assert seen.count("kdns_resyncs_total", "services", "silent")


async def test_bookmarks_are_progress(api):
    async with following(api.url, timing=replace(QUIET, progress_s=0.6)) as seen:
        for _ in range(16):
            api.version += 1
            for resource in ("namespaces", "services", "endpointslices"):
                api.bookmark(resource)
            await _pause()
        assert not [key for key in seen.counters.values if key[0] == "kdns_resyncs_total"]
        api.open("services")[0].end()
        await until(lambda: api.asked("watch services"))
        assert api.asked("watch services")[0].query["resourceVersion"] == str(api.version)


@pytest.mark.parametrize("how", ["end", "cut"])
async def test_a_server_that_went_back_is_followed(api, how):
    """Its watch from our version would be silent for ever."""
    async with following(api.url) as seen:
        api.version = 50
        api.history.clear()
        api.objects["services"] = {}
        api.put("services", service("older", "10.96.0.2"))
        for watch in api.watches:
            getattr(watch, how)()
        await until(lambda: seen.services == {"default/older"})
        assert seen.count("kdns_resyncs_total", "services", "older") == 1
        assert not api.asked("watch services")
        api.put("services", service("db", "10.96.0.3"))
        await until(lambda: "default/db" in seen.services)


@pytest.mark.parametrize("kind", ["BOOKMARK", "MODIFIED"])
async def test_a_version_lower_than_ours_lists_again(api, kind):
    async with following(api.url) as seen:
        api.put("services", service("lost", "10.96.0.2"), tell=False)
        old = service("web", "10.96.0.1", resourceVersion="7")
        api.open("services")[0].send(kind, old)
        await until(lambda: "default/lost" in seen.services)
        assert seen.count("kdns_resyncs_total", "services", "older") == 1


async def test_a_server_that_was_away_is_found_again(api):
    async with following(api.url) as seen:
        await api.stop()
        await until(lambda: seen.api.failure.endswith(": Connection refused"))
        api.put("services", service("new", "10.96.0.3"))
        await api.start()
        await until(lambda: "default/new" in seen.services)
        await until(lambda: not seen.api.failure)


async def test_a_list_that_ends_too_early_is_a_failure(api):
    api.fail("watchlist services", Reply(body=b""), times=99)
    async with following(api.url, synced=False) as seen:
        await until(lambda: seen.api.failure)
        assert seen.api.failure == "the API server ended a watch in the middle"


async def test_a_line_that_is_cut_in_good_order_is_a_failure_too(api, caplog):
    async with following(api.url):
        api.open("services")[0].send_raw(b'{"type":')
        api.open("services")[0].end()
        await until(lambda: api.asked("watch services"))
    assert "the API server ended a watch in the middle" in caplog.text


async def test_a_watch_that_broke_after_some_time_is_no_failure(api, caplog):
    now = [0.0]
    async with following(api.url, clock=lambda: now[0]) as seen:
        now[0] = 60.0
        api.open("services")[0].cut()
        api.put("services", service("new", "10.96.0.3"))
        await until(lambda: "default/new" in seen.services)
    assert not [one for one in caplog.records if one.levelname != "INFO"]


async def test_one_request_tries_for_all_while_the_server_is_away(api, monkeypatch):
    monkeypatch.setattr("kdns.cluster.api.session.DOWN_S", 0.1)
    async with following(api.url) as seen:
        key = "coredns_kubernetes_rest_client_requests_total", "<error>", "GET"
        host = f"127.0.0.1:{api.port}"
        await api.stop()
        await until(lambda: seen.count(*key, host) >= 3)
        before = seen.count(*key, host)
        await _pause(0.5)
        # One each 0.05 s; three watchers on their own would make three times that.
        assert 1 <= seen.count(*key, host) - before <= 14


async def test_what_does_not_answer_does_not_hold_up_the_rest(api, monkeypatch):
    monkeypatch.setattr("kdns.cluster.api.session.ANSWER_S", 0.1)
    api.fail("watchlist services", Reply(is_silent=True), times=2)
    async with following(api.url) as seen:
        assert seen.services == {"default/web"}


async def test_an_answer_that_trickles_in_is_asked_for_again(api, monkeypatch):
    monkeypatch.setattr("kdns.cluster.api.session.WHOLE_S", 0.1)
    api.has_watch_lists = False
    api.fail("list services", Reply(body=b'{"metadata":{},"items":[]}' + b" " * 99, pause_s=0.05))
    async with following(api.url) as seen:
        assert seen.services == {"default/web"}


# What the server asks us to do


async def test_retry_after_is_honoured(api):
    api.fail("watchlist services", refused(429, Retry_After="1"))
    async with following(api.url, synced=False) as seen:
        await until(lambda: "429" in seen.api.failure)
        first = len(api.asked("watchlist services"))
        await _pause(0.3)
        assert len(api.asked("watchlist services")) == first == 1
        await until(lambda: seen.store.has_synced)
        assert not seen.api.failure


async def test_an_overloaded_server_is_asked_less_and_less_but_for_ever(api):
    api.fail("watchlist services", refused(503), times=3)
    async with following(api.url) as seen:
        assert len(api.asked("watchlist services")) == 4
        assert (
            seen.count(
                "coredns_kubernetes_rest_client_requests_total",
                "503",
                "GET",
                f"127.0.0.1:{api.port}",
            )
            == 3
        )


# What is watched


async def test_only_what_is_selected_is_watched(api):
    labels, namespaces = parse("app in (a,b),!x"), parse("team=dns")
    chosen = Selection(labels, namespaces, endpoints=False, pods=True, imports=False)
    async with following(api.url, selection=chosen):
        asked = {one.resource: one.query for one in api.asked("watchlist")}
    assert set(asked) == {"namespaces", "services", "pods"}
    assert asked["namespaces"]["labelSelector"] == "team=dns"
    assert asked["services"]["labelSelector"] == "app in (a,b),!x"
    assert asked["pods"]["labelSelector"] == "app in (a,b),!x"
    phases = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown"
    assert asked["pods"]["fieldSelector"] == phases


async def test_imports_alone_need_only_their_slices(api):
    chosen = Selection(endpoints=False, pods=False, imports=True)
    async with following(api.url, selection=chosen):
        asked = {one.resource: one.query for one in api.asked("watchlist")}
    label = "multicluster.kubernetes.io/service-name"
    assert asked["endpointslices"]["labelSelector"] == label
    assert "labelSelector" not in asked["serviceimports"]


async def test_a_cluster_without_imports_has_none_and_the_rest_is_followed(api, caplog):
    api.serves_imports = False
    async with following(api.url, selection=Selection(pods=False, imports=True)) as seen:
        assert seen.store.has_synced
        assert not seen.api.failure
        assert Prune(ServiceImport, frozenset()) in seen.events
    lines = [one.message for one in caplog.records if "serviceimports" in one.message]
    assert lines == [
        f"cannot watch serviceimports.multicluster.x-k8s.io: {api.url} does not serve them (404);"
        " asking again each minute"
    ]


async def test_imports_that_are_served_no_more_are_gone_after_a_while(api, monkeypatch):
    """A server that has just started does not serve them yet."""
    monkeypatch.setattr("kdns.cluster.api.watcher.FAULT_S", 0.01)
    monkeypatch.setattr("kdns.cluster.api.watcher.REFUSAL_S", 0.01)
    api.put("serviceimports", {"metadata": {"name": "far", "namespace": "default"}})
    now = [0.0]
    chosen = Selection(pods=False, imports=True)
    async with following(api.url, selection=chosen, clock=lambda: now[0]) as seen:
        assert set(seen.store.imports) == {"default/far"}
        api.serves_imports = False
        api.open("serviceimports")[0].end()
        await until(lambda: len(api.asked("metadata serviceimports")) == 3)
        assert set(seen.store.imports) == {"default/far"}
        now[0] = 31.0
        await until(lambda: not seen.store.imports)
        api.serves_imports = True
        await until(lambda: set(seen.store.imports) == {"default/far"})


async def test_a_pod_that_ends_is_gone(api):
    api.put("pods", pod("a", "10.1.0.1"))
    async with following(api.url, selection=Selection(imports=False)) as seen:
        assert seen.store.pods_at(bytes((10, 1, 0, 1)))
        api.put("pods", pod("a", "10.1.0.1", deletionTimestamp="2026-01-01T00:00:00Z"))
        await until(lambda: not seen.store.pods_at(bytes((10, 1, 0, 1))))


async def test_an_object_that_cannot_be_read_keeps_its_last_state_and_is_named_once(api, caplog):
    async with following(api.url) as seen:
        api.put("services", service("web", "10.96.0.300"))
        api.put("services", service("db", "10.96.0.2"))
        await until(lambda: "default/db" in seen.services)
        api.open("services")[0].send("ERROR", {"code": 410})
        await until(lambda: len(api.asked("watchlist services")) == 2)
        await until(lambda: sum(isinstance(one, Prune) for one in seen.events) == 4)
        assert seen.store.services["default/web"].addresses == (bytes((10, 96, 0, 1)),)
    lines = [one.message for one in caplog.records if "default/web" in one.message]
    assert len(lines) == 1
    assert lines[0].startswith("services default/web: Expected an IP address")
    assert "$.spec.clusterIPs[0]" in lines[0]


async def test_an_object_of_wrong_types_is_named_too(api, caplog):
    wrong = service("odd")
    wrong["spec"]["ports"] = "none"
    api.put("services", wrong)
    async with following(api.url) as seen:
        assert seen.services == {"default/web"}
    assert any("default/odd: Expected `array" in one.message for one in caplog.records)


async def test_a_slice_that_loses_its_service_is_gone(api):
    async with following(api.url) as seen:
        assert seen.store.slices("default/web")
        api.put("endpointslices", slice_("web-1", "10.0.0.1", owner=""))
        await until(lambda: not seen.store.slices("default/web"))
        assert Delete(Slice, "default", "web-1") in seen.events


async def test_slices_tell_when_their_change_was_triggered_but_not_in_lists(api):
    when = {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-02T03:04:05.5Z"}
    api.put("endpointslices", slice_("web-1", "10.0.0.1", annotations=when))
    async with following(api.url) as seen:
        assert not seen.triggers
        api.put("endpointslices", slice_("web-1", "10.0.0.2", annotations=when))
        await until(lambda: seen.triggers)
        assert [(one.name, at) for one, at in seen.triggers] == [("web-1", 1767323045.5)]


# How fresh


async def test_freshness_hears_lists_events_and_bookmarks(api):
    now = [0.0]
    async with following(api.url, clock=lambda: now[0]) as seen:
        assert seen.freshness.is_whole
        now[0] = 10.0
        assert seen.freshness.ages()[Service] == 10
        api.bookmark("services")
        await until(lambda: seen.freshness.ages()[Service] == 0)
        assert seen.freshness.ages()[Slice] == 10
        api.put("endpointslices", slice_("web-1", "10.0.0.2"))
        await until(lambda: seen.freshness.ages()[Slice] == 0)


def _event(kind: str, thing: object) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


def _stream(kind: str, thing: object) -> Reply:
    """One event of a watch that then breaks."""
    return Reply(body=_event(kind, thing), is_cut=True)


async def _pause(seconds: float = 0.05) -> None:
    await asyncio.sleep(seconds)
