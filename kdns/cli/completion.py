"""`kdns completion SHELL`: prints its completions, made from the real parsers.

bash: source <(kdns completion bash)
zsh:  source <(kdns completion zsh), after compinit
fish: kdns completion fish | source
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kdns.cli import parsers
from kdns.cli.help import names
from kdns.cli.main import COMMANDS
from kdns.cli.parsers import Word

TOPIC: Final = "TOPIC"
"""What a word is called that names a page of help."""


def main(arguments: Sequence[str]) -> int:
    """Exit code 0."""
    shell = parser().parse_args(arguments).shell
    print(SHELLS[shell](), end="")
    return 0


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    made = argparse.ArgumentParser(
        prog="kdns completion", allow_abbrev=False, description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("shell", metavar="SHELL", choices=tuple(SHELLS), help="bash, zsh or fish")
    return made


def _grammar() -> dict[str, list[Word]]:
    """The words of each command, and of the server under the empty name."""
    return {name: list(parsers.words(parsers.parser_of(name))) for name in ("", *COMMANDS)}


def _values(word: Word) -> tuple[str, ...]:
    """What may stand for it, where that is a list."""
    return tuple(names()) if word.metavar == TOPIC else word.choices


def _flags(words: Sequence[Word]) -> list[str]:
    return [name for word in words for name in word.names]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# bash and zsh: one function with a case for each value, and one for each command


BASH: Final = """\
# Completions of kdns for bash. Use: source <(kdns completion bash)
_kdns() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=
    if [[ $cur == = ]]; then cur=
    elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
    COMPREPLY=()
    if ((COMP_CWORD > 1)); then
        case ${COMP_WORDS[1]} in %(commands)s) command=${COMP_WORDS[1]} ;; esac
    fi
    local words= files=
    case "$command $prev" in
%(values)s
        *) case $command in
%(places)s
        esac ;;
    esac
    local IFS=$' \\t\\n'
    [[ -n $words ]] && COMPREPLY=($(compgen -W "$words" -- "$cur"))
    if [[ -n $files ]]; then
        IFS=$'\\n'
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(compgen "$files" -- "$cur"))
    fi
}
complete -F _kdns kdns
"""

ZSH: Final = """\
#compdef kdns
# Completions of kdns for zsh. Use: source <(kdns completion zsh), after compinit;
# or as the file _kdns in a folder of $fpath.
_kdns() {
    local prev=${words[CURRENT-1]} command= files= offered=
    if ((CURRENT > 2)); then
        case ${words[2]} in %(commands)s) command=${words[2]} ;; esac
    fi
    case "$command $prev" in
%(values)s
        *) case $command in
%(places)s
        esac ;;
    esac
    [[ -n $offered ]] && compadd -- ${=offered}
    case $files in
        -f) _files ;;
        -d) _files -/ ;;
    esac
}
if [[ ${funcstack[1]} == _kdns ]]; then _kdns "$@"; else compdef _kdns kdns; fi
"""


def bash() -> str:
    """A function for `complete -F`."""
    return BASH % _cases("words")


def zsh() -> str:
    """The same for zsh."""
    return ZSH % _cases("offered")


def _cases(variable: str) -> dict[str, str]:
    grammar = _grammar()
    return {
        "commands": "|".join(COMMANDS),
        "values": "\n".join(_value_cases(grammar, variable)),
        "places": "\n".join(_place_cases(grammar, variable)),
    }


def _value_cases(grammar: dict[str, list[Word]], variable: str) -> Iterator[str]:
    """What follows a flag that takes a value."""
    for command, words in grammar.items():
        for word in words:
            if word.names and word.metavar:
                cases = "|".join(f'"{command} {name}"' for name in word.names)
                yield f"        {cases}) {_offer(word, variable) or ':'} ;;"


def _place_cases(grammar: dict[str, list[Word]], variable: str) -> Iterator[str]:
    """What else a command takes: its flags, and words that have their place."""
    for command, words in grammar.items():
        offered = _flags(words) + (list(COMMANDS) if not command else [])
        free = [word for word in words if not word.names]
        offered += [value for word in free for value in _values(word)]
        files = next((f"; {sign}" for word in free if (sign := _files(word))), "")
        pattern = command or "''"
        yield f"            {pattern}) {variable}={_quoted(' '.join(offered))}{files} ;;"


def _offer(word: Word, variable: str) -> str:
    values = _values(word)
    return f"{variable}={_quoted(' '.join(values))}" if values else _files(word)


def _files(word: Word) -> str:
    return "files=-f" if word.is_file else "files=-d" if word.is_folder else ""


# fish: a line for each


def fish() -> str:
    """Lines of `complete`."""
    lines = [
        "# Completions of kdns for fish. Use: kdns completion fish | source",
        "complete -c kdns -f",
    ]
    for command, about in COMMANDS.items():
        lines.append(f"complete -c kdns -n __fish_is_first_token -a {command} -d {_quoted(about)}")
    for command, words in _grammar().items():
        seen = f"__fish_seen_subcommand_from {command or ' '.join(COMMANDS)}"
        when = f"-n {_quoted(seen if command else f'not {seen}')}"
        lines += [f"complete -c kdns {when} {_fish(word)}" for word in words]
    return "\n".join(lines) + "\n"


def _fish(word: Word) -> str:
    values = _values(word)
    parts = [_fish_name(name) for name in word.names]
    if word.names and word.metavar:
        parts.append("-r" if word.is_file else "-x")
    if values:
        parts.append(f"-a {_quoted(' '.join(values))}")
    elif word.is_file:
        parts.append("-F")
    elif word.is_folder:
        parts.append("-a '(__fish_complete_directories)'")
    return " ".join([*parts, f"-d {_quoted(word.about)}"])


def _fish_name(name: str) -> str:
    if name.startswith("--"):
        return f"-l {name[2:]}"
    return f"-s {name[1:]}" if len(name) == 2 else f"-o {name[1:]}"


SHELLS: Final[dict[str, Callable[[], str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
