"""`kdns completion`: the scripts run in the shells themselves, and offer what the parsers take."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kdns.cli.completion import SHELLS
from kdns.cli.help import names
from kdns.cli.main import COMMANDS
from kdns.cli.parsers import parser_of, words

SERVER = [flag for word in words(parser_of("")) for flag in word.names]

Offer = Callable[..., list[str]]


def needs(program: str) -> None:
    """Skips where it is missing (tests/required.py)."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def run(folder: Path, shell: str, script: str, *arguments: str) -> list[str]:
    """What a script prints in a folder with some files."""
    (folder / f"kdns.{shell}").write_text(SHELLS[shell](), encoding="utf-8")
    (folder / "script").write_text(script, encoding="utf-8")
    plain = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [shell, *plain, "script", *arguments], cwd=folder, capture_output=True, text=True,
        check=True, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    assert not done.stderr
    return done.stdout.splitlines()


BASH = """
source kdns.bash
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_kdns
printf '%s\\n' "${COMPREPLY[@]}"
complete -p kdns >/dev/null
"""
ZSH = """
compdef() { : }
compadd() { shift; print -l -- $@ }
_files() { print -l -- *($1N) }
source kdns.zsh
words=("$@"); CURRENT=$#
_kdns
"""
FISH = """
source kdns.fish
complete -C "$argv"
"""


@pytest.fixture(params=["bash", "zsh", "fish"])
def offered(request: pytest.FixtureRequest, tmp_path: Path) -> Offer:
    """What a shell offers behind some words, the last of which is begun."""
    shell = request.param
    needs(shell)
    (tmp_path / "Corefile").touch()
    (tmp_path / "two words.yaml").touch()
    (tmp_path / "folder").mkdir()

    def ask(*begun: str) -> list[str]:
        typed = ["kdns", *begun]
        if shell == "bash":
            found = run(tmp_path, shell, BASH, *typed)
        elif shell == "zsh":
            found = run(tmp_path, shell, ZSH, *typed)
        else:
            found = run(tmp_path, shell, FISH, " ".join(typed))
        return [
            one for one in (line.split("\t")[0].rstrip("/") for line in found)
            if one.startswith(begun[-1]) and one
        ]  # fmt: skip

    return ask


def test_the_first_word_is_a_command_or_a_flag(offered: Offer) -> None:
    assert set(offered("")) >= set(COMMANDS)
    assert set(offered("-")) >= {"-conf", "-workers", "-plugins"}
    assert "check" in offered("ch")
    assert "lab" not in offered("ch")


def test_each_command_has_its_own_flags(offered: Offer) -> None:
    for command in COMMANDS:
        flags = {name for word in words(parser_of(command)) for name in word.names}
        assert {"--help"} <= set(offered(command, "--")) <= flags
        assert set(offered(command, "--")) == {name for name in flags if name.startswith("--")}


def test_values_of_a_flag_are_those_it_takes(offered: Offer) -> None:
    assert set(offered("-log-format", "")) == {"text", "json"}
    assert set(offered("completion", "")) >= set(SHELLS)


def test_every_topic_of_help_is_offered(offered: Offer) -> None:
    assert set(offered("help", "")) - {"-h", "--help"} == set(names())
    assert offered("help", "multis") == ["multisocket"]


def test_files_are_offered_where_one_is_wanted(offered: Offer) -> None:
    assert offered("-conf", "Co") == ["Corefile"]
    assert "Corefile" in offered("check", "Co")
    assert "Corefile" in offered("lab", "--serve", "Co")
    assert not offered("completion", "Co")
    assert not offered("-workers", "Co")


def test_folders_are_offered_where_one_is_wanted(offered: Offer) -> None:
    assert offered("lab", "--data", "f") == ["folder"]
    assert offered("lab", "--data", "Co") == []


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_knows_a_value_behind_an_equals_sign_and_names_with_spaces(tmp_path: Path) -> None:
    (tmp_path / "two words.yaml").touch()
    assert run(tmp_path, "bash", BASH, "kdns", "-log-format", "=", "js") == ["json"]
    assert run(tmp_path, "bash", BASH, "kdns", "-log-format", "=") == ["text", "json"]
    assert run(tmp_path, "bash", BASH, "kdns", "check", "tw") == ["two words.yaml"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_finds_no_mistake_in_the_script(shell: str, tmp_path: Path) -> None:
    needs(shell)
    script = tmp_path / "script"
    script.write_text(SHELLS[shell](), encoding="utf-8")
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
