"""`kdns lab`: what it prints, how it ends, and that nothing outlives it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdns.cli.main import main

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
"""
PRINTS = "import os; print('config', os.environ['KUBECONFIG'], os.environ['KDNS_LAB_KUBECONFIG'])"
LASTS = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)"


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kdns", "lab", "--port", "0", "--kubeconfig-out"]
    return subprocess.Popen(
        [*command, str(folder / "made" / "kubeconfig"), *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509 - for nohup
    )  # fmt: skip


def line_with(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout
    for line in process.stdout:
        if word in line:
            return line
    raise AssertionError(f"{word!r} was not printed")


def is_running(pid: int) -> bool:
    """False for one that has ended, also when nobody has asked for its exit code yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_command_runs_with_the_kubeconfig_and_gives_the_exit_code(tmp_path: Path) -> None:
    process = start(tmp_path, "--", sys.executable, "-c", PRINTS + "; raise SystemExit(7)")
    said = process.communicate(timeout=60)[0]
    path = str(tmp_path / "made" / "kubeconfig")
    assert f"config {path} {path}" in said
    assert process.returncode == 7
    assert os.stat(path).st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_lab_and_command(tmp_path: Path, number: int) -> None:
    process = start(tmp_path, "--", sys.executable, "-c", LASTS)
    pid = int(line_with(process, "pid ").split()[1])
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert not is_running(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells children")
def test_a_killed_lab_takes_its_command_along(tmp_path: Path) -> None:
    process = start(tmp_path, "--", sys.executable, "-c", LASTS)
    pid = int(line_with(process, "pid ").split()[1])
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()
    until = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not is_running(pid)


def test_objects_outlive_the_lab_where_data_is_kept(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(SERVICE)
    shows = (
        "import os, json, urllib.request as u, yaml; "
        "c = yaml.safe_load(open(os.environ['KUBECONFIG'])); "
        "r = u.Request(c['clusters'][0]['cluster']['server'] + '/api/v1/services', "
        "headers={'Authorization': 'Bearer ' + c['users'][0]['user']['token']}); "
        "print([one['metadata']['name'] for one in json.load(u.urlopen(r))['items']])"
    )
    ends = ("--data", str(tmp_path / "data"), "--", sys.executable, "-c", shows)
    first = start(tmp_path, "--manifests", "web.yaml", *ends).communicate(timeout=60)[0]
    second = start(tmp_path, *ends).communicate(timeout=60)[0]
    assert "'web'" in first
    assert "'web'" in second


def test_a_taken_port_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code = main(["lab", "--port", str(port), "--kubeconfig-out", str(tmp_path / "k")])
    assert code == 3
    said = capfd.readouterr()
    [line] = (said.out + said.err).splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "does another lab run?" in line
    assert "--port 0" in line


def test_wrong_manifests_are_two(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "web.yaml").write_text(SERVICE.replace("80", "0"))
    words = ["--port", "0", "--kubeconfig-out", str(tmp_path / "k")]
    assert main(["lab", *words, "--manifests", str(tmp_path / "web.yaml")]) == 2
    said = capfd.readouterr()
    assert "spec.ports[0].port" in said.out + said.err


def test_a_command_that_is_not_there_is_three(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--port", "0", "--kubeconfig-out", str(tmp_path / "k"), "--", "no-such-program"]
    assert main(["lab", *words]) == 3
    said = capfd.readouterr()
    assert "no-such-program: No such file" in said.out + said.err


def test_a_dns_server_that_cannot_start_ends_the_lab(tmp_path: Path) -> None:
    (tmp_path / "Corefile").write_text(".:53 {\n nonsense\n}\n")
    process = start(tmp_path, "--serve", "Corefile")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert "nonsense" in said
    assert "the DNS server ended (exit code 2)" in said


@pytest.mark.parametrize(
    "words",
    [["--port", "x"], ["--port", "65536"], ["--dns-port", "-1"], ["--play", "moon"], ["left"]],
)
def test_bad_usage_is_two(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["lab", *words])
    assert ended.value.code == 2


def test_a_dns_server_that_is_killed_ends_the_lab_as_a_shell_says_it(tmp_path: Path) -> None:
    process = start(tmp_path, "--dns", "sh -c 'kill -9 $$'")
    said = process.communicate(timeout=60)[0]
    assert "the DNS server ended (signal 9: Killed)" in said
    assert process.returncode == 137
