"""A Corefile as the server understands it: blocks as written, to what is asked where and when.

Imports are in their place, variables have their values, plugins stand in the order they are asked
in. What is secret is not shown.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kdns.corefile.tree import Block, Directive
from kdns.plugins import ORDER

LENGTH: Final = 400
"""How much of a plugin's words is shown."""
MASK: Final = "***"

_SECRET: Final = {
    ("tsig", "secret"): 1,
    ("route53", "aws_access_key"): 1,
    ("etcd", "credentials"): 1,
    ("azure", "access_key"): 0,
}
"""Words behind an option that are none: only those after them are secret."""
_HIDDEN: Final = re.compile(
    r"secret|passw|credential|access[_-]?key|api[_-]?key|private|bearer", re.IGNORECASE
)
_FILES: Final = frozenset((("cookies", "secret"), ("tsig", "secrets"), ("clouddns", "credentials")))
"""Options that name a file."""
_LOGIN: Final = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Understood:
    """A server block."""

    keys: tuple[str, ...]
    plugins: tuple[str, ...]
    """In the order they are asked in, each with its words."""


def understood(blocks: Iterable[Block]) -> Iterator[Understood]:
    """The blocks of a Corefile that is right, one by one."""
    rank = {name: at for at, name in enumerate(ORDER)}
    for block in blocks:
        ordered = sorted(block.directives, key=lambda one: rank.get(one.name.text, len(rank)))
        keys = tuple(key.text for key in block.keys)
        yield Understood(keys, tuple(_told(one) for one in ordered))


def _told(directive: Directive) -> str:
    """A directive in one line."""
    name = directive.name.text
    text = _line(name, directive)
    if directive.body:
        text += " { " + "; ".join(_line(name, one) for one in directive.body) + " }"
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"


def _line(plugin: str, line: Directive) -> str:
    option = line.name.text
    words = [word.text for word in line.args]
    return " ".join([option, *_masked(plugin, option, words)])


def _masked(plugin: str, option: str, words: Sequence[str]) -> Iterator[str]:
    """Words as they may be seen: quoted where they have spaces, without secrets."""
    from_ = _SECRET.get((plugin, option))
    if from_ is None and _HIDDEN.search(option) and (plugin, option) not in _FILES:
        from_ = 0
    for at, word in enumerate(words):
        seen = MASK if from_ is not None and at >= from_ else _LOGIN.sub(MASK + "@", word)
        yield f'"{seen}"' if " " in seen or not seen else seen
