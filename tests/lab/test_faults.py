"""Each fault of the lab does what its name says, as often as it says, and to nobody else."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp
import pytest

from kdns.lab.faults import Fault, Faults, Subject
from tests.lab.serving import MAPS, Client, change, make, served

LIST = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
BROKEN = (aiohttp.ClientError, ConnectionError)


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    async with served(bookmark_s=0.05) as found:
        make(found.lab, "a", "b", "c")
        yield found


def subject(verb: str = "list", resource: str = "configmaps", text: str = "") -> Subject:
    return Subject(verb, resource, "default", text)


@pytest.mark.parametrize(
    ("fault", "matching", "other"),
    [
        (Fault("drop", verb="watch"), subject("watchlist"), subject("list")),
        (Fault("drop", verb="watchlist"), subject("watchlist"), subject("watch")),
        (Fault("drop", verb="list"), subject("continue"), subject("watch")),
        (Fault("drop", verb="continue"), subject("continue"), subject("list")),
        (Fault("drop", resource="configmaps"), subject(), subject(resource="pods")),
        (Fault("drop", namespace="default"), subject(), Subject("list", "pods", "other")),
        (Fault("drop", text="web"), subject(text="web-1"), subject(text="db")),
    ],
    ids=["watch", "watchlist", "list", "continue", "resource", "namespace", "text"],
)
def test_a_fault_matches(fault: Fault, matching: Subject, other: Subject) -> None:
    faults = Faults()
    faults.add(fault)
    assert faults.apply(("drop",), other) is None
    assert faults.apply(("mute",), matching) is None
    assert faults.apply(("drop",), matching) is fault


def test_a_fault_skips_and_counts() -> None:
    faults = Faults()
    fault = faults.add(Fault("drop", skip=1, count=2))
    hits = [faults.apply(("drop",), subject()) is fault for _ in range(5)]
    assert (hits, fault.hits) == ([False, True, True, False, False], 2)
    lasting = faults.add(Fault("drop"))
    assert faults.apply(("drop",), subject()) is lasting
    faults.remove(lasting)
    assert faults.apply(("drop",), subject()) is None


@pytest.mark.parametrize("code", [410, 429, 500, 503, 403])
async def test_a_request_is_refused_as_often_as_said(api: Client, code: int) -> None:
    api.lab.faults.add(
        Fault("refuse", verb="list", code=code, reason="Why", message="m", retry_s=7, count=2)
    )
    for _ in range(2):
        found, status = await api.ask("GET", MAPS)
        assert (found, status["reason"], status["message"]) == (code, "Why", "m")
        assert api.headers["Retry-After"] == "7"
    assert (await api.ask("GET", f"{MAPS}/a"))[0] == 200
    assert (await api.ask("GET", MAPS))[0] == 200


async def test_only_later_pages_or_only_watchlists_can_be_refused(api: Client) -> None:
    api.lab.faults.add(Fault("refuse", verb="continue", code=410, reason="Expired"))
    api.lab.faults.add(Fault("refuse", verb="watchlist", code=422, reason="Invalid"))
    first = await api.get(f"{MAPS}?limit=1")
    token = first["metadata"]["continue"]
    assert (await api.ask("GET", f"{MAPS}?limit=1&continue={token}"))[0] == 410
    assert (await api.ask("GET", f"{MAPS}?watch=1&{LIST}"))[0] == 422
    async with api.watch() as lines:
        assert await lines.names(1) == ["ADDED a"]


async def test_an_event_is_lost_without_a_word(api: Client) -> None:
    async with api.watch() as lines:
        await lines.names(3)
        fault = api.lab.faults.add(Fault("drop", resource="configmaps", text="b", count=1))
        change(api.lab, "b", n="1")
        change(api.lab, "a", n="1")
        change(api.lab, "b", n="2")
        assert await lines.names(2) == ["MODIFIED a", "MODIFIED b"]
        assert fault.hits == 1


async def test_bookmarks_stop_and_events_go_on(api: Client) -> None:
    api.lab.faults.add(Fault("mute"))
    async with api.watch(query=LIST) as lines:
        assert await lines.names(4) == ["ADDED a", "ADDED b", "ADDED c", "BOOKMARK"]
        await asyncio.sleep(0.2)
        change(api.lab, "a", n="1")
        assert await lines.names(1) == ["MODIFIED a"]
        api.lab.faults.clear()
        assert await lines.names(1) == ["BOOKMARK"]


async def test_initial_events_never_end(api: Client) -> None:
    api.lab.faults.add(Fault("endless"))
    async with api.watch(query=LIST) as lines:
        await lines.names(3)
        line = await lines.next()
        assert line["type"] == "BOOKMARK"
        assert "annotations" not in line["object"]["metadata"]


async def test_a_watch_falls_silent_and_stays_open(api: Client) -> None:
    async with api.watch(query=LIST) as lines:
        await lines.names(4)
        api.lab.faults.add(Fault("silence"))
        change(api.lab, "a", n="1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await lines.next()
        assert len(api.lab.faults.watches) == 1


async def test_an_error_ends_every_open_watch_once(api: Client) -> None:
    async with api.watch() as one, api.watch() as two, api.watch("/api/v1/pods") as other:
        await one.names(3)
        await two.names(3)
        api.lab.faults.strike(
            Fault("error", resource="configmaps", code=410, reason="Expired", message="old")
        )
        for lines in (one, two):
            line = await lines.next()
            assert (line["type"], line["object"]["code"]) == ("ERROR", 410)
            assert await lines.next() is None
        assert [found.resource for found in api.lab.faults.watches] == ["pods"]
        async with api.watch() as later:
            assert await later.names(1) == ["ADDED a"]
        assert not other.reply.content.at_eof()


async def test_a_watch_ends_in_order(api: Client) -> None:
    async with api.watch() as lines:
        await lines.names(3)
        api.lab.faults.strike(Fault("end"))
        assert await lines.next() is None


async def test_a_watch_is_reset(api: Client) -> None:
    async with api.watch() as lines:
        await lines.names(3)
        api.lab.faults.strike(Fault("reset"))
        with pytest.raises(BROKEN):
            await lines.next()


async def test_a_line_of_a_watch_is_no_json(api: Client) -> None:
    async with api.watch() as lines:
        await lines.names(3)
        api.lab.faults.strike(Fault("garble"))
        with pytest.raises(ValueError, match="decode"):
            await lines.next()


async def test_a_watch_is_half_closed(api: Client) -> None:
    head = (
        f"GET {MAPS}?watch=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {api.lab.token}\r\n\r\n"
    )
    host, port = api.lab.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode())
    await reader.readuntil(b'"name":"c"')
    api.lab.faults.strike(Fault("half_close"))
    rest = await reader.read()
    assert not rest.endswith(b"0\r\n\r\n")
    writer.write(b"still heard")
    await writer.drain()
    writer.close()


async def test_replies_come_late_or_never(api: Client) -> None:
    fault = api.lab.faults.add(Fault("delay", delay_s=0.1, count=1))
    started = time.perf_counter()
    await api.get(MAPS)
    assert time.perf_counter() - started > 0.1
    assert fault.hits == 1
    api.lab.faults.add(Fault("hang", verb="list"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await api.get(MAPS)
    assert (await api.ask("GET", f"{MAPS}/a"))[0] == 200


async def test_a_connection_is_reset_before_the_reply(api: Client) -> None:
    api.lab.faults.add(Fault("reset", verb="create", count=1))
    with pytest.raises(BROKEN):
        await api.ask("POST", MAPS, {"metadata": {"name": "d"}})
    assert (await api.ask("POST", MAPS, {"metadata": {"name": "d"}}))[0] == 201


async def test_bodies_are_slow_cut_or_garbled(api: Client) -> None:
    whole = await api.get(MAPS)
    api.lab.faults.add(Fault("slow", verb="list", size=100, delay_s=0.01, count=1))
    started = time.perf_counter()
    assert await api.get(MAPS) == whole
    assert time.perf_counter() - started > 0.04
    api.lab.faults.add(Fault("cut", verb="list", size=100, count=1))
    with pytest.raises(BROKEN):
        await api.get(MAPS)
    api.lab.faults.add(Fault("garble", verb="list", size=100, count=1))
    with pytest.raises(ValueError, match=r"decode|delimiter|Expecting|Invalid"):
        await api.get(MAPS)
    assert await api.get(MAPS) == whole


async def test_a_server_that_is_away_refuses_and_comes_back_to_its_port(api: Client) -> None:
    async with api.watch() as lines:
        await lines.names(3)
        await api.lab.stop_serving()
        with pytest.raises(BROKEN):
            await lines.next()
    with pytest.raises(aiohttp.ClientConnectorError):
        await api.get(MAPS)
    make(api.lab, "d")
    await api.lab.serve_again()
    assert len((await api.get(MAPS))["items"]) == 4


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_that_is_just_accepted_is_broken_off_with_the_others(
    api: Client, turns: int
) -> None:
    host, port = urlsplit(api.lab.url).hostname, urlsplit(api.lab.url).port
    with socket.create_connection((host, port)) as late:
        late.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        await api.lab.stop_serving()
        async with asyncio.timeout(20):
            with suppress(ConnectionError):
                assert await asyncio.get_running_loop().sock_recv(late, 1) == b""


async def test_a_restored_server_has_lower_versions_and_is_silent_to_who_is_ahead(
    api: Client,
) -> None:
    backup = api.lab.snapshot()
    make(api.lab, "d", "e")
    change(api.lab, "a", n="1")
    ahead = api.lab.storage.version
    await api.lab.restore(backup)
    found = await api.get(MAPS)
    assert [one["metadata"]["name"] for one in found["items"]] == ["a", "b", "c"]
    assert "data" not in found["items"][0]
    assert int(found["metadata"]["resourceVersion"]) == backup.version < ahead
    query = f"resourceVersion={ahead}&allowWatchBookmarks=true"
    async with api.watch(query=query) as lines:
        make(api.lab, "f")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await lines.next()
