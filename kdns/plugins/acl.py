"""acl: rules on name, type and asker decide whether a query goes on, first match wins.

All `acl` directives of a block make one list. An answer depends on its asker only where a rule with
`net` was looked at, and then only on which nets hold him: that set, as a bit mask, is his class.
Judged are the name and type as rewritten so far, for the client that asked, before `cache`; and of
the answer every name that CNAMEs have led to.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any, cast

from kdns.corefile.options import Line, Settings, Shape, Syntax, network, text, type_, zones
from kdns.corefile.tree import nearest
from kdns.observe.tally import Tally
from kdns.plugins.base import DROP, SKIP, Filter, Query, Result, Site, Soon, own_zones, zone_of
from kdns.wire import names, types
from kdns.wire.carried import Carried
from kdns.wire.message import Answer, RRset, Transfer
from kdns.wire.names import Key

ACTIONS = {
    "allow": None,
    "block": Answer(rcode=types.REFUSED, ede=((types.EDE_BLOCKED, ""),), plugin="acl"),
    "filter": Answer(ede=((types.EDE_FILTERED, ""),), plugin="acl"),
    "drop": DROP,
}
_COUNTED = {"allow": "allowed", "block": "blocked", "filter": "filtered", "drop": "dropped"}
_CLASSES_KEPT = 4096


class Nets:
    """Every net that some rule names, one bit each; the class of an address is the bits it has."""

    def __init__(self) -> None:
        self._bits: dict[IPv4Network | IPv6Network, int] = {}
        self._tables: dict[int, dict[int, dict[int, int]]] = {4: {}, 16: {}}
        """By address size and host bits: prefix to bits."""
        self._known: dict[bytes, int] = {}

    def mask(self, nets: Sequence[IPv4Network | IPv6Network]) -> int:
        """The bits of these nets; each net is entered once."""
        mask = 0
        for net in nets:
            if net not in self._bits:
                self._bits[net] = 1 << len(self._bits)
                shift = net.max_prefixlen - net.prefixlen
                table = self._tables[net.max_prefixlen // 8].setdefault(shift, {})
                table[int(net.network_address) >> shift] = self._bits[net]
            mask |= self._bits[net]
        return mask

    def classify(self, address: bytes) -> int:
        """The bits of all nets that hold a packed address; the last 4,096 or fewer are kept."""
        mask = self._known.get(address)
        if mask is None:
            value, mask = int.from_bytes(address, "big"), 0
            for shift, table in self._tables[len(address)].items():
                mask |= table.get(value >> shift, 0)
            if len(self._known) >= _CLASSES_KEPT:
                self._known.clear()
            self._known[address] = mask
        return mask


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: what to do with queries for these zones and types from these nets."""

    zones: tuple[Key, ...]
    action: str
    types: frozenset[int] | None
    nets: int | None
    """Bits of Nets; None when the asker does not matter."""


class Acl(Filter):
    """The rules of a block. The first directive holds them all, the others only bring theirs."""

    name = "acl"
    syntax = Syntax(args=Shape(rest=zones), other=Shape(rest=text), repeats=True)

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.rules: list[Rule] = site.beside.setdefault("acl rules", [])
        self.nets: Nets = site.beside.setdefault("acl nets", Nets())
        self._is_narrow = True
        first = site.beside.setdefault("acl", self)
        self._judges = first is self
        self._tallies: dict[tuple[str, Key], Tally] = {}
        own = own_zones(settings, site, settings.args)
        self.rules += [_rule(line, own, self.nets) for line in settings.lines]

    async def start(self) -> None:
        """Sees, now that all rules are known, whether some are for certain names only."""
        self._is_narrow = any(names.ROOT not in rule.zones for rule in self.rules)

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """Goes on, or answers as the first matching rule says."""
        if not self._judges:
            return next_(query)
        action, zone = self._judged(query, query.key, query.type)
        if ACTIONS[action] is not None:
            return self._done(query, action, zone)
        answer = next_(query)
        if type(answer) is Answer:
            return self._let(query, answer, zone)
        if answer is SKIP:
            self._count(query, action, zone)
            return SKIP
        return self._later(query, cast("Awaitable[Result]", answer), zone)

    async def _later(self, query: Query, waited: Awaitable[Result], zone: Key) -> Result:
        answer = await waited
        if answer is SKIP or isinstance(answer, Transfer):
            self._count(query, "allow", zone)
            return answer
        return self._let(query, answer, zone)

    def _let(self, query: Query, answer: Answer, zone: Key) -> Answer:
        """The answer, if its asker may have all that a chain of CNAMEs has led to.

        Addresses that only go along are left out where he may not have them.
        """
        if self._is_narrow and answer is not DROP:
            for name in _led_to(query, answer):
                action, where = self._judged(query, name, query.type)
                if action != "allow":
                    return self._done(query, action, where)
            more = answer.additional if _has_more(answer) else ()
            kept = tuple(one for one in more if self._is_free(query, one))
            if len(kept) != len(more):
                answer = answer.but(additional=kept)
        self._count(query, "allow", zone)
        return answer

    def _is_free(self, query: Query, rrset: RRset) -> bool:
        owner = names.fold(rrset.owner)
        return owner == query.key or self._judged(query, owner, rrset.type)[0] == "allow"

    def _done(self, query: Query, action: str, zone: Key) -> Answer:
        """What an action other than `allow` answers."""
        self._count(query, action, zone)
        answer = ACTIONS[action]
        assert answer is not None
        return answer

    def _count(self, query: Query, action: str, zone: Key) -> None:
        tally = self._tally(action, zone)
        tally.hits += 1
        query.credit(tally)

    def _judged(self, query: Query, name: Key, type_: int) -> tuple[str, Key]:
        """The action of the first rule that matches, and the zone it was given for."""
        for rule in self.rules:
            if rule.types is not None and type_ not in rule.types:
                continue
            zone = zone_of(name, rule.zones)
            if zone is None:
                continue
            if rule.nets is None:
                return rule.action, zone
            query.reads_class(self.nets)
            if self.nets.classify(query.client.address) & rule.nets:
                return rule.action, zone
        return "allow", names.ROOT

    def _tally(self, action: str, zone: Key) -> Tally:
        if action == "allow":
            zone = names.ROOT
        tally = self._tallies.get((action, zone))
        if tally is None:
            labels = [f"coredns_acl_{_COUNTED[action]}_requests_total", self.site.label]
            if action != "allow":
                labels.append(names.format(zone))
            labels.append(self.site.beside.get("view", ""))
            tally = self._tallies[action, zone] = Tally(self.site.counters, *labels)
        return tally


def _led_to(query: Query, answer: Answer) -> Iterator[Key]:
    """The names in an answer beside the one that was asked: where CNAMEs lead."""
    if isinstance(answer, Carried) and types.CNAME not in answer.cargo.found:
        return  # nothing is parsed for it
    for rrset in answer.answer:
        owner = names.fold(rrset.owner)
        if owner != query.key:
            yield owner


def _has_more(answer: Answer) -> bool:
    """True when records go along in the additional section."""
    return bool(answer.cargo.counts[2] if isinstance(answer, Carried) else answer.additional)


def _rule(line: Line, own: tuple[Key, ...], nets: Nets) -> Rule:
    action = line.values[0].lower()
    if action not in ACTIONS:
        hint = nearest(action, ACTIONS) or "a rule begins with allow, block, filter or drop"
        raise line.fail(f"acl: unknown action {line.values[0]!r}", hint)
    wanted: dict[str, list[str]] = {}
    for section, word in _sections(line):
        wanted.setdefault(section, []).append(word)
    return Rule(
        own,
        action,
        _each(line, wanted.get("type"), type_, frozenset),
        _each(line, wanted.get("net"), network, nets.mask),
    )


def _sections(line: Line) -> Iterator[tuple[str, str]]:
    """The words behind `type` and `net`, each with its section."""
    section, count = "", 1
    for word in (*line.values[1:], "type"):
        if word.lower() in {"type", "net"}:
            if not count:
                raise line.fail(f"acl: {section} needs at least one value, or * for any")
            section, count = word.lower(), 0
        elif section:
            count += 1
            yield section, word
        else:
            raise line.fail(f"acl: expected type or net, found {word!r}")


# Any: what a section's values become is its caller's business
def _each(
    line: Line,
    words: list[str] | None,
    convert: Callable[[str], Any],
    join: Callable[[list[Any]], Any],
) -> Any:
    """The values of a section joined; None where any value matches."""
    if words is None or "*" in words:
        return None
    values = []
    for word in words:
        try:
            values.append(convert(word))
        except ValueError as error:
            raise line.fail(f"acl: expected {error}, found {word!r}") from error
    return join(values)
