"""dynupdate: what may be changed, what is seen at once, and what survives."""

import asyncio
import base64
import os
import signal
import sqlite3
import stat
import time
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.corefile.tree import ConfigError
from kdns.plugins.dynupdate import Dynupdate
from kdns.plugins.tsig import Tsig
from kdns.wire import names, types
from kdns.wire.message import WireError
from kdns.zone.files import update as updates
from tests import fakes
from tests.running import Running
from tests.stubs import World

SECRET = "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
SEED = """$ORIGIN example.org.
@ 60 IN SOA ns hostmaster 5 7200 1800 86400 60
@ 60 IN NS ns
ns 60 IN A 192.0.2.1
www 60 IN A 192.0.2.2
alias 60 IN CNAME www
"""


def key(name: str = "k.") -> dns.tsig.Key:
    return dns.tsig.Key(dns.name.from_text(name), base64.b64decode(SECRET), dns.tsig.HMAC_SHA256)


def change(*adds: tuple[str, ...], zone: str = "example.org", by: str = "k.") -> dns.update.Update:
    made = dns.update.UpdateMessage(zone)
    for name, *rest in adds:
        made.add(name, 60, *rest)
    if by:
        made.use_tsig(key(by))
    return made


class Zone:
    """The plugin behind `tsig`, with a table and without, and a seed of its own."""

    def __init__(self, folder: Path, *options: str, seed: str = SEED) -> None:
        (folder / "seed").write_text(seed)
        self.options = options or ("allow k. * *",)
        self.folder = folder

    async def __aenter__(self) -> World:
        where = fakes.site(
            wall=time.time, root=str(self.folder), zones=(names.parse_key("example.org"),)
        )
        inside = "\n".join(self.options)
        text = f"tsig {{\n secret k. {SECRET}\n secret other. {SECRET}\n}}\n"
        made = fakes.plugins(
            f"{text}dynupdate {{\n file seed\n{inside}\n}}", where, Tsig, Dynupdate
        )
        self.world = World(*made)
        self.world.stamps = where.stamps
        for pipeline in (self.world.with_table, self.world.without):
            pipeline.stamps = where.stamps
        self.world.table.stamps = where.stamps
        self.world.with_table.replace(self.world.router)
        await self._at_work(made)
        return self.world

    async def _at_work(self, made: list) -> None:
        self._work = fakes.at_work(made, {})
        await self._work.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        await self._work.__aexit__(None, None, None)


async def rcode(world: World, message: dns.update.Update) -> str:
    reply = await world.ask(message.to_wire())
    assert reply is not None
    assert reply[2] >> 3 & 15 == types.UPDATE
    return dns.rcode.to_text(reply[3] & 15)


async def addresses(world: World, name: str = "www.example.org") -> set[str]:
    packet = dns.message.make_query(name, "A").to_wire()
    reply = await world.ask(packet)
    assert reply is not None
    found = dns.message.from_wire(reply).answer
    return {one.address for rrset in found for one in rrset if rrset.rdtype == dns.rdatatype.A}


async def test_a_change_is_seen_by_the_next_question_although_the_table_remembers(
    tmp_path: Path,
) -> None:
    async with Zone(tmp_path) as world:
        for _ in range(4):
            assert await addresses(world) == {"192.0.2.2"}
            assert await addresses(world, "new.example.org") == set()
        assert await rcode(world, change(("www", "A", "192.0.2.7"))) == "NOERROR"
        assert await addresses(world) == {"192.0.2.2", "192.0.2.7"}
        assert await addresses(world, "alias.example.org") == {"192.0.2.2", "192.0.2.7"}
        assert await rcode(world, change(("new", "A", "192.0.2.9"))) == "NOERROR"
        assert await addresses(world, "new.example.org") == {"192.0.2.9"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (lambda: change(("www", "A", "192.0.2.7"), by=""), "REFUSED"),
        (lambda: change(("www", "A", "192.0.2.7"), by="other."), "REFUSED"),
        (lambda: change(("www", "A", "192.0.2.7"), by="unknown."), "NOTAUTH"),
        (lambda: change(("www", "A", "192.0.2.7"), zone="www.example.org"), "NOTAUTH"),
        (lambda: change(("www", "TXT", "x")), "REFUSED"),
        (lambda: change(("ns", "A", "192.0.2.7")), "REFUSED"),
        (lambda: change(("www", "A", "192.0.2.7"), ("ns", "A", "192.0.2.7")), "REFUSED"),
        (lambda: change(("@", "TXT", "x")), "NOERROR"),
        (lambda: change(("any", "MX", "1 www")), "NOERROR"),
        (lambda: change(("www", "A", "192.0.2.7")), "NOERROR"),
    ],
)
async def test_only_what_a_rule_allows_the_signer_is_done(
    tmp_path: Path, message, expected: str
) -> None:
    rules = ("allow k. www.example.org A AAAA", "allow k. @ TXT", "allow K. any.example.org *")
    async with Zone(tmp_path, *rules) as world:
        before = world.plugins[1].serial(names.parse_key("example.org"))
        assert await rcode(world, message()) == expected
        after = world.plugins[1].serial(names.parse_key("example.org"))
        assert after == before + (expected == "NOERROR")


async def test_an_update_that_comes_again_is_answered_and_not_done_again(tmp_path: Path) -> None:
    """Whoever has overheard it cannot undo with it what was done since (RFC 8945 §10)."""
    async with Zone(tmp_path) as world:
        overheard = change(("www", "A", "192.0.2.7")).to_wire()
        assert (await world.ask(overheard) or b"")[3] & 15 == 0
        gone = change()
        gone.delete("www", "A", "192.0.2.7")
        assert await rcode(world, gone) == "NOERROR"
        for id_ in (overheard[:2], b"zz"):  # which no signature covers
            assert (await world.ask(id_ + overheard[2:]) or b"")[3] & 15 == 0
        assert await addresses(world) == {"192.0.2.2"}
        assert await rcode(world, change(("www", "A", "192.0.2.7"))) == "NOERROR"
        assert await addresses(world) == {"192.0.2.2", "192.0.2.7"}


async def test_prerequisites_are_judged_before_anything_is_done(tmp_path: Path) -> None:
    async with Zone(tmp_path) as world:
        for prepare, expected in (
            (lambda m: m.present("none"), "NXDOMAIN"),
            (lambda m: m.present("www", "TXT"), "NXRRSET"),
            (lambda m: m.present("www", "A", "192.0.2.9"), "NXRRSET"),
            (lambda m: m.absent("www"), "YXDOMAIN"),
            (lambda m: m.absent("www", "A"), "YXRRSET"),
            (lambda m: m.present("www", "A", "192.0.2.2"), "NOERROR"),
        ):
            message = change(("www", "A", "192.0.2.8"), by="")
            prepare(message)
            message.use_tsig(key())
            assert await rcode(world, message) == expected
        assert await addresses(world) == {"192.0.2.2", "192.0.2.8"}


async def test_updates_beyond_a_limit_change_nothing(tmp_path: Path) -> None:
    options = ("allow k. * *", "max_records 7", "max_update_records 3")
    async with Zone(tmp_path, *options) as world:
        many = [(f"n{at}", "A", "192.0.2.7") for at in range(4)]
        assert await rcode(world, change(*many)) == "REFUSED"
        assert await rcode(world, change(*many[:3])) == "REFUSED"
        assert await rcode(world, change(*many[:2])) == "NOERROR"
        assert await addresses(world, "n1.example.org") == {"192.0.2.7"}


async def test_many_at_once_are_done_one_after_the_other(tmp_path: Path) -> None:
    async with Zone(tmp_path, "allow k. * *", "database kept") as world:
        asked = [rcode(world, change((f"n{at}", "A", "192.0.2.7"))) for at in range(20)]
        assert await asyncio.gather(*asked) == ["NOERROR"] * 20
        assert world.plugins[1].serial(names.parse_key("example.org")) == 25
    (tmp_path / "seed").unlink()
    async with Zone(tmp_path, "allow k. * *", "database kept", seed="") as world:
        assert world.plugins[1].serial(names.parse_key("example.org")) == 25
        assert await addresses(world, "n19.example.org") == {"192.0.2.7"}
    assert stat.S_IMODE(os.stat(tmp_path / "kept").st_mode) == 0o600


async def test_two_processes_that_share_a_database_agree(tmp_path: Path) -> None:
    options = ("allow k. * *", "database kept")
    async with Zone(tmp_path, *options) as one, Zone(tmp_path, *options) as other:
        assert await rcode(one, change(("a", "A", "192.0.2.7"))) == "NOERROR"
        assert await rcode(other, change(("b", "A", "192.0.2.8"))) == "NOERROR"
        for world in (one, other):
            for name, expected in (("a", "192.0.2.7"), ("b", "192.0.2.8")):
                for _ in range(2000):
                    if await addresses(world, f"{name}.example.org") == {expected}:
                        break
                    await asyncio.sleep(0.02)
                assert await addresses(world, f"{name}.example.org") == {expected}


async def test_an_update_is_done_once_by_all_processes_and_after_a_restart(tmp_path: Path) -> None:
    options = ("allow k. * *", "database kept")
    add, remove = change(("a", "A", "192.0.2.7")), change(by="")
    remove.delete("a", "A")
    remove.use_tsig(key())
    overheard = add.to_wire()
    async with Zone(tmp_path, *options) as one, Zone(tmp_path, *options) as other:
        for message in (overheard, remove.to_wire()):
            reply = await one.ask(message)
            assert reply is not None
            assert reply[3] & 15 == 0
        reply = await other.ask(overheard)
        assert reply is not None
        assert await addresses(other, "a.example.org") == set()
    async with Zone(tmp_path, *options) as again:
        await again.ask(overheard)
        assert await addresses(again, "a.example.org") == set()
        assert again.plugins[1].serial(names.parse_key("example.org")) == 7


async def test_what_cannot_be_kept_is_not_done(tmp_path: Path) -> None:
    async with Zone(tmp_path, "allow k. * *", "database kept") as world:
        assert await rcode(world, change(("a", "A", "192.0.2.7"))) == "NOERROR"
        (tmp_path / "kept").write_bytes(b"SQLite format 3\0" + bytes(2000))
        assert await rcode(world, change(("b", "A", "192.0.2.7"))) == "SERVFAIL"
        assert await addresses(world, "b.example.org") == set()
        assert await addresses(world, "a.example.org") == {"192.0.2.7"}


def test_an_acknowledged_update_survives_a_kill(tmp_path: Path) -> None:
    (tmp_path / "seed").write_text(SEED)
    path = tmp_path / "Corefile"
    path.write_text(
        f"example.org {{\n bind 127.0.0.1\n root {tmp_path}\n tsig {{\n  secret k. {SECRET}\n }}\n"
        " dynupdate {\n  file seed\n  database kept\n  allow k. * *\n }\n}\n"
    )
    for at in range(3):
        with Running(path) as server:
            server.wait()
            for before in range(at):
                assert server.ask(f"n{before}.example.org").answer
            reply = dns.query.udp(
                change((f"n{at}", "A", "192.0.2.7")), "127.0.0.1", 40, server.port
            )
            assert reply.rcode() == dns.rcode.NOERROR
            server.process.send_signal(signal.SIGKILL)
            server.process.communicate()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("file seed", "allow is required"),
        ("allow k. * A", "file is required"),
        ("file seed\nfile seed\nallow k. * A", "file may stand once"),
        ("file seed\nallow * @ A", "is no key"),
        ("file seed\nallow k. a A", "outside the zone"),
        ("file seed\nallow k. * DS", "'DS' is no type"),
        ("file seed\nallow k. * * A", "alone"),
        ("file seed\nallow k. *", "expected"),
        ("file seed\nallow k. * A\nmax_records 0", "expected"),
        ("file seed\nallow k. * A\nmax_records 1", "more than the limits"),
        ("file seed\nallow k. * A\ndatabase seed", "the file itself"),
        ("file seed\nallow k. * A\ndatabase odd", "no database of dynupdate|not a database"),
        ("file none\nallow k. * A", "cannot read"),
        ("file zero\nallow k. * A", "serial 0"),
        ("file signed\nallow k. * A", "may not have"),
        ("file double\nallow k. * A", "CNAME and other"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, options: str, why: str) -> None:
    (tmp_path / "seed").write_text(SEED)
    (tmp_path / "zero").write_text(SEED.replace(" 5 7200", " 0 7200"))
    (tmp_path / "signed").write_text(SEED + f"x 60 IN DS 1 8 2 {'AB' * 32}\n")
    (tmp_path / "double").write_text(SEED + "www 60 IN CNAME ns\n")
    with sqlite3.connect(tmp_path / "odd") as odd:
        odd.execute("CREATE TABLE about (format TEXT, zone BLOB)")
    odd.close()
    zones = (names.parse_key("example.org"),)

    def made() -> None:
        site = fakes.site(root=str(tmp_path), zones=zones)
        [plugin] = fakes.plugins(f"dynupdate {{\n{options}\n}}", site, Dynupdate)
        plugin.look()

    with pytest.raises(ConfigError, match=why):
        made()


@given(st.binary(max_size=120), st.integers(0, 3), st.integers(0, 3))
def test_any_octets_are_read_or_refused(rest: bytes, first: int, second: int) -> None:
    head = bytes((0, 1, 0x28, 0, 0, 1, 0, first, 0, second, 0, 0))
    try:
        updates.read(head + b"\7example\3org\0\0\6\0\1" + rest)
    except WireError:
        return
