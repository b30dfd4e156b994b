"""A Corefile becomes what a server runs: plugins, chains, and a router for each address.

Building opens nothing and waits for nothing: files a plugin needs are read when it starts. Every
mistake is collected, so `kdns check` names them all; with none, the Assembly is ready to start.
"""

import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import glob
from random import Random, SystemRandom
from typing import Any

from kdns.corefile.blocks import (
    Bound,
    ServerBlock,
    check_names,
    check_overlap,
    read_blocks,
)
from kdns.corefile.options import Settings, check_all
from kdns.corefile.parser import parse
from kdns.corefile.tree import Block as Written
from kdns.corefile.tree import ConfigError, Directive
from kdns.observe import logs
from kdns.observe.counters import Counters
from kdns.plugins import ORDER
from kdns.plugins.base import Chooser, Life, Monitor, Observer, Plugin, Site, Stamps
from kdns.server.chain import join
from kdns.server.places import Place, check_ports
from kdns.server.registry import implemented, plugin_class
from kdns.server.router import Block, Router
from kdns.server.siblings import Siblings
from kdns.server.terms import Party, Terms, terms_of
from kdns.server.version import version
from kdns.wire import names
from kdns.wire.names import ROOT

DEFAULT = ".:{port} {{\n    whoami\n    log\n}}\n"
"""What is served where there is no Corefile (CoreDNS)."""


@dataclass(slots=True)
class Services:
    """What a process lends to its plugins and transports; one per process, kept through reloads."""

    stamps: Stamps = field(default_factory=Stamps)
    counters: Counters = field(default_factory=Counters)
    chance: Random = field(default_factory=lambda: Random(SystemRandom().getrandbits(64)))
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    shared: Mapping[Hashable, Any] = field(default_factory=dict)  # Any: see Site.shared
    """Those of the Assembly that serves."""
    life: Life = field(default_factory=Life)
    siblings: Siblings = field(default_factory=Siblings)


@dataclass(slots=True)
class Assembly:
    """What a Corefile says should run."""

    plugins: list[Plugin] = field(default_factory=list)
    """In the order they start."""
    routers: dict[Place, Router] = field(default_factory=dict)
    """By what is spoken where."""
    terms: dict[Place, Terms] = field(default_factory=dict)
    """What is to be kept to there."""
    served: list[str] = field(default_factory=list)
    """A line per zone, for the log at start."""
    version: str = ""
    """See `Life.version`."""
    text: str = ""
    path: str = ""
    """The Corefile it was built from,"""
    blocks: tuple[Written, ...] = ()
    """and what was read in it."""
    shared: dict[Hashable, Any] = field(default_factory=dict)  # Any: see Site.shared
    """What its plugins share, taken over from `kept` or made for this one."""
    kept: dict[Hashable, Any] = field(default_factory=dict)  # Any: see Site.shared
    """What the Assembly that serves shares; to be cleared when this one serves."""


def read(path: str, *, port: int) -> str:
    """The text of a Corefile; the default one where `path` is empty. Raises ConfigError."""
    if not path:
        return DEFAULT.format(port=port)
    try:
        return read_text(path)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(path, 0, f"cannot read the Corefile: {why}") from error


def build(
    text: str,
    path: str,
    services: Services,
    errors: list[ConfigError],
    *,
    port: int = 53,
    warn: Callable[[str], None] = lambda _: None,
) -> Assembly:
    """Builds what a Corefile describes; what is wrong with it is appended to `errors`."""
    try:
        parsed = parse(text, path, environ=os.environ, read=read_text, glob=hidden_glob, warn=warn)
    except ConfigError as error:
        errors.append(error)
        return Assembly()
    found = version(parsed)
    if not parsed:
        # CoreDNS: a Corefile without server blocks serves the default.
        parsed = parse(
            DEFAULT.format(port=port), path, environ={}, read=read_text, glob=hidden_glob
        )
    blocks = read_blocks(parsed, errors, port=port, warn=warn)
    kept = dict(services.shared)
    assembly = Assembly(kept=kept, version=found, text=text, path=path, blocks=tuple(parsed))
    bound = []
    zones: dict[Place, list[Block]] = {}
    parties: dict[Place, list[Party]] = {}
    for block in blocks:
        hosts, plugins = _plugins(block, services, assembly, errors, warn)
        bound.append(Bound(block, hosts))
        assembly.plugins += plugins
        _serve(block, hosts, plugins, zones, assembly.served)
        for place in _places(block, hosts):
            parties.setdefault(place, []).append(Party(block.word, plugins))
    check_overlap(bound, errors)
    check_ports(zones, errors, {place: found[0].word for place, found in parties.items()})
    terms = {place: terms_of(place, found, errors) for place, found in parties.items()}
    errors.sort(key=lambda error: (error.file, error.line))
    strays = [one for one in assembly.plugins if isinstance(one, Observer) and one.wants_strays]
    for place, served in zones.items():
        recurses = _recurses(served)
        router = Router(served, recurses=recurses, strays=tuple(strays[:1]))
        address = place.seen_by(terms[place])
        assembly.routers[address], assembly.terms[address] = router, terms[place]
    return assembly


def built(text: str, path: str, services: Services, *, port: int = 53) -> Assembly:
    """What a Corefile describes; raises the first ConfigError."""
    errors: list[ConfigError] = []
    assembly = build(text, path, services, errors, port=port, warn=logs.warn)
    if errors:
        raise errors[0]
    return assembly


def read_text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def hidden_glob(pattern: str) -> list[str]:
    return glob(pattern, include_hidden=True)


def _plugins(
    block: ServerBlock,
    services: Services,
    assembly: Assembly,
    errors: list[ConfigError],
    warn: Callable[[str], None],
) -> tuple[tuple[str, ...], list[Plugin]]:
    """The addresses a block binds and its plugins, in the order they are asked in."""
    have = implemented()
    named = {one.name.text for one in block.directives}
    repeatable = {name for name in have if name in named and _syntax_repeats(name)}
    check_names(block.directives, errors, known=ORDER, implemented=have, repeatable=repeatable)
    directives = sorted(
        (one for one in block.directives if one.name.text in have),
        key=lambda one: ORDER.index(one.name.text),
    )
    root, hosts = "", ()
    plugins: list[Plugin] = []
    beside: dict[Hashable, Any] = {}  # Any: see Site.beside
    for directive in directives:
        site = _site(block, services, assembly, root, hosts)
        site = replace(site, beside=beside)
        plugin = _plugin(directive, site, errors, warn)
        if plugin is not None:
            plugins.append(plugin)
            root = getattr(plugin, "path", root) if plugin.name == "root" else root
            hosts = getattr(plugin, "hosts", hosts) if plugin.name == "bind" else hosts
    return tuple(hosts), plugins


def _syntax_repeats(name: str) -> bool:
    cls = plugin_class(name)
    return cls is not None and cls.syntax.repeats


def _plugin(
    directive: Directive, site: Site, errors: list[ConfigError], warn: Callable[[str], None]
) -> Plugin | None:
    cls = plugin_class(directive.name.text)
    assert cls is not None
    before = len(errors)
    settings: Settings = check_all(directive, cls.syntax, errors, warn)
    if len(errors) > before:
        return None
    try:
        return cls(settings, site)
    except ConfigError as error:
        errors.append(error)
        return None


def _site(
    block: ServerBlock,
    services: Services,
    assembly: Assembly,
    root: str,
    hosts: Sequence[str],
) -> Site:
    plain = [key.port for key in block.keys if key.scheme == "dns"]
    ports = list(dict.fromkeys([*plain, *(key.port for key in block.keys)])) or [53]
    first = block.keys[0] if block.keys else None
    return Site(
        zones=block.origins,
        label=f"{first.scheme if first else 'dns'}://{hosts[0] if hosts else ''}"
        f":{first.port if first else ports[0]}",
        stamps=services.stamps,
        counters=services.counters,
        chance=services.chance,
        clock=services.clock,
        wall=services.wall,
        root=root,
        listen=tuple((host, port) for host in hosts or ("",) for port in ports),
        is_plain=bool(plain) or not block.keys,
        shared=assembly.shared,
        kept=assembly.kept,
        life=services.life,
    )


def _serve(
    block: ServerBlock,
    hosts: Sequence[str],
    plugins: list[Plugin],
    zones: dict[Place, list[Block]],
    served: list[str],
) -> None:
    """Enters a block under each of its zones on each address it listens on."""
    chain = join(plugins)
    observers = tuple(plugin for plugin in plugins if isinstance(plugin, Observer))
    has_handlers = any(not isinstance(one, Monitor | Chooser) for one in plugins)
    classes = _classes(plugins)
    for key in block.keys:
        runs = Block(key.zone, chain, tuple(plugins), observers, has_handlers, classes)
        for host in hosts or ("",):
            zones.setdefault(Place(key.scheme, host, key.port), []).append(runs)
            where = f" on {host}" if host else ""
            how = "" if key.scheme == "dns" else f"{key.scheme}://"
            served.append(f"{how}{names.format(key.zone)}:{key.port}{where}")


def _places(block: ServerBlock, hosts: Sequence[str]) -> dict[Place, None]:
    """Where a block is served, each place once."""
    return dict.fromkeys(
        Place(key.scheme, host, key.port) for key in block.keys for host in hosts or ("",)
    )


def _classes(plugins: Sequence[Plugin]) -> frozenset[int] | None:
    """Classes beside IN that a block takes: all with `forward` or `chaos`, else none (CoreDNS)."""
    return None if {plugin.name for plugin in plugins} & {"forward", "chaos"} else frozenset()


def _recurses(served: Sequence[Block]) -> bool:
    """True when some block of a listener forwards the root, by whatever means."""
    return any(
        plugin.name in {"forward", "grpc"} and getattr(plugin, "zone", None) == ROOT
        for block in served
        for plugin in block.plugins
        if block.zone == ROOT
    )
