"""The API server goes and comes back while it is asked: steady names stay right, news is followed."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e import things
from tests.e2e.conftest import Start, account, rules
from tests.referee.asking import Steady, ask, eventually, texts
from tests.referee.controlplane import ControlPlane
from tests.referee.kube import Kube, ca_of, kubeconfig

FOLLOWED_S = 30.0
"""So long after the server is back its news must be served."""
SPACE = "outage"
STEADY = "192.0.2.77"


def prepare(plane: ControlPlane, folder: Path) -> Path:
    """A steady name, and a kubeconfig with the rights of config/."""
    with plane.kube as kube:
        kube.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}},
            things.service(SPACE, "steady", clusterIP="None", selector=None),
            things.slice_(SPACE, "steady", STEADY),
        )
        token = account(kube, SPACE, rules())
    return kubeconfig(folder / "limited", kube.url, token=token, ca=ca_of(plane.kubeconfig))


def name(service: str) -> str:
    return f"{service}.{SPACE}.svc.cluster.local"


def knows(port: int, service: str, *addresses: str) -> Callable[[], bool]:
    """Whether a service has just these addresses."""

    def look() -> bool:
        with suppress(Exception):
            return texts(ask(port, name(service), wait_s=0.5)) == list(addresses)
        return False

    return look


def put(kube: Kube, service: str, address: str) -> None:
    kube.create(
        things.service(SPACE, service, clusterIP="None", selector=None),
        things.slice_(SPACE, service, address),
    )


@pytest.mark.parametrize("at_once", [False, True], ids=["in-order", "killed"])
def test_a_restarted_server_is_followed(
    plane: ControlPlane, start: Start, tmp_path: Path, at_once: bool
):
    config = prepare(plane, tmp_path)
    port = start(config).port
    eventually(knows(port, "steady", STEADY), within_s=60)
    with Steady(port, [name("steady")], rate=100) as steady, plane.kube as kube:
        plane.stop(at_once=at_once)
        time.sleep(5)
        plane.start()
        put(kube, "later", "192.0.2.78")
        took = eventually(knows(port, "later", "192.0.2.78"), within_s=FOLLOWED_S, what="later")
        kube.delete("Service", SPACE, "later")
        eventually(knows(port, "later"), within_s=20)
    wrong = steady.wrong(lambda each: each.addresses == {STEADY})
    assert not wrong, f"{len(wrong)}: {wrong[0]}"
    print(f"followed {took:.1f} s after it was ready again")


def test_a_server_restored_to_an_older_state_is_followed(
    plane: ControlPlane, start: Start, tmp_path: Path
):
    config = prepare(plane, tmp_path)
    plane.stop()
    plane.save(tmp_path / "backup")
    plane.start()
    port = start(config).port
    eventually(knows(port, "steady", STEADY), within_s=60)
    with Steady(port, [name("steady")], rate=100) as steady, plane.kube as kube:
        for at in range(30):
            put(kube, f"lost-{at}", f"192.0.2.{100 + at}")
        eventually(knows(port, "lost-29", "192.0.2.129"), within_s=40)
        plane.stop()
        plane.restore(tmp_path / "backup")
        plane.start()
        took = eventually(knows(port, "lost-29"), within_s=FOLLOWED_S, what="what was lost is gone")
        put(kube, "new", "192.0.2.99")
        eventually(knows(port, "new", "192.0.2.99"), within_s=FOLLOWED_S, what="new")
    wrong = steady.wrong(lambda each: each.addresses == {STEADY})
    assert not wrong, f"{len(wrong)}: {wrong[0]}"
    print(f"followed {took:.1f} s after it was ready again")


def test_without_a_server_external_names_are_answered_and_the_cluster_follows(
    plane: ControlPlane, start: Start, tmp_path: Path
):
    config = prepare(plane, tmp_path)
    plane.stop()
    port = start(config, wait_s=60).port
    assert texts(ask(port, "google.com")) == ["192.0.2.80"]
    assert not texts(ask(port, name("steady")))
    plane.start()
    eventually(knows(port, "steady", STEADY), within_s=FOLLOWED_S, what="steady")
