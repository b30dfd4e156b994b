"""Which objects hold only what the admin wrote: commands that others wrote never run.

Whoever is not the admin and writes a Pod's spec or a pod template leaves his name on it, in an
annotation that controllers copy from templates to pods. Only a whole object that the admin sends
(POST or PUT) can be without it: what a patch leaves out may be what somebody else wrote, and what
it takes away may be chosen by a `last-applied-configuration` or a field manager of his.

ConfigMaps and Secrets are marked, too: an environment made of them can bend commands (BASH_ENV).
"""

from collections.abc import Sequence

from kdns.lab.calls import Call
from kdns.lab.errors import Obj
from kdns.lab.metadata import clone
from kdns.lab.resources import (
    CONFIGMAPS,
    CRONJOBS,
    DAEMONSETS,
    DEPLOYMENTS,
    JOBS,
    PODS,
    REPLICASETS,
    SECRETS,
    STATEFULSETS,
    Resource,
)

MARK = "lab.kdns.io/written-by"
PROGRAM = "lab.kdns.io/program"
"""Says which program plays a container: it decides whether the commands of a spec run at all."""


def is_trusted(obj: Obj) -> bool:
    """True for a Pod (or a pod template, ConfigMap, Secret) that only the admin has written."""
    return MARK not in _annotations(obj)


def author(obj: Obj) -> str:
    """Who else wrote it, for messages; "" for what is trusted."""
    return str(_annotations(obj).get(MARK, ""))


def marked(call: Call, obj: Obj, old: Obj | None) -> Obj:
    """What a call stores: the object with the mark that it must have; old is None on create."""
    if call.resource not in _MARKED:
        return obj
    is_whole = not call.target.part
    if call.is_admin and is_whole and call.verb != "patch":
        return obj
    path, words = _MARKED[call.resource]
    before = _part(old or {}, path)
    mark = _annotations(before).get(MARK)
    if call.is_admin:
        return obj if mark is None else _signed(obj, path, mark)
    if old is None or (is_whole and _said(call, obj) != _kept(before, words)):
        mark = call.user
    return _signed(obj, path, mark)


def _signed(obj: Obj, path: Sequence[str], mark: str | None) -> Obj:
    """A copy with this mark, or none."""
    new: Obj = clone(obj)
    bearer = new
    for key in (*path, "metadata"):
        below = bearer[key] = bearer.get(key) or {}
        bearer = below
    annotations = {
        key: one for key, one in (bearer.get("annotations") or {}).items() if key != MARK
    }
    bearer["annotations"] = annotations | ({} if mark is None else {MARK: mark})
    if not bearer["annotations"]:
        del bearer["annotations"]
    return new


def _said(call: Call, obj: Obj) -> Obj:
    """What counts of an object, with defaults as a stored one has them."""
    path, words = _MARKED[call.resource]
    full = clone(obj)
    call.resource.rules.default(full)
    return _kept(_part(full, path), words)


def _kept(part: Obj, words: Sequence[str]) -> Obj:
    programs = {key: one for key, one in _annotations(part).items() if key.startswith(PROGRAM)}
    return {key: part[key] for key in words if part.get(key)} | {PROGRAM: programs}


def _part(obj: Obj, path: Sequence[str]) -> Obj:
    for key in path:
        obj = obj.get(key) or {}
    return obj


def _annotations(obj: Obj) -> Obj:
    return (obj.get("metadata") or {}).get("annotations") or {}


_TEMPLATE = (("spec", "template"), ("spec",))
_DATA = ((), ("data", "binaryData"))
_MARKED: dict[Resource, tuple[tuple[str, ...], tuple[str, ...]]] = {
    PODS: ((), ("spec",)),
    **dict.fromkeys((DEPLOYMENTS, REPLICASETS, STATEFULSETS, DAEMONSETS, JOBS), _TEMPLATE),
    CRONJOBS: (("spec", "jobTemplate", *_TEMPLATE[0]), _TEMPLATE[1]),
    **dict.fromkeys((CONFIGMAPS, SECRETS), _DATA),
}
"""Where the mark stands, and which fields count there."""
