"""A Corefile and what it imports become server blocks, as CoreDNS 1.15.0 reads them.

Braces and `import` count as they are written; keys, names and arguments after their environment
references are replaced. Files are read and globs matched by the functions that the caller lends.
"""

import posixpath
import re
from collections.abc import Callable, Mapping

from kdns.corefile.environment import expand
from kdns.corefile.lexer import Token, scan
from kdns.corefile.tree import BRACE, Block, Directive, Word

MAX_IMPORTS = 10_000
"""Of snippets and of files each; CoreDNS: a cycle ends here."""
MAX_TOKENS = 1_000_000
"""With all imports: more than ten times what fits into a ConfigMap of 1 MiB."""
MAX_DEPTH = 50

Read = Callable[[str], str]
Glob = Callable[[str], list[str]]
Warn = Callable[[str], None]


def parse(
    text: str,
    file: str,
    *,
    environ: Mapping[str, str],
    read: Read,
    glob: Glob,
    warn: Warn = lambda _: None,
) -> list[Block]:
    """Parses a Corefile; an empty one has no blocks. Raises ConfigError at the first mistake.

    `read` returns the text of a file or raises OSError; `glob` returns the files that match a
    pattern, hidden ones too.
    """
    return _Parser(list(scan(text, file)), environ, read, glob, warn).blocks()


class _Parser:
    def __init__(
        self, tokens: list[Token], environ: Mapping[str, str], read: Read, glob: Glob, warn: Warn
    ) -> None:
        self.rest = tokens[::-1]
        """Tokens still to come, the next one last."""
        self.environ = environ
        self.read = read
        self.glob = glob
        self.warn = warn
        self.snippets: dict[str, list[Token]] = {}
        self.files: dict[str, list[Token]] = {}
        self.imports = {"snippet": 0, "file": 0}
        self.spliced = 0

    def blocks(self) -> list[Block]:
        """Parses all that is left."""
        blocks = []
        while self.rest:
            keys = self._keys()
            if not keys:
                break
            snippet = _snippet_name(keys)
            if snippet is None:
                blocks.append(Block(keys, self._directives()))
            else:
                self._define(keys[0], snippet)
        return blocks

    def _keys(self) -> tuple[Word, ...]:
        keys: list[Word] = []
        comma: Word | None = None
        start: Word | None = None
        while self.rest:
            token = self.rest[-1]
            if _is_import(token):
                self._import()
                continue
            start = start or token.word
            if token.word.text == "{":
                if comma:
                    raise token.word.fail("expected another zone after the comma, found `{`")
                break
            self.rest.pop()
            word = expand(token.word, self.environ)
            comma = word if word.text.endswith(",") else None
            keys += _key(word)
            if not comma and (not self.rest or self.rest[-1].is_first):
                break
        else:
            if comma:
                raise comma.fail("expected another zone after the comma, found the end of the file")
        if start and not keys:
            # CoreDNS: a block without a key is one for the root.
            keys.append(Word(".", start.file, start.line))
        return tuple(keys)

    def _define(self, key: Word, name: str) -> None:
        if not name:
            raise key.fail("a snippet needs a name between its parentheses")
        if name in self.snippets:
            raise key.fail(f"snippet {name!r} is defined twice")
        if not self._next_is("{"):
            raise key.fail(f"expected `{{` after the snippet's name {key.text}")
        self.rest.pop()
        body: list[Token] = []
        depth = 1
        while self.rest:
            token = self.rest.pop()
            depth += (token.word.text == "{") - (token.word.text == "}")
            if not depth:
                self.snippets[name] = body
                return
            body.append(token)
        raise key.fail(f"snippet {name!r} is never closed by `}}`")

    def _import(self) -> None:
        word = self.rest.pop().word
        if not self.rest or self.rest[-1].is_first:
            raise word.fail("import needs the name of a snippet, a file or a glob pattern")
        name = expand(self.rest.pop().word, self.environ)
        if self.rest and not self.rest[-1].is_first:
            raise self.rest[-1].word.fail(
                f"import takes one name, found {self.rest[-1].word.text!r} after it",
                "snippets take no arguments",
            )
        if name.text in self.snippets:
            self._count("snippet", word)
            self._splice(word, self.snippets[name.text])
            return
        for tokens in [self._file(path, name) for path in self._paths(name)][::-1]:
            self._splice(word, tokens)

    def _count(self, kind: str, word: Word) -> None:
        self.imports[kind] += 1
        if self.imports[kind] > MAX_IMPORTS:
            raise word.fail(f"over {MAX_IMPORTS} {kind} imports: does one import itself?")

    def _splice(self, word: Word, tokens: list[Token]) -> None:
        self.spliced += len(tokens)
        if self.spliced > MAX_TOKENS:
            raise word.fail(f"the imports make over {MAX_TOKENS} words")
        if tokens:
            self.rest += tokens[:0:-1]
            self.rest.append(Token(tokens[0].word, is_first=True))

    def _paths(self, name: Word) -> list[str]:
        path = posixpath.join(posixpath.dirname(name.file), name.text)
        if not re.search(r"[*?\[\]]", name.text):
            return [path]
        if why := _bad_pattern(name.text):
            raise name.fail(f"import pattern {name.text!r} {why}")
        try:
            found = sorted(self.glob(path))
        except OSError as error:
            raise name.fail(f"cannot look for {name.text!r}: {_reason(error)}") from error
        if not found:
            self.warn(f"{name.file}:{name.line}: no files match the import pattern {name.text!r}")
        return found

    def _file(self, path: str, name: Word) -> list[Token]:
        self._count("file", name)
        if path not in self.files:
            self.files[path] = list(scan(self._text(path, name), path))
        return self.files[path]

    def _text(self, path: str, name: Word) -> str:
        try:
            return self.read(path)
        except FileNotFoundError as error:
            hint = "snippets must be defined above their import"
            raise name.fail(f"no snippet or file {name.text!r} to import", hint) from error
        except (OSError, UnicodeError) as error:
            raise name.fail(f"cannot import {path}: {_reason(error)}") from error

    def _next_is(self, text: str) -> bool:
        return bool(self.rest) and self.rest[-1].word.text == text

    def _directives(self) -> tuple[Directive, ...]:
        brace = self.rest.pop().word if self._next_is("{") else None
        found: list[Directive] = []
        while self.rest:
            token = self.rest[-1]
            if token.word.text == "}":
                self.rest.pop()
                return tuple(found)
            if token.word.text == "import":
                self._import()
                continue
            found.append(self._directive())
        if brace:
            raise brace.fail("the block that `{` opens here is never closed by `}`")
        return tuple(found)

    def _directive(self) -> Directive:
        name = self.rest.pop()
        run = [self._expanded(name)]
        opened: list[Word] = []
        while self.rest:
            token = self.rest[-1]
            word = token.word
            if word.text == "{":
                if token.is_first and not opened:
                    raise word.fail(f"`{{` must end the line of {name.word.text!r}")
                if len(opened) == MAX_DEPTH:
                    raise word.fail(f"over {MAX_DEPTH} braces inside one another")
                opened.append(word)
            elif token.is_first and not opened:
                break
            elif word.text == "}":
                if not opened:
                    raise word.fail("`}` without a matching `{`", BRACE)
                opened.pop()
            elif _is_import(token):
                self._import()
                continue
            run.append(self._expanded(self.rest.pop()))
        if opened:
            raise opened[-1].fail("the block that `{` opens here is never closed by `}`")
        return _whole(run)

    def _expanded(self, token: Token) -> Token:
        return Token(expand(token.word, self.environ), token.is_first)


def _is_import(token: Token) -> bool:
    return token.is_first and token.word.text == "import"


def _key(word: Word) -> list[Word]:
    text = word.text.removesuffix(",")
    if word.text and not text:
        raise word.fail("expected a zone before the comma")
    return [Word(text, word.file, word.line)] if text else []


def _snippet_name(keys: tuple[Word, ...]) -> str | None:
    text = keys[0].text
    is_snippet = len(keys) == 1 and text.startswith("(") and text.endswith(")")
    return text[1:-1] if is_snippet else None


def _bad_pattern(pattern: str) -> str:
    if pattern.count("*") > 1 or pattern.count("?") > 1 or re.search(r"\[.*\]", pattern, re.DOTALL):
        return "may have one wildcard only, one `*` or one `?`"
    return "has `[` without `]`" if "[" in pattern else ""


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    return (error.strerror or str(error) or type(error).__name__).lower()


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
