"""chaos: version, authors and host in class CH."""

import socket

import pytest

import kdns
from kdns.corefile.tree import ConfigError
from kdns.plugins.chaos import Chaos
from tests import fakes
from tests.tabled import Served, served


def strings(reply):
    return [rdata.strings for rrset in reply.answer for rdata in rrset]


HOST = socket.gethostname().encode()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("version.bind", b"v1"), ("VERSION.Server", b"v1"), ("authors.bind", b"ada"),
        ("hostname.bind", HOST), ("id.server", HOST),
    ],
)  # fmt: skip
async def test_five_names_are_answered(name, expected):
    reply = await Served(".:0 {\n chaos v1 ada\n}\n").ask(name, "TXT", cls="CH")
    assert strings(reply) == [(expected,)]
    assert reply.answer[0].to_text().split()[:4] == [f"{name}.", "0", "CH", "TXT"]
    assert not reply.flags & 0x0400


@pytest.mark.parametrize(
    ("name", "type_", "cls", "rcode"),
    [
        ("other.bind", "TXT", "CH", 2), ("version.bind", "A", "CH", 2),
        ("version.bind", "TXT", "IN", 2), ("version.bind", "TXT", "HS", 2),
    ],
)  # fmt: skip
async def test_all_else_passes(name, type_, cls, rcode):
    reply = await Served(".:0 {\n chaos\n}\n").ask(name, type_, cls=cls)
    assert (reply.rcode(), reply.answer) == (rcode, [])


async def test_authors_come_in_any_order():
    one = Served(".:0 {\n chaos v a b c d\n}\n")
    seen = {tuple(strings(await one.ask("authors.bind", "TXT", cls="CH"))) for _ in range(40)}
    assert len(seen) > 5
    assert {tuple(sorted(one)) for one in seen} == {((b"a",), (b"b",), (b"c",), (b"d",))}
    assert not await one.is_remembered("authors.bind", "TXT", cls="CH")
    assert await one.is_remembered("version.bind", "TXT", cls="CH")


async def test_by_default_it_is_kdns():
    reply = await Served(".:0 {\n chaos\n}\n").ask("version.bind", "TXT", cls="CH")
    assert strings(reply) == [(f"kdns-{kdns.__version__}".encode(),)]


async def test_the_first_of_a_block_counts_and_texts_are_cut(caplog):
    async with served(f".:0 {{\n chaos {'x' * 300}\n chaos y\n}}\n") as one:
        reply = await one.ask("version.bind", "TXT", cls="CH")
    assert strings(reply) == [(b"x" * 255,)]
    assert "kdns.chaos" in caplog.text


def test_it_has_no_options():
    with pytest.raises(ConfigError):
        fakes.chain("chaos x {\n y\n}", Chaos)
