"""trace: spans as Zipkin and Datadog get them, over real sockets; a collector that is not there."""

import asyncio
import json
from contextlib import asynccontextmanager

import msgspec
import pytest

from kdns.corefile.tree import ConfigError
from kdns.observe.post import PostError, post
from kdns.plugins.trace import Trace
from tests import fakes
from tests.plugins.test_dnstap import batch
from tests.tabled import served

CORE = ".:0 {{\n trace {} {{\n {}\n zipkin_max_batch_interval 10ms\n }}\n {}\n}}\n"
HOSTS = "hosts {\n 10.0.0.1 a.example\n fallthrough\n }"


class Collector:
    """An HTTP server that keeps what it gets."""

    def __init__(self, status):
        self.status = status
        self.got = []
        self.port = 0

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(fields["Content-Length"]))
        self.got.append((head[0], fields, body))
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % self.status)
        writer.close()


@asynccontextmanager
async def collecting(status=202):
    one = Collector(status)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    async with server:
        yield one


async def until(true):
    while not true():
        await asyncio.sleep(0.005)


async def test_zipkin_gets_an_exchange_and_who_answered():
    async with collecting() as to:
        core = CORE.format(f"zipkin 127.0.0.1:{to.port}", "service dns", HOSTS)
        async with served(core) as one:
            await one.ask("A.example", address="10.1.2.3")
            one.pipeline.tell()
            await until(lambda: to.got)
    line, fields, body = to.got[0]
    assert line == "POST /api/v2/spans HTTP/1.1"
    assert fields["Content-Type"] == "application/json"
    child, root = json.loads(body)
    assert (root["name"], root["kind"], root["timestamp"]) == ("servedns", "SERVER", 10**9)
    assert root["tags"] == {
        "coredns.io/name": "a.example.", "coredns.io/type": "A", "coredns.io/proto": "udp",
        "coredns.io/remote": "10.1.2.3", "coredns.io/rcode": "NOERROR",
    }  # fmt: skip
    assert child["name"] == "hosts"
    assert child["parentId"] == root["id"] == root["traceId"] == child["traceId"] != child["id"]
    assert all(span["localEndpoint"] == {"serviceName": "dns"} for span in (root, child))
    assert len(root["id"]) == 16


async def test_datadog_gets_the_same_its_way():
    async with collecting(200) as to:
        core = CORE.format(f"datadog 127.0.0.1:{to.port}", "datadog_analytics_rate 0.5", HOSTS)
        async with served(core) as one:
            await one.ask("b.example")
            one.pipeline.tell()
            await until(lambda: to.got)
    line, fields, body = to.got[0]
    assert line == "PUT /v0.4/traces HTTP/1.1"
    assert fields["X-Datadog-Trace-Count"] == "1"
    [[root]] = msgspec.msgpack.decode(body)
    assert (root["service"], root["error"], root["metrics"]["_dd1.sr.eausr"]) == ("coredns", 1, 0.5)
    assert root["meta"]["error"] == "no next plugin found"
    assert root["meta"]["coredns.io@rcode"] == "SERVFAIL"


async def test_one_in_so_many_is_traced_hits_of_the_table_too():
    async with collecting() as to:
        core = CORE.format(f"zipkin http://127.0.0.1:{to.port}/there", "every 3", HOSTS)
        async with served(core) as one:
            for _ in range(9):
                await one.ask("a.example")
            one.pipeline.tell()
            await until(lambda: sum(len(json.loads(body)) for *_, body in to.got) == 6)
            assert one.counters.values[("kdns_traces_sent_total",)] == 3
    assert to.got[0][0].startswith("POST /there ")


async def test_what_waits_at_the_end_is_sent():
    async with collecting() as to:
        core = CORE.format(f"zipkin 127.0.0.1:{to.port}", "", HOSTS).replace("10ms", "1h")
        async with served(core) as one:
            await one.ask("a.example")
            one.pipeline.tell()
    assert len(to.got) == 1


async def test_a_collector_that_takes_nothing_costs_bounded_memory(caplog):
    async with collecting(500) as to:
        options = "zipkin_max_backlog_size 10\nzipkin_max_batch_size 4"
        async with served(CORE.format(f"zipkin 127.0.0.1:{to.port}", options, HOSTS)) as one:
            plugin = next(plugin for plugin in one.plugins if plugin.name == "trace")
            plugin.observe(batch(25, 100))
            await until(lambda: len(to.got) > 2)
            assert one.counters.values[("kdns_traces_dropped_total",)] == 15
            assert {len(json.loads(body)) for *_, body in to.got} == {8}
            to.status = 202
            await until(lambda: one.counters.values.get(("kdns_traces_sent_total",)) == 10)
    assert caplog.text.count("no traces are taken") == 1


async def test_a_server_that_is_not_there_is_an_error_in_time():
    with pytest.raises(PostError):
        await post("http://127.0.0.1:1/", b"", {})


@pytest.mark.parametrize(
    ("text", "url", "every"),
    [
        ("trace", "http://localhost:9411/api/v2/spans", 1),
        ("trace tracer", "http://tracer/api/v2/spans", 1),
        ("trace datadog a:1", "http://a:1", 1),
        ("trace https://a/b {\n every 0\n}", "https://a/b", 1),
        ("trace {\n every 100\n}", "http://localhost:9411/api/v2/spans", 100),
    ],
)
def test_where_and_how_much(text, url, every):
    [plugin] = fakes.plugins(text, fakes.site(), Trace)
    assert (plugin.url, plugin.every) == (url, every)


async def test_what_does_nothing_is_said(caplog):
    for plugin in fakes.plugins("trace {\n client_server\n}\ntrace", fakes.site(), Trace):
        await plugin.start()
        plugin.observe(batch(1, 12))
    assert caplog.text.count("kdns.trace") == 2


@pytest.mark.parametrize(
    "text",
    [
        "jaeger a:1", "zipkin a b", "a:x", "{\n every x\n}", "{\n every -1\n}", "{\n service\n}",
        "{\n client_server x\n}", "{\n datadog_analytics_rate 2\n}", "{\n other\n}",
        "{\n zipkin_max_batch_size x\n}", "{\n zipkin_max_batch_interval 1\n}",
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(text):
    with pytest.raises(ConfigError):
        fakes.chain(f"trace {text}", Trace)
