"""forward, ours: encrypted upstreams as a Corefile names them, letter case, budgets, strays."""

import asyncio
from collections import Counter

import pytest

from kdns.client import resolve as resolving
from kdns.client.budget import Budget, OverBudgetError, network_of
from kdns.client.line import UpstreamError
from kdns.corefile.tree import ConfigError
from kdns.plugins import forward as forwarding
from kdns.plugins.base import SKIP
from kdns.plugins.forward import Forward
from kdns.wire import names, types
from kdns.wire.message import Answer
from tests import secure
from tests.fakes import chain, client
from tests.running import free_port
from tests.served import Serving
from tests.upstream import Upstream, answers, drops, reply, wire


def one(address: str):
    return lambda asked: wire(reply(asked, f"{asked.name} 60 IN A {address}"))


def forward(to: str, options: str = "", zone: str = ".") -> str:
    return f"forward {zone} {to} {{\npolicy sequential\n{options}\n}}"


async def said(served, name: str = "a.example", type_: str = "A", **q) -> list[str]:
    """The code, or the records of the answer section."""
    answer = await served.ask(name, type_, **q)
    assert isinstance(answer, Answer), answer
    if answer.error or answer.rcode:
        return [types.rcode_name(answer.rcode)]
    message = await served.dig(name, type_, **q)
    return [line for rrset in message.answer for line in rrset.to_text().splitlines()]


# Encrypted upstreams


@pytest.fixture
def paths(tmp_path):
    return secure.write(tmp_path)


def serving(scheme: str, script, tmp_path):
    if scheme == "quic":
        pytest.importorskip("aioquic", reason="the extra kdns[quic] is not installed")
        return secure.doq(script, tmp_path)
    return {"tls": secure.dot, "https": secure.doh}[scheme](script)


@pytest.mark.parametrize("scheme", ["tls", "https", "quic"])
@pytest.mark.parametrize("asked_over", ["udp", "tcp"])
@pytest.mark.parametrize("options", ["", "force_tcp", "prefer_udp"])
async def test_the_scheme_says_how_it_is_asked(scheme, asked_over, options, paths, tmp_path):
    async with serving(scheme, one("10.0.0.1"), tmp_path) as server:
        text = forward(f"{scheme}://{server.address}", f"tls {paths['ca']}\n{options}")
        async with Serving(text, Forward) as served:
            who = client(transport=asked_over)
            assert (await served.ask("a.example", "A", who)).answer
            assert len(server.asked) == 1
            label = {"tls": "tcp-tls"}.get(scheme, scheme)
            counted = served.site.counters.values
            missed = counted[
                "coredns_proxy_conn_cache_misses_total", "forward", server.address, label
            ]
            assert missed == (scheme != "https")


@pytest.mark.parametrize("scheme", ["tls", "https", "quic"])
async def test_an_upstream_that_cannot_be_trusted_is_not_asked(scheme, paths, tmp_path):
    async with serving(scheme, one("10.0.0.1"), tmp_path) as server:
        async with Serving(forward(f"{scheme}://{server.address}"), Forward) as served:
            assert "certificate" in (await served.ask("a.example")).error
        assert not server.asked


@pytest.mark.parametrize("suffix", ["%up.example", "%other.example"])
async def test_a_name_behind_the_address_is_the_one_to_prove(suffix, paths):
    async with secure.dot(one("10.0.0.1")) as server:
        text = forward(f"tls://{server.address}{suffix}", f"tls {paths['ca']}")
        async with Serving(text, Forward) as served:
            is_right = suffix == "%up.example"
            assert (await said(served) == ["SERVFAIL"]) is not is_right


async def test_the_second_is_asked_when_the_first_fails(paths):
    async with secure.dot(one("10.0.0.1")) as server:
        to = f"tls://127.0.0.1:{free_port()} tls://{server.address}"
        async with Serving(forward(to, f"tls {paths['ca']}"), Forward) as served:
            assert await said(served) == ["a.example. 60 IN A 10.0.0.1"]


async def test_an_encrypted_upstream_is_probed_its_own_way(paths):
    async with secure.dot(one("10.0.0.1")) as server:
        text = forward(f"tls://{server.address}", f"tls {paths['ca']}")
        async with Serving(text, Forward) as served:
            peer = served.plugins[0].peers[0]
            assert await peer.probe()
            assert server.asked[0].message.question[0].to_text() == ". IN NS"
            assert not [key for key in served.site.counters.values if "conn_cache" in key[0]]


async def test_transfers_over_quic_are_not_implemented(paths, tmp_path):
    async with serving("quic", one("10.0.0.1"), tmp_path) as server:
        text = forward(f"quic://{server.address}", f"tls {paths['ca']}")
        async with Serving(text, Forward) as served:
            who = client(transport="tcp")
            assert (await served.ask("example", "AXFR", who)).rcode == types.NOTIMP
        assert not server.resumed


def test_certificates_that_are_not_there_are_an_error():
    with pytest.raises(ConfigError, match="Corefile:4: forward tls: cannot use the certificates"):
        chain(forward("10.0.0.1", "tls nofile.pem"), Forward).plugins[0].look()


def test_quic_without_its_extra_is_an_error(monkeypatch):
    monkeypatch.setattr(forwarding, "has_quic", lambda: False)
    with pytest.raises(ConfigError, match="quic:// needs aioquic"):
        chain("forward . quic://10.0.0.1", Forward)


# Host names


async def test_a_host_name_that_is_not_found_again_keeps_its_addresses(monkeypatch):
    found = {"up.example": ["127.0.0.1"]}

    async def resolve(name, _):
        try:
            return found[names.format(name).rstrip(".")]
        except KeyError:
            raise UpstreamError("no such host") from None

    monkeypatch.setattr(resolving, "resolve", resolve)
    async with Upstream(one("10.0.0.1")) as up:
        text = forward(f"up.example:{up.port}")
        async with Serving(text, Forward) as served:
            shared = served.site.shared
            assert await said(served) == ["a.example. 60 IN A 10.0.0.1"]
        found.clear()
        async with Serving(text, Forward, kept=shared) as served:
            assert await said(served) == ["a.example. 60 IN A 10.0.0.1"]
        with pytest.raises(ConfigError, match="no such host"):
            await chain(text, Forward).plugins[0].start()


# Letter case


async def test_mixed_case_differs_and_comes_back_as_asked():
    def points(asked):  # an alias whose target is written as a pointer at our question
        return wire(
            reply(
                asked,
                f"{asked.name} 60 IN CNAME b.{asked.name}",
                f"b.{asked.name} 60 IN A 10.0.0.1",
            )
        )

    name = "some-longer-name.Example"
    async with (
        Upstream(points) as up,
        Serving(forward(up.address, "mixed_case"), Forward) as served,
    ):
        got = {line for _ in range(8) for line in await said(served, name)}
        assert got == {f"{name}. 60 IN CNAME b.{name}.", f"b.{name}. 60 IN A 10.0.0.1"}
        seen = set(up.names())
        assert {each.lower() for each in seen} == {name.lower() + "."}
        assert len(seen) > 10
        assert up.transports()[0] == "udp"


async def test_an_upstream_that_folds_is_asked_as_it_is_from_then_on():
    def folds(asked):
        said = wire(reply(asked, f"{asked.name} 60 IN A 10.0.0.1"))
        return said[:12] + said[12:].lower()

    async with Upstream(folds) as up, Serving(forward(up.address, "mixed_case"), Forward) as served:
        name = "some-longer-name.example"
        for _ in range(3):
            assert await said(served, name) == [f"{name}. 60 IN A 10.0.0.1"]
        assert up.transports()[:2] == ["udp", "tcp"]
        assert set(up.transports()[2:]) == {"udp"}
        assert set(up.names()[2:]) == {name + "."}


# Records nobody asked for

STRAY = "bank.example. 60 IN A 10.6.6.6"


@pytest.mark.parametrize(
    ("records", "kept"),
    [
        (["a.example. 60 IN A 10.0.0.1", STRAY], 1),
        ([STRAY, "a.example. 60 IN A 10.0.0.1"], -1),
        (["a.example. 60 IN CNAME b.example.", "b.example. 60 IN A 10.0.0.1"], 2),
        (["b.example. 60 IN A 10.0.0.1", "a.example. 60 IN CNAME b.example."], 2),
        (["a.example. 60 IN CNAME b.example.", "b.example. 60 IN A 10.0.0.1", STRAY], 2),
        (["example. 60 IN DNAME example.org.", "a.example.org. 60 IN A 10.0.0.1"], 2),
        (["b.example. 60 IN CNAME a.example.", "a.example. 60 IN A 10.0.0.1"], -1),
    ],
)
async def test_what_no_alias_leads_to_is_dropped(records, kept):
    async with Upstream(answers(*records)) as up, Serving(forward(up.address), Forward) as served:
        expected = records[:kept] if kept > 0 else records[kept:]
        assert sorted(await said(served)) == sorted(expected)


async def test_a_reply_with_nothing_but_strays_is_no_reply():
    async with (
        Upstream(answers(STRAY)) as liar,
        Upstream(one("10.0.0.1")) as honest,
        Serving(forward(f"{liar.address} {honest.address}"), Forward) as served,
    ):
        assert await said(served) == ["a.example. 60 IN A 10.0.0.1"]
    async with Upstream(answers(STRAY)) as liar, Serving(forward(liar.address), Forward) as served:
        assert "other names" in (await served.ask("a.example")).error


async def test_aliases_without_end_end():
    """DNAMEs that lengthen a name would lead to more names than there are atoms."""
    grows = [f"example. 60 IN DNAME {label}.example." for label in "xyz"]
    async with Upstream(answers(*grows)) as up, Serving(forward(up.address), Forward) as served:
        assert "too far" in (await served.ask("a.example")).error


async def test_any_is_about_the_name_as_the_upstream_sees_it():
    records = ("a.example. 60 IN A 10.0.0.1", "example. 60 IN NS ns.example.")
    async with Upstream(answers(*records)) as up, Serving(forward(up.address), Forward) as served:
        assert sorted(await said(served, type_="ANY")) == sorted(records)


async def test_class_ch_is_forwarded():
    script = answers('version.bind. 0 CH TXT "9"')
    async with Upstream(script) as up, Serving(forward(up.address), Forward) as served:
        got = await served.dig("version.bind", "TXT", cls=3)
        assert up.asked[0].message.question[0].to_text() == "version.bind. CH TXT"
        assert got.answer[0].to_text() == 'version.bind. 0 CH TXT "9"'


# How many may wait


async def test_a_dead_upstream_leaves_room_for_others(monkeypatch):
    monkeypatch.setattr(forwarding, "_MOST_UNDERWAY", 40)
    async with Upstream(drops) as up:
        text = forward(up.address, "read_timeout 60s\nmax_connect_attempts 1")
        async with Serving(text, Forward) as served:
            flood = [asyncio.ensure_future(served.ask(f"n{at}.example")) for at in range(60)]
            while len(up.asked) + sum(each.done() for each in flood) < len(flood):
                await asyncio.sleep(0.01)
            refused = [each.result() for each in flood if each.done()]
            assert {answer.rcode for answer in refused} == {types.SERVFAIL}
            assert all("too many queries wait" in answer.error for answer in refused)
            assert 20 <= len(up.asked) == len(flood) - len(refused) < 40
            before = len(up.asked)
            other = asyncio.ensure_future(served.ask("b.example", "A", client("192.0.2.1")))
            await up.received(before + 1)
            for each in (other, *flood):
                each.cancel()
            await asyncio.gather(other, *flood, return_exceptions=True)


def test_a_network_may_have_no_more_than_is_free():
    budget, held = Budget(100), []

    def fill(address: bytes) -> int:
        count = 0
        try:
            while True:
                spent = budget.spent(network_of(address))
                spent.__enter__()
                held.append(spent)
                count += 1
        except OverBudgetError:
            return count

    assert fill(bytes((10, 0, 1, 1))) == 50
    assert fill(bytes((10, 0, 1, 2))) == 0  # the same network
    assert fill(bytes((10, 0, 2, 1))) == 25
    assert fill(bytes(16)) == 13
    for spent in held:
        spent.__exit__(None, None, None)
    assert (budget.spent_now, budget._by_network) == (0, Counter())


async def test_over_the_budget_the_other_upstream_is_asked_then_nobody():
    text = "budget 2\nread_timeout 500ms\nmax_connect_attempts 2"
    async with (
        Upstream(drops) as slow,
        Upstream(one("10.0.0.1")) as other,
        Serving(forward(f"{slow.address} {other.address}", text), Forward) as served,
    ):
        first = asyncio.ensure_future(served.ask("a.example"))
        await slow.received(1)
        assert await said(served, "b.example") == ["b.example. 60 IN A 10.0.0.1"]
        assert len(slow.asked) == 1
        counted = served.site.counters.values
        assert counted["kdns_upstream_over_budget_total", slow.address] >= 1
        await first
    text = "budget 2\nread_timeout 300ms"
    async with Upstream(drops) as slow, Serving(forward(slow.address, text), Forward) as served:
        first = asyncio.ensure_future(served.ask("a.example"))
        await slow.received(1)
        assert "over the budget of 2" in (await served.ask("b.example")).error
        first.cancel()


# Names of the cluster


@pytest.mark.parametrize(
    ("name", "leaves"),
    [
        ("x.svc.cluster.local", True),
        ("cluster.local", True),
        ("x.svc.cluster.local.example.com", True),
        ("x.cluster.example.com", False),
        ("xcluster.local", False),
        ("local.cluster", False),
        ("example.com", False),
    ],
)
@pytest.mark.parametrize("options", ["", "cluster_names refuse"])
async def test_names_of_the_cluster_that_leave(name, leaves, options):
    shared = {"cluster zones": {names.parse_key("cluster.local"), names.ROOT}}
    async with (
        Upstream(one("10.0.0.1")) as up,
        Serving(forward(up.address, options), Forward, shared=shared) as served,
    ):
        answer = await served.ask(name)
        counted = served.site.counters.values["kdns_cluster_names_forwarded_total",]
        if options and leaves:
            assert (answer.rcode, counted, up.asked) == (types.REFUSED, 0, [])
        else:
            assert (answer.rcode, counted) == (types.NOERROR, int(leaves))


async def test_a_stanza_for_other_names_counts_nothing():
    shared = {"cluster zones": {names.parse_key("cluster.local")}}
    async with (
        Upstream(one("10.0.0.1")) as up,
        Serving(forward(up.address, zone="example"), Forward, shared=shared) as served,
    ):
        assert await served.ask("x.svc.cluster.local") is SKIP
        assert not served.site.counters.values["kdns_cluster_names_forwarded_total",]
