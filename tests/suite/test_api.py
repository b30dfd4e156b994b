"""Kubeconfigs become identities, and calls over TLS with a client certificate."""

import base64
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from kdns.conformance import api
from kdns.conformance.api import Api, ApiError, KubeconfigError, kubeconfig
from kdns.lab.lab import Lab, Tls


def write(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}},
                     {"name": "lost", "context": {"cluster": "gone", "user": "u"}}],
        "current-context": "here",
    }  # fmt: skip
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.mark.parametrize(
    ("user", "context", "said"),
    [
        ({"exec": {"command": "login"}}, "", "known to a plugin only"),
        ({"tokenFile": "token"}, "", "No such file"),
        ({}, "there", "no context 'there' (there are: here, lost)"),
        ({}, "lost", "names a cluster that is not there"),
    ],
)
def test_a_kubeconfig_that_is_no_use_is_said(
    tmp_path: Path, user: dict[str, Any], context: str, said: str
) -> None:
    file = write(tmp_path, {"server": "http://127.0.0.1:1"}, user)
    with pytest.raises(KubeconfigError) as caught:
        kubeconfig(file, context)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_token_comes_from_the_file_or_beside_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("kept\n")
    for user, header in (
        ({"token": "given"}, "Bearer given"),
        ({"tokenFile": "token"}, "Bearer kept"),
        ({}, ""),
    ):
        found = kubeconfig(write(tmp_path, {"server": "http://127.0.0.1:1/"}, user))
        assert (found.url, found.authorization) == ("http://127.0.0.1:1", header)


@pytest.mark.parametrize("as_data", [True, False])
async def test_tls_trusts_the_authority_and_shows_a_certificate(
    tmp_path: Path, as_data: bool
) -> None:
    authority = trustme.CA()
    mine, theirs = authority.issue_cert("reader"), authority.issue_cert("127.0.0.1")
    files = {"ca": authority.cert_pem, "key": theirs.private_key_pem, "mykey": mine.private_key_pem}
    for name, blob in files.items():
        blob.write_to_path(tmp_path / name)
    (tmp_path / "cert").write_bytes(theirs.cert_chain_pems[0].bytes())
    (tmp_path / "mycert").write_bytes(mine.cert_chain_pems[0].bytes())

    def told(key: str, file: str) -> dict[str, str]:
        blob = (tmp_path / file).read_bytes()
        return {f"{key}-data": base64.b64encode(blob).decode()} if as_data else {key: file}

    tls = Tls(*(str(tmp_path / name) for name in ("cert", "key", "ca")))
    async with Lab(tls=tls) as lab:
        cluster = {"server": lab.url, **told("certificate-authority", "ca")}
        user = (
            {"token": lab.token}
            | told("client-certificate", "mycert")
            | told("client-key", "mykey")
        )
        async with Api(kubeconfig(write(tmp_path, cluster, user))) as client:
            found, more = await client.list("Service", "default")
        assert (len(found), more) == (1, False)
        stranger = kubeconfig(write(tmp_path, {"server": lab.url}, user))
        async with Api(stranger) as client:
            with pytest.raises(ApiError) as caught:
                await client.list("Service")
        assert caught.value.code == 0
        assert "GET /api/v1/services" in str(caught.value)


async def test_a_refusal_names_the_call(tmp_path: Path) -> None:
    async with Lab() as lab:
        nobody = api.Identity(lab.url, "Bearer nobody")
        async with Api(nobody) as client:
            with pytest.raises(ApiError) as caught:
                await client.list("EndpointSlice", "default")
    assert caught.value.code == 401
    where = "GET /apis/discovery.k8s.io/v1/namespaces/default/endpointslices: 401 "
    assert str(caught.value).startswith(where)


@pytest.mark.parametrize(
    ("what", "says"),
    [("endless", "a reply of more than 1 MB"), ("elsewhere", ": 302 "), ("rubbish", "")],
)
async def test_a_hostile_api_server_gets_no_further(
    what: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        if what == "elsewhere":
            raise web.HTTPFound("http://192.0.2.1/")
        if what == "rubbish":
            return web.json_response({"items": [1, None, {"metadata": {}}], "metadata": 5})
        reply = web.StreamResponse()
        await reply.prepare(request)
        with suppress(ConnectionError):
            while True:
                await reply.write(bytes(1 << 16))
        return reply

    monkeypatch.setattr(api, "MOST", 1 << 20)
    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    async with TestServer(app) as server, Api(api.Identity(str(server.make_url("")))) as client:
        if not says:
            assert await client.list("Service") == ([{"kind": "Service", "metadata": {}}], False)
            return
        with pytest.raises(ApiError, match=says):
            await client.list("Service")


def test_a_pod_has_an_identity_and_others_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "ACCOUNT", tmp_path)
    within = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert api.in_cluster({}) is None
    assert api.in_cluster(within) is None
    (tmp_path / "token").write_text("mine\n")
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    found = api.in_cluster(within)
    assert found
    assert (found.url, found.authorization) == ("https://[fd00::1]:6443", "Bearer mine")
    assert api.in_cluster({}) is None
