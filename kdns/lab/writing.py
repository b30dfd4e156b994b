"""Creates, updates, patches and deletes, as calls on the storage.

A patch is made from the current object and stored as an update, so that it is held to the same
rules; one that names no resourceVersion never conflicts, as nothing happens in between.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from kdns.lab import apply, bodies, errors, patch, schema
from kdns.lab.calls import Call, selection
from kdns.lab.errors import Cause, Obj
from kdns.lab.resources import JOBS
from kdns.lab.rights import grants
from kdns.lab.rights.rbac import Rights
from kdns.lab.rights.trust import marked
from kdns.lab.storage import Deletion, Storage, timestamp

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and nothing that looks like them, as in names that Kubernetes makes up."""

_PROPAGATIONS = ("", "Foreground", "Background", "Orphan")
_LEFT = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background "
    "to remove them or set propagationPolicy=Orphan to suppress this warning"
)
_SHOWN = '"Foreground", "Background", "Orphan", "nil"'

RETURNED = {"services", "pods", "namespaces", "persistentvolumeclaims", "serviceaccounts"}
"""A delete of these replies with the object, of others with a Status."""


@dataclass(slots=True)
class Written:
    """What a write came to: the object (or Status) to reply with, and warnings."""

    code: int
    obj: Obj
    is_stored: bool = True
    warnings: list[str] = field(default_factory=list)


class Writer:
    """Writes on behalf of API calls; `chance` picks a number below its argument."""

    def __init__(self, storage: Storage, rights: Rights, chance: Callable[[int], int]) -> None:
        self._storage = storage
        self._rights = rights
        self._chance = chance

    def create(self, call: Call) -> Written:
        """POST of a new object."""
        bodies.options(call, "CreateOptions")
        warnings: list[str] = []
        obj = bodies.parse(call, warnings)
        metadata = obj["metadata"]
        if not metadata.get("name"):
            metadata["name"] = self._name(call, metadata.get("generateName", ""))
        aim = call.target
        self._track(call, obj, None)
        obj = self._admitted(call, obj, None)
        new = self._storage.create(aim.resource, aim.namespace, obj, is_dry=_is_dry(call))
        return Written(201, new, not _is_dry(call), warnings)

    def update(self, call: Call) -> Written:
        """PUT of a whole object, or of its status."""
        bodies.options(call, "UpdateOptions")
        warnings: list[str] = []
        return self._put(call, bodies.parse(call, warnings), warnings)

    def patch(self, call: Call) -> Written:
        """PATCH in any of its forms; only an apply creates what does not exist."""
        bodies.options(call, "PatchOptions")
        if call.media in patch.APPLY:
            return self._apply(call)
        aim = call.target
        old = self._storage.get(aim.resource, aim.namespace, aim.name)
        kind = schema.type_of(aim.resource.api_version, aim.resource.kind)
        new = patch.apply(call.media, old, bodies.patch_of(call), kind)
        warnings: list[str] = []
        return self._put(call, bodies.checked(call, new, warnings), warnings)

    def delete(self, call: Call) -> Written:
        """DELETE of one object."""
        bodies.options(call, "DeleteOptions")
        aim = call.target
        how, is_dry = _deletion(call)
        uid = self._storage.get(aim.resource, aim.namespace, aim.name)["metadata"]["uid"]
        gone = self._storage.delete(aim.resource, aim.namespace, aim.name, how, is_dry=is_dry)
        lives = self._storage.find(aim.resource, aim.namespace, aim.name) is not None
        if aim.resource.plural in RETURNED or (lives and not is_dry):
            return Written(200, gone, warnings=[_LEFT] if _leaves_pods(call) else [])
        details = {"name": aim.name, "group": aim.resource.group, "kind": aim.resource.plural}
        told = {key: one for key, one in details.items() if one} | {"uid": uid}
        return Written(200, _success(told), is_stored=False)

    def delete_all(self, call: Call) -> list[Obj]:
        """DELETE of what selectors choose; the objects as they were."""
        bodies.options(call, "DeleteOptions")
        wanted = selection(call)
        how, is_dry = _deletion(call)
        found = [
            obj
            for obj in self._storage.list(call.resource, call.target.namespace)
            if wanted.matches(obj)
        ]
        for obj in found:
            metadata = obj["metadata"]
            namespace, name = metadata.get("namespace", ""), metadata["name"]
            self._storage.delete(call.resource, namespace, name, how, is_dry=is_dry)
        return found

    def _apply(self, call: Call) -> Written:
        """Server-side apply: an object that is not there yet is made."""
        aim, warnings = call.target, list[str]()
        config = bodies.applied(call, bodies.patch_of(call), warnings)
        old = self._storage.find(aim.resource, aim.namespace, aim.name)
        kind = schema.type_of(aim.resource.api_version, aim.resource.kind)
        if kind is None:
            raise errors.unsupported("415: Unsupported Media Type")
        manager, forces = call.query["fieldManager"], call.is_set("force")
        new = apply.applied(old, config, kind, manager, forces=forces)
        managed = new["metadata"]["managedFields"]
        now = timestamp(self._storage.now())
        new["metadata"]["managedFields"] = apply.stamped(managed, old, now)
        if old is not None:
            return self._put(call, new, warnings, is_tracked=True)
        if aim.part:
            raise errors.not_found(aim.resource.plural, aim.name, aim.resource.group)
        new = self._admitted(call, new, None)
        made = self._storage.create(aim.resource, aim.namespace, new, is_dry=_is_dry(call))
        return Written(201, made, not _is_dry(call), warnings)

    def _admitted(self, call: Call, obj: Obj, old: Obj | None) -> Obj:
        """What may be stored of it: marked with who wrote it, granting no more than he has."""
        grants.check(self._rights, self._storage, call, obj, old)
        return marked(call, obj, old)

    def _track(self, call: Call, obj: Obj, old: Obj | None) -> None:
        """Notes who set which field, for writers that say who they are."""
        manager, resource = call.query.get("fieldManager", ""), call.resource
        kind = schema.type_of(resource.api_version, resource.kind)
        managed = (old or {}).get("metadata", {}).get("managedFields") or []
        if manager and kind is not None:
            resource.rules.default(obj)
            part = call.target.part if call.target.part == "status" else ""
            found = apply.tracked(obj, old, kind, manager, part)
            managed = apply.stamped(found, old, timestamp(self._storage.now()))
        obj["metadata"]["managedFields"] = managed

    def _put(
        self, call: Call, obj: Obj, warnings: list[str], *, is_tracked: bool = False
    ) -> Written:
        aim = call.target
        part = aim.part if aim.part == "status" else ""
        old = self._storage.get(aim.resource, aim.namespace, aim.name)
        if not is_tracked:
            self._track(call, obj, old)
        obj = self._admitted(call, obj, old)
        new = self._storage.update(
            aim.resource, aim.namespace, aim.name, obj, part=part, is_dry=_is_dry(call)
        )
        return Written(200, new, not _is_dry(call), warnings)

    def _name(self, call: Call, prefix: str) -> str:
        if not prefix:
            words = "Required value: name or generateName is required"
            cause = Cause("metadata.name", "FieldValueRequired", words)
            raise errors.invalid(call.resource.kind, "", [cause], call.resource.group)
        return prefix[:58] + "".join(_LETTERS[self._chance(len(_LETTERS))] for _ in range(5))


def _is_dry(call: Call) -> bool:
    return call.query.get("dryRun") == "All"


def _deletion(call: Call) -> tuple[Deletion, bool]:
    body = bodies.part(call, "meta.v1.DeleteOptions")
    query = call.query
    requires = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds")
    if grace is None and query.get("gracePeriodSeconds"):
        grace = call.number("gracePeriodSeconds")
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy", "")
    if propagation not in _PROPAGATIONS:
        words = f'Unsupported value: "{propagation}": supported values: {_SHOWN}'
        cause = Cause("propagationPolicy", "FieldValueNotSupported", words)
        raise errors.invalid("DeleteOptions", "", [cause], "meta.k8s.io")
    if body.get("orphanDependents") or _leaves_pods(call):
        propagation = "Orphan"
    how = Deletion(
        uid=requires.get("uid") or "",
        version=requires.get("resourceVersion") or "",
        grace_s=grace,
        propagation=propagation,
    )
    return how, _is_dry(call) or "All" in (body.get("dryRun") or ())


def _leaves_pods(call: Call) -> bool:
    """True for a Job of which nobody says what becomes of its pods: so it is since old times."""
    body = bodies.part(call, "meta.v1.DeleteOptions")
    said = body.get("propagationPolicy") or call.query.get("propagationPolicy")
    return call.resource is JOBS and not said and "orphanDependents" not in body


def _success(details: Obj) -> Obj:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
