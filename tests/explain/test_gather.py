"""Files become facts: what somebody wrote, completed as the server does, and dumps as they are."""

import asyncio
import json
import shutil
import time
from contextlib import aclosing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.cluster.selection import Selection
from kdns.cluster.sources.manifests import Manifests
from kdns.cluster.store import Store, Synced
from kdns.explain import stored
from kdns.explain.gather import Unreadable, beside, offline
from kdns.explain.reasons.words import nearest
from kdns.lab.lab import Lab
from tests.explain.test_reading import POD, SERVICE, SLICE, spoiled

MANIFESTS = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: byhand, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: byhand, namespace: shop}
subsets: [{addresses: [{ip: 192.0.2.7}], ports: [{port: 80}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.0.0.2, phase: Pending}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
spec: {hostname: db-0, subdomain: db, containers: [{name: c, image: i}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
"""


@pytest.fixture
def write(tmp_path):
    def at(text, name="all.yaml"):
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return str(path)

    return at


def listed(*items):
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def stored_(body, **changes):
    return body | {"metadata": body["metadata"] | {"resourceVersion": "1"}} | changes


async def test_manifests_are_completed_as_the_server_does(write):
    path = write(MANIFESTS)
    facts = offline([path])
    store = Store(Selection())
    async with aclosing(aiter(Manifests([path]))) as events:
        async for event in events:
            store.apply(event, 0)
            if isinstance(event, Synced):
                break
    assert {key: one.addresses for key, one in facts.services.items()} == {
        key: stored.service(one).addresses for key, one in store.services.items()
    }
    for key in store.services:
        assert {
            (address, one.is_ready, one.hostname)
            for slice_ in facts.slices[key]
            for one in slice_.endpoints
            for address in one.addresses
        } == {
            (address, one.is_ready, one.hostname)
            for slice_ in map(stored.slice_, store.slices(key))
            for one in slice_.endpoints
            for address in one.addresses
        }
    assert set(facts.namespaces) == set(store.namespaces) == {"shop"}
    assert facts.derived == {"shop/web", "shop/db"}
    assert facts.unknown == {"policies": "the manifests have no NetworkPolicies"}
    assert facts.now == ""
    assert (facts.only, facts.skipped) == ((), ())


def test_pods_without_a_status_are_as_ready_as_the_server_takes_them_for(write):
    facts = offline([write(MANIFESTS)])
    ready = {one.name: one.is_ready for one in facts.pods["shop"]}
    assert ready == {"web-0": True, "web-1": False, "db-0": True}
    served = {one.pod: one.is_ready for each in facts.slices["shop/web"] for one in each.endpoints}
    assert served == {"web-0": True, "web-1": False}


def test_a_dump_is_not_completed(write):
    lonely = stored_(SERVICE, spec={"selector": {"app": "web"}, "clusterIP": "10.96.0.9"})
    lonely["metadata"]["name"] = "lonely"
    pod = stored_(POD)
    facts = offline([write(listed(SERVICE, lonely, stored_(SLICE), pod), "dump.json")])
    assert facts.slices["shop/lonely"] == ()
    assert [one.name for one in facts.slices["shop/web"]] == ["web-abc"]
    assert facts.derived == frozenset()
    assert facts.unknown == {
        "namespaces": "the dump has no Namespaces",
        "policies": "the dump has no NetworkPolicies",
    }
    assert facts.now == "2026-11-21T10:00:09Z"


def test_a_dump_of_services_alone_leaves_endpoints_unknown(write):
    facts = offline([write(listed(SERVICE))])
    assert facts.unknown["slices"] == "the dump has no EndpointSlices"
    assert facts.unknown["pods"] == "the dump has no Pods"
    assert facts.derived == frozenset()


def test_pods_that_a_controller_has_yet_to_make_are_unknown_not_missing(write):
    kept = [one for one in MANIFESTS.split("---\n") if "kind: Pod" not in one]
    facts = offline([write("---\n".join(kept))])
    assert set(facts.slices) == {"shop/byhand"}
    assert facts.services["shop/web"].addresses
    assert facts.derived == frozenset()
    assert facts.unknown["pods"] == "the manifests have no Pods"


def test_a_dump_without_slices_has_them_computed(write):
    pod = stored_(POD, status={"podIP": "10.0.0.1", "phase": "Running"})
    del pod["metadata"]["deletionTimestamp"]
    facts = offline([write(listed(SERVICE, pod))])
    assert "slices" not in facts.unknown
    assert facts.derived == {"shop/web"}


@pytest.mark.parametrize("size", [10, 3000])
def test_beside_a_server_all_but_endpoints_is_the_same(write, size):
    pods = [POD | {"metadata": POD["metadata"] | {"name": f"p-{at}"}} for at in range(size)]
    paths = [write(listed(*pods), "big.json"), write(MANIFESTS)]
    whole, part = offline(paths), beside(paths)
    assert len(part.pods["shop"]) == size + 3
    assert (part.pods, part.unknown) == (whole.pods, whole.unknown)
    assert part.derived == whole.derived == {"shop/web", "shop/db"}
    assert part.services["shop/web"].selector == {"app": "web"}


def test_an_empty_typed_list_is_a_kind_with_none(write):
    path = write({"kind": "NetworkPolicyList", "items": []}, "policies.json")
    facts = offline([write(listed(SERVICE)), path])
    assert "policies" not in facts.unknown
    assert facts.policies["shop"] == ()


def test_items_of_a_typed_list_are_what_it_says(write):
    items = [{key: value for key, value in POD.items() if key != "kind"}]
    facts = offline([write({"kind": "PodList", "apiVersion": "v1", "items": items}, "pods.json")])
    assert [one.name for one in facts.pods["shop"]] == ["web-0"]


def test_services_are_found_by_their_address(write):
    facts = offline([write(listed(SERVICE))])
    assert facts.service_at("10.96.0.1").name == "web"
    assert facts.service_at("10.96.0.2") is None
    assert list(facts.names) == [("shop", "web")]


def test_the_nearest_of_very_many_words_is_found_soon():
    known = [f"some-service-{at}" for at in range(10_000)]
    began = time.thread_time()
    assert nearest("some-servce-7777", known)[0] == "some-service-7777"
    assert time.thread_time() - began < 1  # of all of them it would be seconds


def test_slices_are_better_than_endpoints(write):
    endpoints = {
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"},
        "subsets": [{"addresses": [{"ip": "10.9.9.9"}]}],
    }  # fmt: skip
    both = offline([write(listed(SERVICE, endpoints, stored_(SLICE)))])
    assert [one.kind for one in both.slices["shop/web"]] == ["EndpointSlice"]
    alone = offline([write(listed(SERVICE, endpoints))])
    assert [one.kind for one in alone.slices["shop/web"]] == ["Endpoints"]


def test_a_dump_of_one_namespace_says_so(write):
    assert offline([write(listed(SERVICE, stored_(SLICE)))]).only == ("shop",)
    first = stored_(SERVICE, spec={"clusterIP": "10.96.0.1"})
    first["metadata"] |= {"name": "kubernetes", "namespace": "default"}
    assert offline([write(listed(SERVICE, first))]).only == ()


def test_what_cannot_be_read_is_named_and_the_rest_is_there(write):
    bad = SERVICE | {"spec": {"clusterIP": "here"}}
    path = write(listed(bad, *[{"kind": "Pod"}] * 30, stored_(SLICE)), "bad.json")
    facts = offline([path])
    assert facts.skipped[0].startswith(f"{path}: items[0]: Expected an IP address, got 'here'")
    assert facts.skipped[-1] == "and 11 more"
    assert "shop/web" in facts.slices
    broken = write("kind: Service\n  bad: [\n---\n" + MANIFESTS)
    facts = offline([broken])
    assert len(facts.skipped) == 1
    assert facts.skipped[0].startswith(f"{broken}: document 1: ")
    assert "line 2" in facts.skipped[0]
    assert "shop/web" in facts.services


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_the_server_would_skip_is_skipped(write, form):
    bad = {"kind": "Service", "metadata": {"name": "bad", "namespace": "shop"}}
    bad["spec"] = {"ports": [{"port": 99999}]}
    good = SERVICE | {"metadata": {"name": "good"}}
    path = write(listed(bad, good) if form == "json" else f"{bad}\n---\n{good}")
    facts = offline([path])
    assert set(facts.services) == {"default/good"}
    (line,) = facts.skipped
    assert "Expected a port from 1 to 65535, got '99999'" in line


def test_a_folder_is_read_as_the_server_reads_it(write, tmp_path):
    write(MANIFESTS)
    write(MANIFESTS.replace("shop", "hidden"), ".hidden.yaml")
    write(MANIFESTS.replace("shop", "other"), "notes.txt")
    assert set(offline([str(tmp_path)]).namespaces) == {"shop"}


@pytest.mark.parametrize("content", ["", "---", "null", '{"kind":"List"}', '{"kind":"PodList"}'])
def test_a_file_of_nothing_is_no_error(write, content):
    assert offline([write(content)]).services == {}


@pytest.mark.parametrize("content", ["\x00\x01", "[]", "{}", "5", "{]", "kind: Service\n  bad: ["])
def test_files_of_which_nothing_can_be_read_are_one_line(write, content):
    paths = [write(content, "one.yaml"), write(content, "other.yaml")]
    with pytest.raises(
        Unreadable, match=r"^nothing there can be read: .*one\.yaml: .*other\.yaml: "
    ):
        offline(paths)
    assert offline([*paths, write(MANIFESTS)]).services


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(Unreadable, match=r"missing\.yaml: No such file or directory$"):
        offline([str(tmp_path / "missing.yaml")])


@given(st.lists(spoiled(), max_size=4), st.sampled_from(["list", "documents", "items"]))
def test_no_rubbish_is_a_failure(tmp_path_factory, bodies, form):
    path = tmp_path_factory.getbasetemp() / "rubbish.json"
    if form == "documents":
        path.write_text("\n---\n".join(map(json.dumps, bodies)))
    else:
        kind = "List" if form == "list" else "PodList"
        path.write_text(json.dumps({"kind": kind, "items": bodies}))
    try:
        facts = offline([str(path)])
    except Unreadable as error:
        assert bodies
        assert "\n" not in str(error)
        return
    assert len(facts.skipped) <= 21
    assert all(key == f"{one.namespace}/{one.name}" for key, one in facts.services.items())


@given(st.binary(max_size=60))
def test_no_bytes_are_a_failure(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(content)
    with suppress(Unreadable):
        assert offline([str(path)]).services == {}


KUBECTL = shutil.which("kubectl")


@pytest.mark.slow
@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
@pytest.mark.parametrize("form", ["yaml", "json"])
async def test_what_kubectl_prints_is_read(tmp_path, write, form):
    source = write(MANIFESTS.partition("---\napiVersion: apps")[0])
    async with Lab() as lab:
        config = lab.kubeconfig(tmp_path / "config")

        async def run(command):
            child = await asyncio.create_subprocess_exec(
                KUBECTL, f"--kubeconfig={config}", f"--cache-dir={tmp_path}", *command.split(),
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            return (await child.communicate())[0].decode()

        await run("create namespace shop")
        await run(f"apply -f {source}")
        async with asyncio.timeout(60):
            while "8080" not in await run("-n shop get endpointslices -o yaml"):
                await asyncio.sleep(0.2)
        text = await run(f"get svc,endpointslices,pods,ns,networkpolicies -A -o {form}")
    facts = offline([write(text, f"dump.{form}")])
    assert facts.skipped == ()
    assert facts.derived == frozenset()
    assert facts.only == ()
    assert facts.services["shop/web"].selector == {"app": "web"}
    assert facts.services["shop/web"].ports[0].target == "http"
    assert {one.name for one in facts.pods["shop"]} == {"web-0", "web-1", "db-0"}
    assert facts.slices["shop/web"][0].managed_by == "endpointslice-controller.k8s.io"
    assert facts.slices["shop/web"][0].triggered
    assert facts.unknown == {"policies": "the dump has no NetworkPolicies"}
    assert facts.now
