"""What no sane API server says, and what happens at one moment: none of it ends the server."""

import asyncio
from dataclasses import replace

import pytest

from kdns.cluster.api.client import Connection
from kdns.cluster.api.failures import refusal
from kdns.cluster.api.relay import Relay
from kdns.cluster.api.session import Body
from tests.cluster.following import QUIET, following, until
from tests.cluster.scripted_api import Reply, ScriptedApi, namespace, refused, service

DEEP = b"[" * 5000 + b"]" * 5000
NINES = "9" * 5000


@pytest.fixture
async def api():
    async with ScriptedApi() as made:
        made.put("namespaces", namespace("default"))
        made.put("services", service("web"))
        yield made


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    monkeypatch.setattr("kdns.cluster.api.backoff.BASE_S", 0.02)


def _added(text: bytes) -> bytes:
    return b'{"type":"ADDED","object":{"metadata":{"name":"odd","namespace":"default"' + text


ODD = {
    "deep": _added(b'},"spec":{"x":' + DEEP + b"}}}\n"),
    "no UTF-8": _added(b',"resourceVersion":"\xff"}}}\n'),
    "long version": _added(b',"resourceVersion":"%s"}}}\n' % NINES.encode()),
    "odd version": _added(',"resourceVersion":"²"}}}\n'.encode()),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_a_watch_event_that_no_decoder_takes_ends_nothing(api, odd):
    async with following(api.url) as seen:
        api.open("services")[0].send_raw(odd)
        await until(lambda: len(api.asked("watch services")) or "default/odd" in seen.services)
        api.put("services", service("next", "10.96.0.2"))
        await until(lambda: "default/next" in seen.services)


@pytest.mark.parametrize("body", [b'{"items":[{"x":%s}]}' % DEEP, b"\xff"], ids=["deep", "bytes"])
async def test_a_list_that_no_decoder_takes_ends_nothing(api, body):
    api.has_watch_lists = False
    api.fail("list services", Reply(body=body))
    async with following(api.url) as seen:
        assert seen.services == {"default/web"}


def test_a_refusal_that_no_decoder_takes_is_one_all_the_same():
    error = refusal(429, b'{"x":%s}' % DEEP, "²", what="list pods", where="here", who="us")
    assert (error.status, error.retry_after) == (429, 0)


async def test_a_page_that_a_busy_server_refuses_is_asked_for_again(api):
    api.has_watch_lists = False
    for n in range(250):
        api.put("services", service(f"s{n}", "10.96.1.1"))
    api.faults.append((lambda one: "continue" in one.query, refused(429, retry_after="0"), [3]))
    async with following(api.url) as seen:
        assert len(seen.services) == 251
        firsts = [one for one in api.asked("list services") if "continue" not in one.query]
        assert len(firsts) == 1
        assert not seen.api.failure


async def test_a_line_that_trickles_in_is_no_sign_of_life(api):
    async with following(api.url, timing=replace(QUIET, progress_s=0.2)) as seen:
        watch = api.open("services")[0]

        async def trickle() -> None:
            while not watch.writer.is_closing():
                watch.send_raw(b" ")
                await asyncio.sleep(0.01)

        trickling = asyncio.create_task(trickle())
        await until(lambda: seen.count("kdns_resyncs_total", "services", "silent"))
        trickling.cancel()


async def test_without_the_verb_watch_what_exists_is_read_all_the_same(api):
    """As CoreDNS does; the comparison then repairs what changes."""
    api.faults.append((lambda one: one.is_watch, refused(403), [99]))
    async with following(api.url) as seen:
        assert seen.services == {"default/web"}
        await until(lambda: "give the ServiceAccount the verbs list and watch" in seen.api.failure)
        api.faults.clear()
        api.put("services", service("next", "10.96.0.2"))
        await until(lambda: "default/next" in seen.services)
        await until(lambda: not seen.api.failure)


async def test_an_interruption_at_the_very_moment_of_the_deadline_is_none():
    body = Body(Connection(Relay()), "here")
    reading = asyncio.create_task(body.read(0))
    while not reading.done():
        body.interrupt()
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await reading
