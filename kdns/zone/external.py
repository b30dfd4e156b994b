"""ExternalName services: a chain of CNAMEs followed inside the zone, up to a name outside of it.

What lies outside is asked by the plugin, which alone may wait. A chain that comes back to itself,
grows too long, or ends inside the zone without records of the type answers nothing at all
(CoreDNS: the CNAME is left out too, facts B.4).
"""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address

from msgspec import Struct

from kdns.cluster.objects import Service
from kdns.wire import names, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key, fold, is_below
from kdns.zone.names import Labels
from kdns.zone.services import WIDTHS
from kdns.zone.view import View, Zone, positive

LIMIT = 11
"""CNAMEs of a chain inside the zone (CoreDNS 1.15.0, measured: the twelfth is one too many)."""

Ask = Callable[[Key, Labels], Answer | Service | None]
"""Answers for a name of the zone, given its labels."""


class Alias(Struct, frozen=True, gc=False):
    """CNAMEs that lead out of the zone, and the name they end at."""

    cnames: tuple[RRset, ...]
    target: Key


def answer(
    view: View, zone: Zone, key: Key, service: Service, type_: int, ask: Ask
) -> Answer | Alias | None:
    """Answers for the name of an ExternalName service; None when its target is no name."""
    target = target_of(service.external_name)
    if target is None:
        return None
    if type_ not in WIDTHS:  # every type: RFC 1034 §3.6.2 (CoreDNS: NODATA but for CNAME)
        return positive(RRset(key, types.CNAME, view.ttl, (target,)))
    cnames: list[RRset] = []
    owner = key
    while target is not None and len(cnames) < LIMIT:
        seen = [rrset.owner for rrset in cnames]
        there = fold(target)
        if is_below(there, owner) or there in seen:
            return zone.nodata
        cnames.append(RRset(owner, types.CNAME, view.ttl, (target,)))
        at = view.find(there)
        if at is None or at[0] is not zone:
            return Alias(tuple(cnames), there)
        found = ask(there, at[1])
        if not isinstance(found, Service):
            return positive(*cnames, *found.answer) if found and found.answer else zone.nodata
        owner, target = there, target_of(found.external_name)
    return zone.nodata


@lru_cache(maxsize=512)
def target_of(text: str) -> bytes | None:
    """The name as the service spells it; None when it is an address or cannot be a name."""
    try:
        ip_address(text.removesuffix("."))
    except ValueError:
        try:
            return names.parse(text)
        except ValueError:
            return None
    return None
