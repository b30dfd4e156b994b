"""Rules on whose names a namespace may see: words of a Corefile become rules, rules decide.

A rule says from whom and to what: patterns of namespaces, and of services in them. The first rule
that matches decides; what none matches is seen.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, NamedTuple

from kdns.wire.names import Key
from kdns.zone.view import View, Zone

OWN: Final = "@own"
"""The asker's own namespace."""
UNKNOWN: Final = "@unknown"
"""Askers that are no pods."""
_KEPT: Final = 4096


class Target(NamedTuple):
    """What of the cluster a name belongs to; the service is empty for pods and namespaces."""

    namespace: str
    service: str = ""


class Rule(NamedTuple):
    """One line; empty for anybody, or anything."""

    allows: bool
    sources: tuple[str, ...]
    targets: tuple[str, ...]

    def matches(self, source: str, target: Target) -> bool:
        """True when it speaks of this asker and this target."""
        return self._is_from(source) and self._is_to(source, target)

    def reaches(self, target: Target) -> bool | None:
        """True when it speaks of this target to whoever asks; None when to some, False to none."""
        if not self.targets or any(_holds(one, "", target) for one in self.targets):
            return None if self.sources else True
        return None if any(one.startswith(OWN) for one in self.targets) else False

    def _is_from(self, source: str) -> bool:
        if not source:
            return not self.sources or UNKNOWN in self.sources
        return not self.sources or any(fnmatchcase(source, one) for one in self.sources)

    def _is_to(self, source: str, target: Target) -> bool:
        return not self.targets or any(_holds(one, source, target) for one in self.targets)


class Rules:
    """All rules, in order."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self.lets = lru_cache(_KEPT)(self._decide)
        """True when an asker of this namespace, empty for none, may see a target."""
        self.lets_all = lru_cache(_KEPT)(self._decide_for_all)
        """The same where it is the same for all askers; None where it is not."""

    def _decide(self, source: str, target: Target) -> bool:
        return next((one.allows for one in self._rules if one.matches(source, target)), True)

    def _decide_for_all(self, target: Target) -> bool | None:
        for one in self._rules:
            reaches = one.reaches(target)
            if reaches is not False:
                return one.allows if reaches else None
        return True


def _holds(pattern: str, source: str, target: Target) -> bool:
    namespace, slash, service = pattern.partition("/")
    if slash and not (target.service and fnmatchcase(target.service, service)):
        return False
    if namespace == OWN:
        return bool(source) and target.namespace == source
    return fnmatchcase(target.namespace, namespace)


def parse(words: Sequence[str], *, allows: bool) -> Rule:
    """`[from NAMESPACE…] [to NAMESPACE[/SERVICE]…]` as a rule; ValueError says what is wrong."""
    sections: dict[str, list[str]] = {"from": [], "to": []}
    section = ""
    for word in words:
        if word in sections:
            section = word
        elif not section:
            raise ValueError(f"expected from or to, found {word!r}")
        else:
            sections[section].append(word.lower())
    for name, given in sections.items():
        if name in words and not given:
            raise ValueError(f"{name} needs at least one namespace, or * for any")
    for word in sections["from"]:
        if "/" in word or (word.startswith("@") and word != UNKNOWN):
            raise ValueError(f"expected a namespace or {UNKNOWN}, found {word!r}")
    for word in sections["to"]:
        if word.startswith("@") and word.partition("/")[0] != OWN:
            raise ValueError(f"expected a namespace or {OWN}, found {word!r}")
    return Rule(allows, tuple(sections["from"]), tuple(sections["to"]))


def find(view: View, key: Key) -> tuple[Zone, Target | None] | None:
    """The zone of a cluster name and what the name belongs to; None for other names.

    Reverse names belong to nothing by themselves, nor do those of the zone.
    """
    place = view.find(key)
    if place is None:
        return None
    zone, labels = place
    if isinstance(labels, bytes) or len(labels) < 2 or labels[-1] not in {"svc", "pod"}:
        return zone, None
    is_service = labels[-1] == "svc" and len(labels) > 2
    return zone, Target(labels[-2], labels[-3] if is_service else "")
