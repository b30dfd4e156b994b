"""Where an explanation's answers and facts come from: three scenes for the same play.

A running server answers from inside and tells what it knows. Files, or a cluster that is read for
the occasion, get a server of their own in this process. A server elsewhere is only looked at.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from kdns.client.search import Heard
from kdns.client.search_sockets import ask
from kdns.cluster.api.connection import Access
from kdns.explain.answer import Asking
from kdns.explain.facts import Facts
from kdns.explain.gather import offline
from kdns.explain.gather_live import Live, lost
from kdns.explain.gather_server import OfServer
from kdns.explain.inside import Inside
from kdns.explain.said import Trace
from kdns.explain.wanted import asked
from kdns.plugins.kubernetes import Kubernetes
from kdns.server.assembly import Services, built
from kdns.server.service import Service
from kdns.wire import names as wire

Gather = Callable[[Sequence[str], str], Awaitable[Facts]]

ZONES = ("cluster.local.",)
NO_FACTS = "no cluster was named: give --kubeconfig or --manifests"
FORWARDERS = frozenset(("forward", "grpc"))
NOT_FORWARDED = "names outside the cluster: this server forwards them to nobody"
NOT_OURS = (
    "which plugin answered: this server is only seen from outside"
    " (a kdns with `status` in its Corefile tells, kdns explain --status ADDRESS)"
)


class Within:
    """A server in this process: answers come from its plugins."""

    nameservers: tuple[tuple[str, int], ...] = ()

    def __init__(self, service: Service, gather: Gather) -> None:
        self._service = service
        self._gather = gather

    @property
    def unknown(self) -> tuple[str, ...]:
        """What nobody here can answer, by the plugins that serve now."""
        names = {plugin.name for plugin in self._service.assembly.plugins}
        return () if names & FORWARDERS else (NOT_FORWARDED,)

    async def facts(self, names: Sequence[str], asker: str) -> Facts:
        """What is known around these names; the zones are those that the server has."""
        found = await self._gather(names, asker)
        plugins = self._service.services.life.plugins
        zones = [one for each in plugins if isinstance(each, Kubernetes) for one in each.zones]
        named = tuple(wire.format(zone) for zone in zones if not wire.is_reverse(zone))
        return replace(found, zones=named) if named else found

    def asking(self, address: str, cluster_dns: Sequence[str], _patience_s: float) -> Asking:
        """Its plugins, as they answer this client."""
        return Inside(self._service, address, cluster_dns)


class Outside:
    """A server somewhere else: what it answers is all that is seen of it."""

    unknown: tuple[str, ...] = (NOT_OURS,)

    def __init__(self, nameservers: tuple[tuple[str, int], ...], gather: Gather) -> None:
        self.nameservers = nameservers
        self._gather = gather

    async def facts(self, names: Sequence[str], asker: str) -> Facts:
        """What is known around these names."""
        return await self._gather(names, asker)

    def asking(self, _address: str, _cluster_dns: Sequence[str], patience_s: float) -> Asking:
        """The server, over sockets."""
        return _Sockets(patience_s)


class _Sockets:
    """Asks over sockets; a reply is waited for so many seconds."""

    traces: dict[tuple[str, int], Trace]
    """Empty: nobody sees inside."""

    def __init__(self, patience_s: float) -> None:
        self.traces = {}
        self._patience_s = patience_s

    async def ask(self, nameserver: tuple[str, int], packet: bytes, transport: str) -> Heard:
        """See client.search.Ask."""
        return await ask(nameserver, packet, transport, self._patience_s)


def running(service: Service, known: OfServer) -> Within:
    """The server that serves."""

    async def gather(names: Sequence[str], asker: str) -> Facts:
        return await known.facts(service.services.life.plugins, names, asker)

    return Within(service, gather)


@asynccontextmanager
async def of_corefile(text: str, path: str, gather: Gather | None) -> AsyncIterator[Within]:
    """A server of this Corefile without sockets, for as long as the context lasts.

    Its own knowledge is told where `gather` has no other. Raises ConfigError.
    """
    services = Services()
    assembly = built(text, path, services)
    service = Service(assembly, services)
    await service.start(listen=False)
    known = OfServer()
    try:
        yield Within(service, gather) if gather else running(service, known)
    finally:
        await known.close()
        await service.stop()


def of_files(paths: Sequence[str]) -> Gather:
    """What these files say; raises gather.Unreadable at once where one cannot be read."""
    found = offline(paths)

    async def gather(_names: Sequence[str], _asker: str) -> Facts:
        return found

    return gather


@asynccontextmanager
async def of_api(access: Access) -> AsyncIterator[Gather]:
    """What an API server says, as long as the context lasts."""
    live = Live(access)

    async def gather(names: Sequence[str], asker: str) -> Facts:
        return await live.facts(asked(names, asker, ZONES), ZONES)

    try:
        yield gather
    finally:
        await live.close()


async def nothing(_names: Sequence[str], _asker: str) -> Facts:
    """Nobody was named who knows."""
    return lost(NO_FACTS, ZONES)
