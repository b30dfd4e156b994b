"""A parsed Corefile becomes its version: equal for what means the same, whoever wrote it.

Comments, white space and line numbers do not count; the files that words stand in do, since some
options are relative to them.
"""

import hashlib
import json
from collections.abc import Iterable

from kdns.corefile.tree import Block, Directive

Plain = list["str | Plain"]


def version(blocks: Iterable[Block]) -> str:
    """The SHA-512 of a Corefile."""
    plain = json.dumps([_plain(block) for block in blocks])
    return hashlib.sha512(plain.encode()).hexdigest()


def _plain(part: Block | Directive) -> Plain:
    if isinstance(part, Block):
        return [[word.text for word in part.keys], *_all(part.directives)]
    words: Plain = [part.name.file, part.name.text, *(word.text for word in part.args)]
    return words if part.body is None else [words, *_all(part.body)]


def _all(parts: Iterable[Directive]) -> Plain:
    return [_plain(part) for part in parts]
