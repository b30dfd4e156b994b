"""log: the lines, classes and rules that CoreDNS 1.15.0 showed for the same queries."""

import logging
import tracemalloc

import pytest
from msgspec import structs

from kdns.corefile.tree import ConfigError
from kdns.observe import logs
from kdns.plugins.base import Seen
from kdns.plugins.log import Exchange, Log
from kdns.wire import names, records, types
from kdns.wire.encode import encode
from kdns.wire.message import Answer, RRset
from kdns.wire.names import ROOT, Key
from tests import fakes

A = (RRset(b"\x01a\x00", types.A, 60, (b"\x0a\0\0\1",)),)
NS = RRset(b"\x01a\x00", types.NS, 60, (names.parse("ns.a."),))
SOA = RRset(
    b"\x01a\x00", types.SOA, 60,
    (records.soa(names.parse("ns.a."), names.parse("h.a."), 1, (2, 3, 4), 5),),
)  # fmt: skip
GIVEN = Answer(answer=A, flags=types.AA)


def seen(
    name: str = "a.", answer: Answer | None = GIVEN, type_: str = "A", *, who=None, flags=types.RD,
    duration: float = 0.000123, metadata: dict[str, str] | None = None, cls: int = 1, **q: object,
) -> Seen:  # fmt: skip
    question = fakes.question(name, type_, cls=cls, **q)
    packet = encode(question, Answer(), flags).wire
    said = types.QR | flags
    reply = encode(question, answer, said | answer.flags).wire if answer else None
    where = who or fakes.client("10.0.0.9")
    return Seen(packet, where, reply, "", ROOT, 5.0, 5.0 + duration, "", metadata)


def lines(text: str, batch: list[Seen], zones: tuple[Key, ...] = (ROOT,)) -> list[str]:
    """What the directives of `text` write for a batch."""
    written: list[str] = []
    handler = logs.Output(logs.Text())
    handler.emit = lambda record: written.append(handler.shape.batch(record, record.entries))
    log = logging.getLogger("kdns.log")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        for plugin in fakes.chain(text, Log, zones=zones).plugins:
            plugin.observe(batch)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    assert len(written) <= 1, "a batch leaves in one write"
    return [line.removeprefix("[INFO] ") for text in written for line in text.splitlines()]


def test_large_packets_are_read_and_not_kept() -> None:
    tracemalloc.start()
    try:
        for at in range(300):
            one = seen()
            packet = fakes.padded(one.packet, b"%030000d" % at)
            assert Exchange(structs.replace(one, packet=packet)).bufsize == 1232
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 1 << 20


@pytest.mark.parametrize(
    ("form", "one", "expected"),
    [
        ("{type} {class} {name}", seen("A.Example."), "A IN a.example."),
        ("{type}", seen(type_="TYPE999"), "TYPE999"),
        ("{class}", seen(cls=3), "CH"),
        ("{name}", seen(r"a\"\.\200.b."), r"a\"\.\200.b."),
        ("{proto} {>bufsize}", seen(), "udp 512"),
        ("{proto} {>bufsize}", seen(who=fakes.client("10.0.0.9", "tcp")), "tcp 65535"),
        ("{>do} {>bufsize}", seen(has_opt=True, do=True, size=4096), "true 4096"),
        ("{>do} {>bufsize}", seen(has_opt=True, size=20), "false 512"),
        ("{remote} {port}", seen(), "10.0.0.9 40000"),
        ("{remote}:{port}", seen(who=fakes.client("fd00::9")), "[fd00::9]:40000"),
        ("{local}", seen(), "127.0.0.1"),
        ("{size} {rsize}", seen(), "19 35"),
        ("{size} {rsize}", seen(answer=None), "19 0"),
        ("{rcode} {>rflags}", seen(), "NOERROR qr,aa,rd"),
        ("{rcode} {>rflags}", seen(answer=None), "- -"),
        ("{rcode}", seen(answer=Answer(rcode=9)), "NOTAUTH"),
        ("{rcode}", seen(answer=Answer(rcode=14)), "14"),
        ("{>rflags}", seen(answer=Answer(flags=types.TC | types.RA | types.AD)), "qr,tc,rd,ra,ad"),
        ("{duration}", seen(duration=0.000123), "0.000123s"),
        ("{duration}", seen(duration=0.0), "0s"),
        ("{duration}", seen(duration=12.5), "12.5s"),
        ("{>id} {>opcode}", seen(), "1 0"),
        ("{/a/b} {/c}", seen(metadata={"a/b": "x y", "c": ""}), "x y "),
        ("{/a/b}", seen(metadata={"a/b": "x\ny"}), r"x\ny"),
        ("{/log/class} {/log/type}", seen(), "success NOERROR"),
        ("{foo} {>foo} {} { type } {type x %s %", seen(), "{foo} {>foo} {} { type } {type x %s %"),
        ("<{type}{name}>", seen(), "<Aa.>"),
        ("{common}", seen(),
         '10.0.0.9:40000 - 1 "A IN a. udp 19 false 512" NOERROR qr,aa,rd 35 0.000123s'),
        ("{combined}!", seen(),
         '10.0.0.9:40000 - 1 "A IN a. udp 19 false 512" NOERROR qr,aa,rd 35 0.000123s "0"!'),
    ],
)  # fmt: skip
def test_labels(form, one, expected):
    quoted = form.replace('"', '\\"')
    assert lines(f'log . "{quoted}"', [one]) == [expected]


KINDS = [
    pytest.param(Answer(answer=A), "A", "success", "NOERROR", id="an answer"),
    pytest.param(Answer(answer=A, authority=(SOA,)), "A", "success", "NOERROR", id="with SOA"),
    pytest.param(Answer(), "A", "success", "NOERROR", id="empty"),
    pytest.param(Answer(authority=(NS,)), "A", "success", "DELEGATION", id="delegation"),
    pytest.param(Answer(authority=(SOA,)), "A", "denial", "NODATA", id="NODATA"),
    pytest.param(Answer(authority=(NS, SOA)), "A", "denial", "NODATA", id="SOA behind NS"),
    pytest.param(Answer(authority=A), "A", "success", "NOERROR", id="neither"),
    pytest.param(Answer(rcode=3), "A", "denial", "NXDOMAIN", id="NXDOMAIN"),
    pytest.param(Answer(rcode=3, authority=(SOA,)), "A", "denial", "NXDOMAIN", id="with its SOA"),
    pytest.param(Answer(rcode=3, answer=A), "A", "error", "OTHERERROR", id="NXDOMAIN of an alias"),
    pytest.param(Answer(rcode=2), "A", "error", "SERVERERROR", id="SERVFAIL"),
    pytest.param(Answer(rcode=4), "A", "error", "SERVERERROR", id="NOTIMP"),
    pytest.param(Answer(rcode=5), "A", "error", "OTHERERROR", id="REFUSED"),
    pytest.param(None, "A", "error", "OTHERERROR", id="no reply"),
    pytest.param(Answer(answer=A), "AXFR", "error", "META", id="transfer"),
]


@pytest.mark.parametrize(("answer", "type_", "cls", "kind"), KINDS)
def test_classes(answer, type_, cls, kind):
    one = seen(answer=answer, type_=type_)
    assert lines('log . "{/log/class} {/log/type}"', [one]) == [f"{cls} {kind}"]
    for wanted in ("success", "denial", "error"):
        assert len(lines(f"log {{\n class {wanted}\n}}", [one])) == (wanted == cls)
    assert len(lines("log {\n class all\n}", [one])) == 1
    assert len(lines(f"log {{\n class {cls}\n class all\n}}", [one])) == 1


def test_a_notify_is_meta():
    assert lines('log . "{/log/type} {>opcode}"', [seen(flags=types.NOTIFY << 11)]) == ["META 4"]


NAMES = [seen(name) for name in ("a.example.", "x.a.example.", "b.example.", "c.other.")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('log . "{name}"', "a x.a b c", id="everything"),
        pytest.param('log a.example "{name}"', "a x.a", id="one name and what is below"),
        pytest.param('log a.example c.other "{name}"', "a x.a c", id="two names"),
        pytest.param('log example. "1{name}"\nlog . "2{name}"', "1a 1x.a 1b 2c", id="first rule wins"),
        pytest.param('log . "1{name}"\nlog example "2{name}"', "1a 1x.a 1b 1c", id="only the first"),
        pytest.param(
            'log example "1{name}" {\n class error\n}\nlog . "2{name}"', "2c",
            id="the first rule decides, also against a line",
        ),
        pytest.param("log . {type}", "A A A A", id="a bare label is a format"),
        pytest.param("log {type}", "", id="alone it is a name"),
    ],
)  # fmt: skip
def test_rules(text, expected):
    found = [line.replace(".example.", "").replace(".other.", "") for line in lines(text, NAMES)]
    assert found == expected.split()


@pytest.mark.parametrize(
    ("text", "count"),
    [("log", 4), ("log a.example", 2), ("log a.example c.other", 3), ("log {\n}", 4)],
)
def test_without_a_format_lines_are_common(text, count):
    found = lines(text, NAMES)
    assert len(found) == count
    assert all(line.startswith("10.0.0.9:40000 - 1 ") for line in found)


def test_the_default_scope_is_every_name_whatever_the_zones_of_the_block():
    assert len(lines("log", NAMES, zones=(names.parse_key("example"),))) == 4


async def test_a_format_where_a_name_belongs_is_worth_a_warning(caplog):
    for text in ('log "{type} q"', 'log . "{type} q"', "log a.example"):
        [plugin] = fakes.chain(text, Log).plugins
        await plugin.start()
    assert [one.getMessage() for one in caplog.records] == [
        "'{type} q' is read as a name: write `log . FORMAT`"
    ]


def test_json_fields():
    assert Exchange(seen("A.Example.", has_opt=True, do=True, size=1232)).fields() == {
        "client_ip": "10.0.0.9",
        "client_port": 40000,
        "qname": "a.example.",
        "qtype": "A",
        "qclass": "IN",
        "protocol": "udp",
        "id": 1,
        "opcode": 0,
        "request_size": 38,
        "dnssec_ok": True,
        "bufsize": 1232,
        "rcode": "NOERROR",
        "response_size": 55,
        "duration_seconds": 0.000123,
    }


def test_json_fields_without_a_reply():
    fields = Exchange(seen(answer=None)).fields()
    assert (fields["rcode"], fields["response_size"]) == (None, 0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("log {\n class\n}", "end of the line"),
        ("log {\n class foo\n}", "expected success, denial, error or all, found 'foo'"),
        ("log {\n klass all\n}", "did you mean 'class'?"),
        ("log a..b", "log: expected a zone"),
    ],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError) as caught:
        fakes.chain(text, Log)
    assert why in str(caught.value)
