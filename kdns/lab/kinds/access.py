"""Roles and bindings: what may stand in them. Who may what by them is for `kdns.lab.rights`."""

from collections.abc import Iterable
from typing import Any

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds.kind import Kind
from kdns.lab.rules import Column

_GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


class Roles(Kind):
    """The rules of Roles and ClusterRoles."""

    name_form = checks.path_segment
    columns = (tables.NAME, Column("Created At", "date"))

    def default(self, obj: Obj) -> None:
        """A role without rules says so."""
        obj.setdefault("rules", None)

    def check(self, obj: Obj) -> Iterable[Cause]:
        """Verbs, and what they apply to."""
        for place, rule in enumerate(obj.get("rules") or []):
            at = f"rules[{place}]"
            if not rule.get("verbs"):
                yield checks.required(f"{at}.verbs", "verbs must contain at least one value")
            if rule.get("nonResourceURLs"):
                continue
            if not rule.get("apiGroups"):
                why = "resource rules must supply at least one api group"
                yield checks.required(f"{at}.apiGroups", why)
            if not rule.get("resources"):
                why = "resource rules must supply at least one resource"
                yield checks.required(f"{at}.resources", why)


class Bindings(Kind):
    """The rules of RoleBindings and ClusterRoleBindings."""

    name_form = checks.path_segment
    columns = (
        tables.NAME,
        Column("Role"),
        tables.AGE,
        Column("Users", priority=1),
        Column("Groups", priority=1),
        Column("ServiceAccounts", priority=1),
    )

    def __init__(self, *roles: str) -> None:
        self._roles = roles

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, ROLE, AGE, USERS, GROUPS, SERVICEACCOUNTS."""
        role = obj["roleRef"]
        subjects: dict[str, list[str]] = {kind: [] for kind in _SUBJECTS}
        for one in obj.get("subjects") or []:
            space = f"{one.get('namespace', '')}/" if one["kind"] == "ServiceAccount" else ""
            subjects[one["kind"]].append(space + one["name"])
        return [
            obj["metadata"]["name"],
            f"{role['kind']}/{role['name']}",
            tables.age(obj, now),
            ", ".join(subjects["User"]),
            ", ".join(subjects["Group"]),
            ", ".join(subjects["ServiceAccount"]),
        ]

    def default(self, obj: Obj) -> None:
        """The API group of what is named."""
        obj.setdefault("roleRef", {}).setdefault("apiGroup", _GROUP)
        for subject in obj.get("subjects") or []:
            if subject.get("kind") in {"User", "Group"}:
                subject.setdefault("apiGroup", _GROUP)

    def check(self, obj: Obj) -> Iterable[Cause]:
        """The role and who gets it."""
        role = obj["roleRef"]
        yield from checks.one_of("roleRef.kind", role.get("kind", ""), self._roles)
        if not role.get("name"):
            yield checks.required("roleRef.name")
        for place, subject in enumerate(obj.get("subjects") or []):
            at = f"subjects[{place}]"
            if not subject.get("name"):
                yield checks.required(f"{at}.name")
            yield from checks.one_of(f"{at}.kind", subject.get("kind", ""), _SUBJECTS)

    def changed(self, obj: Obj, old: Obj) -> Iterable[Cause]:
        """The role stays."""
        role = obj["roleRef"]
        if role != old["roleRef"]:
            names = {"apiGroup": "APIGroup", "kind": "Kind", "name": "Name"}
            shown = {go: role.get(name, "") for name, go in names.items()}
            yield checks.invalid("roleRef", shown, "cannot change roleRef")
