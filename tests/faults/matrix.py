"""Every fault of the lab × {before start, while syncing, while serving}: how long until all is right.

A trial is one fault in one phase on a lab of its own. The change that must be followed is made when
the fault is in force; the time counts from there, or from the end of a fault that lasts.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from kdns.lab.faults import Fault, What
from tests.faults.scene import OLD, Scale, Scene, Tally

PHASES = ("before start", "while syncing", "while serving")
BEFORE, SYNCING, SERVING = PHASES
Begin = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Trouble:
    """A fault, as a row of the table."""

    name: str
    begin: Begin
    """Puts it in force."""
    limit: Callable[[Scale], float]
    """The longest it may take to heal."""
    end: Begin | None = None
    """Ends a fault that lasts; the time counts from here."""
    bound_s: float | None = None
    """What issue 4 asks for, while serving."""


@dataclass(frozen=True)
class Outcome:
    """What came of a trial."""

    trouble: Trouble
    phase: str
    healed_s: float | None
    limit_s: float
    tally: Tally

    @property
    def mistakes(self) -> list[str]:
        """What must not be."""
        found = [f"wrong: {each}" for each in self.tally.wrong[:3]]
        if self.healed_s is None or self.healed_s > self.limit_s:
            took = "never" if self.healed_s is None else f"in {self.healed_s:.1f} s"
            found.append(f"healed {took}, allowed {self.limit_s:g} s")
        if self.tally.flagged < self.tally.stale:
            found.append(f"{self.tally.stale - self.tally.flagged} stale answers were not flagged")
        if self.tally.alarms:
            found.append(f"{self.tally.alarms} fresh answers were flagged")
        return found


async def trial(trouble: Trouble, phase: str, scale: Scale, folder: Path) -> Outcome:
    """One fault in one phase."""
    folder.mkdir()
    async with Scene(scale, folder) as scene:
        if phase == BEFORE:
            await scene.keep()
            await trouble.begin(scene)
            _change(scene, trouble)
            await scene.start(with_snapshot=True)
        elif phase == SYNCING:
            await _begin_to_list(scene)
            await trouble.begin(scene)
            _change(scene, trouble)
        else:
            await scene.start(with_snapshot=False)
            assert await scene.healed(60) is not None
            await trouble.begin(scene)
            _change(scene, trouble)
        if trouble.end:
            await asyncio.sleep(scale.hold_s)
            await trouble.end(scene)
        limit = trouble.limit(scale) + scale.slack_s
        healed = await scene.healed(limit + 2)
        await asyncio.sleep(0.3)
        return Outcome(trouble, phase, healed, limit, scene.tally)


def _change(scene: Scene, trouble: Trouble) -> None:
    if trouble.begin is not restore:
        scene.change()


async def _begin_to_list(scene: Scene) -> None:
    """Starts kdns on a server that takes its time with lists; returns when it has begun."""
    faults = scene.lab.faults
    refused = faults.add(Fault("refuse", verb="watchlist", code=422, reason="Invalid"))
    slow = faults.add(Fault("slow", verb="list", size=4096, delay_s=0.03))
    await scene.start(with_snapshot=False)
    while slow.hits < 2:
        await asyncio.sleep(0.01)
    faults.remove(slow)
    faults.remove(refused)


async def run(
    troubles: list[Trouble], phases: list[str], scale: Scale, folder: Path
) -> list[Outcome]:
    """Trials of these faults in these phases, many at the same time."""
    gate = asyncio.Semaphore(scale.at_once)

    async def later(number: int, trouble: Trouble, phase: str) -> Outcome:
        await asyncio.sleep(number * 0.1)
        async with gate:
            return await trial(trouble, phase, scale, folder / f"{number}")

    pairs = [(trouble, phase) for trouble in troubles for phase in phases]
    return await asyncio.gather(*[later(at, *pair) for at, pair in enumerate(pairs)])


# The faults


def _set(*faults: Callable[[], Fault], relists: str = "") -> Begin:
    """Sets faults; then has every open watch end, so that requests are made, if they are to be."""

    async def begin(scene: Scene) -> None:
        for make in faults:
            scene.lab.faults.add(make())
        if relists == "resume":
            scene.lab.faults.strike(Fault("reset", verb="watch"))
        elif relists:
            scene.lab.faults.strike(Fault("error", verb="watch", code=410, reason="Expired"))

    return begin


def _strike(what: What, code: int = 500, reason: str = "InternalError") -> Begin:
    async def begin(scene: Scene) -> None:
        scene.lab.faults.strike(Fault(what, verb="watch", code=code, reason=reason))

    return begin


async def _clear(scene: Scene) -> None:
    scene.lab.faults.clear()


async def _compact(scene: Scene) -> None:
    """The watch breaks, and what it would resume from is forgotten."""
    for at in range(5):
        scene.put(f"filler-{at:03d}", "192.0.2.10")
    scene.lab.faults.strike(Fault("reset", verb="watch"))
    scene.lab.storage.compact(scene.lab.storage.version)


async def _leave(scene: Scene) -> None:
    await scene.lab.stop_serving()


async def _return(scene: Scene) -> None:
    await scene.lab.serve_again()


async def restore(scene: Scene) -> None:
    """What kdns knows of is gone, and the server's versions are older than kdns's."""
    backup = scene.lab.snapshot()
    scene.change()
    for at in range(50):
        scene.put(f"filler-{at:03d}", "192.0.2.10")
    if scene.server is not None:
        await asyncio.sleep(0.3)
    await scene.lab.restore(backup)
    scene.expected = OLD


def _refuse(
    code: int, reason: str, verb: str = "", count: int | None = None
) -> Callable[[], Fault]:
    return lambda: Fault("refuse", verb=verb, code=code, reason=reason, count=count)


def _busy(verb: str = "") -> Callable[[], Fault]:
    return lambda: Fault("refuse", verb=verb, code=429, reason="TooManyRequests", retry_s=1)


def _fault(what: What, **more: object) -> Callable[[], Fault]:
    return lambda: Fault(what, **more)  # type: ignore[arg-type]


_NO_WATCHLIST = _refuse(422, "Invalid", "watchlist")


def soon(seconds: float) -> Callable[[Scale], float]:
    """Healed within seconds that do not depend on kdns's own deadlines."""
    return lambda scale: seconds


def _compared(scale: Scale) -> float:
    return scale.timing.compare_s + scale.timing.settle_s + 10 * scale.tick_s


def _silent(scale: Scale) -> float:
    return scale.timing.progress_s + 2 * scale.timing.list_s + 20 * scale.tick_s + 1


def _listed(scale: Scale) -> float:
    return 2 * scale.timing.list_s + 3


def _answered(scale: Scale) -> float:
    return scale.answer_s + 3


TROUBLES = [
    Trouble("an event is never sent", _set(_fault("drop", resource="endpointslices", text="news", count=1)),
            _compared, bound_s=330),
    Trouble("watches open but silent, bookmarks too", _set(_fault("silence")), _silent, bound_s=200),
    Trouble("connections cut", _strike("reset"), soon(1), bound_s=1),
    Trouble("history compacted", _compact, soon(1), bound_s=1),
    Trouble("server away", _leave, soon(3), _return, bound_s=3),
    Trouble("restored with older versions", restore, soon(10), bound_s=10),
    Trouble("bookmarks not sent", _set(_fault("mute")), soon(1)),
    Trouble("watches half closed", _strike("half_close"), soon(1)),
    Trouble("watches ended in order", _strike("end"), soon(1)),
    Trouble("410 in a watch", _strike("error", 410, "Expired"), soon(1)),
    Trouble("500 in a watch", _strike("error"), soon(1)),
    Trouble("no JSON in a watch", _strike("garble"), soon(1)),
    Trouble("429, Retry-After 1 s", _set(_busy(), relists="resume"), soon(6), _clear),
    Trouble("503", _set(_refuse(503, "ServiceUnavailable"), relists="resume"), soon(6), _clear),
    Trouble("401", _set(_refuse(401, "Unauthorized"), relists="resume"), soon(31), _clear),
    Trouble("403", _set(_refuse(403, "Forbidden"), relists="resume"), soon(31), _clear),
    Trouble("requests hang", _set(_fault("hang"), relists="resume"), _answered, _clear),
    Trouble("requests reset", _set(_fault("reset"), relists="resume"), soon(6), _clear),
    Trouble("replies 0.5 s late", _set(_fault("delay", delay_s=0.5), relists="list"), soon(6)),
    Trouble("WatchList refused", _set(_NO_WATCHLIST, relists="list"), soon(2)),
    Trouble("WatchList without an end", _set(_fault("endless"), relists="list"), _listed),
    Trouble("a list's token expires", _set(_NO_WATCHLIST, _refuse(410, "Expired", "continue", 2), relists="list"),
            soon(3)),
    Trouble("lists come slowly", _set(_NO_WATCHLIST, _fault("slow", verb="list", size=4096, delay_s=0.05), relists="list"),
            soon(6)),
    Trouble("lists cut in the middle", _set(_NO_WATCHLIST, _fault("cut", verb="list", size=9000, count=2), relists="list"),
            soon(3)),
    Trouble("lists with broken bytes", _set(_NO_WATCHLIST, _fault("garble", verb="list", size=9000, count=2), relists="list"),
            soon(3)),
]  # fmt: skip
SIX = TROUBLES[:6]
