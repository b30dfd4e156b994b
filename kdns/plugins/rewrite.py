"""Rewrites questions on their way in and answers on their way out, by rules in file order.

A rule that matches changes the Query, may leave a step for the answer, and ends the list unless it
says `continue`. The steps are taken in reverse. The question of the reply is the asker's own
whatever was asked here: the encoder never sees another. All directives of a block are one list.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol

from msgspec.structs import replace

from kdns.corefile import ednsrules, namerules
from kdns.corefile.ednsrules import Edit, Subnets
from kdns.corefile.namerules import Matcher, Renamer
from kdns.corefile.options import Settings, Shape, Syntax, text
from kdns.plugins.base import DROP, SKIP, Filter, Next, Query, Result, Site, as_of_now
from kdns.wire import edns, names, types
from kdns.wire.message import Answer, RRset, Transfer
from kdns.wire.names import Key
from kdns.wire.rename import Rename, below, clamp_ttls, rename

_NESTED = 9
"""Look-ups of `cname` rules within each other; from there on a reply is left as it is (CoreDNS)."""

_SIZE = 1232
"""EDNS size of a query that had no EDNS before a rule gave it some (RFC 9715 §3.1)."""

Step = Callable[[Answer], Awaitable[Answer]]


class Rule(Protocol):
    """One rule."""

    def apply(self, query: Query, name: str) -> tuple[Query, Step | None] | None:
        """The query to ask and a step for its answer; None when the rule does not match."""


class BadName(Exception):
    """A rule made a name that cannot be one."""


@lru_cache(maxsize=256)  # perf: bench once; most rules have one target
def _parse_key(name: str) -> Key:
    try:
        return names.parse_key(name)
    except ValueError:
        raise BadName(f"invalid name after rewrite: {name}") from None


# Names


@dataclass(frozen=True, slots=True)
class NameRule:
    """`name`: asks for another name, and maps names of the answer."""

    renamer: Renamer
    owners: tuple[Renamer, ...] = ()
    values: tuple[Renamer, ...] = ()
    is_automatic: bool = False

    def apply(self, query: Query, name: str) -> tuple[Query, Step | None] | None:
        """Asks for the new name. Labels say by themselves whom they are about."""
        new = self.renamer(name, query.meta)
        if new is None:
            return None
        asked = query.asking(_parse_key(new))
        back = self._back(query.key, asked.key) if self.is_automatic else None
        owner, value = namerules.mapping(self.owners, back), namerules.mapping(self.values, back)
        if not owner and not value:
            return asked, None

        async def step(answer: Answer) -> Answer:
            return rename(answer, owner, value)

        return asked, step

    def _back(self, old: Key, new: Key) -> Rename | None:
        """From the new name to the old one, for all names below too."""
        if self.renamer.matches.kind == "suffix":
            swap = namerules.renamer("suffix", self.renamer.target, self.renamer.matches.text)
            return namerules.mapping((swap,))
        return below(old, new)


def _name_rule(words: Sequence[str]) -> NameRule:
    kind, words = namerules.take_kind(words, 2)
    if len(words) < 2:
        raise ValueError("expected the name to match and the name to ask for")
    has_metadata = len(words) > 2 and words[2] == "metadata"
    if has_metadata and kind != "regex":
        raise ValueError("metadata needs a regex rule")
    renamer = namerules.renamer(kind, words[0], words[1], has_metadata=has_metadata)
    owners, values, is_automatic = namerules.answer_rules(words[3 if has_metadata else 2 :])
    if is_automatic and (owners or values):
        raise ValueError("answer auto cannot stand beside other answer rules")
    return NameRule(renamer, owners, values, is_automatic or kind == "exact")


# Type, class, TTL and code


@dataclass(frozen=True, slots=True)
class NumberRule:
    """`type` and `class`: ask for another number."""

    attribute: str
    source: int
    target: int

    def apply(self, query: Query, name: str) -> tuple[Query, Step | None] | None:
        """Asks for the other type or class."""
        if getattr(query, self.attribute) != self.source:
            return None
        if self.attribute == "cls":
            return query.asking(query.key, cls=self.target), None
        return query.asking(query.key, self.target), None


def _type_rule(words: Sequence[str]) -> NumberRule:
    return _number_rule("type", words, types.parse_type)


def _class_rule(words: Sequence[str]) -> NumberRule:
    return _number_rule("cls", words, types.parse_class)


def _number_rule(attribute: str, words: Sequence[str], read: Callable[[str], int]) -> NumberRule:
    if len(words) != 2:
        raise ValueError("expected two words, what is asked and what to ask for")
    numbers = []
    for word in words:
        try:
            numbers.append(read(word))
        except ValueError as error:
            raise ValueError(f"expected {error}, found {word!r}") from error
    return NumberRule(attribute, *numbers)


@dataclass(frozen=True, slots=True)
class TtlRule:
    """`ttl`: keeps every TTL of the answer within bounds."""

    matches: Matcher
    low: int
    high: int

    def apply(self, query: Query, name: str) -> tuple[Query, Step | None] | None:
        """Leaves a step that sets the TTLs."""
        if not self.matches(name):
            return None

        async def step(answer: Answer) -> Answer:
            return clamp_ttls(as_of_now(query, answer), self.low, self.high)

        return query, step


def _ttl_rule(words: Sequence[str]) -> TtlRule:
    kind, words = namerules.take_kind(words, 2)
    if len(words) != 2:
        raise ValueError("expected a name and a TTL or a range of TTLs")
    return TtlRule(namerules.matcher(kind, words[0]), *namerules.ttl_range(words[1]))


@dataclass(frozen=True, slots=True)
class RcodeRule:
    """`rcode`: answers another response code."""

    matches: Matcher
    source: int
    target: int

    def apply(self, query: Query, name: str) -> tuple[Query, Step | None] | None:
        """Leaves a step that changes the code."""
        if not self.matches(name):
            return None

        async def step(answer: Answer) -> Answer:
            return answer.but(rcode=self.target) if answer.rcode == self.source else answer

        return query, step


def _rcode_rule(words: Sequence[str]) -> RcodeRule:
    kind, words = namerules.take_kind(words, 3)
    if len(words) != 3:
        raise ValueError("expected a name, the code to match and the code to answer")
    return RcodeRule(
        namerules.matcher(kind, words[0]), namerules.rcode(words[1]), namerules.rcode(words[2])
    )


# CNAME targets


@dataclass(frozen=True, slots=True)
class CnameRule:
    """`cname`: sends a CNAME elsewhere, and asks there."""

    renamer: Renamer

    def apply(self, query: Query, name: str) -> tuple[Query, Step | None] | None:
        """Leaves a step that looks for CNAMEs."""

        async def step(answer: Answer) -> Answer:
            return await self._led(query, answer)

        return query, step

    async def _led(self, query: Query, answer: Answer) -> Answer:
        if query.depth >= _NESTED:
            return answer
        chain: list[RRset] = []
        for rrset in answer.answer:
            if rrset.type != types.CNAME:
                continue
            target = self._target(rrset)
            if target is None:
                chain.append(rrset)
                continue
            chain.append(replace(rrset, rdatas=(target,)))
            answer = as_of_now(query, answer.but(answer=tuple(chain)))
            found = await query.lookup(target, query.type)
            if found is None:
                return answer
            joined = answer.answer + as_of_now(query, found).answer
            return answer.but(answer=joined, live=answer.live or found.live)
        return answer

    def _target(self, rrset: RRset) -> Key | None:
        new = self.renamer(names.format(names.fold(rrset.rdatas[0])))
        if new is None:
            return None
        try:
            return names.parse_key(new)
        except ValueError:
            return None


def _cname_rule(words: Sequence[str]) -> CnameRule:
    kind, words = namerules.take_kind(words, 2)
    if len(words) != 2:
        raise ValueError("expected the target to match and the target to put there")
    return CnameRule(namerules.renamer(kind, *words, is_raw=True))


# EDNS options


@dataclass(frozen=True, slots=True)
class EdnsRule:
    """`edns0`: changes the options that an upstream is asked with."""

    edit: Edit
    subnets: Subnets | None = None

    def apply(self, query: Query, name: str) -> tuple[Query, Step | None] | None:
        """Asks with other options."""
        question = query.question
        value = self._value(query, name)
        if value is None:
            return None
        options = edns.edit(question.options, self.edit.action, self.edit.code, value)
        if options is None:
            return None
        asked = query.asking(query.key)
        asked.is_apart |= self.edit.is_about_asker
        size = question.size if question.has_opt else _SIZE
        asked.question = replace(question, has_opt=True, size=size, options=options)
        return asked, None

    def _value(self, query: Query, name: str) -> bytes | None:
        edit, client = self.edit, query.client
        if self.subnets:
            query.reads_class(self.subnets)
            return self.subnets.classify(client.address)
        if not edit.variable:
            return edit.value
        if edit.variable == "qname":
            return name.encode()
        if edit.variable == "qtype":
            return query.type.to_bytes(2, "big")
        if edit.variable == "protocol":
            return client.protocol.encode()
        if edit.variable == "server_port":
            return client.local_port.to_bytes(2, "big")
        if edit.variable not in {"client_ip", "client_port", "server_ip"}:
            return query.meta(edit.variable).encode() or None
        query.reads_client()
        if edit.variable == "client_port":
            return client.port.to_bytes(2, "big")
        return (client.address if edit.variable == "client_ip" else client.local) or None

    def mirror(self, query: Query, name: str, options: bytes) -> bytes:
        """What the reply shows: the asker's options changed as well, unless the rule reverts."""
        if self.edit.reverts:
            return options
        value = self._value(query, name) or b""
        return edns.edit(options, self.edit.action, self.edit.code, value) or options


def _edns_rule(words: Sequence[str]) -> EdnsRule:
    found = ednsrules.parse(words)
    return EdnsRule(found, Subnets(found.bits) if found.bits else None)


# The directive


class Rewrite(Filter):
    """The rules of a block. The first directive holds them all, the others only bring theirs."""

    name = "rewrite"
    syntax = Syntax(args=Shape(rest=text), other=Shape(words=(text,), rest=text), repeats=True)
    fields: ClassVar[dict[str, Callable[[Sequence[str]], Rule]]] = {
        "name": _name_rule,
        "type": _type_rule,
        "class": _class_rule,
        "ttl": _ttl_rule,
        "rcode": _rcode_rule,
        "cname": _cname_rule,
        "edns0": _edns_rule,
    }

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        words = [*settings.args, *(word for line in settings.lines for word in line.values)]
        goes_on = False
        if words and words[0].lower() in {"continue", "stop"}:
            goes_on = words.pop(0).lower() == "continue"
        self.rules: list[tuple[Rule, bool]] = site.beside.setdefault("rewrite rules", [])
        self._leads = site.beside.setdefault("rewrite", self) is self
        try:
            rule = self._rule(words)
        except ValueError as error:
            raise settings.fail(f"rewrite: {error}") from error
        self.rules.append((rule, goes_on))
        if isinstance(rule, EdnsRule):
            self.reads = frozenset((rule.edit.code,))

    def _rule(self, words: Sequence[str]) -> Rule:
        if not words or words[0].lower() not in self.fields:
            found = repr(words[0]) if words else "nothing"
            raise ValueError(f"expected one of {', '.join(self.fields)}, found {found}")
        return self.fields[words[0].lower()](words[1:])

    async def around(self, query: Query, next_: Next) -> Result:
        """Asks as the rules say, and changes the answer as they say."""
        if not self._leads:
            return await next_(query)
        try:
            asked, steps, shown = self._asked(query)
        except BadName as error:
            ede = ((types.EDE_OTHER, "rewritten into no name"),)
            return Answer(types.SERVFAIL, error=str(error), ede=ede, plugin=self.name)
        answer = await next_(asked)
        if answer is SKIP or answer is DROP or answer.error or type(answer) is Transfer:
            return answer
        for step in reversed(steps):
            answer = await step(answer)
        return answer.but(options=shown) if shown and not answer.options else answer

    def _asked(self, query: Query) -> tuple[Query, list[Step], bytes]:
        """What to ask, the steps for the answer, and options that its reply shows."""
        steps: list[Step] = []
        asked, shown = query, query.question.options
        name = names.format(query.key)
        for rule, goes_on in self.rules:
            outcome = rule.apply(asked, name)
            if outcome is None:
                continue
            if isinstance(rule, EdnsRule):
                shown = rule.mirror(asked, name, shown)
            before, (asked, step) = asked.key, outcome
            if step:
                steps.append(step)
            if not goes_on:
                break
            if asked.key != before:
                name = names.format(asked.key)
        return asked, steps, self._shown(query, shown)

    def _shown(self, query: Query, options: bytes) -> bytes:
        """CoreDNS: the codes that local rules name come back to an asker with EDNS."""
        if not query.question.has_opt:
            return b""
        rules = [rule for rule, _ in self.rules if isinstance(rule, EdnsRule)]
        codes = frozenset(rule.edit.code for rule in rules if rule.edit.is_local)
        if not codes:
            return b""
        return edns.only(options, codes)
