"""From inside pods real clients find names and connect; without namespaces kdns's own tools do.

Every program that connects prints which pod answered.
"""

import os
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.play.cluster import HERE, TOP, Cluster, Said, need

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ANSWERED = re.compile(r"Hello from (\S+) \((\S+)\)")
NAMES = {
    "web": "web-",
    "web.default": "web-",
    "web.default.svc": "web-",
    "web.default.svc.cluster.local": "web-",
    "web.default.svc.cluster.local.": "web-",
    "bare": "web-",
    "db": "db-",
    "db-1.db": "db-1",
    "db-0.db.default.svc.cluster.local": "db-0",
    "outer": "web-",
}
"""What a client in `default` calls a service or pod, and how the pod that answers is called."""
FAR = {"far.other": "far-", "far.other.svc.cluster.local": "far-"}
"""Those of another namespace, on port 8080."""
HEADLESS = ("bare", "db", "db-")
PYTHON = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as one:
    one.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(one.makefile().read())
"""
NC = r"""printf 'GET / HTTP/1.0\r\n\r\n' | busybox nc -w 5 $0 $1"""
FETCH = {
    "curl": ("curl", "-sS", "-m", "5", "http://{name}:{port}/"),
    "wget": ("wget", "-q", "-O", "-", "http://{name}:{port}/"),
    "busybox wget": ("busybox", "wget", "-q", "-T", "5", "-O", "-", "http://{name}:{port}/"),
    "busybox nc": ("sh", "-c", NC, "{name}", "{port}"),
    "python": (sys.executable, "-I", "-c", PYTHON, "{name}", "{port}"),
}
LOOK = {
    "getent hosts": ("getent", "hosts", "{name}"),
    "getent ahosts": ("getent", "ahosts", "{name}"),
    "getent ahostsv4": ("getent", "ahostsv4", "{name}"),
    "busybox nslookup": ("busybox", "nslookup", "{full}"),
    "nslookup": ("nslookup", "{name}"),
    "dig": ("dig", "+search", "+short", "{name}"),
    "host": ("host", "{name}"),
}
OURS = {
    "curl",
    "wget",
    "getent hosts",
    "getent ahosts",
    "getent ahostsv4",
    "nslookup",
    "dig",
    "host",
}
"""What kdns has for pods that have no files of their own."""


def places() -> list[tuple[str, int, str]]:
    found = [(name, 80, who) for name, who in NAMES.items()]
    return [*found, *((name, 8080, who) for name, who in FAR.items())]


def script(cluster: Cluster, words: tuple[str, ...], *, is_look: bool) -> str:
    """A shell script that asks for all places, each behind a line with its name."""
    lines = []
    for name, port, _ in places():
        if is_look and words[0] == "busybox" and "-" in name.split(".")[0]:
            continue
        full = name if name.endswith(".cluster.local.") else full_name(name)
        made = [word.format(name=name, port=port, full=full) for word in words]
        quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in made)
        lines.append(f"echo '@ {name}'; {quoted} 2>&1 || echo \"exit code $?\"")
    return "\n".join(lines)


def full_name(name: str) -> str:
    labels = name.removesuffix(".").split(".")
    if (name.startswith("db-") and len(labels) == 2) or len(labels) == 1:
        labels.append("default")
    rest = ["svc", "cluster", "local"]
    while rest and rest[0] in labels:
        rest.pop(0)
    return ".".join([*labels, *rest])


def by_name(said: Said) -> dict[str, str]:
    found = re.split(r"(?m)^@ (\S+)\n", said.out)
    return dict(zip(found[1::2], found[2::2], strict=True))


def require(cluster: Cluster, client: str, program: str) -> None:
    if cluster.way == "loopback":
        if client not in OURS:
            pytest.skip("reads the machine's own resolv.conf: pods have none without namespaces")
        return
    need("busybox" if "busybox" in client else program)
    if client == "busybox wget" and crashes(
        "busybox", "wget", "-q", "-T", "1", "http://127.0.0.1:1/"
    ):
        pytest.skip("busybox wget of this machine crashes whatever it is asked for")


def crashes(*command: str) -> bool:
    """Whether a program is ended by a signal, here and without a lab."""
    return subprocess.run(command, capture_output=True, check=False).returncode < 0


def check_fetched(cluster: Cluster, said: Said) -> None:
    found = by_name(said)
    assert len(found) == len(places()), said
    for name, _, who in places():
        answered = ANSWERED.search(found[name])
        assert answered, f"{name}: {found[name]}"
        assert answered[1].startswith(who), f"{name}: {found[name]}"


@pytest.mark.parametrize("client", FETCH)
def test_who_fetches_is_told_by_whom(cluster: Cluster, client: str) -> None:
    words = FETCH[client]
    require(cluster, client, words[0])
    check_fetched(cluster, cluster.run("client", "sh", "-c", script(cluster, words, is_look=False)))


@pytest.mark.parametrize("client", LOOK)
def test_who_looks_a_name_up_finds_its_addresses(cluster: Cluster, client: str) -> None:
    words = LOOK[client]
    require(cluster, client, words[0])
    found = by_name(cluster.run("client", "sh", "-c", script(cluster, words, is_look=True)))
    assert found
    for name, text in found.items():
        there = addresses(text)
        want = wanted(cluster, name)
        assert want, name
        assert want & there == want, f"{name}: {want}\n{text}"
        assert not [one for one in there - want if "." in one and one != dns(cluster)], (
            f"{name}: {want}\n{text}"
        )


def dns(cluster: Cluster) -> str:
    found = cluster.api.get("/api/v1/namespaces/kube-system/services/kube-dns")
    return str(found["spec"]["clusterIP"])


def wanted(cluster: Cluster, name: str) -> set[str]:
    """The IPv4 addresses that a name has."""
    first = name.split(".", maxsplit=1)[0]
    namespace = "other" if first == "far" else "default"
    if first.startswith("db-"):
        pod = cluster.api.get(f"/api/v1/namespaces/default/pods/{first}")
        return {pod["status"]["podIP"]}
    service = cluster.api.get(f"/api/v1/namespaces/{namespace}/services/{first}")
    if first not in HEADLESS:
        return {service["spec"]["clusterIP"]}
    pods = cluster.api.pods(f"app={service['spec']['selector']['app']}")
    return {pod["status"]["podIP"] for pod in pods}


def addresses(text: str) -> set[str]:
    """All that a text has."""
    found = set()
    for word in re.split(r"[\s,#]+", text):
        try:
            found.add(str(ip_address(word)))
        except ValueError:
            continue
    return found


@pytest.mark.parametrize("kind", ["go", "cgo", "musl", "glibc"])
def test_programs_that_are_built_find_and_connect(
    cluster: Cluster, kind: str, tmp_path: Path
) -> None:
    if cluster.way == "loopback":
        pytest.skip("reads the machine's own resolv.conf: pods have none without namespaces")
    program = built(kind, tmp_path)
    place = handed_in(cluster, program)
    words = (place, "{name}", "{port}")
    check_fetched(cluster, cluster.run("client", "sh", "-c", script(cluster, words, is_look=False)))


def built(kind: str, folder: Path) -> Path:
    made = folder / "ask"
    if kind in {"go", "cgo"}:
        need("go")
        if kind == "cgo":
            need("gcc")
        tags, cgo = ("netgo", "0") if kind == "go" else ("netcgo", "1")
        command = ["go", "build", "-tags", tags, "-o", str(made), str(HERE / "ask.go")]
        environ = {**os.environ, "CGO_ENABLED": cgo, "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
        subprocess.run(command, check=True, env=environ, cwd=folder)
        return made
    compiler = {"musl": "musl-gcc", "glibc": "cc"}[kind]
    need(compiler)
    subprocess.run([compiler, "-O1", "-o", str(made), str(HERE / "ask.c")], check=True)
    return made


def handed_in(cluster: Cluster, program: Path) -> str:
    """The program, in the pod's own /tmp; gives its path there."""
    command = cluster.command("client", "sh", "-c", "cat > /tmp/ask && chmod +x /tmp/ask")
    with program.open("rb") as file:
        subprocess.run(command, stdin=file, check=True, cwd=TOP, timeout=60)
    return "/tmp/ask"


def test_services_of_both_families_are_reached_by_both(cluster: Cluster) -> None:
    if cluster.way == "loopback":
        pytest.skip("there is IPv4 alone on loopback addresses")
    need("curl")
    for family in "46":
        said = cluster.run("client", "curl", "-sS", f"-{family}", "-m", "5", "http://both/")
        answered = ANSWERED.search(said.out)
        assert answered, said
        assert answered[1].startswith("web-")
        asked = re.search(r"Asked by: +(\S+)", said.out)
        assert asked
        assert (":" in asked[1]) == (family == "6"), said


@pytest.mark.parametrize("by", ["kubectl", "kdns"])
def test_both_ways_into_a_pod_say_the_same(cluster: Cluster, by: str) -> None:
    if by == "kubectl":
        need("kubectl")
    inside = Cluster(cluster.process, cluster.way, cluster.folder, by == "kubectl")
    said = inside.run(
        "client", "sh", "-c", "getent hosts web; cat /etc/resolv.conf; hostname; exit 7"
    )
    assert said.code == 7, said
    web = cluster.api.get("/api/v1/namespaces/default/services/web")["spec"]["clusterIP"]
    assert re.search(rf"(?m)^{re.escape(web)} +web\.default\.svc\.cluster\.local", said.out), said
    assert "search default.svc.cluster.local svc.cluster.local cluster.local" in said.out
    assert f"nameserver {dns(cluster)}" in said.out
    assert said.out.endswith("client\n")


def test_a_port_is_tried_with_nc(cluster: Cluster) -> None:
    if cluster.way == "namespaces" and shutil.which("nc") is None:
        pytest.skip("nc is not installed")
    said = cluster.run(
        "client", "sh", "-c", "nc -z -w 2 web 80 && echo open; nc -z -w 2 web 81 || echo shut"
    )
    assert "open" in said.out, said
    assert "shut" in said.out, said
