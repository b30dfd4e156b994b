"""The probes of one run of a container: when each is due, and what its answers come to.

The startup probe comes before the others. Thresholds are those of Kubernetes: so many failures in
a row make it unhealthy, so many passes in a row healthy again.
"""

import asyncio
import time
from asyncio import sleep
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from kdns.lab.errors import Obj


class Verdict(NamedTuple):
    """What came of one attempt."""

    is_good: bool
    said: str = ""


@dataclass(slots=True)
class Gauge:
    """What the verdicts so far come to."""

    success: int
    failure: int
    is_good: bool
    _row: int = 0
    _was_good: bool | None = None

    def note(self, *, is_good: bool) -> bool:
        """Counts a verdict; True when a threshold has been reached."""
        self._row = self._row + 1 if is_good == self._was_good else 1
        self._was_good = is_good
        if self._row < (self.success if is_good else self.failure):
            return False
        self.is_good = is_good
        return True


Ask = Callable[[Obj], Awaitable[Verdict]]
Told = Callable[[str, Verdict], None]
"""Is told of each attempt that failed: `Readiness`, and what was said."""


class Probing:
    """All probes of a run."""

    def __init__(self, container: Obj, ask: Ask, failed: Told) -> None:
        self._container = container
        self._ask = ask
        self._failed = failed
        self._tasks: list[asyncio.Task[None]] = []
        self.has_started = "startupProbe" not in container
        self.is_ready = "readinessProbe" not in container

    @staticmethod
    def is_needed(container: Obj) -> bool:
        """True for a container that has any."""
        return any(f"{name}Probe" in container for name in ("startup", "liveness", "readiness"))

    def begin(self, changed: Callable[[], None], killed: Callable[[str], None]) -> None:
        """Begins; `killed` is told which probe wants the container to start anew."""
        task = asyncio.get_running_loop().create_task(self._run(changed, killed))
        self._tasks.append(task)

    def end(self) -> None:
        """Asks no more."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, changed: Callable[[], None], killed: Callable[[str], None]) -> None:
        began = time.monotonic()
        if probe := self._container.get("startupProbe"):
            await self._wait(probe, began)
            gauge = _gauge(probe, is_good=False)
            while not gauge.is_good:
                if await self._attempt("Startup", probe, gauge) and not gauge.is_good:
                    killed("startup")
                    return
                if not gauge.is_good:
                    await sleep(_period_s(probe))
            self.has_started = True
            changed()
        if probe := self._container.get("livenessProbe"):
            loop = asyncio.get_running_loop()
            self._tasks.append(loop.create_task(self._live(probe, began, killed)))
        if probe := self._container.get("readinessProbe"):
            await self._ready(probe, began, changed)

    async def _live(self, probe: Obj, began: float, killed: Callable[[str], None]) -> None:
        await self._wait(probe, began)
        gauge = _gauge(probe, is_good=True)
        while True:
            await self._attempt("Liveness", probe, gauge)
            if not gauge.is_good:
                killed("liveness")
                return
            await sleep(_period_s(probe))

    async def _ready(self, probe: Obj, began: float, changed: Callable[[], None]) -> None:
        await self._wait(probe, began)
        gauge = _gauge(probe, is_good=False)
        while True:
            await self._attempt("Readiness", probe, gauge)
            if gauge.is_good != self.is_ready:
                self.is_ready = gauge.is_good
                changed()
            await sleep(_period_s(probe))

    async def _wait(self, probe: Obj, began: float) -> None:
        if (wait := began + float(probe.get("initialDelaySeconds", 0)) - time.monotonic()) > 0:
            await sleep(wait)

    async def _attempt(self, kind: str, probe: Obj, gauge: Gauge) -> bool:
        verdict = await self._ask(probe)
        if not verdict.is_good:
            self._failed(kind, verdict)
        return gauge.note(is_good=verdict.is_good)


def _gauge(probe: Obj, *, is_good: bool) -> Gauge:
    return Gauge(
        int(probe.get("successThreshold", 1)), int(probe.get("failureThreshold", 3)), is_good
    )


def _period_s(probe: Obj) -> float:
    return max(float(probe.get("periodSeconds", 10)), 1.0)
