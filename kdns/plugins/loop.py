"""loop: finds out whether what is forwarded comes back, and then forwards nothing of that zone.

A probe is a question for a name that nobody else can know, sent to the server's own socket. Seen
more than twice, it has been round: `forward` stands behind this plugin, so all that comes here in
the looping zone gets SERVFAIL, and everything in front of it goes on answering. Probes pass through
even then, so that the end of the loop is noticed too. A probe that fails on its way says nothing of
an end: it is what another server of the loop answers that has isolated it, too.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final

from kdns.corefile.options import Settings
from kdns.observe.counters import Labels
from kdns.plugins.base import Filter, Life, Next, Query, Result, Site
from kdns.wire import names, types
from kdns.wire.message import Answer
from kdns.wire.names import Key

log = logging.getLogger("kdns.loop")

HINFO: Final = types.parse_type("HINFO")
MOST_SEEN: Final = 2
ANSWER_S: Final = 2.0
START_S: Final = 30.0
"""How long the first probe is repeated until one gets through and comes to no loop."""
RETRY_S: Final = 0.5
"""How long to wait before the first repetition; twice as long before each next one."""
EVERY_S: Final = 60.0
EVERY_LOOPING_S: Final = 10.0
CLEAN: Final = 3
"""Probes in a row that must be answered and not come back: not every upstream need loop."""


class Probe:
    """What is known of the loop of one zone."""

    def __init__(self, zone: Key, mark: str) -> None:
        self.zone = zone
        self._mark = b"\x10" + mark.encode() + zone
        """How the names of all workers' probes end; each has a first label of its own."""
        self.name = zone
        """The name that is on its way."""
        self.seen = 0
        self.clean = 0
        """Probes in a row that were answered and did not come back."""
        self.is_looping = False

    def renew(self) -> bytes:
        """The next probe's packet."""
        self.name = Key(b"\x10" + secrets.token_hex(8).encode() + self._mark)
        self.seen = 0
        head = secrets.token_bytes(2) + b"\x01\0\0\1" + bytes(6)
        return head + self.name + HINFO.to_bytes(2, "big") + b"\0\1"

    def is_ours(self, key: Key) -> bool:
        """True for the name of a probe of any worker; each counts its own."""
        return len(key) == len(self.name) and key.endswith(self._mark)


class Loop(Filter):
    """Stands before `forward` and asks itself."""

    name = "loop"

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.probes = {zone: self._share(zone) for zone in site.zones}
        self._is_quiet = False
        self._refused = Answer(
            rcode=types.SERVFAIL, ede=((0, "a forwarding loop"),), plugin=self.name
        )

    def _share(self, zone: Key) -> Probe:
        """The probe of a zone, one through reloads: what loops does so during the next one, too."""
        return self.site.share(
            ("loop", self.site.listen, zone), lambda: Probe(zone, self.site.life.mark)
        )

    async def start(self) -> None:
        """Publishes the zones that loop."""
        if not self.site.is_plain:
            word = self.settings.word
            log.warning(
                "%s: nothing is looked for, since probes are sent over UDP and %s takes none; a key"
                " dns:// in the block, or loop in the one that serves the rest, finds what loops",
                f"{word.file}:{word.line}", self.site.label,
            )  # fmt: skip
        self.site.counters.ask("kdns_loop_detected", partial(_looping, self.site.life))

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Probes each zone, where UDP brings the probe to us and to nobody else."""
        if not self.site.is_plain:
            return ()
        return [self._watch(probe) for probe in self.probes.values()]

    async def around(self, query: Query, next_: Next) -> Result:
        """Counts probes; refuses all else while the zone loops."""
        probe = self.probes.get(query.zone)
        if probe is None:
            return await next_(query)
        query.touch(probe)
        if query.type == HINFO and probe.is_ours(query.key):
            query.forget()
            if query.key == probe.name:
                probe.seen += 1
                if probe.seen > MOST_SEEN:
                    return self._refused
            return await self._pass(query, next_)
        return self._refused if probe.is_looping else await next_(query)

    async def _pass(self, query: Query, next_: Next) -> Result:
        """Lets a probe pass. Only at the start is its failure an error, with a line in the log."""
        result = await next_(query)
        if self._is_quiet and isinstance(result, Answer) and result.error:
            return result.but(error="")
        return result

    async def _watch(self, probe: Probe) -> None:
        while self not in self.site.life.plugins:  # noqa: ASYNC110 - rare, and for a moment
            await asyncio.sleep(RETRY_S / 10)
        clock, chance = self.site.clock, self.site.chance
        end, wait_s = clock() + START_S, RETRY_S
        while clock() < end and (not await self._ask(probe) or probe.is_looping):
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, EVERY_LOOPING_S)
        self._is_quiet = True
        while True:
            every_s = EVERY_LOOPING_S if probe.is_looping else EVERY_S
            await asyncio.sleep(every_s * (0.75 + chance.random() / 2))
            await self._ask(probe)

    async def _ask(self, probe: Probe) -> bool:
        """Sends a probe and judges; True when it got through and was answered."""
        rcode = await _exchange(self._own_address(), probe.renew())
        if probe.seen > MOST_SEEN:
            probe.clean = 0
            self._turn(probe, is_looping=True)
            return False
        if rcode in {None, types.SERVFAIL}:
            return False
        probe.clean += 1
        self._turn(probe, is_looping=probe.is_looping and probe.clean < CLEAN)
        return True

    def _turn(self, probe: Probe, *, is_looping: bool) -> None:
        if is_looping == probe.is_looping:
            return
        probe.is_looping = is_looping
        self.site.stamps.bump((probe,))
        zone = names.format(probe.zone)
        if is_looping:
            log.error(
                "loop detected for zone %s: what %s sends comes back to this server. It answers"
                " SERVFAIL instead of forwarding until that ends, and everything else as before."
                " Likely an upstream, or a nameserver in a resolv.conf named there, leads back here"
                " (127.0.0.53 is the node's own resolver): name the real upstreams, or the file"
                " /run/systemd/resolve/resolv.conf",
                zone,
                self._forwards(),
            )
        else:
            log.info("the loop of zone %s has ended: its names are forwarded again", zone)

    def _forwards(self) -> str:
        """Where the lines stand that forward."""
        words = [
            plugin.settings.word
            for plugin in self.site.life.plugins
            if plugin.name == "forward" and plugin.site.zones == self.site.zones
        ]
        return " or ".join(f"forward ({word.file}:{word.line})" for word in words) or "forward"

    def _own_address(self) -> tuple[str, int]:
        host, port = self.site.listen[0]
        return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 - to ask, not to bind


def _looping(life: Life) -> Iterable[tuple[Labels, float]]:
    """The state of every zone, of all plugins that serve."""
    for plugin in life.plugins:
        if isinstance(plugin, Loop):
            for probe in plugin.probes.values():
                yield (names.format(probe.zone),), float(probe.is_looping)


async def _exchange(address: tuple[str, int], packet: bytes) -> int | None:
    """Sends a packet; the code of the reply, None when none came in time."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(address)
            await loop.sock_sendall(sock, packet)
            async with asyncio.timeout(ANSWER_S):
                return (await loop.sock_recv(sock, 4096))[3] & 0xF
    except OSError:  # refused, no answer in time, or no socket left
        return None
