"""trace: sends one in so many exchanges as a span to a collector of traces, after the fact.

What was answered when, by which directive, is told in a batch now and then; nobody waits for the
collector. While it does not take what it gets, a bounded number of traces wait for it.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from kdns.corefile.options import Settings, Shape, Syntax, duration, integer, number, text
from kdns.observe.post import PostError, post
from kdns.observe.tally import Tally
from kdns.plugins.base import Observer, Seen, Site
from kdns.wire import names, types
from kdns.wire.scan import scan

log = logging.getLogger("kdns.trace")

BACKLOG, BATCH, INTERVAL_S = 1000, 100, 1.0
"""Traces that wait at most, those of one request, and how often one is made."""
_KINDS = {"zipkin": ("localhost:9411", "/api/v2/spans"), "datadog": ("localhost:8126", "")}


def _flag(word: str) -> bool:
    """A truth as Go reads it."""
    if word in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if word in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError("true or false")


class Exchange(NamedTuple):
    """One exchange."""

    id: int
    child: int
    started: float
    took: float
    plugin: str
    labels: dict[str, str]


class Trace(Observer):
    """The tracer of a server block."""

    name = "trace"
    syntax = Syntax(
        args=Shape(maybe=(text, text)),
        options={
            "every": Shape(words=(integer(0, 2**64 - 1),)),
            "service": Shape(words=(text,)),
            "client_server": Shape(maybe=(_flag,)),
            "datadog_analytics_rate": Shape(maybe=(number(0, 1),)),
            "zipkin_max_backlog_size": Shape(words=(integer(None),)),
            "zipkin_max_batch_size": Shape(words=(integer(None),)),
            "zipkin_max_batch_interval": Shape(words=(duration(),)),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._is_first = site.beside.setdefault("trace", self) is self
        *kind, endpoint = settings.args or ("zipkin", "")
        self.kind = kind[0] if kind else "zipkin"
        if self.kind not in _KINDS:
            raise settings.fail(f"trace: {self.kind} is no kind of collector", "zipkin or datadog")
        self.url = self._url(endpoint)
        self.every: int = settings.get("every", 1) or 1
        self.service: str = settings.get("service", "coredns")
        self.rate: float = float(settings.get("datadog_analytics_rate", 0) or 0)
        self.backlog: int = self._more("zipkin_max_backlog_size", BACKLOG)
        self.batch: int = self._more("zipkin_max_batch_size", BATCH)
        self.interval_s: float = self._more("zipkin_max_batch_interval", INTERVAL_S)
        self._count = 0
        self._waiting: deque[Exchange] = deque()
        self._sent = Tally(site.counters, "kdns_traces_sent_total")
        self._dropped = Tally(site.counters, "kdns_traces_dropped_total")
        self._was_taken = True

    def _url(self, endpoint: str) -> str:
        host, path = _KINDS[self.kind]
        if endpoint.startswith(("http://", "https://")):
            url = endpoint
        else:
            url = f"http://{endpoint or host}{path}"
        try:
            _ = urlsplit(url).port
        except ValueError as error:
            raise self.settings.fail(f"trace: {endpoint!r} is no address: {error}") from error
        return url

    def _more(self, option: str, default: float) -> Any:  # Any: a number as the option has it
        given = self.settings.get(option, default)
        return given if given > 0 else default

    async def start(self) -> None:
        """Warns of what counts for nothing."""
        if not self._is_first:
            log.warning("only the first trace of a server block counts")
        if self.settings.has("client_server"):
            log.warning("client_server does nothing: no client sends a span with a DNS query")

    def observe(self, batch: Sequence[Seen]) -> None:
        """Keeps one in so many of a batch."""
        if not self._is_first:
            return
        then = self.site.wall() - self.site.clock()
        for seen in batch:
            self._count += 1
            if self._count % self.every:
                continue
            if len(self._waiting) >= self.backlog:
                self._dropped.hits += 1
                continue
            self._waiting.append(self._traced(seen, then))

    def _traced(self, seen: Seen, then: float) -> Exchange:
        question, chance = scan(seen.packet), self.site.chance
        labels = {
            "name": names.format(question.key),
            "type": types.type_name(question.type),
            "proto": seen.client.protocol,
            "remote": names.format_address(seen.client.address),
        }
        if seen.reply is not None:
            labels["rcode"] = types.rcode_name(seen.reply[3] & 0xF)
        if seen.error:
            labels["error"] = seen.error
        ids = chance.getrandbits(63) | 1, chance.getrandbits(63) | 1
        return Exchange(*ids, seen.started + then, seen.ended - seen.started, seen.plugin, labels)

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Sends what waits, again and again."""
        return (self._run(),) if self._is_first else ()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.interval_s)
            with suppress(PostError):
                while self._waiting:
                    await self._send()

    async def stop(self) -> None:
        """Sends what waits, once."""
        with suppress(PostError, TimeoutError):
            async with asyncio.timeout(1):
                while self._waiting:
                    await self._send()

    async def _send(self) -> None:
        """Sends a batch; what is not taken waits on."""
        size = min(self.batch, len(self._waiting))
        traces = [self._waiting[at] for at in range(size)]
        try:
            if self.kind == "zipkin":
                body = json.dumps(zipkin(traces, self.service)).encode()
                await post(self.url, body, {"Content-Type": "application/json"})
            else:
                body = msgspec.msgpack.encode(datadog(traces, self.service, self.rate))
                await post(f"{self.url}/v0.4/traces", body, _datadog_fields(size), method="PUT")
        except PostError as error:
            if self._was_taken:
                log.warning("no traces are taken at %s (%s): trying again", self.url, error)
            self._was_taken = False
            raise
        self._was_taken = True
        self._sent.hits += size
        for _ in range(size):
            self._waiting.popleft()


# Any: JSON, and what is like it
def zipkin(traces: Sequence[Exchange], service: str) -> list[dict[str, Any]]:
    """Traces as Zipkin takes them (its API v2): the exchange, and in it who answered."""
    spans: list[dict[str, Any]] = []
    for one in traces:
        id_, there = f"{one.id:016x}", {"serviceName": service}
        times = {"timestamp": round(one.started * 1e6), "duration": max(round(one.took * 1e6), 1)}
        ids = {"traceId": id_, "localEndpoint": there}
        if one.plugin:
            child = {"id": f"{one.child:016x}", "parentId": id_, "name": one.plugin}
            spans.append({**times, **ids, **child})
        tags = {_tag(name, "/"): value for name, value in one.labels.items()}
        spans.append(
            {**times, **ids, "id": id_, "name": "servedns", "kind": "SERVER", "tags": tags}
        )
    return spans


# Any: as above
def datadog(traces: Sequence[Exchange], service: str, rate: float) -> list[list[dict[str, Any]]]:
    """Traces as an agent of Datadog takes them (v0.4)."""
    out = []
    for one in traces:
        metrics = {"_sampling_priority_v1": 1.0, "_dd.top_level": 1.0}
        metrics |= {"_dd1.sr.eausr": rate} if rate else {}
        root: dict[str, Any] = {
            "name": "servedns", "service": service, "resource": "servedns", "type": "",
            "start": round(one.started * 1e9), "duration": max(round(one.took * 1e9), 1),
            "meta": {_tag(name, "@"): value for name, value in one.labels.items()},
            "metrics": metrics, "span_id": one.id, "trace_id": one.id, "parent_id": 0,
            "error": int("error" in one.labels),
        }  # fmt: skip
        root["meta"]["language"] = "python"
        child = {
            **root, "name": one.plugin, "resource": one.plugin, "meta": {}, "metrics": {},
            "span_id": one.child, "parent_id": one.id, "error": 0,
        }  # fmt: skip
        out.append([root, child] if one.plugin else [root])
    return out


def _tag(name: str, mark: str) -> str:
    return name if name == "error" else f"coredns.io{mark}{name}"


def _datadog_fields(count: int) -> dict[str, str]:
    return {
        "Content-Type": "application/msgpack",
        "Datadog-Meta-Lang": "python",
        "X-Datadog-Trace-Count": str(count),
    }
