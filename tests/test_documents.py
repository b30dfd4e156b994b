"""What the pages and the README show is true: Corefiles are right, answers come as shown.

A ```corefile block is a whole Corefile, read as if it stood beside tests/golden/demo/Corefile. A ```dig
block behind it holds a question, `; name TYPE`, and what that Corefile answers: lines of the answer
section in any order, or `; NODATA`, `; NXDOMAIN`, `; REFUSED`, `; SERVFAIL`.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.rcode
import dns.rrset
import pytest

from kdns.cli import main
from kdns.plugins.base import Client
from kdns.server.assembly import Assembly, Services, build
from kdns.server.pipeline import Pipeline
from tests.fakes import at_work

TOP = Path(__file__).parents[1]
DEMO = TOP / "tests" / "golden" / "demo" / "Corefile"
PAGES = sorted((TOP / "kdns" / "plugins").glob("*.md"))
GUIDES = sorted((TOP / "kdns" / "help").glob("*.md"))
README = [path for path in (TOP / "README.md",) if path.exists()]

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A Corefile as a document shows it, and the questions shown with it."""

    where: str
    text: str
    shown: tuple[str, ...]


def examples(path: Path) -> list[Example]:
    text = path.read_text(encoding="utf-8")
    found: list[Example] = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        if match[1] == "corefile":
            found.append(Example(f"{path.name}:{line}", match[2], ()))
        elif match[1] == "dig":
            assert found, f"{path.name}:{line}: no Corefile before this question"
            last = found[-1]
            found[-1] = Example(last.where, last.text, (*last.shown, match[2]))
    return found


def mistakes(text: str) -> tuple[Assembly, list[str]]:
    errors: list[Exception] = []
    assembly = build(text, str(DEMO), Services(), errors)
    return assembly, [str(error) for error in errors]


async def answers(assembly: Assembly, packets: list[bytes]) -> list[dns.message.Message]:
    """What the Corefile answers, without sockets: as the server starts it, asks it, stops it."""
    services = Services()
    async with at_work(assembly.plugins, assembly.shared):
        return [await answer(assembly, packet, services) for packet in packets]


async def answer(assembly: Assembly, packet: bytes, services: Services) -> dns.message.Message:
    """The reply of the first listener that serves the name; a page shows one server at a time."""
    stamps = assembly.plugins[0].site.stamps if assembly.plugins else services.stamps
    replies = []
    for router in assembly.routers.values():
        pipeline = Pipeline(
            router, stamps, services.counters, services.clock, services.chance, table=None
        )
        reply = await pipeline.respond(packet, Client(b"\x7f\0\0\1", 40000), services.clock())
        assert reply is not None, "no reply"
        replies.append(dns.message.from_wire(reply))
    good = [one for one in replies if one.rcode() != dns.rcode.REFUSED]
    return (good or replies)[0]


def asked(shown: str) -> tuple[str, str]:
    first = shown.splitlines()[0]
    assert re.fullmatch(r"; \S+ [A-Z0-9]+", first), f"{first!r} is no question `; name TYPE`"
    name, type_ = first[2:].split()
    return name, type_


def difference(shown: str, reply: dns.message.Message) -> str:
    """What is otherwise than shown, empty when nothing is."""
    expected = shown.splitlines()[1:]
    found = [line for rrset in reply.answer for line in rrset.to_text().splitlines()]
    rcode = dns.rcode.to_text(reply.rcode())
    if len(expected) == 1 and expected[0].startswith("; "):
        found_word = rcode if reply.rcode() else "NODATA" if not found else "records"
        return "" if found_word == expected[0][2:] else f"{found_word}: {found}"
    records = []
    for line in expected:
        owner, ttl, cls, type_, rdata = line.split(None, 4)
        records.append(dns.rrset.from_text(owner, int(ttl), cls, type_, rdata).to_text())
    return "" if sorted(records) == sorted(found) else f"{rcode}: {found}"


CASES = [
    pytest.param(one, id=one.where) for path in [*README, *PAGES, *GUIDES] for one in examples(path)
]


@pytest.mark.parametrize("example", CASES)
def test_a_shown_corefile_is_right(example: Example) -> None:
    assembly, errors = mistakes(example.text)
    assert not errors
    assert assembly.routers


@pytest.mark.parametrize("example", [case for case in CASES if case.values[0].shown])
async def test_shown_answers_come(example: Example) -> None:
    assembly, errors = mistakes(example.text)
    assert not errors
    packets = [dns.message.make_query(*asked(shown)).to_wire() for shown in example.shown]
    for shown, reply in zip(example.shown, await answers(assembly, packets), strict=True):
        assert not difference(shown, reply), shown


@pytest.mark.parametrize(
    ("shown", "holds"),
    [
        ("; a.example A\na.example. 60 IN A 10.0.0.1", True),
        ("; a.example A\na.example. 61 IN A 10.0.0.1", False),
        ("; a.example A\na.example. 60 IN A 10.0.0.2", False),
        ("; a.example A\na.example. 60 IN A 10.0.0.1\na.example. 60 IN A 10.0.0.2", False),
        ("; a.example A\n; NODATA", False),
        ("; a.example A\n; NXDOMAIN", False),
        ("; a.example AAAA\n; NODATA", True),
        ("; b.example A\n; SERVFAIL", True),
        ("; b.example A\n; NXDOMAIN", False),
        ("; a.other A\n; REFUSED", True),
        ("; b.example A\n; REFUSED", False),
    ],
)
async def test_an_untrue_answer_is_noticed(shown: str, holds: bool) -> None:
    text = "example {\n hosts {\n 10.0.0.1 a.example\n ttl 60\n }\n}\n"
    assembly, errors = mistakes(text)
    assert not errors
    [reply] = await answers(assembly, [dns.message.make_query(*asked(shown)).to_wire()])
    assert bool(difference(shown, reply)) != holds


def test_a_wrong_corefile_is_noticed() -> None:
    _, errors = mistakes(". {\n whoam\n}\n")
    assert any("whoami" in error for error in errors)


# Commands


def commands(text: str) -> list[str]:
    """Every `make …` and `kdns …` a document shows, in blocks and in running text."""
    lines = [line for match in FENCE.finditer(text) for line in match[2].splitlines()]
    inline = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    found = [line.strip().removeprefix("$ ") for line in lines + inline]
    return [line for line in found if re.match(r"(make|kdns) [-a-z]", line)]


def targets() -> set[str]:
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))


def test_the_path_to_here_may_have_spaces():
    """pip and uv split their lists of constraints at spaces."""
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    lists = re.findall(r"^export \w+_CONSTRAINT := (.*)$", makefile, re.MULTILINE)
    assert set(lists) == {"constraints.txt"}


def unknown(command: str) -> str:
    """What nobody knows of a command; empty when all is well."""
    program, *words = shlex.split(command.split("#", maxsplit=1)[0])
    if program == "make":
        named = [word for word in words if "=" not in word]
        return " ".join(word for word in named if word not in targets())
    if words[0] in main.COMMANDS:
        return ""
    flags = {flag for action in main.parser()._actions for flag in action.option_strings}
    return " ".join(word for word in words if word.startswith("-") and word not in flags) or (
        "" if words[0].startswith("-") else words[0]
    )


@pytest.mark.skipif(not README, reason="there is no README here")
def test_the_readme_leads_to_every_page_once() -> None:
    text = README[0].read_text(encoding="utf-8")
    table = text.partition("## Directives\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"\(kdns/plugins/(\w+\.md)\)", table)) == [path.name for path in PAGES]


@pytest.mark.parametrize("path", [*README, *PAGES, *GUIDES], ids=lambda path: path.name)
def test_shown_commands_are_known(path: Path) -> None:
    shown = commands(path.read_text(encoding="utf-8"))
    assert not [command for command in shown if unknown(command)]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```sh\n$ make tset\n```\n", ["tset"]),
        ("```sh\nmake test   # runs them\n```\n", []),
        ("Say `make differential QUESTIONS=5`.", []),
        ("Say `kdns chek FILE`.", ["chek"]),
        ("Say `kdns check FILE`.", []),
        ("Say `kdns -conf Corefile -dns.port 53`.", []),
        ("Say `kdns -config Corefile`.", ["-config"]),
    ],
)
def test_an_unknown_command_is_noticed(text: str, wrong: list[str]) -> None:
    assert [bad for bad in map(unknown, commands(text)) if bad] == wrong
