"""Services and pods become endpoints: which pods, on which ports, in which condition, and why.

The rules of the endpoint controllers of Kubernetes: a pod without an address or that has finished
is none; one that terminates is not ready, though it may serve; a hostname counts only in the
service that the pod names as its subdomain; a port whose name the pod lacks is left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from kdns.lab.controllers.bodies import (
    has_all,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)
from kdns.lab.controllers.slices import Group, Ports, freeze
from kdns.lab.errors import Obj

ZONE = "topology.kubernetes.io/zone"
TOLERATES_UNREADY = "service.alpha.kubernetes.io/tolerate-unready-endpoints"


def has_selector(service: Obj) -> bool:
    """True when its endpoints are made from pods."""
    spec = spec_of(service)
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def is_headless(service: Obj) -> bool:
    """True for a service that has no address of its own."""
    return spec_of(service).get("clusterIP") == "None"


def families_of(service: Obj) -> list[str]:
    """The address families of its endpoints, as slices write them."""
    return [str(one) for one in spec_of(service).get("ipFamilies") or ["IPv4"]]


def selected(service: Obj, pods: Iterable[Obj]) -> list[Obj]:
    """The pods whose labels it selects, by name."""
    wanted = spec_of(service)["selector"]
    return sorted((pod for pod in pods if has_all(labels_of(pod), wanted)), key=name_of)


def addresses_of(pod: Obj) -> dict[str, str]:
    """A pod's address of each family."""
    status = status_of(pod)
    texts = [one["ip"] for one in status.get("podIPs") or ()] or [status.get("podIP")]
    return {f"IPv{ip_address(text).version}": text for text in reversed(texts) if text}


def groups_of(
    service: Obj, pods: Iterable[Obj], zones: Mapping[str, str]
) -> dict[Group, list[Obj]]:
    """The endpoints of a service with a selector; `zones` are those of the nodes.

    A family without endpoints has one group that is empty.
    """
    groups: dict[Group, list[Obj]] = {}
    members = [pod for pod in selected(service, pods) if not is_finished(pod)]
    for family in families_of(service):
        for pod in members:
            address = addresses_of(pod).get(family)
            if address:
                group = Group(family, freeze(ports_of(service, pod)))
                groups.setdefault(group, []).append(endpoint(service, pod, address, zones))
        if not any(group.family == family for group in groups):
            groups[Group(family, ())] = []
    return groups


def endpoint(service: Obj, pod: Obj, address: str, zones: Mapping[str, str]) -> Obj:
    """A pod as an endpoint of a slice."""
    serving, terminating = is_ready(pod), is_terminating(pod)
    ready = shows_unready(service) or (serving and not terminating)
    made: Obj = {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": reference(pod),
    }
    if hostname := hostname_in(service, pod):
        made["hostname"] = hostname
    if node := spec_of(pod).get("nodeName"):
        made["nodeName"] = node
        if zone := zones.get(node):
            made["zone"] = zone
    return made


def shows_unready(service: Obj) -> bool:
    """True when its pods count before they are ready."""
    annotations = service["metadata"].get("annotations") or {}
    return bool(spec_of(service).get("publishNotReadyAddresses")) or (
        annotations.get(TOLERATES_UNREADY) == "true"
    )


def reference(pod: Obj) -> Obj:
    """What an endpoint says of its pod."""
    return {
        "kind": "Pod",
        "namespace": namespace_of(pod),
        "name": name_of(pod),
        "uid": uid_of(pod),
    }


def hostname_in(service: Obj, pod: Obj) -> str:
    """The hostname that a pod has in the names of a service, if any."""
    spec = spec_of(pod)
    return str(spec.get("hostname") or "") if spec.get("subdomain") == name_of(service) else ""


def ports_of(service: Obj, pod: Obj) -> list[Obj]:
    """The service's ports as they are on a pod."""
    found = []
    for port in spec_of(service).get("ports") or ():
        number = target_of(port, pod)
        if number is None:
            continue
        one = {"name": port.get("name", ""), "port": number,
               "protocol": port.get("protocol", "TCP")}  # fmt: skip
        if port.get("appProtocol"):
            one["appProtocol"] = port["appProtocol"]
        found.append(one)
    return found


def target_of(port: Obj, pod: Obj) -> int | None:
    """The number a service's port leads to on a pod; None when the pod lacks that name."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target or int(port["port"])
    protocol = port.get("protocol", "TCP")
    for one in _container_ports(pod):
        if one.get("name") == target and one.get("protocol", "TCP") == protocol:
            return int(one["containerPort"])
    return None


def _container_ports(pod: Obj) -> Iterable[Obj]:
    spec = spec_of(pod)
    sidecars = [
        one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"
    ]
    for container in [*sidecars, *(spec.get("containers") or ())]:
        yield from container.get("ports") or ()


def subsets_of(service: Obj, pods: Iterable[Obj]) -> list[Obj]:
    """The subsets of the Endpoints object, of the service's first family."""
    family = families_of(service)[0]
    found: dict[Ports, tuple[list[Obj], list[Obj]]] = {}
    for pod in selected(service, pods):
        address = addresses_of(pod).get(family)
        is_leaving = is_terminating(pod) and not shows_unready(service)
        if not address or is_finished(pod) or is_leaving:
            continue
        ports = ports_of(service, pod)
        if spec_of(service).get("ports") and not ports:
            continue  # slices show it all the same
        ready, waiting = found.setdefault(freeze(ports), ([], []))
        is_shown = is_ready(pod) or shows_unready(service)
        (ready if is_shown else waiting).append(_address(service, pod, address))
    return [_subset(ports, *parts) for ports, parts in sorted(found.items(), key=repr)]


def _address(service: Obj, pod: Obj, address: str) -> Obj:
    made: Obj = {"ip": address}
    if hostname := hostname_in(service, pod):
        made["hostname"] = hostname
    if node := spec_of(pod).get("nodeName"):
        made["nodeName"] = node
    return {**made, "targetRef": reference(pod)}


def _subset(ports: Ports, ready: Sequence[Obj], waiting: Sequence[Obj]) -> Obj:
    subset: Obj = {}
    if ready:
        subset["addresses"] = sorted(ready, key=lambda one: ip_address(one["ip"]))
    if waiting:
        subset["notReadyAddresses"] = sorted(waiting, key=lambda one: ip_address(one["ip"]))
    if ports:
        subset["ports"] = [{key: value for key, value in port if value != ""} for port in ports]
    return subset


class News(NamedTuple):
    """A change of a service's endpoints, in words."""

    is_good: bool
    text: str


def news(before: Iterable[Obj], after: Iterable[Obj], pods: Iterable[Obj]) -> list[News]:
    """What became of the endpoints of a service, and why; one line for each address."""
    old, new = _by_address(before), _by_address(after)
    named = {name_of(pod): pod for pod in pods}
    lines = []
    for address in sorted(old.keys() | new.keys(), key=_order):
        is_up, was_up = _is_ready(new.get(address)), _is_ready(old.get(address))
        if is_up == was_up and (is_up or address not in new or address in old):
            continue  # what was not ready may go without a word
        who = ((new.get(address) or old[address]).get("targetRef") or {}).get("name", "")
        where = f"{address} (pod {who})" if who else address
        verb, why = _told(old.get(address), new.get(address), named.get(who))
        lines.append(News(is_up, f"{where} {verb}: {why}"))
    return lines


def _order(address: str) -> tuple[int, int]:
    found = ip_address(address)
    return found.version, int(found)


def _by_address(endpoints: Iterable[Obj]) -> dict[str, Obj]:
    return {address: one for one in endpoints for address in one["addresses"][:1]}


def _is_ready(one: Obj | None) -> bool:
    return one is not None and (one.get("conditions") or {}).get("ready") is not False


def _told(old: Obj | None, new: Obj | None, pod: Obj | None) -> tuple[str, str]:
    target = (new or old or {}).get("targetRef")
    if not target:
        return ("removed" if new is None else "added"), "its author wrote it so"
    if new is None:
        return "removed", _why_gone(pod)
    if _is_ready(new):
        return ("added", "it is ready") if old is None else ("added", "became ready")
    if new["conditions"].get("terminating"):
        return "removed", "the pod is being deleted"
    return ("is not added", "not ready yet") if old is None else ("removed", "became not ready")


def _why_gone(pod: Obj | None) -> str:
    if pod is None:
        return "the pod is gone"
    if is_finished(pod):
        return f"the pod has finished ({status_of(pod)['phase']})"
    return "selector and labels do not match any more"
