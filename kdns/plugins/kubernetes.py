"""kubernetes: answers for the services, endpoints and pods of a cluster, from its Store.

The answers are made in kdns.zone, the Store is kept by kdns.cluster.cluster. Here stand the
options, what becomes of a name that is not found (facts B.12), when answers are marked as stale,
and the one look-up that must be waited for: the target of an ExternalName service outside its zone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from kdns.client.interfaces import own_addresses
from kdns.cluster.account import account
from kdns.cluster.api.resources import RESOURCES
from kdns.cluster.cluster import Cluster, Lent, Origin
from kdns.cluster.stanza import SYNTAX, Stanza
from kdns.cluster.store import Store
from kdns.corefile.options import Settings, Syntax
from kdns.observe.counters import Labels
from kdns.plugins.base import (
    SKIP,
    Backend,
    Life,
    Query,
    Result,
    Site,
    as_of_now,
    fallthrough,
    own_zones,
    zone_of,
)
from kdns.wire import names, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key
from kdns.zone import listing, nearby
from kdns.zone.answers import Outcome, answer, plain
from kdns.zone.clients import Clients, Places, parse_search, search_path
from kdns.zone.external import Alias
from kdns.zone.names import describe
from kdns.zone.view import ImportSerial, View, Zone, positive

log = logging.getLogger("kdns.kubernetes")

TICK_S = 0.5
"""How often it is looked whether the data has become too old."""
RESOLV_CONF = "/etc/resolv.conf"
STALE, NOT_READY = 3, 14
"""Extended DNS errors (RFC 8914)."""
RESTORED: Final = "cluster data from a snapshot"
UNSYNCED: Final = ((NOT_READY, "the cluster is not known yet"),)
_RESOURCES: Final = {one.kind: one.name for one in RESOURCES}


class Kubernetes(Backend):
    """Answers cluster names."""

    name = "kubernetes"
    is_live = True
    syntax: ClassVar[Syntax] = SYNTAX

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._stanza = Stanza(settings, site.beside.get("watched", ()))
        self._fallthrough = fallthrough(settings)
        self._cluster = self._share(self._stanza.origin)
        self._view = self._make_view(self._cluster.store)
        self._limit = settings.get("stale_after", 300.0)
        self._overdue = ""
        self._domains: tuple[Key, ...] = ()
        """The search domains of the machine we run on, which pods have too."""
        self._clients = Clients(self._cluster.store)
        self._places = Places(self._cluster.store) if settings.has("topology") else None
        self._offer_all()

    def _offer_all(self) -> None:
        """What the other plugins of the block, and the process, may know of us."""
        site, beside = self.site, self.site.beside
        site.counters.ask("kdns_data_age_seconds", partial(_ages, site.life))
        site.counters.ask("kdns_data_stale", partial(_stale, site.life))
        beside.setdefault("metadata", []).append(self.offer)
        beside["cluster"] = self._view
        self.on_change: list[Callable[[Key], None]] = []
        beside.setdefault("transfer", []).append(self)
        forward = {zone.key for zone in self._view.zones if not zone.is_reverse}
        site.shared.setdefault("cluster zones", set()).update(forward)
        if self._places is not None:
            beside["places"] = self._places
        if self._view.pods == "verified":
            beside["clients"] = self._clients
            beside.setdefault("search", {})[self.name] = self.search

    def _share(self, origin: Origin) -> Cluster:
        """The Store for this source and selection, one in the process."""
        site = self.site
        if any(isinstance(c, Cluster) and origin.clashes(c.origin) for c in site.shared.values()):
            raise self.settings.all("snapshot")[-1].fail(
                "kubernetes: a stanza with other options keeps its snapshot in the same file",
                "give each a file of its own",
            )
        stamps, life = site.stamps, site.life  # not the Site, which holds its plugins
        lent = Lent(
            lambda change: stamps.bump(change.keys),
            site.counters,
            site.clock,
            site.wall,
            site.chance.random,
            lambda: life.is_stopping,
            life.link,
        )
        return site.share(("cluster", origin), partial(Cluster, origin, lent))

    def _make_view(self, store: Store) -> View:
        settings, ttl = self.settings, self.settings.get("ttl", 5)
        keys = tuple(dict.fromkeys(own_zones(settings, self.site, settings.args)))
        primary = next((key for key in keys if not names.is_reverse(key)), None)
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

    def look(self) -> None:
        """Sees whether the files that are named can be read (CoreDNS)."""
        for line in (*self.settings.all("kubeconfig"), *self.settings.all("tls")):
            for name in line.values[:1] if line.name == "kubeconfig" else line.values:
                if not name:
                    continue
                try:
                    with open(name, "rb") as file:
                        file.read(1)
                except OSError as error:
                    raise line.fail(
                        f"kubernetes {line.name}: cannot read {name}: {error.strerror}"
                    ) from error

    async def start(self) -> None:
        """Learns our own addresses and waits for the cluster's first state, for a bounded time."""
        self._view = replace(self._view, own=own_addresses(self.site.listen))
        self.site.beside["cluster"] = self._view
        if self._view.pods == "verified":
            with suppress(OSError):  # who has none searches nothing more
                text = await asyncio.to_thread(Path(RESOLV_CONF).read_text, errors="replace")
                self._domains = parse_search(text)
        for warning in self._stanza.warnings:
            log.warning("%s", warning)
        limit = self.settings.get("startup_timeout", 5.0)
        waiting = asyncio.ensure_future(self._tell_of_waiting())
        try:
            async with asyncio.timeout(limit):  # wait_for does not look at all where it is 0
                await self._cluster.synced.wait()
        except TimeoutError:
            why = self._cluster.failure
            log.warning(
                "serving before the cluster is known: nothing whole was read in %g s%s",
                limit, f": {why}" if why else "",
            )  # fmt: skip
        finally:
            waiting.cancel()
        if self._limit:
            self.judge_age()  # what another worker or a snapshot told may be old already

    async def _tell_of_waiting(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            log.info("waiting for the cluster's first state")

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Watches how old the data gets, where an API server tells it."""
        return () if self._cluster.origin.manifests or not self._limit else (self._watch_age(),)

    async def _watch_age(self) -> None:
        while True:
            self.judge_age()
            await asyncio.sleep(TICK_S)

    def judge_age(self) -> None:
        """Marks answers as stale from the moment the data is too old until there is news."""
        cluster, limit = self._cluster, self._limit
        is_over = cluster.freshness.age() > limit
        if is_over == bool(self._overdue):
            return
        if is_over:
            self._overdue = f"no news from the API server for more than {limit:g} s"
            why = cluster.failure or "it is silent"
            log.warning("%s: %s; answers are marked as stale", self._overdue, why)
        else:
            self._overdue = ""
            log.info("the API server speaks again: answers are no longer marked as stale")
        self.site.stamps.bump((cluster.flag,))

    @property
    def cluster(self) -> Cluster:
        """What it answers from."""
        return self._cluster

    @property
    def staleness(self) -> str:
        """Why answers are marked as stale, empty while they are not."""
        return RESTORED if self._cluster.is_restored else self._overdue

    @property
    def is_ready(self) -> bool:
        """True once the cluster's first state has been applied, for good."""
        return self._view.store.has_synced

    @property
    def account(self) -> str:
        zones_ = " ".join(names.format(zone.key) for zone in self._view.zones)
        return f"kubernetes: {zones_}: {account(self._cluster)}"

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """Answers names of the plugin's zones; only an ExternalName may have to wait."""
        view = self._view
        key = query.key
        if self._places is not None:
            near = self._near(query, view, self._places)
            if near is not None:
                return self._marked(near)
        end = view.plain.get(key[key[0] + 1 :])
        if end is not None and self._is_usual(key):
            touch = query.toucher()
            touch(self._cluster.flag)
            at_once = plain(view, *end, key, query.type, touch)
            if at_once is not None:
                return at_once
        place = view.find(key)
        if place is None:
            return SKIP
        zone, parts = place
        touch = query.toucher()
        touch(self._cluster.flag)
        if not view.store.has_synced:
            query.forget()
        if query.type in _TRANSFERS:
            return Answer(types.REFUSED, ede=((types.EDE_PROHIBITED, ""),))
        return self._given(query, zone, answer(view, zone, key, parts, query.type, touch))

    def _given(self, query: Query, zone: Zone, found: Outcome) -> Result | Awaitable[Result]:
        """What becomes of an outcome."""
        if isinstance(found, Alias):
            return self._chase(query, zone, found)
        if found is None:
            key, ends = query.key, self._fallthrough
            if key.endswith(ends) and zone_of(key, ends) is not None:
                return SKIP
            if not self._view.store.has_synced:
                return zone.unsynced.but(ede=UNSYNCED)
            found = zone.nxdomain
        return self._marked(found)

    def _near(self, query: Query, view: View, places: Places) -> Answer | None:
        """The answer of a service that is to be asked for near its client; None for all else."""
        place = view.find(query.key)
        if place is None or not view.store.has_synced:
            return None
        zone, parts = place
        touch = query.toucher()
        service = nearby.service(view, zone, parts, query.type, touch)
        if service is None:
            return None
        query.reads_class(places)
        touch(self._cluster.flag)
        here = places.zone_of(touch, query.client.address)
        return nearby.answer(view, zone, query.key, service, query.type, here) if here else None

    def _is_usual(self, key: Key) -> bool:
        """True when an answer needs no word about its age, and nobody else is to be asked."""
        is_fresh = self._view.store.has_synced and not self.staleness
        return is_fresh and not key.endswith(self._fallthrough)

    def _marked(self, answer: Answer) -> Answer:
        """The answer, with a word about how old the data is where that matters."""
        why = self.staleness
        return answer.but(ede=(*answer.ede, (STALE, why))) if why else answer

    async def _chase(self, query: Query, zone: Zone, alias: Alias) -> Answer:
        """The CNAMEs with whatever this server says about where they lead.

        CoreDNS: a target that fails leaves the bare CNAME with NOERROR (facts B.4).
        """
        reply = await query.lookup(alias.target, query.type)
        if reply is None:
            return self._marked(zone.at_present().nodata)
        found = positive(*alias.cnames, *as_of_now(query, reply).answer)
        return self._marked(found.but(flags=found.flags | reply.flags & types.TC))

    # What `transfer` asks for

    @property
    def zones(self) -> tuple[Key, ...]:
        """The apexes of its zones."""
        return tuple(zone.key for zone in self._view.zones)

    def serial(self, zone: Key) -> int | None:
        """The serial of a zone; None before the cluster is known."""
        found = next(one for one in self._view.zones if one.key == zone)
        return found.serial if self._view.store.has_synced else None

    def records(self, zone: Key) -> Iterator[RRset]:
        """All records of a zone."""
        found = next(one for one in self._view.zones if one.key == zone)
        return listing.records(self._view, found)

    # What others ask for

    def search(self, query: Query) -> tuple[Key, ...] | None:
        """The search path of the asker's pod, for the zone he asks in; None when it is unknown."""
        place = self._view.find(query.key)
        if place is None:
            return None
        query.reads_class(self._clients)
        namespace = self._clients.namespace(query.touch, query.client.address)
        return search_path(place[0].key, namespace, self._domains) if namespace else None

    def offer(self, query: Query) -> None:
        """Offers what the name means and, with verified pods, who asks (facts B.13)."""
        if self._view.pods == "verified":  # whatever the name: views by namespace need it
            query.note("kubernetes/client-namespace", partial(self._namespace_of, query))
            query.note("kubernetes/client-pod-name", partial(self._pod_of, query))
            query.note_each("kubernetes/client-label/", partial(self._pod_label, query))
        place = self._view.find(query.key)
        if place is None:
            return
        zone, parts = place
        told = describe(parts, multicluster=zone.is_multicluster, zonal=self._view.zonal)
        for label, value in told.items():
            query.note(f"kubernetes/{label}", partial(str, value))

    def _namespace_of(self, query: Query) -> str | None:
        """The namespace of the asker, None where it is not known."""
        query.reads_class(self._clients)
        return self._clients.namespace(query.touch, query.client.address) or None

    def _pod_of(self, query: Query) -> str | None:
        query.reads_client()
        return next((pod.name for pod in self._view.store.pods_at(query.client.address)), None)

    def _pod_label(self, query: Query, label: str) -> str | None:
        query.reads_client()
        pods = self._view.store.pods_at(query.client.address)[:1]
        return next((dict(pod.labels).get(label) for pod in pods), None)


_TRANSFERS = frozenset((types.AXFR, types.IXFR))


def _plugins(life: Life) -> list[Kubernetes]:
    return [one for one in life.plugins if isinstance(one, Kubernetes)]


def _ages(life: Life) -> Iterator[tuple[Labels, float]]:
    """The age of what is known of each resource, the greatest where several clusters have it."""
    ages: dict[str, float] = {}
    for plugin in _plugins(life):
        for kind, age in plugin.cluster.freshness.ages().items():
            ages[_RESOURCES[kind]] = max(age, ages.get(_RESOURCES[kind], 0.0))
    for resource, age in ages.items():
        yield (resource,), age


def _stale(life: Life) -> Iterator[tuple[Labels, float]]:
    if plugins := _plugins(life):
        yield (), float(any(plugin.staleness for plugin in plugins))
