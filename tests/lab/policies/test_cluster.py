"""Groups of pods, kept by difference, say what each pod for itself does."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kdns.lab.policies.cluster import Cluster

Obj = dict[str, Any]
SPACES = ("shop", "other")
EVERYBODY: Obj = {}
POLICIES: list[Obj] = [
    {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"],
     "ingress": [{"from": [{"podSelector": {"matchLabels": {"tier": "front"}}}]}]},
    {"podSelector": EVERYBODY, "policyTypes": ["Ingress"],
     "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}]}]},
    {"podSelector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
     "policyTypes": ["Egress"], "egress": []},
    {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress", "Ingress"],
     "egress": [{"to": [{"podSelector": {"matchExpressions": [
         {"key": "app", "operator": "In", "values": ["db"]}]}}]}],
     "ingress": [{"from": [{"ipBlock": {"cidr": "10.244.0.0/30"}}]}]},
]  # fmt: skip


def pod(name: str, namespace: str, labels: dict[str, str], host: int) -> Obj:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    status = {"podIPs": [{"ip": f"10.244.0.{host}"}]} if host else {}
    return {"metadata": metadata, "spec": {"containers": []}, "status": status}


NAMES = ("a", "b", "c", "d")
PODS = st.builds(
    lambda at, namespace, labels, has_address: pod(
        NAMES[at], namespace, labels, (at + 1 + 4 * SPACES.index(namespace)) * has_address
    ),
    st.integers(0, 3),
    st.sampled_from(SPACES),
    st.fixed_dictionaries(
        {"app": st.sampled_from(["web", "db"])},
        optional={"tier": st.sampled_from(["front", "back"]), "any": st.sampled_from(["1", "2"])},
    ),
    st.booleans(),
)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("policies"), st.lists(st.sampled_from(POLICIES), max_size=3)),
        st.tuples(st.sampled_from(["set", "set", "drop"]), PODS),
    ),
    max_size=25,
)


def dropped(cluster: Cluster, target: str) -> set[str]:
    """Who may not come, by groups."""
    return {
        address
        for group in cluster.groups(guarded=cluster.is_guarded(target))
        if not cluster.verdicts.allows(group.other_than(target), target, 80, "TCP")
        for address in group.addresses
    } - {target}


@given(EVENTS)
def test_any_order_of_events_keeps_away_whom_policies_keep_away(
    events: list[tuple[str, Any]],
) -> None:
    cluster, last, policies = Cluster(), dict[tuple[str, str], Obj](), list[Obj]()
    spaces = [{"metadata": {"name": one, "labels": {"team": one}}} for one in SPACES]
    for one in spaces:
        cluster.set_namespace(one)
    for kind, what in events:
        if kind == "policies":
            policies = [
                {"metadata": {"name": str(nth), "namespace": "shop"}, "spec": spec}
                for nth, spec in enumerate(what)
            ]
            cluster.set_policies(policies)
            continue
        key = what["metadata"]["namespace"], what["metadata"]["name"]
        change = cluster.set_pod(what) if kind == "set" else cluster.drop_pod(what)
        now = {**last, key: what} if kind == "set" else {k: v for k, v in last.items() if k != key}
        assert (change is None) == (seen(now.get(key)) == seen(last.get(key)))
        last = now
    fresh = Cluster()
    for one in spaces:
        fresh.set_namespace(one)
    fresh.set_policies(policies)
    for one in last.values():
        fresh.set_pod(one)
    assert cluster.pods == fresh.pods
    for target in (*fresh.pods, "10.96.0.1"):
        each = {one for one in fresh.pods if not fresh.verdicts.allows(one, target, 80, "TCP")}
        assert dropped(cluster, target) == dropped(fresh, target) == each


def seen(one: Obj | None) -> object:
    """Of a pod, by policies."""
    if not one or not one["status"]:
        return None
    return one["metadata"]["labels"], one["status"]["podIPs"]


def test_pods_that_differ_in_what_no_policy_asks_for_are_alike() -> None:
    cluster = Cluster()
    for number in range(1, 9):
        labels = {"app": "web" if number < 5 else "db", "number": str(number)}
        cluster.set_pod(pod(f"pod-{number}", "shop", labels, number))
    spec = {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]}
    cluster.set_policies([{"metadata": {"name": "one", "namespace": "shop"}, "spec": spec}])
    assert [len(one.pods) for one in cluster.groups(guarded=True)] == [4, 4]
    targets = [(f"10.244.0.{host}", 80) for host in range(1, 9)]
    assert cluster.unlike(targets) == [targets[0], targets[4]]
    block = {"from": [{"ipBlock": {"cidr": "10.244.0.0/30"}}]}
    body = {"metadata": {"name": "one", "namespace": "shop"}, "spec": {**spec, "ingress": [block]}}
    cluster.set_policies([body])
    assert [len(one.pods) for one in cluster.groups(guarded=True)] == [1] * 8
    assert cluster.unlike(targets) == targets
