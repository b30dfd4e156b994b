"""A cluster of any size as one JSON List, as `kubectl get -o json` prints it."""

import json
from typing import Any


def objects(services: int, endpoints: int, *, large: int = 0) -> list[dict[str, Any]]:
    """`services` ClusterIP services with slices of `endpoints`, and one headless one of `large`."""
    out: list[dict[str, Any]] = [{"kind": "Namespace", "metadata": {"name": "bench"}}]
    for at in range(services):
        out.append(service(f"svc-{at}", f"10.{96 + at // 65536}.{at >> 8 & 255}.{at & 255}"))
        out.append(slice_(f"svc-{at}", 0, [address(at * endpoints + n) for n in range(endpoints)]))
    out.append(service("fifteen", "None"))
    out.append(slice_("fifteen", 0, [address(0x80000 + n) for n in range(15)]))
    if large:
        out.append(service("large", "None"))
        for at in range(0, large, 100):
            whole = [address(0x90000 + n) for n in range(at, min(at + 100, large))]
            out.append(slice_("large", at, whole))
    return out


def address(number: int) -> str:
    """The number-th pod address of 10.128.0.0/9."""
    return f"10.{128 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def service(name: str, address: str) -> dict[str, Any]:
    """A service with one named port."""
    return {
        "kind": "Service", "metadata": {"name": name, "namespace": "bench"},
        "spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    }  # fmt: skip


def slice_(name: str, number: int, addresses: list[str]) -> dict[str, Any]:
    """A slice of ready endpoints."""
    return {
        "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": f"{name}-{number}", "namespace": "bench",
            "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }  # fmt: skip


def dump(items: list[dict[str, Any]]) -> str:
    """The List of these objects."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
