"""minimal: answers without authority and additional records."""

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import DROP
from kdns.plugins.minimal import Minimal
from kdns.wire import names, types
from kdns.wire.carried import Carried, screen
from kdns.wire.encode import encode
from kdns.wire.message import Answer, RRset
from tests import fakes
from tests.stubs import Told, addresses, soa

NS = RRset(names.parse_key("cluster.local"), types.NS, 5, (names.parse_key("ns.cluster.local"),))
GLUE = RRset(names.parse_key("ns.cluster.local"), types.A, 5, (b"\x0a\0\0\1",))


async def edited(say, type_="A", **how):
    chain = fakes.chain("minimal", Minimal)
    chain.plugins.append(Told(say))
    return await chain.ask("a.cluster.local", type_, **how)


async def test_an_answer_loses_all_but_itself():
    answer = await edited(lambda query: addresses(query, 1, authority=(NS,), additional=(GLUE,)))
    assert answer.answer
    assert not answer.authority
    assert not answer.additional


async def test_additional_records_without_an_answer_go_too():
    answer = await edited(lambda _: Answer(additional=(GLUE,)))
    assert answer == Answer()


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(Answer(authority=(NS,), additional=(GLUE,)), id="a delegation"),
        pytest.param(Answer(authority=(soa(),)), id="no data"),
        pytest.param(Answer(rcode=types.NXDOMAIN, authority=(soa(),)), id="no such name"),
        pytest.param(Answer(rcode=types.SERVFAIL, additional=(GLUE,)), id="a failure"),
        pytest.param(DROP, id="silence"),
    ],
)
async def test_what_matters_there_is_kept(kept):
    assert await edited(lambda _: kept) is kept


@pytest.mark.parametrize(("type_", "flags"), [("AXFR", 0x0100), ("SOA", 0x2000)])
async def test_transfers_and_notifications_stay_whole(type_, flags):
    answer = await edited(lambda query: addresses(query, 1, authority=(NS,)), type_, flags=flags)
    assert answer.authority


def carried(*, authority=()):
    question = fakes.question("a.cluster.local")
    found = (RRset(question.key, types.A, 5, (b"\x0a\0\0\1",)),)
    wire = encode(question, Answer(answer=found, authority=authority), types.QR).wire
    cargo = screen(wire, 12 + len(question.key) + 4, question.key)
    assert cargo is not None
    return Carried(0, cargo=cargo, plugin="forward")


async def test_a_carried_message_without_them_stays_a_message():
    answer = carried()
    assert await edited(lambda _: answer) is answer


async def test_a_carried_message_with_them_loses_them():
    edited_ = await edited(lambda _: carried(authority=(NS,)))
    assert [rrset.rdatas for rrset in edited_.answer] == [(b"\x0a\0\0\1",)]
    assert not edited_.authority


@pytest.mark.parametrize("text", ["minimal x", "minimal {\n x\n}"])
def test_it_takes_nothing(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Minimal)
