"""prometheus: what is answered is counted under the names and labels of CoreDNS 1.15.0."""

import asyncio
import tracemalloc

import pytest
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families

from kdns.observe import exposition
from kdns.plugins.base import Seen
from kdns.plugins.prometheus import Prometheus
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.places import Place
from kdns.wire import types
from kdns.wire.encode import encode
from kdns.wire.message import Answer
from kdns.wire.names import ROOT, parse_key
from kdns.wire.scan import scan
from tests import fakes

COREFILE = """
.:5300 {
    prometheus
    hosts {
        10.0.0.1 a.example
        fallthrough
    }
}
example.org:5300 {
    prometheus
    acl {
        drop type MX
    }
    whoami
}
quiet.org:5300 {
    whoami
}
bound.org:5301 {
    bind 127.0.0.2
    whoami
}
"""


def seen(
    name="a.example", type_="A", *, rcode=0, plugin="hosts", zone=ROOT, took=0.0001, who=None, **q
):
    question = fakes.question(name, type_, **q)
    packet = encode(question, Answer(), types.RD).wire
    reply = encode(question, Answer(rcode=rcode), types.QR | types.RD).wire
    who = who or fakes.client()
    return told(packet, who, reply, plugin=plugin, zone=zone, took=took)


def told(packet, who, reply, *, plugin="hosts", zone=ROOT, took=0.0):
    """What the pipeline says of an answered packet."""
    asked = scan(packet)
    return Seen(packet, who, reply, plugin, zone, 0.0, took, "", None, type=asked.type, do=asked.do)


def made(options="", **site):
    where = fakes.site(**{"listen": (("", 53),), **site})
    return fakes.plugins(f"prometheus {options}", where, Prometheus)[0]


async def scraped(plugin, name):
    """The samples of a metric: labels as a tuple of values, without what is empty."""
    reply = await plugin.endpoints()[0].serve({})
    assert reply.status == 200
    assert reply.type == "text/plain; version=0.0.4; charset=utf-8"
    return {
        tuple(one.labels[key] for key in sorted(one.labels) if one.labels[key]): one.value
        for family in text_string_to_metric_families(reply.body.decode())
        for one in family.samples
        if one.name == name
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [("", ("localhost", 9153)), (":9253", ("", 9253)), ("[::1]:9153", ("::1", 9153))],
)
def test_the_page_is_served_on_the_address(options, expected):
    one = made(options).endpoints()[0]
    assert (one.host, one.port, one.path) == (*expected, "/metrics")


async def test_pages_asked_for_at_once_are_written_one_after_the_other(monkeypatch):
    """Each is written in slices of the loop; those of many would add up to a stall."""
    plugins = [made(), made()]
    plugins[1]._exchanges = plugins[0]._exchanges
    underway = most = 0

    async def render(*_):
        nonlocal underway, most
        underway += 1
        most = max(most, underway)
        await asyncio.sleep(0)
        underway -= 1
        return b""

    monkeypatch.setattr(exposition, "render", render)
    await asyncio.gather(*(plugins[at % 2].endpoints()[0].serve({}) for at in range(6)))
    assert most == 1


async def test_requests_have_type_proto_and_family():
    plugin = made()
    plugin.observe([seen(), seen(), seen(type_="TYPE999"), seen(type_="HTTPS")])
    plugin.observe([seen(who=fakes.client("fd00::1"))])
    plugin.observe([seen(type_="ANY", who=fakes.client(transport="tcp"))])
    assert await scraped(plugin, "coredns_dns_requests_total") == {
        ("1", "udp", "dns://:53", "A", "."): 2,
        ("1", "udp", "dns://:53", "other", "."): 1,
        ("1", "udp", "dns://:53", "HTTPS", "."): 1,
        ("2", "udp", "dns://:53", "A", "."): 1,
        ("1", "tcp", "dns://:53", "ANY", "."): 1,
    }


async def test_large_packets_are_counted_and_not_kept():
    plugin = made()
    tracemalloc.start()
    try:
        for at in range(300):
            one = seen()
            packet = fakes.padded(one.packet, b"%030000d" % at)
            plugin.observe([structs.replace(one, packet=packet)])
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 1 << 20
    counted = await scraped(plugin, "coredns_dns_requests_total")
    assert counted == {("1", "udp", "dns://:53", "A", "."): 300}


async def test_responses_have_rcode_and_the_plugin_that_answered():
    plugin = made()
    lost = seen(plugin="acl")
    plugin.observe([seen(), seen(rcode=types.NXDOMAIN), seen(rcode=types.SERVFAIL, plugin="")])
    plugin.observe([told(lost.packet, lost.client, None, plugin="")])
    assert await scraped(plugin, "coredns_dns_responses_total") == {
        ("hosts", "NOERROR", "dns://:53", "."): 1,
        ("hosts", "NXDOMAIN", "dns://:53", "."): 1,
        ("SERVFAIL", "dns://:53", "."): 1,
        ("NOERROR", "dns://:53", "."): 1,
    }


async def test_badvers_is_an_extended_code():
    plugin = made()
    plugin.observe([seen(rcode=types.BADVERS, plugin="", has_opt=True)])
    assert await scraped(plugin, "coredns_dns_responses_total") == {
        ("BADVERS", "dns://:53", "."): 1
    }


async def test_do_is_counted_with_options_too():
    plugin = made()
    cookie = b"\0\x0a\0\x08abcdefgh"
    one = seen(has_opt=True, do=True)
    packet = bytearray(one.packet)
    packet[-11:] = b"\0\0\x29\x04\xd0\0\0\x80\0\0\x0c" + cookie
    with_cookie = told(bytes(packet), one.client, one.reply)
    packet[-16] = 0
    without = told(bytes(packet), one.client, one.reply)
    plugin.observe([with_cookie, without, seen()])
    assert await scraped(plugin, "coredns_dns_do_requests_total") == {("dns://:53", "."): 1}


async def test_sizes_and_durations_fall_into_their_buckets():
    plugin = made()
    batch = [seen(took=took) for took in (0, 0.00025, 0.0003, 9)]
    plugin.observe(batch)
    name = "coredns_dns_request_duration_seconds"
    found = await scraped(plugin, f"{name}_bucket")
    assert found["0.00025", "dns://:53", "."] == 2
    assert found["0.0005", "dns://:53", "."] == 3
    assert found["8.192", "dns://:53", "."] == 3
    assert found["+Inf", "dns://:53", "."] == 4
    assert (await scraped(plugin, f"{name}_sum"))["dns://:53", "."] == pytest.approx(9.00055)
    sizes = await scraped(plugin, "coredns_dns_request_size_bytes_sum")
    assert sizes == {("udp", "dns://:53", "."): 4 * len(batch[0].packet)}
    replies = await scraped(plugin, "coredns_dns_response_size_bytes_sum")
    assert replies == {("udp", "dns://:53", "."): 4 * len(batch[0].reply)}


@pytest.mark.parametrize(
    ("size", "bound"), [(0, 0), (12, 100), (100, 100), (101, 200), (65535, 1e9)]
)
async def test_the_bucket_of_a_size(size, bound):
    plugin = made()
    one = seen()
    reply = (one.reply + bytes(65535))[:size]
    plugin.observe([told(one.packet, one.client, reply or None)])
    found = await scraped(plugin, "coredns_dns_response_size_bytes_bucket")
    filled = [float(labels[0]) for labels, count in found.items() if count]
    assert min(filled) == (bound if bound < 1e9 else float("inf"))


class Asker:
    """A Corefile's listeners, asked without sockets."""

    def __init__(self, text=COREFILE):
        self.errors = []
        self.services = Services()
        self.assembly = build(text, "Corefile", self.services, self.errors)
        assert not self.errors
        self.services.life.plugins = tuple(self.assembly.plugins)
        self.prometheus = next(one for one in self.assembly.plugins if isinstance(one, Prometheus))

    async def ask(self, name, type_="A", *, host="", port=5300, **q):
        services, router = self.services, self.assembly.routers[Place("dns", host, port)]
        pipeline = Pipeline(
            router, services.stamps, services.counters, services.clock, services.chance, table=None
        )
        packet = bytearray(encode(fakes.question(name, type_, **q), Answer(), types.RD).wire)
        if "cls" in q:
            packet[-1] = q["cls"]
        client = fakes.client()
        local = fakes.client(host or "127.0.0.1").address
        client = type(client)(client.address, 4000, "udp", local, port)
        pipeline.stands_at(type(client)(b"", 0, "udp", local, port))
        reply = await pipeline.respond(bytes(packet), client, services.clock())
        pipeline.tell()
        return reply

    async def requests(self):
        return await scraped(self.prometheus, "coredns_dns_requests_total")


async def test_only_blocks_with_the_directive_are_counted():
    asker = Asker()
    await asker.ask("a.example")
    await asker.ask("b.example.org")
    await asker.ask("b.quiet.org")
    assert await asker.requests() == {
        ("1", "udp", "dns://:5300", "A", "."): 1,
        ("1", "udp", "dns://:5300", "A", "example.org."): 1,
    }


async def test_a_dropped_query_is_counted():
    asker = Asker()
    assert await asker.ask("b.example.org", "MX") is None
    assert await scraped(asker.prometheus, "coredns_dns_responses_total") == {
        ("NOERROR", "dns://:5300", "example.org."): 1
    }


@pytest.mark.parametrize(
    ("name", "where", "server"),
    [
        ("a.nowhere", {}, "dns://:5300"),
        ("b.example.org", {"cls": types.CH}, "dns://:5300"),
        ("a.nowhere", {"host": "127.0.0.2", "port": 5301}, "dns://127.0.0.2:5301"),
    ],
    ids=["no block", "class not served", "a bound listener"],
)
async def test_what_the_server_refuses_is_of_the_zone_dropped(name, where, server):
    asker = Asker(COREFILE.replace(".:5300", "other.:5300"))
    await asker.ask(name, **where)
    assert await asker.requests() == {("1", "udp", server, "A", "dropped"): 1}
    assert await scraped(asker.prometheus, "coredns_dns_responses_total") == {
        ("REFUSED", server, "dropped"): 1
    }


async def test_a_refusal_of_a_plugin_is_of_its_zone():
    asker = Asker(COREFILE.replace("drop type MX", "block type MX"))
    await asker.ask("b.example.org", "MX")
    assert await asker.requests() == {("1", "udp", "dns://:5300", "MX", "example.org."): 1}


async def test_a_block_without_plugins_refuses_as_no_block_does():
    asker = Asker(COREFILE + "empty.org:5300 {\n}\n")
    await asker.ask("a.empty.org")
    assert await asker.requests() == {("1", "udp", "dns://:5300", "A", "dropped"): 1}


async def test_enabled_plugins_are_those_that_answer_in_counted_blocks():
    asker = Asker()
    for plugin in asker.assembly.plugins:
        if isinstance(plugin, Prometheus):
            await plugin.start()
    assert await scraped(asker.prometheus, "coredns_plugin_enabled") == {
        ("hosts", "dns://:5300", "."): 1,
        ("prometheus", "dns://:5300", "."): 1,
        ("acl", "dns://:5300", "example.org."): 1,
        ("prometheus", "dns://:5300", "example.org."): 1,
        ("whoami", "dns://:5300", "example.org."): 1,
    }


async def test_numbers_go_on_through_a_reload():
    asker = Asker()
    await asker.ask("a.example")
    asker.services.shared = asker.assembly.shared
    asker.assembly = build(COREFILE, "Corefile", asker.services, asker.errors)
    await asker.ask("a.example")
    assert await asker.requests() == {("1", "udp", "dns://:5300", "A", "."): 2}


async def test_a_listener_of_one_address_is_named_by_it():
    plugin = made(listen=(("::1", 53), ("127.0.0.1", 53)))
    zone = parse_key("example.org")
    v6 = type(fakes.client())(b"\0" * 15 + b"\1", 1, "udp", b"\0" * 15 + b"\1", 53)
    plugin.observe([seen(zone=zone)])
    plugin.observe([seen(zone=zone, who=v6)])
    servers = {labels[2] for labels in await scraped(plugin, "coredns_dns_requests_total")}
    assert servers == {"dns://127.0.0.1:53", "dns://[::1]:53"}


def test_behind_a_proxy_that_names_its_own_port_the_listener_is_named():
    plugin = made(listen=(("127.0.0.1", 5353),), label="dns://127.0.0.1:5353")
    asker = fakes.client()
    assert asker.local_port == 53
    assert plugin._server(ROOT, asker) == "dns://127.0.0.1:5353"


async def test_a_web_configuration_that_will_not_do_costs_the_page_not_the_server(tmp_path, caplog):
    plugin = made(f"127.0.0.1:0 {{\n tls {tmp_path}/absent\n}}")
    await plugin.start()
    assert plugin.endpoints() == ()
    assert "metrics are not served" in caplog.text


async def test_the_web_configuration_is_beside_what_root_says(tmp_path):
    (tmp_path / "web.yml").write_text("")
    plugin = made("127.0.0.1:0 {\n tls web.yml\n}", root=str(tmp_path))
    await plugin.start()
    assert [one.web for one in plugin.endpoints()] == [f"{tmp_path}/web.yml"]
