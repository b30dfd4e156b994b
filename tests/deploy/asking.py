"""What the image is asked, about which cluster, and how long it may take."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).parents[2]
MEMORY_MB = 170
QUESTIONS = (
    (("kubernetes.default.svc.cluster.local",), "10.96.0.1"),
    (("+tcp", "-x", "10.96.0.1"), "kubernetes.default.svc.cluster.local."),
)
CLUSTER = """
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Namespace, metadata: {name: default}}
  - apiVersion: v1
    kind: Service
    metadata: {name: kubernetes, namespace: default}
    spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, protocol: TCP}]}
"""


def corefile() -> str:
    """The Corefile of config/base, about a cluster in files and without an upstream."""
    text = (TOP / "config" / "base" / "Corefile").read_text()
    manifests = text.replace(
        "       ttl 30", "       ttl 30\n       manifests /etc/coredns/cluster.yaml"
    )
    assert manifests != text
    return manifests.replace("/etc/resolv.conf", "127.0.0.1:5399")


def settings(folder: Path) -> Path:
    """What is mounted at /etc/coredns, readable by everybody."""
    (folder / "Corefile").write_text(corefile())
    (folder / "cluster.yaml").write_text(CLUSTER)
    folder.chmod(0o755)
    return folder


def wait_for(what: str, ask: Callable[[], bool], seconds: float = 30) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not ask():
        if time.monotonic() - began > seconds:
            raise SystemExit(f"make image: {what} not within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - began


def dig(how: list[str], *question: str) -> str:
    """What a server on port 53 answers, asked from where `how` leads."""
    words = [*how, "dig", "@127.0.0.1", "+short", "+tries=1", "+time=1", *question]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()
    return " ".join(line for line in said if not line.startswith(";"))


def ask(how: list[str]) -> None:
    """Asks it all questions; ends the program where an answer is not right."""
    for question, answer in QUESTIONS:
        said = dig(how, *question)
        if said != answer:
            raise SystemExit(f"make image: {' '.join(question)}: expected {answer}, found {said!r}")
