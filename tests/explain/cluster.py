"""A small cluster in the embedded control plane, for gatherings from outside and inside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kdns.cluster.api.connection import Access
from kdns.lab.faults import Fault
from kdns.lab.lab import Lab
from kdns.lab.resources import NAMESPACES, PODS, POLICIES, SERVICES, SLICES, Resource

ZONES = ("cluster.local.",)
WEB = "web.shop.svc.cluster.local."
DENY = {"podSelector": {}, "policyTypes": ["Ingress"]}
SPEC = {"containers": [{"name": "c", "image": "i"}]}
FROM_LABEL = "kubernetes.io/service-name"
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"


def create(lab: Lab, resource: Resource, space: str, name: str, **body: Any) -> None:
    """Stores an object."""
    meta = {"name": name, **body.pop("metadata", {})}
    made = lab.storage.create(resource, space, {"metadata": meta, **body})
    if "status" in body:
        lab.storage.update(resource, space, name, made | {"status": body["status"]}, part="status")


def service(lab: Lab, key: str, ip: str = "", **spec: Any) -> None:
    """Stores a service that selects app=NAME."""
    space, _, name = key.partition("/")
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    spec = {"selector": {"app": name}, "ports": ports, "type": "ClusterIP"} | spec
    if ip:
        spec |= {"clusterIP": ip, "clusterIPs": [ip]}
    create(lab, SERVICES, space, name, spec=spec)


def pod(lab: Lab, key: str, address: str, *, app: str, is_ready: bool = True) -> None:
    """Stores a pod that runs."""
    space, _, name = key.partition("/")
    ready = {"type": "Ready", "status": str(is_ready), "lastTransitionTime": "2026-11-21T10:00:00Z"}
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    create(
        lab, PODS, space, name,
        metadata={"labels": {"app": app}},
        spec=SPEC | {"nodeName": "n1"},
        status=status | {"conditions": [ready]},
    )  # fmt: skip


def slice_(lab: Lab, key: str, *addresses: str, unready: str = "", number: int = 0) -> None:
    """Stores a slice of a service."""
    space, _, name = key.partition("/")
    create(
        lab, SLICES, space, f"{name}-{number}",
        metadata={
            "labels": {FROM_LABEL: name}, "annotations": {TRIGGER: "2026-11-21T10:00:01Z"},
        },
        addressType="IPv4",
        endpoints=[
            {"addresses": [one], "conditions": {"ready": one != unready}} for one in addresses
        ],
        ports=[{"name": "http", "port": 8080, "protocol": "TCP"}],
    )  # fmt: skip


def fill(lab: Lab) -> None:
    """The cluster: shop/web with two pods, db/sql, an alias, the cluster's DNS, a policy."""
    for name in ("shop", "db"):
        lab.storage.create(NAMESPACES, "", {"metadata": {"name": name}})
    service(lab, "shop/web", "10.96.0.1")
    service(lab, "db/sql", "10.96.0.2")
    service(lab, "kube-system/kube-dns", "10.96.0.10")
    create(
        lab, SERVICES, "shop", "alias",
        spec={"type": "ExternalName", "externalName": "sql.db.svc.cluster.local"},
    )  # fmt: skip
    pod(lab, "shop/web-0", "10.0.0.1", app="web")
    pod(lab, "shop/web-1", "10.0.0.2", app="web", is_ready=False)
    pod(lab, "db/sql-0", "10.0.0.3", app="sql")
    slice_(lab, "shop/web", "10.0.0.1", "10.0.0.2", unready="10.0.0.2")
    slice_(lab, "db/sql", "10.0.0.3")
    create(lab, POLICIES, "shop", "deny", spec=DENY)
    dns = {"labels": {"k8s-app": "kube-dns"}}
    create(lab, PODS, "kube-system", "dns-0", metadata=dns, spec=SPEC)
    create(lab, PODS, "kube-system", "etcd-0", spec=SPEC)


@asynccontextmanager
async def filled() -> AsyncIterator[Lab]:
    """The lab with this cluster in it."""
    async with Lab(has_controllers=False, is_open=True) as lab:
        fill(lab)
        yield lab


def access(lab: Lab) -> Access:
    """How anybody gets there."""
    return Access(endpoint=lab.url)


def forbid(lab: Lab, resource: str, namespace: str = "") -> Fault:
    """What RBAC says where the rule is missing."""
    fault = Fault("refuse", resource=resource, namespace=namespace, code=403, reason="Forbidden")
    return lab.faults.add(fault)


def counted(lab: Lab, resource: str) -> Fault:
    """Counts the requests for a resource (`hits`)."""
    return lab.faults.add(Fault("delay", resource=resource, delay_s=0.05))
