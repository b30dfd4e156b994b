"""Services, slices and ingresses as rules and routes, without sockets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.lab.errors import Obj
from kdns.lab.proxy.routes import Backend, Routes, endpoints_at
from kdns.lab.proxy.rules import NodeAddress, Rule, rules_of, usable
from kdns.lab.proxy.slices import Slices
from kdns.lab.proxy.table import Table
from kdns.lab.proxy.turns import Turns

NODES = (NodeAddress("node-a", "172.18.0.11"), NodeAddress("node-b", "172.18.0.12"))


def service(name: str = "web", labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    ports = [{"port": 80, "protocol": "TCP", "name": ""}]
    metadata = {"namespace": "shop", "name": name, "labels": labels or {}}
    body = {"type": "ClusterIP", "clusterIP": "10.96.0.20", "ports": ports, **spec}
    return {"metadata": metadata, "spec": body, "status": spec.pop("status", {})}


def slice_(*endpoints: Obj, name: str = "web-1", of: str = "web", **words: Any) -> Obj:
    labels = {"kubernetes.io/service-name": of, **words.pop("labels", {})}
    ports = [{"port": 8080, "protocol": "TCP", "name": ""}]
    metadata = {"namespace": "shop", "name": name, "labels": labels}
    made = {"metadata": metadata, "addressType": "IPv4", "ports": ports}
    return {**made, "endpoints": list(endpoints), **words}


def end(address: str, node: str = "", **conditions: bool) -> Obj:
    return {
        "addresses": [address],
        "conditions": conditions,
        **({"nodeName": node} if node else {}),
    }


def shown(rules: list[Rule], slices: Slices) -> list[str]:
    return [
        f"{one.kind} {one.place.address}:{one.place.port}/{one.place.protocol} "
        + (
            ",".join(f"{e.address}:{e.port}" for e in one.endpoints)
            or f"- {slices.why_none((one.port, one.place.protocol), one.family)}"
        )
        for one in rules
    ]


READY = end("10.244.1.1")
CASES: dict[str, tuple[Obj, list[Obj], list[str]]] = {
    "its cluster IP": (
        service(), [slice_(READY, end("10.244.1.2", ready=True))],
        ["ClusterIP 10.96.0.20:80/TCP 10.244.1.1:8080,10.244.1.2:8080"],
    ),
    "by number, not as text": (
        service(), [slice_(end("10.244.1.10"), end("10.244.1.9"))],
        ["ClusterIP 10.96.0.20:80/TCP 10.244.1.9:8080,10.244.1.10:8080"],
    ),
    "both families, each its own": (
        service(clusterIPs=["10.96.0.20", "fd00:10:96::20"]),
        [slice_(READY), slice_(end("fd00:10:244:1::1"), name="b", addressType="IPv6")],
        ["ClusterIP 10.96.0.20:80/TCP 10.244.1.1:8080",
         "ClusterIP fd00:10:96::20:80/TCP fd00:10:244:1::1:8080"],
    ),
    "everything that is asked": (
        service(type="LoadBalancer", externalIPs=["198.51.100.9"],
                ports=[{"port": 80, "protocol": "TCP", "nodePort": 30080}],
                status={"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}, {"hostname": "x"},
                                                     {"ip": "198.51.100.2", "ipMode": "Proxy"}]}}),
        [slice_(READY)],
        ["ClusterIP 10.96.0.20:80/TCP 10.244.1.1:8080",
         "ExternalIP 198.51.100.9:80/TCP 10.244.1.1:8080",
         "LoadBalancer 198.51.100.1:80/TCP 10.244.1.1:8080",
         "NodePort 172.18.0.11:30080/TCP 10.244.1.1:8080",
         "NodePort 172.18.0.12:30080/TCP 10.244.1.1:8080"],
    ),
    "ports by name and protocol": (
        service(ports=[{"port": 53, "protocol": "UDP", "name": "dns"},
                       {"port": 53, "protocol": "TCP", "name": "dns-tcp"},
                       {"port": 9, "protocol": "SCTP", "name": "odd"}]),
        [slice_(READY, ports=[{"port": 1053, "protocol": "UDP", "name": "dns"},
                              {"port": 1054, "protocol": "TCP", "name": "dns-tcp"}])],
        ["ClusterIP 10.96.0.20:53/UDP 10.244.1.1:1053",
         "ClusterIP 10.96.0.20:53/TCP 10.244.1.1:1054"],
    ),
    "one endpoint in two slices": (
        service(), [slice_(end("10.244.1.1", ready=False, serving=True, terminating=True)),
                    slice_(READY, name="b")],
        ["ClusterIP 10.96.0.20:80/TCP 10.244.1.1:8080"],
    ),
    "ready ones before those that terminate": (
        service(), [slice_(READY, end("10.244.1.2", ready=False, serving=True, terminating=True))],
        ["ClusterIP 10.96.0.20:80/TCP 10.244.1.1:8080"],
    ),
    "those that terminate and serve when none is ready": (
        service(), [slice_(end("10.244.1.1", ready=False, serving=True, terminating=True),
                           end("10.244.1.2", ready=False, serving=False, terminating=True),
                           end("10.244.1.3", ready=False, serving=True, terminating=False))],
        ["ClusterIP 10.96.0.20:80/TCP 10.244.1.1:8080"],
    ),
    "not ready ones that are published": (
        service(publishNotReadyAddresses=True),
        [slice_(end("10.244.1.1", ready=True, serving=False))],
        ["ClusterIP 10.96.0.20:80/TCP 10.244.1.1:8080"],
    ),
    "no slice": (
        service(), [],
        ["ClusterIP 10.96.0.20:80/TCP - no pod is selected, or none is written"],
    ),
    "none ready": (
        service(), [slice_(end("10.244.1.1", ready=False), end("10.244.1.2", ready=False))],
        ["ClusterIP 10.96.0.20:80/TCP - none of its 2 is ready"],
    ),
    "another name of the port": (
        service(ports=[{"port": 80, "name": "http"}]), [slice_(READY)],
        ["ClusterIP 10.96.0.20:80/TCP - "
         "none of its 1 endpoints has a port named http for TCP"],
    ),
    "headless": (service(clusterIP="None"), [slice_(READY)], []),
    "without an address": (service(type="ExternalName", clusterIP=""), [slice_(READY)], []),
    "another proxy's": (
        service(labels={"service.kubernetes.io/service-proxy-name": "mine"}), [slice_(READY)], []
    ),
}  # fmt: skip


@pytest.mark.parametrize(("service", "slices", "expected"), CASES.values(), ids=list(CASES))
def test_rules(service: Obj, slices: list[Obj], expected: list[str]) -> None:
    found = Slices(slices)
    assert shown(rules_of(service, found, NODES), found) == expected


def local_rules(**spec: Any) -> dict[str, Rule]:
    ports = [{"port": 80, "protocol": "TCP", "nodePort": 30080}]
    made = service(type="NodePort", ports=ports, **spec)
    ends = [end("10.244.1.1", "node-a"), end("10.244.2.1", "node-b", ready=False, serving=True,
                                             terminating=True)]  # fmt: skip
    return {one.place.address: one for one in rules_of(made, Slices([slice_(*ends)]), NODES)}


def reached(rule: Rule, node: str) -> list[str]:
    return [one.address for one in rule.reached_from(node)]


def test_internal_policy_local_is_the_clients_node() -> None:
    rule = local_rules(internalTrafficPolicy="Local")["10.96.0.20"]
    assert reached(rule, "node-a") == ["10.244.1.1"]
    assert reached(rule, "node-b") == ["10.244.2.1"], "it terminates, but is the only one there"
    assert reached(rule, "node-c") == []
    assert reached(rule, "") == ["10.244.1.1"], "who stands on no node"


def test_external_policy_local_is_the_node_that_is_asked_from_outside() -> None:
    rules = local_rules(externalTrafficPolicy="Local")
    assert reached(rules["172.18.0.11"], "") == ["10.244.1.1"]
    assert reached(rules["172.18.0.12"], "") == ["10.244.2.1"]
    assert reached(rules["172.18.0.12"], "node-c") == ["10.244.1.1"], "pods are not outside"
    assert reached(rules["10.96.0.20"], "node-b") == ["10.244.1.1"]


def test_affinity_has_its_default_time() -> None:
    made = service(sessionAffinity="ClientIP")
    assert rules_of(made, Slices([slice_(READY)]))[0].affinity_s == 10800
    made = service(sessionAffinity="ClientIP",
                   sessionAffinityConfig={"clientIP": {"timeoutSeconds": 7}})  # fmt: skip
    assert rules_of(made, Slices([slice_(READY)]))[0].affinity_s == 7


def test_affinity_ends_with_its_time() -> None:
    turns = Turns()
    ends = rules_of(service(), Slices([slice_(READY, end("10.244.1.2"))]))[0].endpoints
    first = turns.order(ends, "c", 10, 0.0)[0]
    turns.keep("c", first, 10, 0.0)
    assert turns.order(ends, "c", 10, 9.9)[0] == first
    assert turns.order(ends, "c", 10, 10.0)[0] != first
    assert usable([]) == ()


# Any order of events


SERVICES = [
    {**service(name, clusterIP=address, externalIPs=["198.51.100.9"],
               ports=[{"port": 80, "protocol": "TCP", "nodePort": 30000 + number}]),
     "metadata": {"namespace": "shop", "name": name, "creationTimestamp": created, "labels": {}}}
    for number, (name, address, created) in enumerate([
        ("web", "10.96.0.1", "2026-01-01T00:00:02Z"), ("web", "10.96.0.2", "2026-01-01T00:00:02Z"),
        ("api", "10.96.0.3", "2026-01-01T00:00:01Z"), ("odd", "None", "2026-01-01T00:00:00Z"),
    ])
]  # fmt: skip
SLICES = [
    slice_(end(address, ready=is_ready), name=name, of=of)
    for name in ("s1", "s2")
    for of in ("web", "api")
    for address, is_ready in (("10.244.1.1", True), ("10.244.1.2", False))
]
HOSTS = [
    {"metadata": {"name": name}, "spec": {"podCIDRs": [f"10.244.{number}.0/24"]},
     "status": {"addresses": [{"type": "InternalIP", "address": f"172.18.0.{number}"}]}}
    for name, number in (("a", 1), ("a", 2), ("b", 3))
]  # fmt: skip
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            [("service", one) for one in SERVICES]
            + [("slice", one) for one in SLICES]
            + [("node", one) for one in HOSTS]
        ),
        st.booleans(),
    ),
    max_size=30,
)


@given(EVENTS)
def test_any_order_of_events_gives_the_rules_of_one_fresh_list(
    events: list[tuple[tuple[str, Obj], bool]],
) -> None:
    table, last = Table(), dict[tuple[str, str], Obj]()
    seen: dict[Any, Rule | None] = {}
    for (kind, obj), is_gone in events:
        changed = getattr(table, f"{'drop' if is_gone else 'set'}_{kind}")(obj)
        if is_gone:
            last.pop((kind, obj["metadata"]["name"]), None)
        else:
            last[kind, obj["metadata"]["name"]] = obj
        seen |= {place: table.rule_at(place) for place in changed}
    fresh = Table()
    for (kind, _), obj in last.items():
        getattr(fresh, f"set_{kind}")(obj)
    places = {*table.places(), *fresh.places()}
    assert {one: table.rule_at(one) for one in places} == {
        one: fresh.rule_at(one) for one in places
    }
    told = {place: rule for place, rule in seen.items() if rule}
    assert told == {one: fresh.rule_at(one) for one in fresh.places()}, "every change was told"
    for address in ("10.244.1.9", "172.18.0.2", "10.0.0.1"):
        assert table.node_at(address) == fresh.node_at(address)


# Routes


def ingress(name: str, *rules: tuple[str, str, str, str], default: str = "") -> Obj:
    spec: Obj = {"rules": []}
    for host, kind, path, to in rules:
        backend = {"service": {"name": to, "port": {"number": 80}}}
        paths = [{"path": path, "pathType": kind, "backend": backend}]
        spec["rules"].append({**({"host": host} if host else {}), "http": {"paths": paths}})
    if default:
        spec["defaultBackend"] = {"service": {"name": default, "port": {"name": "http"}}}
    metadata = {
        "namespace": "shop",
        "name": name,
        "creationTimestamp": f"2026-01-01T00:00:0{name}Z",
    }
    return {"metadata": metadata, "spec": spec}


ROUTES = Routes(
    [
        ingress(
            "1",
            ("shop.test", "Prefix", "/", "front"),
            ("shop.test", "Prefix", "/cart/", "cart"),
            ("shop.test", "Exact", "/cart", "exact"),
            ("shop.test", "ImplementationSpecific", "/cart/old", "old"),
            ("*.test", "Prefix", "/any", "wild"),
            ("", "Prefix", "/none", "hostless"),
        ),
        ingress("2", ("shop.test", "Prefix", "/", "late"), ("api.test", "Exact", "/v1", "api"),
                default="rest"),
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("shop.test", "/", "front"),
        ("SHOP.test.", "/cartoon", "front"),
        ("shop.test", "/cart", "exact"),
        ("shop.test", "/cart/", "cart"),
        ("shop.test", "/cart/x", "cart"),
        ("shop.test", "/cart/old/y", "old"),
        ("shop.test", "/cart/older", "cart"),
        ("x.test", "/any/thing", "wild"),
        ("x.y.test", "/any", "rest"),
        ("x.y.test", "/none", "hostless"),
        ("api.test", "/v1", "api"),
        ("api.test", "/v1/", "rest"),
        ("x.test", "/other", "rest"),
    ],
)
def test_routes(host: str, path: str, expected: str) -> None:
    found = ROUTES.find(host, path)
    assert found
    assert found.name == expected


def test_without_a_default_nobody_wants_it() -> None:
    assert Routes([ingress("1", ("a.test", "Exact", "/a", "a"))]).find("a.test", "/b") is None
    assert Routes([]).find("a.test", "/") is None


def test_a_backend_is_found_by_number_and_name_also_where_it_is_headless() -> None:
    made = service(clusterIP="None", ports=[{"port": 80, "name": "http"}])
    ports = [{"port": 8080, "name": "http", "protocol": "TCP"}]
    slices = Slices([slice_(READY, ports=ports)])
    for port in (80, "http"):
        found = endpoints_at(Backend("shop", "web", port), made, slices)
        assert [one.place for one in found] == [("10.244.1.1", 8080)]
    assert endpoints_at(Backend("shop", "web", 81), made, slices) == ()
    assert endpoints_at(Backend("shop", "web", 80), None, slices) == ()
