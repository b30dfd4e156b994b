"""The tokens still to be parsed, with snippets and imported files put in where `import` stands.

A name is that of a snippet, else of a file or a glob pattern beside the importing file.
"""

import posixpath
import re
from collections.abc import Callable, Mapping

from kdns.corefile.environment import expand
from kdns.corefile.lexer import Token, scan
from kdns.corefile.tree import Word

MAX_IMPORTS = 10_000
"""Of snippets and of files each. CoreDNS: what imports itself ends here."""
MAX_TOKENS = 1_000_000
"""In all imports together: several times what a ConfigMap of 1 MiB can hold."""

PILLAR = re.compile(r"__PILLAR__[A-Z_]+?__(?![A-Z_])")
"""What node-local-dns's manifest leaves to be filled in, some of it by its own start program."""
_PILLARS = {
    "__PILLAR__DNS__DOMAIN__": "the cluster domain, such as cluster.local",
    "__PILLAR__LOCAL__DNS__": "the address the cache listens on, such as 169.254.20.10",
    "__PILLAR__DNS__SERVER__": "the address of the Service kube-dns",
    "__PILLAR__CLUSTER__DNS__": "the address of a Service of the cluster's own DNS servers",
    "__PILLAR__UPSTREAM__SERVERS__": "/etc/resolv.conf, or the addresses of upstreams",
}

Read = Callable[[str], str]
Glob = Callable[[str], list[str]]


class Feed:
    """Tokens to come, and all that an import may bring among them."""

    def __init__(
        self,
        tokens: list[Token],
        *,
        environ: Mapping[str, str],
        read: Read,
        glob: Glob,
        warn: Callable[[str], None],
    ) -> None:
        self._rest = filled_in(tokens)[::-1]
        """The next token is the last."""
        self._environ = environ
        self._read = read
        self._glob = glob
        self._warn = warn
        self._snippets: dict[str, list[Token]] = {}
        self._files: dict[str, list[Token]] = {}
        self._imports = {"snippet": 0, "file": 0}
        self._spliced = 0

    def peek(self) -> Token | None:
        """The next token, left where it is."""
        return self._rest[-1] if self._rest else None

    def pop(self) -> Token:
        """Takes the next token."""
        return self._rest.pop()

    def is_next(self, text: str) -> bool:
        """True when the next token is this one."""
        return bool(self._rest) and self._rest[-1].word.text == text

    def is_line_over(self) -> bool:
        """True when the next token begins a line, or there is none."""
        return not self._rest or self._rest[-1].is_first

    def define(self, name: str, key: Word) -> None:
        """Takes the block that follows as the body of a snippet."""
        if not name:
            raise key.fail("a snippet needs a name between its parentheses")
        if name in self._snippets:
            raise key.fail(f"snippet {name!r} is defined twice")
        if not self.is_next("{"):
            raise key.fail(f"expected `{{` after the snippet's name {key.text!r}")
        self.pop()
        body: list[Token] = []
        depth = 1
        while self._rest:
            token = self.pop()
            depth += (token.word.text == "{") - (token.word.text == "}")
            if not depth:
                self._snippets[name] = body
                return
            body.append(token)
        raise key.fail(f"snippet {name!r} is never closed by `}}`")

    def splice(self) -> None:
        """Takes `import` and its name, and puts in what they stand for."""
        word = self.pop().word
        if self.is_line_over():
            raise word.fail("import needs the name of a snippet, a file or a glob pattern")
        name = expand(self.pop().word, self._environ)
        if not self.is_line_over():
            surplus = self.pop().word
            raise surplus.fail(f"import takes one name, found {surplus.text!r} after it")
        if name.text in self._snippets:
            self._count("snippet", word)
            self._insert(word, self._snippets[name.text])
            return
        for tokens in [self._file(path, name) for path in self._paths(name)][::-1]:
            self._insert(word, tokens)

    def _count(self, kind: str, word: Word) -> None:
        self._imports[kind] += 1
        if self._imports[kind] > MAX_IMPORTS:
            raise word.fail(f"over {MAX_IMPORTS} {kind} imports: does one import itself?")

    def _insert(self, word: Word, tokens: list[Token]) -> None:
        self._spliced += len(tokens)
        if self._spliced > MAX_TOKENS:
            raise word.fail(f"the imports make over {MAX_TOKENS} words")
        if tokens:
            self._rest += tokens[:0:-1]
            self._rest.append(Token(tokens[0].word, is_first=True))

    def _paths(self, name: Word) -> list[str]:
        path = posixpath.join(posixpath.dirname(name.file), name.text)
        if not re.search(r"[*?\[\]]", name.text):
            return [path]
        if why := _bad_pattern(name.text):
            raise name.fail(f"import pattern {name.text!r} {why}")
        try:
            found = sorted(self._glob(path))
        except OSError as error:
            raise name.fail(f"cannot look for {name.text!r}: {_reason(error)}") from error
        if not found:
            self._warn(f"{name.file}:{name.line}: no files match the import pattern {name.text!r}")
        return found

    def _file(self, path: str, name: Word) -> list[Token]:
        self._count("file", name)
        if path not in self._files:
            self._files[path] = filled_in(list(scan(self._text(path, name), path)))
        return self._files[path]

    def _text(self, path: str, name: Word) -> str:
        try:
            return self._read(path)
        except FileNotFoundError as error:
            hint = "a snippet must be defined above its import"
            raise name.fail(f"no snippet or file {name.text!r} to import", hint) from error
        except (OSError, ValueError) as error:
            raise name.fail(f"cannot import {path!r}: {_reason(error)}") from error


def filled_in(tokens: list[Token]) -> list[Token]:
    """The tokens, none of which may be left of a template that something was to fill in."""
    for token in tokens:
        if "__PILLAR__" in token.word.text and (found := PILLAR.search(token.word.text)):
            what = _PILLARS.get(found[0], "what it stands for")
            raise token.word.fail(
                f"{found[0]} was never filled in", f"put {what} there: kdns fills in nothing"
            )
    return tokens


def _bad_pattern(pattern: str) -> str:
    if pattern.count("*") > 1 or pattern.count("?") > 1 or re.search(r"\[.*\]", pattern, re.DOTALL):
        return "may have one wildcard only, one `*` or one `?`"
    return "has `[` without `]`" if "[" in pattern else ""


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    return str(getattr(error, "strerror", None) or error).lower()
