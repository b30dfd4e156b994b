"""kubectl port-forward, as tutorials have it: to pods, services and workloads, over both protocols."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.play.cluster import TOP, Cluster, is_ready, need

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

STANDS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)")
ANSWERED = re.compile(r"Hello from (\S+) \(")
OVER = {"websocket": "true", "spdy": "false"}


@dataclass
class Forward:
    """A kubectl that forwards."""

    process: "subprocess.Popen[bytes]"
    file: Path

    @property
    def said(self) -> str:
        return self.file.read_text(errors="replace")

    @property
    def ports(self) -> list[int]:
        """Those of this machine, in the order in which they were asked for."""
        return [int(port) for port, _ in STANDS.findall(self.said)]

    def who(self, nth: int = 0) -> str:
        """The pod that answers."""
        url = f"http://127.0.0.1:{self.ports[nth]}/"
        with urllib.request.urlopen(url, timeout=20) as reply:
            answered = ANSWERED.search(reply.read().decode())
        assert answered
        return answered[1]

    def end(self) -> int:
        """Ctrl-C; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


@contextmanager
def forward(
    cluster: Cluster, folder: Path, *words: str, over: str = "websocket"
) -> Iterator[Forward]:
    """One whose ports listen."""
    need("kubectl")
    wanted = sum(":" in word for word in words)
    command = ["kubectl", "--kubeconfig", str(cluster.config), "port-forward", *words]
    with (folder / "said").open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=TOP,
            env={**os.environ, "KUBECTL_PORT_FORWARD_WEBSOCKETS": OVER[over]},
        )  # fmt: skip
    found = Forward(process, folder / "said")
    try:
        until(lambda: len(found.ports) == wanted or process.poll() is not None, found)
        assert len(found.ports) == wanted, found.said
        yield found
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def until(holds: object, found: Forward) -> None:
    assert callable(holds)
    end = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < end, found.said
        time.sleep(0.03)


@contextmanager
def pod(cluster: Cluster, name: str) -> Iterator[str]:
    """The path of one whose program listens on 80 and 8080, and which may be deleted."""
    path = "/api/v1/namespaces/default/pods"
    spec = {"containers": [{"name": "main", "image": "shop"}]}
    cluster.api.create(path, {"metadata": {"name": name}, "spec": spec})
    cluster.until(lambda: is_ready(cluster.api.get(f"{path}/{name}")), f"{name} is ready")
    try:
        yield f"{path}/{name}"
    finally:
        if any(one["metadata"]["name"] == name for one in cluster.api.get(path)["items"]):
            cluster.api.delete(f"{path}/{name}", grace_s=0)


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize(
    ("words", "who"),
    [
        (("pod/db-0", ":80"), "db-0"),
        (("db-1", ":http"), "db-1"),
        (("svc/web", ":80"), "web-"),
        (("service/web", ":http"), "web-"),
        (("deployment/web", ":80"), "web-"),
        (("statefulset/db", ":80"), "db-"),
        (("-n", "other", "svc/far", ":8080"), "far-"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_tutorials_forward_to(
    cluster: Cluster, tmp_path: Path, words: tuple[str, ...], who: str, over: str
) -> None:
    with forward(cluster, tmp_path, *words, over=over) as found:
        first = found.who()
        assert first.startswith(who)
        assert [found.who() for _ in range(3)] == [first] * 3  # one pod, as kubectl chose it
        found.end()
    assert "error occurred" not in found.said


@pytest.mark.parametrize("over", OVER)
def test_several_ports_and_many_connections_at_once(
    cluster: Cluster, tmp_path: Path, over: str
) -> None:
    with (
        pod(cluster, "both"),
        forward(cluster, tmp_path, "pod/both", ":80", ":8080", over=over) as found,
        ThreadPoolExecutor(16) as pool,
    ):
        assert list(pool.map(found.who, [0, 1] * 30)) == ["both"] * 60
        found.end()
    assert "error occurred" not in found.said


@pytest.mark.parametrize("over", OVER)
def test_a_port_that_nobody_listens_on(cluster: Cluster, tmp_path: Path, over: str) -> None:
    with forward(cluster, tmp_path, "pod/db-0", ":81", over=over) as found:
        with pytest.raises(OSError, match=r"\w"):  # it is closed, or reset
            found.who()
        until(lambda: "connection refused" in found.said, found)
        assert re.search(r"forwarding port 81 to pod default/db-0: dial tcp \S+:81:", found.said)


@pytest.mark.parametrize("over", OVER)
def test_the_end_of_the_pod_is_the_end(cluster: Cluster, tmp_path: Path, over: str) -> None:
    with pod(cluster, "leaves") as path:
        with forward(cluster, tmp_path, "pod/leaves", ":80", over=over) as found:
            assert found.who() == "leaves"
            cluster.api.delete(path)
            assert found.process.wait(40) == 1
        assert "lost connection to pod" in found.said


def test_ctrl_c_ends_it_and_what_it_had_open(cluster: Cluster, tmp_path: Path) -> None:
    with forward(cluster, tmp_path, "svc/web", ":80") as found:
        assert found.who()
        assert found.end() == 0
    with forward(cluster, tmp_path, "svc/web", ":80") as found:
        assert found.who()


def test_what_listens_in_a_pod_on_its_localhost_alone(cluster: Cluster, tmp_path: Path) -> None:
    if cluster.way == "loopback":
        pytest.skip("without namespaces only what the lab itself plays is reached")
    server = [
        sys.executable,
        "-u",
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        "/etc",
        "0",
    ]
    policy = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    cluster.api.create(policy, {"metadata": {"name": "nobody"}, "spec": spec})
    said = tmp_path / "server"
    with said.open("wb") as out:
        process = subprocess.Popen(
            cluster.command("client", *server), stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, cwd=TOP,
        )  # fmt: skip
    try:
        cluster.until(lambda: "Serving HTTP" in said.read_text(), "the server stands")
        port = re.search(r"port (\d+)", said.read_text())
        assert port
        with forward(cluster, tmp_path, "pod/client", f":{port[1]}") as found:
            url = f"http://127.0.0.1:{found.ports[0]}/resolv.conf"
            with urllib.request.urlopen(url, timeout=20) as reply:
                assert b"search default.svc.cluster.local" in reply.read()
    finally:
        process.terminate()
        process.wait(20)
        cluster.api.delete(f"{policy}/nobody")
