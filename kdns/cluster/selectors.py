"""Label selectors: the text of Kubernetes' equality and set based syntax becomes a test of labels.

Terms are joined by commas and must all hold. `!=`, `notin` and `!key` also hold for objects
without the label, as in Kubernetes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]

_TOKEN = re.compile(r"\s*(==|!=|=|!|\(|\)|,|<|>|[^\s=!(),<>]+)")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NUMBER = re.compile(r"[-+]?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term: a key, an operator (in, notin, exists, absent, <, >) and its values."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True when labels satisfy this term."""
        value = labels.get(self.key)
        if self.operator in {"notin", "absent"}:
            return value is None or (self.operator == "notin" and value not in self.values)
        if value is None or self.operator == "exists":
            return value is not None
        if self.operator == "in":
            return value in self.values
        return bool(_NUMBER.fullmatch(value)) and self._compares(int(value))

    def __str__(self) -> str:
        """As Kubernetes reads it."""
        values = ",".join(sorted(self.values))
        match self.operator:
            case "in" | "notin" if len(self.values) == 1:
                return f"{self.key}{'=' if self.operator == 'in' else '!='}{values}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({values})"
            case "exists" | "absent":
                return self.key if self.operator == "exists" else f"!{self.key}"
            case _:
                return f"{self.key}{self.operator}{values}"

    def _compares(self, value: int) -> bool:
        (bound,) = self.values
        return value > int(bound) if self.operator == ">" else value < int(bound)


@dataclass(frozen=True, slots=True)
class Selector:
    """Terms that must all hold; without terms it selects everything."""

    terms: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """True when an object with these labels is selected."""
        if not self.terms:
            return True
        found = dict(labels)
        return all(term.matches(found) for term in self.terms)

    def __str__(self) -> str:
        """As Kubernetes reads it, empty for everything."""
        return ",".join(map(str, self.terms))


EVERYTHING = Selector()


def parse(text: str) -> Selector:
    """Reads a selector; raises ValueError that says what is wrong in it."""
    tokens = _tokens(text)
    terms: list[Requirement] = []
    while tokens:
        terms.append(_term(tokens))
        if tokens:
            _expect(tokens, ",", "a comma before the next term")
            if not tokens:
                raise ValueError("the selector ends in a comma")
    return Selector(tuple(terms))


def equal(labels: Mapping[str, str]) -> Selector:
    """The selector of a Service: every label has this value."""
    return Selector(
        tuple(Requirement(key, "in", frozenset((value,))) for key, value in labels.items())
    )


def _tokens(text: str) -> list[str]:
    """The tokens in reverse, so that pop() takes the next."""
    return _TOKEN.findall(text)[::-1]


def _term(tokens: list[str]) -> Requirement:
    word = tokens.pop()
    if word == "!":
        return Requirement(_key(tokens.pop() if tokens else ""), "absent")
    key = _key(word)
    if not tokens or tokens[-1] == ",":
        return Requirement(key, "exists")
    operator = tokens.pop()
    if operator in {"in", "notin"}:
        return Requirement(key, operator, _set(tokens, operator))
    if operator in {"=", "==", "!="}:
        return Requirement(
            key, "notin" if operator == "!=" else "in", frozenset((_one(tokens, operator),))
        )
    if operator in {"<", ">"}:
        return Requirement(key, operator, frozenset((_bound(tokens, operator),)))
    raise ValueError(f"expected one of = == != in notin < > after {key!r}, found {operator!r}")


def _one(tokens: list[str], operator: str) -> str:
    """The value after an operator; none at all is the empty value."""
    return "" if not tokens or tokens[-1] == "," else _value(tokens.pop(), operator)


def _bound(tokens: list[str], operator: str) -> str:
    value = _one(tokens, operator)
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"expected a whole number after {operator!r}, found {value!r}")
    return value


def _set(tokens: list[str], operator: str) -> frozenset[str]:
    _expect(tokens, "(", f"( after {operator!r}")
    values = {_one(tokens, operator)} if tokens and tokens[-1] != ")" else set()
    while tokens and tokens[-1] != ")":
        _expect(tokens, ",", f"a comma or ) in the values of {operator!r}")
        last = not tokens or tokens[-1] == ")"
        values.add("" if last else _one(tokens, operator))
    _expect(tokens, ")", f") after the values of {operator!r}")
    if not values:
        raise ValueError(f"{operator!r} needs at least one value")
    return frozenset(values)


def _expect(tokens: list[str], token: str, what: str) -> None:
    found = tokens.pop() if tokens else "the end"
    if found != token:
        raise ValueError(f"expected {what}, found {found!r}")


def _key(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        raise ValueError(f"{text!r} is no label key: its prefix is no DNS name")
    if len(name) > 63 or not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is no label key")
    return text


def _value(text: str, operator: str) -> str:
    if len(text) > 63 or not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} after {operator!r} is no label value")
    return text
