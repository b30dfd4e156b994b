"""Deployments are scaled and rolled under query load, and no answer is ever wrong.

An address is right if it was ready at some moment while the question was under way, give or take
the time an event needs; a service that had ready endpoints all the while is never empty.
"""

import time

import pytest

from tests.e2e import things
from tests.referee.asking import Steady, eventually
from tests.referee.kube import Kube

SLACK_S = 2.0
"""What an event may take on a busy machine."""
MOVE_S = 7.0
"""Endpoints of a service with several slices are held so long when they seem to move."""


@pytest.mark.parametrize(
    ("replicas", "slack_s"), [(8, SLACK_S), (130, MOVE_S)], ids=["one-slice", "two-slices"]
)
def test_no_answer_is_wrong_while_a_deployment_is_scaled_and_rolled(
    dns_port: int, kube: Kube, space: str, replicas: int, slack_s: float
):
    kube.create(
        things.service(space, "web", clusterIP="None"), things.deployment(space, "web", replicas)
    )
    name = f"web.{space}.svc.cluster.local"
    with things.Truth(kube, space, "web") as truth:
        eventually(lambda: len(truth.ready) == replicas, within_s=120, what="pods are ready")
        time.sleep(1)
        with Steady(dns_port, [name], rate=200) as steady:
            roll(kube, space, "one", truth, replicas)
            for count in (replicas // 2, replicas + 4, replicas):
                kube.patch("Deployment", space, "web", {"spec": {"replicas": count}})
                eventually(lambda n=count: len(truth.ready) == n, within_s=120)
            roll(kube, space, "two", truth, replicas)
            time.sleep(0.3)
    wrong = steady.wrong(lambda each: truth.allows(each, slack_s))
    assert len(steady.readings) > 100
    assert not wrong, f"{len(wrong)} of {len(steady.readings)}, first {wrong[0]}"


def roll(kube: Kube, space: str, word: str, truth: things.Truth, replicas: int) -> None:
    """Replaces every pod of the deployment, as a new image does."""
    old = truth.ready
    template = {"metadata": {"annotations": {"roll": word}}}
    kube.patch("Deployment", space, "web", {"spec": {"template": template}})
    eventually(
        lambda: len(truth.ready) == replicas and not truth.ready & old, within_s=120, what="rolled"
    )


def test_a_clusterip_stays_while_its_pods_come_and_go(dns_port: int, kube: Kube, space: str):
    kube.create(things.service(space, "api"), things.deployment(space, "api", 3))
    address = kube.get("Service", space, "api")["spec"]["clusterIP"]
    name = f"api.{space}.svc.cluster.local"
    with things.Truth(kube, space, "api") as truth:
        eventually(lambda: len(truth.ready) == 3, within_s=120)
        time.sleep(0.5)
        with Steady(dns_port, [name], rate=300) as steady:
            for count in (0, 5, 1):
                kube.patch("Deployment", space, "api", {"spec": {"replicas": count}})
                eventually(lambda n=count: len(truth.ready) == n, within_s=120)
    assert not steady.wrong(lambda each: each.addresses == {address})
