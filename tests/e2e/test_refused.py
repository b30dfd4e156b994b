"""Bad credentials, missing rights, no server, a strange CA: one clear line each, and it is retried."""

import re
import time
from pathlib import Path

import pytest

from tests.differential import peer
from tests.e2e.conftest import Start, account, rules
from tests.referee.asking import ask, eventually, texts
from tests.referee.kube import Kube, ca_of, kubeconfig

NAME = "kubernetes.default.svc.cluster.local"
WATCHED = ("namespaces", "services", "endpointslices")


def lines(server: peer.Peer) -> list[str]:
    """What an operator reads about the API: warnings and errors."""
    return [
        line
        for line in server.log.splitlines()
        if re.search(r"warning|error", line, re.I) and "kubernetes" in line
    ]


def refused(server: peer.Peer, *words: str, at_most: int = 1, wait_s: float = 4.0) -> None:
    """Checks that it says why in so many lines, that it lives, and that nothing is a traceback."""
    eventually(
        lambda: any(all(word in line for word in words) for line in lines(server)),
        within_s=60, what=f"a line with {words} in:\n{server.log}",
    )  # fmt: skip
    time.sleep(wait_s)
    said = lines(server)
    assert "Traceback" not in server.log, server.log
    assert len([line for line in said if "before" not in line]) <= at_most, "\n".join(said)
    assert server.process.poll() is None
    assert texts(ask(server.port, "google.com")) == ["192.0.2.80"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "kubeconfig"


@pytest.fixture
def ca(pytestconfig: pytest.Config) -> str:
    from tests.e2e.conftest import KUBECONFIG  # noqa: PLC0415

    assert KUBECONFIG
    return ca_of(KUBECONFIG)


def test_a_bad_token(kube: Kube, ca: str, config: Path, start: Start):
    kubeconfig(config, kube.url, token="wrong", ca=ca)
    refused(start(config), "401", str(config))


def test_an_account_without_rights(kube: Kube, ca: str, config: Path, start: Start, space: str):
    kubeconfig(config, kube.url, token=account(kube, space, []), ca=ca)
    server = start(config)
    refused(server, "list", "services", at_most=len(WATCHED))
    said = "\n".join(lines(server))
    assert all(resource in said for resource in WATCHED), said


def test_an_account_that_must_not_watch_slices_is_told_so_and_heals(
    kube: Kube, ca: str, config: Path, start: Start, space: str
):
    some = [
        {"apiGroups": [""], "resources": ["namespaces", "services"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
    ]
    kubeconfig(config, kube.url, token=account(kube, space, some), ca=ca)
    server = start(config)
    refused(server, "watch", "endpointslices", at_most=1)
    [role] = [
        each["metadata"]["name"]
        for each in kube.list("ClusterRoleBinding")
        if any(one.get("namespace") == space for one in each.get("subjects") or ())
    ]
    kube.patch("ClusterRole", "", role, {"rules": rules()})
    address = kube.get("Service", "default", "kubernetes")["spec"]["clusterIP"]
    eventually(lambda: texts(ask(server.port, NAME)) == [address], within_s=90)


def test_no_server(config: Path, start: Start):
    kubeconfig(config, f"https://127.0.0.1:{peer.free_port()}", token="any")
    refused(start(config), "127.0.0.1")


def test_a_ca_that_did_not_sign_the_server(kube: Kube, config: Path, start: Start, tmp_path: Path):
    trustme = pytest.importorskip("trustme")
    other = tmp_path / "other.crt"
    trustme.CA().cert_pem.write_to_path(str(other))
    kubeconfig(config, kube.url, token="any", ca=str(other))
    refused(start(config), "certificate", str(other))
