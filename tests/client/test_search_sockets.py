"""The walk's `ask` over sockets tells replies, silence, closed ports and cut connections apart."""

import asyncio

import pytest

from kdns.client.packets import asking
from kdns.client.search import Resolv, walk
from kdns.client.search_sockets import ask
from kdns.wire import names, types
from tests.running import free_port
from tests.upstream import CLOSE, Upstream, answers, reply, wire

PACKET = asking(names.parse("web.shop.test."), types.A, types.IN, types.RD, None)[0]


def at(upstream: Upstream) -> tuple[str, int]:
    host, _, port = upstream.address.rpartition(":")
    return host, int(port)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_reply_has_the_packets_id(transport):
    async with Upstream(answers("web.shop.test. 5 IN A 10.0.0.1")) as upstream:
        heard = await ask(at(upstream), b"\x12\x34" + PACKET[2:], transport)
    assert heard.reply is not None
    assert heard.reply[:2] == b"\x12\x34"
    assert (heard.transport, heard.error) == (transport, "")
    assert 0 < heard.took_s < 40


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_silence_is_told_with_the_time_waited(transport):
    async with Upstream(lambda asked: None) as upstream:
        heard = await ask(at(upstream), PACKET, transport, 0.2)
    assert (heard.reply, heard.failure, heard.error) == (None, "silent", "no answer within 0.2 s")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_closed_port_is_known_at_once(transport):
    heard = await ask(("127.0.0.1", free_port()), PACKET, transport)
    assert (heard.reply, heard.failure, heard.error) == (None, "refused", "connection refused")
    assert heard.took_s < 40


async def test_a_connection_closed_before_the_reply_is_cut():
    async with Upstream(lambda asked: CLOSE) as upstream:
        heard = await ask(at(upstream), PACKET, "tcp")
    assert (heard.reply, heard.failure) == (None, "cut")
    assert heard.error


async def test_an_unusable_address_is_told():
    heard = await ask(("fe80::1%nowhere", 53), PACKET, "udp", 1.0)
    assert heard.reply is None
    assert heard.error


async def test_a_reply_to_another_question_is_handed_on():
    def script(asked):
        out = reply(asked)
        out.question[0].name = out.question[0].name.parent()
        return wire(out)

    async with Upstream(script) as upstream:
        heard = await ask(at(upstream), PACKET, "udp")
    assert heard.reply is not None


async def test_a_walk_over_sockets_finds_what_a_search_domain_has():
    def script(asked):
        if asked.name == "web.shop.test.":
            return wire(reply(asked, "web.shop.test. 5 IN A 10.0.0.1", flags="AA"))
        return wire(reply(asked, rcode="NXDOMAIN"))

    async with Upstream(script) as upstream:
        resolv = Resolv((at(upstream),), ("none.test", "shop.test"), 5)
        found = await asyncio.gather(
            *(walk("web", (types.A,), resolv, libc, ask) for libc in ("glibc", "musl"))
        )
    for one in found:
        assert (one.outcome, one.name, one.addresses) == (
            "answered",
            "web.shop.test.",
            ("10.0.0.1",),
        )
        assert [each.name for each in one.asked] == ["web.none.test.", "web.shop.test."]
        assert [each.then for each in one.asked] == ["goes on", "ends here: answered"]
