"""Master files (RFC 1035 §5) to records: $ORIGIN, $TTL, $INCLUDE, $GENERATE, all types.

The caller brings the text of every file, so nothing is read here. What is wrong raises ZoneError
with file, line and remedy. How much a file may say is bounded: includes in includes, generated
records. Records come one by one, so that the caller may rest between them.
"""

from collections.abc import Callable, Iterator
from posixpath import dirname, isabs, join, normpath
from struct import error as StructError
from typing import NamedTuple

from kdns.wire import names, rare, types
from kdns.wire.fields import Word, parse_ttl
from kdns.wire.names import Key
from kdns.zone.files.entries import Entry, EntryError, split
from kdns.zone.files.generate import GenerateError, generate

DEEPEST = 7
"""Includes in includes (CoreDNS: the same)."""
LONGEST_TTL = 0x7FFFFFFF

Read = Callable[[str], str | None]
"""The text of a file by its path; None when it cannot be read."""


class ZoneError(Exception):
    """A zone that cannot be served, and why; `place` is file:line where there is one."""

    def __init__(self, why: str, place: str = "") -> None:
        super().__init__(f"{place}: {why}" if place else why)
        self.why = why
        self.place = place


class Record(NamedTuple):
    """One record of a zone. perf: a tuple, for a large zone has a million of them."""

    owner: Key
    type: int
    ttl: int
    rdata: bytes
    cls: int = types.IN
    place: "tuple[str, int] | None" = None
    """File and line."""

    def at(self) -> str:
        """Where it stands, as text."""
        return f"{self.place[0]}:{self.place[1]}" if self.place else ""


def included(text: str, path: str) -> list[str]:
    """The paths of all files that a text includes: what to read before it is parsed."""
    found = []
    at = 0 if text[:1] == "$" else text.find("\n$") + 1
    while text[at : at + 1] == "$":
        if text[at : at + 8].upper() == "$INCLUDE":
            end = text.find("\n", at)
            line = text[at : end if end > 0 else len(text)]
            words = line.partition(";")[0].split()
            if len(words) > 1:
                found.append(beside(words[1].strip('"'), path))
        at = text.find("\n$", at) + 1 or len(text)
    return found


def beside(word: str, path: str) -> str:
    """The path of an included file: relative ones start where the including file is (CoreDNS)."""
    return word if isabs(word) else normpath(join(dirname(path), word))


def parse(path: str, origin: Key, read: Read) -> Iterator[Record]:
    """The records of a file, and of those it includes, in order; raises ZoneError."""
    return _File(path, origin, read, 0, None).records()


class _File:
    """One file being read: what holds from one entry to the next."""

    def __init__(
        self, path: str, origin: bytes, read: Read, depth: int, default: int | None
    ) -> None:
        self.path = path
        self.origin = origin
        self.read = read
        self.depth = depth
        self.default = default
        """What $TTL says."""
        self.last: int | None = None
        """The TTL of the record before."""
        self.owner: Key | None = None
        self.line = 1
        self.known: dict[str, Key] = {}
        """Owners by their text, under this origin."""

    def records(self) -> Iterator[Record]:
        """All records, those of included files in their place."""
        text = self.read(self.path)
        if text is None:
            raise ZoneError(f"{self.path} cannot be read: is it there, and may it be read?")
        try:
            for entry in split(text):
                self.line = entry.line
                first = entry.words[0]
                if first.text[:1] == "$" and not (first.is_quoted or entry.is_indented):
                    yield from self._directive(first.text.upper(), entry.words[1:])
                else:
                    yield self._record(entry)
        except EntryError as error:
            raise ZoneError(str(error), f"{self.path}:{error.line}") from None
        except (ValueError, StructError) as error:
            raise ZoneError(str(error), f"{self.path}:{self.line}") from None

    def _record(self, entry: Entry) -> Record:
        words = entry.words
        at = 0
        if not entry.is_indented:
            at = 1
            self.owner = self.known.get(words[0].text) or self._name(words[0].text)
        owner = self.owner
        if owner is None:
            raise ValueError("the first record has no name: begin its line with one, or with @")
        ttl, cls, type_, at = self._fixed(words, at)
        rdata = rare.parse_rdata(type_, words[at:], self.origin)
        if ttl is None:
            ttl = self._usual_ttl(type_, rdata)
        self.last = ttl = min(ttl, LONGEST_TTL)
        return Record(owner, type_, ttl, rdata, cls, (self.path, self.line))

    def _name(self, text: str) -> Key:
        if text == "@":
            return names.fold(self.origin)
        key = self.known[text] = names.fold(names.parse(text, self.origin))
        if len(self.known) > 4096:
            self.known.clear()
        return key

    def _fixed(self, words: list[Word], at: int) -> tuple[int | None, int, int, int]:
        """TTL, class and type, in either order of the first two, and where the data begins."""
        ttl: int | None = None
        cls: int | None = None
        while at < len(words):
            word = words[at].text.upper()
            at += 1
            if word in types.TYPES or word.startswith("TYPE"):
                return ttl, types.IN if cls is None else cls, types.parse_type(word), at
            if cls is None and (word in types.CLASSES or word.startswith("CLASS")):
                cls = types.parse_class(word)
            elif ttl is None and word[:1].isdigit():
                ttl = parse_ttl(word)
            else:
                raise ValueError(f"{words[at - 1].text!r} is no TTL, class or type of a record")
        raise ValueError("the line ends before the type of its record")

    def _usual_ttl(self, type_: int, rdata: bytes) -> int:
        if self.default is not None:
            return self.default
        if self.last is not None:
            return self.last
        if type_ == types.SOA:
            return int.from_bytes(rdata[-4:], "big")
        raise ValueError("there is no TTL: put $TTL 3600 in front of the first record")

    def _directive(self, name: str, words: list[Word]) -> Iterator[Record]:
        if not words:
            raise ValueError(f"{name} is followed by nothing")
        if name == "$ORIGIN" and len(words) == 1:
            self.origin = self._absolute(words[0].text)
            self.known.clear()
        elif name == "$TTL" and len(words) == 1:
            self.default = min(parse_ttl(words[0].text), LONGEST_TTL)
        elif name == "$INCLUDE" and len(words) < 3:
            yield from self._included(words)
        elif name == "$GENERATE":
            yield from self._generated(words)
        else:
            known = "$ORIGIN name, $TTL seconds, $INCLUDE file [name], $GENERATE"
            raise ValueError(f"{name} with {len(words)} words is no directive: there are {known}")

    def _absolute(self, text: str) -> bytes:
        return self.origin if text == "@" else names.parse(text, self.origin)

    def _included(self, words: list[Word]) -> Iterator[Record]:
        """RFC 1035 §5.1: origin, owner and TTLs of this file stay what they are."""
        if self.depth >= DEEPEST:
            raise ValueError(f"$INCLUDE goes deeper than {DEEPEST} files: does one include itself?")
        origin = self._absolute(words[1].text) if len(words) > 1 else self.origin
        path = beside(words[0].text, self.path)
        if self.read(path) is None:
            raise ValueError(f"$INCLUDE {words[0].text}: {path} cannot be read")
        inner = _File(path, origin, self.read, self.depth + 1, self.default)
        inner.last, inner.owner = self.last, self.owner
        yield from inner.records()

    def _generated(self, words: list[Word]) -> Iterator[Record]:
        try:
            for made in generate(words):
                self.owner = self._name(made[0].text)
                yield self._record(Entry(self.line, is_indented=False, words=made))
        except GenerateError as error:
            raise ValueError(f"$GENERATE: {error}") from None
