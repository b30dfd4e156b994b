"""What others than the admin write is marked, whichever way they go, and the mark stays."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from kdns.lab import schema
from kdns.lab.errors import Obj
from kdns.lab.resources import CONFIGMAPS, DEPLOYMENTS, PODS, REPLICASETS, RESOURCES, Resource
from kdns.lab.rights import trust
from kdns.lab.rights.trust import MARK, author, is_trusted
from tests.lab.rights.people import sent, two
from tests.lab.serving import Client

BOT = "system:serviceaccount:default:bot"
CORE, APPS = "/api/v1/namespaces/default", "/apis/apps/v1/namespaces/default"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
PLACES = [
    f"{APPS}/{plural}" for plural in ("deployments", "replicasets", "statefulsets", "daemonsets")
]
Pair = tuple[Client, Client]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with two(has_controllers=False) as found:
        yield found


def pod(name: str = "p", command: str = "mine", **annotations: str) -> Obj:
    probe = {"exec": {"command": [command]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations, "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "i", "livenessProbe": probe}]},
    }


def workload(name: str = "w", command: str = "mine") -> Obj:
    inside = pod("", command)
    template = {"metadata": {"labels": {"app": "x"}}, "spec": inside["spec"]}
    selector = {"matchLabels": {"app": "x"}}
    return {"metadata": {"name": name}, "spec": {"selector": selector, "template": template}}


def of(obj: Obj) -> Obj:
    return obj["spec"]["template"] if obj["kind"] != "Pod" else obj


def test_every_kind_with_a_pod_template_is_marked() -> None:
    def has_template(resource: Resource) -> bool:
        kind = schema.type_of(resource.api_version, resource.kind)
        spec = kind and kind.fields.get("spec")
        inner = spec and schema.inner(spec)
        return bool(inner and {"template", "jobTemplate"} & inner.fields.keys())

    found = {one for one in RESOURCES if has_template(one)}
    assert DEPLOYMENTS in found
    assert found | {PODS} <= trust._MARKED.keys()


async def test_what_the_admin_makes_is_trusted(pair: Pair) -> None:
    admin, _ = pair
    assert is_trusted(await sent(admin, "POST", f"{CORE}/pods", pod()))
    for place in PLACES:
        assert is_trusted(of(await sent(admin, "POST", place, workload())))


async def test_a_pod_of_another_bears_his_name_whatever_he_says(pair: Pair) -> None:
    _, bot = pair
    made = await sent(bot, "POST", f"{CORE}/pods", pod(**{MARK: "kubernetes-admin"}))
    assert (is_trusted(made), author(made)) == (False, BOT)
    bare = pod("bare")
    del bare["metadata"]["annotations"]
    assert author(await sent(bot, "POST", f"{CORE}/pods", bare)) == BOT
    named = {"apiVersion": "v1", "kind": "Pod", **pod("applied")}
    path = f"{CORE}/pods/applied?fieldManager=x"
    assert author(await sent(bot, "PATCH", path, named, APPLY)) == BOT
    dry = await sent(bot, "POST", f"{CORE}/pods?dryRun=All", pod("dry"))
    assert author(dry) == BOT


@pytest.mark.parametrize("place", PLACES)
async def test_a_template_of_another_bears_his_name(pair: Pair, place: str) -> None:
    _, bot = pair
    assert author(of(await sent(bot, "POST", place, workload()))) == BOT
    bare = workload("bare")
    bare["spec"]["template"]["metadata"]["annotations"] = None
    assert author(of(await sent(bot, "POST", place, bare))) == BOT


CHANGES = [
    ("{}", MERGE),
    ('{"metadata":{"annotations":null}}', MERGE),
    ('{"metadata":{"labels":{"a":"b"},"annotations":{"lab.kdns.io/written-by":null}}}', STRATEGIC),
    ('[{"op":"remove","path":"/metadata/annotations/lab.kdns.io~1written-by"}]', JSON),
    ('[{"op":"remove","path":"/metadata/annotations"}]', JSON),
]


@pytest.mark.parametrize(("change", "media"), CHANGES)
@pytest.mark.parametrize("part", ["", "/status"])
async def test_no_patch_takes_the_mark_off_a_pod(
    pair: Pair, change: str, media: str, part: str
) -> None:
    admin, bot = pair
    await sent(bot, "POST", f"{CORE}/pods", pod())
    for client in (bot, admin):
        after = await sent(client, "PATCH", f"{CORE}/pods/p{part}", change.encode(), media)
        assert author(after) == BOT


@pytest.mark.parametrize("place", PLACES)
async def test_no_patch_takes_the_mark_off_a_template(pair: Pair, place: str) -> None:
    admin, bot = pair
    await sent(bot, "POST", place, workload())
    whole = workload()["spec"]["template"]
    for client in (bot, admin):
        for media, change in [
            (MERGE, {"spec": {"template": {"metadata": {"annotations": None}}}}),
            (STRATEGIC, {"spec": {"template": {"metadata": {"annotations": {MARK: None}}}}}),
            (STRATEGIC, {"spec": {"template": {**whole, "$patch": "replace"}}}),
            (JSON, [{"op": "replace", "path": "/spec/template", "value": whole}]),
        ]:
            after = await sent(client, "PATCH", f"{place}/w", json.dumps(change).encode(), media)
            assert author(of(after)) == BOT, (media, change)


async def test_a_put_of_another_does_not_take_it_off_nor_forge_it(pair: Pair) -> None:
    admin, bot = pair
    await sent(bot, "POST", f"{CORE}/pods", pod())
    seen = await bot.get(f"{CORE}/pods/p")
    for name in ("pods/p", "pods/p/status"):
        seen["metadata"]["annotations"] = {MARK: "kubernetes-admin"}
        seen["metadata"].pop("resourceVersion", None)
        assert author(await sent(bot, "PUT", f"{CORE}/{name}", seen)) == BOT
    await sent(admin, "POST", f"{CORE}/pods", pod("mine"))
    mine = await bot.get(f"{CORE}/pods/mine")
    mine["metadata"]["annotations"] = {MARK: "mallory"}
    assert is_trusted(await sent(bot, "PUT", f"{CORE}/pods/mine", mine))


async def test_an_empty_name_is_a_mark_too(pair: Pair) -> None:
    admin, bot = pair
    await sent(admin, "POST", f"{CORE}/pods", pod(**{MARK: ""}))
    after = await sent(bot, "PATCH", f"{CORE}/pods/p", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    assert not is_trusted(after)


async def test_labels_and_annotations_of_another_leave_the_admins_pod_trusted(pair: Pair) -> None:
    admin, bot = pair
    await sent(admin, "POST", f"{CORE}/pods", pod())
    change = {"metadata": {"labels": {"a": "b"}, "annotations": {"lab.kdns.io/ready": "false"}}}
    for media in (MERGE, STRATEGIC):
        assert is_trusted(await sent(bot, "PATCH", f"{CORE}/pods/p", change, media))
    path = f"{CORE}/pods/p/status"
    evil = {"status": {"phase": "Running"}, "spec": pod(command="evil")["spec"]}
    after = await sent(bot, "PATCH", path, evil, MERGE)
    assert is_trusted(after)
    assert "evil" not in json.dumps(after["spec"])


async def test_which_program_plays_a_container_is_the_writers_word(pair: Pair) -> None:
    """Else a command that the lab would not run, as its image is no shell, could be made to run."""
    admin, bot = pair
    shell = {"metadata": {"annotations": {"lab.kdns.io/program.c": "shell"}}}
    await sent(admin, "POST", f"{CORE}/pods", pod())
    assert author(await sent(bot, "PATCH", f"{CORE}/pods/p", shell, MERGE)) == BOT
    for place in PLACES:
        await sent(admin, "POST", place, workload())
        inside = {"spec": {"template": shell}}
        assert author(of(await sent(bot, "PATCH", f"{place}/w", inside, MERGE))) == BOT


async def test_an_apply_to_a_status_makes_nothing(pair: Pair) -> None:
    _, bot = pair
    named = {"apiVersion": "v1", "kind": "Pod", **pod("new")}
    path = f"{CORE}/pods/new/status?fieldManager=x"
    assert (await bot.ask("PATCH", path, json.dumps(named).encode(), Content_Type=APPLY))[0] == 404
    assert (await bot.ask("GET", f"{CORE}/pods/new"))[0] == 404


async def test_a_pod_that_is_put_back_as_it_was_stays_trusted(pair: Pair) -> None:
    admin, bot = pair
    await sent(admin, "POST", f"{CORE}/pods", pod())
    seen = await bot.get(f"{CORE}/pods/p")
    assert is_trusted(await sent(bot, "PUT", f"{CORE}/pods/p", seen))


async def test_another_who_changes_a_spec_marks_it(pair: Pair) -> None:
    admin, bot = pair
    await sent(admin, "POST", f"{CORE}/pods", pod())
    image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "busybox"}]
    assert author(await sent(bot, "PATCH", f"{CORE}/pods/p", image, JSON)) == BOT
    for place in PLACES:
        await sent(admin, "POST", place, workload())
        evil = pod("", "evil")["spec"]
        after = await sent(
            bot, "PATCH", f"{place}/w", {"spec": {"template": {"spec": evil}}}, MERGE
        )
        assert author(of(after)) == BOT
        back = {"spec": {"template": {"spec": pod("")["spec"]}}}
        assert author(of(await sent(bot, "PATCH", f"{place}/w", back, MERGE))) == BOT


async def test_a_restart_or_another_size_is_no_other_spec(pair: Pair) -> None:
    admin, bot = pair
    path = f"{APPS}/deployments"
    await sent(admin, "POST", path, workload())
    again = {"spec": {"template": {"metadata": {"annotations": {"restartedAt": "now"}}}}}
    assert is_trusted(of(await sent(bot, "PATCH", f"{path}/w", again, STRATEGIC)))
    await sent(bot, "PATCH", f"{path}/w/scale", {"spec": {"replicas": 3}}, MERGE)
    await sent(bot, "PATCH", f"{path}/w", {"spec": {"replicas": 2}}, MERGE)
    assert is_trusted(of(await admin.get(f"{path}/w")))
    await sent(bot, "POST", path, workload("his"))
    await sent(admin, "PATCH", f"{path}/his/scale", {"spec": {"replicas": 3}}, MERGE)
    assert author(of(await admin.get(f"{path}/his"))) == BOT


async def test_a_whole_object_of_the_admins_is_his_again(pair: Pair) -> None:
    admin, bot = pair
    path = f"{APPS}/deployments"
    await sent(bot, "POST", path, workload())
    read = await admin.get(f"{path}/w")
    assert author(of(await sent(admin, "PUT", f"{path}/w", read))) == BOT  # as it was read
    assert is_trusted(of(await sent(admin, "PUT", f"{path}/w", workload())))


async def test_the_admins_apply_over_it_does_not_launder_what_another_added(pair: Pair) -> None:
    """The mark is made a field of kubectl's own, which its next apply gives up."""
    admin, bot = pair
    path = f"{APPS}/deployments/w?fieldManager=kubectl&force=true"
    mine = {"apiVersion": "apps/v1", "kind": "Deployment", **workload()}
    await sent(admin, "PATCH", path, mine, APPLY)
    forged = {"apiVersion": "apps/v1", "kind": "Deployment", **workload()}
    forged["spec"]["template"]["metadata"]["annotations"] = {MARK: "x"}
    await sent(bot, "PATCH", path, forged, APPLY)
    evil = {"spec": {"template": {"spec": {"containers": [{"name": "evil", "image": "i"}]}}}}
    await sent(bot, "PATCH", f"{APPS}/deployments/w?fieldManager=other", evil, STRATEGIC)
    after = await sent(admin, "PATCH", path, mine, APPLY)
    names = [one["name"] for one in after["spec"]["template"]["spec"]["containers"]]
    assert "evil" in names
    assert author(of(after)) == BOT


async def test_maps_and_secrets_of_others_are_marked_when_their_content_is_his(pair: Pair) -> None:
    admin, bot = pair
    await sent(admin, "POST", f"{CORE}/configmaps", {"metadata": {"name": "m"}, "data": {"a": "1"}})
    label = {"metadata": {"labels": {"a": "b"}}}
    assert is_trusted(await sent(bot, "PATCH", f"{CORE}/configmaps/m", label, MERGE))
    bend = {"data": {"BASH_ENV": "$(evil)"}}
    assert author(await sent(bot, "PATCH", f"{CORE}/configmaps/m", bend, MERGE)) == BOT
    await sent(admin, "POST", f"{CORE}/secrets", {"metadata": {"name": "s"}})
    bend = {"stringData": {"a": "b"}}
    assert author(await sent(bot, "PATCH", f"{CORE}/secrets/s", bend, MERGE)) == BOT
    stored = admin.lab.storage.get(CONFIGMAPS, "default", "m")
    assert author(stored) == BOT


async def test_pods_of_a_marked_template_are_marked_and_adopting_washes_nothing() -> None:
    async with two() as (admin, bot):
        storage = admin.lab.storage
        await sent(bot, "POST", f"{CORE}/pods", pod("stray", "evil"))
        stray = workload("stray", "evil")
        stray["metadata"]["labels"] = {"app": "x"}
        await sent(bot, "POST", f"{APPS}/replicasets", stray)
        mine = workload("mine")
        mine["spec"]["replicas"] = 3
        await sent(admin, "POST", f"{APPS}/deployments", mine)

        def evil(one: Obj) -> bool:
            return "evil" in json.dumps(one["spec"])

        async with asyncio.timeout(5):
            while not all(one["metadata"].get("ownerReferences")
                          for one in storage.list(REPLICASETS)) or not any(
                              map(is_trusted, storage.list(PODS))):  # fmt: skip
                await asyncio.sleep(0.01)
        pods = storage.list(PODS)
        assert any(map(evil, pods))
        assert all(is_trusted(one) is not evil(one) for one in pods)


async def test_a_change_of_the_template_reaches_its_pods() -> None:
    async with two() as (admin, bot):
        storage = admin.lab.storage
        await sent(admin, "POST", f"{APPS}/deployments", workload())
        evil = {"spec": {"template": {"spec": pod("", "evil")["spec"]}}}
        await sent(bot, "PATCH", f"{APPS}/deployments/w", evil, MERGE)

        def his() -> list[Obj]:
            return [one for one in storage.list(PODS) if "evil" in json.dumps(one["spec"])]

        async with asyncio.timeout(5):
            while not his():
                await asyncio.sleep(0.01)
        assert {author(one) for one in his()} == {BOT}
