"""A lab, kdns on it without sockets, and a steady name that is asked all the while.

`news` is the service whose endpoint changes; `steady` never does. Whatever happens to the API
server, `steady` must be answered right, and marked as stale exactly while the data is.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import dns.message

from kdns.cluster.api import session
from kdns.cluster.api.shared import Timing
from kdns.cluster.sources import api
from kdns.lab.lab import Lab
from kdns.lab.resources import find
from kdns.plugins import kubernetes
from kdns.plugins.base import Client
from kdns.server.assembly import Services, build
from kdns.server.service import Service
from tests.referee.asking import Reading, reading_of
from tests.referee.kube import Object

SPACE = "default"
ZONE = f"{SPACE}.svc.cluster.local"
STEADY = "192.0.2.1"
OLD, NEW = "192.0.2.2", "192.0.2.3"
LATE = 4
"""So many answers may be flagged late, or still: kdns looks at the age now and then."""
FILLERS = 120
"""Enough for two pages of a list."""
CLIENT = Client(b"\x7f\0\0\1", 40000)
COREFILE = """.:0 {
    kubernetes cluster.local {
        endpoint URL
        SNAPSHOT
        stale_after STALE
        startup_timeout 0s
    }
}
"""


@dataclass(frozen=True)
class Scale:
    """How long what takes, of kdns, of the lab and of a fault that lasts."""

    timing: Timing
    answer_s: float
    bookmark_s: float
    stale_s: float
    tick_s: float
    hold_s: float
    """How long a server is away."""
    at_once: int = 100
    """Trials under way."""
    slack_s: float = 0.0
    """What a busy machine is forgiven where only the order of things is tested."""


REAL = Scale(Timing(), 30.0, 60.0, 100.0, 0.5, 10.0)
QUICK = Scale(
    Timing(progress_s=1.2, list_s=0.5, watch_s=60, compare_s=2.0, settle_s=0.5),
    answer_s=0.8, bookmark_s=0.4, stale_s=0.8, tick_s=0.05, hold_s=1.6, at_once=8, slack_s=10.0,
)  # fmt: skip


@contextmanager
def timed(scale: Scale) -> Iterator[None]:
    """kdns with these times; they are no options, so a test puts them where they are read."""
    kept = api.Timing, session.ANSWER_S, kubernetes.TICK_S
    api.Timing = lambda: scale.timing  # type: ignore[assignment,misc]
    session.ANSWER_S, kubernetes.TICK_S = scale.answer_s, scale.tick_s
    try:
        yield
    finally:
        api.Timing, session.ANSWER_S, kubernetes.TICK_S = kept  # type: ignore[misc]


class Server:
    """kdns on a lab, asked as its transports ask it."""

    def __init__(self, url: str, snapshot: Path | None, stale_s: float) -> None:
        kept = f"snapshot {snapshot}" if snapshot else ""
        text = COREFILE.replace("URL", url).replace("SNAPSHOT", kept)
        services, errors = Services(), []
        self._clock = services.clock
        assembly = build(text.replace("STALE", f"{stale_s:g}s"), "Corefile", services, errors)
        assert not errors, errors
        self._service = Service(assembly, services)
        self._router = next(iter(assembly.routers.values()))
        [self.plugin] = [
            each for each in assembly.plugins if isinstance(each, kubernetes.Kubernetes)
        ]

    async def start(self) -> None:
        await self._service.start(listen=False)
        self._pipeline = self._service.pipeline(self._router, whole=False)

    async def stop(self) -> None:
        await self._service.stop()

    async def look(self, name: str) -> Reading:
        """What it says about a service."""
        whole, sent = f"{name}.{ZONE}", time.monotonic()
        packet = dns.message.make_query(whole, "A", use_edns=0).to_wire()
        now = self._clock()
        reply = self._pipeline.recall(packet, ("127.0.0.1", 40000), now)
        if reply is None:
            reply = await self._pipeline.respond(packet, CLIENT, now)
        assert reply is not None
        return reading_of(whole, sent, time.monotonic(), bytes(reply))

    @property
    def age(self) -> float:
        """The age of what it knows."""
        return self.plugin.cluster.freshness.age()

    @property
    def is_restored(self) -> bool:
        """True while it answers from a snapshot."""
        return self.plugin.cluster.is_restored


@dataclass
class Tally:
    """What was answered about the steady name."""

    asked: int = 0
    unready: int = 0
    """SERVFAIL before anything was known."""
    wrong: list[str] = field(default_factory=list)
    stale: int = 0
    """Answers from a snapshot, or from data older than `stale_after`."""
    flagged: int = 0
    """Those of them that said so."""
    alarms: int = 0
    """Fresh answers that claimed to be stale."""


class Scene:
    """The lab and the server; an async context manager."""

    def __init__(self, scale: Scale, folder: Path) -> None:
        self.scale = scale
        self.lab = Lab(is_open=True, bookmark_s=scale.bookmark_s, has_controllers=False)
        self.snapshot = folder / "snapshot"
        self.server: Server | None = None
        self.tally = Tally()
        self.expected = OLD
        self._asking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Scene":
        await self.lab.__aenter__()
        names = [f"filler-{at:03d}" for at in range(FILLERS)]
        for name, address in [("news", OLD), *((one, "192.0.2.9") for one in names)]:
            self._create(name, address)
        self._create("steady", STEADY)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.lab.faults.clear()
        if self._asking:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking
        if self.server:
            await self.server.stop()
        await self.lab.__aexit__(None, None, None)

    async def keep(self) -> None:
        """Has an earlier process know everything, and leave its snapshot."""
        before = Server(self.lab.url, self.snapshot, self.scale.stale_s)
        await before.start()
        async with asyncio.timeout(60):
            await before.plugin.cluster.synced.wait()
            while not self.snapshot.exists():
                await asyncio.sleep(0.02)
        await before.stop()

    async def start(self, *, with_snapshot: bool) -> None:
        """Starts kdns, and asks it steadily from then on."""
        kept = self.snapshot if with_snapshot else None
        self.server = Server(self.lab.url, kept, self.scale.stale_s)
        await self.server.start()
        self._asking = asyncio.create_task(self._ask())

    def put(self, name: str, address: str) -> None:
        """Gives a service another endpoint."""
        obj = dict(self.lab.storage.get(SLICES, SPACE, f"{name}-0"))
        obj["endpoints"] = [{"addresses": [address], "conditions": {"ready": True}}]
        self.lab.storage.update(SLICES, SPACE, f"{name}-0", obj)

    def change(self) -> None:
        """The news: its endpoint is another one."""
        self.put("news", NEW)
        self.expected = NEW

    async def healed(self, limit_s: float) -> float | None:
        """Seconds until the news is answered right; None when that takes too long.

        The new address comes from the API for sure; the old one counts when it is no snapshot's.
        """
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            assert self.server is not None
            found = await self.server.look("news")
            is_known = self.expected == NEW or not found.is_stale
            if found.addresses == {self.expected} and is_known:
                return time.monotonic() - began
            await asyncio.sleep(0.02)
        return None

    def _create(self, name: str, address: str) -> None:
        meta = {"name": name, "namespace": SPACE}
        spec = {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}
        service: Object = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
        labels = {"kubernetes.io/service-name": name}
        slice_: Object = {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"{name}-0", "namespace": SPACE, "labels": labels},
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        }  # fmt: skip
        self.lab.storage.create(SERVICES, SPACE, service)
        self.lab.storage.create(SLICES, SPACE, slice_)

    async def _ask(self) -> None:
        """Asks the steady name for ever."""
        server, tally, limit = self.server, self.tally, self.scale.stale_s
        assert server is not None
        slack = max(4 * self.scale.tick_s, 0.4)
        has_known, stale, alarms = False, 0, 0
        while True:
            age, was_restored = server.age, server.is_restored
            found = await server.look("steady")
            tally.asked += 1
            if found.rcode == "SERVFAIL" and not has_known:
                tally.unready += 1
            else:
                has_known = True
                if found.addresses != {STEADY} or found.rcode != "NOERROR":
                    tally.wrong.append(str(found))
                stale = stale + 1 if was_restored or age > limit + slack else 0
                tally.stale += stale > LATE
                tally.flagged += stale > LATE and found.is_stale
                is_fresh = not was_restored and slack < age < limit
                alarms = alarms + 1 if is_fresh and found.is_stale else 0
                tally.alarms += alarms > LATE
            await asyncio.sleep(0.05)


SERVICES = find("", "v1", "services")
SLICES = find("discovery.k8s.io", "v1", "endpointslices")
assert SERVICES is not None
assert SLICES is not None
