"""What a rule of a role allows, as RBAC reads it: verbs on resources, or on paths of the API."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from kdns.lab.errors import Obj

RBAC = "rbac.authorization.k8s.io"


class Ask(NamedTuple):
    """What somebody wants to do; `resource` as `pods/log`; a path only where there is none."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    urls: tuple[str, ...]

    def covers(self, ask: Ask) -> bool:
        """True when it allows this."""
        if ask.verb not in self.verbs and "*" not in self.verbs:
            return False
        if ask.path:
            return any(_reaches(url, ask.path) for url in self.urls)
        if ask.group not in self.groups and "*" not in self.groups:
            return False
        if self.names and ask.name not in self.names:
            return False
        return self._has(ask.resource)

    def _has(self, resource: str) -> bool:
        if resource in self.resources or "*" in self.resources:
            return True
        _, slash, part = resource.partition("/")
        return bool(slash) and f"*/{part}" in self.resources


def _reaches(url: str, path: str) -> bool:
    return url == path or (url.endswith("*") and path.startswith(url[:-1]))


def compiled(role: Obj) -> tuple[Rule, ...]:
    """The rules of a role."""
    return tuple(map(_compiled, role.get("rules") or ()))


def _compiled(rule: Obj) -> Rule:
    verbs, groups, resources, names = (
        frozenset(rule.get(key) or ())
        for key in ("verbs", "apiGroups", "resources", "resourceNames")
    )
    return Rule(verbs, groups, resources, names, tuple(rule.get("nonResourceURLs") or ()))


def parts(rules: Iterable[Obj]) -> Iterator[Ask]:
    """Everything that rules allow, one by one; stars stand for themselves."""
    for rule in rules:
        for verb, url in product(rule.get("verbs") or (), rule.get("nonResourceURLs") or ()):
            yield Ask(verb, path=url)
        groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
        names = rule.get("resourceNames") or ("",)
        for group, resource, name, verb in product(
            groups, resources, names, rule.get("verbs") or ()
        ):
            yield Ask(verb, group, resource, "", name)


def shown(asks: Iterable[Ask]) -> list[str]:
    """What is not allowed, as the API lists it."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    lines = []
    for ask in asks:
        if ask.path:
            lines.append(f'{{NonResourceURLs:["{ask.path}"], Verbs:["{ask.verb}"]}}')
            continue
        found = verbs.setdefault((ask.group, ask.resource, ask.name), [])
        if ask.verb not in found:
            found.append(ask.verb)
    for (group, resource, name), listed in verbs.items():
        named = f', ResourceNames:["{name}"]' if name else ""
        quoted = " ".join(f'"{verb}"' for verb in listed)
        where = f'APIGroups:["{group}"], Resources:["{resource}"]{named}'
        lines.append(f"{{{where}, Verbs:[{quoted}]}}")
    return sorted(lines)
