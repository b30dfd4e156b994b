"""Bodies in protobuf, as kubectl's `create` commands and typed clients of Go send them, as JSON.

Only reading: every client that sends protobuf also takes JSON. The numbers of the fields stand in
the schema; zeros of fields that are not told apart from them are left out, as in JSON.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from kdns.lab import schema
from kdns.lab.errors import Obj, bad_request

MEDIA = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_SIGNED = 1 << 63

Value = Any  # any JSON value
Part = tuple[int, int | bytes]
"""The number of a field, and a number or the bytes of anything else."""


def decode(body: bytes) -> Obj:
    """The object in a body; raises 400 for what is no protobuf or no kind that is known."""
    if not body.startswith(_MAGIC):
        raise bad_request("the body is not in Kubernetes' protobuf form: its first bytes differ")
    try:
        return _decode(body[len(_MAGIC) :])
    except (ValueError, OverflowError, OSError) as error:  # the last two: times beyond all years
        raise bad_request(f"the body cannot be read as protobuf: {error}") from None


def _decode(body: bytes) -> Obj:
    envelope = dict(_parts(body))
    names = dict(_parts(_bytes(envelope.get(1, b""))))
    version, kind = _text(names.get(1, b"")), _text(names.get(2, b""))
    found = schema.type_of(version, kind) or schema.type_of("meta/v1", kind)
    if found is None:
        raise ValueError(f"no kind {kind!r} is known in {version!r}")
    return {"kind": kind, "apiVersion": version} | _object(_bytes(envelope.get(2, b"")), found)


def _object(body: bytes, kind: schema.Type) -> Obj:
    numbered = {field.number: field for field in kind.fields.values() if field.number}
    found: Obj = {}
    for number, raw in _parts(body):
        if number in kind.inlined:
            found |= _object(_bytes(raw), schema.types()[kind.inlined[number]])
        elif number in numbered:
            _add(found, numbered[number], raw)
    return found


def _add(found: Obj, field: schema.Field, raw: int | bytes) -> None:
    shape = field.shape
    if shape.startswith("[]"):
        found.setdefault(field.name, []).append(_value(raw, shape[2:]))
    elif shape.startswith("{}"):
        entry = dict(_parts(_bytes(raw)))
        empty: int | bytes = b"" if shape != "{}bool" else 0
        key = _text(entry.get(1, b""))
        found.setdefault(field.name, {})[key] = _value(entry.get(2, empty), shape[2:])
    else:
        value = _value(raw, shape)
        if field.is_optional or value not in (0, "", None):
            found[field.name] = value


def _value(raw: int | bytes, shape: str) -> Value:
    kind = schema.types().get(shape)
    if kind is not None:
        return _object(_bytes(raw), kind)
    if shape.startswith("[]"):  # a list that is a value of a map
        return [_value(one, shape[2:]) for _, one in _parts(_bytes(raw))]
    return _SCALARS[shape](raw)


def _number(raw: int | bytes) -> int:
    if isinstance(raw, bytes):
        raise ValueError("bytes where a number belongs")  # noqa: TRY004  (the sender's mistake)
    return raw - 2 * _SIGNED if raw >= _SIGNED else raw


def _text(raw: int | bytes) -> str:
    return _bytes(raw).decode()


def _bytes(raw: int | bytes) -> bytes:
    if not isinstance(raw, bytes):
        raise ValueError("a number where bytes belong")  # noqa: TRY004  (the sender's mistake)
    return raw


def _time(raw: int | bytes) -> str | None:
    """Seconds and nanoseconds; a message without any is no time."""
    parts = dict(_parts(_bytes(raw)))
    if not parts:
        return None
    moment = datetime.fromtimestamp(_number(parts.get(1, 0)), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _microtime(raw: int | bytes) -> str | None:
    parts = dict(_parts(_bytes(raw)))
    if not parts:
        return None
    seconds = _number(parts.get(1, 0)) + _number(parts.get(2, 0)) / 1e9
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _quantity(raw: int | bytes) -> str:
    return _text(dict(_parts(_bytes(raw))).get(1, b""))


def _int_or_text(raw: int | bytes) -> int | str:
    parts = dict(_parts(_bytes(raw)))
    return _text(parts.get(3, b"")) if parts.get(1) else _number(parts.get(2, 0))


_SCALARS: dict[str, Callable[[int | bytes], Value]] = {
    "string": _text,
    "bytes": lambda raw: b64encode(_bytes(raw)).decode(),
    "bool": lambda raw: bool(_number(raw)),
    "int32": _number,
    "int64": _number,
    "float": lambda _: None,
    "time": _time,
    "microtime": _microtime,
    "quantity": _quantity,
    "intstr": _int_or_text,
    "any": lambda _: None,
}


def _parts(body: bytes) -> Iterator[Part]:
    """The fields of a message in the order they were sent."""
    place = 0
    while place < len(body):
        tag, place = _varint(body, place)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, place = _varint(body, place)
            yield number, value
            continue
        if wire == 2:
            size, place = _varint(body, place)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} is none that Kubernetes uses")
        if place + size > len(body):
            raise ValueError("the message is cut off")
        yield number, body[place : place + size]
        place += size


def _varint(body: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(body):
            raise ValueError("the message is cut off")
        byte = body[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than 64 bits")
