"""The OpenAPI documents that kubectl reads to apply and explain: schemas and options of PATCH.

Only what kubectl looks at is said: which fields there are and of what types, which lists merge by
which key, which kinds there are, and that PATCH takes `fieldValidation` and these media types.
Version 2 is empty: kubectl asks it about kinds that version 3 has not, to say that there are none.
"""

from functools import cache

from kdns.lab import patch, schema
from kdns.lab.errors import Obj
from kdns.lab.resources import RESOURCES, Resource

OLD_PATH = "/openapi/v2"
OLD_MEDIA = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
OLD = b"\n\x032.0"
"""An empty document: `swagger`, field 1 of openapi.v2.Document, is 2.0."""
_PLAIN: dict[str, Obj] = {
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "intstr": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    "time": {"type": "string", "format": "date-time"},
    "microtime": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
}


def document(path: str) -> Obj | None:
    """The document under a path; None when there is none."""
    if path == "/openapi/v3":
        roots = dict.fromkeys(_root(one) for one in RESOURCES)
        return {"paths": {one: {"serverRelativeURL": f"/openapi/v3/{one}"} for one in roots}}
    return _document(path.removeprefix("/openapi/v3/")) if path.startswith("/openapi/v3/") else None


def _root(resource: Resource) -> str:
    group, version = resource.group, resource.version
    return f"apis/{group}/{version}" if group else f"api/{version}"


@cache
def _document(root: str) -> Obj | None:
    found = [one for one in RESOURCES if _root(one) == root]
    if not found:
        return None
    schemas: dict[str, Obj] = {}
    paths: Obj = {}
    for resource in found:
        inside = "/namespaces/{namespace}" if resource.is_namespaced else ""
        paths[f"/{root}{inside}/{resource.plural}/{{name}}"] = {"patch": _operation(resource)}
        kind = schema.type_of(resource.api_version, resource.kind)
        if kind is not None:
            _add(kind, schemas)
            schemas[kind.name] |= {"x-kubernetes-group-version-kind": [_gvk(resource)]}
    return {
        "openapi": "3.0.0",
        "info": {"title": "kdns lab", "version": "v1.34.1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _gvk(resource: Resource) -> Obj:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _operation(resource: Resource) -> Obj:
    names = ("dryRun", "fieldManager", "fieldValidation", "force")
    media = (patch.JSON_PATCH, patch.MERGE, patch.STRATEGIC, *patch.APPLY)
    return {
        "operationId": f"patch{resource.kind}",
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string"}} for name in names
        ],
        "requestBody": {"content": {one: {"schema": {"type": "object"}} for one in media}},
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": _gvk(resource),
    }


def _add(kind: schema.Type, schemas: dict[str, Obj]) -> None:
    if kind.name in schemas:
        return
    shown = schemas[kind.name] = {"type": "object", "properties": {}}
    for field in kind.fields.values():
        inner = schema.inner(field)
        shown["properties"][field.name] = _field(field, inner)
        if inner is not None:
            _add(inner, schemas)


def _field(field: schema.Field, inner: schema.Type | None) -> Obj:
    shown = _PLAIN.get(field.base, {"type": "string"})
    if inner is not None:
        shown = {"allOf": [{"$ref": f"#/components/schemas/{inner.name}"}], "default": {}}
    shape = field.shape
    while shape.startswith(("[]", "{}")):
        is_list = shape.startswith("[]")
        shown = (
            {"type": "array", "items": shown}
            if is_list
            else {"type": "object", "additionalProperties": shown}
        )
        shape = shape[2:]
    if field.merge is not None:
        shown |= {"x-kubernetes-patch-strategy": "merge"}
        if field.merge:
            shown |= {"x-kubernetes-patch-merge-key": field.merge}
    return shown
