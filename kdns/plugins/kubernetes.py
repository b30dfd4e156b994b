"""kubernetes: answers for the services, endpoints and pods of a cluster, from its Store.

The answers are made in kdns.zone. Here stand the options, the source that feeds the Store, what
becomes of a name that is not found (facts B.12), and the one look-up that must be waited for: the
target of an ExternalName service outside its zone.
"""

import asyncio
import logging
import os
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import ClassVar

from kdns.client.interfaces import interfaces
from kdns.cluster.feed import feed
from kdns.cluster.selection import Selection
from kdns.cluster.selectors import EVERYTHING, Selector, parse
from kdns.cluster.sources.manifests import Manifests
from kdns.cluster.store import SYNCED, Change, Store
from kdns.corefile.options import (
    Settings,
    Shape,
    Syntax,
    choice,
    duration,
    integer,
    number,
    text,
    zones,
)
from kdns.plugins.base import (
    SKIP,
    Backend,
    Query,
    Result,
    Site,
    as_of_now,
    fallthrough,
    own_zones,
    zone_of,
)
from kdns.wire import names, types
from kdns.wire.message import Answer
from kdns.wire.names import IN_ADDR, IP6, Key, is_below
from kdns.zone.answers import answer
from kdns.zone.external import Alias
from kdns.zone.names import describe
from kdns.zone.view import ImportSerial, View, Zone, positive

log = logging.getLogger("kdns.kubernetes")

API_OPTIONS = (
    "endpoint", "tls", "kubeconfig", "apiserver_qps", "apiserver_burst", "apiserver_max_inflight",
)  # fmt: skip


class Kubernetes(Backend):
    """Answers cluster names."""

    name = "kubernetes"
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(rest=zones),
        options={
            "endpoint": Shape(rest=text, at_least=1),
            "tls": Shape((text, text, text)),
            "kubeconfig": Shape((text,), (text,)),
            "apiserver_qps": Shape((number(),)),
            "apiserver_burst": Shape((integer(),)),
            "apiserver_max_inflight": Shape((integer(),)),
            "manifests": Shape(rest=text, at_least=1, repeats=True),
            "namespaces": Shape(rest=text, at_least=1, repeats=True),
            "namespace_labels": Shape(rest=text, at_least=1),
            "labels": Shape(rest=text, at_least=1),
            "pods": Shape((choice("disabled", "insecure", "verified"),)),
            "endpoint_pod_names": Shape(),
            "ttl": Shape((integer(0, 3600),)),
            "noendpoints": Shape(),
            "fallthrough": Shape(rest=zones),
            "ignore": Shape((choice("empty_service"),), rest=text),
            "multicluster": Shape(rest=zones),
            "zonal": Shape(),
            "startup_timeout": Shape((duration(0),)),
        },
        removed={
            "federation": "federations are gone from Kubernetes, take the line out",
            "resyncperiod": "changes are watched as they happen, take the line out",
            "transfer": "zone transfers have a directive of their own, `transfer`",
            "upstream": "ExternalName targets are always resolved by this server",
        },
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._check()
        self._selection = Selection(
            labels=self._selector("labels"),
            namespaces=self._selector("namespace_labels"),
            endpoints=not settings.has("noendpoints"),
            pods=settings.get("pods") == "verified",
            imports=bool(settings.values("multicluster")),
        )
        self._fallthrough = fallthrough(settings)
        self._cluster = self._share()
        self._view = self._make_view(self._cluster.store)
        site.beside.setdefault("metadata", []).append(self.offer)

    def _check(self) -> None:
        """Raises ConfigError for options that exclude each other."""
        settings = self.settings
        for option, other in (("namespaces", "namespace_labels"), ("zonal", "noendpoints")):
            if settings.has(option) and settings.has(other):
                raise settings.all(other)[0].fail(
                    f"kubernetes: {option} and {other} exclude each other"
                )
        for line in settings.lines:
            if line.name in API_OPTIONS and settings.has("manifests"):
                raise line.fail(
                    f"kubernetes: {line.name} and manifests are two sources",
                    "keep one of them",
                )

    def _selector(self, option: str) -> Selector:
        """The label selector of an option; its words are joined by spaces."""
        lines = self.settings.all(option)
        if not lines:
            return EVERYTHING
        try:
            return parse(" ".join(lines[-1].values))
        except ValueError as error:
            raise lines[-1].fail(f"kubernetes: {option}: {error}") from None

    def _share(self) -> "Cluster":
        """The Store for this source and selection, one in the process."""
        paths = tuple(
            os.path.join(os.path.dirname(line.word.file), path)
            for line in self.settings.all("manifests")
            for path in line.values
        )
        made = lambda: Cluster(paths, self._selection, self.site)  # noqa: E731
        return self.site.share(("manifests", paths, self._selection), made)

    def _make_view(self, store: Store) -> View:
        settings, ttl = self.settings, self.settings.get("ttl", 5)
        keys = tuple(dict.fromkeys(own_zones(settings, self.site, settings.args)))
        primary = next((key for key in keys if not _is_reverse(key)), None)
        if primary is None:
            raise settings.fail(
                "kubernetes: every zone is a reverse zone",
                "name a zone for services, such as cluster.local",
            )
        imported = frozenset(key for group in settings.values("multicluster") for key in group)
        for key in imported.difference(keys):
            raise settings.all("multicluster")[-1].fail(
                f"kubernetes: multicluster: {names.format(key)} is none of the plugin's zones"
            )
        shared = ImportSerial(store)
        return View(
            store=store,
            zones=tuple(
                Zone(
                    key, ttl, shared if key in imported else store, is_multicluster=key in imported
                )
                for key in sorted(keys, key=len, reverse=True)
            ),
            primary=primary,
            ttl=ttl,
            pods=settings.get("pods", "disabled"),
            namespaces=frozenset(settings.values("namespaces")),
            pod_names=settings.has("endpoint_pod_names"),
            ignore_empty=settings.has("ignore"),
            zonal=settings.has("zonal"),
        )

    def check(self) -> None:
        """Raises ConfigError where no source is named."""
        if not self._cluster.paths:
            raise self.settings.fail(
                "kubernetes: an API server as the source comes with the next version",
                "name files with `manifests PATH…`",
            )

    async def start(self) -> None:
        """Learns our own addresses and waits for the cluster's first state, for a bounded time."""
        self.check()
        self._view = replace(self._view, own=_own_addresses(self.site.listen))
        limit = self.settings.get("startup_timeout", 5.0)
        try:
            await asyncio.wait_for(self._cluster.synced.wait(), limit)
        except TimeoutError:
            log.warning("serving before the cluster is known: nothing was read in %g s", limit)

    @property
    def is_ready(self) -> bool:
        """True once the cluster's first state has been applied, for good."""
        return self._view.store.has_synced

    async def answer(self, query: Query) -> Result:
        """Answers names of the plugin's zones."""
        view = self._view
        key = query.key
        place = view.find(key)
        if place is None:
            return SKIP
        zone, parts = place
        if not view.store.has_synced:
            query.forget()
        if query.type in _TRANSFERS:
            return Answer(types.REFUSED)
        found = answer(view, zone, key, parts, query.type, query.touch)
        if type(found) is Answer:
            return found
        if isinstance(found, Alias):
            return await self._chase(query, zone, found)
        if self._fallthrough and zone_of(key, self._fallthrough) is not None:
            return SKIP
        return zone.nxdomain if view.store.has_synced else zone.unsynced

    async def _chase(self, query: Query, zone: Zone, alias: Alias) -> Answer:
        """The CNAMEs with whatever this server says about where they lead.

        CoreDNS: a target that fails leaves the bare CNAME with NOERROR (facts B.4).
        """
        reply = await query.lookup(alias.target, query.type)
        if reply is None:
            return zone.at_present().nodata
        found = positive(*alias.cnames, *as_of_now(query, reply).answer)
        return found.but(flags=found.flags | reply.flags & types.TC)

    def offer(self, query: Query) -> None:
        """Offers what the name means and, with verified pods, who asks (facts B.13)."""
        place = self._view.find(query.key)
        if place is None:
            return
        zone, parts = place
        told = describe(parts, multicluster=zone.is_multicluster, zonal=self._view.zonal)
        if self._view.pods == "verified":
            # Even the absence of a label is news about this asker, and nobody reads what is absent.
            query.reads_client()
            for pod in self._view.store.pods_at(query.client.address)[:1]:
                told |= {"client-namespace": pod.namespace, "client-pod-name": pod.name}
                told |= {f"client-label/{label}": value for label, value in pod.labels}
        for label, value in told.items():
            query.note(f"kubernetes/{label}", partial(str, value))


class Cluster:
    """A Store and what feeds it, one for all plugins of the process that ask for the same."""

    def __init__(self, paths: tuple[str, ...], selection: Selection, site: Site) -> None:
        self.paths = paths
        self.store = Store(selection)
        self.synced = asyncio.Event()
        self._stamps = site.stamps
        self._wall = site.wall

    async def run(self) -> None:
        """Feeds the Store."""
        if self.paths:
            source = Manifests(self.paths)
            await feed(source, self.store, wall=self._wall, changed=self._changed)

    def _changed(self, change: Change) -> None:
        self._stamps.bump(change.keys)
        if SYNCED in change.keys:
            self.synced.set()


_TRANSFERS = frozenset((types.AXFR, types.IXFR))


def _is_reverse(key: Key) -> bool:
    return is_below(key, IN_ADDR) or is_below(key, IP6)


def _own_addresses(listen: tuple[tuple[str, int], ...]) -> tuple[bytes, ...]:
    """The addresses we are bound to; those of all interfaces but loopback for the wildcard."""
    own: dict[bytes, None] = {}
    for host, _ in listen:
        address = ip_address(host.partition("%")[0] or "::")
        found = [address] if int(address) else _interface_addresses()
        own |= dict.fromkeys(one.packed for one in found)
    return tuple(own)


def _interface_addresses() -> list[IPv4Address | IPv6Address]:
    texts = (text.partition("%")[0] for group in interfaces().values() for text in group)
    return [address for address in map(ip_address, texts) if not address.is_loopback]
