"""`kdns explain` from the command line: by files, by a Corefile, by a running server, from outside."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from kdns.cli import explain
from kdns.cli.main import main
from tests.running import Running, free_port

GOLDEN = Path(__file__).parents[1] / "golden" / "explain"
CLUSTER = """
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.20, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, ports: [{name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web, image: web}]}
status: {phase: Running, podIP: 10.244.0.5, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: own, namespace: shop}
spec: {containers: [{name: web, image: web}], dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1], searches: [x.example]}}
status: {phase: Running, podIP: 10.244.0.6, conditions: [{type: Ready, status: "True"}]}
"""

COREFILE = """.:{port} {{
    bind 127.0.0.1
    status 127.0.0.1:{status}
    kubernetes cluster.local {{
        manifests "{cluster}"
    }}
}}
"""

KUBECONFIG = b"""
kind: Config
current-context: ours
contexts: [{name: ours, context: {cluster: gone, user: me}}]
clusters: []
users: [{name: me, user: {}}]
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(explain, "STATUS", f"127.0.0.1:{free_port()}")
    return path


def test_what_to_type_next_asks_in_the_same_place(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["explain", "wbe.shop", "--manifests", str(cluster)])
    said = capsys.readouterr().out
    assert f"$ kdns explain web.shop --manifests {cluster}\n" in said
    assert "$ kubectl -n shop get services\n" in said


def test_a_name_that_resolves_is_fine(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "web.shop", "--manifests", str(cluster)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("web.shop resolves to 10.96.0.20")
    assert any("web.shop.svc.cluster.local." in line and "kubernetes" in line for line in said)


def test_a_name_that_does_not_exits_with_one(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "wep", "--from", "shop/web-0", "--manifests", str(cluster)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("service wep does not exist in namespace shop; the nearest there is web")
    assert "$ kubectl -n shop get services" in said
    assert "\033" not in said


def test_json_has_the_reason_and_the_way(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "web.shop", "A", "--json", "--manifests", str(cluster)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reasons"][0]["id"] == "resolves"
    assert [walk["libc"] for walk in found["walks"]] == ["glibc", "musl"]
    steps = found["walks"][0]["steps"]
    assert steps[-1]["answer"] == ["10.96.0.20"]
    assert steps[-1]["plugin"] == "kubernetes"


def test_a_resolv_conf_says_how_names_are_looked_up(
    cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 10.96.0.10\nsearch svc.cluster.local\noptions ndots:2\n")
    words = ["explain", "web.shop", "--resolv-conf", str(conf), "--manifests", str(cluster)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "web.shop.default" not in said
    assert "web.shop.svc.cluster.local." in said


def test_a_pod_with_a_nameserver_of_its_own_is_told_so(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "web.shop", "--from", "shop/own", "--manifests", str(cluster)]) == 1
    said = capsys.readouterr().out
    assert "192.0.2.1" in said.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["web", "NOTYPE"], "NOTYPE"),
        (["web", "--from", "shop/nobody"], "there is no pod shop/nobody; pods there: own, web-0"),
        (["web", "--connect", "http"], "--connect http: expected a port"),
        (["web", "--resolv-conf", "/nonexistent"], "/nonexistent: No such file"),
        (["web", "--manifests", "/nonexistent"], "/nonexistent"),
        (["web", "--server", "a b"], "--server a b: expected"),
        (["web", "-conf", "/nonexistent"], "/nonexistent: cannot read the Corefile"),
        (["web", "--kubeconfig", "/nonexistent"], "/nonexistent: No such file"),
    ],
)
def test_what_cannot_be_asked_is_two_and_says_why(
    cluster: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    given = (
        [] if {"-conf", "--server", "--kubeconfig"} & {*words} else ["--manifests", str(cluster)]
    )
    assert main(["explain", *words, *([] if "--manifests" in words else given)]) == 2
    said = capsys.readouterr()
    assert why in said.err + said.out
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("content", "more", "why"),
    [
        (b"\xff\xfe\1", [], "config cannot be read: 'utf-8' codec"),
        (b"hello", [], "config cannot be read: "),
        (b"a: [", [], "config cannot be read: while parsing"),
        (b"", [], "is empty"),
        (b"{clusters: []}", [], "Expected key current-context"),
        (KUBECONFIG, [], "Expected object with name gone in"),
        (KUBECONFIG, ["--context", "other"], "Expected object with name other in"),
    ],
    ids=["octets", "word", "yaml", "empty", "clusters", "cluster", "context"],
)
def test_a_kubeconfig_that_names_no_cluster_is_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, more: list[str], why: str
) -> None:
    config = tmp_path / "config"
    config.write_bytes(content)
    assert main(["explain", "web.shop", "--kubeconfig", str(config), *more]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"kdns explain: kubeconfig {config}")
    assert why in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(("broken", "code"), [("endpoints-late", 0), ("none-ready", 1)])
def test_what_is_only_worth_knowing_is_no_failure(
    capsys: pytest.CaptureFixture[str], broken: str, code: int
) -> None:
    folder = GOLDEN / broken
    words = (folder / "ask.txt").read_text().split()
    assert main(["explain", *words, "--manifests", str(folder / "cluster.yaml"), "--json"]) == code
    assert json.loads(capsys.readouterr().out)["reasons"][0]["id"] == broken


class Elsewhere(BaseHTTPRequestHandler):
    """A web server of something else."""

    status, body = 200, b"<html>hello</html>"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_port_of_something_else_is_told_to_be(
    capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        where = f"127.0.0.1:{server.server_port}"
        assert main(["explain", "web", "--status", where, *more]) == 1
        thread.join()
    said = capsys.readouterr()
    told = f"kdns explain: http://{where}: what it says is no explanation of a kdns\n"
    assert (said.out, said.err) == ("", told)


@pytest.mark.parametrize(
    ("status", "body", "code", "shown"),
    [
        (200, {"reason": "x", "text": "\x1b[31mred\x1b[0m\x1b]0;t\x07\u202e\n"}, 1,
         "\x1b[31mred\x1b[0m\\u{1b}]0;t\\u{7}\\u{202e}\n"),
        (400, "\x1b[31mno\x9b1m", 1, "kdns explain: \\u{1b}[31mno\\u{9b}1m\n"),
    ],
)  # fmt: skip
def test_a_hostile_server_says_nothing_to_the_terminal(
    capsys: pytest.CaptureFixture[str], status: int, body: object, code: int, shown: str
) -> None:
    octets = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    hostile = type("Hostile", (Elsewhere,), {"status": status, "body": octets})
    with HTTPServer(("127.0.0.1", 0), hostile) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert main(["explain", "web", "--status", f"127.0.0.1:{server.server_port}"]) == code
        thread.join()
    said = capsys.readouterr()
    assert said.out + said.err == shown


def test_a_running_server_explains_and_its_exit_code_is_the_same(
    cluster: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, status = tmp_path / "Corefile", free_port()
    file.write_text(
        COREFILE.format(port="{port}", status=status, cluster=cluster).replace(":{port}", "")
    )
    with Running(file) as kdns:
        kdns.wait()
        at = ["--status", f"127.0.0.1:{status}"]
        assert main(["explain", "web.shop", *at]) == 0
        assert capsys.readouterr().out.startswith("web.shop resolves to 10.96.0.20")
        assert main(["explain", "wep.shop", *at]) == 1
        assert capsys.readouterr().out.startswith("service wep does not exist in namespace shop")
        assert main(["explain", "web.shop", "--json", *at]) == 0
        assert json.loads(capsys.readouterr().out)["reasons"][0]["id"] == "resolves"
        assert main(["explain", "web.shop", "NOTYPE", *at]) == 2
        assert "NOTYPE" in capsys.readouterr().err
        monkeypatch.delenv("KUBECONFIG", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))  # where kubectl may know a cluster
        assert main(["explain", "web.shop", "--server", f"127.0.0.1:{kdns.port}"]) == 0
        said = capsys.readouterr().out
        assert "which plugin answered: this server is only seen from outside" in " ".join(
            said.split()
        )
        assert "10.96.0.20" in said


@pytest.mark.parametrize(
    ("broken", "lacking", "reason"),
    [
        ("none-ready", "Pod", "endpoints-empty"),
        ("no-such-service-here", "Service", "services-unknown"),
    ],
)
def test_a_dump_that_lacks_a_kind_is_to_be_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str, lacking: str, reason: str
) -> None:
    folder = GOLDEN / broken
    dumped = yaml.safe_load((folder / "cluster.yaml").read_text())
    dumped["items"] = [one for one in dumped["items"] if one["kind"] != lacking]
    part = tmp_path / "part.yaml"
    part.write_text(yaml.safe_dump(dumped))
    words = (folder / "ask.txt").read_text().split()
    assert main(["explain", *words, "--manifests", str(part), "--json"]) == 1
    first = json.loads(capsys.readouterr().out)["reasons"][0]
    assert first["id"] == reason
    assert "kubectl get svc,endpointslices,pods,ns,networkpolicies -A -o yaml" in first["next"]
    assert not any("can-i" in one for one in first["next"])


@pytest.mark.parametrize("content", ["kind: Service\n  bad: [", "{}", "\0"])
def test_files_of_which_nothing_can_be_read_are_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(content)
    assert main(["explain", "web.shop", "--manifests", str(broken)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"kdns explain: nothing there can be read: {broken}: document 1: ")


def test_what_could_not_be_read_is_named(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = "".join(f"---\n{{kind: Service, apiVersion: v1, metadata: {n}}}\n" for n in range(5))
    cluster.write_text(CLUSTER + bad)
    assert main(["explain", "web.shop", "--manifests", str(cluster)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert ": document 8: " in said
    assert "2 more objects that could not be read" in said


def test_nobody_at_the_status_port_is_said(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    assert main(["explain", "web", "--status", f"127.0.0.1:{port}"]) == 1
    assert "nobody listens there" in capsys.readouterr().err


def test_it_writes_plain_text_into_a_pipe(cluster: Path) -> None:
    command = [sys.executable, "-m", "kdns", "explain", "web.shop", "--manifests", str(cluster)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert said.returncode == 0
    assert said.stderr == ""
    assert "\033" not in said.stdout
