"""Bodies in Kubernetes' protobuf form become objects: what `kubectl create` sends since 1.32.

Only the kinds and fields that kubectl fills in are read, by numbers that were seen in what it
sends; a body that says more is refused, never read in part. Everything else speaks JSON.
"""

import base64
from collections.abc import Iterator
from typing import Any

from kdns.lab.errors import ApiError, Obj, bad_request, unsupported

MEDIA = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"

_TABLE = """
Unknown      1 type TypeMeta · 2 raw bytes
TypeMeta     1 apiVersion string · 2 kind string
Meta         1 name string · 2 generateName string · 3 namespace string · 11 labels {} ·
    12 annotations {}
ConfigMap    1 metadata Meta · 2 data {} · 3 binaryData {}bytes
Namespace    1 metadata Meta
ServiceAccount 1 metadata Meta
Secret       1 metadata Meta · 2 data {}bytes · 3 type string
Eviction     1 metadata Meta
TokenRequest 1 metadata Meta · 2 spec TokenRequestSpec
TokenRequestSpec 1 audiences []string · 4 expirationSeconds number
Service      1 metadata Meta · 2 spec ServiceSpec
ServiceSpec  1 ports []ServicePort · 2 selector {} · 3 clusterIP string · 4 type string ·
    10 externalName string
ServicePort  1 name string · 2 protocol string · 3 port number · 4 targetPort intstr ·
    5 nodePort number
Deployment   1 metadata Meta · 2 spec DeploymentSpec
DeploymentSpec 1 replicas number? · 2 selector Selector · 3 template Template
Selector     1 matchLabels {}
Template     1 metadata Meta · 2 spec PodSpec
PodSpec      2 containers []Container
Container    1 name string · 2 image string · 3 command []string · 4 args []string ·
    6 ports []ContainerPort
ContainerPort 1 name string · 3 containerPort number · 4 protocol string
Role         1 metadata Meta · 2 rules []Rule
ClusterRole  1 metadata Meta · 2 rules []Rule · 3 aggregationRule Aggregation
Rule         1 verbs []string · 2 apiGroups []string · 3 resources []string ·
    4 resourceNames []string · 5 nonResourceURLs []string
Aggregation  1 clusterRoleSelectors []Selector
RoleBinding  1 metadata Meta · 2 subjects []Subject · 3 roleRef RoleRef
ClusterRoleBinding 1 metadata Meta · 2 subjects []Subject · 3 roleRef RoleRef
Subject      1 kind string · 2 apiGroup string · 3 name string · 4 namespace string
RoleRef      1 apiGroup string · 2 kind string · 3 name string
Ingress      1 metadata Meta · 2 spec IngressSpec
IngressSpec  1 defaultBackend Backend · 2 tls []IngressTls · 3 rules []IngressRule ·
    4 ingressClassName string
IngressTls   1 hosts []string · 2 secretName string
IngressRule  1 host string · 2 . RuleValue
RuleValue    1 http Http
Http         1 paths []Path
Path         1 path string · 2 backend Backend · 3 pathType string
Backend      4 service BackendService
BackendService 1 name string · 2 port BackendPort
BackendPort  1 name string · 2 number number
PodDisruptionBudget 1 metadata Meta · 2 spec BudgetSpec
BudgetSpec   1 minAvailable intstr · 2 selector Selector · 3 maxUnavailable intstr
"""
"""A message, then its fields: number, name, shape. `.`: the fields belong to the message around it;
`number?`: zero is said, not left out; `{}` maps strings to strings."""

Value = Any  # any JSON value
Raw = int | bytes


def decode(body: bytes) -> Obj:
    """The object in a body; raises 400 for what is no protobuf, 415 for what this does not read."""
    if not body.startswith(_MAGIC):
        raise bad_request("the body is not in Kubernetes' protobuf form: its first bytes differ")
    try:
        unknown = dict(_fields(body[len(_MAGIC) :]))
        named = _message("TypeMeta", _bytes(unknown[1]))
        obj = named | _message(named.get("kind", ""), _bytes(unknown[2]))
    except (IndexError, ValueError, KeyError) as error:
        raise bad_request(f"the body cannot be read as protobuf: {error!r}") from None
    return {"metadata": {}} | obj


def _tables() -> dict[str, dict[int, tuple[str, str]]]:
    found: dict[str, dict[int, tuple[str, str]]] = {}
    for line in _TABLE.replace(" ·\n", " ·").strip().splitlines():
        message, _, rest = line.partition(" ")
        fields = [field.split() for field in rest.split("·")]
        found[message] = {int(number): (name, shape) for number, name, shape in fields}
    return found


_MESSAGES = _tables()


def _message(message: str, data: bytes) -> Obj:
    if message not in _MESSAGES:
        raise _unread(f"objects of kind {message}")
    fields = _MESSAGES[message]
    obj: Obj = {}
    for number, raw in _fields(data):
        if number not in fields:
            if not _is_empty(raw):
                raise _unread(f"field {number} of {message}")
            continue
        name, shape = fields[number]
        value = _value(shape.removeprefix("[]"), raw)
        if shape.startswith("[]"):
            obj.setdefault(name, []).append(value)
        elif shape.startswith("{}"):
            obj.setdefault(name, {}).update(value)
        elif name == ".":
            obj |= value
        elif value not in ("", 0, {}) or shape == "number?":
            obj[name] = value
    return obj


def _value(shape: str, raw: Raw) -> Value:
    if shape in {"number", "number?"}:
        return raw
    data = _bytes(raw)
    if shape == "string":
        return data.decode()
    if shape == "intstr":
        parts = dict(_fields(data))
        return _bytes(parts.get(3, b"")).decode() if parts.get(1) else parts.get(2, 0)
    if shape.startswith("{}"):
        pair = dict(_fields(data))
        value = _bytes(pair.get(2, b""))
        shown = base64.b64encode(value) if shape == "{}bytes" else value
        return {_bytes(pair[1]).decode(): shown.decode()}
    return _message(shape, data)


def _fields(data: bytes) -> Iterator[tuple[int, Raw]]:
    """Numbers and raw values, as they stand on the wire; there are no other wire types."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        value, place = _varint(data, place)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2 and place + value <= len(data):
            yield key >> 3, data[place : place + value]
            place += value
        else:
            raise ValueError(f"byte {place} of a message")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place


def _is_empty(raw: Raw) -> bool:
    """True for zero, nothing, and messages of nothing else."""
    if isinstance(raw, int):
        return raw == 0
    try:
        return all(_is_empty(value) for _, value in _fields(raw))
    except (IndexError, ValueError):
        return False


def _bytes(raw: Raw) -> bytes:
    if isinstance(raw, int):
        raise ValueError("a number where bytes belong")  # noqa: TRY004  the body is wrong
    return raw


def _unread(what: str) -> ApiError:
    return unsupported(f"the lab does not read {what} in protobuf: send JSON (kubectl apply does)")
