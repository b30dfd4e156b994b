"""What a cluster has from the start: namespaces, three nodes in three zones, the API's service."""

from kdns.lab.controllers.desk import Desk
from kdns.lab.controllers.slices import SERVICE_NAME
from kdns.lab.errors import Obj
from kdns.lab.ranges import Ranges
from kdns.lab.resources import ENDPOINTS, NAMESPACES, NODES, SERVICES, SLICES, Resource
from kdns.lab.rights import defaults

SPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
ZONES = ("a", "b", "c")
API_PORT = 6443
VERSION = "v1.34.0"


def furnish(desk: Desk) -> None:
    """Makes what is missing of it."""
    ranges = desk.storage.ranges
    for resource, obj in [
        *((NAMESPACES, space(name)) for name in SPACES),
        *((NODES, node(at, zone, desk.now(), ranges)) for at, zone in enumerate(ZONES, 1)),
        (SERVICES, service(str(ranges.services[1]))),
        (ENDPOINTS, endpoints(ranges.api)),
        (SLICES, slice_(ranges.api)),
    ]:
        _ensure(desk, resource, obj)
    defaults.furnish(desk.storage)


def _ensure(desk: Desk, resource: Resource, obj: Obj) -> None:
    metadata = obj["metadata"]
    if desk.storage.find(resource, metadata.get("namespace", ""), metadata["name"]) is None:
        desk.create(obj)


def space(name: str) -> Obj:
    """A namespace."""
    labels = {"kubernetes.io/metadata.name": name}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
        "spec": {"finalizers": ["kubernetes"]},
    }


def node(number: int, zone: str, now: str, ranges: Ranges) -> Obj:
    """A node that is ready, with the Nth of the ranges for its pods."""
    name, address = f"node-{zone}", str(ranges.nodes[10 + number])
    pods = ranges.pod_ranges(number)
    capacity = {"cpu": "4", "memory": "8Gi", "pods": "250"}
    kept = {"lastHeartbeatTime": now, "lastTransitionTime": now}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/region": "lab",
                "topology.kubernetes.io/zone": zone,
            },
        },
        "spec": {"podCIDR": pods[0], "podCIDRs": pods},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "the lab plays this node",
                    **kept,
                }
            ],
            "nodeInfo": {
                "kubeletVersion": VERSION,
                "osImage": "kdns lab",
                "operatingSystem": "linux",
                "architecture": "amd64",
                "kernelVersion": "played",
                "containerRuntimeVersion": "played://1",
                "kubeProxyVersion": "",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        },
    }


_KUBERNETES: dict[str, str] = {"namespace": "default", "name": "kubernetes"}


def service(address: str) -> Obj:
    """The API server's own service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            **_KUBERNETES,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": address,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": API_PORT}],
        },
    }


def endpoints(address: str) -> Obj:
    """Its Endpoints, which nobody mirrors: the API server writes the slice too."""
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            **_KUBERNETES,
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [
            {
                "addresses": [{"ip": address}],
                "ports": [{"name": "https", "port": API_PORT, "protocol": "TCP"}],
            }
        ],
    }


def slice_(address: str) -> Obj:
    """Its slice."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            **_KUBERNETES,
            "labels": {
                SERVICE_NAME: "kubernetes",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": API_PORT, "protocol": "TCP"}],
    }
