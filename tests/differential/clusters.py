"""A seed becomes a cluster: Kubernetes objects of every shape that DNS answers from.

EndpointSlices are always given and always the truth: there is no controller behind the API that
CoreDNS asks, so a selector without slices would be run by kdns alone.
"""

import copy
from dataclasses import dataclass, field
from random import Random
from typing import Any

Object = dict[str, Any]

NAMESPACES = ("default", "kube-system", "prod", "dev", "team-a", "svc", "pod", "a-b")
SERVICES = (
    "web", "api", "db", "kubernetes", "kube-dns", "a", "svc", "web-2", "http", "x1",
    "long-" + "n" * 58, "cache", "tcp", "dns",
)  # fmt: skip
PORTS = ("http", "https", "dns", "dns-tcp", "metrics", "a", "grpc-web")
HOSTS = ("web-0", "web-1", "db-0", "alpha", "n" * 63)
ZONES = ("eu-1a", "eu-1b", "Zone.with.dots", "us")
OUTSIDE = (
    "www.outside.test", "two.outside.test", "alias.outside.test", "alias2.outside.test", "v4.outside.test",
    "missing.outside.test", "dangling.outside.test", "servfail.outside.test", "refused.outside.test",
    "WWW.Outside.Test", "host.hosts.test", "nowhere.invalid", "mail.outside.test",
    "outside.test.", "zero.outside.test",
)  # fmt: skip
LABELS = ({}, {"env": "prod"}, {"env": "dev"}, {"env": "prod", "tier": "front"}, {"tier": "back"})
ADDRESSES = {
    "IPv4": ("10.0.0.1", "10.0.0.2", "10.0.1.3", "10.1.2.3", "172.16.0.9", "192.168.255.255"),
    "IPv6": ("fd00::1", "fd00::", "fd00:0:0:1::2:3", "fd00::10.0.0.1", "2001:db8::ffff", "fd00:a::b:0:c"),
}  # fmt: skip
BALANCED: tuple[list[Object], ...] = (
    [], [{"ip": "198.51.100.9"}], [{"ip": "198.51.100.9"}, {"ip": "2001:db8::98"}],
    [{"hostname": "www.outside.test"}], [{"hostname": "lb.nowhere.invalid"}, {"ip": "198.51.100.10"}],
)  # fmt: skip
"""What a load balancer says it has."""
CLUSTER_IPS = {
    "IPv4": tuple(f"10.96.{i}.{10 + i}" for i in range(40)),
    "IPv6": tuple(f"fd00:10::{i:x}" for i in range(1, 41)),
}


@dataclass
class Cluster:
    """The objects, and the ClusterIPs not used yet."""

    objects: list[Object] = field(default_factory=list)
    free: dict[str, list[str]] = field(
        default_factory=lambda: {family: list(all_) for family, all_ in CLUSTER_IPS.items()}
    )
    ghosts: set[str] = field(default_factory=set)
    """Namespaces that objects name but no Namespace object declares."""

    def of(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]


def defaulted(each: Object) -> Object:
    """The object as an API server gives it out: with the defaults that a manifest may leave out."""
    each = copy.deepcopy(each)
    for ports in (each.get("spec", {}).get("ports"), each.get("ports")):
        for port in ports or ():
            port.setdefault("protocol", "TCP")
    if each["kind"] == "Service" and each["spec"].get("clusterIP"):
        each["spec"].setdefault("clusterIPs", [each["spec"]["clusterIP"]])
    return each


def generate(rng: Random) -> Cluster:
    """A cluster of two to five namespaces."""
    cluster = Cluster()
    spaces = rng.sample(NAMESPACES, rng.randint(2, 5))
    if rng.random() < 0.12:
        cluster.ghosts.add(spaces[-1])
    for space in spaces:
        if space not in cluster.ghosts:
            cluster.objects.append(_object(rng, "v1", "Namespace", "", space, {}))
        for name in rng.sample(SERVICES, rng.randint(1, 7)):
            _service(rng, cluster, space, name)
        for i in range(rng.randint(0, 4)):
            cluster.objects.append(_pod(rng, space, f"pod-{i}"))
    if rng.random() < 0.7:
        for space in spaces:
            for name in rng.sample(SERVICES, rng.randint(0, 3)):
                _import(rng, cluster, space, name)
    rng.shuffle(cluster.objects)
    return cluster


def _object(
    rng: Random,
    group: str,
    kind: str,
    space: str,
    name: str,
    body: Object,
    labels: Object | None = None,
) -> Object:
    meta: Object = {"name": name}
    if space:
        meta["namespace"] = space
    chosen = {**rng.choice(LABELS), **(labels or {})}
    if chosen:
        meta["labels"] = chosen
    return {"apiVersion": group, "kind": kind, "metadata": meta, **body}


def _service(rng: Random, cluster: Cluster, space: str, name: str) -> None:
    shape = rng.choices(
        ("cluster", "dual", "headless", "external", "v6", "balancer"), (5, 3, 6, 4, 2, 2)
    )[0]
    spec: Object = {"type": "ClusterIP", "ports": _ports(rng)}
    if shape == "external":
        spec = {"type": "ExternalName", "externalName": _target(rng)}
        if rng.random() < 0.3:
            spec["ports"] = _ports(rng)
    elif shape == "headless":
        spec |= {"clusterIP": "None", "clusterIPs": ["None"]}
    else:
        families = {"dual": ["IPv4", "IPv6"], "v6": ["IPv6"]}.get(shape, ["IPv4"])
        rng.shuffle(families)
        spec["clusterIPs"] = [cluster.free[family].pop() for family in families]
        spec["clusterIP"] = spec["clusterIPs"][0]
        if shape == "cluster" and rng.random() < 0.3:
            del spec["clusterIPs"]
        if shape == "balancer":
            spec |= {"type": "LoadBalancer"} | rng.choice(
                (
                    {"externalIPs": ["198.51.100.7"]},
                    {"externalIPs": ["198.51.100.8", "2001:db8::99"]},
                    {},
                )
            )
    if not spec.get("ports") and rng.random() < 0.5:
        spec.pop("ports", None)
    status = {"loadBalancer": {"ingress": rng.choice(BALANCED)}} if shape == "balancer" else {}
    cluster.objects.append(
        _object(rng, "v1", "Service", space, name, {"spec": spec, "status": status})
    )
    if shape != "external" or rng.random() < 0.2:
        for i in range(rng.choice((0, 1, 1, 1, 2, 3))):
            label = {"kubernetes.io/service-name": name}
            cluster.objects.append(_slice(rng, space, f"{name}-{i}", label, spec.get("ports")))


def _ports(rng: Random) -> list[Object]:
    count = rng.choice((0, 1, 1, 1, 2, 3))
    if count == 1 and rng.random() < 0.3:
        return [_port(rng, None)]
    return [_port(rng, name) for name in rng.sample(PORTS, count)]


def _port(rng: Random, name: str | None) -> Object:
    port: Object = {"port": rng.choice((53, 80, 443, 8080, 65535))}
    if name is not None:
        port["name"] = name
    protocol = rng.choice(("TCP", "TCP", "UDP", "SCTP", None))
    return {**port, "protocol": protocol} if protocol else port


def _target(rng: Random) -> str:
    """Where an ExternalName points: in the cluster (there or not, a loop or not), outside, an IP."""
    kind = rng.random()
    if kind < 0.5:
        name = f"{rng.choice(SERVICES)}.{rng.choice(NAMESPACES)}.svc.cluster.local"
        return name + rng.choice(("", "", "."))
    if kind < 0.55:
        return rng.choice(("web-0.web.default.svc.cluster.local", "Web.Default.SVC.cluster.local"))
    if kind < 0.6:
        return rng.choice(("192.0.2.1", "2001:db8::1", "10-0-0-1.default.pod.cluster.local"))
    return rng.choice(OUTSIDE)


def _slice(
    rng: Random, space: str, name: str, labels: Object, ports: list[Object] | None
) -> Object:
    family = rng.choices(("IPv4", "IPv6", "FQDN"), (6, 4, 0.3))[0]
    body: Object = {"addressType": family}
    body["endpoints"] = [_endpoint(rng, family) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    mine = [
        {"name": port.get("name", ""), "port": rng.choice((port["port"], 9090))}
        | ({"protocol": port["protocol"]} if "protocol" in port else {"protocol": "TCP"})
        for port in ports or []
        if rng.random() < 0.9
    ]
    if mine or rng.random() < 0.5:
        body["ports"] = mine
    return _object(rng, "discovery.k8s.io/v1", "EndpointSlice", space, name, body, labels)


def _endpoint(rng: Random, family: str) -> Object:
    pool = ADDRESSES.get(family, ("host.example.org",))
    endpoint: Object = {"addresses": [rng.choice(pool)]}
    if rng.random() < 0.5:
        ready = rng.choice((True, True, False, None))
        endpoint["conditions"] = {} if ready is None else {"ready": ready}
        if rng.random() < 0.3:
            endpoint["conditions"] |= {"serving": True, "terminating": not ready}
    if rng.random() < 0.35:
        endpoint["hostname"] = rng.choice(HOSTS)
    if rng.random() < 0.5:
        pod = rng.choice(("pod-0", "pod-1", "web-5d9c-x", "p" * 63, "p" * 64))
        endpoint["targetRef"] = {"kind": "Pod", "name": pod}
    if rng.random() < 0.5:
        endpoint["zone"] = rng.choice(ZONES)
    return endpoint


def _pod(rng: Random, space: str, name: str) -> Object:
    phase = rng.choice(("Running", "Running", "Running", "Pending", "Succeeded", "Failed"))
    status: Object = {"phase": phase}
    ips = [rng.choice(ADDRESSES["IPv4"]), rng.choice(ADDRESSES["IPv6"])][: rng.choice((0, 1, 2))]
    rng.shuffle(ips)
    if ips:
        status |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    pod = _object(rng, "v1", "Pod", space, name, {"spec": {"containers": []}, "status": status})
    if rng.random() < 0.1:
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return pod


def _import(rng: Random, cluster: Cluster, space: str, name: str) -> None:
    """A ServiceImport with the slices that several clusters of the set export."""
    ports = [port for port in _ports(rng) if "name" in port]
    spec: Object = {"type": rng.choice(("ClusterSetIP", "Headless")), "ports": ports}
    if spec["type"] == "ClusterSetIP":
        spec["ips"] = [cluster.free["IPv4"].pop()]
        if rng.random() < 0.3:
            spec["ips"].append(cluster.free["IPv6"].pop())
    group = "multicluster.x-k8s.io/v1alpha1"
    cluster.objects.append(_object(rng, group, "ServiceImport", space, name, {"spec": spec}))
    for of in rng.sample(("one", "two", "three"), rng.randint(0, 2)):
        labels = {
            "multicluster.kubernetes.io/service-name": name,
            "multicluster.kubernetes.io/source-cluster": of,
        }
        cluster.objects.append(_slice(rng, space, f"import-{name}-{of}", labels, ports))
