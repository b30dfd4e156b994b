"""Gives whole zones to those who may have them, and tells others when one has changed.

All `transfer` directives of a block make one list; the longest zone in it decides. What there is to
give stands in `site.beside["transfer"]`: file, auto, secondary, kubernetes and others put
themselves there. Messages are made while they are sent.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kdns.client.targets import parse_address
from kdns.corefile.options import Settings, Shape, Syntax, zones
from kdns.corefile.values import address
from kdns.keeping.notify import Notifier
from kdns.keeping.pour import incremental, whole
from kdns.plugins.base import SKIP, Backend, Query, Result, Site, own_zones, zone_of
from kdns.wire import message, names, types
from kdns.wire.message import Answer, RRset, WireError
from kdns.wire.names import Key
from kdns.wire.parse import parse
from kdns.wire.records import address as packed
from kdns.zone.transfers import Source

LOOK_S = 30.0
"""How often serials are looked at: those of the cluster may change many times a second."""
_STREAMS = frozenset(("tcp", "tls"))
_TRANSFERS = frozenset((types.AXFR, types.IXFR))


def _receiver(word: str) -> tuple[str, int] | None:
    """Anyone for `*`."""
    return None if word == "*" else parse_address(word)


def _source(word: str) -> str:
    return names.format_address(address(word))


@dataclass(frozen=True, slots=True)
class Rule:
    """One stanza: who may have these zones."""

    zones: tuple[Key, ...]
    has_anyone: bool
    hosts: frozenset[bytes]

    def admits(self, host: bytes) -> bool:
        """True for an asker who may have them."""
        return self.has_anyone or host in self.hosts


class Transfer(Backend):
    """`transfer [ZONES…] { to ADDRESS…; source ADDRESS }`."""

    name = "transfer"
    syntax = Syntax(
        args=Shape(rest=zones),
        options={
            "to": Shape(rest=_receiver, at_least=1, repeats=True),
            "source": Shape(words=(_source,), repeats=True),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        if not settings.has("to"):
            raise settings.fail("transfer: who may have the zones? say `to ADDRESS` or `to *`")
        if len(settings.all("source")) > 1:
            raise settings.all("source")[1].fail("transfer: source is given twice")
        receivers = settings.values("to")
        targets = tuple(dict.fromkeys(one for one in receivers if one is not None))
        self.rule = Rule(
            own_zones(settings, site, settings.args),
            None in receivers,
            frozenset(packed(host) for host, _ in targets),
        )
        self._rules: list[Rule] = site.beside.setdefault("transfer rules", [])
        self._rules.append(self.rule)
        self._answers = self._rules[0] is self.rule
        self._sources: list[Source] = site.beside.setdefault("transfer", [])
        self._targets = targets
        self._hooked: list[tuple[Source, Any]] = []  # Any: a bound method, to be taken off again
        self._told: dict[Key, int | None] = {}

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Tells of changes; of several workers one does."""
        return (self._notify(),) if self._targets and self.site.life.is_lead else ()

    async def _notify(self) -> None:
        notifier = Notifier(self._targets, self.settings.get("source", ""), self.site.chance)
        changed = partial(self._changed, notifier)
        for source in self._sources:
            source.on_change.append(changed)
            self._hooked.append((source, changed))
            for zone in source.zones:
                if source.serial(zone) is not None:
                    changed(zone)  # CoreDNS: at the start, too
        async with asyncio.TaskGroup() as both:
            both.create_task(notifier.run())
            both.create_task(self._look(changed))

    async def _look(self, changed: Callable[[Key], None]) -> None:
        """Tells of what nobody says has changed, which is the cluster."""
        while True:
            await asyncio.sleep(LOOK_S)
            for zone in {zone for source in self._sources for zone in source.zones}:
                if self._serial(zone) not in (None, self._told.get(zone)):
                    changed(zone)

    def _serial(self, zone: Key) -> int | None:
        source = next((one for one in self._sources if zone in one.zones), None)
        return source.serial(zone) if source is not None else None

    def _changed(self, notifier: Notifier, zone: Key) -> None:
        if self._rule_of(zone) is self.rule:
            self._told[zone] = self._serial(zone)
            notifier.changed(zone)

    async def stop(self) -> None:
        """Wants to hear of no more changes."""
        for source, changed in self._hooked:
            source.on_change.remove(changed)

    def _rule_of(self, zone: Key) -> Rule | None:
        """The stanza with the longest zone that holds this one."""
        best = zone_of(zone, [one for rule in self._rules for one in rule.zones])
        return next((rule for rule in self._rules if best in rule.zones), None)

    async def answer(self, query: Query) -> Result:
        """The messages of a transfer."""
        return self.at_once(query)

    def at_once(self, query: Query) -> Result:
        """The same at once; what is no transfer, or of no zone that is here, is for the others."""
        if query.type not in _TRANSFERS or not self._answers or query.opcode != types.QUERY:
            return SKIP
        rule = self._rule_of(query.key)
        if rule is None:
            return SKIP
        query.reads_client()
        if not rule.admits(query.client.address):
            return Answer(types.REFUSED, ede=((types.EDE_PROHIBITED, ""),), plugin=self.name)
        zone = query.key
        source = next((one for one in self._sources if zone in one.zones), None)
        return SKIP if source is None else self._given(query, source, zone)

    def _given(self, query: Query, source: Source, zone: Key) -> Result:
        serial = source.serial(zone)
        if serial is None:
            return Answer(types.SERVFAIL, ede=((types.EDE_NOT_READY, ""),), plugin=self.name)
        known = _known_serial(query) if query.type == types.IXFR else None
        if known is not None and not 0 < (serial - known) & 0xFFFFFFFF < 0x80000000:
            return self._present(source, zone)
        if query.client.transport not in _STREAMS:
            if query.type == types.IXFR:
                return self._present(source, zone)  # RFC 1995 §4: ask again over TCP
            ede = ((types.EDE_NOT_SUPPORTED, "AXFR needs TCP"),)  # RFC 5936 §4.2
            return Answer(types.REFUSED, ede=ede, plugin=self.name)
        since = getattr(source, "since", None)
        differences = since(zone, known) if known is not None and since is not None else None

        def messages() -> Iterator[Answer]:
            if differences:
                return incremental(differences, self.name)
            return whole(source, zone, self.name)

        return message.Transfer(messages=messages, flags=types.AA, plugin=self.name)

    def _present(self, source: Source, zone: Key) -> Answer:
        """The SOA alone: the asker has all there is, or is to ask in another way."""
        soa: RRset = next(source.records(zone))
        return Answer(answer=(soa,), flags=types.AA, plugin=self.name)


def _known_serial(query: Query) -> int | None:
    """The serial that the asker has: that of the SOA in his query (RFC 1995 §3)."""
    try:
        authority = parse(query.packet).authority
    except WireError:
        return None
    for rrset in authority:
        if rrset.type == types.SOA and len(rrset.rdatas[0]) >= 22:
            return int.from_bytes(rrset.rdatas[0][-20:-16], "big")
    return None
