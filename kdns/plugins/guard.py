"""guard: finds services that public names are taken for, and says so, or has them not answered.

What shadows what is told by kdns.zone.shadows. An answer is judged when it comes from the cluster
and has records: a service that does not exist shadows nothing. The list for the log and the gauge
is made when the cluster has changed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from itertools import groupby
from os.path import join
from pathlib import Path
from typing import Any, Final

from kdns.corefile.options import Settings, Shape, Syntax, choice, text
from kdns.observe.tally import Tally
from kdns.plugins.base import DROP, SKIP, Filter, Query, Result, Site, Soon
from kdns.wire import types
from kdns.wire.message import Answer
from kdns.zone.shadows import PUBLIC, parse, shadow, shadowing, told
from kdns.zone.view import View, Zone

log = logging.getLogger("kdns.guard")

LOOK_S: Final = 2.0
NAMED: Final = 3
"""Services of a namespace that the log names at once; of more it tells the number."""
EDE_OTHER: Final = 0


class Guard(Filter):
    """`guard [log|ede|refuse] { tlds FILE }`."""

    name = "guard"
    syntax = Syntax(
        args=Shape(maybe=(choice("log", "ede", "refuse"),)), options={"tlds": Shape((text,))}
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._mode = settings.args[0] if settings.args else "log"
        self._domains = PUBLIC
        self._edition = -1
        self._said: set[str] = site.share(("guard", site.listen, site.zones), set)
        """What the log has named, through reloads."""
        self._tally = Tally(site.counters, "kdns_guard_answers_total", site.label, self._mode)

    @property
    def _view(self) -> View | None:
        return self.site.beside.get("cluster")

    def look(self) -> None:
        """Reads the list of domains; raises ConfigError where it, or the cluster, is not there."""
        if self._view is None:
            raise self.settings.fail(
                "guard: there is no cluster to guard", "add kubernetes to this server block"
            )
        if not self.settings.has("tlds"):
            return
        line, path = (
            self.settings.all("tlds")[0],
            Path(join(self.site.root, self.settings.get("tlds"))),
        )
        try:
            content = path.read_text(errors="replace")
        except OSError as error:
            raise line.fail(f"guard: cannot read {path}: {error.strerror}") from error
        self._domains = parse(content.splitlines())
        if not self._domains:
            raise line.fail(f"guard: {path} names no domain", "one top-level domain a line")

    async def start(self) -> None:
        """The same, and says what is shadowed as far as it is known by now."""
        await asyncio.to_thread(self.look)
        self.judge()

    def tasks(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Follows the cluster."""
        return (self._follow(),)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.judge()

    def judge(self) -> None:
        """Says once of each service what it shadows, and counts them."""
        view = self._view
        if view is None or not view.store.has_synced or view.store.edition == self._edition:
            return
        self._edition = view.store.edition
        found = set(shadowing(view, self._domains))
        for namespace, keys in groupby(sorted(found - self._said), _namespace):
            self._tell(namespace, [key.partition("/")[2] for key in keys])
        self._said &= found
        self._said |= found
        self.site.counters.set("kdns_guard_shadowing_services", self.site.label, to=len(found))

    def _tell(self, namespace: str, services: list[str]) -> None:
        """One line for each of a few services; hundreds that come together are one line."""
        for service in services[:NAMED]:
            log.warning(
                "service %s in namespace %s shadows %s for every pod's search path; "
                "if that is not meant, the namespace needs another name",
                service, namespace, told(namespace, service),
            )  # fmt: skip
        if len(services) > NAMED:
            log.warning(
                "%d more services in namespace %s do so, too", len(services) - NAMED, namespace
            )

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """The rest of the chain's answer, marked or denied where it shadows a name."""
        view = self._view
        place = shadow(view, query.key, self._domains) if view is not None else None
        if place is None:
            return next_(query)
        found = next_(query)
        if found is SKIP or isinstance(found, Answer):
            return self._judged(query, place, found)
        return self._judged_later(query, place, found)

    async def _judged_later(
        self, query: Query, place: tuple[Zone, str, str], waited: Awaitable[Result]
    ) -> Result:
        return self._judged(query, place, await waited)

    def _judged(self, query: Query, place: tuple[Zone, str, str], found: Result) -> Result:
        if found is SKIP or found is DROP or found.error or found.rcode:
            return found
        zone, namespace, service = place
        if self._mode == "refuse" and self._is_within(query, namespace):
            return found
        self._tally.hits += 1
        query.credit(self._tally)
        if self._mode == "log":
            return found
        why = f"service {service} in namespace {namespace} shadows {told(namespace, service)}"
        if self._mode == "ede":
            return found.but(ede=(*found.ede, (EDE_OTHER, why)))
        return zone.nxdomain.but(ede=((types.EDE_BLOCKED, why),), plugin=self.name)

    def _is_within(self, query: Query, namespace: str) -> bool:
        """True for pods of the namespace itself, which mean its services by their short names."""
        clients = self.site.beside.get("clients")
        if clients is None:
            return False
        query.reads_class(clients)
        own: str = clients.namespace(query.touch, query.client.address)
        return own == namespace


def _namespace(key: str) -> str:
    return key.partition("/")[0]
