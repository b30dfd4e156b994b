"""Scaling, killing, relabelling, failing probes and rolling out, as a loop of connections sees them.

No connection goes to an endpoint that had left before it began; with two or more ready, none fails.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest

from tests.play.cluster import Cluster, Watched
from tests.play.loop import LATE_S, Knock, begin, during, judged, shown, stale

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/web"
PODS = "/api/v1/namespaces/default/pods"
STALE_S = 3.0
"""How long a name may lead to a pod that has left: the server learns of it by a watch of its own,
which takes milliseconds, and others may have the machine for a while; answers live for 5 s."""
PREFIX = "lab.kdns.io"
MANY = 10
"""So many more connections, and each loop has begun one since."""


def node_port(cluster: Cluster) -> int:
    found = cluster.api.get("/api/v1/namespaces/default/services/outer")
    return int(found["spec"]["ports"][0]["nodePort"])


def scale(cluster: Cluster, watched: Watched, count: int) -> None:
    cluster.api.merge(DEPLOYMENT, {"spec": {"replicas": count}})
    cluster.until(lambda: len(watched.ready("web")) == count, f"{count} are ready")


def settled(cluster: Cluster, watched: Watched) -> None:
    want = cluster.api.get(DEPLOYMENT)["spec"]["replicas"]
    cluster.until(lambda: len(watched.ready("web")) == want, f"{want} are ready")


def scaled(cluster: Cluster, watched: Watched) -> None:
    for count in (6, 2, 4):
        scale(cluster, watched, count)


def killed(cluster: Cluster, watched: Watched, grace_s: int | None = None) -> None:
    for pod in cluster.api.pods("app=web")[:2]:
        name = pod["metadata"]["name"]
        cluster.api.delete(f"{PODS}/{name}", grace_s)
        cluster.until(lambda name=name: name not in watched.ready("web"), f"{name} has left")
        settled(cluster, watched)


def killed_by_force(cluster: Cluster, watched: Watched) -> None:
    killed(cluster, watched, 0)


def relabelled(cluster: Cluster, watched: Watched) -> None:
    name = cluster.api.pods("app=web")[0]["metadata"]["name"]
    cluster.api.merge(f"{PODS}/{name}", {"metadata": {"labels": {"app": "lost"}}})
    cluster.until(lambda: name not in watched.ready("web"), f"{name} has left")
    settled(cluster, watched)
    cluster.api.delete(f"{PODS}/{name}")


def unready(cluster: Cluster, watched: Watched) -> None:
    name = cluster.api.pods("app=web")[0]["metadata"]["name"]
    annotations = {f"{PREFIX}/fails": "/readyz"}
    cluster.api.merge(f"{PODS}/{name}", {"metadata": {"annotations": annotations}})
    cluster.until(lambda: name not in watched.ready("web"), f"{name} is not ready")
    annotations = {f"{PREFIX}/fails": None}
    cluster.api.merge(f"{PODS}/{name}", {"metadata": {"annotations": annotations}})
    cluster.until(lambda: name in watched.ready("web"), f"{name} is ready")


def restarted(cluster: Cluster, watched: Watched) -> None:
    name = cluster.api.pods("app=web")[0]["metadata"]["name"]
    annotations = {f"{PREFIX}/fails": "/livez"}
    cluster.api.merge(f"{PODS}/{name}", {"metadata": {"annotations": annotations}})
    cluster.until(lambda: name not in watched.ready("web"), f"{name} is restarted")
    annotations = {f"{PREFIX}/fails": None}
    cluster.api.merge(f"{PODS}/{name}", {"metadata": {"annotations": annotations}})
    cluster.until(lambda: name in watched.ready("web"), f"{name} is ready")
    status = cluster.api.get(f"{PODS}/{name}")["status"]
    assert status["containerStatuses"][0]["restartCount"] >= 1


def rolled_out(cluster: Cluster, watched: Watched) -> None:
    before = {one["metadata"]["name"] for one in cluster.api.pods("app=web")}
    when = {"kubectl.kubernetes.io/restartedAt": str(time.time())}
    cluster.api.merge(DEPLOYMENT, {"spec": {"template": {"metadata": {"annotations": when}}}})

    def is_over() -> bool:
        return len(watched.ready("web")) == len(before) and not watched.ready("web") & before

    cluster.until(is_over, "all pods are new")


CHANGES: list[Callable[[Cluster, Watched], None]] = [
    scaled, killed, killed_by_force, relabelled, unready, restarted, rolled_out,
]  # fmt: skip


@dataclass(frozen=True)
class Heard:
    """What a loop has heard, and of which service."""

    service: str
    knocks: list[Knock]


@dataclass(frozen=True)
class Story:
    """All that went on."""

    watched: Watched
    heard: dict[str, Heard]
    when: list[tuple[str, float]]

    def at(self, moment: float) -> str:
        """What was being changed then."""
        return next((name for name, began in reversed(self.when) if began <= moment), "start")


@pytest.fixture(scope="module")
def story(cluster: Cluster) -> Story:
    """Loops of all kinds, while all changes are made one after the other."""
    watched = Watched(cluster.api)
    settled(cluster, watched)
    port = str(node_port(cluster))
    loops = {
        "name": begin(cluster, "web", "http", "web", "80", "3"),
        "node port": begin(cluster, "outer", "http", "127.0.0.1", port, "1", pod=""),
        "datagrams": begin(cluster, "web", "udp", "web", "9000", "1"),
        "affinity": begin(cluster, "sticky", "http", "sticky", "80", "1"),
        "DNS": begin(cluster, "bare", "dns", "bare", "80", "1"),
    }
    for loop in loops.values():
        cluster.until(lambda loop=loop: loop.heard.stat().st_size, "it knocks")
    when = []
    for change in CHANGES:
        when.append((change.__name__, time.monotonic()))
        counts = {name: loop.count for name, loop in loops.items()}
        change(cluster, watched)
        for name, loop in loops.items():
            least = counts[name] + MANY
            cluster.until(lambda loop=loop, least=least: loop.count >= least, f"{name} goes on")
    heard = {name: Heard(loop.service, loop.end()) for name, loop in loops.items()}
    watched.close()
    return Story(watched, heard, when)


@pytest.mark.parametrize("by", ["name", "node port", "datagrams", "affinity"])
def test_no_connection_fails_or_goes_astray(story: Story, by: str) -> None:
    heard = story.heard[by]
    astray, failed = judged(heard.knocks, story.watched, heard.service)
    wrong = [
        f"{story.at(one.began)}: {what}: {shown(one, story.watched, heard.service)}"
        for what, ones in (("astray", astray), ("failed", failed)) for one in ones
    ]  # fmt: skip
    assert not wrong, f"{len(wrong)} of {len(heard.knocks)}\n" + "\n".join(wrong[:8])
    unheard = {name for name, _ in story.when} - {story.at(one.began) for one in heard.knocks}
    assert not unheard, f"nothing was heard during {unheard}"


def test_a_client_stays_with_its_pod_until_that_leaves(story: Story) -> None:
    """sessionAffinity: ClientIP."""
    heard = story.heard["affinity"]
    changes = [
        (one, after) for one, after in pairwise(heard.knocks) if one.who != after.who
    ]  # fmt: skip
    wrong = [
        shown(after, story.watched, "sticky")
        for one, after in changes
        if all(
            one.who in there
            for there in during(story.watched, "sticky", one.began, after.ended + LATE_S)
        )
    ]
    assert changes, "it had to leave"
    assert not wrong, "\n".join(wrong[:4])


def test_names_lead_to_no_pod_that_has_left(story: Story) -> None:
    heard = story.heard["DNS"]
    assert len({address for one in heard.knocks for address in one.who.split(",")}) > 6
    assert stale(heard.knocks, story.watched, "bare") <= STALE_S
    assert not [one.why for one in heard.knocks if one.why]


@pytest.mark.parametrize("kind", ["none", "astray", "failed"])
def test_the_judge_sees(story: Story, kind: str) -> None:
    """One connection more, that went wrong."""
    began, before = next(
        (at, there) for at, there, _ in reversed(story.watched.seen["web"]) if there
    )
    left = next(
        one for _, there, _ in story.watched.seen["web"] for one in there if one not in before
    )
    who = {"none": min(before), "astray": left, "failed": ""}[kind]
    later = began + 10
    found = judged([Knock(later, later + 0.01, who, "refused")], story.watched, "web")
    assert [bool(one) for one in found] == [kind == "astray", kind == "failed"]
