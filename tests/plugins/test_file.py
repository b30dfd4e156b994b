"""file: zones from master files, replaced as a whole, and what the answers depend on."""

import asyncio
from pathlib import Path

import dns.message
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import DROP, SKIP, Backend
from kdns.plugins.file import File
from kdns.server.assembly import Services, build
from kdns.server.pipeline import Pipeline
from kdns.server.table import AnswerTable
from kdns.wire import names, types
from kdns.wire.message import Answer, RRset
from tests import fakes

ZONE = """$ORIGIN example.
$TTL 300
@ 3600 SOA ns1 host {serial} 7200 900 86400 60
@ NS ns1
ns1 A 192.0.2.1
www CNAME web
web A {address}
out CNAME www.outside.
gone CNAME nowhere.outside.
lost CNAME x.lost.
self CNAME self
*.wild A 192.0.2.9
"""


class Outside(Backend):
    """Answers one name."""

    name = "outside"

    async def answer(self, query):
        if query.key == names.parse_key("www.outside"):
            return Answer(answer=(RRset(query.key, types.A, 7, (b"\1\2\3\4",)),))
        return Answer(types.NXDOMAIN) if query.key.endswith(b"outside\0") else SKIP


def written(path: Path, serial: int = 1, address: str = "192.0.2.3", extra: str = "") -> Path:
    """Replaces the file, as an editor does."""
    beside = path.with_suffix(".new")
    beside.write_text(ZONE.format(serial=serial, address=address) + extra)
    beside.replace(path)
    return path


async def chain(path: Path, body: str = "", **site) -> fakes.Chain:
    site.setdefault("zones", (names.parse_key("example"), names.parse_key("outside")))
    made = fakes.chain(f"file {path} example {{\n{body}\n}}\noutside", File, Outside, **site)
    await made.plugins[0].start()
    return made


async def rows(made: fakes.Chain, name: str, type_: str = "A") -> object:
    answer = await made.ask(name, type_)
    if not isinstance(answer, Answer) or answer is DROP:
        return answer
    if answer.rcode:
        return types.rcode_name(answer.rcode)
    reply = await made.dig(name, type_)
    return [str(rdata) for rrset in reply.answer for rdata in rrset]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("web.example", ["192.0.2.3"], id="a name"),
        pytest.param("www.example", ["web.example.", "192.0.2.3"], id="a chain in the zone"),
        pytest.param("out.example", ["www.outside.", "1.2.3.4"], id="a chain out of the zone"),
        pytest.param("gone.example", "NXDOMAIN", id="a chain to a name that does not exist"),
        pytest.param("lost.example", ["x.lost."], id="a chain to what nobody serves"),
        pytest.param("self.example", "SERVFAIL", id="a chain to itself"),
        pytest.param("a.b.wild.example", ["192.0.2.9"], id="a wildcard"),
        pytest.param("nx.example", "NXDOMAIN", id="no such name"),
        pytest.param("other.test", SKIP, id="another's name"),
    ],
)
async def test_names_are_answered_from_the_file(tmp_path, name, expected):
    assert await rows(await chain(written(tmp_path / "db")), name) == expected


async def test_answers_are_authoritative_name_the_servers_and_say_who_answered(tmp_path):
    answer = await (await chain(written(tmp_path / "db"))).ask("web.example")
    assert answer.flags == types.AA
    assert answer.plugin == "file"
    assert [rrset.type for rrset in answer.authority] == [types.NS]
    answer = await (await chain(tmp_path / "db")).ask("web.example", "MX")
    assert [(one.type, one.ttl) for one in answer.authority] == [(types.SOA, 60)]


async def test_a_new_serial_replaces_the_zone_and_what_was_remembered_of_it(tmp_path):
    made = await chain(path := written(tmp_path / "db"))
    plugin = made.plugins[0]
    assert await rows(made, "web.example") == ["192.0.2.3"]
    made.ledger.settle()
    ledger = made.ledger
    written(path, 2, "192.0.2.4")
    assert ledger.is_right()
    for file, held in plugin._files:
        await plugin._refresh(file, held)
    assert not ledger.is_right()
    assert await rows(made, "web.example") == ["192.0.2.4"]
    assert made.site.counters.values["kdns_zone_serial", "file", "example."] == 2


async def test_the_same_serial_keeps_the_zone_and_is_warned_of(tmp_path, caplog):
    made = await chain(path := written(tmp_path / "db"))
    written(path, 1, "192.0.2.4")
    await made.plugins[0]._refresh(*made.plugins[0]._files[0])
    assert await rows(made, "web.example") == ["192.0.2.3"]
    assert "serial of example. is still 1" in caplog.text
    made = await chain(path := written(tmp_path / "db"), "reload_by_mtime")
    written(path, 1, "192.0.2.4")
    await made.plugins[0]._refresh(*made.plugins[0]._files[0])
    assert await rows(made, "web.example") == ["192.0.2.4"]


async def test_a_wrong_file_keeps_the_zone_and_is_told_of_once(tmp_path, caplog):
    caplog.set_level("INFO", "kdns.file")
    made = await chain(path := written(tmp_path / "db"), "reload 10ms")
    async with fakes.at_work([made.plugins[0]], {}):
        written(path, 2, "192.0.2.4", "bad A 1.2.3\n")
        await until(lambda: "bad" in caplog.text or "1.2.3" in caplog.text)
        written(path, 3, "192.0.2.5")
        await until(lambda: "serial 3 replaces 1" in caplog.text)
        assert await rows(made, "web.example") == ["192.0.2.5"]
    told = [line for line in caplog.messages if f"{path}:13" in line]
    assert len(told) == 1
    assert "served as it was" in told[0]


async def until(is_so) -> None:
    """Waits, however long others have the machine."""
    async with asyncio.timeout(40):
        while not is_so():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("$ORIGIN other.\n@ 60 SOA a b 1 2 3 4 5\n", "SOA is of other.", id="owner"),
        pytest.param("$TTL 60\nexample. NS a.\n", "no SOA of example.", id="no SOA"),
        pytest.param("example. SOA a b 1 2 3 4\n", "db:1: SOA", id="syntax, with its line"),
        pytest.param(
            "\nexample. 60 SOA a b 1 2 3 4 5 (\n", "db:2: a parenthesis", id="parenthesis"
        ),
    ],
)
async def test_a_wrong_file_is_an_error_at_the_start(tmp_path, text, why):
    (tmp_path / "db").write_text(text)
    with pytest.raises(ConfigError, match=why):
        await chain(tmp_path / "db")


async def test_a_missing_file_is_waited_for(tmp_path, caplog):
    made = await chain(tmp_path / "db")
    assert await rows(made, "web.example") == "SERVFAIL"
    assert "does not exist" in caplog.text
    written(tmp_path / "db")
    await made.plugins[0]._refresh(*made.plugins[0]._files[0])
    assert await rows(made, "web.example") == ["192.0.2.3"]


async def test_a_missing_file_that_is_read_once_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="does not exist, and is to be read once"):
        await chain(tmp_path / "db", "reload 0")


async def test_the_longest_zone_answers_whichever_directive_it_is_from(tmp_path):
    written(tmp_path / "db")
    (tmp_path / "sub").write_text(
        "sub.example. 60 SOA a b 1 2 3 4 5\nx.sub.example. 60 A 1.1.1.1\n"
    )
    text = f"file {tmp_path}/db example\nfile {tmp_path}/sub sub.example"
    made = fakes.chain(text, File)
    for plugin in made.plugins:
        await plugin.start()
    assert await rows(made, "x.sub.example") == ["1.1.1.1"]
    assert await rows(made, "web.example") == ["192.0.2.3"]
    assert [source.zones for source in made.site.beside["transfer"]] == [
        (names.parse_key("example"), names.parse_key("sub.example"))
    ]


async def test_a_plugin_that_stopped_holds_no_zone(tmp_path):
    made = await chain(written(tmp_path / "db"))
    [(_, held)] = made.plugins[0]._files
    await made.plugins[0].stop()
    assert held.zone is None
    assert await made.ask("web.example") is SKIP


async def test_fallthrough_passes_names_that_do_not_exist(tmp_path):
    made = await chain(written(tmp_path / "db"), "fallthrough")
    assert await rows(made, "nx.example") is SKIP
    assert await rows(made, "gone.example") == "NXDOMAIN"
    made = await chain(tmp_path / "db", "fallthrough other.example")
    assert await rows(made, "nx.example") == "NXDOMAIN"
    assert await rows(made, "nx.other.example") is SKIP


async def test_transfers_are_refused_and_notifications_not_answered(tmp_path):
    made = await chain(written(tmp_path / "db"))
    assert await rows(made, "example", "AXFR") == "REFUSED"
    assert await made.ask("example", "SOA", flags=types.NOTIFY << 11) is DROP


async def test_an_answer_is_for_everybody_until_the_zone_changes(tmp_path):
    """Asked by two clients in both orders, it comes from the table the second time."""
    path = written(tmp_path / "db")
    for first, second in (("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")):
        services = Services()
        errors: list[Exception] = []
        assembly = build(f"example {{\n file {path}\n}}", "Corefile", services, errors)
        assert not errors
        [router] = assembly.routers.values()
        table = AnswerTable(services.stamps, services.chance, lambda peer: peer)
        pipeline = Pipeline(
            router, services.stamps, services.counters, services.clock, services.chance, table=table
        )
        [plugin] = assembly.plugins
        await plugin.start()
        packet = dns.message.make_query("web.example", "A", id=7).to_wire()
        one, other = fakes.client(first), fakes.client(second)
        replies = [await pipeline.respond(packet, one, services.clock()) for _ in range(5)]
        assert pipeline.recall(packet, other.address, services.clock()) == replies[0] == replies[4]
        written(path, 2, "192.0.2.4")
        await plugin._refresh(*plugin._files[0])
        assert pipeline.recall(packet, other.address, services.clock()) is None
        written(path)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param("file", "expected", id="no file"),
        pytest.param("file x {\n reload\n}", "a duration", id="no duration"),
        pytest.param("file x {\n reload -1s\n}", "a duration", id="negative"),
        pytest.param("file x {\n reload 5\n}", "a duration", id="no unit"),
        pytest.param("file x {\n reload_by_mtime yes\n}", "unexpected 'yes'", id="word"),
        pytest.param("file x {\n transfer to *\n}", "unknown option", id="old option"),
    ],
)
def test_what_cannot_be_meant_is_an_error(line, why):
    with pytest.raises(ConfigError, match=why):
        fakes.chain(line, File)
