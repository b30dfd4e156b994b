"""The lab's HTTP API: verbs, pages, forms, tokens, discovery, as a real server answers.

Codes, reasons and messages stand here as a Kubernetes 1.34 server gave them.
"""

import asyncio
import base64
import gc
import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from kdns.lab.lab import Lab, Tls
from kdns.lab.resources import CONFIGMAPS, RESOURCES, SERVICEACCOUNTS
from kdns.lab.rights import defaults
from tests.lab.rights.people import bind
from tests.lab.serving import MAPS, PARTIAL, Client, change, make, remove, served

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/bot"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    async with served() as found:
        yield found


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "reason", "message"),
    [
        ("GET", f"{MAPS}/no", None, 404, "NotFound", 'configmaps "no" not found'),
        ("GET", "/api/v1/nosuch", None, 404, "NotFound", "the server could not find the requested resource"),
        ("GET", f"{MAPS}/a/status", None, 404, "NotFound", "the server could not find the requested resource"),
        ("POST", MAPS, {"metadata": {"name": "a"}}, 409, "AlreadyExists", 'configmaps "a" already exists'),
        ("POST", MAPS, {"metadata": {}}, 422, "Invalid", 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'),
        ("POST", MAPS, {"metadata": {"name": "x", "namespace": "other"}}, 400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"),
        ("POST", MAPS, {"metadata": {"name": 5}}, 400, "BadRequest", 'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string'),
        ("POST", DEPLOYMENTS, {"metadata": {"name": "x"}, "spec": {"minReadySeconds": 99999999999}}, 400, "BadRequest", "cannot unmarshal number into Go struct field DeploymentSpec.spec.minReadySeconds of type int32"),
        ("POST", "/api/v1/namespaces/none/configmaps", {"metadata": {"name": "x"}}, 404, "NotFound", 'namespaces "none" not found'),
        ("POST", f"{MAPS}?fieldValidation=Strict", {"metadata": {"name": "x", "fooo": 1}, "foo": 1}, 400, "BadRequest", "strict decoding error: unknown field"),
        ("POST", f"{MAPS}?dryRun=Y", {"metadata": {"name": "x"}}, 422, "Invalid", 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Y"]: supported values: "All"'),
        ("PUT", f"{MAPS}/b", {"metadata": {"name": "a"}}, 400, "BadRequest", "the name of the object (a) does not match the name on the URL (b)"),
        ("PUT", f"{MAPS}/a", {"metadata": {"name": "a", "resourceVersion": "1"}}, 409, "Conflict", 'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again'),
        ("PUT", f"{MAPS}/no", {"metadata": {"name": "no"}}, 404, "NotFound", 'configmaps "no" not found'),
        ("PATCH", f"{MAPS}/a", {}, 415, "UnsupportedMediaType", "415: Unsupported Media Type"),
        ("POST", f"{MAPS}/a", {}, 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"),
        ("PUT", MAPS, {}, 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"),
        ("POST", MAPS, b'{"metadata":', 400, "BadRequest", "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error"),
        ("POST", MAPS, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}}, 400, "BadRequest", 'Pod in version "v1" cannot be handled as a ConfigMap'),
        ("DELETE", f"{MAPS}/a", {"preconditions": {"uid": "123"}}, 409, "Conflict", 'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (123) does not match the UID in record'),
        ("GET", f"{MAPS}?labelSelector=a+b", None, 400, "BadRequest", "unable to parse requirement"),
        ("GET", f"{MAPS}?fieldSelector=foo%3Dbar", None, 400, "BadRequest", "field label not supported: foo"),
        ("GET", f"{MAPS}?continue=xxx", None, 400, "BadRequest", "invalid continue token"),
        ("GET", f"{MAPS}?resourceVersion=abc", None, 400, "BadRequest", 'invalid resource version: resourceVersion: Invalid value: "abc"'),
        ("GET", f"{MAPS}?resourceVersionMatch=Exact", None, 422, "Invalid", "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("GET", f"{MAPS}?resourceVersionMatch=Exact&resourceVersion=0", None, 422, "Invalid", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
        ("GET", f"{MAPS}?sendInitialEvents=true", None, 422, "Invalid", "sendInitialEvents is forbidden for list"),
        ("GET", f"{MAPS}?watch=1&sendInitialEvents=true", None, 422, "Invalid", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        ("GET", f"{MAPS}?watch=1&resourceVersionMatch=NotOlderThan", None, 422, "Invalid", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_refused_in_the_words_of_a_real_server(
    api: Client, method: str, path: str, body: Any, code: int, reason: str, message: str
) -> None:
    make(api.lab, "a")
    found, status = await api.ask(method, path, body)
    assert (found, status["reason"], status["code"]) == (code, reason, code)
    assert message in status["message"]
    assert (status["kind"], status["status"]) == ("Status", "Failure")


async def test_an_object_is_created_changed_and_deleted(api: Client) -> None:
    code, made = await api.ask(
        "POST", MAPS, {"metadata": {"generateName": "g-"}, "data": {"x": "1"}}
    )
    name = made["metadata"]["name"]
    assert (code, made["kind"], name[:2], len(name)) == (201, "ConfigMap", "g-", 7)
    code, new = await api.ask("PUT", f"{MAPS}/{name}", made | {"data": {"x": "2"}})
    assert (code, new["data"]) == (200, {"x": "2"})
    media = {"Content_Type": "application/merge-patch+json"}
    code, new = await api.ask("PATCH", f"{MAPS}/{name}", {"data": {"x": None, "y": "3"}}, **media)
    assert (code, new["data"]) == (200, {"y": "3"})
    stale = {"metadata": {"resourceVersion": "3"}}
    assert (await api.ask("PATCH", f"{MAPS}/{name}", stale, **media))[0] == 409
    code, status = await api.ask("DELETE", f"{MAPS}/{name}")
    uid = made["metadata"]["uid"]
    assert status["details"] == {"name": name, "kind": "configmaps", "uid": uid}
    assert (code, status["status"]) == (200, "Success")
    assert (await api.ask("GET", f"{MAPS}/{name}"))[0] == 404


async def test_a_body_may_be_yaml_and_unknown_fields_are_warned_of(api: Client) -> None:
    body = b"metadata: {name: a}\nfoo: 1\n"
    code, made = await api.ask("POST", MAPS, body, Content_Type="application/yaml")
    assert (code, made.get("foo")) == (201, None)
    assert api.headers["Warning"] == '299 - "unknown field \\"foo\\""'


@pytest.mark.parametrize(
    ("method", "path", "body", "media", "code"),
    [
        ("POST", MAPS, b"[" * 200_000, "application/json", 400),
        ("POST", MAPS, b"metadata: {name: x}\ndata: &a {b: *a}", "application/yaml", 400),
        ("POST", MAPS, b"metadata: {name: x}\ndata: {2: b}", "application/yaml", 201),
        ("POST", MAPS, b"? [1]\n: 2", "application/yaml", 400),
        ("PATCH", f"{MAPS}/a?fieldManager=x", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": "x"}, "application/apply-patch+yaml", 400),
        ("PUT", f"{DEPLOYMENTS}/d/scale", {"spec": "x"}, "application/json", 400),
        ("PUT", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": True}}, "application/json", 400),
        ("PATCH", f"{DEPLOYMENTS}/d/scale", [{"op": "replace", "path": "/spec/replicas", "value": 2}], "application/json-patch+json", 200),
        ("PATCH", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": "x"}}, "application/merge-patch+json", 400),
        ("DELETE", f"{MAPS}/a", {"preconditions": "x"}, "application/json", 400),
        ("DELETE", f"{MAPS}/a", {"dryRun": 5}, "application/json", 400),
        ("DELETE", "/api/v1/configmaps", None, "application/json", 405),
        ("DELETE", "/api/v1/namespaces", None, "application/json", 405),
        ("HEAD", MAPS, None, "application/json", 405),
        ("POST", f"{ACCOUNT}/token", {"spec": "x"}, "application/json", 400),
        ("POST", f"{ACCOUNT}/token", {"spec": {"expirationSeconds": 1 << 33}}, "application/json", 422),
        ("POST", ACCESS, {"spec": "x"}, "application/json", 400),
        ("POST", ACCESS, {"spec": {}, "x": "y" * 2_000_000}, "application/json", 422),
        ("GET", f"{MAPS}?resourceVersion={'9' * 5000}", None, "application/json", 400),
    ],
)  # fmt: skip
async def test_no_body_is_so_odd_that_the_server_fails(
    api: Client, method: str, path: str, body: Any, media: str, code: int
) -> None:
    make(api.lab, "a")
    api.lab.storage.create(SERVICEACCOUNTS, "default", {"metadata": {"name": "bot"}})
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}  # fmt: skip
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    assert (await api.ask("POST", DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec}))[0] == 201
    assert (await api.ask(method, path, body, Content_Type=media))[0] == code


async def test_a_token_that_is_no_text_is_none_of_ours(api: Client) -> None:
    headers = {"Authorization": "Bearer ÿ"}
    assert (await api.ask("GET", MAPS, **headers))[0] == 401


async def test_a_failure_is_logged_without_the_token_of_the_path(
    api: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kdns.lab.reading.page", None)
    assert (await api.ask("GET", f"/as/{api.lab.token}{MAPS}"))[0] == 500
    assert f"request failed: GET {MAPS} error=" in caplog.text
    assert api.lab.token not in caplog.text


async def test_dry_runs_reply_as_if(api: Client) -> None:
    code, made = await api.ask("POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "a"}})
    assert (code, made["metadata"]["name"]) == (201, "a")
    assert (await api.ask("GET", f"{MAPS}/a"))[0] == 404


async def test_a_body_may_be_large_but_not_too_large(api: Client) -> None:
    for size, code in [(900_000, {201}), (4_000_000, {413})]:
        body = {"metadata": {"name": "big"}, "data": {"x": "y" * size}}
        assert (await api.ask("POST", MAPS, body))[0] in code


async def test_selectors_choose(api: Client) -> None:
    make(api.lab, "a", "b", app="x")
    make(api.lab, "c")
    for query, names in [
        ("labelSelector=app%3Dx", ["a", "b"]),
        ("labelSelector=!app", ["c"]),
        ("fieldSelector=metadata.name%3Db", ["b"]),
        ("fieldSelector=metadata.name!%3Db&labelSelector=app", ["a"]),
    ]:
        found = await api.get(f"{MAPS}?{query}")
        assert [one["metadata"]["name"] for one in found["items"]] == names, query
    deleted = (await api.ask("DELETE", f"{MAPS}?labelSelector=app"))[1]
    assert [one["metadata"]["name"] for one in deleted["items"]] == ["a", "b"]
    assert [one["metadata"]["name"] for one in (await api.get(MAPS))["items"]] == ["c"]


async def test_pages_show_one_moment(api: Client) -> None:
    make(api.lab, *"abcdefg")
    first = await api.get(f"{MAPS}?limit=3")
    assert first["metadata"]["remainingItemCount"] == 4
    change(api.lab, "e", new="yes")
    remove(api.lab, "f")
    make(api.lab, "dd")
    token = first["metadata"]["continue"]
    second = await api.get(f"{MAPS}?limit=3&continue={token}")
    third = await api.get(f"{MAPS}?limit=3&continue={second['metadata']['continue']}")
    names = [one["metadata"]["name"] for page in (first, second, third) for one in page["items"]]
    assert names == list("abcdefg")
    assert "data" not in second["items"][1]
    assert {page["metadata"]["resourceVersion"] for page in (first, second, third)} == {
        first["metadata"]["resourceVersion"]
    }
    assert "continue" not in third["metadata"]


async def test_a_forgotten_page_is_a_410_with_a_token_that_goes_on(api: Client) -> None:
    make(api.lab, *"abcd")
    first = await api.get(f"{MAPS}?limit=2")
    remove(api.lab, "c")
    api.lab.storage.compact()
    code, status = await api.ask("GET", f"{MAPS}?limit=2&continue={first['metadata']['continue']}")
    assert (code, status["reason"]) == (410, "Expired")
    assert "The provided continue parameter is too old" in status["message"]
    rest = await api.get(f"{MAPS}?limit=2&continue={status['metadata']['continue']}")
    assert [one["metadata"]["name"] for one in rest["items"]] == ["d"]
    assert rest["metadata"]["resourceVersion"] == str(api.lab.storage.version)


async def test_a_version_says_which_moment_a_list_shows(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdns.lab.watching.TOO_LARGE_S", 0.01)
    make(api.lab, "a", "b")
    then = api.lab.storage.version
    make(api.lab, "c")
    for query, count in [
        ("resourceVersion=0&limit=1", 3),
        (f"resourceVersion={then}", 3),
        (f"resourceVersion={then}&resourceVersionMatch=NotOlderThan", 3),
        (f"resourceVersion={then}&resourceVersionMatch=Exact", 2),
        (f"resourceVersion={then - 1}&resourceVersionMatch=Exact", 1),
        ("limit=1", 1),
    ]:
        assert len((await api.get(f"{MAPS}?{query}"))["items"]) == count, query
    api.lab.storage.compact()
    code, status = await api.ask("GET", f"{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact")
    too_old = "The resourceVersion for the provided list is too old."
    assert (code, status["reason"], status["message"]) == (410, "Expired", too_old)
    code, status = await api.ask("GET", f"{MAPS}?resourceVersion=999")
    assert (code, api.headers["Retry-After"]) == (504, "1")
    assert status["message"] == f"Timeout: Too large resource version: 999, current: {then + 1}"
    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_objects_come_in_the_form_that_was_asked_for(api: Client) -> None:
    make(api.lab, "a")
    whole = await api.get(MAPS)
    assert (whole["kind"], whole["items"][0].keys()) == ("ConfigMapList", {"metadata"})
    meta = await api.get(
        MAPS, Accept=f"{PARTIAL.replace('Metadata;', 'MetadataList;')},application/json"
    )
    assert (meta["kind"], meta["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert meta["items"] == [{"metadata": whole["items"][0]["metadata"]}]
    table = await api.get(MAPS, Accept=TABLE)
    assert table["kind"] == "Table"
    (row,) = table["rows"]
    assert (row["cells"][0], row["object"]["kind"]) == ("a", "PartialObjectMetadata")
    assert len(row["cells"]) == len(table["columnDefinitions"])
    bare = await api.get(f"{MAPS}?includeObject=None", Accept=TABLE)
    assert bare["rows"][0]["object"] is None
    one = await api.get(f"{MAPS}/a", Accept=PARTIAL)
    assert one["kind"] == "PartialObjectMetadata"
    code, status = await api.ask("GET", MAPS, Accept="application/xml")
    assert (code, status["reason"]) == (406, "NotAcceptable")
    await api.get(MAPS, Accept="application/vnd.kubernetes.protobuf, */*")
    assert api.headers["Content-Type"] == "application/json"


async def test_lists_of_all_namespaces_and_no_cluster_wide_writes(api: Client) -> None:
    make(api.lab, "a")
    assert len((await api.get("/api/v1/configmaps"))["items"]) == 1
    assert (await api.ask("POST", "/api/v1/configmaps", {"metadata": {"name": "b"}}))[0] == 405
    assert (await api.ask("GET", "/api/v1/configmaps/a"))[0] == 404


async def test_a_status_is_written_under_its_own_path(api: Client) -> None:
    spec = {"finalizers": ["kubernetes"]}
    await api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}, "spec": spec})
    media = {"Content_Type": "application/merge-patch+json"}
    path = "/api/v1/namespaces/n"
    body = {"status": {"phase": "Terminating"}, "metadata": {"labels": {"x": "y"}}}
    _, plain = await api.ask("PATCH", path, body, **media)
    assert (plain["status"]["phase"], plain["metadata"]["labels"]["x"]) == ("Active", "y")
    _, changed = await api.ask("PATCH", f"{path}/status", body, **media)
    assert changed["status"]["phase"] == "Terminating"


async def test_a_scale_is_a_view_of_a_deployment(api: Client) -> None:
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    await api.ask("POST", DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec})
    scale = await api.get(f"{DEPLOYMENTS}/d/scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == (
        "Scale",
        {"replicas": 1},
        {"replicas": 0, "selector": "a=b"},
    )
    scale["spec"]["replicas"] = 4
    assert (await api.ask("PUT", f"{DEPLOYMENTS}/d/scale", scale))[0] == 200
    assert (await api.ask("PUT", f"{DEPLOYMENTS}/d/scale", scale))[0] == 409
    assert (await api.get(f"{DEPLOYMENTS}/d"))["spec"]["replicas"] == 4
    code, status = await api.ask(
        "PATCH",
        f"{DEPLOYMENTS}/d/scale",
        {"spec": {"replicas": -1}},
        Content_Type="application/merge-patch+json",
    )
    assert (code, status["reason"]) == (422, "Invalid")


async def test_only_who_has_a_token_gets_in(api: Client) -> None:
    api.lab.storage.create(SERVICEACCOUNTS, "default", {"metadata": {"name": "bot"}})
    path = "/api/v1/namespaces/default/serviceaccounts/bot/token"
    code, made = await api.ask("POST", path, {"spec": {"expirationSeconds": 1200}})
    token = made["status"]["token"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (code, claims["exp"] - claims["iat"]) == (201, 1200)
    assert claims["sub"] == "system:serviceaccount:default:bot"
    assert (await api.ask("GET", MAPS, Authorization=f"Bearer {token}"))[0] == 403
    defaults.furnish(api.lab.storage)
    bind(api.lab, "bot", "view", inside="default")
    assert (await api.ask("GET", MAPS, Authorization=f"Bearer {token}"))[0] == 200
    for header in ["", "Bearer nonsense", f"Bearer {token}x", f"Basic {token}"]:
        code, status = await api.ask("GET", MAPS, Authorization=header)
        assert (code, status["reason"]) == (401, "Unauthorized"), header
    api.lab.storage.delete(SERVICEACCOUNTS, "default", "bot")
    assert (await api.ask("GET", MAPS, Authorization=f"Bearer {token}"))[0] == 401
    assert (await api.ask("GET", "/readyz", Authorization=""))[0] == 200


async def test_strangers_are_told_the_version_and_nothing_else(api: Client) -> None:
    defaults.furnish(api.lab.storage)
    code, version = await api.ask("GET", "/version", Authorization="")
    assert (code, version["major"]) == (200, "1")
    for path in ("/", "/apis", "/openapi/v2"):
        code, status = await api.ask("GET", path, Authorization="")
        said = f'forbidden: User "system:anonymous" cannot get path "{path}"'
        assert (code, status["message"]) == (403, said)
    assert (await api.ask("GET", "/version", Authorization="Bearer nonsense"))[0] == 401
    asked = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert (await api.ask("POST", review, asked, Authorization=""))[0] == 403
    assert (await api.ask("DELETE", "/version", Authorization=""))[0] == 403


async def test_a_secret_made_for_a_token_gets_one(api: Client) -> None:
    api.lab.storage.create(SERVICEACCOUNTS, "default", {"metadata": {"name": "bot"}})
    named = {"kubernetes.io/service-account.name": "bot"}
    secret = {
        "metadata": {"name": "s", "annotations": named},
        "type": "kubernetes.io/service-account-token",
    }
    path = "/api/v1/namespaces/default/secrets"
    await api.ask("POST", path, secret)
    async with api.watch(path, "fieldSelector=metadata.name%3Ds") as lines:
        data = (await lines.next())["object"].get("data", {})
        while "token" not in data:
            data = (await lines.next())["object"].get("data", {})
    token = base64.b64decode(data["token"]).decode()
    code, status = await api.ask("GET", MAPS, Authorization=f"Bearer {token}")
    assert (code, "default:bot" in status["message"]) == (403, True)


async def test_an_open_lab_lets_everybody_read_and_nobody_write() -> None:
    async with served(is_open=True) as api:
        assert (await api.ask("GET", MAPS, Authorization=""))[0] == 200
        code, status = await api.ask("POST", MAPS, {"metadata": {"name": "a"}}, Authorization="")
        assert (code, status["reason"]) == (403, "Forbidden")


async def test_a_kubeconfig_without_tls_carries_the_token_in_its_url(
    api: Client, tmp_path: Path
) -> None:
    (tmp_path / "config").touch(mode=0o644)
    text = api.lab.kubeconfig(tmp_path / "config").read_text()
    assert (tmp_path / "config").stat().st_mode & 0o777 == 0o600
    server = f"{api.lab.url}/as/{api.lab.token}"
    assert server in text
    async with aiohttp.request("GET", f"{server}{MAPS}") as reply:
        assert reply.status == 200
    async with aiohttp.request("GET", f"{api.lab.url}/as/wrong{MAPS}") as reply:
        assert reply.status == 401


async def test_tls_is_served_with_the_files_given(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    names = [tmp_path / name for name in ("cert", "key", "ca")]
    issued.cert_chain_pems[0].write_to_path(names[0])
    issued.private_key_pem.write_to_path(names[1])
    authority.cert_pem.write_to_path(names[2])
    async with Lab(has_controllers=False, tls=Tls(*map(str, names))) as lab:
        trusted = ssl.create_default_context(cafile=str(names[2]))
        headers = {"Authorization": f"Bearer {lab.token}"}
        async with aiohttp.request("GET", lab.url + MAPS, headers=headers, ssl=trusted) as reply:
            assert reply.status == 200
        text = lab.kubeconfig(tmp_path / "config").read_text()
    assert "certificate-authority-data" in text
    assert "/as/" not in text


async def test_discovery_names_every_resource_in_both_ways(api: Client) -> None:
    plain = {
        (found["groupVersion"], one["name"])
        for path in ["/api/v1", *(f"/apis/{group}" for group in await groups(api))]
        for found in [await api.get(path)]
        for one in found["resources"]
    }
    assert {(one.api_version, one.plural) for one in RESOURCES} <= plain
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    aggregated = set()
    for path in ("/api", "/apis"):
        found = await api.get(path, Accept=accept)
        assert found["kind"] == "APIGroupDiscoveryList"
        assert api.headers["Content-Type"].endswith("as=APIGroupDiscoveryList")
        for group in found["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                prefix = f"{name}/{version['version']}".strip("/")
                for one in version["resources"]:
                    aggregated.add((prefix, one["resource"]))
                    for below in one["subresources"]:
                        aggregated.add((prefix, f"{one['resource']}/{below['subresource']}"))
    assert aggregated == plain
    assert (await api.get("/version"))["major"] == "1"
    assert (await api.ask("GET", "/apis/no.such/v1"))[0] == 404


async def groups(api: Client) -> list[str]:
    found = await api.get("/apis")
    return [one["preferredVersion"]["groupVersion"] for one in found["groups"]]


async def test_openapi_says_by_which_key_ports_merge(api: Client) -> None:
    paths = (await api.get("/openapi/v3"))["paths"]
    document = await api.get(paths["api/v1"]["serverRelativeURL"])
    ports = document["components"]["schemas"]["core.v1.ServiceSpec"]["properties"]["ports"]
    assert ports["x-kubernetes-patch-merge-key"] == "port"
    patch = document["paths"]["/api/v1/namespaces/{namespace}/services/{name}"]["patch"]
    assert "fieldValidation" in [one["name"] for one in patch["parameters"]]


async def test_a_protobuf_body_of_kubectl_is_read(api: Client) -> None:
    meta = b"\x0a\x01a\x12\x00\x38\x00\x5a\x06\x0a\x01k\x12\x01v"
    obj = b"\x0a" + bytes([len(meta)]) + meta + b"\x12\x06\x0a\x01x\x12\x01y"
    kind = b"\x0a\x02v1\x12\x09ConfigMap"
    body = b"k8s\0\x0a" + bytes([len(kind)]) + kind + b"\x12" + bytes([len(obj)]) + obj
    media = {"Content_Type": "application/vnd.kubernetes.protobuf"}
    code, made = await api.ask("POST", MAPS, body, **media)
    assert (code, made["data"], made["metadata"]["labels"]) == (201, {"x": "y"}, {"k": "v"})
    for bad in (b"k8s\0\x0a\xff", b"{}"):
        assert (await api.ask("POST", MAPS, bad, **media))[0] == 400


async def test_a_long_list_leaves_the_loop_to_others(api: Client) -> None:
    for number in range(3000):
        make(api.lab, f"n{number}")
    longest, last = 0.0, time.thread_time()  # what others do with the machine is not ours

    async def tick() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            longest, last = max(longest, time.thread_time() - last), time.thread_time()

    gc.collect()
    gc.disable()  # as much as all tests before have left is not the list's
    try:
        ticking = asyncio.create_task(tick())
        async with api.session.get(MAPS) as reply:
            size = 0
            async for piece in reply.content.iter_any():
                size += len(piece)
        ticking.cancel()
    finally:
        gc.enable()
    assert size > 400_000
    assert longest < 0.3
    assert len(api.lab.storage.list(CONFIGMAPS)) == 3000


async def test_what_is_below_a_pod(api: Client) -> None:
    pods = "/api/v1/namespaces/default/pods"
    spec = {"containers": [{"name": "c", "image": "i"}]}
    await api.ask("POST", pods, {"metadata": {"name": "p"}, "spec": spec})
    code, status = await api.ask("GET", f"{pods}/p/log")
    assert (code, "nothing runs in it" in status["message"]) == (404, True)
    assert (await api.ask("GET", f"{pods}/p/exec"))[0] == 404
    for method, path, why in (
        ("POST", "p/portforward", "start it with --play"),
        ("GET", "p:80/proxy", "kubectl port-forward"),
    ):
        code, status = await api.ask(method, f"{pods}/{path}")
        assert (code, why in status["message"]) == (400, True)
    assert (await api.ask("POST", f"{pods}/no/portforward"))[0] == 404
    assert (await api.ask("GET", f"{pods}/p/eviction"))[0] == 405
    assert (await api.ask("POST", f"{pods}/no/eviction", {}))[0] == 404
    code, status = await api.ask("POST", f"{pods}/p/eviction", {"metadata": {"name": "p"}})
    assert (code, status["status"]) == (201, "Success")
    assert (await api.ask("GET", f"{pods}/p"))[0] == 404


async def test_a_delete_says_what_becomes_of_the_dependants(api: Client) -> None:
    make(api.lab, "a", "b", "c")
    for path, body, finalizer in [
        ("a?propagationPolicy=Foreground", None, "foregroundDeletion"),
        ("b", {"propagationPolicy": "Orphan"}, "orphan"),
        ("c", {"orphanDependents": True}, "orphan"),
    ]:
        code, gone = await api.ask("DELETE", f"{MAPS}/{path}", body)
        assert (code, gone["kind"]) == (200, "ConfigMap")
        assert gone["metadata"]["finalizers"] == [finalizer]
    code, status = await api.ask("DELETE", f"{MAPS}/a?propagationPolicy=Nope")
    assert (code, status["details"]["causes"][0]["field"]) == (422, "propagationPolicy")


@pytest.mark.parametrize(
    ("media", "body", "code"),
    [
        ("application/json-patch+json", [{"op": "add", "path": "/data", "value": {"x": "y"}}], 200),
        ("application/strategic-merge-patch+json", {"data": {"x": "y"}}, 200),
        ("application/merge-patch+json", b"{", 400),
        ("application/merge-patch+json", [], 400),
        ("application/json-patch+json", [{"op": "remove", "path": "/nope"}], 422),
    ],
    ids=["json", "strategic", "no-json", "no-object", "no-place"],
)
async def test_patches_come_in_three_forms(api: Client, media: str, body: Any, code: int) -> None:
    make(api.lab, "a")
    found, obj = await api.ask("PATCH", f"{MAPS}/a", body, Content_Type=media)
    assert found == code
    assert code != 200 or obj["data"] == {"x": "y"}


async def test_an_apply_makes_what_is_not_there(api: Client) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    media = {"Content_Type": "application/apply-patch+yaml"}
    path = f"{MAPS}/a?fieldManager=me"
    assert (await api.ask("PATCH", path, body, **media))[0] == 201
    code, obj = await api.ask("PATCH", path, body | {"data": {"y": "2"}}, **media)
    assert (code, obj["data"]) == (200, {"y": "2"})
    assert obj["metadata"]["managedFields"][0]["manager"] == "me"


async def test_what_is_no_http_is_answered_and_fills_no_log(
    api: Client, caplog: pytest.LogCaptureFixture
) -> None:
    port = int(api.lab.url.split(":")[2].partition("/")[0])
    for text in (b"G\x7fT / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nA B: x\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text)
        assert (await reader.readline()).startswith(b"HTTP/1.0 400 ")
        writer.close()
    assert not caplog.messages
