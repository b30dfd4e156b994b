"""Nobody gives away more than he has: who writes roles and bindings must have what they grant.

As Kubernetes has it: the verb `escalate` on roles, and `bind` on the role of a binding, are the
ways round; what only lets an object go (finalizers, owners) is not asked about.
"""

from kdns.lab import errors
from kdns.lab.calls import Call
from kdns.lab.errors import Obj
from kdns.lab.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES
from kdns.lab.rights.rbac import EVERYTHING, EVERYWHERE, Rights, is_lord
from kdns.lab.rights.rules import RBAC, Ask, parts, shown
from kdns.lab.storage import Storage

_JOINED = "must have cluster-admin privileges to use the aggregationRule"
_LETS_GO = {"finalizers", "ownerReferences", "managedFields", "resourceVersion"}


def check(rights: Rights, storage: Storage, call: Call, new: Obj, old: Obj | None) -> None:
    """Raises 403 for a role or binding that grants what the writer does not have."""
    kind = call.resource
    if kind not in _WRITES or is_lord(call.by):
        return
    if old is not None and _content(new) == _content(old):
        return
    space, name = call.target.namespace, new["metadata"].get("name", "")
    if kind in {ROLES, CLUSTERROLES}:
        if rights.allows(call.by, Ask("escalate", RBAC, kind.plural, space, name)):
            return
        if new.get("aggregationRule") or (old or {}).get("aggregationRule"):
            _require_all(rights, call, name)
        granted = new.get("rules") or []
    else:
        found = _granted(rights, storage, call, new.get("roleRef") or {})
        if found is None:
            return
        granted = found
    _require(rights, call, name, granted)


_WRITES = {ROLES, CLUSTERROLES, ROLEBINDINGS, CLUSTERROLEBINDINGS}


def _content(obj: Obj) -> Obj:
    metadata = obj["metadata"]
    return {key: one for key, one in obj.items() if key != "metadata"} | {
        "metadata": {key: one for key, one in metadata.items() if key not in _LETS_GO}
    }


def _granted(rights: Rights, storage: Storage, call: Call, role: Obj) -> list[Obj] | None:
    """The rules that a binding gives; None for whoever may bind this role."""
    space = call.target.namespace
    kind = ROLES if role.get("kind") == "Role" else CLUSTERROLES
    name = role.get("name", "")
    if rights.allows(call.by, Ask("bind", RBAC, kind.plural, space, name)):
        return None
    return storage.get(kind, space if kind is ROLES else "", name).get("rules") or []


def _require_all(rights: Rights, call: Call, name: str) -> None:
    if _lacking(rights, call, [EVERYTHING, EVERYWHERE]):
        raise errors.forbidden(call.resource.plural, name, _JOINED, RBAC)


def _require(rights: Rights, call: Call, name: str, rules: list[Obj]) -> None:
    lacking = _lacking(rights, call, rules)
    if lacking:
        groups = " ".join(f'"{one}"' for one in call.by.groups)
        why = (
            f'user "{call.user}" (groups=[{groups}]) is attempting to grant RBAC permissions '
            "not currently held:\n" + "\n".join(shown(lacking))
        )
        raise errors.forbidden(call.resource.plural, name, why, RBAC)


def _lacking(rights: Rights, call: Call, rules: list[Obj]) -> list[Ask]:
    own = rights.covered(call.by, call.target.namespace)
    return [ask for ask in parts(rules) if not any(rule.covers(ask) for rule in own)]
