"""`kdns conformance` as it is typed: words, reports, exit codes, and manifests both ways."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kdns.cli import conformance
from kdns.conformance import manifests
from tests.running import free_port
from tests.suite import right


async def typed(*words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a run in a process of its own."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kdns", "conformance", *words,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, errors = await running.communicate()
    assert running.returncode is not None
    return running.returncode, out.decode(), errors.decode()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--server IP[:PORT] says whom to test"),
        (["--server", "127.0.0.1:0"], "'0' is no port"),
        (["--server", "[::1]:99999"], "'99999' is no port"),
        (["--server", "no such host"], "neither an address nor a known host"),
        (["--only", "k8s-service-aa"], "no clause is called 'k8s-service-aa'; is k8s-service-a"),
        (["--skip", "zzzz"], "no clause is called 'zzzz'; --list shows all"),
        (["--server", "127.0.0.1", "--zone", "a..b"], "a..b"),
        (["--server", "127.0.0.1", "--manifests", "/nowhere/x.yaml"], "No such file or directory"),
        (["--server", "127.0.0.1", "--kubeconfig", "/nowhere/x"], "No such file or directory"),
        (["--server", "x", "--kubeconfig", "x", "--manifests", "x"], "exclude each other"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert conformance.main(words) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.startswith("kdns conformance: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("content", ["a: [", "just text", "kind: Service\nmetadata: {name: x}\n"])
def test_files_that_are_no_objects_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(content)
    assert conformance.main(["--server", "127.0.0.1", "--manifests", str(file)]) == 2
    assert capsys.readouterr().err.startswith("kdns conformance: ")


def test_a_closed_port_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert conformance.main(["--server", f"127.0.0.1:{free_port()}"]) == 1
    assert capsys.readouterr().err.endswith(" does not answer: connection refused\n")


def test_the_manifests_read_back_as_they_were_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert conformance.main(["--print-manifests", "--zone", "example.org"]) == 0
    text = capsys.readouterr().out
    assert "&id" not in text
    (tmp_path / "wanted.yaml").write_text(text)
    objects = manifests.load([tmp_path])
    assert {"web", "head", "many", "outside"} <= {one.name for one in objects.services}
    head = objects.named("head")
    assert head
    assert len(head.endpoints) == 10
    assert len(head.ready()) == 9
    alias = objects.named("alias")
    assert alias
    assert alias.external_name == "web.kdns-conformance.svc.example.org."


async def test_a_server_of_files_is_tested_and_reported(tmp_path: Path) -> None:
    async with right.of_files(tmp_path) as (serving, _):
        words = (
            "--server", f"127.0.0.1:{serving.port()}", "--manifests", str(tmp_path / "wanted.yaml"),
            "--only", "k8s-*",
        )  # fmt: skip
        text = await typed(*words)
        page = await typed(*words, "--report", "json", "--output", str(tmp_path / "report.json"))
        some = await typed(*words, "--skip", "k8s-search-*", "--report", "junit")
    assert text[0] == 0, text
    assert "✓ k8s-headless-srv" in text[1]
    assert "the ClusterIPs of 4 services are not in the manifests: they were asked for" in text[1]
    assert "the suite may not create objects" in text[1]
    assert page == (0, "", "")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"]
    assert some[0] == 0
    assert "k8s-search" not in some[1]


async def test_a_server_that_breaks_a_must_is_one_that_failed(tmp_path: Path) -> None:
    async with right.of_files(tmp_path) as (serving, _):
        server = f"127.0.0.1:{serving.port()}"
        failed = await typed("--server", server, "--only", "k8s-kubernetes-default")
        passed = await typed("--server", server, "--skip", "k8s-kubernetes-default", "rfc*")
    assert failed[0] == 1
    assert "rule:     Kubernetes e2e" in failed[1]
    assert passed[0] == 0, passed[1]
