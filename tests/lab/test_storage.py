"""The lab's storage: versions, histories, conflicts, finalizers."""

import asyncio
import itertools
from typing import Any

import pytest

from kdns.lab import history
from kdns.lab.errors import ApiError
from kdns.lab.resources import CONFIGMAPS, DEPLOYMENTS, NAMESPACES, PODS, SERVICES
from kdns.lab.storage import Deletion, Storage


@pytest.fixture
def storage() -> Storage:
    ids = itertools.count()
    made = Storage(now=lambda: 1_700_000_000.0, uid=lambda: f"uid-{next(ids)}")
    made.create(NAMESPACES, "", {"metadata": {"name": "default"}})
    return made


def put(storage: Storage, name: str, **data: Any) -> Any:
    return storage.create(CONFIGMAPS, "default", {"metadata": {"name": name}, "data": data})


def change(storage: Storage, name: str, **fields: Any) -> Any:
    return storage.update(
        CONFIGMAPS, "default", name, storage.get(CONFIGMAPS, "default", name) | fields
    )


def test_a_new_object_gets_what_only_the_server_sets(storage: Storage) -> None:
    sent = {"metadata": {"name": "a", "uid": "mine", "resourceVersion": "", "generation": 7}}
    made = storage.create(CONFIGMAPS, "default", sent)
    assert made["metadata"] == {
        "name": "a",
        "namespace": "default",
        "uid": "uid-1",
        "creationTimestamp": "2023-11-14T22:13:20Z",
        "resourceVersion": str(storage.version),
    }
    assert list(made)[:3] == ["kind", "apiVersion", "metadata"]
    assert sent["metadata"]["uid"] == "mine"


@pytest.mark.parametrize(
    ("namespace", "name", "reason", "message"),
    [
        ("default", "a", "AlreadyExists", 'configmaps "a" already exists'),
        ("nowhere", "b", "NotFound", 'namespaces "nowhere" not found'),
    ],
    ids=["taken", "no-namespace"],
)
def test_create_is_refused(
    storage: Storage, namespace: str, name: str, reason: str, message: str
) -> None:
    put(storage, "a")
    with pytest.raises(ApiError, match=message) as caught:
        storage.create(CONFIGMAPS, namespace, {"metadata": {"name": name}})
    assert caught.value.reason == reason


def test_an_update_from_an_old_version_conflicts(storage: Storage) -> None:
    first = put(storage, "a")
    change(storage, "a", data={"x": "1"})
    with pytest.raises(ApiError, match="the object has been modified") as caught:
        storage.update(CONFIGMAPS, "default", "a", first | {"data": {"x": "2"}})
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")


def test_an_update_without_a_version_or_a_change_is_no_conflict_and_no_version(
    storage: Storage,
) -> None:
    put(storage, "a", x="1")
    before = storage.version
    storage.update(CONFIGMAPS, "default", "a", {"metadata": {"name": "a"}, "data": {"x": "1"}})
    assert storage.version == before
    storage.update(CONFIGMAPS, "default", "a", {"metadata": {"name": "a"}, "data": {"x": "2"}})
    assert storage.version == before + 1


def test_what_is_stored_is_never_changed(storage: Storage) -> None:
    first = put(storage, "a", x="1")
    change(storage, "a", data={"x": "2"})
    storage.delete(CONFIGMAPS, "default", "a")
    assert first["data"] == {"x": "1"}
    assert first["metadata"]["resourceVersion"] == "3"


def deployment(replicas: int) -> Any:
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    return {"metadata": {"name": "d"}, "spec": spec, "status": {"replicas": 9}}


def test_generation_counts_changes_of_the_spec_only(storage: Storage) -> None:
    made = storage.create(DEPLOYMENTS, "default", deployment(1))
    assert made["metadata"]["generation"] == 1
    assert made.get("status", {}).get("replicas") != 9
    put_status = made | {"status": {"replicas": 1}}
    made = storage.update(DEPLOYMENTS, "default", "d", put_status, part="status")
    assert (made["metadata"]["generation"], made["status"]) == (1, {"replicas": 1})
    other = made | {"spec": made["spec"] | {"replicas": 5}, "status": {}}
    made = storage.update(DEPLOYMENTS, "default", "d", other)
    assert (made["metadata"]["generation"], made["status"]) == (2, {"replicas": 1})


def test_a_finalizer_holds_a_deleted_object(storage: Storage) -> None:
    held = {"metadata": {"name": "a", "finalizers": ["x/y"]}}
    storage.create(CONFIGMAPS, "default", held)
    gone = storage.delete(CONFIGMAPS, "default", "a")
    assert gone["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:20Z"
    again = storage.delete(CONFIGMAPS, "default", "a")
    assert again is gone
    more = gone | {"metadata": gone["metadata"] | {"finalizers": ["x/y", "z/z"]}}
    with pytest.raises(ApiError, match="no new finalizers can be added"):
        storage.update(CONFIGMAPS, "default", "a", more)
    free = gone | {"metadata": gone["metadata"] | {"finalizers": []}}
    storage.update(CONFIGMAPS, "default", "a", free)
    assert storage.find(CONFIGMAPS, "default", "a") is None


@pytest.mark.parametrize(
    ("propagation", "finalizers"),
    [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])],
)
def test_dependants_are_left_to_the_garbage_collector(
    storage: Storage, propagation: str, finalizers: list[str]
) -> None:
    put(storage, "a")
    gone = storage.delete(CONFIGMAPS, "default", "a", Deletion(propagation=propagation))
    assert gone["metadata"]["finalizers"] == finalizers
    assert storage.find(CONFIGMAPS, "default", "a") is gone


def test_a_delete_can_demand_a_uid(storage: Storage) -> None:
    put(storage, "a")
    with pytest.raises(
        ApiError, match=r"UID in the precondition \(other\) does not match"
    ) as caught:
        storage.delete(CONFIGMAPS, "default", "a", Deletion(uid="other"))
    assert caught.value.code == 409


def test_nothing_new_comes_into_a_namespace_that_ends(storage: Storage) -> None:
    storage.create(NAMESPACES, "", {"metadata": {"name": "ns"}, "spec": {"finalizers": ["k"]}})
    storage.delete(NAMESPACES, "", "ns", Deletion(propagation="Foreground"))
    with pytest.raises(ApiError, match="because it is being terminated") as caught:
        storage.create(CONFIGMAPS, "ns", {"metadata": {"name": "a"}})
    assert caught.value.details["causes"][0]["reason"] == "NamespaceTerminating"


def test_dry_runs_leave_no_trace(storage: Storage) -> None:
    put(storage, "a")
    before = storage.version
    new = {"metadata": {"name": "b"}}
    assert storage.create(CONFIGMAPS, "default", new, is_dry=True)["metadata"]["name"] == "b"
    storage.update(CONFIGMAPS, "default", "a", {"metadata": {}, "data": {"x": "y"}}, is_dry=True)
    storage.delete(CONFIGMAPS, "default", "a", is_dry=True)
    assert storage.version == before
    assert [obj["metadata"]["name"] for obj in storage.list(CONFIGMAPS)] == ["a"]


def test_a_list_of_an_earlier_version_shows_what_was(storage: Storage) -> None:
    put(storage, "a", x="1")
    put(storage, "b")
    then = storage.version
    change(storage, "a", data={"x": "2"})
    storage.delete(CONFIGMAPS, "default", "b")
    put(storage, "c")
    found = [item.object for item in storage.items_at(CONFIGMAPS, then)]
    assert [obj["metadata"]["name"] for obj in found] == ["a", "b"]
    assert found[0]["data"] == {"x": "1"}
    storage.compact()
    with pytest.raises(ApiError, match="too old resource version") as caught:
        storage.items_at(CONFIGMAPS, then)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


async def test_a_watch_begins_with_what_there_is_and_follows(storage: Storage) -> None:
    put(storage, "a")
    watch = storage.watch(CONFIGMAPS, "default")
    assert [(one.type, one.version) for one in await watch.batch()] == [("ADDED", 3)]
    asyncio.get_running_loop().call_soon(put, storage, "b")
    event = await anext(watch)
    assert (event.type, event.object["metadata"]["name"], event.old) == ("ADDED", "b", None)
    change(storage, "b", data={"x": "y"})
    storage.delete(CONFIGMAPS, "default", "b")
    changed, deleted = await watch.batch()
    assert (changed.type, changed.old) == ("MODIFIED", event.object)
    assert (deleted.type, deleted.object["data"]) == ("DELETED", {"x": "y"})
    assert deleted.object["metadata"]["resourceVersion"] == str(storage.version)


def test_a_watch_of_a_namespace_sees_nothing_else(storage: Storage) -> None:
    storage.create(NAMESPACES, "", {"metadata": {"name": "other"}})
    since = storage.version
    storage.create(CONFIGMAPS, "other", {"metadata": {"name": "a"}})
    put(storage, "b")
    events = storage.watch(CONFIGMAPS, "default", since=since).taken()
    assert [one.object["metadata"]["name"] for one in events] == ["b"]


def test_a_slow_follower_is_cut_off(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 4)
    slow, fast = (storage.watch(CONFIGMAPS, since=storage.version) for _ in range(2))
    for number in range(12):
        put(storage, f"n{number}")
        assert len(fast.taken()) == 1
    with pytest.raises(ApiError, match="fell behind"):
        slow.taken()


def test_what_is_forgotten_is_refused_but_ends_nobody_who_has_seen_it(storage: Storage) -> None:
    since = storage.version
    idle = storage.watch(SERVICES, since=since)
    put(storage, "a")
    follower = storage.watch(CONFIGMAPS)
    assert len(follower.taken()) == 1
    storage.forget(storage.version)
    with pytest.raises(ApiError, match="too old"):
        storage.watch(CONFIGMAPS, since=since)
    put(storage, "b")
    assert len(follower.taken()) == 1
    assert idle.taken() == storage.watch(SERVICES, since=since).taken() == []


def test_another_past_ends_every_watch(storage: Storage) -> None:
    objects = [(resource, item.object) for resource, item in storage.dump()]
    version = storage.version
    put(storage, "a")
    watch = storage.watch(CONFIGMAPS)
    storage.load(objects, version)
    with pytest.raises(ApiError):
        watch.taken()
    assert (storage.version, storage.list(CONFIGMAPS)) == (version, [])
    assert storage.get(NAMESPACES, "", "default")


def test_lists_are_ordered_and_kept_to_their_namespace(storage: Storage) -> None:
    for namespace in ("default-2", "a"):
        storage.create(NAMESPACES, "", {"metadata": {"name": namespace}})
        storage.create(CONFIGMAPS, namespace, {"metadata": {"name": "z"}})
    put(storage, "b")
    put(storage, "a")
    names = [obj["metadata"]["name"] for obj in storage.list(CONFIGMAPS, "default")]
    everywhere = [obj["metadata"]["namespace"] for obj in storage.list(CONFIGMAPS)]
    assert names == ["a", "b"]
    assert everywhere == ["a", "default", "default", "default-2"]
    assert storage.list(SERVICES) == storage.list(PODS) == []
