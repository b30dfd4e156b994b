"""Rules about names as `rewrite` writes them: which names they match, and what these become.

Names are presentation text in lower case with the last dot. All but regular expressions are made
so too when a rule is read (CoreDNS), hence `substring core` is `core.` and `prefix a` is `a.`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kdns.corefile.options import regex
from kdns.corefile.patterns import Match, Pattern
from kdns.wire import names, types
from kdns.wire.rename import Rename

KINDS = ("exact", "prefix", "suffix", "substring", "regex")
_PLACE = re.compile(r"\{([^{}]*)\}|[{}]")
_NUMBER = re.compile(r"0|[1-9][0-9]?|100")
_CODES = {**types.RCODES, "NOTIMPL": 4, "BADSIG": 16, "DSOTYPENI": 11}

Meta = Callable[[str], str]
"""The value of a metadata label, empty when there is none."""


def normalise(name: str) -> str:
    """A name, or a part of one, in lower case and with its last dot."""
    return name.lower().rstrip(".") + "." if name.strip(".") else "."


def take_kind(words: Sequence[str], least: int) -> tuple[str, list[str]]:
    """The kind of a rule and its further words; rules without a kind are exact."""
    if len(words) <= least:
        return "exact", list(words)
    kind = words[0].lower()
    if kind not in KINDS:
        raise ValueError(f"expected exact, prefix, suffix, substring or regex, found {words[0]!r}")
    return kind, list(words[1:])


@dataclass(frozen=True, slots=True)
class Matcher:
    """Which names a rule is about."""

    kind: str
    text: str
    pattern: Pattern

    def __call__(self, name: str) -> Match | bool | None:
        """The match of a regular expression, or whether the name matches."""
        if self.kind == "exact":
            return name == self.text
        if self.kind == "prefix":
            return name.startswith(self.text)
        if self.kind == "suffix":
            return name.endswith(self.text)
        if self.kind == "substring":
            return self.text in name
        return self.pattern.search(name)


def matcher(kind: str, word: str, *, is_raw: bool = False) -> Matcher:
    """Reads the FROM of a rule; a raw one is taken as it stands, but for its case."""
    try:
        pattern = regex()(word if kind == "regex" else "")
    except ValueError as error:
        raise ValueError(f"expected {error}, found {word!r}") from error
    text = word.lower() if is_raw and kind != "exact" else normalise(word)
    return Matcher(kind, text, pattern)


@dataclass(frozen=True, slots=True)
class Expansion:
    """A name with places for groups of a match and for metadata."""

    parts: tuple[str | int, ...]
    """Literal text, and numbers of groups."""
    labels: tuple[tuple[int, str], ...] = ()
    """Metadata labels, and the part each stands before."""

    def __call__(self, match: Match, meta: Meta) -> str | None:
        """The name; None when a metadata label has no value."""
        values = {at: meta(label).lower() for at, label in self.labels}
        if not all(values.values()):
            return None
        out = ""
        for at, part in enumerate(self.parts):
            out += values.get(at, "") + (part if isinstance(part, str) else match[part] or "")
        return out


def expansion(word: str, pattern: Pattern, *, has_metadata: bool = False) -> Expansion:
    """Reads the TO of a rule with a regular expression.

    CoreDNS: without `metadata` a brace that names no group is a character like others.
    """
    text = word.rstrip(".") + "."
    parts: list[str | int] = []
    labels = []
    at = 0
    for place in _PLACE.finditer(text):
        inside = place[1]
        group = _group(inside)
        is_group = group is not None and group <= pattern.groups
        if not is_group and not has_metadata:
            continue
        parts.append(text[at : place.start()].lower())
        at = place.end()
        if is_group and group is not None:
            parts.append(group)
        else:
            labels.append((len(parts), _label(word, inside, pattern)))
    parts.append(text[at:].lower())
    return Expansion(tuple(parts), tuple(labels))


def _group(inside: str | None) -> int | None:
    """The number in a pair of braces."""
    return int(inside) if inside and _NUMBER.fullmatch(inside) else None


def _label(word: str, inside: str | None, pattern: Pattern) -> str:
    if inside is None:
        raise ValueError(f"{word!r} has a brace without its partner")
    if inside.isdigit():
        raise ValueError(f"{word!r} names group {inside}, but there are {pattern.groups}")
    if not _is_label(inside):
        raise ValueError(f"{word!r} names {inside!r}, which is no label such as plugin/name")
    return inside


def _check_groups(word: str, pattern: Pattern) -> None:
    """CoreDNS: no more different groups may be named than there are."""
    named = {group for place in _PLACE.finditer(word) if (group := _group(place[1])) is not None}
    if len(named) > pattern.groups:
        raise ValueError(f"{word!r} names {len(named)} groups, but there are {pattern.groups}")


def _is_label(text: str) -> bool:
    plugin, mark, name = text.partition("/")
    return bool(plugin and mark and name)


@dataclass(frozen=True, slots=True)
class Renamer:
    """What the names that match become."""

    matches: Matcher
    target: str
    expand: Expansion | None

    def __call__(self, name: str, meta: Meta = lambda _: "") -> str | None:
        """The new name; None when the rule is not about this one."""
        found = self.matches(name)
        if not found:
            return None
        kind, source, target = self.matches.kind, self.matches.text, self.target
        if self.expand and not isinstance(found, bool):
            return self.expand(found, meta)
        if kind == "prefix":
            return target + name[len(source) :]
        if kind == "suffix":
            return name[: len(name) - len(source)] + target
        return name.replace(source, target) if kind == "substring" else target


def renamer(
    kind: str, source: str, target: str, *, has_metadata: bool = False, is_raw: bool = False
) -> Renamer:
    """Reads FROM and TO of a rule."""
    found = matcher(kind, source, is_raw=is_raw)
    expand = None
    if kind == "regex":
        if not is_raw and not has_metadata:
            _check_groups(target, found.pattern)
        expand = expansion(target, found.pattern, has_metadata=has_metadata)
    text = target.lower() if is_raw and kind != "exact" else normalise(target)
    return Renamer(found, text, expand)


def mapping(rules: Sequence[Renamer], back: Rename | None = None) -> Rename | None:
    """What explicit rules do to a wire name, and then the way back; None for neither."""
    if not rules:
        return back
    explicit = _by_text(rules)
    return (lambda name: back(explicit(name))) if back else explicit


def _by_text(rules: Sequence[Renamer]) -> Rename:
    """One rule after the other; a name that would not be one stays as it was."""

    def mapped(name: bytes) -> bytes:
        before = now = names.format(names.fold(name))
        for rule in rules:
            now = rule(now) or now
        if now == before:
            return name
        try:
            return names.parse_key(now)
        except ValueError:
            return name

    return mapped


def answer_rules(
    words: Sequence[str],
) -> tuple[tuple[Renamer, ...], tuple[Renamer, ...], bool]:
    """Reads `answer …` rules: for owners, for values, and whether names go back by themselves."""
    found: dict[str, list[Renamer]] = {"name": [], "value": []}
    is_automatic = False
    while words:
        if words[0] != "answer" or len(words) < 2:
            raise ValueError(f"expected answer auto, name or value, found {words[0]!r}")
        if words[1] == "auto":
            is_automatic, words = True, words[2:]
            continue
        if words[1] not in found or len(words) < 4:
            raise ValueError("expected auto, or name or value with two words, behind answer")
        found[words[1]].append(renamer("regex", words[2], words[3]))
        words = words[4:]
    return tuple(found["name"]), tuple(found["value"]), is_automatic


def ttl_range(word: str) -> tuple[int, int]:
    """Reads a TTL, or a range of them with one bound or both."""
    low, mark, high = word.partition("-")
    bounds = (low or "0", (high or str(0xFFFFFFFF)) if mark else low)
    if not all(one.isascii() and one.isdigit() and len(one) < 11 for one in bounds):
        raise ValueError(f"expected a TTL such as 30, 30-, -300 or 30-300, found {word!r}")
    least, most = map(int, bounds)
    if not least <= most <= 0xFFFFFFFF or word == "-":
        raise ValueError(f"expected a TTL such as 30, 30-, -300 or 30-300, found {word!r}")
    return least, most


def rcode(word: str) -> int:
    """Reads a response code by name or number."""
    if word.upper() in _CODES:
        return _CODES[word.upper()]
    if word.isascii() and word.isdigit() and len(word) < 5 and int(word) <= max(_CODES.values()):
        return int(word)
    raise ValueError(f"expected a response code such as NXDOMAIN, found {word!r}")
