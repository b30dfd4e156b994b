"""header: flags of queries and replies."""

import dns.flags
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.header import Header
from tests import fakes
from tests.stubs import Told, addresses
from tests.tabled import Served, served

HOSTS = "hosts {\n 10.0.0.1 a.example\n}\n"


def flags(reply):
    return set(dns.flags.to_text(reply.flags).split()) - {"QR"}


def corefile(rules, rest=HOSTS):
    return f"a.example:0 {{\n header {{\n {rules}\n }}\n {rest}}}\n"


@pytest.mark.parametrize(
    ("rules", "rd", "expected"),
    [
        pytest.param("response set ra", True, {"AA", "RD", "RA"}, id="set in the reply"),
        pytest.param("response clear aa rd", True, set(), id="several cleared"),
        pytest.param("query set rd", False, {"AA", "RD"}, id="set in the query"),
        pytest.param("query clear rd", True, {"AA"}, id="cleared in the query"),
        pytest.param("RESPONSE SET RA", True, {"AA", "RD", "RA"}, id="in capitals"),
        pytest.param("response set aa\n response clear aa", True, {"RD"}, id="the last counts"),
        pytest.param("response clear aa\n response set aa", True, {"RD", "AA"}, id="or the other"),
    ],
)
async def test_rules_change_flags(rules, rd, expected):
    one = Served(corefile(rules))
    for _ in range(3):
        reply = await one.ask("a.example", flags=dns.flags.RD if rd else 0)
        assert flags(reply) == expected
        assert reply.answer
    assert await one.is_remembered("a.example", flags=dns.flags.RD if rd else 0)


async def test_askers_with_and_without_rd_do_not_share_what_is_said_of_it():
    one = Served(corefile("response set ra"))
    for _ in range(3):
        assert "RD" in flags(await one.ask("a.example", flags=dns.flags.RD))
        assert "RD" not in flags(await one.ask("a.example", flags=0))


async def test_the_second_header_of_a_block_does_nothing(caplog):
    rest = "header {\n response clear aa\n}\n" + HOSTS
    async with served(corefile("response set ra", rest)) as one:
        assert flags(await one.ask("a.example")) == {"AA", "RD", "RA"}
    assert "first header" in caplog.text


async def test_the_rest_of_the_chain_sees_the_changed_query():
    seen = []

    def say(query):
        seen.append(query.question.flags)
        return addresses(query, 1)

    chain = fakes.chain("header {\n query clear rd\n}", Header)
    chain.plugins.append(Told(say))
    await chain.ask("a.example", flags=0x0110)
    assert seen == [0x0010]


async def test_failures_keep_their_flags():
    chain = fakes.chain("header {\n response set ra\n}", Header)
    chain.plugins.append(Told(lambda query: addresses(query, 1, error="broken")))
    assert (await chain.ask("a.example")).forced == 0


@pytest.mark.parametrize(
    "text",
    [
        "header",
        "header {\n}",
        "header {\n response set\n}",
        "header {\n response set ad\n}",
        "header {\n response toggle aa\n}",
        "header {\n answer set aa\n}",
        "header {\n set aa\n}",
    ],
)
def test_wrong_rules_are_refused(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Header)
