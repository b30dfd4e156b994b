"""The objects the suite asks about, as manifests: services without selectors, and their slices.

No pod runs for them. Addresses come from ranges that are for tests (RFC 2544, RFC 3849), a part of
them per run, so that two runs in one cluster do not meet in reverse names.
"""

from dataclasses import dataclass

from kdns.conformance.objects import SERVICE_NAME, Body

LABELS = {"app.kubernetes.io/managed-by": "kdns-conformance"}
NAMESPACE = "kdns-conformance"
BIG = 60
"""Endpoints of each of the two slices of `many`: more than 512 octets, and more than 1232."""
LONG = "a" * 62 + "z"
"""A service name as long as a label may be."""
OUTSIDE = "target.kdns-conformance.example"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the objects of one run are made, and from which addresses."""

    namespace: str
    part: int
    """0 to 511."""
    zone: str

    def v4(self, number: int) -> str:
        """An address of 198.18.0.0/15, in this run's 256."""
        return f"198.{18 + self.part // 256}.{self.part % 256}.{number}"

    def v6(self, number: int) -> str:
        """An address of 2001:db8::/32."""
        return f"2001:db8:{self.part + 1:x}::{number:x}"  # a zero would not be canonical text


def bodies(place: Place) -> list[Body]:
    """Everything, the namespace first."""
    return [namespace(place.namespace), *services(place), *slices(place)]


def namespace(name: str) -> Body:
    """The namespace, by whose label a later run finds what a killed one left."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": LABELS}}


def services(place: Place) -> list[Body]:
    """One service for each shape that the clauses speak of."""
    http, metrics = port("http", 80), port("metrics", 9090)
    named = [http, metrics, port("dns", 53, "UDP")]

    def made(name: str, **spec: object) -> Body:
        return service(place, name, **spec)

    return [
        made("web", ports=named, ipFamilyPolicy="PreferDualStack"),
        made("bare", ports=[port("", 80)]),
        made("head", ports=[http, port("peer", 7000, "UDP")], clusterIP="None"),
        made("plain", ports=[port("", 80)], clusterIP="None"),
        made("idle", ports=[http], clusterIP="None"),
        made("void", ports=[http], clusterIP="None"),
        made("many", ports=[http], clusterIP="None"),
        made("outside", type="ExternalName", externalName=OUTSIDE),
        made("alias", type="ExternalName", externalName=f"web.{place.namespace}.svc.{place.zone}"),
        made(LONG, ports=[http]),
        made("found", ports=[http], ipFamilyPolicy="PreferDualStack"),
    ]


def service(place: Place, name: str, **spec: object) -> Body:
    """A service of this run."""
    return _object(place, "v1", "Service", name) | {"spec": spec}


def port(name: str, number: int, protocol: str = "TCP") -> Body:
    """A port; unnamed when the name is empty."""
    numbered: Body = {"port": number, "protocol": protocol}
    return {"name": name, **numbered} if name else numbered


def slices(place: Place) -> list[Body]:
    """The endpoints of those services."""
    http, peer, plain = port("http", 80), port("peer", 7000, "UDP"), port("", 80)
    v4, v6 = place.v4, place.v6
    leaving = endpoint(v4(4), "gamma") | {
        "conditions": {"ready": False, "serving": True, "terminating": True}
    }
    unset: Body = {"addresses": [v4(7)]}
    head = [
        endpoint(v4(1), "alpha"), endpoint(v4(2), "beta"), endpoint(v4(3)), leaving,
        endpoint(v4(5), "twin"), endpoint(v4(6), "twin"), unset,
    ]  # fmt: skip
    second = [endpoint(v6(1), "alpha"), endpoint(v6(2), "beta"), endpoint(v6(3))]
    # The last of the first slice is the first of the second one, as when an endpoint is moved.
    first_half = [endpoint(v4(number)) for number in range(100, 100 + BIG)]
    second_half = [endpoint(v4(number)) for number in range(99 + BIG, 99 + 2 * BIG)]
    return [
        slice_(place, "web", [http], [endpoint(v4(11)), endpoint(v4(12))]),
        slice_(place, "head", [http, peer], head),
        slice_(place, "head", [http, peer], second, suffix="6"),
        slice_(place, "plain", [plain], [endpoint(v4(21)), endpoint(v4(22))]),
        slice_(place, "idle", [http], [endpoint(v4(31), "waits", is_ready=False)]),
        slice_(place, "many", [http], first_half, suffix="a"),
        slice_(place, "many", [http], second_half, suffix="b"),
    ]


def endpoint(address: str, hostname: str = "", *, is_ready: bool = True) -> Body:
    """An endpoint of a slice."""
    made: Body = {"addresses": [address], "conditions": {"ready": is_ready}}
    return made | {"hostname": hostname} if hostname else made


def slice_(
    place: Place, owner: str, ports: list[Body], endpoints: list[Body], *, suffix: str = "4"
) -> Body:
    """A slice of a service; its family is that of its first endpoint."""
    first = endpoints[0]["addresses"]
    is_v6 = isinstance(first, list) and ":" in first[0]
    made = _object(place, "discovery.k8s.io/v1", "EndpointSlice", f"{owner}-{suffix}")
    labels = LABELS | {
        SERVICE_NAME: owner,
        "endpointslice.kubernetes.io/managed-by": "kdns-conformance",
    }
    metadata = {"name": f"{owner}-{suffix}", "namespace": place.namespace, "labels": labels}
    family = "IPv6" if is_v6 else "IPv4"
    shape: Body = {"addressType": family, "ports": ports, "endpoints": endpoints}
    return made | {"metadata": metadata} | shape


def _object(place: Place, version: str, kind: str, name: str) -> Body:
    metadata = {"name": name, "namespace": place.namespace, "labels": dict(LABELS)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
