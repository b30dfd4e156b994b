"""forward: which upstream is asked how, what is passed on, and what failure looks like."""

import asyncio
import re

import dns.edns
import dns.flags
import dns.message
import pytest

from kdns.client.line import StaleError
from kdns.corefile.tree import ConfigError
from kdns.plugins.base import SKIP, Backend, Query
from kdns.plugins.forward import Forward
from kdns.wire import names, types
from kdns.wire.message import Answer
from tests import served as served_chain
from tests.fakes import Chain, chain, client
from tests.running import free_port
from tests.upstream import CLOSE, Asked, Upstream, answers, drops, reply, wire

SOA = ("example. 60 IN SOA ns.example. root.example. 1 2 3 4 300",)
FAST = "read_timeout 10ms"
"""For upstreams that never answer."""
CALM = "read_timeout 200ms"
"""Where one must be in time, however busy the machine is."""


class Serving(served_chain.Serving):
    """A chain that begins with forward stanzas."""

    def __init__(self, text: str, *kinds, **changes) -> None:
        super().__init__(text, Forward, *kinds, **changes)


def forward(*upstreams: Upstream, options: str = "", zone: str = ".") -> str:
    to = " ".join(up.address for up in upstreams)
    return f"forward {zone} {to} {{\npolicy sequential\n{options}\n}}"


def one(address: str):
    return lambda asked: wire(reply(asked, f"{asked.name} 60 IN A {address}"))


def code(rcode: str, authority: tuple[str, ...] = ()):
    return answers(rcode=rcode, authority=authority)


async def address(served: Chain, name: str = "a.example", **q) -> str:
    answer = await served.ask(name, **q)
    assert isinstance(answer, Answer), answer
    if answer.error or not answer.answer:
        return types.rcode_name(answer.rcode)
    return names.format_address(answer.answer[0].rdatas[0])


# What leaves


@pytest.mark.parametrize("flags", [0, types.RD, types.RD | types.CD, types.RD | types.AD])
async def test_the_clients_flags_leave(flags):
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up)) as served:
        await served.ask("a.example", flags=flags)
        assert up.asked[0].message.flags == flags


async def test_a_query_without_edns_leaves_without():
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up)) as served:
        await served.ask("a.example")
        assert up.asked[0].message.edns == -1


async def test_the_clients_edns_leaves_as_it_is():
    options = b"\0\x0a\0\x0812345678" + b"\0\x08\0\x07\0\1\x18\0\x01\x02\x03"
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up)) as served:
        await served.ask("a.example", has_opt=True, size=4000, do=True, options=options)
        sent = up.asked[0].message
        assert (sent.payload, bool(sent.ednsflags & dns.flags.DO)) == (4000, True)
        assert [int(option.otype) for option in sent.options] == [10, 8]
        assert up.asked[0].wire.endswith(options)


async def test_the_clients_letter_case_leaves_and_comes_back():
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up)) as served:
        got = await served.dig("WwW.Example")
        assert up.names() == ["WwW.Example."]
        assert got.answer[0].name.to_text() == "WwW.Example."
        assert (await served.ask("WwW.Example")).answer[0].owner == names.parse_key("www.example")


@pytest.mark.parametrize(
    ("options", "client_over", "sent_over"),
    [
        ("", "udp", "udp"),
        ("", "tcp", "tcp"),
        ("force_tcp", "udp", "tcp"),
        ("prefer_udp", "tcp", "udp"),
        ("prefer_udp\nforce_tcp", "udp", "tcp"),
    ],
)
async def test_the_protocol(options, client_over, sent_over):
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up, options=options)) as served:
        await served.ask("a.example", who=client(transport=client_over))
        assert up.transports() == [sent_over]


async def test_other_names_go_to_the_next_plugin():
    options = "except inner.example other.example"
    async with (
        Upstream(one("10.0.0.1")) as up,
        Serving(forward(up, options=options, zone="example")) as served,
    ):
        for name in ("example.org", "inner.example", "a.other.example"):
            assert await served.ask(name) is SKIP
        assert await address(served, "ainner.example") == "10.0.0.1"
        assert served.plugins[0].zone == names.parse_key("example")


# What comes back


@pytest.mark.parametrize("flag", ["AA", "RA", "AD", "TC"])
async def test_the_upstreams_flags_come_back(flag):
    async with Upstream(answers(flags=flag)) as up, Serving(forward(up)) as served:
        answer = await served.ask("a.example")
        assert answer.flags == getattr(types, flag)


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
async def test_the_upstreams_code_comes_back_and_is_no_error(rcode):
    async with Upstream(code(rcode, SOA)) as up, Serving(forward(up)) as served:
        answer = await served.ask("a.example")
        assert (types.rcode_name(answer.rcode), answer.error) == (rcode, "")
        assert [rrset.type for rrset in answer.authority] == [types.SOA]


async def test_all_sections_come_back():
    script = answers(
        "a.example. 60 IN CNAME b.example.",
        "b.example. 30 IN A 10.0.0.1",
        authority=("example. 20 IN NS ns.example.",),
        additional=("ns.example. 10 IN A 10.0.0.2",),
    )
    async with Upstream(script) as up, Serving(forward(up)) as served:
        got = await served.dig("a.example")
        assert [r.to_text() for section in got.sections[1:] for r in section] == [
            "a.example. 60 IN CNAME b.example.",
            "b.example. 30 IN A 10.0.0.1",
            "example. 20 IN NS ns.example.",
            "ns.example. 10 IN A 10.0.0.2",
        ]


async def test_the_upstreams_edns_options_come_back_to_clients_with_edns_only():
    script = answers(options=(dns.edns.NSIDOption(b"here"),))
    async with Upstream(script) as up, Serving(forward(up)) as served:
        got = await served.dig("a.example", has_opt=True, size=1232)
        assert [option.to_text() for option in got.options] == ["NSID here"]
        assert (await served.dig("a.example")).edns == -1


async def test_an_extended_code_without_edns_is_a_failure_not_success():
    def script(asked: Asked):
        return wire(reply(asked, rcode="BADCOOKIE", options=()))

    async with Upstream(script) as up, Serving(forward(up)) as served:
        assert (await served.ask("a.example", has_opt=True)).rcode == 23
        assert (await served.ask("a.example")).rcode == types.SERVFAIL


async def test_a_truncated_reply_is_passed_on():
    script = answers("a.example. 60 IN A 10.0.0.1", flags="TC")
    async with Upstream(script) as up, Serving(forward(up)) as served:
        answer = await served.ask("a.example")
        assert answer.flags & types.TC
        assert answer.answer
        assert up.transports() == ["udp"]


async def test_prefer_udp_repeats_a_truncated_reply_over_tcp():
    def script(asked: Asked):
        if asked.transport == "udp":
            return wire(reply(asked, flags="TC"))
        return one("10.0.0.1")(asked)

    async with Upstream(script) as up, Serving(forward(up, options="prefer_udp")) as served:
        assert await address(served) == "10.0.0.1"
        assert up.transports() == ["udp", "tcp"]


async def test_a_datagram_that_was_cut_off_counts_as_truncated():
    def script(asked: Asked):
        return one("10.0.0.1")(asked)[:-3]

    async with Upstream(script) as up, Serving(forward(up)) as served:
        answer = await served.ask("a.example")
        assert answer.flags & types.TC
        assert not answer.answer
        over_tcp = await served.ask("a.example", who=client(transport="tcp"))
        assert over_tcp.rcode == types.SERVFAIL
        assert over_tcp.error.startswith("bad reply")


async def test_a_reply_to_another_question_is_a_format_error():
    def script(asked: Asked):
        query = dns.message.make_query("b.example", "A", id=asked.message.id)
        return wire(dns.message.make_response(query))

    async with Upstream(script) as up, Serving(forward(up)) as served:
        answer = await served.ask("a.example")
        assert (answer.rcode, answer.error) == (types.FORMERR, "")


async def test_a_reply_in_another_letter_case_is_asked_again_over_tcp():
    def script(asked: Asked):
        query = dns.message.make_query(asked.name.lower(), "A", id=asked.message.id)
        return wire(dns.message.make_response(query))

    async with Upstream(script) as up, Serving(forward(up)) as served:
        assert (await served.ask("A.example")).rcode == types.NOERROR
        assert up.transports() == ["udp", "tcp"]


async def test_nothing_forwarded_is_for_the_answer_table():
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up)) as served:
        await served.ask("a.example")
        assert not served.ledger.keep


async def test_two_clients_get_their_own_answers_in_any_order():
    gates = {"a.example.": asyncio.Event(), "b.example.": asyncio.Event()}

    async def script(asked: Asked):
        await gates[asked.name].wait()
        return one("10.0.0.1" if asked.name[0] == "a" else "10.0.0.2")(asked)

    for order in ("ab", "ba"):
        for gate in gates.values():
            gate.clear()
        async with Upstream(script) as up, Serving(forward(up)) as served:
            asking = [asyncio.ensure_future(address(served, f"{one}.example")) for one in "ab"]
            await up.received(2)
            for first in order:
                gates[f"{first}.example."].set()
            assert await asyncio.gather(*asking) == ["10.0.0.1", "10.0.0.2"]


# Failure


@pytest.mark.parametrize(
    ("first", "second", "expected", "asked"),
    [
        pytest.param(drops, one("10.0.0.2"), "10.0.0.2", (1, 1), id="time-out"),
        pytest.param(
            lambda q: q.wire[:2] + b"\x81\x80" + b"\xff" * 30,
            one("10.0.0.2"),
            "10.0.0.2",
            (1, 1),
            id="garbage",
        ),
        pytest.param(drops, drops, "SERVFAIL", (2, 2), id="both"),
        pytest.param(code("SERVFAIL"), one("10.0.0.2"), "SERVFAIL", (1, 0), id="a-code-is-fine"),
    ],
)
async def test_the_next_upstream_is_asked_after_an_error(first, second, expected, asked):
    async with (
        Upstream(first) as a,
        Upstream(second) as b,
        Serving(forward(a, b, options=FAST if second is drops else CALM)) as served,
    ):
        assert await address(served) == expected
        counts = tuple(sum(name != "." for name in up.names()) for up in (a, b))
        assert counts == asked


async def test_failure_has_the_words_of_coredns():
    async with Upstream(drops) as up, Serving(forward(up, options=FAST)) as served:
        answer = await served.ask("a.example")
        assert answer.rcode == types.SERVFAIL
        assert answer.plugin == "forward"
        assert answer.error.startswith("read udp 127.0.0.1:")
        assert answer.error.endswith(f"->{up.address}: i/o timeout")


async def test_a_refused_port_is_an_error_at_once():
    async with Serving(f"forward . 127.0.0.1:{free_port()}") as served:
        answer = await served.ask("a.example")
        assert answer.error.endswith("read: connection refused")


@pytest.mark.parametrize(("attempts", "asked"), [(1, 1), (2, 2), (5, 5)])
async def test_max_connect_attempts(attempts, asked):
    options = f"{FAST}\nmax_fails 0\nmax_connect_attempts {attempts}"
    async with Upstream(drops) as up, Serving(forward(up, options=options)) as served:
        assert await address(served) == "SERVFAIL"
        assert len(up.asked) == asked


async def test_no_attempt_starts_after_five_seconds():
    options = "read_timeout 10ms\nmax_fails 0\nmax_connect_attempts 0"
    async with Upstream(drops) as up, Serving(forward(up, options=options)) as served:
        up.script = lambda _: setattr(served.site.clock, "now", served.site.clock.now + 2)
        assert await address(served) == "SERVFAIL"
        assert len(up.asked) == 3


async def test_what_fails_at_once_does_not_spin():
    text = "forward . 127.0.0.1:53 {\nsource_address 192.0.2.1\nmax_connect_attempts 0\n}"
    async with Serving(text) as served:
        asking = asyncio.ensure_future(served.ask("a.example"))
        for _ in range(100):
            await asyncio.sleep(0)  # the loop is not blocked
        assert not asking.done()
        served.site.clock.now += 6
        assert "cannot assign requested address" in (await asking).error


async def test_a_server_that_closes_after_each_reply_is_given_up_in_the_end():
    options = "force_tcp\nmax_fails 0\nmax_connect_attempts 1"
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up, options=options)) as served:
        upstream = served.plugins[0].peers[0].upstream

        def send(*_):
            closed = asyncio.get_running_loop().create_future()
            closed.set_result(StaleError("EOF"))
            return closed

        upstream.send = send
        assert (await served.ask("a.example")).error == "EOF"


async def test_a_kept_connection_that_was_closed_is_replaced_at_no_charge():
    options = "force_tcp\nmax_fails 0\nmax_connect_attempts 1"
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up, options=options)) as served:
        assert await address(served) == "10.0.0.1"
        closed = []

        def script(asked: Asked):
            closed.append(asked)
            return CLOSE if len(closed) == 1 else one("10.0.0.3")(asked)

        up.script = script
        assert await address(served) == "10.0.0.3"
        assert len(up.asked) == 3


async def test_max_concurrent_refuses_and_counts():
    gate = asyncio.Event()

    async def script(asked: Asked):
        await gate.wait()
        return one("10.0.0.1")(asked)

    async with Upstream(script) as up, Serving(forward(up, options="max_concurrent 1")) as served:
        first = asyncio.ensure_future(address(served))
        await up.received(1)
        answer = await served.ask("b.example")
        assert (answer.rcode, answer.error) == (
            types.REFUSED,
            "concurrent queries exceeded maximum 1",
        )
        gate.set()
        assert await first == "10.0.0.1"
        assert await address(served) == "10.0.0.1"
        counters = served.site.counters.values
        assert counters[("coredns_forward_max_concurrent_rejects_total",)] == 1


# Which upstream


def both(first: str, second: str) -> tuple:
    scripts = {
        "ok": None,
        "nx": code("NXDOMAIN", SOA),
        "sf": code("SERVFAIL"),
        "rf": code("REFUSED"),
        "nd": answers(authority=SOA),
        "drop": drops,
    }
    return (
        Upstream(scripts[first] or one("10.0.0.1")),
        Upstream(scripts[second] or one("10.0.0.2")),
    )


@pytest.mark.parametrize(
    ("first", "second", "expected", "asked"),
    [
        ("sf", "ok", "10.0.0.2", (1, 1)),
        ("rf", "ok", "REFUSED", (1, 0)),
        ("nx", "sf", "SERVFAIL", (1, 1)),
        ("sf", "nx", "NXDOMAIN", (1, 1)),
        ("sf", "drop", "SERVFAIL", (2, 1)),
        ("drop", "sf", "SERVFAIL", (2, 2)),
        ("nd", "ok", "NOERROR", (1, 0)),
    ],
)
async def test_failover(first, second, expected, asked):
    a, b = both(first, second)
    options = f"failover SERVFAIL NXDOMAIN\nmax_fails 0\n{CALM}"
    async with a, b, Serving(forward(a, b, options=options)) as served:
        assert await address(served) == expected
        assert (len(a.asked), len(b.asked)) == asked


@pytest.mark.parametrize(
    ("options", "first", "second", "expected"),
    [
        ("next NXDOMAIN", "nx", "ok", "10.0.0.2"),
        ("next NXDOMAIN", "nx", "sf", "SERVFAIL"),
        ("next NXDOMAIN", "sf", "ok", "SERVFAIL"),
        ("next NXDOMAIN SERVFAIL", "sf", "ok", "10.0.0.2"),
        ("next SERVFAIL", "drop", "ok", "SERVFAIL"),
        ("next_on_nodata", "nd", "ok", "10.0.0.2"),
        ("next_on_nodata", "nx", "ok", "NXDOMAIN"),
        ("next NOERROR", "ok", "ok", "10.0.0.2"),
    ],
)
async def test_next_hands_over_to_the_next_stanza(options, first, second, expected):
    a, b = both(first, second)
    async with a, b:
        patience = FAST if first == "drop" else CALM
        text = forward(a, options=f"{options}\n{patience}\nmax_fails 0") + "\n" + forward(b)
        async with Serving(text) as served:
            assert await address(served) == expected


class Whoami(Backend):
    name = "whoami"

    async def answer(self, query: Query) -> Answer:
        return Answer(flags=types.AA, plugin=self.name)


@pytest.mark.parametrize("after", ["", "\nwhoami", "\nforward other. 127.0.0.1"])
async def test_next_without_a_stanza_that_takes_the_name_changes_nothing(after):
    async with (
        Upstream(code("NXDOMAIN", SOA)) as up,
        Serving(forward(up, options="next NXDOMAIN") + after, Whoami) as served,
    ):
        assert await address(served) == "NXDOMAIN"


async def test_three_stanzas_are_chained_in_order():
    async with (
        Upstream(code("NXDOMAIN")) as a,
        Upstream(code("NXDOMAIN")) as b,
        Upstream(one("10.0.0.3")) as c,
    ):
        text = "\n".join(forward(up, options="next NXDOMAIN") for up in (a, b, c))
        async with Serving(text) as served:
            assert await address(served) == "10.0.0.3"


async def test_the_first_stanza_whose_zone_holds_the_name_takes_it():
    async with (
        Upstream(one("10.0.0.1")) as a,
        Upstream(one("10.0.0.2")) as b,
        Serving(forward(a, zone="example") + "\n" + forward(b)) as served,
    ):
        assert await address(served, "a.example") == "10.0.0.1"
        assert await address(served, "a.example.org") == "10.0.0.2"


async def policy(name: str) -> list[str]:
    async with (
        Upstream(one("10.0.0.1")) as a,
        Upstream(one("10.0.0.2")) as b,
        Upstream(one("10.0.0.3")) as c,
    ):
        to = " ".join(up.address for up in (a, b, c))
        async with Serving(f"forward . {to} {{\npolicy {name}\n}}") as served:
            return [await address(served) for _ in range(12)]


async def test_round_robin_goes_round():
    got = await policy("round_robin")
    assert got[:3] == got[3:6] == got[6:9]
    assert len(set(got[:3])) == 3


async def test_sequential_takes_the_first():
    assert set(await policy("sequential")) == {"10.0.0.1"}


async def test_random_takes_any():
    got = await policy("random")
    assert len(set(got)) == 3
    assert got[:3] != got[3:6] or got[:3] != got[6:9]


# Health


async def up_to(count: int, server: Upstream) -> None:
    await asyncio.wait_for(server.received(count), 40)


async def test_an_upstream_is_probed_only_after_an_error_and_until_it_answers():
    options = f"{CALM}\nhealth_check 5ms\nmax_connect_attempts 1"
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up, options=options)) as served:
        await address(served)
        assert up.names() == ["a.example."]
        up.script = drops
        await address(served)
        await up_to(3, up)
        probe = up.asked[2]
        assert (probe.name, probe.transport) == (".", "udp")
        assert probe.message.question[0].rdtype == types.NS
        assert probe.message.flags == dns.flags.RD
        peer = served.plugins[0].peers[0]
        assert peer._suspected.is_set()
        up.script = code("REFUSED")
        await asyncio.wait_for(_until(lambda: not peer._suspected.is_set()), 40)
        assert peer.fails == 0


async def test_the_probe_may_ask_another_name_without_rd():
    options = f"{FAST}\nhealth_check 5ms no_rec domain probe.example"
    async with Upstream(drops) as up, Serving(forward(up, options=options)) as served:
        await address(served)
        await asyncio.wait_for(_until(lambda: "probe.example." in up.names()), 40)
        probe = up.asked[up.names().index("probe.example.")]
        assert probe.message.flags == 0


async def _until(is_true) -> None:
    while not is_true():
        await asyncio.sleep(0)


async def test_a_down_upstream_is_left_out_until_a_probe_is_answered():
    async with (
        Upstream(drops) as a,
        Upstream(one("10.0.0.2")) as b,
        Serving(forward(a, b, options=f"{CALM}\nmax_fails 1")) as served,
    ):
        peer = served.plugins[0].peers[0]
        peer.fails = 1
        assert peer.is_down
        assert await address(served) == "10.0.0.2"
        assert a.asked == []
        a.script = one("10.0.0.1")
        assert await peer.probe()
        assert await address(served) == "10.0.0.1"


@pytest.mark.parametrize(
    ("options", "asked", "error"),
    [("", 1, "i/o timeout"), ("failfast_all_unhealthy_upstreams", 0, "no healthy proxies")],
)
async def test_when_all_are_down_one_is_tried_once(options, asked, error):
    async with Upstream(drops) as up, Serving(forward(up, options=f"{FAST}\n{options}")) as served:
        served.plugins[0].peers[0].fails = 2
        answer = await served.ask("a.example")
        assert answer.error.endswith(error)
        assert sum(name != "." for name in up.names()) == asked
        counters = served.site.counters.values
        assert counters[("coredns_forward_healthcheck_broken_total",)] == 1


async def test_max_fails_0_means_never_down_and_never_probed():
    async with (
        Upstream(drops) as up,
        Serving(forward(up, options=f"{FAST}\nmax_fails 0")) as served,
    ):
        for _ in range(3):
            await served.ask("a.example")
        assert "." not in up.names()
        assert not served.plugins[0].peers[0].is_down


async def test_failed_probes_are_counted():
    port = free_port()
    async with Serving(f"forward . 127.0.0.1:{port}") as served:
        await served.plugins[0].peers[0].probe()
        key = ("coredns_proxy_healthcheck_failures_total", "forward", f"127.0.0.1:{port}")
        assert served.site.counters.values[key] == 1


async def test_metadata_names_the_upstream(monkeypatch):
    noted = {}
    monkeypatch.setattr(Query, "note", lambda _, label, value: noted.update({label: value()}))
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up)) as served:
        await address(served)
        assert noted == {"forward/upstream": up.address}


async def test_sockets_are_counted():
    async with Upstream(one("10.0.0.1")) as up, Serving(forward(up)) as served:
        for _ in range(6):
            await address(served)
        key = ("forward", up.address, "udp")
        counters = served.site.counters.values
        assert counters[("coredns_proxy_conn_cache_misses_total", *key)] == 4
        assert counters[("coredns_proxy_conn_cache_hits_total", *key)] == 2


# What the Corefile says


async def test_upstreams_from_a_file(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# c\nsearch x\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver bad\n"
        "nameserver 10.0.0.1\noptions ndots:5\n"
    )
    async with Serving(f"forward . {file} 10.0.0.2:5353 [2001:db8::1]:54 2001:db8::2") as served:
        assert [peer.text for peer in served.plugins[0].peers] == [
            "10.0.0.1:53",
            "[fe80::1]:53",
            "10.0.0.2:5353",
            "[2001:db8::1]:54",
            "[2001:db8::2]:53",
        ]


async def test_host_names_are_looked_up_through_the_resolver():
    def script(asked: Asked):
        if asked.message.question[0].rdtype == types.AAAA:
            return wire(reply(asked, f"{asked.name} 5 IN AAAA ::1"))
        return wire(
            reply(asked, f"{asked.name} 5 IN CNAME x.example.", "x.example. 5 IN A 10.0.0.1")
        )

    async with Upstream(script) as up:
        text = f"forward . dns.example:5353 {{\nresolver {up.address}\n}}"
        async with Serving(text) as served:
            assert [p.text for p in served.plugins[0].peers] == ["10.0.0.1:5353", "[::1]:5353"]
            assert up.names() == ["dns.example."] * 2


async def test_without_resolver_the_system_is_asked_for_the_absolute_name(monkeypatch):
    async def getaddrinfo(host, port, **_):
        assert host == "dns.example."
        return [(0, 0, 0, "", ("::1", 0, 0, 0)), (0, 0, 0, "", ("10.0.0.1", 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with Serving("forward . dns.example") as served:
        assert [peer.text for peer in served.plugins[0].peers] == ["10.0.0.1:53", "[::1]:53"]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param(code("NXDOMAIN"), "no such host", id="no-address"),
        pytest.param(lambda q: q.wire[:2] + b"\x81\x80" + b"\xff" * 20, "", id="garbage"),
    ],
)
async def test_a_host_name_that_leads_nowhere_is_an_error(script, why):
    async with Upstream(script) as up:
        served = chain(f"forward . dns.example {{\nresolver {up.address}\n}}", Forward)
        with pytest.raises(ConfigError, match=f"Corefile:2: forward: dns.example: .*{why}"):
            await served.plugins[0].start()


async def test_a_file_without_nameservers_is_an_error(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text("search x\n")
    served = chain(f"forward . {file}", Forward)
    with pytest.raises(ConfigError, match="no nameserver"):
        await served.plugins[0].start()
    served = chain(f"forward . {tmp_path}/none", Forward)
    with pytest.raises(ConfigError, match="no file"):
        await served.plugins[0].start()


MANY = " ".join(f"10.0.0.{n}" for n in range(1, 17))


@pytest.mark.parametrize(
    ("directive", "why"),
    [
        ("forward", "expected a zone"),
        ("forward .", "found the end of the line"),
        ("forward . udp://10.0.0.1", "dns://, tls://, https:// or quic://"),
        ("forward . https://10.0.0.1/dns-query", "without a path"),
        ("forward . 10.0.0.1:0", "a port from 1 to 65535"),
        ("forward . 10.0.0.1:dns", "a port from 1 to 65535"),
        ("forward . [::1", "in brackets"),
        (f"forward . {MANY}", "16 upstreams, at most 15"),
        ("forward . 10.0.0.1 {\nexcept\n}", "except: expected a zone"),
        ("forward . 10.0.0.1 {\nforce_tcp x\n}", "unexpected 'x'"),
        ("forward . 10.0.0.1 {\nexpire -1s\n}", "expire: expected a duration"),
        ("forward . 10.0.0.1 {\nexpire 10\n}", "expire: expected a duration"),
        ("forward . 10.0.0.1 {\nmax_age 5s\n}", "max_age must not be less than expire"),
        ("forward . 10.0.0.1 {\nmax_idle_conns -1\n}", "max_idle_conns: expected a whole number"),
        ("forward . 10.0.0.1 {\nread_timeout 0\n}", "read_timeout: expected a duration over zero"),
        ("forward . 10.0.0.1 {\nmax_fails 4294967296\n}", "max_fails: expected a whole number"),
        ("forward . 10.0.0.1 {\nmax_connect_attempts -1\n}", "max_connect_attempts: expected"),
        ("forward . 10.0.0.1 {\npolicy x\n}", "random, round_robin or sequential"),
        ("forward . 10.0.0.1 {\nhealth_check\n}", "health_check: expected a duration"),
        ("forward . 10.0.0.1 {\nhealth_check 1s x\n}", "expected no_rec or domain NAME, found 'x'"),
        ("forward . 10.0.0.1 {\nhealth_check 1s domain\n}", "expected no_rec or domain NAME"),
        ("forward . 10.0.0.1 {\nhealth_check 1s domain a..b\n}", "health_check: name 'a..b'"),
        ("forward . 10.0.0.1 {\nmax_concurrent x\n}", "max_concurrent: expected a whole number"),
        ("forward . 10.0.0.1 {\nnext\n}", "next: expected a response code"),
        ("forward . 10.0.0.1 {\nnext BOGUS\n}", "next: expected a response code"),
        ("forward . 10.0.0.1 {\nfailover NOERROR\n}", "other than NOERROR"),
        ("forward . 10.0.0.1 {\nsource_address x\n}", "source_address: expected an IP address"),
        ("forward . 10.0.0.1 {\nresolver x.example\n}", "resolver: expected an IP address"),
        ("forward . 10.0.0.1 {\ndoh_method PUT\n}", "POST or GET"),
        ("forward . 10.0.0.1 {\ntls a b c d\n}", "unexpected 'd'"),
        ("forward . 10.0.0.1 {\nprefer_upd\n}", "unknown option 'prefer_upd'"),
        ("forward . tls://10.0.0.1%a {\ntls_servername b\n}", "name one server twice"),
        ("forward . 10.0.0.1 {\nbudget 0\n}", "budget: expected a whole number"),
        ("forward . 10.0.0.1 {\ncluster_names keep\n}", "cluster_names: expected refuse"),
        ("forward . 10.0.0.1 {\nmixed_case yes\n}", "unexpected 'yes'"),
    ],
)
def test_what_cannot_be_meant_is_an_error(directive, why):
    with pytest.raises(ConfigError, match=re.escape(why)):
        chain(directive, Forward)


@pytest.mark.parametrize(
    "options",
    [
        "except a.b 10.0.0.0/15\nexcept *",
        "expire 0",
        "max_age 5s\nexpire 5s",
        "max_idle_conns 0",
        "max_fails 0",
        "max_connect_attempts 0",
        "health_check 1s domain a no_rec",
        "health_check 0",
        "next nxdomain ServFail\nnext REFUSED",
        "source_address ::1",
        "resolver 10.0.0.1:54 ::1 [::1]:5",
    ],
)
def test_what_coredns_takes_is_taken(options):
    chain(f"forward 10.0.0.0/15 10.0.0.1 10.0.0.1%eth0 dns://10.0.0.2 {{\n{options}\n}}", Forward)
