"""nsid: which server it was."""

import socket

import dns.edns
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.nsid import Nsid
from tests import fakes
from tests.stubs import Told, addresses
from tests.tabled import Served

CORE = "a.example:0 {\n nsid over here\n hosts {\n 10.0.0.1 a.example\n }\n}\n"
ASKED = ((3, b""),)


def ids(reply):
    return [option.nsid for option in reply.options if option.otype == dns.edns.NSID]


async def test_who_asks_is_told_and_nobody_else():
    for order in (1, -1):
        one = Served(CORE)
        for options in ([ASKED, (), ((10, b"12345678"),)] * 3)[::order]:
            reply = await one.ask("a.example", size=1232, options=options)
            assert ids(reply) == ([b"over here"] if options == ASKED else [])
        assert not (await one.ask("a.example")).options


async def test_replies_with_and_without_it_are_remembered():
    one = Served(CORE)
    assert await one.is_remembered("a.example", size=1232, options=ASKED)
    assert await one.is_remembered("a.example", size=1232)
    asked = ASKED[0], (12, bytes(9))
    assert ids(await one.ask("A.example", size=1232, options=asked)) == [b"over here"]


async def test_the_name_of_the_host_is_the_default():
    reply = await Served("a.example:0 {\n nsid\n hosts {\n 10.0.0.1 a.example\n }\n}\n").ask(
        "a.example", options=ASKED
    )
    assert ids(reply) == [socket.gethostname().encode()]


async def test_the_do_bit_stays_the_askers():
    one = Served(CORE)
    for do in (True, False, True):
        assert bool((await one.ask("a.example", do=do, options=ASKED)).ednsflags) == do


async def test_what_an_upstream_said_is_replaced_and_failures_have_none():
    chain = fakes.chain("nsid me", Nsid)
    chain.plugins.append(Told(lambda query: addresses(query, 1, options=b"\0\3\0\2up")))
    asked = {"has_opt": True, "options": b"\0\3\0\0"}
    assert (await chain.ask("a.example", **asked)).options == b"\0\3\0\2me"
    chain.plugins[1] = Told(lambda query: addresses(query, 1, error="broken"))
    assert not (await chain.ask("a.example", **asked)).options


@pytest.mark.parametrize("text", ["nsid {\n x\n}", "nsid {\n}"])
def test_it_takes_no_block(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Nsid)


def test_it_stands_once_in_a_block():
    assert not Nsid.syntax.repeats
