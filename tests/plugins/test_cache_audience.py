"""cache: what is one asker's, or of one class of them, is given to nobody else.

Each Corefile is built as the server builds it and asked through a Pipeline with its table, by two
clients in both orders and again and again; what they may get does not depend on who came first.
"""

from itertools import permutations

import dns.edns
import dns.message
import pytest

from kdns.plugins.base import Backend
from kdns.plugins.cache import Cache
from kdns.plugins.forward import Forward
from kdns.plugins.rewrite import Rewrite
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from kdns.wire import types
from kdns.wire.classify import SUCCESS
from kdns.wire.message import Answer, RRset
from kdns.wire.scan import options
from tests import fakes
from tests.served import Serving
from tests.upstream import Upstream, reply, wire

REMOTE = 'template IN A {\nanswer "{{ .Name }} 60 IN A {{ .Remote }}"\n}'
FIXED = 'template IN A {\nanswer "{{ .Name }} 60 IN A 1.1.1.1"\n}'
INSIDE, OUTSIDE = "10.0.0.1", "192.0.2.9"

COREFILES = {
    "template": (f". {{\ncache\n{REMOTE}\n}}\n", {INSIDE: INSIDE, OUTSIDE: OUTSIDE}),
    "template-stale": (
        f". {{\ncache {{\nserve_stale\nprefetch 1\n}}\n{REMOTE}\n}}\n",
        {INSIDE: INSIDE, OUTSIDE: OUTSIDE},
    ),
    "template-behind-rewrite": (
        f". {{\nrewrite name a.example b.example\ncache\n{REMOTE}\n}}\n",
        {INSIDE: INSIDE, OUTSIDE: OUTSIDE},
    ),
    "acl-before": (
        f". {{\nacl {{\nblock net 192.0.2.0/24\n}}\ncache\n{FIXED}\n}}\n",
        {INSIDE: "1.1.1.1", OUTSIDE: "REFUSED"},
    ),
    "acl-after-rewrite": (
        f". {{\nrewrite name a.example b.example\nacl b.example {{\nblock net 192.0.2.0/24\n}}\n"
        f"cache\n{FIXED}\n}}\n",
        {INSIDE: "1.1.1.1", OUTSIDE: "REFUSED"},
    ),
    "views": (
        ". {\nview inside {\nexpr incidr(client_ip(), '10.0.0.0/8')\n}\ncache\n"
        f"{FIXED}\n}}\n. {{\ncache\n{FIXED.replace('1.1.1.1', '2.2.2.2')}\n}}\n",
        {INSIDE: "1.1.1.1", OUTSIDE: "2.2.2.2"},
    ),
    "a-view-and-a-template": (
        ". {\nview inside {\nexpr incidr(client_ip(), '10.0.0.0/8')\n}\ncache\n"
        f"{FIXED}\n}}\n. {{\ncache\n{REMOTE}\n}}\n",
        {INSIDE: "1.1.1.1", OUTSIDE: OUTSIDE, "192.0.2.10": "192.0.2.10"},
    ),
    "metadata-in-a-rewrite": (
        ". {\nmetadata\nview v {\nexpr incidr(client_ip(), '0.0.0.0/0')\n}\n"
        f"cache\n{REMOTE}\n}}\n",
        {INSIDE: INSIDE, OUTSIDE: OUTSIDE},
    ),
}


def said(packet: bytes | None) -> str:
    assert packet is not None
    message = dns.message.from_wire(packet)
    if message.rcode():
        return message.rcode().name
    return " ".join(str(rdata) for rrset in message.answer for rdata in rrset)


@pytest.mark.parametrize("case", COREFILES)
@pytest.mark.parametrize("order", [0, 1])
async def test_nobody_gets_what_is_another_ones(case, order):
    text, expected = COREFILES[case]
    errors = []
    services = Services()
    assembly = build(text, "Corefile", services, errors)
    assert not errors
    [router] = assembly.routers.values()
    table = AnswerTable(services.stamps, services.chance, lambda peer: peer)
    pipeline = Pipeline(
        router, services.stamps, services.counters, services.clock, services.chance, table=table
    )
    for plugin in assembly.plugins:
        await plugin.start()
    askers = list(permutations(expected))[order]
    for _ in range(5):
        for address in askers:
            who = fakes.client(address)
            packet = dns.message.make_query("a.example", "A", id=7).to_wire()
            got = pipeline.recall(packet, who.address, services.clock())
            got = got or await pipeline.respond(packet, who, services.clock())
            assert said(got) == expected[address], address


@pytest.mark.parametrize(("scope", "is_kept"), [(0, True), (24, False)])
async def test_what_is_for_a_part_of_the_network_is_not_kept(scope, is_kept):
    """RFC 7871 §7.3: the upstream says for whom it answered."""

    def script(asked):
        option = dns.edns.ECSOption("10.0.0.0", 24, scope)
        return wire(reply(asked, f"{asked.name} 60 IN A 10.0.0.1", options=(option,)))

    async with (
        Upstream(script) as up,
        Serving(f"cache\nforward . {up.address}", Cache, Forward) as served,
    ):
        for _ in range(2):
            subnet = b"\0\x08\0\7\0\1\x18\0\x0a\0\0"
            await served.ask("a.example", has_opt=True, options=subnet)
        assert served.plugins[0].size(SUCCESS) == is_kept
        assert len(up.asked) == 2 - is_kept


async def test_who_is_over_the_budget_does_not_spoil_it_for_others():
    async with (
        Upstream(lambda asked: wire(reply(asked, f"{asked.name} 60 IN A 10.0.0.1"))) as up,
        Serving(f"cache\nforward . {up.address} {{\nbudget 2\n}}", Cache, Forward) as served,
    ):
        budget = served.plugins[1].peers[0].budget
        with budget.spent(fakes.client("10.0.0.1").address[:3]):
            answer = await served.ask("a.example", who=fakes.client("10.0.0.1"))
            assert "over the budget" in answer.error
        assert (await served.ask("a.example", who=fakes.client("192.0.2.1"))).answer


class Policy(Backend):
    """An upstream that answers by an option in which it is told who asks."""

    name = "policy"

    async def answer(self, query):
        told = [value for code, value in options(query.question.options) if code == 0xFFEE]
        rrset = RRset(query.key, types.A, 60, (told[0][-4:].rjust(4, b"\0"),))
        return Answer(answer=(rrset,), plugin="policy")


@pytest.mark.parametrize("order", [(INSIDE, OUTSIDE), (OUTSIDE, INSIDE)])
@pytest.mark.parametrize(
    ("value", "is_kept"), [("{client_ip}", False), ("{qname}", True), ("0x0a000001", True)]
)
async def test_what_an_upstream_says_that_is_told_who_asks_is_for_him(order, value, is_kept):
    text = f"rewrite edns0 local set 0xffee {value}\ncache\npolicy"
    made = fakes.chain(text, Rewrite, Cache, Policy)
    for _ in range(3):
        for address in order:
            answer = await made.ask("a.example", who=fakes.client(address))
            if value == "{client_ip}":
                assert answer.answer[0].rdatas == (fakes.client(address).address,)
    assert made.plugins[1].size(SUCCESS) == is_kept
