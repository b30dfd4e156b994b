"""Files of manifests become objects of the lab, created or brought to what they say.

As `kubectl apply -f`, in the order of what depends on what. A file that cannot be read, an object
that the API would refuse: each is one line with file, document, object, field and reason.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from kdns.cluster import documents
from kdns.lab import schema
from kdns.lab.controllers.desk import Desk, resource_of
from kdns.lab.errors import ApiError, Obj
from kdns.lab.resources import NAMESPACES, PODS, Resource, by_kind
from kdns.lab.storage import Storage

SUFFIXES = (".yaml", ".yml", ".json")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_FIRST = ("Namespace", "Node", "ServiceAccount", "ConfigMap", "Secret", "Service")


@dataclass(frozen=True, slots=True)
class Found:
    """An object and where it stands."""

    where: str
    obj: Obj


class ManifestError(Exception):
    """Manifests that cannot be applied; one line for each mistake."""


def read(places: Iterable[Path]) -> list[Found]:
    """The objects of files and folders, those first that others need."""
    found: list[Found] = []
    mistakes: list[str] = []
    for path in [file for place in places for file in _files(place)]:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
            raise ManifestError(f"{path}: {reason}") from None
        for one in documents.parse(text, _make):
            if one.error:
                mistakes.append(f"{path}: {one.where}: {one.error}")
            else:
                found.append(Found(f"{path}: {one.where}", cast("Obj", one.thing)))
    if mistakes:
        raise ManifestError("\n".join(mistakes))
    return sorted(found, key=_rank)


def apply(storage: Storage, found: Sequence[Found], desk: Desk) -> int:
    """Stores all of them; gives their number, raises ManifestError for those that are refused."""
    mistakes = []
    for one in found:
        try:
            _apply(storage, one.obj, desk)
        except ApiError as error:
            mistakes.append(f"{one.where}: {error.message}")
    if mistakes:
        raise ManifestError("\n".join(mistakes))
    return len(found)


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    yield from sorted(
        one for one in path.iterdir() if one.suffix in SUFFIXES and not one.name.startswith(".")
    )


def _make(body: object) -> Obj:
    """A document as an object of the lab; raises ValueError for what is none."""
    if not isinstance(body, dict):
        raise ValueError("no object")  # noqa: TRY004 - bad text, not a bug
    version, kind = body.get("apiVersion", ""), body.get("kind", "")
    resource = by_kind(version, kind) if kind else None
    if resource is None:
        raise ValueError(f"the lab has no {kind or 'object without a kind'} in {version!r}")
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ValueError(f"{kind}: metadata.name: Required value")  # noqa: TRY004 - as above
    type_ = schema.type_of(version, kind)
    if misfit := schema.misfit(body, type_):
        raise ValueError(f"{kind} {metadata['name']}: {misfit}")
    unknown = list(schema.unknown(body, type_))
    if unknown:
        names = ", ".join(f'"{path}"' for path in unknown)
        raise ValueError(f"{kind} {metadata['name']}: unknown field {names}")
    return _homed(resource, body, metadata)


def _homed(resource: Resource, body: Obj, metadata: Obj) -> Obj:
    if not resource.is_namespaced:
        return body
    return {**body, "metadata": {**metadata, "namespace": metadata.get("namespace") or "default"}}


def _rank(one: Found) -> int:
    kind = one.obj["kind"]
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


def _apply(storage: Storage, obj: Obj, desk: Desk) -> None:
    resource, metadata = resource_of(obj), obj["metadata"]
    namespace = metadata.get("namespace", "")
    if resource.is_namespaced and storage.find(NAMESPACES, "", namespace) is None:
        home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        desk.create(home)
    given = metadata.get("annotations") or {}
    # As kubectl notes it, so that its next apply finds nothing changed.
    noted = {**obj, "metadata": {**metadata, "annotations": given}}
    said = json.dumps(noted, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    annotations = {**given, LAST_APPLIED: said}
    new = {**obj, "metadata": {**metadata, "annotations": annotations}}
    old = storage.find(resource, namespace, metadata["name"])
    if old is None:
        desk.create(new)
        return
    kept = {**old["metadata"], "labels": metadata.get("labels") or {}}
    kept["annotations"] = {**(old["metadata"].get("annotations") or {}), **annotations}
    if resource is PODS:  # its spec is for life
        new["spec"] = old["spec"]
    desk.update({**new, "metadata": kept})
