"""The DNS step of many tutorials: a Job asks for a name, kubectl waits for it and reads its log."""

import json
import shlex
import subprocess

import pytest

from tests.play.cluster import Cluster, need

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def kubectl(cluster: Cluster, command: str, given: object = None) -> str:
    """What it prints."""
    words = [need("kubectl"), f"--kubeconfig={cluster.config}", *shlex.split(command)]
    done = subprocess.run(
        words, input=json.dumps(given) if given else None, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{cluster.log}"
    return done.stdout


def test_a_job_asks_for_a_name(cluster: Cluster) -> None:
    address = kubectl(cluster, "get service web -o jsonpath={.spec.clusterIP}")
    kubectl(cluster, "create job ask --image=busybox -- nslookup web.default")
    kubectl(cluster, "wait --for=condition=complete job/ask --timeout=60s")
    said = kubectl(cluster, "logs job/ask")
    assert "Name:\tweb.default.svc.cluster.local" in said
    assert f"Address: {address}" in said


def test_a_job_of_a_cron_job_connects(cluster: Cluster) -> None:
    command = "create cronjob fetch --image=curlimages/curl --schedule=@yearly"
    kubectl(cluster, f"{command} -- curl -s http://web")
    kubectl(cluster, "create job fetched --from=cronjob/fetch")
    kubectl(cluster, "wait --for=condition=complete job/fetched --timeout=60s")
    assert kubectl(cluster, "logs job/fetched").startswith("Hello from web-")


def test_a_job_that_does_not_find_a_name_fails(cluster: Cluster) -> None:
    container = {"name": "c", "image": "busybox", "command": ["getent", "hosts", "no-such-name"]}
    inside = {"restartPolicy": "Never", "containers": [container]}
    made = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "lost"},
        "spec": {"backoffLimit": 0, "template": {"spec": inside}},
    }  # fmt: skip
    kubectl(cluster, "apply -f -", made)
    kubectl(cluster, "wait --for=condition=failed job/lost --timeout=60s")
    reason = "get job lost -o jsonpath={.status.conditions[-1].reason}"
    assert kubectl(cluster, reason) == "BackoffLimitExceeded"
