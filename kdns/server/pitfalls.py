"""What usually goes wrong with a Corefile that is right: an Assembly, to remarks with a remedy.

Nothing here stops a start. Each remark is about something that operators of cluster DNS have been
bitten by; a Corefile without one of them is quiet.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from kdns.client.interfaces import interfaces
from kdns.client.targets import Place as Source
from kdns.client.targets import Target, parse_nameservers
from kdns.plugins.base import Plugin, fallthrough, zone_of
from kdns.server.assembly import Assembly
from kdns.server.places import Place
from kdns.server.router import Block
from kdns.wire import names
from kdns.wire.names import ROOT, Key

Read = Callable[[str], str]

_REVERSE: Final = tuple(names.fold(names.parse(zone)) for zone in ("in-addr.arpa", "ip6.arpa"))
_PROBES: Final = {
    "ready": (8181, "its pod is sent queries before it has the cluster's data"),
    "health": (8080, "a server that hangs is not restarted"),
}
"""Probe directives: their port, and what it is like without them."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to look at, and what to do about it."""

    where: str
    says: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.says}" + (f" ({self.remedy})" if self.remedy else "")


def remarks(assembly: Assembly, read: Read) -> list[Remark]:
    """All of them, each once, in the order of the Corefile; `read` opens resolv.conf files."""
    found: list[Remark] = []
    for place, router in assembly.routers.items():
        for block in router.blocks:
            found += _forwards(block, place, read)
            found += _zones(block)
            found += _missing(block)
        found += _unreached(router.blocks)
    found += _process(assembly)
    return list(dict.fromkeys(found))


def _at(plugin: Plugin) -> str:
    word = plugin.settings.word
    return f"{word.file}:{word.line}"


def _named(plugins: Iterable[Plugin], name: str) -> list[Plugin]:
    return [one for one in plugins if one.name == name]


# Where queries leave to


def _forwards(block: Block, place: Place, read: Read) -> Iterator[Remark]:
    for plugin in _named(block.plugins, "forward"):
        for told in plugin.settings.args[1:]:
            yield from _loops(plugin, told, place, read)


def _loops(plugin: Plugin, told: Target | Source, place: Place, read: Read) -> Iterator[Remark]:
    """Upstreams that lead back here."""
    if isinstance(told, Target):
        if told.scheme == "dns" and told.port == place.port and _is_here(told.host, place):
            says = f"{told.host} port {told.port} is this server itself: it would ask itself"
            yield Remark(_at(plugin), says, "name another server")
        return
    try:
        hosts = parse_nameservers(read(told.text))
    except (OSError, UnicodeError):
        return  # a host name, or a file that is missing: said by the check
    for host in hosts:
        if ip_address(host).is_loopback:
            says = f"{told.text} names {host}, a resolver of this machine alone: in a pod that"
            says += " is the pod, and queries come back here"
            remedy = "run with the node's own file, such as /run/systemd/resolve/resolv.conf"
            yield Remark(_at(plugin), says, remedy)
        elif told.port == place.port and place.host == host:
            says = f"{told.text} names {host}, where this server listens: it would ask itself"
            yield Remark(_at(plugin), says, "name the node's upstreams")


def _is_here(host: str, place: Place) -> bool:
    """True for an address that queries to it come in by."""
    if place.host:
        return host == place.host
    own = {each for hosts in interfaces().values() for each in hosts}
    return ip_address(host).is_loopback or host in own


# Names that come to nobody, or to the wrong one


def _zones(block: Block) -> Iterator[Remark]:
    for plugin in _named(block.plugins, "kubernetes"):
        zones: tuple[Key, ...] = getattr(plugin, "zones", ())
        passed = fallthrough(plugin.settings)
        for zone in zones:
            own = plugin.site.zones
            if zone_of(zone, own) is None and all(zone_of(one, (zone,)) is None for one in own):
                has = " ".join(names.format(one) for one in own)
                says = f"kubernetes: names of {names.format(zone)} never come here: this block has"
                says += f" {has}"
                yield Remark(_at(plugin), says, "add the zone to the keys of the block")
        forwards = block.zone == ROOT and _named(block.plugins, "forward")
        kept = [zone for zone in zones if zone in _REVERSE and zone_of(zone, passed) is None]
        if forwards and kept:
            told = " ".join(names.format(zone).rstrip(".") for zone in kept)
            says = f"kubernetes: every address of {told} that is not the cluster's has no name"
            yield Remark(_at(plugin), says, f"add `fallthrough {told}`")


def _unreached(blocks: Iterable[Block]) -> Iterator[Remark]:
    """Blocks behind one for the same zone that takes every query."""
    taken: dict[Key, Block] = {}
    for block in blocks:
        first = taken.get(block.zone)
        if first is not None and block.plugins and first.plugins:
            says = f"this block for {names.format(block.zone)} is never asked: the one at"
            says += f" {_at(first.plugins[0])} takes every query"
            yield Remark(_at(block.plugins[0]), says, "put blocks with `view` before it")
        if not block.choosers:
            taken.setdefault(block.zone, block)


# What is left out


def _missing(block: Block) -> Iterator[Remark]:
    have = {one.name for one in block.plugins}
    first = min(block.plugins, key=lambda one: one.settings.word.line, default=None)
    if first is None:
        return
    if "forward" in have and "cache" not in have:
        (forward, *_) = _named(block.plugins, "forward")
        says = "forward without cache: each query for a name outside the cluster goes upstream"
        yield Remark(_at(forward), says, "add `cache 30`; names of the cluster stay live")
    if {"forward", "kubernetes"} & have and "errors" not in have:
        yield Remark(_at(first), "failures are not logged in this block", "add `errors`")


def _process(assembly: Assembly) -> Iterator[Remark]:
    have = {one.name for one in assembly.plugins}
    clusters = _named(assembly.plugins, "kubernetes")
    if not clusters:
        return
    where = _at(clusters[0])
    for name, (port, otherwise) in _PROBES.items():
        if name not in have:
            remedy = f"add `{name}`, and a probe of port {port}"
            yield Remark(where, f"no `{name}`: {otherwise}", remedy)
    if "reload" not in have:
        says = "no `reload`: a changed Corefile is served after a restart only"
        yield Remark(where, says, "add `reload`, or send SIGHUP")
