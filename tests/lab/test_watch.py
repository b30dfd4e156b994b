"""Watches of the lab as a real server serves them: versions, bookmarks, WatchList, selectors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from kdns.lab import forms, history
from kdns.lab.errors import ApiError
from kdns.lab.resources import CONFIGMAPS
from tests.lab.serving import MAPS, PARTIAL, Client, change, make, remove, served

LIST = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
END = "k8s.io/initial-events-end"


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    async with served() as found:
        yield found


async def is_silent(waiting: object) -> bool:
    """True when nothing came for a moment that is long for a loopback."""
    try:
        async with asyncio.timeout(0.2):
            await waiting  # type: ignore[misc]
    except TimeoutError:
        return True
    return False


async def test_a_watch_without_a_version_begins_with_what_there_is(api: Client) -> None:
    make(api.lab, "a", "b")
    async with api.watch() as lines:
        assert await lines.names(2) == ["ADDED a", "ADDED b"]
        change(api.lab, "a", x="y")
        remove(api.lab, "b")
        make(api.lab, "c")
        assert await lines.names(3) == ["MODIFIED a", "DELETED b", "ADDED c"]


async def test_a_watch_follows_a_version(api: Client) -> None:
    make(api.lab, "a", "b")
    since = api.lab.storage.version
    change(api.lab, "a", x="y")
    remove(api.lab, "a")
    async with api.watch(query=f"resourceVersion={since}") as lines:
        changed, deleted = await lines.next(), await lines.next()
    assert (changed["type"], changed["object"]["kind"]) == ("MODIFIED", "ConfigMap")
    assert deleted["object"]["metadata"]["resourceVersion"] == str(api.lab.storage.version)
    assert deleted["object"]["data"] == {"x": "y"}


async def test_a_forgotten_version_is_a_410_in_the_stream(api: Client) -> None:
    make(api.lab, "a")
    since = api.lab.storage.version
    make(api.lab, "b")
    api.lab.storage.compact()
    async with api.watch(query=f"resourceVersion={since}") as lines:
        line = await lines.next()
        assert await lines.next() is None
    assert (line["type"], line["object"]["code"], line["object"]["reason"]) == (
        "ERROR",
        410,
        "Expired",
    )
    assert line["object"]["message"] == f"too old resource version: {since} ({since + 1})"


async def test_a_version_ahead_is_silence_until_it_is_reached() -> None:
    async with served(bookmark_s=0.02) as api:
        ahead = api.lab.storage.version + 2
        query = f"resourceVersion={ahead}&allowWatchBookmarks=true"
        async with api.watch(query=query) as lines:
            make(api.lab, "a")
            waiting = asyncio.ensure_future(lines.next())
            assert await is_silent(asyncio.shield(waiting))
            make(api.lab, "b", "c")
            line = await waiting
            while line["type"] == "BOOKMARK":
                line = await lines.next()
            assert line["object"]["metadata"]["name"] == "c"


async def test_bookmarks_come_only_when_asked_for() -> None:
    async with served(bookmark_s=0.02) as api:
        make(api.lab, "a")
        version = str(api.lab.storage.version)
        async with api.watch(query="allowWatchBookmarks=true", Accept=PARTIAL) as lines:
            await lines.next()
            line = await lines.next()
            assert line == {
                "type": "BOOKMARK",
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": {"resourceVersion": version},
                },
            }
        async with api.watch() as lines:
            await lines.next()
            assert await is_silent(lines.next())


async def test_a_watchlist_ends_its_initial_events_with_a_bookmark(api: Client) -> None:
    make(api.lab, "a", "b")
    async with api.watch(query=f"{LIST}&allowWatchBookmarks=true") as lines:
        assert await lines.names(2) == ["ADDED a", "ADDED b"]
        end = (await lines.next())["object"]
        assert (end["kind"], end["metadata"]) == (
            "ConfigMap",
            {"resourceVersion": str(api.lab.storage.version), "annotations": {END: "true"}},
        )
        make(api.lab, "c")
        assert await lines.names(1) == ["ADDED c"]


async def test_a_watchlist_without_bookmarks_never_ends_its_initial_events(api: Client) -> None:
    make(api.lab, "a")
    async with api.watch(query=LIST) as lines:
        assert await lines.names(1) == ["ADDED a"]
        assert await is_silent(lines.next())


async def test_a_watchlist_of_the_future_ends_with_a_504_in_the_stream(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdns.lab.watching.TOO_LARGE_S", 0.01)
    async with api.watch(query=f"{LIST}&allowWatchBookmarks=true&resourceVersion=999") as lines:
        line = await lines.next()
        assert await lines.next() is None
    assert (line["type"], line["object"]["code"]) == ("ERROR", 504)
    assert "Too large resource version: 999" in line["object"]["message"]


async def test_a_selector_turns_changes_into_comings_and_goings(api: Client) -> None:
    make(api.lab, "a", app="x")
    make(api.lab, "b")
    async with api.watch(query="labelSelector=app%3Dx") as lines:
        assert await lines.names(1) == ["ADDED a"]
        for name, labels in [
            ("b", {"app": "x"}),
            ("b", {"app": "x", "n": "1"}),
            ("b", {}),
            ("a", {}),
        ]:
            obj = api.lab.storage.get(CONFIGMAPS, "default", name)
            metadata = obj["metadata"] | {"labels": labels}
            api.lab.storage.update(CONFIGMAPS, "default", name, obj | {"metadata": metadata})
        remove(api.lab, "b")
        make(api.lab, "c", app="x")
        assert await lines.names(5) == [
            "ADDED b",
            "MODIFIED b",
            "DELETED b",
            "DELETED a",
            "ADDED c",
        ]


async def test_a_watch_can_be_of_one_object(api: Client) -> None:
    make(api.lab, "a", "b")
    async with api.watch(query="fieldSelector=metadata.name%3Db") as lines:
        assert await lines.names(1) == ["ADDED b"]
    async with api.watch("/api/v1/watch/namespaces/default/configmaps/b") as lines:
        assert await lines.names(1) == ["ADDED b"]


async def test_rows_of_a_table_can_be_watched(api: Client) -> None:
    make(api.lab, "a")
    async with api.watch(Accept="application/json;as=Table;v=v1;g=meta.k8s.io") as lines:
        table = (await lines.next())["object"]
    assert (table["kind"], table["rows"][0]["cells"][0]) == ("Table", "a")


async def test_a_watch_ends_in_order_at_its_time_out(api: Client) -> None:
    async with asyncio.timeout(30), api.watch(query="timeoutSeconds=1") as lines:
        assert await lines.next() is None


async def test_an_event_is_encoded_once_for_all_who_watch(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api.watch() as one, api.watch() as two:
        made = []
        encode = forms.encode
        monkeypatch.setattr(forms, "encode", lambda obj: made.append(obj) or encode(obj))
        make(api.lab, "a")
        assert await one.names(1) == await two.names(1) == ["ADDED a"]
        assert len(made) == 1


async def test_a_slow_watcher_is_cut_off_and_holds_nobody_up(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT", 20)
    version = api.lab.storage.version
    async with api.watch(query=f"resourceVersion={version}") as slow, api.watch() as fast:
        big = "x" * 200_000
        for number in range(120):
            obj = {"metadata": {"name": f"n{number}"}, "data": {"x": big}}
            api.lab.storage.create(CONFIGMAPS, "default", obj)
            assert await fast.names(1) == [f"ADDED n{number}"]
        kinds = []
        with suppress(ConnectionError):
            while line := await slow.next():
                kinds.append(line["type"])
        assert len(kinds) < 120
        assert kinds[-1] == "ERROR"


async def test_a_client_that_leaves_is_forgotten(api: Client) -> None:
    async with api.watch() as lines:
        make(api.lab, "a")
        await lines.next()
        assert [one.resource for one in api.lab.faults.watches] == ["configmaps"]
        lines.reply.close()
    async with asyncio.timeout(30):
        while api.lab.faults.watches:
            await asyncio.sleep(0.01)


async def test_watches_of_all_namespaces_and_of_one(api: Client) -> None:
    make(api.lab, "a")
    async with (
        api.watch("/api/v1/configmaps") as everywhere,
        api.watch(MAPS.replace("default", "kube-system")) as elsewhere,
    ):
        assert await everywhere.names(1) == ["ADDED a"]
        assert await is_silent(elsewhere.next())


async def test_what_happened_long_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdns.lab.lab.KEPT_S", 0.01)
    async with served() as api:
        since = api.lab.storage.version
        make(api.lab, "a")

        async def ask() -> None:
            while True:
                api.lab.storage.watch(CONFIGMAPS, since=since)
                await asyncio.sleep(0.01)

        with pytest.raises(ApiError, match="too old"):
            await asyncio.wait_for(ask(), 30)
