"""`kdns help`: topics, pages for terminals and pipes; --help of every command fits a screen."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kdns.cli import markdown, topics
from kdns.cli.main import COMMANDS, main
from kdns.cli.parsers import parser_of, words
from kdns.cli.terminal import render
from kdns.server.registry import implemented

PAGES = {**topics.directives(), **topics.guides()}
INK = re.compile(r"\x1b\[[0-9;]*m")


def printed(text: str, width: int = 80, *, is_colored: bool = False) -> str:
    return render(markdown.parse(text), width, is_colored=is_colored)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_of_a_command_fits_a_screen(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = parser_of(command).format_help().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_word_of_a_command_is_explained(command: str) -> None:
    for word in words(parser_of(command)):
        assert word.about, word


def test_every_directive_has_a_page_and_no_topic_hides_it() -> None:
    assert set(implemented()) <= set(topics.directives())
    assert not set(topics.directives()) & set(topics.guides())


def test_help_lists_all_topics_commands_and_directives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    listed = capsys.readouterr().out.split()
    assert {*PAGES, *COMMANDS} <= set(listed)


@pytest.mark.parametrize("topic", PAGES)
def test_a_page_is_printed_for_a_pipe(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", topic]) == 0
    text = capsys.readouterr().out
    assert text.startswith(topic.upper() + "\n")
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text)
    assert "<!--" not in text


@pytest.mark.parametrize("topic", topics.guides())
def test_a_guide_says_what_it_is_about(topic: str) -> None:
    assert 20 < len(topics.summary(PAGES[topic])) < 160


@pytest.mark.parametrize("width", [60, 80, 100])
def test_running_text_keeps_to_the_width(width: int) -> None:
    for topic, path in PAGES.items():
        code = {
            f"    {line}"
            for block in markdown.parse(path.read_text(encoding="utf-8"))
            if isinstance(block, markdown.Code)
            for line in block.lines
        }
        for line in printed(path.read_text(encoding="utf-8"), width).splitlines():
            is_one_word = len(line.lstrip(" *").split()) == 1
            assert len(line) <= width or line in code or is_one_word, f"{topic}: {line}"


def test_nothing_is_lost_between_page_and_print() -> None:
    """Every letter of a page comes, in order, but for the marks of Markdown and tables' rules."""
    for topic, path in PAGES.items():
        blocks = list(markdown.parse(path.read_text(encoding="utf-8")))
        text = "".join(render(blocks, 10_000, is_colored=False).split()).lower()
        for block in blocks:
            if isinstance(block, markdown.Paragraph | markdown.Item):
                said = "".join(piece for piece, _ in markdown.spans(block.text))
                assert "".join(said.split()).lower() in text, topic


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# a\n\nb `c d` **e** *f*.\n", "A\n\nb c d e f.\n"),
        ("one\ntwo\n\nthree\n", "one two\n\nthree\n"),
        ("* a\n  b\n* c\n", "* a b\n* c\n"),
        ("~~~\nx  y\n\nz\n~~~\n", "    x  y\n\n    z\n"),
        ("    x  y\n", "    x  y\n"),
        ("| a | b |\n|---|---|\n| long | `x\\|y` |\n", "a     b\nlong  x|y\n"),
        ("[a page](b.md), [a site](https://c)\n", "a page, a site (https://c)\n"),
        ("a <!-- b --> c\n", "a  c\n".replace("  ", " ")),
        ("5 * 4 * 3\n", "5 * 4 * 3\n"),
    ],
)
def test_marks_become_shape(text: str, shown: str) -> None:
    assert printed(text) == shown


def test_a_wide_table_wraps_its_last_column_and_a_wider_one_is_told() -> None:
    text = f"| a | b |\n|---|---|\n| x | {'word ' * 30}|\n"
    lines = printed(text, 60).splitlines()
    assert lines[0] == "a  b"
    assert all(line.startswith("   word") for line in lines[2:])
    assert max(map(len, lines)) <= 60
    text = f"| name | b | c |\n|---|---|---|\n| {'x' * 40} | {'y' * 30} | z |\n"
    assert printed(text, 60) == f"{'x' * 40}\n    b: {'y' * 30} · c: z\n"


def test_styles_end_with_their_line() -> None:
    text = f"**{'bold ' * 20}end** and `code`\n"
    for line in printed(text, 40, is_colored=True).splitlines():
        styles = INK.findall(line)
        assert len(styles) % 2 == 0
        assert styles[1::2] == ["\x1b[0m"] * (len(styles) // 2)
    assert INK.sub("", printed(text, 40, is_colored=True)) == printed(text, 40)


def test_an_unknown_topic_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "foward"]) == 2
    assert (
        capsys.readouterr().err
        == "kdns help: there is no topic 'foward'; did you mean 'forward'?\n"
    )


def test_help_of_a_command_without_a_page_is_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "man"]) == 0
    assert capsys.readouterr().out.startswith("usage: kdns man")


@pytest.mark.parametrize(("no_color", "is_colored"), [("", True), ("1", False)])
def test_a_terminal_gets_bold_unless_told_otherwise(no_color: str, is_colored: bool) -> None:
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "kdns", "help", "whoami"]
    environ = {**os.environ, "NO_COLOR": no_color, "COLUMNS": "70"}
    with subprocess.Popen(command, stdout=its, env=environ) as process:
        os.close(its)
        text = b""
        try:
            while chunk := os.read(ours, 65536):
                text += chunk
        except OSError:  # how Linux says that nobody writes any more
            pass
        os.close(ours)
    assert process.returncode == 0
    assert (b"\x1b[1mWHOAMI\x1b[0m" in text) == is_colored
    assert b"WHOAMI" in text


def test_pages_lie_in_the_package() -> None:
    assert all(path.is_relative_to(Path(topics.__file__).parents[1]) for path in PAGES.values())
