"""Server blocks as written become what may be shown of them: in the order plugins are asked, each
with its words, those that are secrets masked.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from kdns.corefile.tree import Block, Directive
from kdns.plugins import ORDER
from kdns.status.shapes import BlockShape

BLOCKS: Final = 50
"""How many are shown,"""
LENGTH: Final = 400
"""and how much of a plugin's words."""
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


def shapes(blocks: Sequence[Block]) -> list[BlockShape]:
    """What is shown of the blocks of a Corefile."""
    return [_shape(block) for block in blocks[:BLOCKS]]


def _shape(block: Block) -> BlockShape:
    rank = {name: at for at, name in enumerate(ORDER)}
    ordered = sorted(block.directives, key=lambda one: rank.get(one.name.text, len(rank)))
    return BlockShape([key.text for key in block.keys], [_told(one) for one in ordered])


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


def _masked(plugin: str, option: str, words: Sequence[str]) -> Iterable[str]:
    """Words as they may be seen: quoted where they have spaces, without secrets."""
    from_ = _SECRET.get((plugin, option))
    if from_ is None and _HIDDEN.search(option) and (plugin, option) not in _FILES:
        from_ = 0
    for at, word in enumerate(words):
        seen = MASK if from_ is not None and at >= from_ else _LOGIN.sub(MASK + "@", word)
        yield f'"{seen}"' if " " in seen or not seen else seen
