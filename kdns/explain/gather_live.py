"""An API server tells Facts: of the services, namespaces and pods that some names point to.

Bounded in time, and nothing raises: what cannot be read is in `unknown`, with what to do about it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

from kdns.cluster.api.connection import Access
from kdns.explain.around import Around, Found, around
from kdns.explain.asking import UNREACHABLE, Ask, Asker, Listed, Query, Recent
from kdns.explain.facts import Facts, NamespaceFact, PodFact, ServiceFact
from kdns.explain.heap import TITLES
from kdns.explain.wanted import Wanted, addressed, led_to, selecting
from kdns.observe.counters import Counters

ALL_S = 15.0
KEPT_S = 30.0
MOST_ADDRESSES = 4


class Live:
    """One API server, asked from outside; what it said is good for a whole explanation."""

    def __init__(self, access: Access) -> None:
        self._asker = Asker(access, Counters())
        self._recent = Recent(self._asker.ask, monotonic, KEPT_S)
        self._trouble: str | None = None

    async def facts(self, found: Wanted, zones: Sequence[str]) -> Facts:
        """What it says around these services, namespaces and addresses."""
        if self._trouble is None:
            self._trouble = await self._asker.log_in()
        if self._trouble:
            return lost(self._trouble, zones)
        try:
            async with asyncio.timeout(ALL_S):
                return await _gather(self._recent.ask, found, zones)
        except TimeoutError:
            return lost(f"the API server took more than {ALL_S:g} s", zones)

    async def close(self) -> None:
        """Lets go of the API server."""
        await self._recent.close()
        self._asker.close()


async def live(access: Access, found: Wanted, zones: Sequence[str]) -> Facts:
    """What an API server says, asked once."""
    one = Live(access)
    try:
        return await one.facts(found, zones)
    finally:
        await one.close()


def lost(trouble: str, zones: Sequence[str]) -> Facts:
    """Nothing is known, for this reason."""
    return Facts(zones=tuple(zones), now=moment(), unknown=dict.fromkeys(TITLES, trouble))


def moment() -> str:
    """Now, as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class _Services:
    """The services that could be listed."""

    services: dict[str, ServiceFact]
    only: tuple[str, ...] = ()
    unknown: str = ""


async def _gather(ask: Ask, found: Wanted, zones: Sequence[str]) -> Facts:
    first = await ask(Query("services"))
    if first.status == UNREACHABLE:
        return lost(first.trouble, zones)
    known = await _services(ask, first, found)
    spaces = await ask(Query("namespaces"))
    namespaces = {one.name: one for one in spaces.facts if isinstance(one, NamespaceFact)}
    pods = await at(ask, found)
    found |= selecting(pods, known.services.values())
    found = led_to(addressed(found, known.services), known.services, zones)
    asked = _existing(found, namespaces) if not spaces.trouble else found
    here = await around(ask, Around(asked, known.services, pods))
    return _facts(known, namespaces, spaces.trouble, here, found, zones)


async def _services(ask: Ask, first: Listed, found: Wanted) -> _Services:
    """Those of all namespaces, or of the ones in question where not more is allowed."""
    services = keyed(first)
    if first.status != 403:
        return _Services(services, unknown=first.trouble)
    only = []
    for space in sorted(found.namespaces):
        listed = await ask(Query("services", space))
        if not listed.trouble:
            only.append(space)
            services |= keyed(listed)
    return _Services(services, tuple(only), "" if only else first.trouble)


def keyed(listed: Listed) -> dict[str, ServiceFact]:
    """Services by namespace and name."""
    found = [one for one in listed.facts if isinstance(one, ServiceFact)]
    return {f"{one.namespace}/{one.name}": one for one in found}


async def at(ask: Ask, found: Wanted) -> tuple[PodFact, ...]:
    """The pods that have the addresses in question."""
    pods: list[PodFact] = []
    for address in sorted(found.addresses)[:MOST_ADDRESSES]:
        listed = await ask(Query("pods", fields=f"status.podIP={address}"))
        pods += [one for one in listed.facts if isinstance(one, PodFact)]
    return tuple(pods)


def _existing(found: Wanted, namespaces: dict[str, NamespaceFact]) -> Wanted:
    """Of what is wanted, what lies in namespaces that exist."""
    return replace(found, namespaces=found.namespaces & namespaces.keys())


def _facts(
    known: _Services,
    namespaces: dict[str, NamespaceFact],
    trouble: str,
    here: Found,
    found: Wanted,
    zones: Sequence[str],
) -> Facts:
    unknown = dict(here.unknown)
    if known.unknown:
        unknown["services"] = known.unknown
    if trouble:
        unknown["namespaces"] = trouble
    for space in found.namespaces - namespaces.keys() if not trouble else ():
        here.pods[space], here.policies[space] = (), ()
    return Facts(
        zones=tuple(zones),
        now=moment(),
        namespaces=namespaces,
        services=known.services,
        slices=here.slices,
        pods=here.pods,
        policies=here.policies,
        unknown=unknown,
        only=known.only,
        skipped=tuple(here.skipped),
    )
