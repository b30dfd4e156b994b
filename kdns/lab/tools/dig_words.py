"""dig's command line becomes the questions that it asks, each with its options.

Options before the first name hold for all questions, those behind a name for that one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from kdns.client.search_terms import Resolv
from kdns.lab.tools.bind import PORT, SIZE, How, Question, reverse, tries_of
from kdns.lab.tools.pod import Pod
from kdns.wire import types

_PARTS = ("cmd", "comments", "question", "answer", "authority", "additional", "stats")
_IGNORED = {"cookie", "multiline", "ttlid", "class", "qr", "identify", "besteffort", "crypto",
            "badcookie", "defname", "showsearch", "rrcomments", "unknownformat", "idnout",
            "idnin", "keepopen", "fail"}  # fmt: skip
_FLAGS = {"recurse": types.RD, "rdflag": types.RD, "adflag": types.AD, "cdflag": types.CD}


class WordsError(Exception):
    """What is wrong with the command line."""


@dataclass(frozen=True, slots=True)
class Words:
    """Options of one question."""

    parts: frozenset[str] = frozenset(_PARTS)
    is_short: bool = False
    searches: bool = False
    domain: str = ""
    ndots: int = -1
    transport: str = "udp"
    within_s: float = 0.0
    tries: int = 0
    """0 here: as resolv.conf says."""
    size: int = SIZE
    flags: int = types.RD | types.AD
    wants_signatures: bool = False
    port: int = PORT

    def shows(self, part: str) -> bool:
        """Whether a part of the reply is printed."""
        return part in self.parts

    def how(self, servers: Sequence[str], own: Resolv) -> How:
        """Whom to ask (none: those of resolv.conf), and how."""
        places = tuple((one, self.port) for one in servers or [one for one, _ in own.nameservers])
        within_s, tries = self.within_s or own.timeout_s, self.tries or tries_of(own)
        return How(places, self.transport, within_s, tries, self.size, self.flags,
                   self.wants_signatures)  # fmt: skip

    def resolv(self, own: Resolv) -> Resolv:
        """The search path to walk."""
        search = (self.domain,) if self.domain else own.search
        return replace(own, search=search, ndots=self.ndots if self.ndots >= 0 else own.ndots)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question."""

    question: Question
    words: Words
    server: str = ""


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    pod: Pod
    shared: Words = field(default_factory=Words)
    server: str = ""
    asked: list[Asked] = field(default_factory=list)
    type: int = 0
    cls: int = types.IN

    def set(self, **changes: object) -> None:
        """Options of the question before, or of all when there is none yet."""
        if self.asked:
            last = self.asked[-1]
            changed = replace(last.words, **changes)  # type: ignore[arg-type]  # as Words has them
            self.asked[-1] = replace(last, words=changed)
        else:
            self.shared = replace(self.shared, **changes)  # type: ignore[arg-type]  # as above

    @property
    def words(self) -> Words:
        """The options that hold now."""
        return self.asked[-1].words if self.asked else self.shared

    def name(self, text: str, type_: int = 0) -> None:
        """A question more."""
        question = Question(text, type_ or self.type or types.A, self.cls)
        self.asked.append(Asked(question, self.shared))

    def kind(self, type_: int) -> None:
        """The type of the question before, or of those to come."""
        if self.asked:
            last = self.asked[-1]
            self.asked[-1] = replace(last, question=replace(last.question, type=type_))
        else:
            self.type = type_


def words_of(words: Sequence[str], pod: Pod) -> list[Asked]:
    """The questions; raises WordsError."""
    reading = _Reading(pod)
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("@"):
            reading.server = word[1:]
        elif word.startswith("+"):
            _plus(reading, word[1:])
        elif word.startswith("-") and len(word) > 1:
            _minus(reading, word, rest)
        elif word.upper() in types.TYPES:
            reading.kind(types.TYPES[word.upper()])
        elif word.upper() in types.CLASSES:
            reading.cls = types.CLASSES[word.upper()]
        else:
            reading.name(word)
    if not reading.asked:
        reading.name(".", types.NS)
    return [replace(one, server=reading.server) for one in reading.asked]


def _minus(reading: _Reading, word: str, rest: list[str]) -> None:
    letter = word[1]
    if letter in "46rmv" and len(word) == 2:
        return
    if letter not in "xptqcb":
        raise WordsError(f"this dig knows no option {word}")
    value = word[2:] or (rest.pop(0) if rest else "")
    try:
        if letter == "x":
            reading.name(reverse(reading.pod.moved(value)), types.PTR)
        elif letter == "p":
            reading.shared = replace(reading.shared, port=int(value))
            reading.set(port=int(value))
        elif letter == "t":
            reading.kind(types.parse_type(value))
        elif letter == "q":
            reading.name(value)
        elif letter == "c":
            reading.cls = types.parse_class(value)
    except ValueError as error:
        raise WordsError(f"{word} {value}: {error}") from None


def _plus(reading: _Reading, text: str) -> None:
    name, _, value = text.partition("=")
    is_on = not name.startswith("no")
    word = name.removeprefix("no")
    if word in _PARTS:
        parts = reading.words.parts
        reading.set(parts=parts | {word} if is_on else parts - {word})
    elif word == "all":
        reading.set(parts=frozenset(_PARTS if is_on else ()))
    elif word in _FLAGS or word == "rec":
        bit = _FLAGS.get(word, types.RD)
        now = reading.words.flags
        reading.set(flags=now | bit if is_on else now & ~bit)
    elif word == "short":
        reading.shared = replace(reading.shared, is_short=is_on)  # of all, wherever it stands
        reading.set(is_short=is_on)
    elif word in _SWITCHES:
        reading.set(**_SWITCHES[word](is_on))
    elif word in _NUMBERS and value:
        _number(reading, word, value)
    elif word == "domain" and value:
        reading.set(domain=value, searches=True)
    elif word not in _IGNORED:
        raise WordsError(f"this dig knows no option +{text}")


_SWITCHES: dict[str, Callable[[bool], dict[str, object]]] = {
    "search": lambda is_on: {"searches": is_on},
    "tcp": lambda is_on: {"transport": "tcp" if is_on else "udp"},
    "vc": lambda is_on: {"transport": "tcp" if is_on else "udp"},
    "dnssec": lambda is_on: {"wants_signatures": is_on},
    "do": lambda is_on: {"wants_signatures": is_on},
    "edns": lambda is_on: {"size": SIZE if is_on else 0},
}
_NUMBERS = {"time": "within_s", "timeout": "within_s", "tries": "tries", "retry": "tries",
            "ndots": "ndots", "bufsize": "size"}  # fmt: skip


def _number(reading: _Reading, word: str, value: str) -> None:
    try:
        number = int(value)
    except ValueError:
        raise WordsError(f"+{word}={value}: is no number") from None
    if word in {"time", "timeout"}:
        number = max(number, 1)
    reading.set(**{_NUMBERS[word]: number + (word == "retry")})
