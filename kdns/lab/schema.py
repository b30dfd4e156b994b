"""The fields of every kind the lab knows: their types, how lists merge, which values there are.

Read once from `schema.txt`, which `python -m tests.lab.record … schema` takes from a real server:
a line with a type's name, then its fields, one to a line. From it come strategic merges,
server-side apply, the detection of unknown fields and the OpenAPI documents.
"""

import dataclasses
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kdns.lab.errors import Obj


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `shape` is its type, like `string`, `[]core.v1.Container` or `{}quantity`."""

    name: str
    shape: str
    merge: str | None = None
    """For lists in strategic merges: the key items are merged by, "" for values, None: replaced."""
    keys: tuple[str, ...] = ()
    """For lists in server-side apply: the fields that tell items apart."""
    is_set: bool = False
    is_atomic: bool = False
    retains: bool = False
    """A strategic merge may name the fields that stay (`$retainKeys`)."""
    values: tuple[str, ...] = ()
    number: int = 0
    """In protobuf; 0 when its holder inlines the type that has it."""
    is_optional: bool = False
    """Told apart from its zero value."""

    @property
    def base(self) -> str:
        """The type of a value, item or entry."""
        return self.shape.replace("[]", "").replace("{}", "")


@dataclass(frozen=True, slots=True)
class Type:
    """A type of object, and the fields it has."""

    name: str
    fields: dict[str, Field]
    is_atomic: bool = False
    inlined: dict[int, str] = dataclasses.field(default_factory=dict)
    """Types whose members stand in the JSON of this one, by their number in protobuf."""


@cache
def types() -> dict[str, Type]:
    """All types by name, like `core.v1.ServicePort`."""
    text = files("kdns.lab").joinpath("schema.txt").read_text(encoding="utf-8")
    found: dict[str, Type] = {}
    for block in _blocks(text):
        name, *lines = block
        is_atomic = lines[:1] == ["atomic"]
        inlined = [line.split(" ") for line in lines if line.startswith("+ ")]
        fields = [_field(line) for line in lines[is_atomic:] if not line.startswith("+ ")]
        found[name] = Type(
            name,
            {field.name: field for field in fields},
            is_atomic,
            {int(number[1:]): within for _, number, within in inlined},
        )
    return found


def type_of(api_version: str, kind: str) -> Type | None:
    """The type of an object, by what it says of itself."""
    group, _, version = api_version.rpartition("/")
    return types().get(f"{(group or 'core').partition('.')[0]}.{version}.{kind}")


def inner(field: Field) -> Type | None:
    """The type of a field's objects; None when they are plain values."""
    return types().get(field.base)


def unknown(obj: Obj, kind: Type | None, path: str = "") -> Iterator[str]:
    """The paths of fields that a kind has not, as a server's strict decoding names them."""
    if kind is None:
        return
    for name, value in obj.items():
        at = f"{path}.{name}" if path else name
        field = kind.fields.get(name)
        if field is None:
            yield at
        elif (below := inner(field)) is not None:
            for where, item in _objects(value, at, is_map=field.shape.startswith("{}")):
                yield from unknown(item, below, where)


def misfit(obj: Obj, kind: Type | None, path: str = "") -> str:
    """What does not fit its field's type, in the words of a server's decoder; "" if all does."""
    for name, value in obj.items():
        field = kind.fields.get(name) if kind else None
        if kind is None or field is None or value is None:
            continue
        at = f"{path}.{name}" if path else name
        found = _misfit(value, field.shape, f"{kind.name.rpartition('.')[2]}.{at}", at)
        if found:
            return found
    return ""


_JSON = {"string": str, "bytes": str, "time": str, "microtime": str, "bool": bool}
_MOST = {"int32": 1 << 31, "int64": 1 << 63}


def _misfit(value: object, shape: str, go_field: str, path: str) -> str:
    if shape.startswith("[]"):
        if not isinstance(value, list):
            return _cannot(value, shape, go_field)
        found = (_misfit(one, shape[2:], go_field, path) for one in value if one is not None)
    elif shape.startswith("{}"):
        if not isinstance(value, dict):
            return _cannot(value, shape, go_field)
        found = (
            _misfit(one, shape[2:], go_field, path) for one in value.values() if one is not None
        )
    elif "." in shape:
        if not isinstance(value, dict):
            return _cannot(value, shape, go_field)
        return misfit(value, types().get(shape), path)
    else:
        return _scalar_misfit(value, shape, go_field)
    return next(filter(None, found), "")


def _scalar_misfit(value: object, shape: str, go_field: str) -> str:
    if shape == "bytes" and isinstance(value, str):
        return _no_base64(value)
    if shape in _JSON:
        return "" if isinstance(value, _JSON[shape]) else _cannot(value, shape, go_field)
    if shape in _MOST:
        if isinstance(value, int) and not isinstance(value, bool):
            return "" if -_MOST[shape] <= value < _MOST[shape] else _cannot(value, shape, go_field)
        return _cannot(value, shape, go_field)
    return ""


def _no_base64(text: str) -> str:
    try:
        b64decode(text, validate=True)
    except ValueError:
        good = re.match(r"[A-Za-z0-9+/=]*", text)
        return f"illegal base64 data at input byte {good.end() if good else 0}"
    return ""


def _cannot(value: object, shape: str, go_field: str) -> str:
    names = {bool: "bool", str: "string", list: "array", dict: "object"}
    found = names.get(type(value), "number")
    named = re.sub(r"\{\}", "map[string]", shape)
    named = re.sub(r"\b[a-z]+\.(v\d\w*\.)", r"\1", named)
    named = {"time": "string", "microtime": "string"}.get(named, named)
    return f"json: cannot unmarshal {found} into Go struct field {go_field} of type {named}"


def known(obj: Obj, kind: Type | None) -> Obj:
    """A copy without nulls, unknown fields and what a server leaves out when it is empty."""
    if kind is None:
        return obj
    found: Obj = {}
    for name, value in obj.items():
        field = kind.fields.get(name)
        if field is not None and value is not None and not _is_left_out(value, field):
            found[name] = _known(value, field.shape)
    return found


def _is_left_out(value: object, field: Field) -> bool:
    is_collection = field.shape.startswith(("[]", "{}"))
    return value in ([], {}) if is_collection else value == "" and field.name != "ingressClassName"


def _known(value: object, shape: str) -> object:
    """A value of a shape; null within a list or map is the zero value of its type."""
    if shape.startswith("[]") and isinstance(value, list):
        return [_known(item, shape[2:]) for item in value]
    if shape.startswith("{}") and isinstance(value, dict):
        return {key: _known(one, shape[2:]) for key, one in value.items()}
    kind = types().get(shape)
    if value is None:
        return _ZEROS.get(shape) if kind is None else {}
    return known(value, kind) if isinstance(value, dict) else value


_ZEROS = {
    "string": "",
    "bytes": "",
    "bool": False,
    "int32": 0,
    "int64": 0,
    "quantity": "0",
    "intstr": 0,
}


def _objects(value: object, path: str, *, is_map: bool) -> Iterator[tuple[str, Obj]]:
    if isinstance(value, dict):
        yield from (
            ((f"{path}.{key}", one) for key, one in value.items()) if is_map else ((path, value),)
        )
    elif isinstance(value, list):
        for place, item in enumerate(value):
            if isinstance(item, dict):
                yield f"{path}[{place}]", item


def _blocks(text: str) -> Iterator[list[str]]:
    block: list[str] = []
    for line in text.splitlines():
        if not line.startswith(" ") and block:
            yield block
            block = []
        block.append(line.strip())
    yield block


def _field(line: str) -> Field:
    name, shape, *notes = line.split(" ")
    said = {key: value for key, _, value in (note.partition("=") for note in notes)}
    return Field(
        name,
        shape,
        merge=said.get("merge"),
        keys=tuple(said["keys"].split(",")) if "keys" in said else (),
        is_set="set" in said,
        is_atomic="atomic" in said,
        retains="retain" in said,
        values=tuple(said["enum"].split(",")) if "enum" in said else (),
        number=next((int(note[1:]) for note in notes if note.startswith("#")), 0),
        is_optional="?" in said,
    )
