"""The bodies of writes, JSON or YAML, become objects that fit the path they were sent to.

Unknown fields are dropped, with a warning or an error as `fieldValidation` says; whoever sends
another kind, name or namespace than the path's is refused.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import yaml

from kdns.lab import errors, forms, protobuf, schema
from kdns.lab.calls import Call
from kdns.lab.errors import Cause, Obj

_MEDIA = {"application/json", "application/yaml", protobuf.MEDIA, ""}
_ACCEPTED = f"application/json, application/yaml, {protobuf.MEDIA}"
_TEXT = (str, "string")
_SHAPES: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("name", "namespace", "generateName", "resourceVersion", "uid"), _TEXT),
    **dict.fromkeys(("labels", "annotations"), (dict, "map[string]string")),
    "finalizers": (list, "[]string"),
}
_CHECKS = ("", "Ignore", "Strict", "Warn")


def parse(call: Call, warnings: list[str]) -> Obj:
    """The object that a create or update sends."""
    if call.media not in _MEDIA:
        raise errors.unsupported(
            "the body of the request was in an unknown format - accepted media types include: "
            + _ACCEPTED
        )
    obj = decode(call)
    resource = call.resource
    kind, version = obj.get("kind", ""), obj.get("apiVersion", "")
    if (kind, version) not in {("", ""), (resource.kind, resource.api_version)}:
        raise _misfit(call, f'{kind or "an object"} in version "{version}"', "unknown conversion")
    return checked(call, obj, warnings)


def checked(call: Call, obj: Obj, warnings: list[str]) -> Obj:
    """An object of the call's kind, without what its kind does not know."""
    resource = call.resource
    kind = schema.type_of(resource.api_version, resource.kind)
    _check_metadata(call, obj)
    named = {"kind": resource.kind, "apiVersion": resource.api_version} | obj
    wrong = schema.misfit(named, kind)
    if wrong:
        raise _misfit(call, "", wrong)
    unknown = [f'unknown field "{path}"' for path in schema.unknown(named, kind)]
    how = call.query.get("fieldValidation", "")
    if unknown and how == "Strict":
        raise _misfit(call, "", f"strict decoding error: {', '.join(unknown)}")
    if how != "Ignore":
        warnings += unknown
    return named if kind is None else schema.known(named, kind)


def applied(call: Call, config: Any, warnings: list[str]) -> Obj:  # Any: JSON or YAML
    """The configuration of a server-side apply; raises for one that says too little."""
    resource = call.resource
    if not call.query.get("fieldManager"):
        words = "Required value: is required for apply patch"
        causes = [Cause("fieldManager", "FieldValueRequired", words)]
        raise errors.invalid("PatchOptions", "", causes, "meta.k8s.io")
    if not isinstance(config, dict):
        raise errors.bad_request("error decoding YAML: it is no object")
    version, kind = config.get("apiVersion", ""), config.get("kind", "")
    if (version, kind) != (resource.api_version, resource.kind):
        raise errors.bad_request(f"invalid object type: {version or '/'}, Kind={kind}")
    metadata = config.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        name = call.target.name
        raise errors.bad_request(
            f"the name of the object ({name} based on URL) was undeterminable: "
            "name must be provided"
        )
    for path in schema.unknown(config, schema.type_of(version, kind)):
        inside, full = (
            config["metadata"].get("namespace", ""),
            f"{resource.group}/{resource.version}",
        )
        raise errors.ApiError(
            500,
            "",
            f"failed to create typed patch object ({inside}/{config['metadata']['name']}; {full}, "
            f"Kind={kind}): .{path}: field not declared in schema",
        )
    return checked(call, config, warnings)


def part(call: Call, kind: str) -> Obj:
    """A body that is no object of the resource but one of another type, or nothing."""
    return fitted(decode(call), kind) if call.body.strip() else {}


def fitted(obj: Obj, kind: str) -> Obj:
    """An object of a type, by the schema's name; raises 400 for one that does not fit."""
    wrong = schema.misfit(obj, schema.types()[kind])
    if wrong:
        raise errors.bad_request(wrong)
    return obj


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a few hundred bytes of them may stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def value(media: str, body: bytes) -> Any:  # Any: JSON
    """A body as JSON, or YAML where its media type says so; raises ValueError."""
    try:
        if "yaml" not in media:
            return msgspec.json.decode(body)
        with suppress(ValueError):  # kubectl sends JSON as YAML, which is a hundred times slower
            return msgspec.json.decode(body)
        found = yaml.load(body, _Plain)  # noqa: S506  (a safe one)
        return msgspec.json.decode(forms.encode(found))  # keys become text
    except (yaml.YAMLError, TypeError) as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("exceeded max depth") from None


def patch_of(call: Call) -> Any:  # Any: JSON
    """The body of a patch; raises 400 for what cannot be read."""
    try:
        return value(call.media, call.body)
    except ValueError as error:
        raise errors.bad_request(f"error decoding patch: {error}") from None


def decode(call: Call) -> Obj:
    """A body as JSON, YAML or protobuf; raises 400 for what is none of these or no object."""
    if call.media == protobuf.MEDIA:
        return protobuf.decode(call.body)
    try:
        obj = value(call.media, call.body)
    except ValueError as error:
        kind = call.resource.kind
        shown = call.body[:100].decode("utf-8", "replace")
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {kind}): "
            f"couldn't get version/kind; json parse error: {error} ({shown})"
        ) from None
    if not isinstance(obj, dict):
        raise _misfit(call, "", "json: cannot unmarshal it into a Go value of type map")
    return obj


def options(call: Call, kind: str) -> None:
    """Raises 422 for values of dryRun and fieldValidation that there are not."""
    causes = list(_option_causes(call))
    if causes:
        raise errors.invalid(kind, "", causes, "meta.k8s.io")


def _option_causes(call: Call) -> Iterator[Cause]:
    dry = call.query.get("dryRun", "")
    if dry not in {"", "All"}:
        words = f'Unsupported value: ["{dry}"]: supported values: "All"'
        yield Cause("dryRun", "FieldValueNotSupported", words)
    check = call.query.get("fieldValidation", "")
    if check not in _CHECKS:
        listed = ", ".join(f'"{one}"' for one in _CHECKS)
        words = f'Unsupported value: "{check}": supported values: {listed}'
        yield Cause("fieldValidation", "FieldValueNotSupported", words)


def _check_metadata(call: Call, obj: Obj) -> None:
    """Names and labels are text: all else in here relies on it."""
    metadata = obj.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise _unmarshal(call, metadata, "metadata", "v1.ObjectMeta")
    for key, (kinds, shape) in _SHAPES.items():
        if metadata.get(key) is not None and not isinstance(metadata[key], kinds):
            raise _unmarshal(call, metadata[key], f"ObjectMeta.metadata.{key}", shape)
    for key in ("labels", "annotations"):
        for value in (metadata.get(key) or {}).values():
            if not isinstance(value, str):
                raise _unmarshal(call, value, f"ObjectMeta.metadata.{key}", "string")
    aim = call.target
    inside = metadata.get("namespace")
    if inside and inside != aim.namespace and aim.resource.is_namespaced:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    name = metadata.get("name")
    if aim.name and name and name != aim.name:
        raise errors.bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({aim.name})"
        )


def _unmarshal(call: Call, value: Any, field: str, shape: str) -> errors.ApiError:  # Any: JSON
    words = {bool: "bool", dict: "object", list: "array", str: "string"}
    found = words.get(type(value), "number")
    return _misfit(
        call, "", f"json: cannot unmarshal {found} into Go struct field {field} of type {shape}"
    )


def _misfit(call: Call, what: str, why: str) -> errors.ApiError:
    kind = call.resource.kind
    subject = what or f'{kind} in version "{call.resource.version}"'
    return errors.bad_request(f"{subject} cannot be handled as a {kind}: {why}")
