"""Answers questions whose name matches regular expressions from Go templates of records.

A question of the class, type and zones is matched against the expressions in order; the first that
matches fills the templates, whose text is read as records, if the conditions hold. What is read of
the asker says whom the answer is for; nothing else that can be read changes between reloads.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from kdns.corefile.expr.asked import is_wild
from kdns.corefile.expr.conditions import Conditions
from kdns.corefile.go import template as gotemplate
from kdns.corefile.options import (
    Line,
    Settings,
    Shape,
    Syntax,
    class_,
    integer,
    rcode,
    regex,
    text,
    type_,
    zones,
)
from kdns.corefile.patterns import Match, Pattern, compile_go
from kdns.observe.tally import Tally
from kdns.plugins.base import (
    SKIP,
    Backend,
    Query,
    Result,
    Site,
    as_of_now,
    fallthrough,
    own_zones,
    zone_of,
)
from kdns.wire import names, rare, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key

log = logging.getLogger("kdns.template")

_ANY = types.ANY_CLASS
_EVERYTHING = compile_go(r"(?s).*")
_FIELDS = frozenset(
    (
        "Name",
        "Class",
        "Type",
        "Zone",
        "Match",
        "Group",
        "Message",
        "Question",
        "Remote",
        "Meta",
        "Var",
    )
)
_SECTIONS = ("answer", "additional", "authority")
_ADDRESSES = frozenset((types.A, types.AAAA))

Values = Mapping[str, Any]  # Any: a template's values are of every type

_UNMATCHED = Answer(types.SERVFAIL, ede=((types.EDE_OTHER, "no match"),), plugin="template")


class _Object:
    """A value with fields, and the text it stands for as a whole."""

    def __init__(self, fields: Values, whole: Callable[[], str]) -> None:
        self.fields = fields
        self._whole = whole

    def __str__(self) -> str:
        return self._whole()


def _question(query: Query) -> _Object:
    name = names.format(query.key)
    words = (name, types.class_name(query.cls), " " + types.type_name(query.type))
    fields = {"Name": name, "Qtype": query.type, "Qclass": query.cls}
    return _Object(fields, lambda: ";" + "\t".join(words))


def _message(query: Query, question: _Object) -> _Object:
    asked = question.fields
    listed = _Object(asked, lambda: "{" + " ".join(map(str, asked.values())) + "}")
    flags = query.question.flags

    def id_() -> int:
        query.forget()
        return query.question.id

    fields: dict[str, Any] = {  # Any: see Values
        "Id": id_,
        "Response": False,
        "Opcode": flags >> 11 & 0xF,
        "Authoritative": False,
        "Truncated": False,
        "RecursionDesired": bool(flags & types.RD),
        "RecursionAvailable": False,
        "Zero": False,
        "AuthenticatedData": bool(flags & types.AD),
        "CheckingDisabled": bool(flags & types.CD),
        "Rcode": 0,
        "Question": [listed],
        "Answer": [],
        "Ns": [],
    }
    header = _Object(fields, lambda: f"id: {id_()}")
    fields["MsgHdr"] = header
    return header


@dataclass(frozen=True, slots=True)
class _Line:
    """One template of a record."""

    section: str
    text: str
    template: gotemplate.Template


class Template(Backend):
    """The `template` directive."""

    name = "template"
    is_of_in = False
    syntax = Syntax(
        args=Shape(words=(class_, type_), rest=zones),
        options={
            "match": Shape(rest=regex(), at_least=1, repeats=True),
            "answer": Shape(rest=text, at_least=1, repeats=True),
            "additional": Shape(rest=text, at_least=1, repeats=True),
            "authority": Shape(rest=text, at_least=1, repeats=True),
            "rcode": Shape(words=(rcode,), is_loose=True),
            "ederror": Shape(words=(integer(0, 65535),), maybe=(text,)),
            "fallthrough": Shape(rest=zones),
            "upstream": Shape(rest=text, repeats=True),
            "var": Shape(words=(text,), rest=text, at_least=1, repeats=True),
            "expr": Shape(rest=text, at_least=1, repeats=True),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.cls, self.type, *given = settings.args
        self.zones = own_zones(settings, site, given)
        self.falls = fallthrough(settings)
        self.matches: tuple[Pattern, ...] = settings.values("match") or (_EVERYTHING,)
        self.lines = tuple(one for line in settings.lines for one in _templates(line))
        self.rcode: int = settings.get("rcode", types.NOERROR)
        self.ede = tuple(
            (line.values[0], "".join(line.values[1:])) for line in settings.all("ederror")
        )
        self._tallies: dict[tuple[str, ...], Tally] = {}
        self._conditions = Conditions(is_wild=is_wild([host for host, _ in site.listen]))
        for line in settings.lines:
            if line.name in {"var", "expr"}:
                self._conditions.add(line)

    async def start(self) -> None:
        """Says what is taken but does nothing."""
        if self.settings.has("upstream"):
            log.warning("upstream does nothing any more: take it out of the template")

    async def answer(self, query: Query) -> Result:
        """Answers what matches; what is ours but does not match fails, or falls through."""
        cls, type_ = self._kind(query)
        if query.cls not in (_ANY, cls) or query.type not in (types.ANY, type_):
            return SKIP
        zone = zone_of(query.key, self.zones)
        if zone is None:
            return SKIP
        name = names.format(query.key)
        match = next(filter(None, (pattern.search(name) for pattern in self.matches)), None)
        try:
            variables = None if match is None else self._conditions.evaluate(query, match)
        except ValueError as error:
            return self._failed(error)
        if match is None or variables is None:
            falls = zone_of(query.key, self.falls) is not None
            return SKIP if falls else _UNMATCHED
        tally = self._tally(zone, query)
        tally.hits += 1
        query.credit(tally)
        if self.rcode == types.SERVFAIL:
            # CoreDNS: this code stands for itself, whatever records are given.
            return Answer(types.SERVFAIL, plugin=self.name)
        try:
            words = (types.class_name(cls), types.type_name(type_))
            filling = _filling(query, words, zone, match, variables)
            sections = self._sections(query, filling, zone)
        except ValueError as error:
            return self._failed(error)
        answer = Answer(self.rcode, flags=types.AA, ede=self.ede, plugin=self.name)
        return await _completed(query, answer.but(**sections))

    def _failed(self, error: ValueError) -> Answer:
        ede = ((types.EDE_OTHER, "the template makes no answer of it"),)
        return Answer(types.SERVFAIL, error=str(error), ede=ede, plugin=self.name)

    def _sections(self, query: Query, data: _Object, zone: Key) -> dict[str, tuple[RRset, ...]]:
        sections: dict[str, list[RRset]] = {section: [] for section in _SECTIONS}
        for line in self.lines:
            kind = "template"
            try:
                content = line.template.render(data)
                kind = "rr"
                rrset = rare.parse_record(content)
            except ValueError:
                self._count_failure(kind, line, query, zone)
                raise
            _join(sections[line.section], _owned(rrset, query.key))
        return {section: tuple(rrsets) for section, rrsets in sections.items()}

    def _kind(self, query: Query) -> tuple[int, int]:
        """The class and type it answers for: its own, those of the question where it says ANY."""
        cls = query.cls if self.cls == _ANY else self.cls
        return cls, query.type if self.type == types.ANY else self.type

    def _labels(self, zone: Key, cls: int, type_number: int) -> tuple[str, ...]:
        kind = _mnemonic(types.class_name(cls), types.CLASSES)
        what = _mnemonic(types.type_name(type_number), types.TYPES)
        return (self.site.label, names.format(zone), self.site.beside.get("view", ""), kind, what)

    def _tally(self, zone: Key, query: Query) -> Tally:
        labels = self._labels(zone, *self._kind(query))
        tally = self._tallies.get(labels)
        if tally is None:
            tally = Tally(self.site.counters, "coredns_template_matches_total", *labels)
            self._tallies[labels] = tally
        return tally

    def _count_failure(self, kind: str, line: _Line, query: Query, zone: Key) -> None:
        labels = self._labels(zone, *self._kind(query))
        metric = f"coredns_template_{kind}_failures_total"
        self.site.counters.add(metric, *labels, line.section, line.text)


def _mnemonic(name: str, known: Mapping[str, int]) -> str:
    """A name as a label; empty for the thousands that have none (CoreDNS)."""
    return name if name in known else ""


def _templates(line: Line) -> list[_Line]:
    if line.name not in _SECTIONS:
        return []
    out = []
    for content in line.values:
        try:
            template = gotemplate.parse(content)
        except gotemplate.TemplateError as error:
            raise line.fail(f"template: {line.name}: {error}") from error
        for field in sorted(template.fields - _FIELDS):
            raise line.fail(
                f"template: there is no field .{field}", "there are " + ", ".join(sorted(_FIELDS))
            )
        out.append(_Line(line.name, content, template))
    return out


def _filling(
    query: Query,
    words: tuple[str, str],
    zone: Key,
    match: Match,
    variables: dict[str, Any],  # Any: see Values
) -> _Object:
    """All that a template may name; `words` are the class and type it answers for."""

    def remote() -> str:
        query.reads_client()
        return names.format_address(query.client.address)

    groups = [match[0], *(group or "" for group in match.groups())]
    named = {key: value or "" for key, value in match.groupdict().items()}
    question = _question(query)
    fields = {
        "Name": match.string,
        "Class": words[0],
        "Type": words[1],
        "Zone": names.format(zone),
        "Match": groups,
        "Group": {str(at): group for at, group in enumerate(groups)} | named,
        "Message": _message(query, question),
        "Question": question,
        "Remote": remote,
        "Meta": query.meta,
        "Var": variables,
    }
    return _Object(fields, lambda: match.string)


def _owned(rrset: RRset, key: Key) -> RRset:
    """The record under the asker's own spelling of the name, where that is its owner."""
    if rrset.owner == key or names.fold(rrset.owner) != key:
        return rrset
    return replace(rrset, owner=key)


def _join(rrsets: list[RRset], rrset: RRset) -> None:
    """Appends a record, to the RRset before it where it is one of that."""
    if rrsets and replace(rrset, rdatas=rrsets[-1].rdatas) == rrsets[-1]:
        rrset = replace(rrset, rdatas=rrsets.pop().rdatas + rrset.rdatas)
    rrsets.append(rrset)


async def _completed(query: Query, answer: Answer) -> Answer:
    """Each CNAME followed by what this server says of its target, in questions for addresses."""
    if query.type not in _ADDRESSES or all(one.type != types.CNAME for one in answer.answer):
        return answer
    known = {query.key, *(names.fold(rrset.owner) for rrset in answer.answer)}
    joined: list[RRset] = []
    is_live = False
    for rrset in answer.answer:
        joined.append(rrset)
        if rrset.type != types.CNAME:
            continue
        for target in map(names.fold, rrset.rdatas):
            found = None if target in known else await query.lookup(target, query.type)
            if found is not None:
                joined += as_of_now(query, found).answer
                is_live |= found.live
    return answer.but(answer=tuple(joined), live=is_live)
