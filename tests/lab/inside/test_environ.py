"""Containers' own variables: order, references, and what is missing."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.lab.inside.environ import Around, container_of, expand, own

POD: dict[str, Any] = {
    "metadata": {
        "name": "web", "namespace": "shop", "uid": "u-1",
        "labels": {"app": "web", "a.b/c": "d"}, "annotations": {"note": "it's"},
    },
    "spec": {"nodeName": "node-a", "containers": [{"name": "main"}, {"name": "side", "resources": {
        "limits": {"memory": "64Mi"}}}], "initContainers": [{"name": "first"}]},
    "status": {
        "podIP": "10.244.1.5", "podIPs": [{"ip": "10.244.1.5"}, {"ip": "fd00::5"}],
        "hostIP": "172.18.0.11", "hostIPs": [{"ip": "172.18.0.11"}],
    },
}  # fmt: skip
HELD = {
    ("ConfigMap", "settings"): {"data": {"COLOR": "red", "with space": "x", "a=b": "no", "size": "3"}},
    ("ConfigMap", "broken"): {"data": {"NUL": "a\0b", "é": "no"}},
    ("Secret", "keys"): {
        "data": {"PASSWORD": base64.b64encode(b"se$(COLOR)cret").decode(),
                 "RAW": base64.b64encode(b"\xff\xfe").decode()}
    },
}  # fmt: skip
NODE = {"status": {"allocatable": {"cpu": "4", "memory": "8Gi"}}}
AROUND = Around(lambda kind, name: HELD.get((kind, name)), NODE)


def made(container: dict[str, Any], links: dict[str, str] | None = None) -> dict[str, str]:
    return (links or {}) | own(POD, container, lambda: links or {}, AROUND)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$", "$$"),
        ("$(B)", "$(B)"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$", "$"),
        ("$()", "$()"),
        ("$(A)$(B)$(A)", "1$(B)1"),
        ("$($(A))", "$($(A))"),
    ],
)
def test_references(text: str, found: str) -> None:
    assert expand(text, {"A": "1"}) == found


@given(st.text(alphabet="$()Ax", max_size=12))
def test_references_as_a_kubelet_reads_them(text: str) -> None:
    assert expand(text, {"A": "1"}) == spelled_out(text, {"A": "1"})


def spelled_out(text: str, environ: dict[str, str]) -> str:
    """The same, letter by letter, as the documentation describes it."""
    found, at = "", 0
    while at < len(text):
        if text.startswith("$$", at):
            found, at = found + "$", at + 2
        elif text.startswith("$(", at) and ")" in text[at:]:
            end = text.index(")", at)
            name = text[at + 2 : end]
            found, at = found + environ.get(name, f"$({name})"), end + 1
        else:
            found, at = found + text[at], at + 1
    return found


def test_later_ones_win() -> None:
    container = {
        "env": [
            {"name": "COLOR", "value": "blue"},
            {"name": "BOTH", "value": "$(COLOR) at $(WEB_SERVICE_HOST), $(LATER)"},
            {"name": "LATER", "value": "too late"},
            {"name": "WEB_PORT", "value": "mine"},
            {"name": "EMPTY"},
        ],
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"prefix": "P_", "secretRef": {"name": "keys"}}],
    }  # fmt: skip
    found = made(container, {"WEB_SERVICE_HOST": "10.96.0.20", "WEB_PORT": "tcp://…"})
    assert found == {
        "WEB_SERVICE_HOST": "10.96.0.20", "WEB_PORT": "mine", "COLOR": "blue", "size": "3",
        "with space": "x", "P_PASSWORD": "se$(COLOR)cret", "P_RAW": "\udcff\udcfe",
        "BOTH": "blue at 10.96.0.20, $(LATER)", "LATER": "too late", "EMPTY": "",
    }  # fmt: skip


def test_what_no_process_can_be_given_is_left_out() -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "broken"}}],
        "env": [{"name": "a=b", "value": "x"}],
    }
    assert made(container) == {}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['a.b/c']", "d"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['note']", "it's"),
        ("spec.nodeName", "node-a"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "10.244.1.5"),
        ("status.podIPs", "10.244.1.5,fd00::5"),
        ("status.hostIP", "172.18.0.11"),
        ("status.hostIPs", "172.18.0.11"),
    ],
)
def test_fields(path: str, found: str) -> None:
    assert made({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}]}) == {
        "A": found
    }


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ({"resource": "limits.cpu"}, "4"),
        ({"resource": "limits.memory", "divisor": "1Gi"}, "8"),
        ({"resource": "requests.cpu", "divisor": "1m"}, "100"),
        ({"resource": "requests.memory"}, "0"),
        ({"resource": "limits.memory", "containerName": "side", "divisor": "1Mi"}, "64"),
    ],
)
def test_resources(reference: dict[str, str], found: str) -> None:
    source = {"name": "A", "valueFrom": {"resourceFieldRef": reference}}
    container = {"env": [source], "resources": {"requests": {"cpu": "100m"}}}
    assert made(container) == {"A": found}


def test_single_keys() -> None:
    def value(**source: Any) -> dict[str, Any]:
        return {"name": "A", "valueFrom": source}

    assert made({"env": [value(configMapKeyRef={"name": "settings", "key": "size"})]}) == {"A": "3"}
    assert made({"env": [value(secretKeyRef={"name": "keys", "key": "PASSWORD"})]}) == {
        "A": "se$(COLOR)cret"}  # fmt: skip
    for missing in ({"name": "none", "key": "x"}, {"name": "keys", "key": "x"}):
        assert made({"env": [value(secretKeyRef={**missing, "optional": True})]}) == {}


@pytest.mark.parametrize(
    ("container", "why"),
    [
        ({"envFrom": [{"configMapRef": {"name": "none"}}]}, 'configmap "none" not found'),
        ({"envFrom": [{"secretRef": {"name": "none"}}]}, 'secret "none" not found'),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "x"}}}]},
         "couldn't find key x in Secret shop/keys"),
        ({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x"}}}]},
         'configmap "none" not found'),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.volumes"}}}]},
         "unsupported fieldPath: spec.volumes"),
        ({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "x"}}}]},
         "'x' is no quantity"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told_as_a_kubelet_tells_it(container: dict[str, Any], why: str) -> None:
    with pytest.raises(LookupError) as found:
        made(container)
    assert why in str(found.value)


def test_whole_sources_may_be_missing_where_they_are_optional() -> None:
    sources = [
        {"configMapRef": {"name": "none", "optional": True}},
        {"secretRef": {"name": "none", "optional": True}},
    ]
    assert made({"envFrom": sources}) == {}


def test_containers_by_name() -> None:
    assert container_of(POD, "")["name"] == "main"
    assert container_of(POD, "side")["name"] == "side"
    assert container_of(POD, "first")["name"] == "first"
    with pytest.raises(LookupError, match="container x is not valid for pod web"):
        container_of(POD, "x")
