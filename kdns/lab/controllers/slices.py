"""EndpointSlices of one service: groups of endpoints in, the fewest changes to its slices out.

A group is one address family and one set of ports. An endpoint stays in the slice it is in; new
ones go to a slice that changes anyway, then to one with room, then to a new one. A slice that would
be deleted is written over where a new one is needed, so that names last.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kdns.lab.controllers.bodies import annotations_of, labels_of, name_of
from kdns.lab.errors import Obj

MAX_ENDPOINTS = 100
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
HEADLESS = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"

Ports = tuple[tuple[tuple[str, Any], ...], ...]  # Any: names and numbers


class Group(NamedTuple):
    """What the endpoints of one slice share."""

    family: str
    ports: Ports


class Frame(NamedTuple):
    """What all slices of a service say beside their endpoints."""

    namespace: str
    prefix: str
    labels: Mapping[str, str]
    owner: Obj
    annotations: Mapping[str, str] = {}


class Plan(NamedTuple):
    """What is to be written."""

    create: list[Obj]
    update: list[Obj]
    delete: list[Obj]


def freeze(ports: Sequence[Obj]) -> Ports:
    """Ports as a part of a group, in one order."""
    return tuple(sorted((tuple(sorted(port.items())) for port in ports), key=repr))


def plan(
    frame: Frame,
    groups: Mapping[Group, Sequence[Obj]],
    existing: Sequence[Obj],
    *,
    now: str,
    suffix: Callable[[], str],
) -> Plan:
    """What makes `existing` hold exactly the endpoints of the groups; `now` is noted if given."""
    by_group: dict[Group, list[Obj]] = {group: [] for group in groups}
    unwanted: list[Obj] = []
    for one in sorted(existing, key=name_of):
        by_group.get(group_of(one), unwanted).append(one)
    create: list[Obj] = []
    update: list[Obj] = []
    for group, slices in by_group.items():
        kept, new, empty = _distribute(groups[group], slices)
        unwanted += empty
        update += [
            _written(frame, one, group, endpoints, now)
            for one, endpoints in kept
            if endpoints != (one.get("endpoints") or []) or not _is_framed(one, frame)
        ]
        create += [_new(frame, group, part, now, suffix) for part in new]
    return _recycled(frame, Plan(create, update, unwanted), now)


def group_of(one: Obj) -> Group:
    """The group a slice belongs to."""
    return Group(one["addressType"], freeze(one.get("ports") or ()))


def identity(endpoint: Obj) -> tuple[object, ...]:
    """What stays the same about an endpoint while its conditions change."""
    target = endpoint.get("targetRef") or {}
    return (
        tuple(endpoint["addresses"]),
        endpoint.get("hostname", ""),
        target.get("namespace", ""),
        target.get("name", ""),
    )


Kept = list[tuple[Obj, list[Obj]]]


def _distribute(
    endpoints: Sequence[Obj], slices: Sequence[Obj]
) -> tuple[Kept, list[list[Obj]], list[Obj]]:
    """Slices with what they are to hold, parts for new ones, and slices left without any."""
    waiting = {identity(one): one for one in endpoints}
    holds: list[tuple[Obj, list[Obj]]] = []
    for one in slices:
        old = [identity(endpoint) for endpoint in one.get("endpoints") or ()]
        holds.append((one, [waiting.pop(key) for key in old if key in waiting]))
    rest = list(waiting.values())
    # Those that change anyway come first, then the fullest.
    order = sorted(holds, key=lambda hold: (hold[1] == (hold[0].get("endpoints") or []),
                                            -len(hold[1])))  # fmt: skip
    for _, held in order:
        room = MAX_ENDPOINTS - len(held)
        held.extend(rest[:room])
        del rest[:room]
    parts = [rest[at : at + MAX_ENDPOINTS] for at in range(0, len(rest), MAX_ENDPOINTS)]
    kept = [(one, held) for one, held in holds if held]
    empty = [one for one, held in holds if not held]
    if not endpoints:  # one without endpoints says that there are none
        kept, empty = [(one, []) for one in empty[:1]], empty[1:]
        parts = [] if kept else [[]]
    return kept, parts, empty


def _is_framed(one: Obj, frame: Frame) -> bool:
    found = {k: v for k, v in annotations_of(one).items() if k != TRIGGER_TIME}
    return labels_of(one) == frame.labels and found == frame.annotations


def _new(
    frame: Frame, group: Group, endpoints: Sequence[Obj], now: str, suffix: Callable[[], str]
) -> Obj:
    empty = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": frame.namespace,
            "name": f"{frame.prefix[:57]}-{suffix()}",
            "generateName": f"{frame.prefix}-",
            "ownerReferences": [frame.owner],
        },
    }
    return _written(frame, empty, group, endpoints, now)


def _written(frame: Frame, one: Obj, group: Group, endpoints: Sequence[Obj], now: str) -> Obj:
    metadata = {
        **one["metadata"],
        "labels": dict(frame.labels),
        "annotations": {**frame.annotations, **({TRIGGER_TIME: now} if now else {})},
    }
    return {
        **one,
        "metadata": metadata,
        "addressType": group.family,
        "endpoints": list(endpoints),
        "ports": [dict(port) for port in group.ports],
    }


def _recycled(frame: Frame, plan: Plan, now: str) -> Plan:
    """New slices written over unwanted ones of the same family."""
    create, update, delete = [], list(plan.update), list(plan.delete)
    for new in plan.create:
        old = next((one for one in delete if one["addressType"] == new["addressType"]), None)
        if old is None:
            create.append(new)
            continue
        delete.remove(old)
        update.append(_written(frame, old, group_of(new), new["endpoints"], now))
    return Plan(create, update, delete)
