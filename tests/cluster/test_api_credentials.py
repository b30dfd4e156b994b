"""Every form of credentials, their rotation without a restart, and the line for each failure."""

import asyncio
import base64
import json
import re
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
import yaml

from kdns.cluster.api.connection import Access
from kdns.cluster.api.credentials import RENEW_S, REREAD_S, Credentials, InCluster, reader
from kdns.cluster.api.failures import SourceError
from kdns.cluster.api.relay import Relay
from kdns.cluster.api.session import Session
from kdns.cluster.api.throttle import Throttle
from kdns.observe.counters import Counters
from tests.cluster.following import following, until
from tests.cluster.scripted_api import ScriptedApi, namespace, refused

HOST = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Files:
    """The two files that a pod is given, or the three of `tls`, and the server's side of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.write_ca()
        self.write_token("first\n")

    def write_ca(self) -> None:
        self.authority.cert_pem.write_to_path(str(self.folder / "ca.crt"))

    def write_token(self, text: str) -> None:
        (self.folder / "token").write_text(text)

    def write_client(self, name: str = "client") -> None:
        made = self.authority.issue_cert(f"{name}@example.com")
        made.cert_chain_pems[0].write_to_path(str(self.folder / "client.crt"))
        made.private_key_pem.write_to_path(str(self.folder / "client.key"))

    def server(self, name: str = "127.0.0.1", **how: object) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name, **how).configure_cert(context)
        return context

    def path(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture
async def session():
    """Makes sessions of a reader, and closes them."""
    made = []

    def make(read, clock=time.monotonic):
        credentials = Credentials(read, clock=clock, wall=time.time)
        throttle = Throttle(0, 0, 0, clock)
        one = Session(credentials, throttle, Counters(), Relay(), clock=clock, chance=lambda: 0.0)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


async def ask(session: Session) -> bytes:
    return await session.get("/api/v1/services", {}, what="list services")


def in_cluster(files: Files, api: ScriptedApi):
    environ = HOST | {"KUBERNETES_SERVICE_PORT": str(api.port)}
    return InCluster(str(files.folder), environ).read


# A pod's own


async def test_a_pod_needs_two_files_and_two_variables(files, session):
    async with ScriptedApi(files.server()) as api:
        api.authorization = "Bearer first"
        await ask(session(in_cluster(files, api)))
    assert "kubernetes" not in _imported("InCluster('/', {})")


def test_an_ipv6_host_gets_its_brackets(files):
    environ = HOST | {"KUBERNETES_SERVICE_HOST": "fd00::1"}
    assert InCluster(files.path(""), environ).read(False).url == "https://[fd00::1]:6443"


async def test_a_token_is_read_again_each_minute(files, session):
    clock = Clock()
    async with ScriptedApi(files.server()) as api:
        one = session(in_cluster(files, api), clock)
        await ask(one)
        files.write_token("second")
        await ask(one)
        clock.now += REREAD_S
        await ask(one)
    sent = [request.headers["authorization"] for request in api.requests]
    assert sent == ["Bearer first", "Bearer first", "Bearer second"]


async def test_a_refused_token_is_read_again_at_once(files, session):
    clock = Clock()
    async with ScriptedApi(files.server()) as api:
        one = session(in_cluster(files, api), clock)
        await ask(one)
        files.write_token("second")
        api.authorization = "Bearer second"
        clock.now += RENEW_S
        await ask(one)
    sent = [request.headers["authorization"] for request in api.requests]
    assert sent == ["Bearer first", "Bearer first", "Bearer second"]


async def test_a_token_that_vanished_stays(files, session):
    clock = Clock()
    async with ScriptedApi(files.server()) as api:
        api.authorization = "Bearer first"
        one = session(in_cluster(files, api), clock)
        await ask(one)
        (files.folder / "token").unlink()
        clock.now += REREAD_S
        await ask(one)
        files.write_token("")
        clock.now += REREAD_S
        await ask(one)


async def test_a_new_authority_is_trusted_without_a_restart(files, session):
    clock = Clock()
    async with ScriptedApi(files.server()) as api:
        one = session(in_cluster(files, api), clock)
        await ask(one)
        files.authority = trustme.CA()
        await api.stop()
        api.context = files.server()
        await api.start()
        files.write_ca()
        clock.now += RENEW_S
        await ask(one)


async def test_a_server_certificate_that_is_named_itself_is_trusted(files, session):
    """As Go does, whoever signed it."""
    made = files.authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    made.cert_chain_pems[0].write_to_path(files.path("ca.crt"))
    async with ScriptedApi(context) as api:
        await ask(session(in_cluster(files, api)))


async def test_an_authority_that_vanished_leaves_the_old_one_and_one_warning(
    files, session, caplog
):
    clock = Clock()
    async with ScriptedApi(files.server()) as api:
        one = session(in_cluster(files, api), clock)
        await ask(one)
        (files.folder / "ca.crt").unlink()
        for _ in range(3):
            clock.now += REREAD_S
            await ask(one)
    assert [record.message for record in caplog.records] == [
        f"{files.path('ca.crt')}: No such file or directory; what was read before is used on"
    ]


@pytest.mark.parametrize(
    ("gone", "line"),
    [
        ("token", "{}: No such file or directory: mount the ServiceAccount's token"),
        ("ca.crt", "{}: No such file or directory"),
    ],
)
def test_a_missing_file_is_named(files, gone, line):
    (files.folder / gone).unlink()
    with pytest.raises(SourceError) as raised:
        InCluster(str(files.folder), HOST).read(False)
    assert str(raised.value).startswith(line.format(files.path(gone)))


@pytest.mark.parametrize(
    ("text", "line"), [(b" \n", "it is empty"), (b"\xff", "it is no text")], ids=["empty", "binary"]
)
def test_a_token_that_is_none_is_named(files, text, line):
    (files.folder / "token").write_bytes(text)
    with pytest.raises(SourceError, match=rf"token: {line}: mount the ServiceAccount's token"):
        InCluster(str(files.folder), HOST).read(False)


def test_outside_of_a_pod_the_remedy_is_named(files):
    with pytest.raises(
        SourceError, match=r"KUBERNETES_SERVICE_HOST.*`endpoint URL` or `kubeconfig"
    ):
        InCluster(str(files.folder), {}).read(False)


async def test_what_cannot_be_read_is_not_tried_for_each_resource(files, session):
    clock, runs = Clock(), []

    def read(_: bool):
        runs.append(1)
        return InCluster(str(files.folder), {}).read(False)

    one = session(read, clock)
    for _ in range(5):
        with pytest.raises(SourceError, match="are not set"):
            await ask(one)
    assert len(runs) == 1
    clock.now += RENEW_S
    with pytest.raises(SourceError, match="are not set"):
        await ask(one)
    assert len(runs) == 2


async def test_a_plugin_that_hangs_is_named(session, monkeypatch):
    monkeypatch.setattr("kdns.cluster.api.credentials.LIMIT_S", 0.05)
    with pytest.raises(SourceError, match=r"more than 0\.05 s: does an exec plugin hang"):
        await ask(session(lambda _: time.sleep(0.2)))


# endpoint and tls


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (Access(endpoint="http://10.0.0.1:8080/"), "http://10.0.0.1:8080"),
        (Access(endpoint="localhost:8080"), "http://localhost:8080"),
        (Access(endpoint="https://[fd00::1]:6443"), "https://[fd00::1]:6443"),
    ],
)
def test_an_endpoint_says_where(given, url):
    found = reader(given)(False)
    assert (found.url, found.authorization) == (url, "")


async def test_a_client_certificate_is_shown_and_its_successor_too(files, session):
    files.write_client("old")
    context = files.server()
    context.verify_mode = ssl.CERT_REQUIRED
    files.authority.configure_trust(context)
    clock = Clock()
    async with ScriptedApi(context) as api:
        access = Access(
            endpoint=api.url,
            cert=files.path("client.crt"),
            key=files.path("client.key"),
            ca=files.path("ca.crt"),
        )
        one = session(reader(access), clock)
        await ask(one)
        old = (await one._credentials.current()).context
        files.write_client("new")
        clock.now += REREAD_S
        await ask(one)
        assert (await one._credentials.current()).context is not old
        # Half a rotation: the key is not the certificate's.
        (files.folder / "client.key").write_bytes(trustme.CA().private_key_pem.bytes())
        new = (await one._credentials.current()).context
        clock.now += REREAD_S
        await ask(one)
        assert (await one._credentials.current()).context is new


def test_a_wrong_key_is_named(files):
    files.write_client()
    (files.folder / "client.key").write_text("nonsense")
    names = {name: files.path(f"client.{name[:3]}") for name in ("key",)}
    access = Access(endpoint="https://a", cert=files.path("client.crt"), **names)
    credentials = Credentials(reader(access), clock=Clock(), wall=time.time)
    with pytest.raises(SourceError, match=r"client\.crt and .*client\.key are no certificate"):
        credentials._make(False)


# What the other side may be


async def test_a_token_that_fits_in_no_header_is_named(files, session):
    files.write_token("one\ntwo")
    async with ScriptedApi(files.server()) as api:
        with pytest.raises(SourceError, match=r"cannot log in at .*"):
            await ask(session(in_cluster(files, api)))


@pytest.mark.parametrize("url", ["http://[bad", "http://a:port", "ftp://a", "http://"])
async def test_what_is_no_address_is_named(session, url):
    with pytest.raises(SourceError, match=re.escape(url.rstrip("/"))):
        await ask(session(reader(Access(endpoint=url))))


async def test_a_server_of_another_authority_is_named_with_the_file(files, session):
    other = Files.__new__(Files)
    other.authority = trustme.CA()
    async with ScriptedApi(other.server()) as api:
        with pytest.raises(SourceError) as raised:
            await ask(session(in_cluster(files, api)))
    line = str(raised.value)
    assert line.startswith(f"{api.url}: its certificate is not signed by the CA in")
    assert files.path("ca.crt") in line


async def test_an_expired_certificate_is_named(files, session):
    past = datetime.now(UTC) - timedelta(days=1)
    context = files.server(not_before=past - timedelta(days=1), not_after=past)
    async with ScriptedApi(context) as api:
        with pytest.raises(SourceError, match="its certificate has expired: renew it"):
            await ask(session(in_cluster(files, api)))


async def test_a_certificate_for_another_name_is_named(files, session):
    async with ScriptedApi(files.server("example.com")) as api:
        with pytest.raises(SourceError, match="its certificate is for another name or address"):
            await ask(session(in_cluster(files, api)))


async def test_plain_http_behind_https_is_named(files, session):
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\nthis is http\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = str(server.sockets[0].getsockname()[1])
        environ = HOST | {"KUBERNETES_SERVICE_PORT": port}
        with pytest.raises(SourceError, match=r"TLS failed.*is it https"):
            await ask(session(InCluster(str(files.folder), environ).read))


async def test_what_is_no_file_of_certificates_is_named(files, session):
    (files.folder / "ca.crt").write_text("nonsense")
    with pytest.raises(SourceError, match=r"ca\.crt holds no CA certificate"):
        await ask(session(InCluster(str(files.folder), HOST).read))


async def test_a_refused_identity_is_named(files, session):
    async with ScriptedApi(files.server()) as api:
        api.authorization = "Bearer other"
        with pytest.raises(SourceError) as raised:
            await ask(session(in_cluster(files, api)))
    assert str(raised.value) == (
        f"{api.url} does not accept our credentials (401): renew the token in {files.path('token')}"
    )


async def test_a_missing_verb_is_named_with_its_resource_and_remedy(caplog):
    async with ScriptedApi() as api:
        api.put("namespaces", namespace("default"))
        for verb in ("watchlist", "list"):
            api.fail(f"{verb} endpointslices", refused(403, 'User "x" cannot list'), times=3)
        async with following(api.url, synced=False) as seen:
            await until(lambda: "may not" in seen.api.failure)
            assert seen.api.failure == (
                "may not list endpointslices.discovery.k8s.io: give the ServiceAccount the verbs "
                "list and watch on endpointslices.discovery.k8s.io in a ClusterRole "
                f'({api.url} said 403: User "x" cannot list)'
            )
            await until(lambda: seen.store.has_synced)
            await until(lambda: not seen.api.failure)
    lines = [one for one in caplog.records if "may not" in one.message]
    assert [one.levelname for one in lines] == ["ERROR"]
    assert "followed again" not in " ".join(one.message for one in lines)


# kubeconfig


class Kubeconfig:
    """A file with one context."""

    def __init__(self, folder: Path, server: str, user: dict, **cluster: object) -> None:
        self.path = folder / "config"
        self.config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "one",
            "contexts": [{"name": "one", "context": {"cluster": "one", "user": "me"}}],
            "clusters": [{"name": "one", "cluster": {"server": server, **cluster}}],
            "users": [{"name": "me", "user": user}],
        }
        self.write()

    def write(self) -> None:
        self.path.write_text(yaml.safe_dump(self.config))

    def read(self, context: str = ""):
        return reader(Access(kubeconfig=str(self.path), context=context))


def _data(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


async def test_a_kubeconfig_brings_its_token_and_authority(files, tmp_path, session):
    async with ScriptedApi(files.server()) as api:
        api.authorization = "Bearer tok"
        authority = _data(files.authority.cert_pem.bytes())
        user = {"token": "tok"}
        config = Kubeconfig(
            tmp_path, api.url + "/", user, **{"certificate-authority-data": authority}
        )
        await ask(session(config.read()))
        await ask(session(config.read("one")))
        config.config["clusters"][0]["cluster"] = {
            "server": api.url, "certificate-authority": "ca.crt", "tls-server-name": "example.com",
        }  # fmt: skip
        config.write()
        with pytest.raises(SourceError, match="for another name"):
            await ask(session(config.read()))
        config.config["clusters"][0]["cluster"] = {
            "server": api.url, "insecure-skip-tls-verify": True,
        }  # fmt: skip
        config.write()
        await ask(session(config.read()))


async def test_a_kubeconfig_may_name_files(files, tmp_path, session):
    files.write_client()
    context = files.server()
    context.verify_mode = ssl.CERT_REQUIRED
    files.authority.configure_trust(context)
    async with ScriptedApi(context) as api:
        api.authorization = "Bearer first"
        user = {
            "tokenFile": "token", "client-certificate": "client.crt", "client-key": "client.key",
        }  # fmt: skip
        config = Kubeconfig(tmp_path, api.url, user, **{"certificate-authority": "ca.crt"})
        clock = Clock()
        one = session(config.read(), clock)
        await ask(one)
        files.write_token("second")
        api.authorization = "Bearer second"
        clock.now += REREAD_S
        await ask(one)


def _plugin(tmp_path: Path, text: str) -> dict:
    """A user whose plugin notes each of its runs and prints a text."""
    script = tmp_path / "plugin.py"
    script.write_text(f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\n{text}\n")
    api = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": api, "command": sys.executable, "args": [str(script)]}}


def _credential(**status: str) -> str:
    said = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    return f"print({json.dumps(said)!r})"


def _runs(tmp_path: Path) -> int:
    return len((tmp_path / "runs").read_text())


@pytest.mark.parametrize(
    ("lasts", "runs"), [(3600, 1), (-3600, 3), (10, 3), (None, 1)],
    ids=["fresh", "expired", "nearly expired", "for ever"],
)  # fmt: skip
def test_a_plugin_runs_once_for_as_long_as_its_credential_lasts(tmp_path, lasts, runs):
    status = {"token": "tok"}
    if lasts is not None:
        expires = datetime.now(UTC) + timedelta(seconds=lasts)
        status["expirationTimestamp"] = expires.isoformat().replace("+00:00", "Z")
    user = _plugin(tmp_path, _credential(**status))
    read = Kubeconfig(tmp_path, "https://a", user).read()
    for _ in range(3):
        assert read(False).authorization == "Bearer tok"
    assert _runs(tmp_path) == runs
    read(True)
    assert _runs(tmp_path) == runs + 1


def test_a_plugin_runs_again_when_the_file_changed(tmp_path):
    config = Kubeconfig(tmp_path, "https://a", _plugin(tmp_path, _credential(token="a")))
    read = config.read()
    read(False)
    config.config["clusters"][0]["cluster"]["server"] = "https://other"
    config.write()
    assert read(False).url == "https://other"
    assert _runs(tmp_path) == 2


async def test_a_plugin_may_give_a_certificate(files, tmp_path, session):
    files.write_client()
    cert, key = ((files.folder / name).read_text() for name in ("client.crt", "client.key"))
    context = files.server()
    context.verify_mode = ssl.CERT_REQUIRED
    files.authority.configure_trust(context)
    async with ScriptedApi(context) as api:
        status = {"clientCertificateData": cert, "clientKeyData": key}
        user = _plugin(tmp_path, _credential(**status))
        config = Kubeconfig(tmp_path, api.url, user, **{"certificate-authority": "ca.crt"})
        await ask(session(config.read()))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import sys; sys.exit('no luck')", "exec: process returned 1. no luck"),
        ("print('hello')", "exec: failed to decode process output"),
        (_credential(), "its exec plugin gave neither a token nor a certificate"),
    ],
)
def test_a_plugin_that_fails_is_named(tmp_path, text, line):
    config = Kubeconfig(tmp_path, "https://a", _plugin(tmp_path, text))
    with pytest.raises(SourceError) as raised:
        config.read()(False)
    assert str(raised.value).startswith(f"kubeconfig {config.path}: {line}")


def test_a_plugin_that_is_missing_is_named(tmp_path):
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/no/plugin"}}
    config = Kubeconfig(tmp_path, "https://a", user)
    with pytest.raises(SourceError, match=r"kubeconfig .*: /no/plugin: No such file"):
        config.read()(False)


@pytest.mark.parametrize(
    ("text", "context", "line"),
    [
        (None, "", "No such file or directory"),
        ("a: [", "", "while parsing a flow"),
        ("", "", "Invalid kube-config"),
        ("apiVersion: v1\nkind: Config\n", "", "Invalid kube-config"),
        ("- a\n", "", ""),
        ("good", "two", "Expected object with name two"),
    ],
    ids=["missing", "no YAML", "empty", "no contexts", "a list", "no such context"],
)
def test_a_wrong_kubeconfig_is_named(tmp_path, text, context, line):
    config = Kubeconfig(tmp_path, "https://a", {"token": "t"})
    if text is None:
        config.path.unlink()
    elif text != "good":
        config.path.write_text(text)
    with pytest.raises(SourceError) as raised:
        config.read(context)(False)
    said = str(raised.value)
    assert said.startswith(f"kubeconfig {config.path}")
    assert line in said
    assert "\n" not in said


# What is paid for


def _imported(make: str) -> set[str]:
    """The packages that are loaded after a piece of code."""
    text = (
        "import sys\nfrom kdns.cluster.sources.api import Api\n"
        "from kdns.cluster.api.credentials import *\n"
        f"{make}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    )
    said = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_who_does_not_use_the_api_loads_neither_aiohttp_nor_kubernetes():
    loaded = _imported("reader(Access(kubeconfig='x'))")
    assert not loaded & {"aiohttp", "kubernetes"}
