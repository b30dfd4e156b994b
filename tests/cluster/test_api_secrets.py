"""Reading credentials harms nothing else: no thread, disk or terminal, nor a plugin's server."""

import asyncio
import base64
import tempfile
import threading
import time

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives import serialization

from kdns.cluster.api import tls
from kdns.cluster.api.connection import Access
from kdns.cluster.api.credentials import RENEW_S, Credentials, Secrets, reader
from kdns.cluster.api.failures import SourceError, Unreachable
from kdns.cluster.api.relay import Relay
from kdns.cluster.api.session import Session
from kdns.cluster.api.throttle import Throttle
from kdns.observe.counters import Counters


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_reader_that_hangs_hangs_once_and_its_result_is_taken(monkeypatch):
    """A reload needs one of the loop's few threads, and a stop waits for all of them."""
    monkeypatch.setattr("kdns.cluster.api.credentials.LIMIT_S", 0.01)
    gate, runs, clock = threading.Event(), [], Clock()

    def read(_: bool) -> Secrets:
        runs.append(threading.current_thread())
        gate.wait(5)
        return Secrets("http://here")

    credentials = Credentials(read, clock=clock, wall=time.time)
    for _ in range(4):
        with pytest.raises(SourceError, match="does an exec plugin hang"):
            await credentials.current()
        clock.now += RENEW_S
    assert [thread.daemon for thread in runs] == [True]
    gate.set()
    await asyncio.to_thread(runs[0].join)
    assert (await credentials.current()).secrets.url == "http://here"
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://127.0.0.1:7443/as/0123token", "http://127.0.0.1:7443"),
        ("https://me:password@[fd00::1]:6443/k8s", "https://[fd00::1]:6443"),
        ("https://api", "https://api"),
    ],
)
def test_messages_name_the_server_without_what_a_url_may_hide(url: str, where: str):
    assert Secrets(url).where == where


async def test_a_server_that_is_away_is_no_reason_to_run_a_plugin_again():
    clock, read = Clock(), []

    def plugin(refused: bool) -> Secrets:
        read.append(refused)
        return Secrets("http://127.0.0.1:1")

    credentials = Credentials(plugin, clock=clock, wall=time.time)
    throttle = Throttle(0, 0, 0, clock)
    session = Session(credentials, throttle, Counters(), Relay(), clock=clock, chance=lambda: 0.0)
    for _ in range(2):
        with pytest.raises(Unreachable):
            await session.get("/", {}, what="list pods")
        clock.now += RENEW_S
    session.close()
    assert set(read) == {False}
    assert len(read) > 1, "files may name another server by now"


async def test_by_a_wrong_clock_a_plugin_is_not_run_for_every_request():
    clock, runs = Clock(), []

    def read(_: bool) -> Secrets:
        runs.append(1)
        return Secrets("http://here", expires=time.time() - 3600)

    credentials = Credentials(read, clock=clock, wall=time.time)
    for _ in range(5):
        await credentials.current()
    assert len(runs) == 1
    clock.now += RENEW_S
    await credentials.current()
    assert len(runs) == 2


def _text(pem: trustme.Blob) -> str:
    return base64.b64encode(pem.bytes()).decode()


def test_what_stands_in_a_kubeconfig_touches_no_disk(tmp_path, monkeypatch):
    authority = trustme.CA()
    client = authority.issue_cert("me")
    cluster = {
        "server": "https://here",
        "certificate-authority": "/nowhere",
        "certificate-authority-data": _text(authority.cert_pem),
    }
    user = {
        "client-certificate-data": _text(client.cert_chain_pems[0]),
        "client-key-data": _text(client.private_key_pem),
    }
    config = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    found = reader(Access(kubeconfig=str(tmp_path / "config")))(False)
    assert found.pair.ca == authority.cert_pem.bytes()
    assert found.pair.key_file == "client-key-data"
    assert tls.context(found.pair).get_ca_certs()


def test_an_empty_authority_is_none_and_not_the_systems(tmp_path):
    (tmp_path / "ca.crt").touch()
    with pytest.raises(SourceError, match=r"ca\.crt holds no CA certificate"):
        tls.context(tls.read(str(tmp_path / "ca.crt"), "", ""))


def test_a_key_with_a_password_is_refused_and_not_asked_for(tmp_path):
    client = trustme.CA().issue_cert("me")
    key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    (tmp_path / "key").write_bytes(locked)
    (tmp_path / "cert").write_bytes(client.cert_chain_pems[0].bytes())
    with pytest.raises(SourceError, match="are no certificate and its key"):
        tls.context(tls.read("", str(tmp_path / "cert"), str(tmp_path / "key")))
