"""kdns on a real cluster: with a ServiceAccount's token and the ClusterRole of config/, nothing more.

Collected only where KDNS_E2E_KUBECONFIG names a cluster's kubeconfig; `make e2e` starts one where
it can. KDNS_E2E_SERVER=coredns has CoreDNS take the same tests, to see what they are worth.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import yaml

from tests.differential import peer
from tests.referee.asking import ask, eventually
from tests.referee.controlplane import ControlPlane, program
from tests.referee.kube import Kube, Object, ca_of, kubeconfig
from tests.referee.names import Known, serve

TOP = Path(__file__).parents[2]
KUBECONFIG = os.environ.get("KDNS_E2E_KUBECONFIG")
COREFILE = """.:PORT {
    bind 127.0.0.1
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig KUBECONFIG
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    forward . UPSTREAM {
        max_concurrent 1000
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    loadbalance
}
"""
"""kubeadm's, with ports of its own; `reload` and the probes are tested elsewhere."""
UPSTREAM: Known = {
    ("google.com.", "A"): ["192.0.2.80"],
    ("foo.example.com.", "A"): ["192.0.2.1"],
    ("bar.example.com.", "A"): ["192.0.2.2"],
    ("8.8.8.8.in-addr.arpa.", "PTR"): ["dns.google."],
}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Without a cluster only the line that says how to get one is left."""
    name = collection_path.name
    return True if not KUBECONFIG and name.startswith("test_") and name != "test_how.py" else None


def rules() -> list[Object]:
    """What the ClusterRole of config/ allows."""
    for path in sorted((TOP / "config" / "base").glob("*.yaml")):
        for each in yaml.safe_load_all(path.read_text()):
            if each and each["kind"] == "ClusterRole":
                return list(each["rules"])
    raise AssertionError("config/base has no ClusterRole")


def account(kube: Kube, namespace: str, allowed: list[Object]) -> str:
    """A new ServiceAccount that is allowed so much and no more: its token."""
    name = f"kdns-{secrets.token_hex(3)}"
    rbac = "rbac.authorization.k8s.io"
    kube.create(
        {"apiVersion": "v1", "kind": "ServiceAccount",
         "metadata": {"name": name, "namespace": namespace}},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name},
         "rules": allowed},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
         "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
         "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]},
    )  # fmt: skip
    return kube.token_of(namespace, name)


def forget_accounts(kube: Kube) -> None:
    """Takes the roles back; the accounts go with their namespace."""
    for kind in ("ClusterRoleBinding", "ClusterRole"):
        for each in kube.list(kind):
            if each["metadata"]["name"].startswith("kdns-"):
                kube.delete(kind, "", each["metadata"]["name"])


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    """The admin's client."""
    assert KUBECONFIG
    with Kube.of(KUBECONFIG) as client:
        yield client


@pytest.fixture(scope="session")
def limited(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a ServiceAccount that may do what config/ says."""
    assert KUBECONFIG
    space = f"kdns-e2e-{secrets.token_hex(3)}"
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
    token = account(kube, space, rules())
    path = tmp_path_factory.mktemp("account") / "kubeconfig"
    yield kubeconfig(path, kube.url, token=token, ca=ca_of(KUBECONFIG))
    forget_accounts(kube)
    kube.delete("Namespace", "", space)


@pytest.fixture
def space(kube: Kube) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"dns-{secrets.token_hex(3)}"
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kube.delete("Namespace", "", name)


Start = Callable[..., peer.Peer]


@pytest.fixture(scope="session")
def upstream() -> Iterator[int]:
    """A server out there."""
    with serve(UPSTREAM) as port:
        yield port


@pytest.fixture
def start(upstream: int) -> Iterator[Start]:
    """Starts the server on a kubeconfig, and with other text than kubeadm's Corefile if need be."""
    with ExitStack() as stack:

        def begin(config: Path, text: str = COREFILE, *, wait_s: float = 60) -> peer.Peer:
            return stack.enter_context(serving(config, upstream, text, wait_s=wait_s))

        yield begin


def serving(config: Path, upstream: int, text: str = COREFILE, *, wait_s: float = 60) -> peer.Peer:
    """The server under test, answering."""
    is_theirs = os.environ.get("KDNS_E2E_SERVER") == "coredns"
    begin = peer.start_coredns if is_theirs else peer.start_kdns
    text = text.replace("KUBECONFIG", str(config)).replace("UPSTREAM", f"127.0.0.1:{upstream}")
    return begin(text, wait_s=wait_s)


@pytest.fixture(scope="session")
def dns_port(limited: Path, upstream: int) -> Iterator[int]:
    """The port of a server that knows the cluster."""
    with serving(limited, upstream) as server:
        known = "kubernetes.default.svc.cluster.local"

        def knows() -> bool:
            with suppress(Exception):
                return bool(ask(server.port, known).answer)
            return False

        eventually(knows, within_s=60, what=f"{known}:\n{server.log}")
        yield server.port


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane of the test's own, to be stopped and put back in time."""
    if program() is None:
        pytest.skip("stopping the API server needs KDNS_CONTROLPLANE")
    with ControlPlane(tmp_path / "plane") as made:
        yield made


@pytest.fixture
def since() -> float:
    """When the test began."""
    return time.monotonic()
