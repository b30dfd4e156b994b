"""auto: zones come, change and go with the files of a directory."""

from pathlib import Path

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.auto import Auto
from kdns.plugins.base import SKIP
from kdns.wire import names, types
from kdns.wire.message import Answer
from tests import fakes

ZONE = "$TTL 60\n@ SOA a b {serial} 2 3 4 5\nwww A 192.0.2.{serial}\n"


def written(path: Path, serial: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".~new")
    beside.write_text(ZONE.format(serial=serial))
    beside.replace(path)


async def chain(body: str, zones: str = "", **site) -> fakes.Chain:
    made = fakes.chain(f"auto {zones} {{\n{body}\n}}", Auto, **site)
    await made.plugins[0].start()
    return made


async def said(made: fakes.Chain, name: str) -> object:
    answer = await made.ask(name)
    if not isinstance(answer, Answer):
        return answer
    if answer.rcode:
        return types.rcode_name(answer.rcode)
    return [names.format_address(rdata) for rrset in answer.answer for rdata in rrset.rdatas]


async def test_files_become_the_zones_their_names_say(tmp_path):
    written(tmp_path / "db.a.example")
    written(tmp_path / "deep" / "db.b.example", 2)
    written(tmp_path / "..data" / "db.c.example")
    (tmp_path / "README").write_text("no zone")
    made = await chain(f"directory {tmp_path}")
    assert await said(made, "www.a.example") == ["192.0.2.1"]
    assert await said(made, "www.b.example") == ["192.0.2.2"]
    assert await said(made, "nx.a.example") == "NXDOMAIN"
    assert await said(made, "www.c.example") is SKIP
    assert made.plugins[0].shelf.plugin == "auto"


async def test_a_notify_is_answered_like_a_question(tmp_path):
    """As CoreDNS does; `file` says nothing."""
    written(tmp_path / "db.a.example")
    made = await chain(f"directory {tmp_path}")
    answer = await made.ask("a.example", "SOA", flags=types.NOTIFY << 11)
    assert isinstance(answer, Answer)
    assert answer.answer[0].type == types.SOA


async def test_a_pattern_names_the_zone_by_a_group(tmp_path):
    with pytest.raises(ConfigError, match="has no group"):
        await chain(f"directory {tmp_path} .* a.example")


async def test_only_zones_below_those_named_are_served(tmp_path):
    written(tmp_path / "db.a.example")
    written(tmp_path / "db.a.other")
    made = await chain(f"directory {tmp_path}", "example")
    assert await said(made, "www.a.example") == ["192.0.2.1"]
    assert await said(made, "www.a.other") is SKIP


@pytest.mark.parametrize(
    ("words", "file"),
    [
        pytest.param(r"(.*)\.zone {1}", "a.example.zone", id="group"),
        pytest.param(r"(?P<zone>.*)\.zone {zone}", "a.example.zone", id="named group"),
        pytest.param(r"zone(.*) a.example", "zone7", id="no group"),
        pytest.param(r"(.*)-(.*)\.txt {2}.{1}", "example-a.txt", id="two groups"),
    ],
)
async def test_the_zone_is_made_of_what_the_expression_matched(tmp_path, words, file):
    written(tmp_path / file)
    made = await chain(f"directory {tmp_path} {words}")
    assert await said(made, "www.a.example") == ["192.0.2.1"]


async def test_zones_come_change_and_go_with_their_files(tmp_path):
    made = await chain(f"directory {tmp_path}")
    plugin = made.plugins[0]
    told = []
    plugin.shelf.on_change.append(told.append)
    assert await said(made, "www.a.example") is SKIP
    made.ledger.settle()
    before = made.ledger
    written(tmp_path / "db.a.example")
    await plugin.refresh()
    assert not before.is_right()
    assert await said(made, "www.a.example") == ["192.0.2.1"]
    written(tmp_path / "db.a.example", 2)
    await plugin.refresh()
    assert await said(made, "www.a.example") == ["192.0.2.2"]
    made.ledger.settle()
    before = made.ledger
    (tmp_path / "db.a.example").unlink()
    await plugin.refresh()
    assert not before.is_right()
    assert await said(made, "www.a.example") is SKIP
    assert told == [names.parse_key("a.example")] * 2


async def test_a_wrong_file_is_left_out_or_leaves_its_zone_as_it_was(tmp_path, caplog):
    written(tmp_path / "db.a.example")
    (tmp_path / "db.b.example").write_text("@ SOA\n")
    made = await chain(f"directory {tmp_path}")
    assert await said(made, "www.b.example") is SKIP
    (tmp_path / "db.a.example").write_text("@ SOA again\n")
    for _ in range(3):
        await made.plugins[0].refresh()
    assert await said(made, "www.a.example") == ["192.0.2.1"]
    assert [line.endswith("not served") for line in caplog.messages] == [True, False]


async def test_without_a_directory_nothing_is_served(tmp_path, caplog):
    made = fakes.chain("auto", Auto)
    await made.plugins[0].start()
    assert await said(made, "a.example") is SKIP
    assert "directory DIR" in caplog.text


@pytest.mark.parametrize(
    "body",
    ["directory", r"directory x db\.(.*)", r"directory x db\.(.* {1}", "reload", "reload -5s",
     "reload x", "fallthrough", "transfer to *", r"directory x (.*) {1} 5"],
)  # fmt: skip
def test_what_cannot_be_meant_is_an_error(body):
    with pytest.raises(ConfigError):
        fakes.chain(f"auto {{\n{body}\n}}", Auto)
