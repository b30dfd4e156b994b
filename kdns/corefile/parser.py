"""A Corefile and what it imports become server blocks, as CoreDNS 1.15.0 reads them.

Braces and `import` count as they are written; keys, names and arguments after their environment
references are replaced. Files are read and globs matched by the functions that the caller lends.
"""

from collections.abc import Callable, Mapping

from kdns.corefile.environment import expand
from kdns.corefile.imports import Feed, Glob, Read
from kdns.corefile.lexer import Token, scan
from kdns.corefile.tree import BRACE, Block, Directive, Word

MAX_DEPTH = 50
"""Braces inside one another; no plugin needs three."""


def parse(
    text: str,
    file: str,
    *,
    environ: Mapping[str, str],
    read: Read,
    glob: Glob,
    warn: Callable[[str], None] = lambda _: None,
) -> list[Block]:
    """Parses a Corefile; an empty one has no blocks. Raises ConfigError at the first mistake.

    `read` returns the text of a file or raises OSError; `glob` returns the files that match a
    pattern, hidden ones too.
    """
    feed = Feed(list(scan(text, file)), environ=environ, read=read, glob=glob, warn=warn)
    return _Parser(feed, environ).blocks()


class _Parser:
    def __init__(self, feed: Feed, environ: Mapping[str, str]) -> None:
        self.feed = feed
        self.environ = environ

    def blocks(self) -> list[Block]:
        """Parses all that is left."""
        blocks = []
        while keys := self._keys():
            snippet = _snippet_name(keys)
            if snippet is None:
                blocks.append(Block(keys, self._directives()))
            else:
                self.feed.define(snippet, keys[0])
        return blocks

    def _keys(self) -> tuple[Word, ...]:
        keys: list[Word] = []
        comma: Word | None = None
        start: Word | None = None
        while (token := self.feed.peek()) and not self.feed.is_next("{"):
            if token.is_first and token.word.text == "import":
                self.feed.splice()
                continue
            self.feed.pop()
            start = start or token.word
            word = expand(token.word, self.environ)
            comma = word if word.text.endswith(",") else None
            keys += _key(word)
            if not comma and self.feed.is_line_over():
                break
        if comma:
            raise comma.fail("expected another zone after the comma")
        start = start or (token.word if token else None)
        if start and not keys:
            # CoreDNS: a block without a key is one for the root.
            keys.append(Word(".", start.file, start.line))
        return tuple(keys)

    def _directives(self) -> tuple[Directive, ...]:
        brace = self.feed.pop().word if self.feed.is_next("{") else None
        found: list[Directive] = []
        while self.feed.peek():
            if self.feed.is_next("}"):
                self.feed.pop()
                return tuple(found)
            if self.feed.is_next("import"):
                self.feed.splice()
                continue
            found.append(self._directive())
        if brace:
            raise brace.fail(_UNCLOSED)
        return tuple(found)

    def _directive(self) -> Directive:
        name = self.feed.pop()
        run = [self._expanded(name)]
        opened: list[Word] = []
        while token := self.feed.peek():
            word = token.word
            if word.text == "{":
                self._check_brace(token, name.word, opened)
                opened.append(word)
            elif token.is_first and not opened:
                break
            elif word.text == "}":
                if not opened:
                    raise word.fail("`}` without a matching `{`", BRACE)
                opened.pop()
            elif token.is_first and word.text == "import":
                self.feed.splice()
                continue
            run.append(self._expanded(self.feed.pop()))
        if opened:
            raise opened[-1].fail(_UNCLOSED)
        return _whole(run)

    def _check_brace(self, brace: Token, name: Word, opened: list[Word]) -> None:
        if brace.is_first and not opened:
            raise brace.word.fail(f"`{{` must end the line of {name.text!r}")
        if len(opened) == MAX_DEPTH:
            raise brace.word.fail(f"over {MAX_DEPTH} braces inside one another")

    def _expanded(self, token: Token) -> Token:
        return Token(expand(token.word, self.environ), token.is_first)


_UNCLOSED = "the block that `{` opens here is never closed by `}`"


def _key(word: Word) -> list[Word]:
    text = word.text.removesuffix(",")
    if word.text and not text:
        raise word.fail("expected a zone before the comma")
    return [Word(text, word.file, word.line)] if text else []


def _snippet_name(keys: tuple[Word, ...]) -> str | None:
    text = keys[0].text
    is_snippet = len(keys) == 1 and text.startswith("(") and text.endswith(")")
    return text[1:-1] if is_snippet else None


def _whole(run: list[Token]) -> Directive:
    directive, at = _part(run, 0)
    if at < len(run):
        word = run[at].word
        raise word.fail(f"unexpected {word.text!r} after the block of {run[0].word.text!r}", BRACE)
    return directive


def _part(run: list[Token], at: int) -> tuple[Directive, int]:
    """The directive or option that begins at a position, and the position behind it."""
    name = run[at].word
    args = []
    at += 1
    while at < len(run) and not run[at].is_first and run[at].word.text != "{":
        # CoreDNS: `}` on the line of an option is its argument, and yet ends the block.
        args.append(run[at].word)
        at += 1
    if at == len(run) or run[at].is_first:
        return Directive(name, tuple(args)), at
    at += 1
    body = []
    while at < len(run):
        if run[at].word.text == "}":
            at += 1
            break
        option, at = _part(run, at)
        body.append(option)
    return Directive(name, tuple(args), tuple(body)), at
