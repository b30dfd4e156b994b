"""status: counts what the page and `kdns top` show, and serves them at an address of its own.

Off unless a block names it. What is counted is told after the fact and takes constant memory,
whatever is asked; what is served is made above (`Life.page`), where server and cluster are known.
"""

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar, Final
from weakref import WeakSet

from kdns.cluster.chronicle import Chronicle
from kdns.cluster.cluster import Cluster
from kdns.corefile.options import Settings, Shape, Syntax, host_port, text
from kdns.observe.catalogue import DURATIONS
from kdns.observe.lists import TopLists
from kdns.plugins.base import Endpoint, Guard, Hits, Observer, Seen, Site

ADDRESS: Final = ("127.0.0.1", 9154)
DROPPED: Final = -1
"""The code of what was left without a reply."""

_FIRST = DURATIONS[0]


class Board:
    """What is known of a process for its page, kept through reloads for as long as one is named."""

    def __init__(self, clock: Callable[[], float], started: float) -> None:
        self.started = started
        """Unix time from which on it counts."""
        self.lists = TopLists(clock)
        self.chronicle = Chronicle()
        self.codes: defaultdict[int, int] = defaultdict(int)
        self.plugins: defaultdict[str, int] = defaultdict(int)
        self.transports: defaultdict[str, int] = defaultdict(int)
        self.latency = [0] * (len(DURATIONS) + 1)
        self.hits = 0
        """What the answer table gave,"""
        self.kept = 0
        """and what `cache` did."""
        self._followed: WeakSet[Cluster] = WeakSet()

    async def run(self) -> None:
        """Has clusters written down until no block names a page any more."""
        try:
            await asyncio.Event().wait()
        finally:
            for cluster in self._followed:
                cluster.record(None)

    def follow(self, clusters: Iterable[Cluster]) -> None:
        """Has what happens in these clusters written down from now on."""
        for cluster in clusters:
            if cluster not in self._followed:
                self._followed.add(cluster)
                cluster.record(self.chronicle)

    def count(self, batch: Sequence[Seen]) -> None:
        """Counts answers told one by one: few of them were in the table."""
        # perf: bench once; all that a query pays which is not answered from the table
        codes, plugins, latency = self.codes, self.plugins, self.latency
        self.lists.observe(batch)
        self.transports[batch[0].client.transport] += len(batch)
        for one in batch:
            reply, plugin, took = one.reply, one.plugin, one.ended - one.started
            codes[DROPPED if reply is None else reply[3] & 15] += 1
            plugins[plugin] += 1
            if one.is_kept:
                self.hits += 1
            elif plugin == "cache":
                self.kept += 1
            latency[0 if took <= _FIRST else bisect_left(DURATIONS, took)] += 1

    def count_hits(self, hits: Hits) -> None:
        """Counts what the table gave."""
        self.lists.observe_hits(hits)
        whole = 0
        for hit in hits.hits:
            whole += hit.count
            self.codes[hit.rcode] += hit.count
            self.plugins[hit.plugin] += hit.count
        self.hits += whole
        self.transports[hits.where.transport] += whole
        for at, count in enumerate(hits.latency.counts):
            self.latency[at] += count


class Status(Observer):
    """`status [ADDRESS] { token FILE, tls FILE }`."""

    name = "status"
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(maybe=(host_port,)),
        options={"token": Shape((text,)), "tls": Shape((text,))},
    )
    wants_each = False
    wants_callers = True

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.address: tuple[str, int] = settings.args[0] if settings.args else ADDRESS
        self.token = self._path("token")
        """The file it stands in, empty for none."""
        self.web = self._path("tls")
        self._check()
        self.board = site.share("status", lambda: Board(site.clock, site.wall()))

    def _path(self, option: str) -> str:
        name = self.settings.get(option, "")
        return str(Path(self.site.root, name)) if name else ""

    def _check(self) -> None:
        """What only all options together show."""
        host, port = self.address
        if not (_is_loopback(host) or (self.token and self.web)):
            raise self.settings.fail(
                f"status: others can reach {host or 'all addresses'}, so it needs a token and TLS",
                "give both `token FILE` and `tls FILE`, or an address such as 127.0.0.1:9154",
            )
        known = self.site.shared.setdefault("status addresses", {})
        if port and known.setdefault(self.address, (self.token, self.web)) != (
            self.token,
            self.web,
        ):
            raise self.settings.fail(
                "status: another block serves this address with other options",
                "give the same `token` and `tls`, or another address",
            )

    def look(self) -> None:
        """Reads the token and the web configuration."""
        if self.token:
            line = self.settings.all("token")[-1]
            try:
                token = Path(self.token).read_bytes().strip()
            except OSError as error:
                why = f"status token: cannot read {self.token}: {error.strerror}"
                raise line.fail(why, "head -c 24 /dev/urandom | base64 > FILE makes one") from error
            if len(token) < Guard.SHORTEST:
                raise line.fail(
                    f"status token: {self.token} holds {len(token)} characters, fewer than 16",
                    "head -c 24 /dev/urandom | base64 > FILE makes a good one",
                )
        if self.web:
            self._look_at_web()

    def _look_at_web(self) -> None:
        from kdns.observe import webfile  # noqa: PLC0415 - YAML is read by few

        line = self.settings.all("tls")[-1]
        try:
            context = webfile.secured(self.web)
        except webfile.WebError as error:
            raise line.fail(f"status tls: {error}") from error
        if context is None:
            raise line.fail(
                f"status tls: {self.web} asks for no TLS", "it needs a `tls_server_config`"
            )

    async def start(self) -> None:
        """Reads its files, and begins to write down what happens in the cluster."""
        await asyncio.to_thread(self.look)
        if self.site.life.is_lead:
            shared = self.site.shared.values()
            self.board.follow([one for one in shared if isinstance(one, Cluster)])

    def endpoints(self) -> Sequence[Endpoint]:
        """Whatever is served."""
        page = self.site.life.page
        return page(self) if page is not None else ()

    def observe(self, batch: Sequence[Seen]) -> None:
        """Counts a batch of answers."""
        self.board.count(batch)

    def observe_hits(self, hits: Hits) -> None:
        """Counts what the table gave."""
        self.board.count_hits(hits)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
