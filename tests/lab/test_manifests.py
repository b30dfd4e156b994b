"""Manifests are applied as kubectl apply does; what is wrong is one line with file and field."""

import json
from itertools import count
from pathlib import Path
from random import Random

import pytest

from kdns.lab import manifests
from kdns.lab.controllers.desk import Desk
from kdns.lab.manifests import LAST_APPLIED, ManifestError
from kdns.lab.resources import DEPLOYMENTS, NAMESPACES, PODS, SERVICES
from kdns.lab.storage import Storage

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: PORT}]}
"""


@pytest.fixture
def storage() -> Storage:
    number = count(1)
    return Storage(now=lambda: 1_700_000_000.0, uid=lambda: f"uid-{next(number)}")


def apply(storage: Storage, *paths: Path) -> int:
    return manifests.apply(storage, manifests.read(paths), Desk(storage, Random(1).randrange))


def test_a_folder_is_applied_namespaces_first(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SERVICE.replace("PORT", "80"))
    (tmp_path / "b.yaml").write_text(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n"
    )
    (tmp_path / "README.md").write_text("no manifest")
    assert apply(storage, tmp_path) == 2
    assert storage.get(NAMESPACES, "", "shop")["metadata"]["labels"]["team"] == "a"
    assert storage.get(SERVICES, "shop", "web")["spec"]["clusterIP"]


def test_a_second_time_keeps_what_the_server_gave(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(SERVICE.replace("PORT", "80"))
    apply(storage, file)
    before = storage.get(SERVICES, "shop", "web")
    apply(storage, file)
    assert storage.get(SERVICES, "shop", "web") is before
    file.write_text(SERVICE.replace("PORT", "81"))
    apply(storage, file)
    after = storage.get(SERVICES, "shop", "web")
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
    assert after["spec"]["ports"][0]["port"] == 81
    said = json.loads(after["metadata"]["annotations"][LAST_APPLIED])
    assert said["spec"]["ports"] == [{"name": "http", "port": 81}]


def test_a_pod_of_a_dump_keeps_its_state_and_may_be_applied_again(
    storage: Storage, tmp_path: Path
) -> None:
    file = tmp_path / "pod.json"
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
        "status": {"phase": "Running", "podIP": "10.244.7.7", "podIPs": [{"ip": "10.244.7.7"}]},
    }  # fmt: skip
    file.write_text(json.dumps(pod))
    apply(storage, file)
    made = storage.get(PODS, "default", "a")
    assert made["status"]["podIP"] == "10.244.7.7"
    bound = {**made, "spec": {**made["spec"], "nodeName": "node-a"}}
    storage.update(PODS, "default", "a", bound)
    file.write_text(json.dumps({**pod, "metadata": {"name": "a", "labels": {"app": "a"}}}))
    apply(storage, file)
    after = storage.get(PODS, "default", "a")
    assert after["spec"]["nodeName"] == "node-a"
    assert after["metadata"]["labels"] == {"app": "a"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SERVICE.replace("PORT", "70000"), ["document 1", '"web"', "spec.ports[0].port"]),
        (SERVICE.replace("PORT", "often"), ["document 1", "web", "port"]),
        (SERVICE.replace("PORT", "80") + "---\n" + SERVICE.replace("spec:", "sepc:"),
         ["document 2", "web", '"sepc"']),
        ("apiVersion: v1\nkind: Servce\nmetadata: {name: a}\n", ["document 1", "Servce"]),
        ("apiVersion: v1\nkind: Service\nmetadata: {}\n", ["document 1", "metadata.name"]),
        ("a: [\n", ["document 1", "line"]),
        ("- 1\n", ["document 1", "no object"]),
    ],
    ids=["range", "type", "field", "kind", "name", "yaml", "list"],
)  # fmt: skip
def test_mistakes_name_file_document_and_field(
    storage: Storage, tmp_path: Path, text: str, words: list[str]
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(ManifestError) as caught:
        apply(storage, file)
    [line] = str(caught.value).splitlines()
    for word in (str(file), *words):
        assert word in line


def test_all_mistakes_are_told_at_once(storage: Storage, tmp_path: Path) -> None:
    for name in ("a.yaml", "b.json"):
        (tmp_path / name).write_text('{"apiVersion": "v1", "kind": "Nothing"}')
    with pytest.raises(ManifestError) as caught:
        apply(storage, tmp_path)
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_is_not_there(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone\.yaml: No such file"):
        apply(storage, tmp_path / "gone.yaml")


def test_the_demo_is_right(storage: Storage) -> None:
    assert apply(storage, Path(__file__).parents[2] / "config" / "demo") > 15
    assert storage.get(DEPLOYMENTS, "kube-system", "coredns")
