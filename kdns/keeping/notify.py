"""Tells other servers that a zone has changed (RFC 1996): sent until answered, a few times.

One NOTIFY per zone and server is under way at most; changes that come meanwhile are told by one
more after it.
"""

import asyncio
import logging
from functools import partial
from random import Random

from kdns.client.line import UpstreamError
from kdns.client.upstream import UDP, Keeping, Upstream
from kdns.wire import names, types
from kdns.wire.names import Key

log = logging.getLogger("kdns.transfer")

ATTEMPTS = 5
PATIENCE_S = 3.0
TOGETHER_S = 0.5
"""Changes of one zone within this time are told together."""
_HEAD = (types.NOTIFY << 11 | types.AA).to_bytes(2, "big") + b"\0\1" + bytes(6)
_TAIL = b"\0\x06\0\x01"


class Notifier:
    """The servers to be told of some zones."""

    def __init__(self, targets: tuple[tuple[str, int], ...], source: str, chance: Random) -> None:
        self.targets = targets
        self.source = source
        self._chance = chance
        self._changed: dict[Key, None] = {}
        self._wake = asyncio.Event()
        self._said: dict[tuple[Key, str], str] = {}
        """What stood in the way last, which the log says once."""

    def changed(self, zone: Key) -> None:
        """Notes that a zone has a new serial."""
        self._changed[zone] = None
        self._wake.set()

    async def run(self) -> None:
        """Tells what is noted, until cancelled."""
        running: dict[Key, asyncio.Task[None]] = {}
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(TOGETHER_S)
                self._wake.clear()
                for zone in [zone for zone in self._changed if zone not in running]:
                    del self._changed[zone]
                    running[zone] = asyncio.create_task(self._tell(zone))
                    running[zone].add_done_callback(partial(self._told, running, zone))
        finally:
            for task in running.values():
                task.cancel()

    def _told(
        self, running: dict[Key, "asyncio.Task[None]"], zone: Key, _: "asyncio.Task[None]"
    ) -> None:
        del running[zone]
        if zone in self._changed:
            self._wake.set()

    async def _tell(self, zone: Key) -> None:
        await asyncio.gather(*(self._send(zone, *target) for target in self.targets))

    async def _send(self, zone: Key, host: str, port: int) -> None:
        wait_s, why = PATIENCE_S, ""
        for _ in range(ATTEMPTS):
            upstream = Upstream(host, port, Keeping(source=self.source))
            packet = self._chance.randbytes(2) + _HEAD + zone + _TAIL
            try:
                reply = await upstream.ask(packet, UDP, wait_s)
            except UpstreamError as error:
                why = str(error)
            else:
                rcode = reply[3] & 0xF
                if rcode == types.NOERROR:
                    self._said.pop((zone, host), None)
                    return
                why = types.rcode_name(rcode)
                break
            finally:
                upstream.close()
            await asyncio.sleep(wait_s * (0.5 + self._chance.random() / 2))
            wait_s *= 2
        if self._said.get((zone, host)) == why:
            return
        self._said[zone, host] = why
        log.warning("%s was not told that %s has changed: %s", host, names.format(zone), why)
