"""The parts of the api source on their own: lines, limits, delays, reports, turns."""

import asyncio
import logging
from time import perf_counter

import pytest

from kdns.cluster.api import lines as lines_module
from kdns.cluster.api.backoff import Backoff
from kdns.cluster.api.channel import ROOM, Batch, Channel
from kdns.cluster.api.connection import Access
from kdns.cluster.api.failures import Broken, Refused, Stale, Unreachable, refusal
from kdns.cluster.api.lines import Lines
from kdns.cluster.api.relay import Relay
from kdns.cluster.api.report import MAX_COMPLAINTS, REPEAT_S, Report
from kdns.cluster.api.throttle import Throttle
from kdns.cluster.pace import TURN_S, Pace
from kdns.cluster.selectors import parse
from tests.cluster.following import following, until
from tests.cluster.scripted_api import Reply, ScriptedApi, namespace, service

# Lines


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_stream_in_pieces_has_the_lines_of_the_whole(size):
    text = b'{"a":1}\n\n{"b":"' + b"x" * 50 + b'"}\nlast\n'
    lines = Lines()
    found = [line for at in range(0, len(text), size) for line in lines.split(text[at : at + size])]
    assert found == text.split(b"\n")[:-1]
    assert lines.is_empty


def test_a_line_without_an_end_is_noticed():
    lines = Lines()
    assert lines.split(b"a\nb") == [b"a"]
    assert not lines.is_empty


def test_a_line_without_bounds_is_refused(monkeypatch):
    monkeypatch.setattr(lines_module, "MAX_BYTES", 10)
    lines = Lines()
    lines.split(b"123456")
    with pytest.raises(Broken, match="more than 10 bytes"):
        lines.split(b"789012")


# Limits


def test_requests_beyond_the_burst_wait_for_the_rate():
    now = [0.0]
    throttle = Throttle(2, 3, 0, lambda: now[0])
    assert [throttle.delay() for _ in range(5)] == [0, 0, 0, 0.5, 1]
    now[0] = 10
    assert [throttle.delay() for _ in range(4)] == [0, 0, 0, 0.5]


@pytest.mark.parametrize(
    ("qps", "burst", "delay"), [(0, 0, 0), (0, 1, 0.2), (5, 0, 0)], ids=["none", "burst", "rate"]
)
def test_without_a_rate_nothing_waits_and_a_burst_alone_has_five_a_second(qps, burst, delay):
    throttle = Throttle(qps, burst, 0, lambda: 0.0)
    throttle.delay()
    assert throttle.delay() == pytest.approx(delay)


async def test_so_many_requests_are_under_way_at_once():
    """Watches hold none of them once they have begun."""
    async with ScriptedApi() as api:
        api.put("namespaces", namespace("default"))
        held = asyncio.Event()
        api.fail("watchlist", Reply(body=b"", when=held))
        access = Access(endpoint=api.url, max_inflight=1)
        async with following(access, synced=False) as seen:
            await until(lambda: api.requests)
            await asyncio.sleep(0.05)
            assert len(api.requests) == 1
            held.set()
            await until(lambda: seen.store.has_synced)
            assert len(api.open("services")) == len(api.open("namespaces")) == 1
            api.put("services", service("web"))
            await until(lambda: seen.services)


async def test_a_rate_in_the_corefile_holds_requests_back():
    async with ScriptedApi() as api:
        access = Access(endpoint=api.url, qps=4, burst=1)
        before = perf_counter()
        async with following(access) as seen:
            assert perf_counter() - before > 0.4  # three requests, the first at once
            host = f"127.0.0.1:{api.port}"
            name = "coredns_kubernetes_rest_client_rate_limiter_duration_seconds"
            held = seen.counters.histograms[(name, "GET", host)]
            assert 0 < held.sum < 0.96  # less where the machine held them back
            name = "coredns_kubernetes_rest_client_request_duration_seconds"
            assert sum(seen.counters.histograms[(name, "GET", host)].counts) == 3
            assert seen.count(
                "coredns_kubernetes_rest_client_requests_total", "200", "GET", host
            ) == 3  # fmt: skip


# Delays


def test_delays_grow_to_their_cap_and_begin_anew():
    backoff = Backoff(lambda: 1.0)
    assert [backoff.delay(1.5) for _ in range(6)] == [0.1, 0.5, 1.0, 1.5, 1.5, 1.5]
    for _ in range(3000):
        assert backoff.delay(30) <= 30
    backoff.reset()
    assert backoff.delay(1.5) == 0.1


def test_delays_differ_by_half():
    assert [Backoff(lambda: 0.0).delay(9), *map(Backoff(lambda: 0.0).delay, (9, 9))] == [0, 0, 0.25]


@pytest.mark.parametrize(
    ("header", "body", "wait"),
    [("7", b"", 7), ("", b'{"details":{"retryAfterSeconds":3}}', 3), ("Mon, 1 Jan", b"", 0)],
)
def test_a_server_says_how_long_to_wait(header, body, wait):
    assert refusal(429, body, header, what="list x", where="u", who="w").retry_after == wait


# Reports


@pytest.fixture
def report(caplog):
    caplog.set_level(logging.INFO)
    now = [0.0]
    made = Report(lambda: now[0])
    made.now = now
    return made


def said(caplog) -> list[tuple[str, str]]:
    return [(one.levelname, one.message) for one in caplog.records]


def test_a_failure_is_said_once_for_all_and_again_each_minute(report, caplog):
    for second in range(70):
        report.now[0] = float(second)
        for who in ("services", "pods"):
            report.failed(who, Unreachable("cannot reach x: refused"))
    assert said(caplog) == [("WARNING", "cannot reach x: refused")] * 2
    assert report.failure == "cannot reach x: refused"


def test_another_failure_is_said_at_once_and_the_end_once(report, caplog):
    report.failed("services", Unreachable("a"))
    report.failed("services", Refused(403, "b"))
    report.failed("pods", Refused(503, "c"))
    assert report.failure == "c"
    report.now[0] = 9.0
    report.well("pods")
    assert report.failure == "b"
    report.well("services")
    report.well("services")
    assert said(caplog) == [
        ("WARNING", "a"),
        ("ERROR", "b"),
        ("WARNING", "c"),
        ("INFO", "all resources are followed again, after 9 s"),
    ]
    assert report.failure == ""


def test_a_list_anew_is_no_failure(report):
    assert isinstance(Stale("expired", "x"), Exception)
    report.say(logging.INFO, "listing again")
    assert not report.failure


def test_complaints_are_bounded(report, caplog):
    for n in range(100):
        report.complain(f"object {n}")
    assert len(caplog.records) == MAX_COMPLAINTS
    report.now[0] = REPEAT_S
    report.complain("object 100")
    assert len(caplog.records) == MAX_COMPLAINTS + 1


# Turns


async def test_who_reads_waits_for_who_applies():
    channel = Channel(Relay())
    put = []

    async def read() -> None:
        for n in range(20):
            await channel.put(Batch([], lambda: None, 0.0))
            put.append(n)

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(put) == ROOM
    await channel.get()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(put) == ROOM + 1
    task.cancel()


async def test_a_watcher_that_fails_fails_the_source():
    channel = Channel(Relay())

    async def fail() -> None:
        raise KeyError("a bug")

    asyncio.create_task(fail()).add_done_callback(channel.ended)
    with pytest.raises(KeyError):
        await channel.get()


async def test_a_turn_is_everybodys_together():
    pace = Pace()
    turns: list[float] = []

    async def work() -> None:
        pace.begin()
        for _ in range(40):
            if pace.is_due:
                await pace.rest()
            until_ = perf_counter() + TURN_S / 10
            while perf_counter() < until_:
                pass

    async def watch(tasks: list[asyncio.Task[None]]) -> None:
        while not all(task.done() for task in tasks):
            began = perf_counter()
            await asyncio.sleep(0)
            turns.append(perf_counter() - began)

    tasks = [asyncio.create_task(work()) for _ in range(4)]
    await watch(tasks)
    # 4 × 12 ms of work, in no fewer turns than 3 ms and one piece of each make.
    assert len(turns) >= 4 * 12 / 4.5


async def test_a_large_list_leaves_the_loop_its_turns():
    async with ScriptedApi() as api:
        for n in range(1500):
            api.put("services", service(f"s{n}", "10.96.1.1"))
        async with following(api.url, synced=False) as seen:
            turns = 0
            while not seen.store.has_synced:
                await asyncio.sleep(0)
                turns += 1
            assert len(seen.services) == 1500
            assert turns > 5


# Selectors


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("a=b", "a=b"),
        ("a==b,c!=d", "a=b,c!=d"),
        ("a in (x, y),!c, d", "a in (x,y),!c,d"),
        ("a notin (x,y)", "a notin (x,y)"),
        ("a>1,b<2", "a>1,b<2"),
        ("a=", "a="),
    ],
)
def test_a_selector_is_sent_in_kubernetes_words(text, sent):
    assert str(parse(text)) == sent
    assert parse(str(parse(text))) == parse(text)
