"""Deployments, replica sets, stateful and daemon sets, garbage and namespaces, step by step."""

import pytest

from kdns.lab.controllers import rollouts
from kdns.lab.controllers.bodies import matches
from kdns.lab.errors import ApiError, Obj
from kdns.lab.resources import (
    CLAIMS,
    CONFIGMAPS,
    DAEMONSETS,
    DEPLOYMENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    SERVICEACCOUNTS,
    STATEFULSETS,
)
from kdns.lab.storage import Deletion
from tests.lab.driven import Driven, template


@pytest.fixture
def cluster() -> Driven:
    return Driven()


def status(cluster: Driven, resource: object = DEPLOYMENTS, name: str = "web") -> Obj:
    return cluster.storage.get(resource, "default", name)["status"]  # type: ignore[arg-type]


def conditions(cluster: Driven) -> dict[str, tuple[str, str]]:
    found = status(cluster)["conditions"]
    return {one["type"]: (one["status"], one["reason"]) for one in found}


def images(cluster: Driven) -> list[str]:
    return sorted(
        pod["spec"]["containers"][0]["image"]
        for pod in cluster.pods()
        if "deletionTimestamp" not in pod["metadata"]
    )


# Deployments


def test_a_deployment_comes_up(cluster: Driven) -> None:
    cluster.deployment()
    cluster.pass_s()
    assert len(cluster.pods()) == 3
    found = status(cluster)
    assert [found[key] for key in ("replicas", "updatedReplicas", "availableReplicas")] == [3, 3, 3]
    assert found["observedGeneration"] == 1
    assert conditions(cluster) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    [one] = cluster.storage.list(REPLICASETS, "default")
    assert one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert all(
        pod["metadata"]["name"].startswith(one["metadata"]["name"]) for pod in cluster.pods()
    )


@pytest.mark.parametrize(
    ("strategy", "most", "least"),
    [
        ({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}, 5, 4),
        ({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}, 4, 3),
        ({"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": "25%"}}, 6, 3),
        ({"type": "Recreate"}, 4, 0),
    ],
    ids=["surge", "unavailable", "percent", "recreate"],
)
def test_a_rollout_keeps_to_its_bounds(
    cluster: Driven, strategy: Obj, most: int, least: int
) -> None:
    cluster.service()
    cluster.deployment(replicas=4, strategy=strategy)
    cluster.pass_s()
    cluster.change(DEPLOYMENTS, "web", template=template("web", "shop/web:2"))
    counts, ready = set(), set()
    for _ in range(400):
        cluster.pass_s(0.02)
        counts.add(len(images(cluster)))
        ready.add(len(cluster.ready()))
    assert images(cluster) == ["shop/web:2"] * 4
    assert max(counts) == most
    assert min(ready) == least
    assert conditions(cluster)["Progressing"] == ("True", "NewReplicaSetAvailable")


def test_a_rollout_that_never_gets_ready_stops_and_the_old_pods_serve(cluster: Driven) -> None:
    cluster.service()
    cluster.deployment(replicas=4)
    cluster.pass_s()
    bad = template("web", "shop/web:2")
    bad["metadata"]["annotations"] = {"lab.kdns.io/ready": "false"}
    cluster.change(DEPLOYMENTS, "web", template=bad)
    cluster.pass_s(60)
    assert images(cluster).count("shop/web:1") == 3
    assert len(cluster.ready()) == 3
    assert conditions(cluster)["Progressing"] == ("True", "ReplicaSetUpdated")
    cluster.pass_s(600)
    assert conditions(cluster)["Progressing"] == ("False", "ProgressDeadlineExceeded")
    cluster.change(DEPLOYMENTS, "web", template=template("web", "shop/web:3"))
    cluster.pass_s()
    assert conditions(cluster)["Progressing"] == ("True", "NewReplicaSetAvailable")


def test_an_undone_rollout_is_the_newest_revision(cluster: Driven) -> None:
    cluster.deployment()
    cluster.pass_s()
    cluster.change(DEPLOYMENTS, "web", template=template("web", "shop/web:2"))
    cluster.pass_s()
    cluster.change(DEPLOYMENTS, "web", template=template("web"))
    cluster.pass_s()
    assert images(cluster) == ["shop/web:1"] * 3
    revisions = {
        one["spec"]["template"]["spec"]["containers"][0]["image"]: rollouts.revision_of(one)
        for one in cluster.storage.list(REPLICASETS, "default")
    }
    assert revisions == {"shop/web:1": 3, "shop/web:2": 2}


def test_old_replica_sets_are_forgotten_beyond_the_limit(cluster: Driven) -> None:
    cluster.deployment(replicas=1, revisionHistoryLimit=2)
    for number in range(2, 7):
        cluster.pass_s()
        cluster.change(DEPLOYMENTS, "web", template=template("web", f"shop/web:{number}"))
    cluster.pass_s()
    found = sorted(map(rollouts.revision_of, cluster.storage.list(REPLICASETS, "default")))
    assert found == [4, 5, 6]


def test_a_paused_deployment_waits(cluster: Driven) -> None:
    cluster.deployment(paused=False)
    cluster.pass_s()
    cluster.change(DEPLOYMENTS, "web", paused=True, template=template("web", "shop/web:2"))
    cluster.pass_s()
    assert images(cluster) == ["shop/web:1"] * 3
    cluster.change(DEPLOYMENTS, "web", paused=False)
    cluster.pass_s()
    assert images(cluster) == ["shop/web:2"] * 3


def test_min_ready_seconds_are_waited_for(cluster: Driven) -> None:
    cluster.deployment(minReadySeconds=20)
    cluster.pass_s(10)
    assert status(cluster)["readyReplicas"] == 3
    assert "availableReplicas" not in status(cluster)
    cluster.pass_s(20)
    assert status(cluster)["availableReplicas"] == 3


# Replica sets


def test_a_pod_that_is_deleted_or_fails_is_replaced(cluster: Driven) -> None:
    cluster.deployment()
    cluster.pass_s()
    first, second, _ = cluster.names(PODS)
    cluster.storage.delete(PODS, "default", first)
    cluster.annotate(second, phase="Failed")
    cluster.pass_s()
    running = [pod for pod in cluster.pods() if pod["status"]["phase"] == "Running"]
    assert len(running) == 3
    assert first not in cluster.names(PODS)


def test_a_pod_without_the_label_is_let_go_and_an_orphan_is_taken_in(cluster: Driven) -> None:
    cluster.deployment()
    cluster.pass_s()
    pod = cluster.pods()[0]
    labels = {**pod["metadata"]["labels"], "app": "debug"}
    metadata = {**pod["metadata"], "labels": labels}
    free = cluster.storage.update(PODS, "default", metadata["name"], {**pod, "metadata": metadata})
    cluster.pass_s()
    assert len(cluster.pods()) == 4
    free = cluster.storage.get(PODS, "default", metadata["name"])
    assert not free["metadata"].get("ownerReferences")
    back = {**free["metadata"], "labels": pod["metadata"]["labels"]}
    cluster.storage.update(PODS, "default", metadata["name"], {**free, "metadata": back})
    cluster.pass_s()
    assert len(cluster.pods()) == 3


def test_an_orphaned_replica_set_is_taken_in_again(cluster: Driven) -> None:
    cluster.deployment()
    cluster.pass_s()
    cluster.storage.delete(DEPLOYMENTS, "default", "web", Deletion(propagation="Orphan"))
    cluster.pass_s()
    pods = cluster.names(PODS)
    cluster.deployment()
    cluster.pass_s()
    assert cluster.names(PODS) == pods
    assert len(cluster.names(REPLICASETS)) == 1
    assert status(cluster)["availableReplicas"] == 3


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ({"key": "tier", "operator": "In", "values": ["a", "b"]}, 1),
        ({"key": "tier", "operator": "NotIn", "values": ["a"]}, 2),
        ({"key": "tier", "operator": "Exists"}, 2),
        ({"key": "tier", "operator": "DoesNotExist"}, 1),
    ],
)
def test_selectors_with_expressions(expression: Obj, count: int) -> None:
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": [expression]}
    labels = [{"app": "web", "tier": "a"}, {"app": "web", "tier": "c"}, {"app": "web"}, {}]
    assert sum(matches(selector, one) for one in labels) == count


# Stateful sets


def stateful(cluster: Driven, replicas: int = 3, **spec: object) -> None:
    body = {
        "serviceName": "db",
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "db"}},
        "template": template("db"),
    }
    cluster.create(STATEFULSETS, {"metadata": {"name": "db"}, "spec": {**body, **spec}})


def test_stateful_pods_come_one_after_the_other_with_names(cluster: Driven) -> None:
    stateful(cluster)
    most = 0
    for _ in range(200):
        cluster.pass_s(0.01)
        waiting = [
            pod for pod in cluster.pods()
            if not any(one["type"] == "Ready" and one["status"] == "True"
                       for one in pod.get("status", {}).get("conditions", ()))
        ]  # fmt: skip
        most = max(most, len(waiting))
    assert most == 1
    assert cluster.names(PODS) == ["db-0", "db-1", "db-2"]
    for pod in cluster.pods():
        assert pod["spec"]["hostname"] == pod["metadata"]["name"]
        assert pod["spec"]["subdomain"] == "db"
    assert status(cluster, STATEFULSETS, "db")["readyReplicas"] == 3


def test_stateful_pods_mount_claims_of_their_own_that_stay(cluster: Driven) -> None:
    """As in the StatefulSet tutorial: www-web-0 is bound, and there when web-0 comes again."""
    mounting = template("db")
    mounting["spec"]["containers"][0]["volumeMounts"] = [{"name": "www", "mountPath": "/srv"}]
    claim = {
        "metadata": {"name": "www"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    stateful(cluster, 2, template=mounting, volumeClaimTemplates=[claim])
    cluster.pass_s()
    assert [pod["spec"]["volumes"] for pod in cluster.pods()] == [
        [{"name": "www", "persistentVolumeClaim": {"claimName": f"www-db-{number}"}}]
        for number in range(2)
    ]
    made = cluster.storage.list(CLAIMS, "default")
    assert [one["metadata"]["name"] for one in made] == ["www-db-0", "www-db-1"]
    assert {one["status"]["phase"] for one in made} == {"Bound"}
    assert {one["metadata"]["labels"]["app"] for one in made} == {"db"}
    cluster.storage.delete(PODS, "default", "db-0")
    cluster.pass_s()
    assert cluster.names(PODS) == ["db-0", "db-1"]
    assert [one["metadata"]["uid"] for one in cluster.storage.list(CLAIMS, "default")] == [
        one["metadata"]["uid"] for one in made
    ]


def test_a_volume_that_no_claim_gives_is_refused(cluster: Driven) -> None:
    mounting = template("db")
    mounting["spec"]["containers"][0]["volumeMounts"] = [{"name": "www", "mountPath": "/srv"}]
    for claims in ([], [{"metadata": {"name": "data"}}]):
        with pytest.raises(ApiError, match=r'volumeMounts\[0\].name: Not found: "www"'):
            stateful(cluster, 2, template=mounting, volumeClaimTemplates=claims)


@pytest.mark.parametrize("claim", [{}, {"metadata": {}}, {"metadata": {"name": "A/b"}}])
def test_a_claim_without_a_fit_name_is_refused(cluster: Driven, claim: Obj) -> None:
    with pytest.raises(ApiError, match=r"volumeClaimTemplates\[0\].metadata.name"):
        stateful(cluster, 2, volumeClaimTemplates=[claim])


def test_parallel_stateful_pods_come_at_once(cluster: Driven) -> None:
    stateful(cluster, podManagementPolicy="Parallel")
    cluster.pass_s(0.05)
    assert cluster.names(PODS) == ["db-0", "db-1", "db-2"]


def test_an_unready_stateful_pod_holds_up_the_next(cluster: Driven) -> None:
    held = template("db")
    held["metadata"]["annotations"] = {"lab.kdns.io/ready": "false"}
    stateful(cluster, template=held)
    cluster.pass_s()
    assert cluster.names(PODS) == ["db-0"]


def test_a_stateful_set_shrinks_from_the_end_and_rolls_backwards(cluster: Driven) -> None:
    stateful(cluster, replicas=4)
    cluster.pass_s()
    cluster.change(STATEFULSETS, "db", replicas=2)
    cluster.pass_s()
    assert cluster.names(PODS) == ["db-0", "db-1"]
    cluster.change(STATEFULSETS, "db", template=template("db", "db:2"))
    seen = []
    for _ in range(300):
        cluster.pass_s(0.02)
        seen.append(tuple(
            pod["metadata"]["name"] for pod in cluster.pods()
            if pod["spec"]["containers"][0]["image"] == "db:2"
        ))  # fmt: skip
    assert list(dict.fromkeys(seen)) == [(), ("db-1",), ("db-0", "db-1")]
    found = status(cluster, STATEFULSETS, "db")
    assert found["currentRevision"] == found["updateRevision"]
    assert found["updatedReplicas"] == 2


def test_a_partition_keeps_the_lower_pods_as_they_are(cluster: Driven) -> None:
    stateful(cluster, updateStrategy={"rollingUpdate": {"partition": 2}})
    cluster.pass_s()
    cluster.change(STATEFULSETS, "db", template=template("db", "db:2"))
    cluster.pass_s()
    assert [pod["spec"]["containers"][0]["image"] for pod in cluster.pods()] == [
        "shop/web:1", "shop/web:1", "db:2",
    ]  # fmt: skip
    found = status(cluster, STATEFULSETS, "db")
    assert found["currentRevision"] != found["updateRevision"]


# Daemon sets


def test_a_daemon_set_has_a_pod_on_every_node_that_fits(cluster: Driven) -> None:
    body = {"selector": {"matchLabels": {"app": "agent"}}, "template": template("agent")}
    cluster.create(DAEMONSETS, {"metadata": {"name": "agent"}, "spec": body})
    cluster.pass_s()
    assert sorted(pod["spec"]["nodeName"] for pod in cluster.pods()) == [
        "node-a", "node-b", "node-c",
    ]  # fmt: skip
    wanted = template("agent", nodeSelector={"topology.kubernetes.io/zone": "b"})
    cluster.change(DAEMONSETS, "agent", template=wanted)
    cluster.pass_s()
    assert [pod["spec"]["nodeName"] for pod in cluster.pods()] == ["node-b"]
    found = status(cluster, DAEMONSETS, "agent")
    assert (found["desiredNumberScheduled"], found["updatedNumberScheduled"]) == (1, 1)
    cluster.storage.delete(NODES, "", "node-b")
    cluster.pass_s()
    assert status(cluster, DAEMONSETS, "agent")["desiredNumberScheduled"] == 0


# Garbage and namespaces


@pytest.mark.parametrize(
    ("propagation", "sets", "pods"),
    [("Background", 0, 0), ("", 0, 0), ("Foreground", 0, 0), ("Orphan", 1, 3)],
)
def test_what_becomes_of_dependants(
    cluster: Driven, propagation: str, sets: int, pods: int
) -> None:
    cluster.deployment()
    cluster.pass_s()
    cluster.storage.delete(DEPLOYMENTS, "default", "web", Deletion(propagation=propagation))
    assert bool(cluster.names(DEPLOYMENTS)) == (propagation in {"Foreground", "Orphan"})
    cluster.pass_s()
    assert not cluster.names(DEPLOYMENTS)
    assert len(cluster.names(REPLICASETS)) == sets
    assert len(cluster.pods()) == pods


def test_a_foreground_owner_outlives_its_dependants(cluster: Driven) -> None:
    cluster.deployment()
    cluster.pass_s()
    cluster.storage.delete(DEPLOYMENTS, "default", "web", Deletion(propagation="Foreground"))
    for _ in range(300):
        cluster.pass_s(0.01)
        if cluster.pods() or cluster.names(REPLICASETS):
            assert cluster.names(DEPLOYMENTS)
    assert not cluster.names(DEPLOYMENTS)


def test_an_object_with_an_owner_that_never_was_is_deleted(cluster: Driven) -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "ghost", "uid": "none"}
    metadata = {"name": "lost", "ownerReferences": [owner]}
    cluster.create(CONFIGMAPS, {"metadata": metadata, "data": {}})
    cluster.pass_s()
    assert "lost" not in cluster.names(CONFIGMAPS)


def test_a_namespace_is_furnished_and_emptied(cluster: Driven) -> None:
    cluster.create(NAMESPACES, {"metadata": {"name": "tmp"}})
    body = {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "x"}},
        "template": template("x"),
    }
    cluster.create(DEPLOYMENTS, {"metadata": {"name": "x"}, "spec": body}, "tmp")
    cluster.pass_s()
    assert cluster.storage.find(SERVICEACCOUNTS, "tmp", "default")
    assert cluster.storage.find(CONFIGMAPS, "tmp", "kube-root-ca.crt")
    cluster.storage.delete(NAMESPACES, "", "tmp")
    assert cluster.storage.get(NAMESPACES, "", "tmp")["status"]["phase"] == "Terminating"
    cluster.pass_s()
    assert cluster.storage.find(NAMESPACES, "", "tmp") is None
    assert not cluster.storage.list(PODS, "tmp")


def test_a_namespace_has_the_authority_of_the_api(cluster: Driven) -> None:
    def root() -> object:
        return cluster.storage.get(CONFIGMAPS, "default", "kube-root-ca.crt")["data"]

    cluster.pass_s()
    assert "plain HTTP" in str(root())
    cluster.storage.authority = "-----BEGIN"
    cluster.storage.update(
        NAMESPACES, "", "default", {"metadata": {"name": "default", "labels": {"a": "b"}}}
    )
    cluster.pass_s()
    assert root() == {"ca.crt": "-----BEGIN"}
    changed = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "mine", "more": "x"}}
    cluster.storage.update(CONFIGMAPS, "default", "kube-root-ca.crt", changed)
    cluster.pass_s()
    assert root() == {"ca.crt": "-----BEGIN"}


def test_a_service_account_that_was_deleted_comes_back(cluster: Driven) -> None:
    cluster.pass_s()
    cluster.storage.delete(SERVICEACCOUNTS, "default", "default")
    cluster.pass_s()
    assert cluster.storage.find(SERVICEACCOUNTS, "default", "default")


def test_nothing_is_remembered_of_what_has_gone(cluster: Driven) -> None:
    def remembered() -> dict[str, int]:
        return {
            f"{one.name} {field}": len(found)
            for one in cluster.staff.controllers
            for field, found in vars(one).items()
            if isinstance(found, dict)
        }

    cluster.pass_s()
    before = remembered()
    cluster.deployment(replicas=2, revisionHistoryLimit=0)
    cluster.pass_s()
    cluster.change(DEPLOYMENTS, "web", template=template("web", "shop/web:2"))
    cluster.pass_s()
    cluster.change(DEPLOYMENTS, "web", replicas=0)
    cluster.pass_s()
    cluster.storage.delete(DEPLOYMENTS, "default", "web")
    cluster.pass_s()
    assert not cluster.pods()
    assert remembered() == before


def test_a_pod_with_a_long_name_goes_too(cluster: Driven) -> None:
    cluster.pod(f"{'a' * 60}." * 3 + "a" * 46 + "-" + "b" * 13)
    cluster.pass_s()
    [pod] = cluster.pods()
    cluster.storage.delete(PODS, "default", pod["metadata"]["name"])
    cluster.pass_s()
    assert not cluster.pods()
