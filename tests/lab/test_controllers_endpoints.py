"""Services, pods and hand-made Endpoints become slices, as the controllers of Kubernetes make them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.lab.controllers.slices import MAX_ENDPOINTS, Frame, Group, plan
from kdns.lab.errors import ApiError, Obj
from kdns.lab.resources import DEPLOYMENTS, ENDPOINTS, NODES, PODS, SERVICES, SLICES
from kdns.lab.storage import Deletion
from tests.lab.driven import Driven, template


@pytest.fixture
def cluster() -> Driven:
    return Driven()


def test_a_slice_holds_the_ready_pods_of_a_service(cluster: Driven) -> None:
    cluster.service()
    cluster.deployment(replicas=2)
    cluster.pass_s()
    [found] = cluster.slices()
    assert found["addressType"] == "IPv4"
    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    labels = found["metadata"]["labels"]
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    assert "endpoints.kubernetes.io/last-change-trigger-time" in found["metadata"]["annotations"]
    [owner] = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Service", "web", True)
    one = found["endpoints"][0]
    assert one["conditions"] == {"ready": True, "serving": True, "terminating": False}
    pod = cluster.storage.get(PODS, "default", one["targetRef"]["name"])
    assert one["targetRef"]["uid"] == pod["metadata"]["uid"]
    assert one["nodeName"] == pod["spec"]["nodeName"]
    assert one["zone"] == one["nodeName"].removeprefix("node-")
    assert cluster.ready() == sorted(pod["status"]["podIP"] for pod in cluster.pods())


def test_a_slice_keeps_its_name_while_endpoints_come_and_go(cluster: Driven) -> None:
    cluster.service()
    cluster.deployment(replicas=2)
    cluster.pass_s()
    [before] = cluster.slices()
    for replicas in (5, 0, 3):
        cluster.change(DEPLOYMENTS, "web", replicas=replicas)
        cluster.pass_s()
        [after] = cluster.slices()
        assert after["metadata"]["name"] == before["metadata"]["name"]
        assert len(cluster.ready()) == replicas


def test_a_service_without_pods_has_an_empty_slice_and_endpoints(cluster: Driven) -> None:
    cluster.service()
    cluster.pass_s()
    [found] = cluster.slices()
    assert not found.get("endpoints")
    assert not cluster.storage.get(ENDPOINTS, "default", "web").get("subsets")


def test_unready_terminating_and_finished_pods(cluster: Driven) -> None:
    cluster.service()
    for name in ("good", "bad", "leaving", "done"):
        cluster.pod(name)
    cluster.pass_s()
    cluster.annotate("bad", ready="false")
    cluster.annotate("done", phase="Succeeded")
    cluster.storage.delete(PODS, "default", "leaving")
    cluster.pass_s(0.3)
    [found] = cluster.slices()
    told = {one["targetRef"]["name"]: one["conditions"] for one in found["endpoints"]}
    assert told == {
        "good": {"ready": True, "serving": True, "terminating": False},
        "bad": {"ready": False, "serving": False, "terminating": False},
        "leaving": {"ready": False, "serving": True, "terminating": True},
    }
    [subset] = cluster.storage.get(ENDPOINTS, "default", "web")["subsets"]
    names = {
        field: [one["targetRef"]["name"] for one in subset[field]]
        for field in ("addresses", "notReadyAddresses")
    }
    assert names == {"addresses": ["good"], "notReadyAddresses": ["bad"]}


def test_a_pod_without_a_real_address_is_refused(cluster: Driven) -> None:
    cluster.pod("a")
    cluster.pass_s()
    [pod] = cluster.pods()
    for addresses in ([{"ip": "abc"}], [{}]):
        status = {**pod["status"], "podIPs": addresses}
        with pytest.raises(ApiError, match=r"status\.podIPs\[0\]: Invalid value"):
            cluster.storage.update(PODS, "default", "a", {**pod, "status": status}, part="status")


def test_publish_not_ready_addresses(cluster: Driven) -> None:
    cluster.service(publishNotReadyAddresses=True, clusterIP="None")
    cluster.pod("bad", annotations={"lab.kdns.io/ready": "false"})
    cluster.pass_s()
    [found] = cluster.slices()
    assert found["endpoints"][0]["conditions"] == {
        "ready": True, "serving": False, "terminating": False,
    }  # fmt: skip
    assert found["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


def test_named_target_ports_are_the_pods_affair(cluster: Driven) -> None:
    cluster.service(ports=[{"name": "http", "port": 80, "targetPort": "http"}])
    cluster.pod("a")
    other = template("web")["spec"]["containers"][0]
    cluster.pod("b", containers=[{**other, "ports": [{"name": "http", "containerPort": 9090}]}])
    cluster.pod("c", containers=[{**other, "ports": [{"name": "rpc", "containerPort": 9090}]}])
    cluster.pass_s()
    found = {
        one["endpoints"][0]["targetRef"]["name"]: [port["port"] for port in one.get("ports") or ()]
        for one in cluster.slices()
    }
    assert found == {"a": [8080], "b": [9090], "c": []}


def test_a_service_may_have_more_ports_than_one_thinks(cluster: Driven) -> None:
    cluster.service(ports=[{"name": f"p{port}", "port": port} for port in range(5000, 5300)])
    cluster.pod("a")
    cluster.pass_s()
    [found] = cluster.slices()
    assert len(found["ports"]) == 300


def test_hostnames_count_where_the_subdomain_is_the_service(cluster: Driven) -> None:
    cluster.service("web", clusterIP="None")
    cluster.service("other", clusterIP="None")
    cluster.pod("a", hostname="first", subdomain="web")
    cluster.pass_s()
    assert cluster.slices("web")[0]["endpoints"][0]["hostname"] == "first"
    assert "hostname" not in cluster.slices("other")[0]["endpoints"][0]


def test_dual_stack_services_have_slices_of_both_families(cluster: Driven) -> None:
    cluster.service(ipFamilyPolicy="RequireDualStack", ipFamilies=["IPv6", "IPv4"])
    cluster.deployment(replicas=2)
    cluster.pass_s()
    assert sorted(one["addressType"] for one in cluster.slices()) == ["IPv4", "IPv6"]
    [subset] = cluster.storage.get(ENDPOINTS, "default", "web")["subsets"]
    assert all(":" in one["ip"] for one in subset["addresses"])


def test_a_service_that_loses_its_selector_keeps_what_it_had(cluster: Driven) -> None:
    cluster.service()
    cluster.pod("a")
    cluster.pass_s()
    old = cluster.storage.get(SERVICES, "default", "web")
    spec = {key: value for key, value in old["spec"].items() if key != "selector"}
    cluster.storage.update(SERVICES, "default", "web", {**old, "spec": spec})
    cluster.pass_s()
    managers = sorted(one["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
                      for one in cluster.slices())  # fmt: skip
    assert managers == [
        "endpointslice-controller.k8s.io",
        "endpointslicemirroring-controller.k8s.io",
    ]
    address = cluster.pods()[0]["status"]["podIP"]
    assert cluster.ready() == [address, address]
    cluster.change(SERVICES, "web", selector={"app": "web"})
    cluster.pass_s()
    assert cluster.ready() == [address]


def test_endpoints_that_somebody_deleted_come_back(cluster: Driven) -> None:
    cluster.service()
    cluster.pod("a")
    cluster.pass_s()
    cluster.storage.delete(ENDPOINTS, "default", "web")
    cluster.pass_s()
    assert "web" in cluster.names(ENDPOINTS)


def test_a_pod_without_any_of_the_named_ports_is_in_slices_only(cluster: Driven) -> None:
    cluster.service(ports=[{"name": "x", "port": 80, "targetPort": "nosuch"}])
    cluster.pod("a")
    cluster.pass_s()
    assert len(cluster.ready()) == 1
    assert "subsets" not in cluster.storage.get(ENDPOINTS, "default", "web")


def test_slices_and_endpoints_go_with_the_service(cluster: Driven) -> None:
    cluster.service()
    cluster.pod("a")
    cluster.pass_s()
    cluster.storage.delete(SERVICES, "default", "web")
    cluster.pass_s()
    assert cluster.names(SLICES) == ["kubernetes"]
    assert cluster.names(ENDPOINTS) == ["kubernetes"]


def test_a_slice_that_somebody_deleted_comes_back(cluster: Driven) -> None:
    cluster.service()
    cluster.pod("a")
    cluster.pass_s()
    cluster.storage.delete(SLICES, "default", cluster.slices()[0]["metadata"]["name"])
    cluster.pass_s()
    assert len(cluster.ready()) == 1


def test_a_node_that_moves_takes_its_endpoints_to_another_zone(cluster: Driven) -> None:
    cluster.service()
    cluster.pod("a", nodeName="node-b")
    cluster.pass_s()
    node = cluster.storage.get(NODES, "", "node-b")
    labels = {**node["metadata"]["labels"], "topology.kubernetes.io/zone": "far"}
    cluster.storage.update(
        NODES, "", "node-b", {**node, "metadata": {**node["metadata"], "labels": labels}}
    )
    cluster.pass_s()
    assert cluster.slices()[0]["endpoints"][0]["zone"] == "far"


def test_endpoints_by_hand_are_mirrored(cluster: Driven) -> None:
    cluster.service("legacy", selector=None)
    subsets = [
        {
            "addresses": [{"ip": "192.0.2.10", "hostname": "one"}],
            "notReadyAddresses": [{"ip": "192.0.2.11"}],
            "ports": [{"name": "db", "port": 1521}],
        }
    ]
    made = cluster.create(ENDPOINTS, {"metadata": {"name": "legacy"}, "subsets": subsets})
    cluster.pass_s()
    [found] = cluster.slices("legacy")
    labels = found["metadata"]["labels"]
    assert labels["endpointslice.kubernetes.io/managed-by"] == (
        "endpointslicemirroring-controller.k8s.io"
    )
    assert [(one["addresses"], one["conditions"]["ready"]) for one in found["endpoints"]] == [
        (["192.0.2.10"], True),
        (["192.0.2.11"], False),
    ]
    assert found["endpoints"][0]["hostname"] == "one"
    cluster.storage.update(ENDPOINTS, "default", "legacy", {**made, "subsets": []})
    cluster.pass_s()
    assert not cluster.ready("legacy")


def test_events_say_which_endpoint_and_why(cluster: Driven) -> None:
    cluster.service()
    cluster.pod("a")
    cluster.pass_s()
    address = cluster.pods()[0]["status"]["podIP"]
    cluster.annotate("a", ready="false")
    cluster.pass_s()
    cluster.annotate("a", ready="true")
    cluster.pass_s()
    cluster.storage.delete(PODS, "default", "a")
    cluster.pass_s()
    told = cluster.told("web")
    assert f"{address} (pod a) added: became ready" in told
    assert f"{address} (pod a) removed: became not ready" in told
    assert f"{address} (pod a) removed: the pod is being deleted" in told
    assert "no endpoint is ready any more" in told


def test_load_balancers_have_an_address_while_they_are_one(cluster: Driven) -> None:
    cluster.service(type="LoadBalancer")
    cluster.service("two", type="LoadBalancer")
    cluster.pass_s()

    def outside(name: str) -> list[str]:
        status = cluster.storage.get(SERVICES, "default", name)["status"]
        return [one["ip"] for one in status["loadBalancer"].get("ingress") or ()]

    assert outside("web") != outside("two")
    cluster.change(SERVICES, "web", type="ClusterIP")
    cluster.pass_s()
    assert outside("web") == []


# Slices of many endpoints

FRAME = Frame("shop", "web", {"a": "b"}, {"kind": "Service", "name": "web", "uid": "1"})
GROUP = Group("IPv4", ())


def endpoint(number: int, *, ready: bool = True) -> Obj:
    return {
        "addresses": [f"10.244.{number // 250}.{number % 250}"],
        "conditions": {"ready": ready},
    }


def after(existing: list[Obj], endpoints: list[Obj]) -> list[Obj]:
    numbers = iter(range(len(existing), 10_000))
    todo = plan(FRAME, {GROUP: endpoints}, existing, now="now", suffix=lambda: f"n{next(numbers)}")
    by_name = {one["metadata"]["name"]: one for one in existing}
    for one in todo.delete:
        del by_name[one["metadata"]["name"]]
    for one in (*todo.create, *todo.update):
        by_name[one["metadata"]["name"]] = one
    return list(by_name.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 399)), max_size=5))
def test_any_course_of_endpoints_ends_in_slices_that_hold_them(
    course: list[set[int]],
) -> None:
    slices: list[Obj] = []
    for wanted in course:
        was = {one["addresses"][0]: part["metadata"]["name"]
               for part in slices for one in part["endpoints"]}  # fmt: skip
        slices = after(slices, [endpoint(one) for one in sorted(wanted)])
        now = {one["addresses"][0]: part["metadata"]["name"]
               for part in slices for one in part["endpoints"]}  # fmt: skip
        assert len(now) == sum(len(part["endpoints"]) for part in slices) == len(wanted)
        assert all(len(part["endpoints"]) <= MAX_ENDPOINTS for part in slices)
        assert all(now[address] == was[address] for address in now.keys() & was.keys())
        assert slices, "even nobody is said by a slice"
        assert all(part["endpoints"] for part in slices) or len(slices) == 1


def test_what_is_right_already_is_not_written() -> None:
    slices = after([], [endpoint(one) for one in range(250)])
    todo = plan(
        FRAME, {GROUP: [endpoint(one) for one in range(250)]}, slices, now="later", suffix=str
    )
    assert not any(todo)


def test_one_change_touches_one_slice() -> None:
    slices = after([], [endpoint(one) for one in range(250)])
    changed = [endpoint(one, ready=one != 120) for one in range(250)]
    todo = plan(FRAME, {GROUP: changed}, slices, now="later", suffix=str)
    assert (len(todo.create), len(todo.update), len(todo.delete)) == (0, 1, 0)


def test_deleting_now_is_no_trouble(cluster: Driven) -> None:
    cluster.service()
    cluster.pod("a")
    cluster.pass_s()
    cluster.storage.delete(PODS, "default", "a", Deletion(grace_s=0))
    cluster.pass_s()
    assert cluster.ready() == []
