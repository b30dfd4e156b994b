"""config/ on a real cluster: base brings cluster DNS, drop-in names an image and nothing else.

Only where nothing is called coredns yet; what was made is deleted again.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CONFIG = Path(__file__).parents[2] / "config"
WHOLE = ("autoscaled", "dual-stack", "network-policy", "node-local", "snapshot")
"""Overlays whose kinds every cluster knows."""
DROP_IN = str(CONFIG / "overlays" / "drop-in")
SERVER_SIDE = ("--server-side", "--force-conflicts")

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")


def kubectl(*words: str, given: str = "", fails: bool = False) -> str:
    environ = {**os.environ, "KUBECONFIG": os.environ["KDNS_E2E_KUBECONFIG"]}
    done = subprocess.run(
        ["kubectl", *words], env=environ, input=given, capture_output=True, text=True, check=False
    )
    assert bool(done.returncode) == fails, done.stderr
    return done.stderr if fails else done.stdout


def deployment() -> dict[str, Any]:
    """What the Deployment says, without what the server keeps book of."""
    said = json.loads(kubectl("-n", "kube-system", "get", "deployment", "coredns", "-o", "json"))
    return {"labels": said["metadata"]["labels"], "spec": said["spec"]}


@pytest.fixture
def theirs() -> Iterator[str]:
    """Cluster DNS as kubeadm leaves it, with CoreDNS's image; the manifest it was made from."""
    found = ("-n", "kube-system", "get", "deployment,service", "-o", "name")
    if {"deployment.apps/coredns", "service/kube-dns"} & set(kubectl(*found).split()):
        pytest.skip("the cluster has a DNS server of its own")
    text = kubectl("kustomize", str(CONFIG / "base")).replace("image: kdns:", "image: coredns:")
    try:
        kubectl("create", "-f", "-", given=text)
        yield text
    finally:
        kubectl("delete", "--ignore-not-found", "-f", "-", given=text)


@pytest.mark.parametrize("how", [(), SERVER_SIDE], ids=["apply", "server-side"])
def test_drop_in_changes_the_image_and_nothing_else(theirs: str, how: tuple[str, ...]) -> None:
    before = deployment()
    kubectl("apply", *how, "-k", DROP_IN)
    after = deployment()
    (container,) = after["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("kdns:")
    container["image"] = before["spec"]["template"]["spec"]["containers"][0]["image"]
    assert after == before
    kubectl("-n", "kube-system", "rollout", "undo", "deployment/coredns")
    assert deployment() == before


def test_drop_in_makes_nothing_where_there_is_no_dns_server(theirs: str) -> None:
    kubectl("delete", "-f", "-", given=theirs)
    assert "spec.selector" in kubectl("apply", *SERVER_SIDE, "-k", DROP_IN, fails=True)


def test_base_can_be_applied_over_what_is_there(theirs: str) -> None:
    kubectl("apply", *SERVER_SIDE, "-k", str(CONFIG / "base"))
    kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s")
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("kdns:")


@pytest.mark.parametrize("name", WHOLE)
def test_the_server_takes_every_overlay(theirs: str, name: str) -> None:
    path = str(CONFIG / "overlays" / name)
    text = kubectl("kustomize", path)
    if name == "dual-stack":  # which addresses there are is the cluster's own affair
        text = text.replace("  - fd00:96::a\n", "")
    kubectl("apply", *SERVER_SIDE, "--dry-run=server", "-f", "-", given=text)
