"""`kdns man`: made from parsers and pages, and without a fault for those who read man pages."""

import re
import shutil
import subprocess

import pytest

from kdns.cli import man, topics
from kdns.cli.main import COMMANDS, main
from kdns.cli.parsers import parser_of, words
from tests.cli.test_completion import needs

SECTIONS = [
    "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "STARTING", "SIGNALS",
    "EXIT CODES", "ENVIRONMENT", "FILES", "SYSTEMD", "HELP TOPICS", "DIRECTIVES",
]  # fmt: skip


@pytest.fixture(scope="module")
def source() -> str:
    return "\n".join(man.page()) + "\n"


def plain(source: str) -> str:
    """The words, without fonts and escapes."""
    text = re.sub(r"\\f[BIR]", "", source)
    text = re.sub(r"\\\[u([0-9A-F]+)\]", lambda match: chr(int(match[1], 16)), text)
    return text.replace(r"\-", "-").replace(r"\&", "").replace(r"\e", "\\")


def test_it_is_printed(capsys: pytest.CaptureFixture[str], source: str) -> None:
    assert main(["man"]) == 0
    assert capsys.readouterr().out == source


def test_it_has_all_sections_flags_commands_topics_and_directives(source: str) -> None:
    assert [one.strip('"') for one in re.findall(r"^\.SH (.*)$", source, re.M)] == SECTIONS
    text = plain(source)
    for command in ("", *COMMANDS):
        assert f".SS kdns {command}\n" in text or not command
        for word in words(parser_of(command)):
            if "--help" not in word.names:
                assert f"\n{', '.join(word.names)}" in text
                assert word.about.replace("`", "") in text
    for topic in (*topics.guides(), *topics.directives()):
        assert f"\n.B {topic}\n" in text


def test_no_line_of_text_is_taken_for_a_macro(source: str) -> None:
    macros = re.findall(r"^[.'](\S*)", source, re.MULTILINE)
    assert set(macros) <= {"TH", "SH", "SS", "B", "br", "TP", "PP", "IP", "EX", "EE"}
    assert list(man._roff(man.Code((".SH is text", "'so is this")))) == [
        ".PP", ".EX", r"\&.SH is text", r"\&'so is this", ".EE",
    ]  # fmt: skip


def test_mandoc_finds_nothing_wrong(source: str) -> None:
    needs("mandoc")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "error"], input=source, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_groff_finds_nothing_wrong(source: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-T", "utf8", "-ww", "-rLL=80n"], input=source.encode(),
        capture_output=True, check=True,
    )  # fmt: skip
    assert not done.stderr
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout.decode())
    assert "kdns check" in shown
    assert r"\f" not in shown
