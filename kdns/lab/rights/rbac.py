"""Who may do what: Roles, ClusterRoles and their bindings, indexed by whom they are about.

The index follows the storage by watches that are read at the next question, so that a change costs
what has changed, and a decision the bindings of those who ask.
"""

from collections.abc import Iterator
from typing import NamedTuple

from kdns.lab.errors import ApiError, Obj
from kdns.lab.history import Event, Watch
from kdns.lab.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES, Resource
from kdns.lab.rights.rules import RBAC, Ask, Rule, compiled
from kdns.lab.storage import Storage
from kdns.lab.tokens import ANYBODY, User

MASTERS = "system:masters"
EVERYTHING: Obj = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
EVERYWHERE: Obj = {"nonResourceURLs": ["*"], "verbs": ["*"]}
_READS = frozenset({"get", "list", "watch"})
_KINDS = (CLUSTERROLEBINDINGS, ROLEBINDINGS, CLUSTERROLES, ROLES)
_Place = tuple[str, str]


class Verdict(NamedTuple):
    """Whether somebody may, and why, or what is wrong with his bindings."""

    is_allowed: bool
    reason: str = ""


class Rights:
    """What the roles and bindings of a storage allow."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._begin()

    def _begin(self) -> None:
        self._watches: list[tuple[Resource, Watch]] = [
            (kind, self._storage.watch(kind)) for kind in _KINDS
        ]
        self._roles: dict[_Place, tuple[Rule, ...]] = {}
        self._bindings: dict[str, dict[_Place, Obj]] = {}

    def allows(self, user: User, ask: Ask) -> bool:
        """True when somebody may do this."""
        return self.judged(user, ask).is_allowed

    def judged(self, user: User, ask: Ask) -> Verdict:
        """Whether somebody may do this, and why."""
        if is_lord(user):
            return Verdict(True)
        if user is ANYBODY:  # whom only a lab that is open to readers lets in
            return Verdict(ask.verb in _READS)
        faults = []
        for binding, role in self._bound(user, ask.namespace):
            rules = self._roles.get(role)
            if rules is None:
                faults.append(_missing(role))
            elif any(rule.covers(ask) for rule in rules):
                return Verdict(True, f"RBAC: allowed by {_described(binding, user)}")
        said = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
        return Verdict(False, f"RBAC: {said}" if faults else "")

    def rules_of(self, user: User, namespace: str) -> list[Obj]:
        """All rules that are somebody's in a namespace, as the roles have them."""
        if is_lord(user):
            return [EVERYTHING, EVERYWHERE]
        if user is ANYBODY:
            verbs = {"verbs": sorted(_READS)}
            return [EVERYTHING | verbs, EVERYWHERE | verbs]
        found: list[Obj] = []
        for _, (inside, name) in self._bound(user, namespace):
            role = self._storage.find(ROLES if inside else CLUSTERROLES, inside, name)
            found += (role or {}).get("rules") or []
        return found

    def covered(self, user: User, namespace: str) -> list[Rule]:
        """The same, to be asked."""
        if is_lord(user):
            return list(compiled({"rules": [EVERYTHING, EVERYWHERE]}))
        return [
            rule for _, role in self._bound(user, namespace) for rule in self._roles.get(role, ())
        ]

    def _bound(self, user: User, namespace: str) -> Iterator[tuple[Obj, _Place]]:
        """The bindings of somebody, cluster-wide ones first, and the place of their role."""
        self._catch_up()
        found: dict[_Place, Obj] = {}
        for who in _names(user):
            found.update(self._bindings.get(who, {}))
        for inside in ("", namespace) if namespace else ("",):
            for (where, _), binding in found.items():
                if where == inside:
                    role = binding["roleRef"]
                    yield binding, (where if role["kind"] == "Role" else "", role["name"])

    def _catch_up(self) -> None:
        try:
            news = [(kind, event) for kind, watch in self._watches for event in watch.taken()]
        except ApiError:  # the storage holds another past, or this fell behind
            self._begin()
            news = [(kind, event) for kind, watch in self._watches for event in watch.taken()]
        for kind, event in news:
            if kind in {ROLES, CLUSTERROLES}:
                self._learn(event)
            else:
                self._bind(event)

    def _learn(self, event: Event) -> None:
        place = _place(event.object)
        if event.type == "DELETED":
            self._roles.pop(place, None)
        else:
            self._roles[place] = compiled(event.object)

    def _bind(self, event: Event) -> None:
        place = _place(event.object)
        for who in _subjects(event.old or event.object):
            self._bindings.get(who, {}).pop(place, None)
        if event.type != "DELETED":
            for who in _subjects(event.object):
                self._bindings.setdefault(who, {})[place] = event.object


def is_lord(user: User) -> bool:
    """True for whoever needs no role."""
    return user.is_admin or MASTERS in user.groups


def _place(obj: Obj) -> _Place:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _names(user: User) -> Iterator[str]:
    yield f"User {user.name}"
    for group in user.groups:
        yield f"Group {group}"


def _subjects(binding: Obj) -> Iterator[str]:
    for one in binding.get("subjects") or ():
        yield _who(one, binding)


def _who(subject: Obj, binding: Obj) -> str:
    """Whom a subject is about; a ServiceAccount is known by the name of its user."""
    if subject["kind"] != "ServiceAccount":
        return f"{subject['kind']} {subject['name']}"
    inside = subject.get("namespace") or binding["metadata"].get("namespace", "")
    return f"User system:serviceaccount:{inside}:{subject['name']}"


def _missing(role: _Place) -> str:
    inside, name = role
    return f'{"role" if inside else "clusterrole"}.{RBAC} "{name}" not found'


def _described(binding: Obj, user: User) -> str:
    inside, name = _place(binding)
    role = binding["roleRef"]
    names = set(_names(user))
    subject = next(one for one in binding["subjects"] if _who(one, binding) in names)
    whose = f"{subject['name']}"
    if subject["kind"] == "ServiceAccount":
        whose += f"/{subject.get('namespace') or inside}"
    where = f"/{inside}" if inside else ""
    return (
        f'{binding["kind"]} "{name}{where}" of {role["kind"]} "{role["name"]}" '
        f'to {subject["kind"]} "{whose}"'
    )
