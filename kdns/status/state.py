"""What a running server knows of itself becomes `shapes.Status` and `shapes.Pulse`, as JSON.

It is made anew when somebody asks and the last one is older than KEPT_S, so that many viewers cost
as much as one. Numbers of the answer table are a second old at most.
"""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from kdns import __version__
from kdns.client.peer import Peer
from kdns.cluster.chronicle import Line
from kdns.cluster.cluster import Cluster
from kdns.cluster.store import Store
from kdns.corefile.tree import Block
from kdns.observe import process
from kdns.observe.catalogue import DURATIONS
from kdns.observe.top import Top
from kdns.plugins.base import HttpReply
from kdns.plugins.status import DROPPED, Board
from kdns.plugins.status import Status as Plugin
from kdns.server.understood import understood
from kdns.status import shapes
from kdns.status.services import Listing
from kdns.wire import names, types

KEPT_S: Final = 0.4
TELL_S: Final = 1.0
PULSE_S: Final = 1.0
"""How long a follower hears nothing while nothing but counts changes."""
ROWS: Final = 20
LINES: Final = 200
"""Changes of a message,"""
FIRST: Final = 50
"""and of the first one, which follows nothing."""
PULSES: Final = 16
"""Messages that are kept for other viewers: who follows is behind by one of a few."""
DIGITS: Final = 20
BLOCKS: Final = 50
"""How many server blocks are shown."""
JSON: Final = "application/json"


class State:
    """What one page shows."""

    def __init__(self, plugin: Plugin) -> None:
        self._site = plugin.site
        self.board: Board = plugin.board
        self.listing = Listing(self._stores, plugin.site.clock)
        self._status = b""
        self._made_at = self._told_at = -math.inf
        self._turn = asyncio.Lock()
        self._blocks: tuple[object, list[shapes.BlockShape]] = ((), [])
        self._latency: dict[tuple[str, str], tuple[int, float, float]] = {}
        self._pulses: dict[tuple[int, int], bytes] = {}
        """Of the present status, by the number they follow and the newest one."""

    async def status(self) -> bytes:
        """`shapes.Status`."""
        async with self._turn:
            now = self._site.clock()
            if now - self._made_at >= KEPT_S or not self._status:
                await self._ask(now)
                self._status = msgspec.json.encode(self._make())
                self._made_at = self._site.clock()
                self._pulses.clear()
            return self._status

    async def pulse(self, after: str) -> HttpReply:
        """What is new since a mark, `NUMBER-TIME` or a number; the mark stays while nothing is.

        Workers beside the lead are asked with his marks: what they count is always wanted.
        """
        chronicle, beat = self.board.chronicle, int(self._site.wall() / PULSE_S)
        if f"{chronicle.newest}-{beat}" == after and self._site.life.is_lead:
            return HttpReply(200, b"{}", JSON, after)
        status = await self.status()
        newest, number = chronicle.newest, after.partition("-")[0]
        is_number = number.isdecimal() and len(number) < DIGITS
        since = int(number) if is_number else max(newest - FIRST, 0)
        body = self._pulses.get((since, newest))
        if body is None:
            if len(self._pulses) >= PULSES:
                self._pulses.clear()
            body = self._pulses[since, newest] = self._pulse(since, status)
        return HttpReply(200, body, JSON, f"{newest}-{beat}")

    def _pulse(self, since: int, status: bytes) -> bytes:
        lines, missed = self.board.chronicle.after(since, LINES)
        changes = [_change(line) for line in lines]
        return msgspec.json.encode(
            {"status": msgspec.Raw(status), "changes": changes, "missed": missed}
        )

    async def _ask(self, now: float) -> None:
        """Has everything counted that is due to be."""
        if self._site.life.tell is not None and now - self._told_at >= TELL_S:
            self._told_at = now
            await self._site.life.tell()
        await self.listing.refresh()

    def _make(self) -> shapes.Status:
        board, wall = self.board, self._site.wall()
        board.lists.fade(self._site.clock())
        clients = [one.key for one in board.lists.clients.top(ROWS)]
        return shapes.Status(
            version=__version__,
            started=board.started,
            now=wall,
            totals=totals(board),
            workers=self._site.life.workers,
            bounds=list(DURATIONS),
            pods=dict(self._pods(clients)),
            upstreams=list(self._upstreams()),
            clusters=[self._cluster(one, zones) for one, zones in self._clusters().items()],
            blocks=self._shown_blocks(),
            memory=process.resident(),
            newest=board.chronicle.newest,
        )

    def _clusters(self) -> dict[Cluster, list[str]]:
        """The clusters that are served, with their zones."""
        found: dict[Cluster, list[str]] = {}
        for plugin in self._site.life.plugins:
            cluster = getattr(plugin, "cluster", None)
            if isinstance(cluster, Cluster):
                zones = found.setdefault(cluster, [])
                zones += [names.format(zone) for zone in getattr(plugin, "zones", ())]
        return found

    def _stores(self) -> Sequence[Store]:
        return [cluster.store for cluster in self._clusters()]

    def _cluster(self, cluster: Cluster, zones: Sequence[str]) -> shapes.Cluster:
        counted = self.listing.counted(cluster.store)
        origin = cluster.origin
        access = origin.access
        source = " ".join(origin.manifests) or access.endpoint or access.kubeconfig
        return shapes.Cluster(
            source=source or "the API server of the cluster that this runs in",
            has_synced=cluster.store.has_synced,
            age_s=cluster.freshness.age(),
            failure=cluster.failure,
            is_restored=cluster.is_restored,
            zones=list(dict.fromkeys(zones)),
            services=counted.services,
            endpoints=counted.endpoints,
            unready=counted.unready,
        )

    def _pods(self, clients: Sequence[bytes]) -> Iterator[tuple[str, str]]:
        """The pods at the addresses that ask the most."""
        stores = self._stores()
        for address in clients:
            pod = next(filter(None, (pod_at(store, address) for store in stores)), "")
            if pod:
                yield names.format_address(address), pod

    def _upstreams(self) -> Iterator[shapes.Upstream]:
        for plugin in self._site.life.plugins:
            for peer in getattr(plugin, "peers", ()):
                zone = getattr(plugin, "zone", None)
                if isinstance(peer, Peer) and zone is not None:
                    yield self._upstream(names.format(zone), peer)

    def _upstream(self, zone: str, peer: Peer) -> shapes.Upstream:
        """With its latency since it was last shown, or what that was when it last replied."""
        count, seconds = peer.figures.so_far()
        before, spent, latency = self._latency.get((zone, peer.text), (0, 0.0, 0.0))
        if count != before:
            latency = (seconds - spent) / (count - before) * 1000 if count > before else 0.0
            self._latency[zone, peer.text] = (count, seconds, latency)
        return shapes.Upstream(peer.text, zone, not peer.is_down, peer.fails, latency, count)

    def _shown_blocks(self) -> list[shapes.BlockShape]:
        written = self._site.life.blocks
        if self._blocks[0] is not written:
            self._blocks = (written, block_shapes(written))
        return self._blocks[1]


def totals(board: Board) -> shapes.Totals:
    """What was counted."""
    codes = {
        "dropped" if code == DROPPED else types.rcode_name(code): count
        for code, count in board.codes.items()
    }
    return shapes.Totals(
        queries=sum(board.codes.values()),
        hits=board.hits,
        kept=board.kept,
        failures=board.codes.get(types.SERVFAIL, 0),
        rcodes=codes,
        plugins={name or "none": count for name, count in board.plugins.items()},
        transports=dict(board.transports),
        latency=list(board.latency),
        names=_rows(board.lists.names, names.format),
        missing=_rows(board.lists.missing, names.format),
        clients=_rows(board.lists.clients, names.format_address),
    )


def _rows(top: Top[bytes], text: Callable[[bytes], str]) -> list[shapes.Row]:
    return [(text(one.key), round(one.least, 1)) for one in top.top(ROWS)]


def pod_at(store: Store, address: bytes) -> str:
    """The pod at an address as namespace/name: as pods are watched, or by what a slice says."""
    for pod in store.pods_at(address):
        return f"{pod.namespace}/{pod.name}"
    for slice_, at in store.endpoints_at(address):
        if slice_.pod(at):
            return f"{slice_.namespace}/{slice_.pod(at)}"
    return ""


def _change(line: Line) -> shapes.ChangeShape:
    address = names.format_address(line.address) if line.address else ""
    return shapes.ChangeShape(
        line.number, line.at, line.service, line.what, address, line.name, line.delay_s, line.ours_s
    )


def block_shapes(written: Sequence[Block]) -> list[shapes.BlockShape]:
    """The blocks of a Corefile, as far as they are shown."""
    found = understood(written[:BLOCKS])
    return [shapes.BlockShape(list(one.keys), list(one.plugins)) for one in found]
