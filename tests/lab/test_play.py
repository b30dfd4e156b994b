"""Pods are played: bound, addressed, started, ready, finished, gone; annotations say otherwise."""

import pytest

from kdns.lab.addresses import Addresses
from kdns.lab.controllers.bodies import is_ready
from kdns.lab.errors import Obj
from kdns.lab.kubelet import play
from kdns.lab.resources import NODES, PODS
from tests.lab.driven import Driven


@pytest.fixture
def cluster() -> Driven:
    return Driven()


def pod(cluster: Driven, name: str = "a") -> Obj:
    return cluster.storage.get(PODS, "default", name)


def ready(cluster: Driven) -> bool:
    return is_ready(pod(cluster))


def test_a_pod_goes_from_pending_to_ready(cluster: Driven) -> None:
    cluster.pod("a")
    seen = []
    for _ in range(100):
        cluster.pass_s(0.01)
        seen.append((pod(cluster)["status"]["phase"], ready(cluster)))
    assert list(dict.fromkeys(seen)) == [
        ("Pending", False), ("Running", False), ("Running", True),
    ]  # fmt: skip
    found = pod(cluster)
    node = cluster.storage.get(NODES, "", found["spec"]["nodeName"])
    assert found["status"]["podIP"].startswith(node["spec"]["podCIDR"].removesuffix("0/24"))
    assert found["status"]["hostIP"] == node["status"]["addresses"][0]["address"]
    assert found["status"]["podIPs"][0]["ip"] == found["status"]["podIP"]
    assert "running" in found["status"]["containerStatuses"][0]["state"]
    assert {one["type"] for one in found["status"]["conditions"] if one["status"] == "True"} == {
        "PodScheduled", "Initialized", "Ready", "ContainersReady",
    }  # fmt: skip


def test_pods_are_spread_over_nodes(cluster: Driven) -> None:
    for name in "abcdef":
        cluster.pod(name)
    cluster.pass_s()
    nodes = [one["spec"]["nodeName"] for one in cluster.pods()]
    assert sorted(nodes) == sorted(2 * ["node-a", "node-b", "node-c"])


def test_a_full_node_takes_pods_again_when_others_have_gone(
    cluster: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play, "MOST_PODS", 2)
    cluster.pod("own", nodeName="node-b")
    cluster.pass_s()
    for name in "abcdef":
        cluster.pod(name)
    cluster.pass_s()
    there = [one["spec"].get("nodeName") for one in cluster.pods()]
    assert sorted(filter(None, there)) == sorted(2 * ["node-a", "node-b", "node-c"])
    (waiting,) = [one for one in cluster.pods() if "nodeName" not in one["spec"]]
    assert "Too many pods" in waiting["status"]["conditions"][0]["message"]
    cluster.storage.delete(PODS, "default", "own")
    cluster.pass_s()
    assert pod(cluster, waiting["metadata"]["name"])["spec"]["nodeName"] == "node-b"


def test_to_bind_a_pod_no_others_are_looked_at(
    cluster: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.pod("a")
    listed = []
    list_all = cluster.storage.list
    monkeypatch.setattr(
        cluster.storage, "list", lambda *of: (listed.append(of[0]), list_all(*of))[1]
    )
    cluster.staff.controllers[0].sync(("default", "a"))
    assert pod(cluster)["spec"]["nodeName"]
    assert listed == [NODES]


def test_a_node_selector_is_kept_to_or_waited_for(cluster: Driven) -> None:
    cluster.pod("a", nodeSelector={"topology.kubernetes.io/zone": "c"})
    cluster.pod("b", nodeSelector={"disk": "fast"})
    cluster.pass_s()
    assert pod(cluster)["spec"]["nodeName"] == "node-c"
    assert "nodeName" not in pod(cluster, "b")["spec"]
    assert pod(cluster, "b")["status"]["conditions"][0]["reason"] == "Unschedulable"
    node = cluster.storage.get(NODES, "", "node-a")
    metadata = {**node["metadata"], "labels": {**node["metadata"]["labels"], "disk": "fast"}}
    cluster.storage.update(NODES, "", "node-a", {**node, "metadata": metadata})
    cluster.pass_s()
    assert pod(cluster, "b")["spec"]["nodeName"] == "node-a"


def test_nodes_that_take_no_pods_are_left_out(cluster: Driven) -> None:
    cluster.create(NODES, {"metadata": {"name": "bare"}})
    for name in ("node-a", "node-b"):
        node = cluster.storage.get(NODES, "", name)
        spec = {**node["spec"], "unschedulable": True}
        cluster.storage.update(NODES, "", name, {**node, "spec": spec})
    for name in "abc":
        cluster.pod(name)
    cluster.pass_s()
    assert {one["spec"]["nodeName"] for one in cluster.pods()} == {"node-c"}
    cluster.pod("lost", nodeName="bare")
    with pytest.raises(ValueError, match="the node bare has no address"):
        cluster.pass_s()


def test_a_node_with_half_an_address_stops_nobody_else(cluster: Driven) -> None:
    node = cluster.storage.get(NODES, "", "node-a")
    status = {**node["status"], "addresses": [{}]}
    cluster.storage.update(NODES, "", "node-a", {**node, "status": status}, part="status")
    cluster.pod("a")
    cluster.pass_s()
    assert cluster.pods()[0]["status"]["phase"] == "Running"


@pytest.mark.parametrize("annotations", [{"lab.kdns.io/ready-after": "5s"}, None])
def test_readiness_waits_as_annotation_or_probe_say(
    cluster: Driven, annotations: dict[str, str] | None
) -> None:
    probe = {"httpGet": {"port": 80}, "initialDelaySeconds": 0 if annotations else 5}
    container = {"name": "a", "image": "a", "readinessProbe": probe}
    cluster.pod("a", annotations=annotations, containers=[container])
    cluster.pass_s(4.9)
    assert pod(cluster)["status"]["phase"] == "Running"
    assert not ready(cluster)
    cluster.pass_s(0.5)
    assert ready(cluster)


def test_an_annotation_on_a_live_pod_changes_its_readiness(cluster: Driven) -> None:
    cluster.pod("a")
    cluster.pass_s()
    for word in ("false", "true", "false"):
        cluster.annotate("a", ready=word)
        cluster.pass_s(0.1)
        assert ready(cluster) == (word == "true")
        assert pod(cluster)["status"]["containerStatuses"][0]["ready"] == (word == "true")


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 1)])
def test_a_pod_finishes(cluster: Driven, phase: str, code: int) -> None:
    cluster.pod("a")
    cluster.pass_s()
    cluster.annotate("a", phase=phase)
    cluster.pass_s()
    status = pod(cluster)["status"]
    assert status["phase"] == phase
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == code
    assert not ready(cluster)


def test_a_crash_is_counted_and_over_when_the_annotation_says_so(cluster: Driven) -> None:
    cluster.pod("a")
    cluster.pass_s()
    cluster.annotate("a", crash="true")
    cluster.pass_s()
    one = pod(cluster)["status"]["containerStatuses"][0]
    assert one["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert (one["restartCount"], ready(cluster)) == (1, False)
    cluster.annotate("a", crash="false")
    cluster.pass_s()
    one = pod(cluster)["status"]["containerStatuses"][0]
    assert (one["restartCount"], ready(cluster)) == (1, True)


def test_an_address_may_be_asked_for(cluster: Driven) -> None:
    given = {"lab.kdns.io/address": "10.244.9.9, fd00:10:244:9::9"}
    cluster.pod("a", annotations=given)
    cluster.pass_s()
    assert [one["ip"] for one in pod(cluster)["status"]["podIPs"]] == [
        "10.244.9.9", "fd00:10:244:9::9",
    ]  # fmt: skip


def test_pods_on_the_host_network_have_the_nodes_address(cluster: Driven) -> None:
    cluster.pod("a", hostNetwork=True, nodeName="node-b")
    cluster.pass_s()
    assert pod(cluster)["status"]["podIP"] == "172.18.0.12"


def test_a_deleted_pod_is_seen_to_leave(cluster: Driven) -> None:
    cluster.pod("a")
    cluster.pass_s()
    cluster.storage.delete(PODS, "default", "a")
    cluster.pass_s(play.STOP_S / 2)
    assert pod(cluster)["metadata"]["deletionTimestamp"]
    cluster.pass_s(play.STOP_S)
    assert not cluster.pods()


def test_an_annotation_that_makes_no_sense_is_no_duration(cluster: Driven) -> None:
    cluster.pod("a", annotations={"lab.kdns.io/ready-after": "soon"})
    with pytest.raises(ValueError, match="soon"):
        cluster.pass_s()


@pytest.mark.parametrize(
    ("text", "found"), [("3", 3.0), ("3s", 3.0), ("500ms", 0.5), ("2m", 120.0)]
)
def test_durations(text: str, found: float) -> None:
    assert play.seconds(text) == found


# Addresses


def test_addresses_that_pods_have_already_are_not_given() -> None:
    addresses = Addresses(lambda: 0.0)
    addresses.take("10.0.0.2")
    addresses.take("fd00::2")
    assert addresses.next_of(["10.0.0.0/24", "fd00::/64"]) == ["10.0.0.3", "fd00::3"]


def test_an_address_that_two_were_given_is_free_when_both_have_gone() -> None:
    clock = [0.0]
    addresses = Addresses(lambda: clock[0])
    for _ in range(2):
        addresses.take("10.244.1.2")
    addresses.free("10.244.1.2")
    clock[0] = 1000.0
    assert addresses.next_of(["10.244.1.0/29"]) == ["10.244.1.3"]
    addresses.free("10.244.1.2")
    clock[0] = 2000.0
    found = [addresses.next_of(["10.244.1.0/29"])[0] for _ in range(4)]
    assert "10.244.1.2" in found
