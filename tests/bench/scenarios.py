"""The rows of the bench: what is sent, which servers take part, and what kdns must reach."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench import questions
from tests.bench.load import Packet

ALL = ("echo", "knot", "coredns+cache", "coredns", "kdns")
FORWARDING = ("coredns+cache", "coredns", "kdns")

Make = Callable[[int, int, int], list[Packet]]
"""From the number of services, the round and the number of rounds to the packets of a round."""


@dataclass(frozen=True)
class Scenario:
    """One kind of load, measured in rounds at every server."""

    key: str
    name: str
    make: Make
    mode: str = "window"
    options: tuple[str | int, ...] = ()
    count: int = 0
    """Packets of a round; 0 is the file once."""
    turns: int = 1
    """How often a round goes round the servers: what a wake-up costs changes with what else runs."""
    is_warmed: bool = True
    """The packets of the first round are sent once before it, uncounted."""
    is_big: bool = False
    """Wants all services of the bench, not a tenth of them."""
    is_wildcard: bool = False
    servers: tuple[str, ...] = ALL
    knot: float | None = None
    """What kdns may cost at most, as a multiple of Knot."""
    coredns: float | None = None
    """The same of the cheaper CoreDNS."""
    echo: float | None = None
    """The same of the C echo: what CI holds us to. A quarter more than was measured when it was set
    (2026-11-21), for the ratio to the echo moves by that much on machines that others share."""
    around: str = ""
    """Hot names are measured before and after; this is the row of it."""
    workers: int = 1
    """Processes of kdns; more than one are measured beside one."""


def _hot(services: int, _: int, __: int) -> list[Packet]:
    return questions.hot(services)


SCENARIOS = (
    Scenario(
        "hot", "hot A, 20 names, one address", _hot,
        count=60_000, knot=1.15, coredns=0.25, echo=2.0,
    ),
    Scenario(
        "wild", "hot A, 20 names, every address", _hot,
        count=60_000, knot=1.15, coredns=0.25, is_wildcard=True,
    ),
    Scenario(
        "paced", "hot, paced at 5,000 q/s", _hot,
        mode="paced", options=("-q", 5000, "-s", 16), count=2000, turns=3, knot=1.1, coredns=0.25,
    ),
    Scenario(
        "pods", "what pods send: search paths, A and AAAA", lambda n, *_: questions.pods(n, 50_000),
        coredns=0.25, is_big=True,
    ),
    Scenario(
        "noisy", "0x20 and cookies, each packet different",
        lambda n, at, rounds: questions.noisy(n, 300_000 // max(rounds, 3), at),
        coredns=0.35, is_warmed=False,
    ),
    Scenario(
        "once", "each question once", questions.once,
        coredns=0.4, echo=21.0, is_warmed=False, is_big=True,
    ),
    Scenario(
        "nx", "random names that do not exist", lambda _, at, __: questions.missing(50_000, at),
        coredns=0.4, echo=13.0, is_warmed=False, around="hot again after them",
    ),
    Scenario(
        "large", "headless, 500 endpoints, TCP", lambda *_: questions.large(),
        mode="stream", options=("-s", 4, "-w", 16), count=2000, coredns=0.3,
    ),
    Scenario(
        "cut", "headless, 500 endpoints, UDP, truncated", lambda *_: questions.large_cut(),
        count=6000, coredns=0.3,
    ),
    Scenario(
        "cached", "forwarded, cached", lambda *_: questions.outside(200, 99),
        count=40_000, servers=FORWARDING, coredns=0.25,
    ),
    Scenario(
        "forward", "forwarded, each once", lambda _, at, __: questions.outside(20_000, at),
        options=("-w", 64), is_warmed=False, servers=FORWARDING, coredns=0.7,
    ),
    Scenario(
        "tcp", "TCP pipelined", _hot,
        mode="stream", options=("-s", 4, "-w", 128), count=60_000, coredns=0.25,
    ),
    Scenario(
        "connections", "TCP, a connection per query", _hot,
        mode="connections", options=("-s", 16), count=8000, coredns=1.0,
    ),
    Scenario(
        "workers", "hot A, 20 names, 32 clients, 2 workers", _hot,
        options=("-s", 32, "-w", 1024), count=200_000, servers=("kdns",), workers=2,
    ),
)  # fmt: skip
"""All of them, in the order of the table. Paced comes from many ports: Knot ties its threads to cores
and a port to a thread, so that with one port the figure says whether that is the core of the asker."""
