"""Several processes serve as one: what each answers, and what becomes of it when one is killed."""

import os
import signal
from pathlib import Path

import pytest

from tests.running import free_port
from tests.server.workers import NS, Workers, get, is_alive, metric, status, until

COREFILE = """. {{
    bind 127.0.0.1
    health 127.0.0.1:{health}
    ready 127.0.0.1:{ready}
    prometheus 127.0.0.1:{metrics}
    kubernetes cluster.local {{
        manifests {manifests}
    }}
    template IN A drop.example {{
        rcode REFUSED
    }}
}}
"""
OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {{name: a}}
---
apiVersion: v1
kind: Service
metadata: {{name: s, namespace: a}}
spec: {{clusterIP: {address}, ports: [{{name: http, port: 80}}]}}
"""


class Scene:
    """Two workers that serve a cluster in a file."""

    def __init__(self, folder: Path) -> None:
        self.manifests = folder / "cluster.yaml"
        self.health, self.ready, self.metrics = (free_port() for _ in range(3))
        file = folder / "Corefile"
        file.write_text(COREFILE.format(**vars(self)))
        self.put("10.0.0.1")
        self.kdns = Workers(file)

    def put(self, address: str) -> None:
        """Gives the one service an address."""
        beside = self.manifests.with_suffix(".new")
        beside.write_text(OBJECTS.format(address=address))
        beside.replace(self.manifests)

    def answers(self, *addresses: str) -> bool:
        return self.kdns.ask_all(f"s.a.{NS}") == set(addresses)

    def kill(self, number: int) -> int:
        """Kills a worker, lets go of it only when its sockets are gone, which is after it is."""
        pid = self.kdns.pids()[number]
        held = self.kdns.sockets_of(pid)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not held & set(self.kdns.sockets()))
        return pid

    def back(self, number: int, pid: int) -> None:
        """Returns when a worker has a successor that serves."""
        until(lambda: self.kdns.pids().get(number, pid) != pid)
        until(lambda: metric(self.metrics, "kdns_workers") == 2)


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path)
    with made.kdns as kdns:
        yield made
        kdns.end()


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_no_count_goes_back(scene: Scene):
    kdns = scene.kdns.wait()
    assert scene.answers("10.0.0.1")
    assert (status(scene.health, "/health"), status(scene.ready, "/ready")) == (200, 200)
    counted = 0

    def counts(asked: int) -> bool:
        """A successor's answers are counted from the moment the supervisor knows that it serves."""
        nonlocal counted
        before, counted = counted, metric(scene.metrics, "coredns_dns_requests_total", 'type="A"')
        assert before <= counted <= asked
        return counted == asked

    until(lambda: counts(24))
    assert metric(scene.metrics, "kdns_workers") == 2
    pids = kdns.pids()
    for number in (2, 1):
        pid = scene.kill(number)
        # Those that are left answer, and the probes say so.
        assert status(scene.health, "/health") == 200
        assert scene.answers("10.0.0.1")
        until(lambda asked=counted + 24: counts(asked))
        scene.back(number, pid)
        assert scene.answers("10.0.0.1")
        until(lambda asked=counted + 24: counts(asked))
    assert status(scene.ready, "/ready") == 200
    assert not set(pids.values()) & set(kdns.pids().values())
    assert metric(scene.metrics, "kdns_worker_restarts_total") == 2
    scene.put("10.0.0.2")
    until(lambda: scene.answers("10.0.0.2"))
    scene.kill(2)
    until(lambda: metric(scene.metrics, "kdns_worker_restarts_total") == 3)
    code, printed = kdns.end()
    assert code == 0
    assert printed.count("kdns-") == 1
    assert printed.count("another one takes its place") == 3
    assert printed.count("SIGTERM: stopping") == 1


@pytest.mark.slow
def test_all_follow_what_one_reads_and_end_with_their_supervisor(scene: Scene):
    kdns = scene.kdns.wait()
    for address in ("10.0.0.3", "10.0.0.4"):
        scene.put(address)
        until(lambda address=address: scene.answers(address))
    pids = kdns.pids()
    loaded = Path(f"/proc/{pids[2]}/maps").read_text()
    assert "aiohttp" not in loaded
    # A worker that hangs is not the end of the others: its share waits, theirs is answered.
    os.kill(pids[2], signal.SIGSTOP)
    scene.put("10.0.0.5")
    until(lambda: "10.0.0.5" in {kdns.ask_lossy(f"s.a.{NS}") for _ in range(4)})
    os.kill(pids[2], signal.SIGCONT)
    until(lambda: scene.answers("10.0.0.5"))
    page = get(scene.metrics, "/metrics")[1]
    assert page.count("\nprocess_start_time_seconds ") == 1
    kdns.process.kill()
    until(lambda: not any(map(is_alive, pids.values())))
