"""A `kdns lab --play` as a child process: its API, its commands in pods, and its end by its own pid."""

import base64
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

import pytest
import yaml

from tests.clients.conftest import lacking, obstacle

TOP = Path(__file__).parents[2]
HERE = Path(__file__).parent
PATIENCE_S = 60.0
SERVES = "lab: try:"
"""What the lab's log says once all stands."""
Way = Literal["namespaces", "loopback"]
MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Said:
    """What a command in a pod printed."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.out}{self.err}"


@dataclass
class Api:
    """The lab's, as its admin."""

    config: Path
    server: str = ""
    _headers: dict[str, str] = field(default_factory=dict)
    _ssl: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        config = yaml.safe_load(self.config.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.server = cluster["server"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._ssl = ssl.create_default_context(cadata=authority)
        self._headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}

    def open(self, method: str, path: str, body: object = None, kind: str = "application/json"):
        """The reply, to be read; raises urllib's errors."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": kind}
        request = urllib.request.Request(self.server + path, data, headers, method=method)
        return urllib.request.urlopen(request, timeout=60, context=self._ssl)

    def get(self, path: str) -> dict:
        """An object or a list."""
        with self.open("GET", path) as reply:
            return json.load(reply)

    def merge(self, path: str, body: object) -> dict:
        """Changes an object by a merge patch."""
        with self.open("PATCH", path, body, MERGE) as reply:
            return json.load(reply)

    def create(self, path: str, body: object) -> dict:
        """Makes an object."""
        with self.open("POST", path, body) as reply:
            return json.load(reply)

    def delete(self, path: str, grace_s: int | None = None) -> None:
        """Asks for an object's end."""
        body = None if grace_s is None else {"gracePeriodSeconds": grace_s}
        self.open("DELETE", path, body).close()

    def pods(self, selector: str, namespace: str = "default") -> list[dict]:
        """Those that are not being deleted."""
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector.replace('=', '%3D')}"
        return [
            one for one in self.get(path)["items"] if "deletionTimestamp" not in one["metadata"]
        ]


@dataclass
class Cluster:
    """A lab that runs."""

    process: "subprocess.Popen[bytes]"
    way: Way
    folder: Path
    has_kubectl: bool = shutil.which("kubectl") is not None

    def __post_init__(self) -> None:
        self.config = self.folder / "kubeconfig"

    @property
    def api(self) -> Api:
        """Its API, as the admin."""
        return Api(self.config)

    @property
    def log(self) -> str:
        """All that it has written."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def ports(self) -> dict[str, int]:
        """Those on 127.0.0.1 that it has printed."""
        found = {}
        for name, pattern in (
            ("api", r"Kubernetes API on https://127\.0\.0\.1:(\d+)"),
            ("dns", r"DNS on 127\.0\.0\.1:(\d+)"),
            ("page", r"status page on http://127\.0\.0\.1:(\d+)"),
        ):
            if said := re.search(pattern, self.log):
                found[name] = int(said[1])
        return found

    def command(self, pod: str, *words: str, namespace: str = "default") -> list[str]:
        """What runs a command in a pod: kubectl where there is one."""
        kubectl = ["kubectl", "--kubeconfig", str(self.config), "exec", "-i", "-n", namespace]
        ours = [sys.executable, "-m", "kdns", "lab", "exec", "--kubeconfig", str(self.config),
                "-i", "-n", namespace]  # fmt: skip
        return [*(kubectl if self.has_kubectl else ours), pod, "--", *words]

    def run(self, pod: str, *words: str, namespace: str = "default", within_s: float = 100) -> Said:
        """Runs a command in a pod to its end."""
        done = subprocess.run(
            self.command(pod, *words, namespace=namespace), stdin=subprocess.DEVNULL, cwd=TOP,
            capture_output=True, text=True, timeout=within_s, check=False,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    def until(self, holds: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> None:
        """Waits for it."""
        end = time.monotonic() + within_s
        while not holds():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, f"{what}: not within {within_s} s\n{self.log}"
            time.sleep(0.03)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Ends it, and waits for that."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@contextmanager
def playing(
    folder: Path,
    way: Way,
    manifests: Sequence[Path] = (),
    *,
    dns: str = "",
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Cluster]:
    """A lab with these manifests, all of whose pods are ready, until the block ends."""
    require(way)
    command = [
        sys.executable, "-m", "kdns", "lab", "--play", way,
        "--kubeconfig-out", str(folder / "kubeconfig"),
        "--port", "0", "--dns-port", "0", "--page-port", "0",
        *(("--manifests", *map(str, manifests)) if manifests else ()),
        *(("--dns", dns) if dns else ()),
    ]  # fmt: skip
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=TOP,
            env={**os.environ, **environ}, start_new_session=True,
        )  # fmt: skip
    cluster = Cluster(process, way, folder)
    try:
        cluster.until(lambda: SERVES in cluster.log, "the lab and its DNS server stand")
        cluster.until(lambda: all_ready(cluster.api), "its pods are ready")
        yield cluster
    finally:
        has_ended = process.poll() is not None
        cluster.end()
    assert has_ended or not process.returncode, cluster.log
    assert "Traceback" not in cluster.log, cluster.log


def shop(folder: Path, way: Way) -> list[Path]:
    """The manifests of the shop, with a node port that is free here."""
    text = (HERE / "shop.yaml").read_text().replace("NODE_PORT", str(node_port()))
    (folder / "shop.yaml").write_text(text)
    return [folder / "shop.yaml", *([HERE / "shop6.yaml"] if way == "namespaces" else [])]


def node_port() -> int:
    """One that nobody has on 127.0.0.1, for UDP and TCP."""
    while True:
        port = random.SystemRandom().randrange(30_100, 32_768)
        with (
            socket.socket() as one,
            socket.socket(type=socket.SOCK_DGRAM) as other,
            suppress(OSError),
        ):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port))
            return port


def all_ready(api: Api) -> bool:
    """True when every Deployment has what it wants, and every Pod is ready."""
    made = api.get("/apis/apps/v1/deployments")["items"]
    if any(one.get("status", {}).get("readyReplicas", 0) < one["spec"]["replicas"] for one in made):
        return False
    return all(is_ready(one) for one in api.get("/api/v1/pods")["items"])


def is_ready(pod: dict) -> bool:
    """Whether its status says so."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def require(way: Way) -> None:
    """Skips where the kernel forbids namespaces; fails where they must be there."""
    if way == "namespaces" and (why := obstacle()):
        lacking(why)


def need(program: str) -> str:
    """The path of a real client; skips without it, or fails where it must be there."""
    found = shutil.which(program)
    if found is None:
        lacking(f"{program} is not installed")
        pytest.fail("lacking() returned")
    return found


class Watched:
    """The endpoints of services as a watch of the API has told of them, and when."""

    def __init__(self, api: Api, namespace: str = "default") -> None:
        self._reply = api.open(
            "GET", f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?watch=true"
        )
        self.host = urlsplit(api.server).netloc
        self._slices: dict[str, dict] = {}
        self.seen: dict[str, list[tuple[float, frozenset[str], frozenset[str]]]] = {}
        """Of a service: since when it has which ready pods, and with which addresses."""
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        with suppress(OSError, ValueError):
            for line in self._reply:
                now = time.monotonic()
                event = json.loads(line)
                made = event["object"]
                service = made["metadata"]["labels"]["kubernetes.io/service-name"]
                self._slices[made["metadata"]["name"]] = made
                if event["type"] == "DELETED":
                    del self._slices[made["metadata"]["name"]]
                self._note(service, now)

    def _note(self, service: str, now: float) -> None:
        there, where = set(), set()
        for one in self._slices.values():
            if one["metadata"]["labels"]["kubernetes.io/service-name"] != service:
                continue
            for end in one.get("endpoints") or ():
                if end["conditions"]["ready"]:
                    there.add(end.get("targetRef", {}).get("name", ""))
                    where |= set(end["addresses"])
        self.seen.setdefault(service, []).append((now, frozenset(there), frozenset(where)))

    def ready(self, service: str) -> frozenset[str]:
        """The ready pods of a service now."""
        found = self.seen.get(service)
        return found[-1][1] if found else frozenset()

    def close(self) -> None:
        """Ends the watch."""
        with suppress(OSError):
            self._reply.fp.raw._sock.shutdown(2)
        self._thread.join(5)
