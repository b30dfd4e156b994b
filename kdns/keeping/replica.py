"""A zone that follows its masters: SOA refresh, retry and expire (RFC 1034 §4.3.5), NOTIFY.

What was transferred is served while the masters are away, until it expires. A master is asked for
the difference first; where that does not fit, for the whole zone.
"""

import asyncio
import logging
from collections.abc import Callable
from random import Random

from kdns.client.ask import ask
from kdns.client.line import UpstreamError, address_text
from kdns.client.packets import build, read
from kdns.keeping.pull import Pulled, PullError, pull
from kdns.keeping.shelf import Held
from kdns.keeping.steps import walked
from kdns.wire import names, types
from kdns.wire.message import WireError
from kdns.zone.files.changes import applied, records
from kdns.zone.files.parse import ZoneError
from kdns.zone.files.zone import Zone, compiling, is_newer, serial_of

log = logging.getLogger("kdns.secondary")

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
"""Between attempts to get a zone that was never there."""
SHORTEST_S = 1.0
"""Refresh and retry of an SOA count as this at least."""
PATIENCE_S = 3.0
APART_S = 0.2
"""Between two looks at the masters, however often somebody says that a zone has changed: a NOTIFY
over UDP may have a forged sender."""

Count = Callable[..., None]


class Replica:
    """One zone and the masters it comes from. Runs from first need on, through reloads."""

    def __init__(
        self,
        held: Held,
        masters: tuple[tuple[str, int], ...],
        clock: Callable[[], float],
        chance: Random,
    ) -> None:
        self.held = held
        self.masters = masters
        self.failures = 0
        """Attempts that failed, of all."""
        self._clock = clock
        self._chance = chance
        self._notified = asyncio.Event()
        self._checked = float("-inf")
        """When a master last said what the present serial is."""
        self._retry_s = FIRST_RETRY_S
        self._trouble = ""

    def notify(self) -> None:
        """A master says that the zone has changed."""
        self._notified.set()

    async def run(self) -> None:
        """Follows the masters until cancelled."""
        while True:
            self._notified.clear()
            is_fresh = await self._refresh()
            if is_fresh:
                self._checked = self._clock()
                self._retry_s = FIRST_RETRY_S
            await self._expire()
            looked = self._clock()
            wait_s = self._pause(is_fresh=is_fresh)
            try:
                async with asyncio.timeout(wait_s * (0.9 + self._chance.random() / 10)):
                    await self._notified.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(max(looked + APART_S - self._clock(), 0))

    def _pause(self, *, is_fresh: bool) -> float:
        """How long to wait for the next look."""
        zone = self.held.zone
        if zone is None:
            self._retry_s = min(self._retry_s * 2, LONGEST_RETRY_S)
            return self._retry_s / 2
        refresh, retry, expire = _timers(zone)
        left = self._checked + expire - self._clock()
        return max(min(refresh if is_fresh else retry, left), SHORTEST_S)

    async def _expire(self) -> None:
        zone = self.held.zone
        if zone is not None and self._clock() - self._checked >= _timers(zone)[2]:
            name = names.format(self.held.apex)
            log.error("zone %s has expired: no master answered for %d s", name, _timers(zone)[2])
            await self.held.put(None)

    async def _refresh(self) -> bool:
        """Asks one master after the other; True when one of them knew the zone."""
        trouble = []
        for master in self.masters:
            try:
                await self._ask(master)
            except (PullError, UpstreamError, ZoneError, WireError) as error:
                self.failures += 1
                trouble.append(str(error))
            else:
                self._trouble = ""
                return True
        self._report("; ".join(trouble))
        return False

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            name = names.format(self.held.apex)
            served = "is served as it is" if self.held.zone else "cannot be served"
            log.warning("zone %s %s, for no master gives it: %s", name, served, trouble)

    async def _ask(self, master: tuple[str, int]) -> None:
        """Takes what a master has, where that is newer."""
        zone = self.held.zone
        if zone is not None and not is_newer(await self._serial(master), zone.serial):
            return
        pulled = await pull(master, self.held.apex, zone)
        if pulled.is_current and zone is not None:
            return
        await self._take(master, pulled, zone)

    async def _take(self, master: tuple[str, int], pulled: Pulled, zone: Zone | None) -> None:
        apex = self.held.apex
        how = "whole"
        if pulled.differences and zone is not None:
            try:
                new = await walked(compiling(apex, applied(zone, pulled.differences)))
                how = "differences"
            except ZoneError:
                pulled = await pull(master, apex, None)
                new = await walked(compiling(apex, records(pulled.rrsets)))
        else:
            new = await walked(compiling(apex, records(pulled.rrsets)))
        del pulled, zone
        await self.held.put(new)
        words = (names.format(apex), new.serial, address_text(master), how)
        log.info("zone %s: serial %d transferred from %s (%s)", *words)

    async def _serial(self, master: tuple[str, int]) -> int:
        packet = self._chance.randbytes(2) + build(self.held.apex, types.SOA, flags=0)[2:]
        message = read(await ask(master, packet, within=PATIENCE_S), is_datagram=True)
        for rrset in message.answer:
            if rrset.type == types.SOA and len(rrset.rdatas[0]) >= 22 and not message.rcode:
                return serial_of(rrset)
        what = types.rcode_name(message.rcode) if message.rcode else "no SOA"
        raise UpstreamError(f"{address_text(master)}: it said {what}")


def _timers(zone: Zone) -> tuple[int, int, int]:
    """Refresh, retry and expire."""
    rdata = zone.soa.rdatas[0]
    at = len(rdata) - 16
    return (
        int.from_bytes(rdata[at : at + 4], "big"),
        int.from_bytes(rdata[at + 4 : at + 8], "big"),
        int.from_bytes(rdata[at + 8 : at + 12], "big"),
    )
