"""An overload: noticed when packets are lost, ended when nobody is above his share, and free else."""

import asyncio
import logging
import socket
from ipaddress import ip_address

import pytest

from kdns.plugins.base import Query
from kdns.plugins.fair import Fair
from kdns.server.udp import overload
from kdns.server.udp.overload import LOOK_S, MOMENT_S, MOST_COUNTED, ROUND_S, WATCH_S, Overload
from kdns.server.udp.shares import FREE
from tests import fakes
from tests.server.test_batches import busy, ids, replies
from tests.server.test_udp import Asker, packet
from tests.stubs import Told, World, addresses

FLOODER = ip_address("10.9.9.9").packed
OTHERS = [ip_address(f"10.0.0.{at}").packed for at in range(1, 11)]


class Stub:
    """A kernel that drops as it is told."""

    is_dumb = False

    def __init__(self) -> None:
        self.lost = 0
        self.verdict = FREE

    def dropped(self):
        return self.lost

    def attach(self, verdict, exempt):
        self.verdict = verdict
        return True

    def detach(self):
        self.verdict = FREE


class Dumb(Stub):
    """One that neither says nor does anything."""

    is_dumb = True

    def dropped(self):
        return None

    def attach(self, verdict, exempt):
        return False


class Scene:
    """A guard, and time that a test moves."""

    def __init__(self, kernel: Stub, fair: str = "") -> None:
        self.world = World(*(fakes.plugins(fair, fakes.site(), Fair) if fair else ()))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            self.guard = Overload(sock, self.world.with_table, self.world.clock, "here")
        self.kernel = self.guard._kernel = kernel

    def flood(self) -> None:
        """Reads stay full for as long as it takes."""
        for _ in range(4):
            self.kernel.lost += 5000
            self.pass_(LOOK_S)
            self.guard.full(self.world.clock())

    def pass_(self, seconds: float) -> None:
        self.world.clock.now += seconds

    def round(self, sent: dict[bytes, int], *, lost: int = 0, span: float = ROUND_S) -> None:
        """What was read of whom in a round, and its end."""
        if self.guard.sift is None:
            return
        for who, count in sent.items():
            for _ in range(count):
                self.guard.sift([who] * 64)
        self.kernel.lost += lost
        self.pass_(span)
        if self.guard._timer is not None:
            self.guard._timer.cancel()
            self.guard._judge()

    @property
    def metrics(self):
        return {key[0::2][-1] if len(key) > 1 else key[0]: value
                for key, value in self.world.counters.values.items()}  # fmt: skip


HEAVY = {FLOODER: 300, **dict.fromkeys(OTHERS, 1)}
LIGHT = dict.fromkeys(OTHERS, 1)


async def test_a_flooder_is_held_back_named_and_let_go_again(caplog):
    caplog.set_level(logging.WARNING, "kdns.fair")
    scene = Scene(Stub())
    assert scene.guard.sift is None
    scene.flood()
    scene.round(HEAVY, lost=100_000, span=WATCH_S)
    assert set(scene.kernel.verdict.passes) == {FLOODER}
    assert scene.kernel.verdict.of(FLOODER) < 0.1
    assert scene.metrics["kdns_overload"] == 1
    assert "10.9.9.9 sends 97% of it" in caplog.messages[0]
    assert "here is asked" in caplog.messages[0]
    scene.round({FLOODER: 10, **LIGHT}, lost=1_000_000)
    assert set(scene.kernel.verdict.passes) == {FLOODER}
    assert scene.metrics["kernel"] == 1_000_000
    for _ in range(60):
        scene.round(LIGHT)
    assert scene.kernel.verdict is FREE
    assert scene.guard.sift is None
    assert scene.metrics["kdns_overload"] == 0
    assert caplog.messages[1].startswith("overload is over: here dropped 1000")
    assert caplog.messages[1].endswith("most of 10.9.9.9")
    assert len(caplog.messages) == 2


async def test_full_reads_are_no_overload_while_nothing_is_lost():
    scene = Scene(Stub())
    for _ in range(100):
        scene.pass_(LOOK_S)
        scene.guard.full(scene.world.clock())
    assert scene.guard.sift is None


async def test_a_burst_is_no_overload():
    scene = Scene(Stub())
    for _ in range(2):
        scene.kernel.lost += 1000
        scene.pass_(LOOK_S)
        scene.guard.full(scene.world.clock())
    assert scene.guard.sift is not None
    scene.round(HEAVY, span=WATCH_S)
    assert scene.guard.sift is None
    assert scene.kernel.verdict is FREE
    assert scene.metrics["kdns_overload"] == 0


async def test_what_was_lost_long_ago_counts_for_nothing():
    scene = Scene(Stub())
    scene.guard.full(scene.world.clock())
    scene.kernel.lost += 1000
    scene.pass_(60)
    scene.guard.full(scene.world.clock())
    assert scene.guard.sift is None


async def test_a_lone_sender_is_not_held_back_but_is_when_another_comes():
    scene = Scene(Stub())
    scene.flood()
    scene.round({FLOODER: 100}, lost=100_000, span=WATCH_S)
    assert scene.kernel.verdict is FREE
    scene.round(HEAVY, lost=100_000)
    assert set(scene.kernel.verdict.passes) == {FLOODER}
    scene.round({FLOODER: 5}, lost=100_000)  # the other asks nothing for once
    assert set(scene.kernel.verdict.passes) == {FLOODER}


async def test_without_a_kernel_that_helps_packets_are_dropped_here():
    scene = Scene(Dumb())
    for _ in range(12):
        scene.pass_(LOOK_S)
        scene.guard.full(scene.world.clock())
    scene.round(HEAVY, span=WATCH_S)
    batch = [FLOODER] * 62 + OTHERS[:2]
    gone = [at for _ in range(50) for at in scene.guard.sift(batch)]
    assert len(gone) > 500
    assert max(gone) < 62
    scene.round({})
    assert scene.metrics["server"] == len(gone)


async def test_what_lay_in_the_queue_before_the_filter_is_dropped_here():
    scene = Scene(Stub())
    scene.flood()
    scene.round(HEAVY, lost=1_000_000, span=WATCH_S)
    assert len(scene.guard.sift([FLOODER] * 64)) > 32
    assert not scene.guard.sift(OTHERS)  # a batch that is not full: the queue was empty
    assert not scene.guard.sift([FLOODER] * 10)


async def test_of_a_burst_of_the_heavy_only_what_takes_a_moment_is_answered():
    scene = Scene(Stub())
    scene.flood()
    scene.round(HEAVY, lost=100_000, span=WATCH_S)
    scene.guard.sift(OTHERS)
    scene.guard._capacity = 30_000
    assert scene.guard.sift(
        [OTHERS[0], FLOODER, FLOODER, FLOODER, OTHERS[1], FLOODER, FLOODER]
    ) == [5, 6]
    scene.guard._capacity = 100
    assert scene.guard.sift([FLOODER, OTHERS[0], FLOODER]) == [2]


async def test_memory_is_bounded_whoever_is_forged(caplog):
    scene = Scene(Stub())
    scene.flood()
    for round_ in range(6):
        for at in range(0, 40_000, 64):
            first = (round_ << 20 | at) * 65_521
            batch = [(first + one * 65_521) % 2**32 for one in range(64)]
            scene.guard.sift([one.to_bytes(4, "big") for one in batch])
        scene.round(dict.fromkeys(OTHERS, 5), lost=100_000)
        assert len(scene.guard._demands) <= MOST_COUNTED + 64
        assert len(scene.kernel.verdict.passes) <= 64
    assert scene.kernel.verdict.rest < 1
    assert "many send little" in caplog.text


@pytest.mark.parametrize("exempt", [False, True])
async def test_exempt_networks_are_never_held_back(exempt):
    scene = Scene(Stub(), "fair {\n exempt 10.9.0.0/16\n}" if exempt else "fair")
    scene.flood()
    scene.round(HEAVY, lost=100_000, span=WATCH_S)
    assert (FLOODER in (scene.kernel.verdict.passes or {})) != exempt


async def test_it_can_be_switched_off_even_while_it_works():
    scene = Scene(Stub(), "fair off")
    scene.flood()
    assert scene.guard.sift is None
    scene = Scene(Stub())
    scene.flood()
    scene.round(HEAVY, lost=100_000, span=WATCH_S)
    scene.world.with_table.replace(Scene(Stub(), "fair off").world.router)
    scene.round(HEAVY)
    assert scene.guard.sift is None
    assert scene.kernel.verdict is FREE


async def test_the_share_is_what_the_directive_says():
    passes = []
    for share in (20, 80):
        scene = Scene(Stub(), f"fair {{\n share {share}%\n}}")
        scene.flood()
        scene.round(HEAVY, lost=100_000, span=WATCH_S)
        passes.append(scene.kernel.verdict.of(FLOODER))
    assert passes[0] < passes[1] / 3


async def test_less_is_thought_possible_where_reads_stay_full_and_more_where_time_is_left(
    monkeypatch,
):
    monkeypatch.setattr(overload.time, "process_time", lambda: 0.0)
    scene = Scene(Stub())
    scene.flood()
    scene.round(HEAVY, lost=100_000, span=WATCH_S)
    first = scene.guard._capacity
    scene.flood()
    scene.round({FLOODER: 10, **LIGHT}, lost=1_000_000)
    cut = scene.guard._capacity
    assert cut < first
    for _ in range(20):
        scene.round(HEAVY, lost=1_000_000)
    assert scene.guard._capacity > cut


async def test_less_is_let_through_where_it_takes_more_time_than_was_meant(monkeypatch):
    scene = Scene(Stub())
    scene.flood()
    scene.round(HEAVY, lost=100_000, span=WATCH_S)
    scene.guard.sift(OTHERS)  # a batch that is not full: nothing of before the filter is left
    first = scene.guard._capacity
    scene.guard._round.worked = -0.9 * ROUND_S
    monkeypatch.setattr(overload.time, "process_time", lambda: 0.0)
    scene.round({FLOODER: 100, **LIGHT}, lost=1_000_000)
    answered = 100 * int(first * MOMENT_S) + 10 * 64 + 10
    assert scene.guard._capacity == pytest.approx(answered / ROUND_S / 0.9)


async def test_packets_of_the_heavy_are_dropped_in_the_batch_and_others_answered(
    asker: Asker, way: str
):
    world = World(Told(lambda query: addresses(query, 1)))
    one, port = busy(world)
    asker.sock.bind(("127.0.0.2", 0))
    other = Asker()
    one._overload.sift = lambda senders: [
        at for at, who in enumerate(senders) if who == b"\x7f\0\0\2"
    ]
    for _ in range(2):
        for at in range(20):
            asker.sock.sendto(packet("x", at), ("127.0.0.1", port))
            other.sock.sendto(packet("x", at), ("127.0.0.1", port))
        one._read()
    assert ids(replies(asker.sock)) == []
    assert len(ids(replies(other.sock))) == 40
    assert one._is_busy, "each packet is to be counted"
    other.sock.close()
    await one.stop(0)


async def test_a_listener_that_stops_ends_the_overload():
    world = World(Told(lambda query: addresses(query, 1)))
    one, _ = busy(world)
    guard = one._overload
    guard._kernel = Stub()
    for _ in range(4):
        guard._kernel.lost += 10
        world.clock.now += LOOK_S
        guard.full(world.clock())
    guard._judge()
    guard._judge()
    await one.stop(0)
    assert guard.sift is None
    assert guard._timer is None
    assert world.counters.values[("kdns_overload",)] == 0


async def test_a_real_flood_is_noticed_by_the_kernels_count(monkeypatch):
    """More comes than is read: packets are answered slowly, and the queue is a short one."""

    def slow(query: Query):
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.0002
        while loop.time() < until:
            pass
        return addresses(query, 1)

    world = World(Told(slow))
    world.with_table.table = None
    one, port = busy(world)
    if one._overload._kernel.is_dumb:
        await one.stop(0)
        pytest.skip("this kernel has no SO_MEMINFO")
    one._overload._clock = one.clock = asyncio.get_running_loop().time
    one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
    verdicts = []
    apply = one._overload._apply
    monkeypatch.setattr(
        one._overload, "_apply", lambda verdict: (verdicts.append(verdict), apply(verdict))
    )
    # The flood comes from this very loop: it must come round between two looks.
    monkeypatch.setattr(overload, "WATCH_S", 1.0)
    flooder, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    flooder.bind(("127.0.0.2", 0))
    one.start()
    deadline = asyncio.get_running_loop().time() + 60
    number = 0
    with flooder, other:
        while not any(v.passes for v in verdicts) and asyncio.get_running_loop().time() < deadline:
            number += 1
            for sock, count in ((other, 4), (flooder, 400)):
                asked = packet(f"n{number}", 1)
                for _ in range(count):
                    sock.sendto(asked, ("127.0.0.1", port))
            await asyncio.sleep(0)
    await one.stop(0.2)
    [held, *_] = [v for v in verdicts if v.passes]
    assert set(held.passes) == {b"\x7f\0\0\2"}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (FLOODER, "10.9.9.9"),
        (b"\x0a\1\2", "10.1.2.0/24"),
        (ip_address("fd00::1").packed, "fd00::1"),
        (ip_address("fd00::1").packed[:7], "fd00::/56"),
    ],
)
def test_networks_in_the_log(key, said):
    assert overload.written(key) == said
