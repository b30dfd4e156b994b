"""health: alive also as a lame duck, which waits for the last queries, and probes itself."""

import asyncio

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins import health
from kdns.plugins.base import Life
from kdns.plugins.health import BUCKETS, Health
from kdns.server.http import HttpListener, Offer
from tests import fakes


def plugin(text: str = "health", **changes: object) -> Health:
    [made] = fakes.chain(text, Health, **changes).plugins
    assert isinstance(made, Health)
    return made


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("health", ("", 8080)),
        ("health :8091", ("", 8091)),
        ("health localhost:8092", ("localhost", 8092)),
        ("health [::1]:8093", ("::1", 8093)),
    ],
)
def test_the_address(text: str, at: tuple[str, int]) -> None:
    [endpoint] = plugin(text).endpoints()
    assert (endpoint.host, endpoint.port, endpoint.path) == (*at, "/health")


@pytest.mark.parametrize(
    "text",
    ["health 8080", "health :1 :2", "health {\n lameduck\n}", "health {\n lameduck -1s\n}"],
)
def test_what_is_not_taken(text: str) -> None:
    with pytest.raises(ConfigError, match="health"):
        plugin(text)


async def test_it_says_ok_while_the_server_stops_too() -> None:
    made = plugin(life=Life(is_stopping=True))
    [endpoint] = made.endpoints()
    reply = await endpoint.serve({})
    assert (reply.status, reply.body) == (200, b"OK")


class Time:
    """A clock that sleeping moves; packets come until `last`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: float) -> None:
        self.now = 1000.0
        self.last = 1000.0 + last
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now

    def heard_at(self) -> float:
        return min(self.now, self.last)


@pytest.mark.parametrize(
    ("lameduck", "last_packet_s", "took_s"),
    [
        ("3s", -100, 3),  # nobody asks
        ("3s", 2, 3),
        ("3s", 2.5, 3.5),  # a second of silence is waited for
        ("3s", 100, 6),  # no longer than as much again
        ("20s", 100, 25),  # nor than five seconds more
        ("0s", 100, 0),
    ],
)
async def test_lameduck_ends_when_queries_have_stopped_within_bounds(
    monkeypatch: pytest.MonkeyPatch, lameduck: str, last_packet_s: float, took_s: float
) -> None:
    time = Time(monkeypatch, last_packet_s)
    made = plugin(
        f"health {{\n lameduck {lameduck}\n}}", clock=time, life=Life(heard_at=time.heard_at)
    )
    await made.wind_down()
    assert time.now == pytest.approx(1000 + took_s)


async def test_it_probes_itself_through_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = asyncio.Event()
    sleep = asyncio.sleep

    async def tick(seconds: float) -> None:
        if not seconds:
            await sleep(0)
            return
        ticks.clear()
        await ticks.wait()

    listener = HttpListener(("127.0.0.1", 0), Offer("health", {}))
    made = plugin(f"health 127.0.0.1:{listener.port}")
    listener.routes = {"/health": made.endpoints()[0]}
    await listener.start()
    took = made.site.counters.histogram(BUCKETS, "coredns_health_request_duration_seconds")
    failed = ("coredns_health_request_failures_total",)
    monkeypatch.setattr(health.asyncio, "sleep", tick)
    [probing] = [asyncio.ensure_future(work) for work in made.tasks()]
    await sleep(0)

    async def probed(times: int) -> None:
        ticks.set()
        for _ in range(40_000):
            if sum(took.counts) == times:
                return
            await sleep(0.001)
        raise TimeoutError

    ticks.set()
    await sleep(0.01)
    assert sum(took.counts) == 0  # the server does not serve yet
    made.site.life.plugins = (made,)
    await probed(1)
    assert made.site.counters.values[failed] == 0
    await listener.stop(1)
    await probed(2)
    assert made.site.counters.values[failed] == 1
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)
