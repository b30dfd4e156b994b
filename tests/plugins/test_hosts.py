"""hosts: every line of the behaviour table was first seen from CoreDNS 1.15.0."""

import logging
import os
from pathlib import Path

import pytest

from kdns.corefile.options import check_all
from kdns.corefile.tree import ConfigError, Directive, Word
from kdns.plugins.base import SKIP
from kdns.plugins.hosts import Hosts
from kdns.wire import names
from tests import fakes

LINES = """
10.0.0.1 a.example.org A2.Example.ORG
10.0.0.2 a.example.org
10.0.0.2 a.example.org
fd00::1 a.example.org six.example.org
10.1.1.1 *.w.example.org
10.5.5.5 a.b.w.example.org
10.9.9.9 other.net
172.16.0.1 a.example.org
fe80::1%lo0 zoned.example.org
::ffff:10.0.0.7 mapped.example.org
10.0.0.12 bad..name.example.org ok.example.org
010.0.0.9 octal.example.org
10.0.0.13 under_score.example.org. # comment.example.org
"""


async def chain(body: str, path: Path | str = "/nonexistent", zones: str = "", **site):
    made = fakes.chain(f"hosts {path} {zones} {{\n{body}\n}}", Hosts, **site)
    for plugin in made.plugins:
        await plugin.start()
    return made


async def rows(made: fakes.Chain, name: str, type_: str = "A") -> object:
    answer = await made.ask(name, type_)
    if answer is SKIP:
        return "skip"
    assert not answer.authority
    reply = await made.dig(name, type_)
    if reply.rcode():
        return reply.rcode().name
    assert reply.flags & 0x0400, "authoritative"
    return [str(rdata) for rrset in reply.answer for rdata in rrset]


@pytest.mark.parametrize(
    ("name", "type_", "expected"),
    [
        pytest.param("a.example.org", "A", ["10.0.0.1", "10.0.0.2", "172.16.0.1"], id="several"),
        pytest.param("A.Example.Org", "A", ["10.0.0.1", "10.0.0.2", "172.16.0.1"], id="any case"),
        pytest.param("a2.example.org", "A", ["10.0.0.1"], id="second name of a line"),
        pytest.param("a.example.org", "AAAA", ["fd00::1"], id="the other family"),
        pytest.param("six.example.org", "A", [], id="only the other family"),
        pytest.param("a.example.org", "MX", [], id="another type"),
        pytest.param("a.example.org", "ANY", [], id="ANY"),
        pytest.param("nope.example.org", "A", "SERVFAIL", id="absent"),
        pytest.param("x.w.example.org", "A", ["10.1.1.1"], id="wildcard"),
        pytest.param("x.w.example.org", "AAAA", [], id="wildcard of the other family"),
        pytest.param("*.w.example.org", "A", ["10.1.1.1"], id="the star itself"),
        pytest.param("w.example.org", "A", "SERVFAIL", id="wildcard does not hold its parent"),
        pytest.param("x.y.w.example.org", "A", "SERVFAIL", id="wildcard is one label"),
        pytest.param("a.b.w.example.org", "A", ["10.5.5.5"], id="below a wildcard"),
        pytest.param("other.net", "A", "skip", id="outside the zones"),
        pytest.param("zoned.example.org", "AAAA", ["fe80::1"], id="scope is cut"),
        pytest.param("mapped.example.org", "A", ["10.0.0.7"], id="mapped is IPv4"),
        pytest.param("ok.example.org", "A", ["10.0.0.12"], id="a bad name does not cost its line"),
        pytest.param("octal.example.org", "A", "SERVFAIL", id="leading zeros are no address"),
        pytest.param("under_score.example.org", "A", ["10.0.0.13"], id="trailing dot"),
        pytest.param("comment.example.org", "A", "SERVFAIL", id="comment"),
        pytest.param("a.example.org", "PTR", "skip", id="PTR of a forward name"),
        pytest.param(
            "1.0.0.10.in-addr.arpa", "PTR", ["a.example.org.", "a2.example.org."], id="PTR"
        ),
        pytest.param(
            "7.0.0.10.in-addr.arpa", "PTR", ["mapped.example.org."], id="PTR of a mapped one"
        ),
        pytest.param("1.1.1.10.in-addr.arpa", "PTR", "skip", id="wildcard has no PTR"),
        pytest.param("9.9.9.10.in-addr.arpa", "PTR", "skip", id="PTR of a name outside"),
        pytest.param("99.0.0.10.in-addr.arpa", "PTR", "skip", id="PTR miss"),
        pytest.param("0.0.10.in-addr.arpa", "PTR", "skip", id="PTR of half an address"),
        pytest.param("1.0.0.10.in-addr.arpa", "A", "skip", id="reverse name, other type"),
    ],
)
async def test_answers(name: str, type_: str, expected: object, tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(LINES)
    made = await chain("", file, "example.org")
    assert await rows(made, name, type_) == expected


async def test_ipv6_addresses_have_ptr() -> None:
    made = await chain("fd00::1 six.example.org")
    reverse = names.format(names.reverse(bytes.fromhex("fd" + "00" * 14 + "01")))
    assert await rows(made, reverse, "PTR") == ["six.example.org."]


async def test_file_comes_before_inline_and_nothing_twice(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("10.0.0.3 a.example\n10.0.0.1 a.example\n10.0.0.9 *.example\n")
    made = await chain("10.0.0.1 a.example b.example\n10.0.0.2 a.example", file)
    assert await rows(made, "a.example") == ["10.0.0.3", "10.0.0.1", "10.0.0.2"]
    assert await rows(made, "b.example") == ["10.0.0.9", "10.0.0.1"], "each source for itself"
    assert await rows(made, "1.0.0.10.in-addr.arpa", "PTR") == ["a.example.", "b.example."]


@pytest.mark.parametrize(
    ("body", "name", "type_", "expected"),
    [
        pytest.param("fallthrough", "b.example", "A", "skip", id="all"),
        pytest.param("fallthrough example", "b.example", "A", "skip", id="listed"),
        pytest.param("fallthrough example", "b.net", "A", "SERVFAIL", id="not listed"),
        pytest.param("fallthrough", "a.example", "TXT", [], id="present name, another type"),
        pytest.param(
            "fallthrough\nfallthrough_unsupported", "a.example", "TXT", "skip", id="unsupported"
        ),
        pytest.param(
            "fallthrough\nfallthrough_unsupported", "a.example", "AAAA", [], id="AAAA is supported"
        ),
        pytest.param(
            "fallthrough net\nfallthrough_unsupported", "a.example", "TXT", [], id="not its zone"
        ),
        pytest.param("no_reverse", "1.0.0.10.in-addr.arpa", "PTR", "skip", id="no_reverse"),
    ],
)
async def test_options(body: str, name: str, type_: str, expected: object) -> None:
    made = await chain(f"10.0.0.1 a.example\n{body}")
    assert await rows(made, name, type_) == expected


async def test_ttl_option_is_the_ttl() -> None:
    made = await chain("10.0.0.1 a.example\nttl 65535")
    assert (await made.dig("a.example")).answer[0].ttl == 65535
    assert (await made.dig("1.0.0.10.in-addr.arpa", "PTR")).answer[0].ttl == 65535


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param("ttl 0", "from 1 to 65535", id="ttl 0"),
        pytest.param("ttl 65536", "from 1 to 65535", id="ttl too large"),
        pytest.param("ttl", "found the end of the line", id="ttl without a number"),
        pytest.param("reload -1s", "duration", id="negative reload"),
        pytest.param("reload 1", "duration", id="reload without a unit"),
        pytest.param("fallthrough_unsupported", "needs fallthrough", id="unsupported alone"),
        pytest.param("no_reverse x", "unexpected 'x'", id="surplus word"),
    ],
)
def test_mistakes_name_file_and_line(body: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        fakes.chain(f"hosts {{\n{body}\n}}", Hosts)
    assert caught.value.file == "Corefile"
    assert caught.value.line in {2, 3}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param("falthrough", "did you mean 'fallthrough'", id="misspelt option"),
        pytest.param("host a.example", "expected an IP address", id="no address"),
        pytest.param("300.1.1.1 b.example", "expected an IP address", id="no such address"),
        pytest.param("10.0.0.1", "expected a host name", id="no name"),
    ],
)
def test_inline_lines_that_say_nothing_are_skipped_with_a_warning(line: str, why: str) -> None:
    def word(text: str, number: int) -> Word:
        return Word(text, "Corefile", number)

    lines = ("10.0.0.2 a.example", line)
    body = tuple(
        Directive(word(first, number), tuple(word(each, number) for each in rest), None)
        for number, (first, *rest) in enumerate(map(str.split, lines), 3)
    )
    errors: list[ConfigError] = []
    said: list[str] = []
    settings = check_all(Directive(word("hosts", 2), (), body), Hosts.syntax, errors, said.append)
    assert not errors
    assert [line.values for line in settings.lines] == [("10.0.0.2", "a.example")]
    assert len(said) == 1
    assert why in said[0]
    assert said[0].startswith("Corefile:4: hosts: ")
    assert said[0].endswith("; the line is skipped")


async def test_long_fields_are_dropped_with_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "hosts"
    file.write_text(f"10.0.0.1 {'x' * 1025} kept.example\n{'1' * 1025} gone.example\n")
    made = await chain(f"10.0.0.2 {'y' * 1025}", file)
    assert await rows(made, "kept.example") == ["10.0.0.1"]
    assert await rows(made, "gone.example") == "SERVFAIL"
    assert [
        record.getMessage() for record in caplog.records if record.levelno == logging.ERROR
    ] == [
        "Inline hosts entries, line 1: name longer than 1024 bytes, dropping the name",
        f'Hosts file "{file}", line 1: name longer than 1024 bytes, dropping the name',
        f'Hosts file "{file}", line 2: address longer than 1024 bytes, dropping the line',
    ]


async def test_a_line_of_any_length_is_read(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("10.0.0.1 " + " ".join(f"n{i}.example" for i in range(20_000)) + "\n")
    made = await chain("", file)
    assert await rows(made, "n19999.example") == ["10.0.0.1"]


async def test_a_missing_file_is_picked_up_and_a_lost_one_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "hosts"
    made = await chain("10.0.0.1 inline.example", file)
    (hosts,) = made.plugins
    assert isinstance(hosts, Hosts)
    assert await rows(made, "inline.example") == ["10.0.0.1"]
    await hosts.refresh()
    assert caplog.text.count("does not exist") == 1, "said once, not at every poll"

    file.write_text("10.0.0.2 a.example\n")
    await hosts.refresh()
    assert await rows(made, "a.example") == ["10.0.0.2"]

    file.unlink()
    await hosts.refresh()
    assert await rows(made, "a.example") == ["10.0.0.2"]
    file.mkdir()
    await hosts.refresh()
    assert await rows(made, "a.example") == ["10.0.0.2"]


async def test_a_change_moves_the_stamp_and_only_a_change(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("10.0.0.1 a.example\n")
    made = await chain("", file)
    (hosts,) = made.plugins
    assert isinstance(hosts, Hosts)
    await made.ask("a.example")
    asked = made.ledger
    await made.ask("absent.net", "PTR")
    skipped = made.ledger

    os.utime(file, ns=(1, 1))
    await hosts.refresh()
    assert asked.is_right(), "touched, but it says the same"

    file.write_text("10.0.0.2 a.example\n")
    await hosts.refresh()
    assert not asked.is_right()
    assert not skipped.is_right(), "a SKIP depends on the file as well"
    assert await rows(made, "a.example") == ["10.0.0.2"]


async def test_metrics(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("10.0.0.1 a b\nfd00::1 a\n10.0.0.2 *.c\n")
    made = await chain("10.0.0.9 inline", file)
    values = made.site.counters.values
    assert values[("coredns_hosts_entries", str(file))] == 9
    read = values[("coredns_hosts_reload_timestamp_seconds",)]
    assert read == pytest.approx(file.stat().st_mtime)


async def test_relative_paths_start_from_root(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("10.0.0.1 a.example\n")
    made = await chain("", "hosts", root=str(tmp_path))
    assert await rows(made, "a.example") == ["10.0.0.1"]


async def test_reload_zero_does_not_poll() -> None:
    never = fakes.chain("hosts /x {\nreload 0\n}", Hosts).plugins[0]
    assert not never.tasks()
    polls = fakes.chain("hosts /x", Hosts).plugins[0].tasks()
    assert len(polls) == 1
    polls[0].close()
