"""How long a played lab holds its one loop, and who: `python -m tests.bench.holds [loopback] …`.

Each scene is played in a lab of its own. A hold is what passes between two looks of the loop at its
sockets: all that is due is run in between, so many short callbacks hold it as one long one does.
Its cost is told in CPU time, which others on a machine do not lengthen, beside the time that passed.
"""

import argparse
import asyncio
import contextlib
import gc
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from traceback import walk_stack
from types import FrameType
from typing import Any

from kdns.lab import played
from kdns.lab.controllers.bodies import is_ready
from kdns.lab.errors import Obj
from kdns.lab.ground import enter
from kdns.lab.ground.outside import Outside
from kdns.lab.resources import PODS, POLICIES, SERVICES, SLICES
from kdns.lab.storage import Storage

LONG_S = 0.005
"""The lab's own bar."""
SAMPLE_S = 0.002
SHOWN = 6
PORTS = 5000
SERVICES_MADE = 3000
PODS_MADE = 200
MOST_S = 150.0
OURS = "/kdns/lab/"


class Meter:
    """Listens at the loop of this thread."""

    def __init__(self) -> None:
        self.holds: list[tuple[float, float]] = []
        """Seconds that passed, and of CPU."""
        self.callbacks: Counter[str] = Counter()
        """The longest of each sort, in microseconds of CPU."""
        self.stacks: Counter[str] = Counter()
        self.collections: list[float] = []
        """Seconds of CPU that looking for garbage took."""
        self._began = 0.0
        self._is_over = threading.Event()
        self._thread = threading.get_ident()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Notes all holds until the block ends."""
        loop: Any = asyncio.get_running_loop()  # Any: its selector is no part of its interface
        selector, run = loop._selector, asyncio.Handle._run
        look = selector.select
        before = [time.perf_counter(), time.thread_time()]

        def select(timeout: float | None = None) -> object:
            passed, cost = time.perf_counter() - before[0], time.thread_time() - before[1]
            self._began = 0.0
            if passed > LONG_S:
                self.holds.append((passed, cost))
            found = look(timeout)
            before[:] = time.perf_counter(), time.thread_time()
            self._began = before[0]
            return found

        def timed(handle: asyncio.Handle) -> None:
            start = time.thread_time()
            run(handle)
            name = _name(handle)
            self.callbacks[name] = max(
                self.callbacks[name], int(1e6 * (time.thread_time() - start))
            )

        def collected(phase: str, _: object) -> None:
            if phase == "start":
                started[0] = time.thread_time()
            elif threading.get_ident() == self._thread:
                self.collections.append(time.thread_time() - started[0])

        started = [0.0]
        gc.callbacks.append(collected)
        sampler = threading.Thread(target=self._sample, daemon=True)
        selector.select = select
        asyncio.Handle._run = timed  # type: ignore[method-assign,assignment]
        sampler.start()
        try:
            yield
        finally:
            selector.select = look
            asyncio.Handle._run = run  # type: ignore[method-assign]
            gc.callbacks.remove(collected)
            self._is_over.set()
            sampler.join()

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            began = self._began
            if began and time.perf_counter() - began > LONG_S:
                self.stacks[_where(sys._current_frames()[self._thread])] += 1

    def say(self, title: str) -> None:
        """Prints what was found."""
        passed = sorted((one for one, _ in self.holds), reverse=True) or [0.0]
        costs = sorted((one for _, one in self.holds), reverse=True) or [0.0]
        late = sum(one > LONG_S for one in costs)
        print(f"\n{title}\n  {len(self.holds)} holds over {1e3 * LONG_S:g} ms, {late} by CPU;"
              f" longest {1e3 * passed[0]:.0f} ms passed, {1e3 * costs[0]:.0f} ms of CPU")  # fmt: skip
        print("  CPU of the longest:", *(f"{1e3 * one:.0f}" for one in costs[:10]))
        if self.collections:
            print(f"  {1e3 * max(self.collections):8.1f} ms  garbage collection")
        for name, cost in self.callbacks.most_common(SHOWN):
            print(f"  {cost / 1e3:8.1f} ms  {name}")
        for where, count in self.stacks.most_common(SHOWN):
            print(f"  {count:6d} x  {where}")
        sys.stdout.flush()


def _name(handle: asyncio.Handle) -> str:
    called: Any = handle._callback  # type: ignore[attr-defined]  # Any: whatever can be called
    owner = getattr(called, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return f"task {getattr(owner.get_coro(), '__qualname__', owner)}"
    return str(getattr(called, "__qualname__", called))


def _where(frame: FrameType) -> str:
    """The way to where it is, as far as it leads through the lab; innermost first."""
    ours = [
        f"{Path(one.f_code.co_filename).stem}.{one.f_code.co_name}"
        for one, _ in walk_stack(frame)
        if OURS in one.f_code.co_filename
    ]
    return " < ".join(ours[:5]) or frame.f_code.co_qualname


# Scenes


async def settled(claim: Callable[[], bool]) -> None:
    """Waits until something is so, and a moment longer for what follows from it."""
    async with asyncio.timeout(MOST_S):
        while not claim():
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)


def pod(storage: Storage, number: int) -> None:
    """A pod of one of a few services."""
    labels = {"app": f"app{number % 5}", "number": str(number)}
    storage.create(PODS, "default", {
        "metadata": {"name": f"pod-{number}", "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "nginx",
                                 "ports": [{"containerPort": 8080}]}]},
    })  # fmt: skip


def service(storage: Storage, name: str, ports: list[Obj], **spec: object) -> None:
    """A service."""
    made = {"ports": ports, "selector": {"app": name}, **spec}
    storage.create(SERVICES, "default", {"metadata": {"name": name}, "spec": made})


def slice_of(storage: Storage, service: str, number: int, ports: list[Obj]) -> None:
    """A slice with one endpoint, made by hand."""
    storage.create(SLICES, "default", {
        "metadata": {"name": f"{service}-{number}",
                     "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.244.1.200"], "conditions": {"ready": True}}],
        "ports": [{"name": one["name"], "port": one["port"]} for one in ports],
    })  # fmt: skip


def policy(storage: Storage, name: str) -> None:
    """Only pods of app0 may come to those of app1."""
    peer = {"podSelector": {"matchLabels": {"app": "app0"}}}
    storage.create(POLICIES, "default", {
        "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": {"app": "app1"}}, "ingress": [{"from": [peer]}]},
    })  # fmt: skip


def ready(storage: Storage) -> int:
    """How many pods are."""
    return sum(map(is_ready, storage.list(PODS)))


async def many_pods(storage: Storage, count: int) -> None:
    """Pods, and the services that lead to them, made without a hold of ours."""
    for number in range(5):
        service(storage, f"app{number}", [{"port": 8080}])
    for number in range(count):
        pod(storage, number)
        await asyncio.sleep(0)
    await settled(lambda: ready(storage) >= count)


async def ports(play: played.Played, meter: Meter) -> None:
    """One service of many ports, with slices of a hundred each."""
    storage = play.lab.storage
    listed: list[Obj] = [{"name": f"p{one}", "port": 10000 + one} for one in range(PORTS)]
    with meter.listening():
        service(storage, "app0", listed, selector={})
        for number in range(0, PORTS, 100):
            slice_of(storage, "app0", number, listed[number : number + 100])
        listening = play._ground.listeners.open
        await settled(lambda: len(listening) >= PORTS)


async def services(play: played.Played, meter: Meter) -> None:
    """Many services at once."""
    storage = play.lab.storage
    listening = play._ground.listeners.open
    for number in range(20):
        pod(storage, number)
    await settled(lambda: ready(storage) >= 20)
    with meter.listening():
        for number in range(SERVICES_MADE):
            service(storage, f"service-{number}", [{"port": 8080}], selector={"app": "app0"})
            await asyncio.sleep(0)
        await settled(lambda: len(listening) >= SERVICES_MADE)


async def created(play: played.Played, meter: Meter) -> None:
    """A burst of pods."""
    with meter.listening():
        await many_pods(play.lab.storage, PODS_MADE)


async def deleted(play: played.Played, meter: Meter) -> None:
    """A burst of pods that go."""
    storage = play.lab.storage
    await many_pods(storage, PODS_MADE)
    with meter.listening():
        for number in range(PODS_MADE):
            storage.delete(PODS, "default", f"pod-{number}")
            await asyncio.sleep(0)
        await settled(lambda: not storage.list(PODS, "default"))


async def policed(play: played.Played, meter: Meter) -> None:
    """A burst of pods where policies are, and then more policies."""
    policy(play.lab.storage, "first")
    with meter.listening():
        await many_pods(play.lab.storage, PODS_MADE)
        for number in range(20):
            policy(play.lab.storage, f"policy-{number}")
            await asyncio.sleep(0.05)


Scene = Callable[[played.Played, Meter], Awaitable[None]]
SCENES: dict[str, Scene] = {
    one.__name__: one for one in (ports, services, created, deleted, policed)
}


async def play(site: played.Site, scene: Scene) -> None:
    """One scene in a lab of its own."""
    plan, meter = played.Plan(0, 0, 0, None, has_page=False), Meter()
    with tempfile.TemporaryDirectory() as folder:
        async with played.Played(plan, site) as stage:
            stage.lab.kubeconfig(Path(folder) / "kubeconfig")
            stage.open([])
            await settled(lambda: True)
            await scene(stage, meter)
            meter.say(f"{scene.__name__}: {scene.__doc__}")


def main() -> int:
    """Plays all scenes, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.holds")
    parser.add_argument("ground", nargs="?", choices=["namespaces", "loopback"], default="loopback")
    parser.add_argument("scenes", nargs="*", default=list(SCENES), metavar="SCENE")
    asked = parser.parse_args()
    sys.setswitchinterval(0.001)

    def run(site: played.Site) -> int:
        for name in asked.scenes:
            asyncio.run(play(site, SCENES[name]))
        return 0

    def within(outside: Outside) -> int:
        return run(played.in_spaces(outside))

    return enter.inside(within) if asked.ground == "namespaces" else run(played.on_loopback(""))


if __name__ == "__main__":
    sys.exit(main())
