"""Nodes, ingresses, gateways, routes, and what services say for names beyond the cluster."""

import pytest

from kdns.cluster.objects import Gateway, Ingress, More, Node, Route
from kdns.cluster.parse import parse
from tests.cluster.things import ips

META = {"name": "S", "namespace": "A", "resourceVersion": "7"}


def of(kind: str, group: str, **fields: object):
    return parse({"kind": kind, "apiVersion": f"{group}v1", "metadata": META} | fields)


def service(spec: object, **annotations: object) -> More | None:
    meta = META | {"annotations": annotations}
    return parse({"kind": "Service", "metadata": meta, "spec": spec}).service.more


DNS = "external-dns.alpha.kubernetes.io/"


@pytest.mark.parametrize(
    ("spec", "annotations", "expected"),
    [
        ({}, {}, None),
        ({"type": "ClusterIP", "ports": [{"port": 1}]}, {"other": "x"}, None),
        ({"type": "NodePort", "ports": [{"port": 1, "nodePort": 30001}, {"port": 2}]}, {},
         More((30001, 0))),
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}, {}, More(is_local=True)),
        ({"trafficDistribution": "PreferClose"}, {}, More(is_near=True)),
        ({"trafficDistribution": "PreferSameZone"}, {}, More(is_near=True)),
        ({"trafficDistribution": "Whatever"}, {}, None),
        ({}, {DNS + "hostname": "A.example., b.example,,b.example"},
         More(hosts=("a.example", "b.example"))),
        ({}, {DNS + "hostname": "a..b, ok.example, ."}, More(hosts=("ok.example",))),
        ({}, {DNS + "internal-hostname": "i.example", DNS + "ttl": "60"},
         More(internal_hosts=("i.example",), ttl=60)),
        ({}, {DNS + "ttl": 60}, None),
        ({}, {DNS + "hostname": "a.b", DNS + "ttl": 60}, More(hosts=("a.b",), ttl=60)),
        ({}, {DNS + "hostname": "a.b", DNS + "ttl": "2m"}, More(hosts=("a.b",), ttl=120)),
        ({}, {DNS + "hostname": "a.b", DNS + "ttl": "soon"}, More(hosts=("a.b",))),
        ({}, {DNS + "hostname": "a.b", DNS + "ttl": "-5"}, More(hosts=("a.b",))),
        ({}, {DNS + "hostname": "a.b", DNS + "ttl": "99999999999999"}, More(hosts=("a.b",))),
    ],
)  # fmt: skip
def test_what_a_service_says_beyond_its_names(spec, annotations, expected):
    assert service(spec, **annotations) == expected


def test_a_node_without_internal_addresses_has_its_external_ones():
    status = {"addresses": [{"type": "ExternalIP", "address": "10.0.0.2"}]}
    spec = {"podCIDR": "10.1.2.3/24"}
    assert of("Node", "", status=status, spec=spec) == Node(
        "s", ips("2"), False, "", ((bytes((10, 1, 2, 0)), 24),), "7"
    )
    assert of("Node", "") == Node("s", version="7")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"spec": {"podCIDRs": ["x"]}}, "podCIDRs[0]"),
        ({"status": {"addresses": [{"type": "InternalIP", "address": "x"}]}}, "addresses[0]"),
    ],
)
def test_what_is_wrong_with_a_node_is_said(fields, why):
    with pytest.raises(ValueError, match="Expected") as caught:
        of("Node", "", **fields)
    assert why in str(caught.value)


def test_an_ingress_that_is_reached_nowhere_still_has_hosts():
    spec = {"rules": [{"host": "b.example"}, {"host": "B.example"}, {"http": {}}]}
    made = of("Ingress", "networking.k8s.io/", spec=spec)
    assert made == Ingress("a", "s", ("b.example",), version="7")


def test_other_kinds_of_the_same_name_are_none_of_ours():
    assert of("Ingress", "extensions/") is None
    assert of("Gateway", "networking.istio.io/") is None


def test_a_gateway_is_reached_at_addresses_and_names():
    addresses = [
        {"type": "IPAddress", "value": "10.0.0.3"},
        {"type": "Hostname", "value": "Gw.example"},
        {"type": "example.com/other", "value": "?"},
    ]
    made = of("Gateway", "gateway.networking.k8s.io/", status={"addresses": addresses})
    assert made == Gateway("a", "s", (), ips("3"), ("gw.example",), "7")


def parent(name: str, accepted: str) -> dict[str, object]:
    return {
        "parentRef": {"name": name},
        "conditions": [{"type": "Accepted", "status": accepted}, {"type": "Other", "status": "X"}],
    }


@pytest.mark.parametrize(
    ("refs", "parents", "expected"),
    [
        ([{"name": "G"}], [], ("a/g",)),
        ([{"name": "g", "namespace": "B"}, {"name": "g"}], [], ("b/g", "a/g")),
        ([{"name": "g", "kind": "Service"}, {"name": "g", "group": "x"}, {}], [], ()),
        ([{"name": "g", "kind": "Gateway", "group": "gateway.networking.k8s.io"}], [], ("a/g",)),
        ([{"name": "g"}, {"name": "h"}], [parent("g", "False")], ("a/h",)),
        ([{"name": "g"}], [parent("g", "True")], ("a/g",)),
        ([{"name": "g"}], [parent("g", "False"), parent("g", "True")], ("a/g",)),
    ],
)
def test_a_route_is_reached_at_the_gateways_that_take_it(refs, parents, expected):
    made = of(
        "HTTPRoute",
        "gateway.networking.k8s.io/",
        spec={"hostnames": ["r.example"], "parentRefs": refs},
        status={"parents": parents},
    )
    assert made == Route("a", "s", ("r.example",), expected, "7")
