"""Who may reach whom: as the API's text has it, and as `kdns explain` says of the same objects."""

from ipaddress import ip_network
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.explain.facts import ContainerFact, Facts, NamespaceFact, PodFact, PolicyFact, PortFact
from kdns.explain.reasons import netpolicy
from kdns.lab.policies import verdicts as module
from kdns.lab.policies.cluster import Cluster
from kdns.lab.policies.verdicts import Verdicts

Obj = dict[str, Any]
WEB, DB, OTHER, NODE = "10.244.1.2", "10.244.2.2", "10.244.3.2", "172.18.0.11"


def pod(namespace: str, name: str, address: str, **labels: str) -> Obj:
    port = {"name": "mysql", "containerPort": 3306}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"containers": [{"name": "one", "ports": [port]}]},
        "status": {"podIPs": [{"ip": address}]},
    }


PODS = [
    pod("shop", "web", WEB, app="web"),
    pod("shop", "db", DB, app="db"),
    pod("other", "job", OTHER, app="web"),
]
SPACES = [{"metadata": {"name": one, "labels": {"team": one}}} for one in ("shop", "other")]


def policy(spec: Obj, namespace: str = "shop") -> Obj:
    types = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return {
        "metadata": {"namespace": namespace, "name": "one"},
        "spec": {"podSelector": {}, "policyTypes": types, **spec},
    }


def verdicts(policies: list[Obj], pods: list[Obj], namespaces: list[Obj]) -> Verdicts:
    cluster = Cluster()
    for one in namespaces:
        cluster.set_namespace(one)
    for one in pods:
        cluster.set_pod(one)
    cluster.set_policies(policies)
    return cluster.verdicts


def world(*specs: Obj) -> Verdicts:
    return verdicts([policy(one) for one in specs], PODS, SPACES)


DENY: Obj = {"ingress": []}
ONLY_DB: Obj = {"podSelector": {"matchLabels": {"app": "db"}}}
FROM_WEB: Obj = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}


@pytest.mark.parametrize(
    ("specs", "source", "target", "port", "is_allowed"),
    [
        ([], WEB, DB, 3306, True),
        ([DENY], WEB, DB, 3306, False),
        ([DENY], NODE, DB, 3306, True),
        ([DENY], DB, DB, 3306, True),
        ([DENY], WEB, OTHER, 80, True),
        ([{**ONLY_DB, "ingress": [FROM_WEB]}], WEB, DB, 3306, True),
        ([{**ONLY_DB, "ingress": [FROM_WEB]}], OTHER, DB, 3306, False),
        ([{**ONLY_DB, "ingress": [FROM_WEB]}], DB, WEB, 80, True),
        ([DENY, {**ONLY_DB, "ingress": [FROM_WEB]}], WEB, DB, 3306, True),
        ([{"ingress": [{"from": [{"namespaceSelector": {}}]}]}], OTHER, DB, 3306, True),
        (
            [{"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "x"}}}]}]}],
            OTHER, DB, 3306, False,
        ),
        (
            [{"ingress": [{"from": [{
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}},
                "podSelector": {"matchLabels": {"app": "db"}},
            }]}]}],
            OTHER, DB, 3306, False,
        ),
        ([{"ingress": [{"ports": [{"port": 3306}]}]}], OTHER, DB, 3306, True),
        ([{"ingress": [{"ports": [{"port": 3306}]}]}], OTHER, DB, 80, False),
        ([{"ingress": [{"ports": [{"port": "mysql"}]}]}], OTHER, DB, 3306, True),
        ([{"ingress": [{"ports": [{"port": "mysql"}]}]}], OTHER, DB, 80, False),
        ([{"ingress": [{"ports": [{"port": 3000, "endPort": 4000}]}]}], OTHER, DB, 3306, True),
        ([{"ingress": [{"ports": [{"protocol": "UDP"}]}]}], OTHER, DB, 3306, False),
        ([{"ingress": [{"from": [{"ipBlock": {"cidr": "10.244.3.0/24"}}]}]}], OTHER, DB, 1, True),
        (
            [{"ingress": [{"from": [{
                "ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.3.2/32"]}
            }]}]}],
            OTHER, DB, 1, False,
        ),
        ([{"egress": [], "policyTypes": ["Egress"]}], WEB, DB, 3306, False),
        ([{"egress": [], "policyTypes": ["Egress"]}], WEB, NODE, 6443, False),
        ([{"egress": [], "policyTypes": ["Egress"]}], OTHER, DB, 3306, True),
        ([{"egress": [{}], "policyTypes": ["Egress"]}], WEB, NODE, 6443, True),
    ],
)  # fmt: skip
def test_what_the_api_promises(
    specs: list[Obj], source: str, target: str, port: int, is_allowed: bool
) -> None:
    assert world(*specs).allows(source, target, port, "TCP") is is_allowed


def test_pods_on_the_host_network_are_nodes() -> None:
    one = pod("shop", "web", NODE, app="web")
    one["spec"]["hostNetwork"] = True
    assert verdicts([policy(DENY)], [one, PODS[1]], SPACES).allows(NODE, DB, 3306, "TCP")


def test_one_that_has_ended_is_nobody() -> None:
    one = pod("shop", "db", DB, app="db")
    one["status"]["phase"] = "Succeeded"
    assert verdicts([policy(DENY)], [one, PODS[0]], SPACES).allows(WEB, DB, 3306, "TCP")


SELECTORS = st.sampled_from([
    {},
    {"matchLabels": {"app": "web"}},
    {"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "x"]}]},
    {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]},
    {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]},
])  # fmt: skip
HOMES = st.sampled_from([{}, {"matchLabels": {"team": "other"}}, {"matchLabels": {"team": "x"}}])
BLOCKS = st.sampled_from([
    {"cidr": "10.244.0.0/16"}, {"cidr": "10.244.0.0/16", "except": ["10.244.2.0/24"]},
])  # fmt: skip
PEERS = st.one_of(
    st.fixed_dictionaries({"podSelector": SELECTORS}, optional={"namespaceSelector": HOMES}),
    st.fixed_dictionaries({"namespaceSelector": HOMES}),
    st.fixed_dictionaries({"ipBlock": BLOCKS}),
)
PORTS = st.sampled_from([
    {"port": 3306, "protocol": "TCP"}, {"port": "mysql", "protocol": "TCP"}, {"protocol": "UDP"},
    {"port": 80, "endPort": 4000, "protocol": "TCP"},
])  # fmt: skip


def rules(side: str) -> st.SearchStrategy[list[Obj]]:
    found = {side: st.lists(PEERS, max_size=2), "ports": st.lists(PORTS, max_size=2)}
    return st.lists(st.fixed_dictionaries({}, optional=found), max_size=2)


POLICIES = st.fixed_dictionaries({
    "podSelector": SELECTORS,
    "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    "ingress": rules("from"),
    "egress": rules("to"),
})  # fmt: skip


def fact(one: Obj) -> PodFact:
    metadata = one["metadata"]
    container = ContainerFact("one", ports=(PortFact("mysql", 3306),))
    return PodFact(
        metadata["namespace"], metadata["name"], metadata["labels"],
        (one["status"]["podIPs"][0]["ip"],), "Running", containers=(container,),
    )  # fmt: skip


def explained(specs: list[tuple[str, Obj]], source: Obj, target: Obj, port: int) -> bool | None:
    facts = Facts(
        namespaces={one: NamespaceFact(one, {"team": one}) for one in ("shop", "other")},
        policies={
            home: tuple(PolicyFact(home, "one", spec) for at, spec in specs if at == home)
            for home in ("shop", "other")
        },
    )
    sender, receiver = fact(source), fact(target)
    asked = netpolicy.Port(port, "TCP", "mysql" if port == 3306 else "")
    pairs: list[tuple[PodFact, Literal["Egress", "Ingress"], PodFact]] = [
        (sender, "Egress", receiver), (receiver, "Ingress", sender),
    ]  # fmt: skip
    found = [
        netpolicy.judge(facts, one, way, netpolicy.Peer(other.addresses[0], other), asked).allowed
        for one, way, other in pairs
    ]
    return None if None in found else all(found)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["shop", "other"]), POLICIES), max_size=3),
    st.permutations(PODS),
    st.sampled_from([80, 3306, 9999]),
)
def test_explain_says_the_same(specs: list[tuple[str, Obj]], ordered: list[Obj], port: int) -> None:
    source, target = ordered[:2]
    made = verdicts([policy(spec, home) for home, spec in specs], PODS, SPACES)
    said = explained(specs, source, target, port)
    ends = [one["status"]["podIPs"][0]["ip"] for one in (source, target)]
    assert said is None or said is made.allows(*ends, port, "TCP")


def test_blocks_are_read_once_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(text: str, **how: bool) -> object:
        read.append(text)
        return ip_network(text, **how)

    monkeypatch.setattr(module, "ip_network", counted)
    blocks = [f"203.0.{at // 250}.{at % 250}/32" for at in range(3000)]
    spec = {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"ipBlock": {"cidr": one}} for one in blocks]}],
    }
    pods = [pod("shop", "web", WEB), pod("shop", "db", DB)]
    found = verdicts([{"metadata": {"name": "a", "namespace": "shop"}, "spec": spec}], pods, [])
    for _ in range(2):
        assert not found.allows(WEB, DB, 80, "TCP")
    assert len(read) == len(blocks)
