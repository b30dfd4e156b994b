"""Hand-made Endpoints become EndpointSlices, as the endpointslice-mirroring controller makes them.

Only those of services without a selector, unless their author says that they are not to be copied;
also those that our own controller left when a service lost its selector.
"""

from ipaddress import ip_address

from kdns.lab.controllers.bodies import labels_of
from kdns.lab.controllers.slices import Group, freeze
from kdns.lab.errors import Obj

MIRRORING = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
MADE_BY_US = "endpoints.kubernetes.io/managed-by"


def is_mirrored(endpoints: Obj) -> bool:
    """True unless it must not be copied."""
    return labels_of(endpoints).get(SKIP) != "true"


def groups_of(endpoints: Obj) -> dict[Group, list[Obj]]:
    """The addresses of an Endpoints object as endpoints of slices."""
    groups: dict[Group, list[Obj]] = {}
    for subset in endpoints.get("subsets") or ():
        ports = freeze([_port(port) for port in subset.get("ports") or ()])
        for field, is_ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or ():
                group = Group(f"IPv{ip_address(address['ip']).version}", ports)
                groups.setdefault(group, []).append(_endpoint(address, is_ready=is_ready))
    return groups


def _port(port: Obj) -> Obj:
    one = {"name": port.get("name", ""), "port": port["port"],
           "protocol": port.get("protocol", "TCP")}  # fmt: skip
    return {**one, "appProtocol": port["appProtocol"]} if port.get("appProtocol") else one


def _endpoint(address: Obj, *, is_ready: bool) -> Obj:
    made: Obj = {"addresses": [address["ip"]], "conditions": {"ready": is_ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            made[field] = address[field]
    return made
