"""A running kdns tells Facts: what it answers from, and what its API server or files say besides.

Services, slices and namespaces are those of its Store. What the Store does not keep (selectors,
pods, policies, times) is read on demand, from the files or with the server's own access: each list
at most once in KEPT_S, and for MOST_AT_ONCE explanations at a time.
"""

import asyncio
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from typing import NamedTuple

from kdns.cluster.api.connection import Access
from kdns.cluster.cluster import Cluster
from kdns.cluster.sources.manifests import MAX_BYTES, is_manifest
from kdns.cluster.store import Store
from kdns.explain.around import Around, Found, around
from kdns.explain.aside import Aside
from kdns.explain.asking import Ask, Asker, Query, Recent
from kdns.explain.facts import Facts, NamespaceFact, ServerFact, ServiceFact, SliceFact
from kdns.explain.gather import Unreadable, beside
from kdns.explain.gather_live import ALL_S, at, keyed, lost, moment
from kdns.explain.overlay import Overlay
from kdns.explain.wanted import DNS, Wanted, asked, led_to, selecting
from kdns.plugins.base import Plugin, Site
from kdns.plugins.kubernetes import Kubernetes
from kdns.plugins.status import Status
from kdns.wire import names as wire
from kdns.zone.view import View

KEPT_S = 2.0
MOST_AT_ONCE = 2
QUIET_S = 75.0
"""Bookmarks come each minute: who has heard nothing for longer has no fresh data."""
POD_PAGES = 5
"""perf: facts of 500 pods are few enough for Python to look for garbage in, in 2 ms."""
COPY_S = 0.1
SETTLE_S = 0.3
"""What the API server says and the Store does not may be on its way; what it said is asked again
after that, be it not KEPT_S old: pods of before a change would accuse the endpoint controller."""
SMALL_BYTES = 128 << 10
"""perf: a thread reads so much YAML in 0.3 s, in which the loop waits 5 ms for each turn."""
SERVICE_PAGES = 4
"""Of the services of one namespace; of a greater one, only those in question are asked for."""


@dataclass(slots=True)
class _Said:
    """What the API server, or the files, say besides."""

    is_file: bool = False
    """Files are read by the server as well: what it serves is not compared with them."""

    services: dict[str, ServiceFact | None] = field(default_factory=dict)
    """Of those in question; None for one that is not there."""
    slices: dict[str, tuple[SliceFact, ...]] = field(default_factory=dict)
    spaces: Mapping[str, NamespaceFact] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    """All that the Store has nothing of."""


class _Seen(NamedTuple):
    """A file, and what changes with it."""

    name: str
    inode: int
    size: int
    changed_ns: int


class OfServer:
    """Facts of one server, for as long as it runs."""

    def __init__(self) -> None:
        self._doors = asyncio.Semaphore(MOST_AT_ONCE)
        self._askers: dict[Access, tuple[Asker, Recent]] = {}
        self._files: tuple[object, asyncio.Future[Facts]] | None = None
        self._aside = Aside()
        self._copy: tuple[Store, float, Store] | None = None

    async def facts(self, plugins: Sequence[Plugin], names: Sequence[str], asker: str) -> Facts:
        """What is known around these absolute names and who asks; see `wanted.asked`."""
        plugin = _plugin(plugins, names)
        if plugin is None:
            server = ServerFact(is_kdns=True)
            return replace(lost("this server has no kubernetes plugin", ()), server=server)
        zones = _zones(plugin)
        async with self._doors:
            found = await self._gather(plugin, asked(names, asker, zones), zones)
        times = applied(plugins, found.services, asked(names, "", zones))
        return replace(found, server=replace(found.server, applied=times))

    async def close(self) -> None:
        """Lets go of the API servers."""
        for one, recent in self._askers.values():
            await recent.close()
            one.close()
        self._askers.clear()
        await self._aside.close()

    async def _gather(self, plugin: Kubernetes, found: Wanted, zones: tuple[str, ...]) -> Facts:
        cluster = plugin.cluster
        store, over = cluster.store, self._overlay(plugin, _Said())
        found = led_to(found | _at(store, found.addresses), over.services, zones)
        if cluster.origin.manifests:
            said = _of_files(found, await self._read(cluster.origin.manifests, found))
        else:
            said = await self._of_api(plugin, over, found, zones)
        over = self._overlay(plugin, said)
        if over.behind:  # it may be on its way, or what was asked before is older
            await asyncio.sleep(SETTLE_S)
            if not said.is_file:
                self._recent(cluster.origin.access, plugin.site).forget(SETTLE_S / 2)
                said = await self._of_api(plugin, over, found, zones)
            over = self._overlay(plugin, said)
        unknown = dict(said.facts.unknown)
        if not cluster.origin.selection.endpoints:
            unknown["slices"] = "the option noendpoints: this server does not read them"
        return replace(
            said.facts,
            zones=zones,
            now=moment(),
            namespaces=over.namespaces,
            services=over.services,
            slices=over.slices,
            unknown=unknown,
            is_of_files=said.is_file,
            owner=partial(_owner, store),
            server=_server(plugin, zones, over.behind),
        )

    def _overlay(self, plugin: Kubernetes, said: _Said) -> Overlay:
        """What is served now, compared with what was said."""
        over = Overlay(self._kept(plugin.cluster.store, plugin.site.clock()))
        for key, service in said.services.items():
            if not said.is_file:
                over.compare_service(key, service)
            elif service is not None:
                over.read_service(key, service)
        for key, slices in said.slices.items():
            (over.read_slices if said.is_file else over.compare_slices)(key, slices)
        for name, space in said.spaces.items():  # the Store does not know which are about to go
            over.namespaces.put(name, space)
        return over

    def _kept(self, store: Store, now: float) -> Store:
        """A copy; perf: of 10,000 services it takes 2 ms, and looking for garbage in it as much."""
        copy = self._copy
        if copy is None or copy[0] is not store or not 0 <= now - copy[1] < COPY_S:
            copy = self._copy = store, now, store.frozen()
            asyncio.get_running_loop().call_later(COPY_S, self._let_go, copy)
        return copy[2]

    def _let_go(self, copy: tuple[Store, float, Store]) -> None:
        """What is deleted, or dropped by a reload, lives no longer than it takes."""
        if self._copy is copy:
            self._copy = None

    async def _of_api(
        self, plugin: Kubernetes, over: Overlay, found: Wanted, zones: tuple[str, ...]
    ) -> _Said:
        ask = self._recent(plugin.cluster.origin.access, plugin.site).ask
        said, here, near = _Said(), Found(), Found()
        try:
            async with asyncio.timeout(ALL_S):
                await _ask_services(ask, found, here, said)
                pods = await at(ask, found)
                found = led_to(found | selecting(pods, ()), over.services, zones)
                services = {key: over.services[key] for key in found.services | {DNS}
                            if key in over.services}  # fmt: skip
                services |= {key: one for key, one in said.services.items()
                             if one is not None and key in services}  # fmt: skip
                near = await around(ask, Around(found, services, pods, POD_PAGES))
        except TimeoutError:
            why = f"the API server took more than {ALL_S:g} s"
            here.unknown |= dict.fromkeys(("selectors", "triggers", "pods", "policies"), why)
        said.slices = near.slices
        unknown = here.unknown | near.unknown
        if "slices" in unknown:
            unknown["triggers"] = unknown.pop("slices")
        skipped = (*here.skipped, *near.skipped)
        said.facts = Facts(pods=near.pods, policies=near.policies, unknown=unknown, skipped=skipped)
        return said

    def _recent(self, access: Access, site: Site) -> Recent:
        if access not in self._askers:
            asker = Asker(access, site.counters, clock=site.clock, wall=site.wall)
            self._askers[access] = asker, Recent(asker.ask, site.clock, KEPT_S)
        return self._askers[access][1]

    async def _read(self, paths: Sequence[str], found: Wanted) -> Facts:
        """What the files say, read again when they have changed."""
        names, seen = await asyncio.to_thread(_look, paths)
        if sum(one.size for one in seen) > SMALL_BYTES:
            return await self._aside.facts(names, seen, found)
        if self._files is None or self._files[0] != seen:
            self._files = seen, asyncio.ensure_future(asyncio.to_thread(_read_files, names))
        return await asyncio.shield(self._files[1])


async def _ask_services(ask: Ask, found: Wanted, here: Found, said: _Said) -> None:
    """What the API server says of the services in question."""
    spaces = sorted({key.partition("/")[0] for key in found.services})
    one_by_one = [Query("namespaces", fields=f"metadata.name={space}") for space in spaces]
    said.spaces = {
        one.name: one
        for listed in await asyncio.gather(*map(ask, one_by_one))
        for one in listed.facts
        if isinstance(one, NamespaceFact)
    }
    for space in spaces:
        keys = [key for key in found.services if key.partition("/")[0] == space]
        listed = await ask(Query("services", space, pages=SERVICE_PAGES))
        known = keyed(listed)
        for key in keys if listed.has_more else ():
            name = key.partition("/")[2]
            listed = await ask(Query("services", space, fields=f"metadata.name={name}"))
            known |= keyed(listed)
        here.take("selectors", listed, ServiceFact)
        for key in keys:
            if key in known or not listed.trouble:
                said.services[key] = known.get(key)


def _of_files(found: Wanted, known: Facts) -> _Said:
    """What the files say of the services in question."""
    keys = [key for key in found.services | {DNS} if key in known.services]
    unknown = {
        name: why
        for name, why in known.unknown.items()
        if name not in {"services", "slices", "namespaces"}
    }
    return _Said(
        True,
        {key: known.services[key] for key in keys},
        {key: known.slices[key] for key in keys},
        known.namespaces,
        replace(known, unknown=unknown, only=()),
    )


def _look(paths: Sequence[str]) -> tuple[list[str], tuple[_Seen, ...]]:
    """The files that the server reads, and what tells whether they are still the same."""
    names, seen = [], []
    for path in paths:
        try:
            entries = sorted(filter(is_manifest, os.listdir(path))) if os.path.isdir(path) else [""]
        except OSError:
            continue
        for name in (os.path.join(path, entry) if entry else path for entry in entries):
            try:
                found = os.stat(name)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_BYTES:
                names.append(name)
                seen.append(_Seen(name, found.st_ino, found.st_size, found.st_mtime_ns))
    return names, tuple(seen)


def _read_files(names: Sequence[str]) -> Facts:
    try:
        return beside(names)
    except Unreadable as error:
        return lost(str(error), ())


def _plugin(plugins: Iterable[Plugin], names: Sequence[str]) -> Kubernetes | None:
    """The one that has the zone of some name, else the first."""
    ours = [plugin for plugin in plugins if isinstance(plugin, Kubernetes)]
    for plugin in ours:
        ends = tuple(f".{zone}" for zone in _zones(plugin))
        if any(f".{name.lower().rstrip('.')}.".endswith(ends) for name in names):
            return plugin
    return ours[0] if ours else None


def _zones(plugin: Kubernetes) -> tuple[str, ...]:
    return tuple(wire.format(zone) for zone in plugin.zones if not wire.is_reverse(zone))


def _at(store: Store, addresses: Iterable[str]) -> Wanted:
    """The services that have these addresses, or endpoints there."""
    keys: set[str] = set()
    for address in addresses:
        packed = ip_address(address).packed
        services = (*store.services_at(packed), *store.external_at(packed))
        keys.update(one.key for one in services)
        keys.update(slice_.key for slice_, _ in store.endpoints_at(packed))
    return Wanted(frozenset(keys), frozenset(key.partition("/")[0] for key in keys))


def applied(
    plugins: Iterable[Plugin], services: Mapping[str, ServiceFact], found: Wanted
) -> dict[str, tuple[str, str]]:
    """When the endpoints of services last changed, where a `status` page writes that down."""
    boards = {id(one.board): one.board for one in plugins if isinstance(one, Status)}
    times = {}
    for board in boards.values():
        for key in found.services & services.keys():
            known = board.chronicle.times(key)
            if known is not None:
                times[key] = _text(known[0]), _text(known[1])
    return times


def _text(at: float) -> str:
    found = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return found.replace("+00:00", "Z")


def _owner(store: Store, address: str) -> str:
    """The service that has this ClusterIP."""
    try:
        found = store.services_at(ip_address(address).packed)
    except ValueError:
        return ""
    return found[0].key if found else ""


def _server(plugin: Kubernetes, zones: tuple[str, ...], late: Iterable[str]) -> ServerFact:
    cluster = plugin.cluster
    freshness = cluster.freshness
    age = freshness.age()
    is_old = age > QUIET_S
    is_dated = freshness.is_whole and (is_old or bool(cluster.failure))
    view: View | None = plugin.site.beside.get("cluster")
    if view is not None and view.store is not cluster.store:
        view = None  # that of another kubernetes stanza in the block
    return ServerFact(
        is_kdns=True,
        has_synced=cluster.store.has_synced,
        stale_s=age if is_dated else 0.0,
        is_restored=cluster.is_restored,
        failure=cluster.failure,
        is_silent=is_old and not cluster.failure,
        zones=zones,
        behind=tuple(sorted(late)),
        chosen=_chosen(cluster, view),
        pods=view.pods if view is not None else "",
    )


def _chosen(cluster: Cluster, view: View | None) -> tuple[str, ...]:
    """The options that leave something out, as a Corefile has them."""
    chosen, said = cluster.origin.selection, []
    if view is not None and view.namespaces:
        said.append(f"namespaces {' '.join(sorted(view.namespaces))}")
    if chosen.labels.terms:
        said.append(f"labels {chosen.labels}")
    if chosen.namespaces.terms:
        said.append(f"namespace_labels {chosen.namespaces}")
    return tuple(said)
