"""health: says over HTTP that the process runs, and holds the stop up while queries still come.

The probe that measures how late the server answers goes through its own socket, as the kubelet's
does. `lameduck` is a least time: what still comes in at its end is waited for, within bounds.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from kdns.corefile.options import Settings, Shape, Syntax, duration, host_port
from kdns.plugins.base import Endpoint, HttpReply, Monitor, Site

log = logging.getLogger("kdns.health")

BUCKETS: Final = tuple(0.00025 * 10**n for n in range(5))
PROBE_S: Final = 5.0
"""A probe that takes longer has failed."""
QUIET_S: Final = 1.0
"""No packet for so long: nobody sends queries here any more."""
MORE_S: Final = 5.0
"""The most that lameduck is made longer, and never by more than its own length."""


class Health(Monitor):
    """Serves /health, probes itself, and is the lame duck."""

    name = "health"
    syntax = Syntax(
        args=Shape(maybe=(host_port,)),
        options={"lameduck": Shape((duration(0),))},
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        at: tuple[str, int] = (*settings.args, ("", 8080))[0]
        self.host, self.port = at
        self.lameduck_s: float = settings.get("lameduck", 0.0)

    def endpoints(self) -> Sequence[Endpoint]:
        """/health, 200 for as long as anything is served."""
        return (Endpoint(self.host, self.port, "/health", self._serve),)

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Probes itself each second; one worker of several does it for all."""
        return (self._probe(),) if self.site.life.is_lead else ()

    async def wind_down(self) -> None:
        """Lets the server answer on until the queries have found another one."""
        if self.lameduck_s:
            log.info("lameduck: queries are answered for %g s more", self.lameduck_s)
        await asyncio.sleep(self.lameduck_s)
        clock, heard_at = self.site.clock, self.site.life.heard_at
        end = clock() + min(self.lameduck_s, MORE_S)
        while (left_s := min(end, heard_at() + QUIET_S) - clock()) > 0:  # noqa: ASYNC110 - packets set no event
            await asyncio.sleep(left_s)

    async def _serve(self, _query: Mapping[str, str]) -> HttpReply:
        return HttpReply()

    async def _probe(self) -> None:
        counters, clock = self.site.counters, self.site.clock
        took = counters.histogram(BUCKETS, "coredns_health_request_duration_seconds")
        while True:
            await asyncio.sleep(1)
            if self not in self.site.life.plugins:
                continue  # the socket opens when everything has started
            began = clock()
            if not await self._is_well():
                counters.add("coredns_health_request_failures_total")
            took.observe(clock() - began)

    async def _is_well(self) -> bool:
        """Asks as a kubelet does: a connection of its own for each probe."""
        here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1", "::": "::1"}  # noqa: S104 - to ask, not to bind
        host = here.get(self.host, self.host)
        writer = None
        try:
            async with asyncio.timeout(PROBE_S):
                reader, writer = await asyncio.open_connection(host, self.port)
                writer.write(b"GET /health HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n")
                return (await reader.read()).startswith(b"HTTP/1.1 200 ")
        except (OSError, TimeoutError):
            return False
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
