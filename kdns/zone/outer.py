"""What names beyond the cluster have in common: their zones, and answers of what is reached there.

A name is reached at addresses, or else at another name. It answers its addresses where it has any,
since no other record may stand beside a CNAME (RFC 1034 §3.6.2; CoreDNS gives both). Where records
of another name belong into an answer, there is an Alias or a Pending: the plugin, which alone may
wait, has it completed by `complete`.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache

from msgspec import Struct

from kdns.cluster.objects import Port
from kdns.cluster.store import Store  # noqa: TC001 - as everywhere here
from kdns.wire import names, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key, fold, is_below
from kdns.zone.external import Alias
from kdns.zone.services import FIXED, WIDTHS
from kdns.zone.view import Zone

Ask = Callable[[Key, int], Awaitable[Answer | None]]
"""Asks this server itself."""


class OuterSerial:
    """The serial of zones that are made of services, and of what else is beyond the cluster."""

    __slots__ = ("store",)

    def __init__(self) -> None:
        self.store: Store | None = None
        """Known once the cluster is."""

    @property
    def serial(self) -> int:
        """Unix time of the last change."""
        store = self.store
        return max(store.serial, store.outer_serial) if store is not None else 0


class Pending(Struct, frozen=True, gc=False):
    """An answer that lacks the addresses of other names."""

    answer: Answer
    wanted: tuple[Key, ...]


Found = Answer | Alias | Pending | None
"""None for a name that does not exist."""


class Reach(Struct, frozen=True, gc=False):
    """Where something is reached."""

    addresses: tuple[bytes, ...] = ()
    targets: tuple[str, ...] = ()
    """Names, of which the last one counts where only one can (CoreDNS)."""
    ports: Sequence[Port] = ()

    @property
    def is_nowhere(self) -> bool:
        """True when it is not reached at all."""
        return not (self.addresses or self.targets)


def zone_in(zones: Iterable[Zone], key: Key) -> Zone | None:
    """The first of the zones, the longest first, that holds a name; with its present answers."""
    for zone in zones:
        if key.endswith(zone.key) and is_below(key, zone.key):
            return zone.at_present()
    return None


def labels(key: Key, zone: Zone) -> list[str]:
    """The labels of a name left of its zone."""
    found, at, end = [], 0, len(key) - len(zone.key)
    while at < end:
        size = key[at]
        found.append(key[at + 1 : at + size + 1].decode("latin-1"))
        at += size + 1
    return found


def positive(zone: Zone, *rrsets: RRset, additional: tuple[RRset, ...] = ()) -> Answer:
    """The answer that holds these records."""
    flags = types.AA
    return Answer(types.NOERROR, rrsets, (), additional, flags, plugin=zone.plugin, live=True)


def addressed(zone: Zone, key: Key, type_: int, ttl: int, addresses: Iterable[bytes]) -> Answer:
    """Those of the addresses that are of this type, each once; NODATA without any."""
    width = WIDTHS.get(type_)
    found = tuple(dict.fromkeys(one for one in addresses if len(one) == width))
    return positive(zone, RRset(key, type_, ttl, found)) if found else zone.nodata


def reached(
    zone: Zone, key: Key, name: Key, type_: int, ttl: int, where: Reach
) -> Answer | Alias | Pending:
    """Answers `key` with where it is reached; SRV records point at `name`."""
    if type_ == types.SRV:
        return _located(zone, key, name, ttl, where)
    if where.addresses:
        return addressed(zone, key, type_, ttl, where.addresses)
    if where.targets and (type_ in WIDTHS or type_ == types.CNAME):
        target = _name(where.targets[-1])
        cname = RRset(key, types.CNAME, ttl, (target,))
        if type_ == types.CNAME:
            return positive(zone, cname)
        return Alias((cname,), fold(target))
    return zone.nodata


def _located(zone: Zone, key: Key, name: Key, ttl: int, where: Reach) -> Answer | Pending:
    """SRV records; the weight is an equal share of all (address, port) pairs (facts B.5)."""
    targets = tuple(dict.fromkeys(map(_name, where.targets)))
    ports = [port for port in where.ports if port.number >= 0]
    count = (len(where.addresses) + len(targets)) * len(where.ports)
    if not ports or not count:
        return zone.nodata
    weight = max(1, 100 // count)
    held = [name] if where.addresses else []
    rdatas = dict.fromkeys(
        FIXED(0, weight, port.number) + target for target in (*held, *targets) for port in ports
    )
    answer = positive(
        zone,
        RRset(key, types.SRV, ttl, tuple(rdatas)),
        additional=glue(name, ttl, where.addresses),
    )
    return Pending(answer, tuple(map(fold, targets))) if targets else answer


def glue(name: bytes, ttl: int, addresses: Iterable[bytes]) -> tuple[RRset, ...]:
    """The address records of a name, by family."""
    known = tuple(dict.fromkeys(addresses))
    sets = ((type_, tuple(a for a in known if len(a) == width)) for type_, width in WIDTHS.items())
    return tuple(RRset(name, type_, ttl, found) for type_, found in sets if found)


@lru_cache(maxsize=512)
def _name(text: str) -> bytes:
    return names.parse(text)


async def complete(zone: Zone, found: Alias | Pending, type_: int, ask: Ask) -> Answer:
    """The answer, with whatever this server says of the names it leads to.

    CoreDNS: what fails leaves the bare CNAME, or SRV, with NOERROR.
    """
    if isinstance(found, Alias):
        reply = await ask(found.target, type_)
        if reply is None:
            return positive(zone, *found.cnames)
        answer = positive(zone, *found.cnames, *reply.answer)
        return answer.but(flags=answer.flags | reply.flags & types.TC)
    more: dict[RRset, None] = dict.fromkeys(found.answer.additional)
    for target in found.wanted:
        for family in WIDTHS:
            reply = await ask(target, family)
            if reply is not None:
                more.update(dict.fromkeys(reply.answer))
    return found.answer.but(additional=tuple(more))
