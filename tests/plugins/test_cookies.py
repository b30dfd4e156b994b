"""cookies: who gets one, who must have one, and that answers stay one for all."""

import logging
import os
import shutil
import subprocess
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import Client
from kdns.plugins.cookies import KEPT, Cookies
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from kdns.wire import records
from tests import fakes
from tests.running import Running

CLIENT = b"\1\2\3\4\5\6\7\x08"
HOME, OTHER = "192.0.2.1", "192.0.2.2"
WALL = 1_800_000_000.0


class Server:
    """A Corefile behind a pipeline with a table, and a wall clock that a test sets."""

    def __init__(self, options: str = "", rest: str = "") -> None:
        self.now = WALL
        self.services = Services(wall=lambda: self.now)
        errors = []
        text = (
            f". {{\n cookies {{\n{options}\n }}\n {rest}\n hosts {{\n 1.1.1.1 a.example\n }}\n}}\n"
        )
        self.assembly = build(text, "Corefile", self.services, errors)
        assert not errors, errors
        [router] = self.assembly.routers.values()
        self.table = AnswerTable(self.services.stamps, self.services.chance, lambda peer: peer)
        parts = (self.services.stamps, self.services.counters, self.services.clock)
        self.pipeline = Pipeline(router, *parts, self.services.chance, table=self.table)
        [self.plugin] = [one for one in self.assembly.plugins if one.name == "cookies"]

    async def start(self) -> "Server":
        for plugin in self.assembly.plugins:
            await plugin.start()
        return self

    async def send(self, packet: bytes, who: str = HOME, transport: str = "udp"):
        client = Client(records.address(who), 4000, transport)
        return await self.pipeline.respond(packet, client, self.services.clock())

    async def ask(self, *cookies: bytes, who: str = HOME, transport: str = "udp", edns: int = 0):
        options = [dns.edns.GenericOption(10, each) for each in cookies]
        query = dns.message.make_query("a.example", "A", use_edns=edns, options=options)
        return dns.message.from_wire(await self.send(query.to_wire(), who, transport))

    def counted(self) -> dict[str, float]:
        values = self.services.counters.values
        return {key[2]: value for key, value in values.items() if key[0] == "kdns_cookies_total"}


def cookie_in(reply: dns.message.Message) -> bytes | None:
    found = [option.to_wire() for option in reply.options if option.otype == 10]
    assert len(found) <= 1
    return found[0] if found else None


async def test_who_sends_a_cookie_gets_one_and_may_use_it():
    server = await Server().start()
    first = await server.ask(CLIENT)
    given = cookie_in(first)
    assert given[:8] == CLIENT
    assert len(given) == 24
    again = await server.ask(given)
    assert cookie_in(again) == given
    assert again.answer[0][0].address == "1.1.1.1"
    assert server.counted() == {"new": 1, "right": 1}


@pytest.mark.parametrize("edns", [-1, 0])
async def test_who_sends_none_gets_none(edns):
    server = await Server("require").start()
    reply = await server.ask(edns=edns)
    assert not reply.options
    assert reply.answer
    assert not server.counted()


async def test_the_answer_is_one_entry_for_all_who_ask():
    server = await Server().start()
    chain = server.pipeline.router.only.chain
    asked = []
    object.__setattr__(
        server.pipeline.router.only, "chain", lambda query: (asked.append(query), chain(query))[1]
    )
    seen = set()
    for at in range(20):
        reply = await server.ask(bytes([at]) * 8, who=f"192.0.2.{at}")
        seen.add(cookie_in(reply))
        assert reply.answer
    assert len(seen) == 20
    assert len(server.table.entries) == 1
    assert len(asked) <= 2


async def test_a_cookie_is_renewed_after_half_an_hour_and_wrong_after_one():
    server = await Server("require").start()
    given = cookie_in(await server.ask(CLIENT))
    server.now += 1799
    assert cookie_in(await server.ask(given)) == given
    server.now += 1
    later = await server.ask(given)
    assert later.answer
    assert cookie_in(later) not in (None, given)
    server.now += 1801
    refused = await server.ask(given)
    assert refused.rcode() == dns.rcode.BADCOOKIE
    assert server.counted()["wrong"] == 1


async def test_require_has_clients_come_again_with_the_cookie_they_are_given():
    server = await Server("require").start()
    first = await server.ask(CLIENT)
    assert first.rcode() == dns.rcode.BADCOOKIE
    assert not first.answer
    again = await server.ask(cookie_in(first))
    assert again.rcode() == 0
    assert again.answer
    assert (await server.ask(cookie_in(first), who=OTHER)).rcode() == dns.rcode.BADCOOKIE
    assert (await server.ask(CLIENT, transport="tcp")).answer


async def test_require_for_networks_alone():
    server = await Server("require 192.0.2.2/32").start()
    assert (await server.ask(CLIENT, who=HOME)).answer
    assert (await server.ask(CLIENT, who=OTHER)).rcode() == dns.rcode.BADCOOKIE


@pytest.mark.parametrize("length", [0, 7, 9, 15, 41])
async def test_a_malformed_cookie_is_a_formerr(length):
    server = await Server().start()
    reply = await server.ask(bytes(length))
    assert reply.rcode() == dns.rcode.FORMERR
    assert reply.edns == 0
    assert server.counted() == {"malformed": 1}


async def test_of_several_cookies_the_first_counts():
    server = await Server().start()
    assert cookie_in(await server.ask(CLIENT, b"x"))[:8] == CLIENT


ALONE = b"\0\7\1\0\0\0\0\0\0\0\0\1\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\x08" + CLIENT


async def test_a_packet_may_ask_for_nothing_but_a_cookie():
    server = await Server("require").start()
    reply = dns.message.from_wire(await server.send(ALONE))
    assert (reply.id, reply.rcode(), reply.question) == (7, 0, [])
    given = cookie_in(reply)
    assert (await server.ask(given)).answer
    short = dns.message.from_wire(await server.send(ALONE[:22] + b"\x0b\0\x0a\0\7" + CLIENT[:7]))
    assert short.rcode() == dns.rcode.FORMERR


async def test_a_large_reply_leaves_room_for_the_cookie():
    server = await Server(rest="template IN TXT {\n answer \"{{ .Name }} 5 TXT " + "x" * 230
                          + "\"\n answer \"{{ .Name }} 5 TXT " + "y" * 230 + "\"\n }").start()  # fmt: skip
    option, sizes = dns.edns.GenericOption(10, CLIENT), {2}
    for payload in range(512, 620):
        query = dns.message.make_query(
            "a.example", "TXT", use_edns=0, payload=payload, options=[option]
        )
        wire = await server.send(query.to_wire())
        assert len(wire) <= payload
        reply = dns.message.from_wire(wire)
        assert cookie_in(reply)
        sizes.add(len(reply.answer[0]) if reply.answer else 0)
        assert (max(sizes) == len(reply.answer[0])) != bool(reply.flags & dns.flags.TC)
    assert len(sizes) == 2


async def test_memory_is_bounded():
    server = await Server().start()
    plugin = server.plugin
    for at in range(KEPT + 10):
        client = at.to_bytes(8, "big")
        cookie = plugin._secrets.make(client, b"\1\2\3\4", int(WALL))
        assert plugin._age(cookie, b"\1\2\3\4") == 0
    assert len(plugin._known) <= KEPT


# Secrets of a file

OLD, NEW = "00" * 16, "e5e973e5a6b2a43f48e7dc849e37bfcf"


async def test_servers_with_one_secret_know_each_others_cookies(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"# ours\n{NEW}\n")
    one, two = [await Server(f"secret {path}").start() for _ in range(2)]
    given = cookie_in(await one.ask(CLIENT))
    assert cookie_in(await two.ask(given)) == given
    apart = await Server().start()
    assert cookie_in(await apart.ask(given)) != given


async def test_a_changed_file_is_taken_and_a_wrong_one_is_not(tmp_path, caplog):
    caplog.set_level(logging.INFO, "kdns.cookies")
    path = tmp_path / "secret"
    path.write_text(OLD)
    server = await Server(f"require\nsecret {path}").start()
    given = cookie_in(await server.ask(CLIENT))

    def put(text: str, at: int) -> None:
        path.write_text(text)
        os.utime(path, (at, at))
        server.plugin.refresh()

    put(f"{NEW}\n{OLD}", 1)
    assert (await server.ask(given)).answer
    put("rubbish", 2)
    assert (await server.ask(given)).answer
    assert "a line is not one secret of 32 hex digits; the secrets known so far stay" in caplog.text
    put(NEW, 3)
    assert (await server.ask(given)).rcode() == dns.rcode.BADCOOKIE
    before = len(caplog.records)
    server.plugin.refresh()
    assert len(caplog.records) == before
    path.unlink()
    for _ in range(3):
        server.plugin.refresh()
    assert caplog.text.count("No such file") == 1
    with pytest.raises(ConfigError, match="No such file"):  # what `kdns check` asks
        server.plugin.look()


@pytest.mark.parametrize("text", ["", "# none", "12", "zz" * 16])
async def test_a_file_without_secrets_is_an_error(tmp_path, text):
    path = tmp_path / "secret"
    path.write_text(text)
    with pytest.raises(ConfigError, match="32 hex digits"):
        await Server(f"secret {path}").start()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cookies on", "unexpected 'on'"),
        ("cookies {\n require x\n}", "found 'x'"),
        ("cookies {\n secret\n}", "secret"),
        ("cookies {\n secrets x\n}", "unknown option"),
    ],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError, match=why):
        fakes.plugins(text, fakes.site(), Cookies)


# Real clients


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Running:
    path: Path = tmp_path_factory.mktemp("cookies") / "Corefile"
    path.write_text(". {\n cookies {\n  require\n }\n hosts {\n  1.1.1.1 a.example\n }\n}\n")
    with Running(path) as server:
        yield server.wait()


def output(*words: str) -> str:
    if shutil.which(words[0]) is None:
        pytest.skip(f"needs {words[0]}")
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def test_dig_comes_again_after_badcookie_and_finds_ours_good(running):
    printed = output("dig", "@127.0.0.1", "-p", str(running.port), "+cookie", "a.example")
    assert "; COOKIE:" in printed
    assert "(good)" in printed
    assert "1.1.1.1" in printed
    printed = output(
        "dig", "@127.0.0.1", "-p", str(running.port), "+cookie", "+nobadcookie", "a.example"
    )
    assert "status: BADCOOKIE" in printed


def test_kdig_uses_what_it_is_given(running):
    printed = output(
        "kdig", "@127.0.0.1", "-p", str(running.port), "+cookie", "+badcookie", "a.example"
    )
    assert "1.1.1.1" in printed
    assert "COOKIE" in printed


def test_dnspython_is_told_apart_by_its_cookie(running):
    option = dns.edns.CookieOption(CLIENT, b"")
    query = dns.message.make_query("a.example", "A", use_edns=0, options=[option])
    first = dns.query.udp(query, "127.0.0.1", 5, running.port)
    assert first.rcode() == dns.rcode.BADCOOKIE
    [given] = first.options
    assert given.client == CLIENT
    query.use_edns(0, options=[given])
    assert dns.query.udp(query, "127.0.0.1", 5, running.port).answer
    query.use_edns(0, options=[option])
    assert dns.query.tcp(query, "127.0.0.1", 5, running.port).answer
