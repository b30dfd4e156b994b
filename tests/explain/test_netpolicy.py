"""NetworkPolicies are read as the API means them."""

from dataclasses import replace

import pytest

from kdns.explain.facts import Facts, NamespaceFact, PodFact, PolicyFact
from kdns.explain.reasons.netpolicy import Judgement, Peer, Port, judge

WEB = PodFact("shop", "web-0", {"app": "web"}, ("10.244.1.5",))
DB = PodFact("data", "db-0", {"app": "db", "tier": "sql"}, ("10.244.2.5",))
PORT = Port(5432, "TCP", "postgres")


def facts(*specs: dict[str, object], namespace: str = "data") -> Facts:
    policies = tuple(PolicyFact(namespace, f"p{n}", spec) for n, spec in enumerate(specs))
    return Facts(
        namespaces={
            "shop": NamespaceFact("shop", {"team": "front"}),
            "data": NamespaceFact("data", {"team": "back"}),
        },
        policies={"shop": (), "data": (), namespace: policies},
    )


def into(spec: dict[str, object], peer: Peer | None = None, port: Port = PORT) -> bool | None:
    peer = peer or Peer("10.244.1.5", WEB)
    return judge(facts({"podSelector": {}, **spec}), DB, "Ingress", peer, port).allowed


def rule(*peers: dict[str, object], **port: object) -> dict[str, object]:
    made: dict[str, object] = {"from": list(peers)} if peers else {}
    if port:
        made["ports"] = [port]
    return {"ingress": [made]}


def test_without_a_policy_all_is_allowed() -> None:
    assert judge(facts(), DB, "Ingress", Peer("10.244.1.5", WEB), PORT) == Judgement(True)


def test_policies_that_could_not_be_read_allow_and_forbid_nothing() -> None:
    known = replace(facts(), unknown={"policies": "403"})
    assert judge(known, DB, "Ingress", Peer("10.244.1.5", WEB), PORT).allowed is None


def test_a_policy_of_another_pod_forbids_nothing() -> None:
    assert into({"podSelector": {"matchLabels": {"app": "web"}}}) is True


def test_a_policy_without_rules_forbids_all_ingress_and_no_egress() -> None:
    known = facts({"podSelector": {}})
    assert judge(known, DB, "Ingress", None, PORT) == Judgement(False, ("data/p0",))
    assert judge(known, DB, "Egress", Peer("10.244.1.5", WEB), PORT).allowed is True


def test_egress_rules_imply_the_type_egress() -> None:
    known = facts({"podSelector": {}, "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]})
    assert judge(known, DB, "Egress", Peer("10.244.1.5", WEB), PORT).allowed is False
    assert judge(known, DB, "Egress", Peer("10.244.1.5", WEB), Port(53, "UDP")).allowed is True


def test_policy_types_count_over_what_rules_imply() -> None:
    known = facts({"podSelector": {}, "policyTypes": ["Egress"]})
    assert judge(known, DB, "Ingress", Peer("10.244.1.5", WEB), PORT).allowed is True
    assert judge(known, DB, "Egress", Peer("10.244.1.5", WEB), PORT).allowed is False


def test_policies_add_up() -> None:
    deny: dict[str, object] = {"podSelector": {}}
    allow = {"podSelector": {}, **rule()}
    assert judge(facts(deny, allow), DB, "Ingress", Peer("10.244.1.5", WEB), PORT).allowed is True


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ({"podSelector": {"matchLabels": {"app": "web"}}}, False),
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "front"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "back"}}}, False),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}, True),
        (
            {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "other"}}},
            False,
        ),
        ({"ipBlock": {"cidr": "10.244.0.0/16"}}, True),
        ({"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.1.0/24"]}}, False),
        ({"ipBlock": {"cidr": "192.0.2.0/24"}}, False),
        ({"ipBlock": {"cidr": "nonsense"}}, None),
    ],
    ids=str,
)
def test_peers(peer: dict[str, object], allowed: bool | None) -> None:
    assert into(rule(peer)) is allowed


@pytest.mark.parametrize(
    ("term", "allowed"),
    [
        ({"key": "app", "operator": "In", "values": ["web", "api"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["web"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["sql"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
        ({"key": "app", "operator": "Nonsense"}, False),
    ],
    ids=str,
)
def test_expressions(term: dict[str, object], allowed: bool) -> None:
    peer = {"namespaceSelector": {}, "podSelector": {"matchExpressions": [term]}}
    assert into(rule(peer)) is allowed


@pytest.mark.parametrize(
    ("port", "allowed"),
    [
        ({"port": 5432, "protocol": "TCP"}, True),
        ({"port": 5432}, True),
        ({"port": 5432, "protocol": "UDP"}, False),
        ({"port": "postgres"}, True),
        ({"port": "mysql"}, False),
        ({"port": 5000, "endPort": 6000}, True),
        ({"port": 5000, "endPort": 5431}, False),
        ({"protocol": "TCP"}, True),
    ],
    ids=str,
)
def test_ports(port: dict[str, object], allowed: bool) -> None:
    assert into(rule(**port)) is allowed


def test_an_unknown_namespace_is_no_proof() -> None:
    stranger = Peer("10.244.9.9", PodFact("elsewhere", "x", {}, ("10.244.9.9",)))
    peer = {"namespaceSelector": {"matchLabels": {"team": "front"}}}
    assert into(rule(peer), stranger) is None


def test_pods_of_the_host_network_are_not_judged() -> None:
    host = replace(DB, host_network=True)
    known = facts({"podSelector": {}})
    assert judge(known, host, "Ingress", Peer("10.244.1.5", WEB), PORT).allowed is True
    seen = Peer("192.168.0.1", replace(WEB, host_network=True))
    assert into(rule({"podSelector": {}}), seen) is None
