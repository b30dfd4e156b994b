"""ratelimit: what is over the rate is cut or dropped, for whoever's address may be forged."""

import dns.edns
import dns.flags
import dns.message
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import Client
from kdns.plugins.ratelimit import KEPT, WINDOW_S, Buckets, Ratelimit
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from kdns.wire import records
from tests import fakes

HOSTS = "hosts {\n 1.1.1.1 a.example\n }\n template IN A none.example {\n rcode NXDOMAIN\n }"


class Server:
    """A Corefile behind a pipeline with a table; time stands until a test moves it."""

    def __init__(self, options: str, rest: str = "") -> None:
        self.clock = fakes.Clock()
        self.services = Services(clock=self.clock)
        errors = []
        text = f". {{\n ratelimit {{\n{options}\n }}\n {rest}\n {HOSTS}\n}}\n"
        assembly = build(text, "Corefile", self.services, errors)
        assert not errors, errors
        self.plugins = assembly.plugins
        [router] = assembly.routers.values()
        table = AnswerTable(self.services.stamps, self.services.chance, lambda peer: peer)
        parts = (self.services.stamps, self.services.counters, self.clock)
        self.pipeline = Pipeline(router, *parts, self.services.chance, table=table)

    async def start(self) -> "Server":
        for plugin in self.plugins:
            await plugin.start()
        return self

    async def ask(self, who: str, name: str = "a.example", transport: str = "udp", cookie=b""):
        options = [dns.edns.GenericOption(10, cookie)] if cookie else []
        query = dns.message.make_query(name, "A", use_edns=0, options=options)
        client = Client(records.address(who), 4000, transport)
        wire = await self.pipeline.respond(query.to_wire(), client, self.clock())
        return wire and dns.message.from_wire(wire)

    async def burst(self, who: str, count: int, name: str = "a.example", **how: object) -> str:
        """What becomes of so many questions: a letter each."""
        found = ""
        for _ in range(count):
            reply = await self.ask(who, name, **how)
            is_cut = reply and reply.flags & dns.flags.TC
            found += "-" if reply is None else "t" if is_cut else "a"
        return found

    def counted(self) -> dict[tuple[str, ...], float]:
        values = self.services.counters.values
        return {key[2:]: value for key, value in values.items() if key[0] == "kdns_ratelimit_total"}


async def test_over_the_rate_replies_are_cut_and_dropped_in_turn():
    server = await Server("answers 2").start()
    assert await server.burst("10.0.0.1", 16) == "a" * 2 * WINDOW_S + "-t-t-t"
    assert server.counted() == {("answers", "dropped"): 3, ("answers", "cut"): 3}
    server.clock.now += 1
    assert await server.burst("10.0.0.1", 3) == "aa-"
    server.clock.now += 1000
    assert (await server.burst("10.0.0.1", 16)).count("a") == 2 * WINDOW_S


@pytest.mark.parametrize(("slip", "expected"), [(0, "----"), (1, "tttt"), (2, "-t-t"), (4, "---t")])
async def test_slip(slip, expected):
    server = await Server(f"answers 1\nslip {slip}").start()
    assert await server.burst("10.0.0.1", WINDOW_S + 4) == "a" * WINDOW_S + expected


async def test_what_is_cut_is_no_larger_than_the_question():
    server = await Server("answers 1\nslip 1").start()
    await server.burst("10.0.0.1", WINDOW_S)
    reply = await server.ask("10.0.0.1")
    assert reply.question[0].name.to_text() == "a.example."
    assert reply.sections[1:] == [[], [], []]
    assert len(reply.to_wire()) < len(
        dns.message.make_query("a.example", "A", use_edns=0).to_wire()
    )


async def test_a_network_is_counted_as_one_and_others_apart():
    server = await Server("answers 1").start()
    assert await server.burst("10.0.0.1", WINDOW_S) == "a" * WINDOW_S
    assert await server.burst("10.0.0.200", 1) == "-"
    assert await server.burst("10.0.1.1", 1) == "a"
    assert await server.burst("fd00::1", WINDOW_S) == "a" * WINDOW_S
    assert await server.burst("fd00:0:0:ff::1", 1) == "t"
    assert await server.burst("fd00:0:0:100::1", 1) == "a"


async def test_networks_may_be_of_other_sizes():
    server = await Server("answers 1\nnetworks 32 64").start()
    assert await server.burst("10.0.0.1", WINDOW_S + 1) == "a" * WINDOW_S + "-"
    assert await server.burst("10.0.0.2", 1) == "a"


async def test_kinds_are_counted_apart():
    server = await Server("answers 1\ndenials 1\nerrors 1").start()
    for name in ("a.example", "none.example", "other.test"):
        assert await server.burst("10.0.0.1", WINDOW_S, name) == "a" * WINDOW_S
    assert (await server.burst("10.0.0.1", 2, "none.example")).count("a") == 0
    assert (await server.burst("10.0.0.1", 2, "other.test")).count("a") == 0
    assert {kind for kind, _ in server.counted()} == {"denials", "errors"}


@pytest.mark.parametrize(
    ("options", "how"),
    [("exempt 10.0.0.0/8", {}), ("", {"transport": "tcp"}), ("log_only", {})],
    ids=["exempt", "tcp", "log only"],
)
async def test_who_is_not_limited(options, how):
    server = await Server(f"answers 1\n{options}").start()
    assert await server.burst("10.0.0.1", 20, **how) == "a" * 20
    expected = {("answers", "logged"): 20 - WINDOW_S} if options == "log_only" else {}
    assert server.counted() == expected


async def test_a_client_with_a_cookie_of_ours_is_who_he_says():
    server = await Server("answers 1", "cookies").start()
    [option] = (await server.ask("10.0.0.1", cookie=b"c" * 8)).options
    assert await server.burst("10.0.0.1", 20, cookie=option.to_wire()) == "a" * 20
    assert (await server.burst("10.0.0.1", 20, cookie=b"c" * 8)).count("a") == WINDOW_S - 1
    other = await server.burst("10.0.0.2", 3, cookie=option.to_wire())
    assert other.count("a") == 0


def test_memory_is_bounded_and_who_is_still_seen_is_remembered():
    buckets = Buckets(1)
    for _ in range(WINDOW_S):
        assert buckets.takes(b"flood", 0.0)
    for at in range(5 * KEPT):
        buckets.takes(at.to_bytes(4, "big"), 0.0)
        if not at % 1000:
            assert not buckets.takes(b"flood", 0.0)
        assert len(buckets) <= 2 * KEPT


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ratelimit 5", "unexpected '5'"),
        ("ratelimit {\n answers 0\n}", "answers"),
        ("ratelimit {\n networks 24\n}", "networks"),
        ("ratelimit {\n networks 33 56\n}", "found '33'"),
        ("ratelimit {\n slip x\n}", "slip"),
        ("ratelimit {\n exempt\n}", "exempt"),
        ("ratelimit {\n log_only yes\n}", "unexpected 'yes'"),
        ("ratelimit {\n nxdomains 5\n}", "unknown option"),
    ],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError, match=why):
        fakes.plugins(text, fakes.site(), Ratelimit)
