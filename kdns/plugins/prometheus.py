"""prometheus: counts what the blocks that name it answered, and serves all metrics over HTTP.

Counting is told per batch, after the fact; what the answer table gave comes as sums, once a second
and before each page. Numbers are raised in slots, lists and histograms of one zone on one listener
and transport. Labels are put together only when somebody asks for the page.
"""

import asyncio
import logging
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from kdns.corefile.options import Settings, Shape, Syntax, host_port, text
from kdns.observe import exposition, process
from kdns.observe.catalogue import DURATIONS, SIZES
from kdns.observe.counters import Counters, Labels
from kdns.observe.pauses import Pauses
from kdns.plugins.base import (
    Client,
    Endpoint,
    Hit,
    Hits,
    HttpReply,
    Life,
    Monitor,
    Observer,
    Seen,
    Site,
)
from kdns.wire import names, types
from kdns.wire.names import Key

log = logging.getLogger("kdns.prometheus")

TYPES: Final = (
    "A", "AAAA", "CNAME", "DNSKEY", "DS", "MX", "NSEC3", "NSEC", "NS", "PTR", "RRSIG", "SOA", "SRV",
    "TXT", "HTTPS", "SVCB", "IXFR", "AXFR", "ANY",
)  # fmt: skip
"""Types with a label of their own; the rest are `other` (CoreDNS)."""
DROPPED: Final = "dropped"
"""The zone of what the server refused without asking a plugin."""

_OTHER = len(TYPES)
_SHORTEST = DURATIONS[0]
_CODES = 32
"""Codes a reply can have: four bits, and BADVERS."""


def _places() -> bytes:
    """Four times the place in TYPES, for every type there can be."""
    places = bytearray((4 * _OTHER,)) * 65536
    for at, name in enumerate(TYPES):
        places[types.parse_type(name)] = 4 * at
    return bytes(places)


def _buckets() -> bytes:
    """The bucket of every size a message can have."""
    bounds = (-1, *SIZES, 65535)
    return b"".join(bytes((at,)) * (bounds[at + 1] - bounds[at]) for at in range(len(SIZES) + 1))


_PLACES = _places()
_BUCKETS = _buckets()

Responses = defaultdict[str, list[int]]
"""How many replies had each code, by the plugin that made them."""


class Slots:
    """Numbers of one zone on one listener, over one transport."""

    __slots__ = ("counters", "do", "durations", "hits", "replies", "requests", "responses", "sizes")

    def __init__(
        self, counters: Counters, labels: tuple[str, str, str], proto: str, responses: Responses
    ) -> None:
        self.counters = counters
        self.do = ("coredns_dns_do_requests_total", *labels)
        self.hits = ("kdns_table_hits_total", labels[0])
        self.requests = [0] * (4 * len(TYPES) + 4)
        """By type; in fours: IPv4, IPv6, and two places that stay empty."""
        self.responses = responses
        name = "coredns_dns_request_duration_seconds"
        self.durations = counters.histogram(DURATIONS, name, *labels)
        name = "coredns_dns_request_size_bytes"
        self.sizes = counters.histogram(SIZES, name, *labels, proto)
        name = "coredns_dns_response_size_bytes"
        self.replies = counters.histogram(SIZES, name, *labels, proto)

    def count(self, batch: Sequence[Seen], stray: int | None = types.REFUSED) -> list[Seen]:
        """Counts a batch, but for what has the code `stray` and no plugin: that it gives back."""
        # perf: bench nx; every look-up that can be made once for a batch is made once
        requests, responses, buckets, places = self.requests, self.responses, _BUCKETS, _PLACES
        sizes, replies, durations = self.sizes.counts, self.replies.counts, self.durations.counts
        strays: list[Seen] = []
        do = kept = asked_bytes = replied_bytes = 0
        spent = 0.0
        for one in batch:
            reply, plugin = one.reply, one.plugin
            if reply is None:
                replies[0] += 1
                responses[""][0] += 1
            else:
                code = reply[3] & 0xF
                if not plugin:
                    if code == stray:
                        strays.append(one)
                        continue
                    code = _code(reply)
                size = len(reply)
                replied_bytes += size
                replies[buckets[size]] += 1
                responses[plugin][code] += 1
            size = len(one.packet)
            asked_bytes += size
            sizes[buckets[size]] += 1
            requests[places[one.type] + (len(one.client.address) == 16)] += 1
            if one.do:
                do += 1
            if one.is_kept:
                kept += 1
            took = one.ended - one.started
            spent += took
            durations[0 if took <= _SHORTEST else bisect_left(DURATIONS, took)] += 1
        self.sizes.sum += asked_bytes
        self.replies.sum += replied_bytes
        self.durations.sum += spent
        if do:
            self.counters.values[self.do] += do
        if kept:
            self.counters.values[self.hits] += kept
        return strays

    def count_hits(self, hits: Sequence[Hit], stray: int | None = types.REFUSED) -> list[Hit]:
        """The same for sums, but for how long it took."""
        requests, buckets = self.requests, _BUCKETS
        strays: list[Hit] = []
        kept = do = asked_bytes = replied_bytes = 0
        for hit in hits:
            plugin, code, count = hit.plugin, hit.rcode, hit.count
            if not plugin and code == stray:
                strays.append(hit)
                continue
            if hit.is_kept:
                kept += count
            size = hit.packet_size
            asked_bytes += size * count
            self.sizes.counts[buckets[size]] += count
            replied_bytes += hit.reply_size * count
            self.replies.counts[buckets[hit.reply_size]] += count
            self.responses[plugin][code] += count
            place = _PLACES[hit.type]
            requests[place] += count - hit.count_v6
            requests[place + 1] += hit.count_v6
            if hit.do:
                do += count
        self.sizes.sum += asked_bytes
        self.replies.sum += replied_bytes
        if do:
            self.counters.values[self.do] += do
        if kept:
            self.counters.values[self.hits] += kept
        return strays


def _code(reply: bytes) -> int:
    """The code of a reply that the server made itself; only its BADVERS is an extended one."""
    if reply[-11:-8] == b"\0\0\x29" and reply[-6] == types.BADVERS >> 4 and not reply[3] & 0xF:
        return types.BADVERS
    return reply[3] & 0xF


class Exchanges:
    """All slots of the process; they outlive the Corefile they were made for."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._slots: dict[tuple[str, str, str, str], Slots] = {}
        self._responses: dict[tuple[str, str, str], Responses] = {}
        self.turn = asyncio.Lock()
        """One page at a time: each is written in slices, and slices of many would add up."""
        counters.ask("coredns_dns_requests_total", self._requests)
        counters.ask("coredns_dns_responses_total", self._coded)

    def slots(self, labels: tuple[str, str, str], proto: str) -> Slots:
        """The slots of a zone on a listener and in a view, over a transport."""
        key = (*labels, proto)
        found = self._slots.get(key)
        if found is None:
            responses = self._responses.setdefault(labels, defaultdict(lambda: [0] * _CODES))
            found = self._slots[key] = Slots(self._counters, labels, proto, responses)
        return found

    def _requests(self) -> Iterator[tuple[Labels, float]]:
        for (*labels, proto), slots in self._slots.items():
            for at, count in enumerate(slots.requests):
                if count:
                    type_ = (*TYPES, "other")[at >> 2]
                    yield (*labels, proto, "2" if at & 3 else "1", type_), count

    def _coded(self) -> Iterator[tuple[Labels, float]]:
        for labels, responses in self._responses.items():
            for plugin, codes in responses.items():
                for code, count in enumerate(codes):
                    if count:
                        yield (*labels, types.rcode_name(code), plugin), count


class Prometheus(Observer):
    """`prometheus [ADDRESS] { runtime_metrics }`."""

    name = "prometheus"
    syntax = Syntax(
        args=Shape(maybe=(host_port,)),
        options={"runtime_metrics": Shape(), "tls": Shape((text,), is_single=True)},
    )
    wants_each = False
    wants_strays = True

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        web = settings.get("tls", "")
        self.web = str(Path(site.root, web)) if web else ""
        self._is_served = True
        self.address: tuple[str, int] = settings.args[0] if settings.args else ("localhost", 9153)
        self._exchanges = site.share("exchanges", lambda: Exchanges(site.counters))
        site.share("pauses", lambda: Pauses(site.counters, site.clock))
        self._is_wild = any(not host for host, _ in site.listen)
        self.scheme = site.label.partition("://")[0]
        self._found: dict[tuple[Key, str, bytes, int], Slots] = {}

    async def start(self) -> None:
        """Publishes what is known of the process and of the plugins that serve."""
        if self.web:
            self._check_web()
        process.publish(self.site.counters, runtime=self.settings.has("runtime_metrics"))
        self.site.counters.ask("coredns_plugin_enabled", partial(_enabled, self.site.life))

    def endpoints(self) -> Sequence[Endpoint]:
        """The page itself."""
        if not self._is_served:
            return ()
        return (Endpoint(*self.address, "/metrics", self._serve, self.web),)

    def _check_web(self) -> None:
        """CoreDNS: without a web configuration that will do there is no page, but there is DNS."""
        from kdns.observe import webfile  # noqa: PLC0415 - YAML is read by few

        try:
            if webfile.read(self.web) is not None:
                webfile.secured(self.web)
            else:
                log.warning("%s asks for no TLS: the page is served without", self.web)
        except webfile.WebError as error:
            self._is_served = False
            log.error("metrics are not served: %s", error)  # noqa: TRY400 - foreseeable

    async def _serve(self, _parameters: Mapping[str, str]) -> HttpReply:
        async with self._exchanges.turn:
            if self.site.life.tell is not None:
                await self.site.life.tell()
            page = await exposition.render(self.site.counters, self.site.clock)
        return HttpReply(200, page, exposition.TYPE)

    def observe(self, batch: Sequence[Seen]) -> None:
        """Counts a batch; what the server refused itself is of no zone."""
        first = batch[0]
        strays = self._slots(first.zone, first.client).count(batch)
        if strays:
            self._find(Key(b""), first.client).count(strays, None)

    def observe_hits(self, hits: Hits) -> None:
        """Counts what the table gave."""
        slots, latency = self._slots(hits.zone, hits.where), hits.latency
        strays = slots.count_hits(hits.hits)
        if strays:
            whole, count = sum(latency.counts), sum([hit.count for hit in strays])
            refused = self._find(Key(b""), hits.where)
            refused.durations.add(latency.split(min(count, whole), whole))
            refused.count_hits(strays, None)
        slots.durations.add(latency)

    def _slots(self, zone: Key, client: Client) -> Slots:
        local = b"" if self._is_wild else client.local
        key = (zone, client.transport, local, client.local_port)
        slots = self._found.get(key)
        if slots is None:
            slots = self._found[key] = self._find(zone, client)
        return slots

    def _find(self, zone: Key, client: Client) -> Slots:
        name = names.format(zone) if zone else DROPPED
        view = self.site.beside.get("view", "") if zone else ""
        return self._exchanges.slots((self._server(zone, client), name, view), client.protocol)

    def _server(self, zone: Key, client: Client) -> str:
        """The listener that was asked: a bound address, else the wildcard.

        A PROXY header names the proxy's own port; then it is the block's first listener.
        """
        host = names.format_address(client.local) if any(client.local) else ""
        own = [self.site] if zone else [one.site for one in self.site.life.plugins]
        if zone and all(port != client.local_port for _, port in self.site.listen):
            return self.site.label
        if all((host, client.local_port) not in site.listen for site in own):
            host = ""
        scheme = "dns" if client.transport in ("udp", "tcp") else client.transport
        return _label(scheme, host, client.local_port)


def _enabled(life: Life) -> Iterator[tuple[Labels, float]]:
    """The plugins that take part in answering, in the blocks that are counted (CoreDNS)."""
    serving = life.plugins
    for counted in serving:
        if not isinstance(counted, Prometheus):
            continue
        site = counted.site
        chain = {
            one.name: None
            for one in serving
            if one.site.beside is site.beside
            and (not isinstance(one, Monitor) or one.name == "shed")  # CoreDNS asks it, too
        }
        for name in chain:
            for host in dict.fromkeys(host for host, _ in site.listen):
                server = _label(counted.scheme, host, int(site.label.rpartition(":")[2]))
                yield (server, names.format(site.zones[0]), site.beside.get("view", ""), name), 1


def _label(scheme: str, host: str, port: int) -> str:
    """A listener as metrics name it."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
