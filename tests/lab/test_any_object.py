"""Whatever fits the schema is stored or refused, and shown: no kind trips over what is left out."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from kdns.lab import resources, schema
from kdns.lab.errors import ApiError
from tests.lab.test_kinds import read, storage

KINDS = [one for one in resources.RESOURCES if schema.type_of(one.api_version, one.kind)]
WORDS = (
    "", "a", "web", "A_b", "None", "10.0.0.1", "fd00::1", "TCP", "ExternalName", "NodePort", "Always",
    "LoadBalancer", "ClientIP", "Local", "IPv4", "IPv6", "RequireDualStack", "PreferDualStack",
    "Recreate", "x" * 70, "In", "Exists",
)  # fmt: skip
SCALARS: dict[str, Callable[[random.Random], Any]] = {
    "string": lambda chance: chance.choice(WORDS),
    "bytes": lambda _: "AQI=",
    "bool": lambda chance: chance.random() < 0.5,
    "int32": lambda chance: chance.choice([0, 1, -1, 80, 70000, 30000]),
    "int64": lambda chance: chance.choice([0, 1, -5]),
    "intstr": lambda chance: chance.choice([0, 80, "http", "25%", ""]),
    "time": lambda _: "2020-01-01T00:00:00Z",
    "microtime": lambda _: "2020-01-01T00:00:00.000000Z",
    "quantity": lambda _: "1",
    "float": lambda _: 1.0,
    "any": lambda _: {},
}


def value(chance: random.Random, shape: str, depth: int) -> Any:
    """Something of a shape, or null."""
    if chance.random() < 0.05:
        return None
    if shape.startswith("[]"):
        return [value(chance, shape[2:], depth + 1) for _ in range(chance.choice([0, 1, 1, 2]))]
    if shape.startswith("{}"):
        keys = chance.sample(WORDS, chance.choice([0, 1, 2]))
        return {key: value(chance, shape[2:], depth + 1) for key in keys}
    kind = schema.types().get(shape)
    return members(chance, kind, depth + 1) if kind else SCALARS[shape](chance)


def members(chance: random.Random, kind: schema.Type, depth: int) -> dict[str, Any]:
    """Some of a type's fields, fewer the deeper it lies."""
    fields = list(kind.fields.values())
    share = 0.9 if depth < 2 else min(0.5, 6 / (len(fields) + 1)) if depth < 6 else 0.1
    found = {}
    for field in fields:
        if chance.random() < share:
            known = field.values and chance.random() < 0.8
            found[field.name] = (
                chance.choice(field.values) if known else value(chance, field.shape, depth)
            )
    return found


def anything(chance: random.Random, resource: resources.Resource, name: str) -> dict[str, Any]:
    kind = schema.type_of(resource.api_version, resource.kind)
    assert kind is not None
    found = members(chance, kind, 0)
    given = found.get("metadata") or {}
    kept = {key: one for key, one in given.items() if chance.random() < 0.3}
    for key in ("finalizers", "managedFields", "uid", "resourceVersion"):
        kept.pop(key, None)
    metadata = kept | {"name": name, "namespace": "lab-record"}
    return found | {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": metadata,
    }


@pytest.mark.parametrize("resource", KINDS, ids=lambda one: one.plural)
def test_any_object_is_stored_or_refused(resource: resources.Resource) -> None:
    chance, there = random.Random(resource.plural), storage()
    inside = "lab-record" if resource.is_namespaced else ""
    for number in range(25):
        name = f"a{number}"
        try:
            there.create(resource, inside, read(anything(chance, resource, name)))
            second = read(anything(chance, resource, name))
            for part in ("", "status") if resource.has_status else ("",):
                there.update(resource, inside, name, second, part=part)
        except ApiError:
            pass
    for obj in there.list(resource, inside):
        assert len(resource.rules.cells(obj, 1.8e9)) == len(resource.rules.columns)
        assert all(isinstance(text, str) for text in resource.rules.fields(obj).values())


@pytest.mark.parametrize("target", [[], {}, [80]])
def test_a_target_port_that_is_no_port_is_refused(target: object) -> None:
    spec = {"ports": [{"port": 80, "targetPort": target}]}
    with pytest.raises(ApiError, match="targetPort: Invalid value"):
        storage().create(
            resources.SERVICES, "lab-record", {"metadata": {"name": "a"}, "spec": spec}
        )
