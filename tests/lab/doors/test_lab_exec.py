"""`kdns lab exec`: which pod, which lab, and what is said when there is none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kdns.cli import lab_exec
from kdns.lab.lab import Tls
from kdns.lab.resources import DEPLOYMENTS, PODS, SERVICES
from tests.certificates import Authority
from tests.lab.doors.clients import KUBECTL, OURS, Ran, run
from tests.lab.doors.standing import Place, standing

Here = Callable[[list[str]], Awaitable[Ran]]
pytestmark = pytest.mark.slow


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    folder = tmp_path / "lab"
    folder.mkdir()
    async with standing(folder) as made:
        (tmp_path / ".kdns").mkdir()
        made.lab.kubeconfig(tmp_path / ".kdns" / "kubeconfig")
        monkeypatch.chdir(tmp_path)
        yield made


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str]) -> Here:
    """Runs it in this process: a second of start-up less."""

    async def run_here(words: list[str]) -> Ran:
        capfd.readouterr()
        code = await asyncio.to_thread(lab_exec.main, words)
        shown = capfd.readouterr()
        return Ran(code, shown.out.encode(), shown.err.encode())

    return run_here


def labelled(place: Place, name: str, *, is_ready: bool = True) -> None:
    pod = place.pod(name, metadata={"labels": {"app": "web", "tier": "front"}})
    if not is_ready:
        status = {**pod["status"], "conditions": [{"type": "Ready", "status": "False"}]}
        place.lab.storage.update(PODS, "default", name, {**pod, "status": status}, part="status")


async def test_a_ready_pod_of_a_workload_or_service(place: Place, here: Here) -> None:
    labelled(place, "a-unready", is_ready=False)
    labelled(place, "b-ready")
    labelled(place, "c-ready")
    expressions = [{"key": "tier", "operator": "In", "values": ["front", "back"]}]
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": "web"}, "matchExpressions": expressions},
        "template": {"metadata": {"labels": {"app": "web", "tier": "front"}},
                     "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }  # fmt: skip
    create = place.lab.storage.create
    create(DEPLOYMENTS, "default", {"metadata": {"name": "web"}, "spec": spec})
    create(SERVICES, "default", {"metadata": {"name": "web"},
                                 "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})  # fmt: skip
    create(SERVICES, "default", {"metadata": {"name": "bare"}, "spec": {"ports": [{"port": 80}]}})
    create(SERVICES, "default", {"metadata": {"name": "idle"},
                                 "spec": {"selector": {"app": "none"}, "ports": [{"port": 80}]}})  # fmt: skip
    for pod in ("deploy/web", "svc/web", "pod/b-ready", "default/b-ready"):
        ran = await here([pod, "--", "sh", "-c", "echo $HOSTNAME"])
        assert (ran.code, ran.out) == (0, b"b-ready\n"), pod
    for pod, said in (
        ("svc/idle", b"no pod of services/idle is ready (of 0)"),
        ("svc/bare", b"services/bare has no selector"),
        ("deploy/none", b'deployments.apps "none" not found'),
    ):
        ran = await here([pod, "--", "id"])
        assert ran.code == 1
        assert said in ran.err


async def test_the_container_that_is_meant(place: Place, here: Here) -> None:
    def named(name: str) -> dict[str, Any]:
        return {"name": name, "image": "i", "env": [{"name": "WHICH", "value": name}]}

    both = [named("one"), named("two")]
    place.pod("first", containers=both)
    note = {"annotations": {"kubectl.kubernetes.io/default-container": "two"}}
    place.pod("noted", containers=both, metadata=note)
    for words, which in (
        (["first"], b"one\n"),
        (["noted"], b"two\n"),
        (["first", "-c", "two"], b"two\n"),
    ):
        ran = await here([*words, "--", "sh", "-c", "echo $WHICH"])
        assert ran.out == which
        assert (b"Defaulted container" in ran.err) is ("-c" not in words)


async def test_another_user_is_refused(place: Place, tmp_path: Path, here: Here) -> None:
    place.pod()
    place.lab.kubeconfig(tmp_path / "other", token="wrong")
    ran = await here(["--kubeconfig", str(tmp_path / "other"), "web", "--", "id"])
    assert (ran.code, ran.err) == (1, b"kdns lab exec: Unauthorized\n")


async def test_over_tls_with_the_authority_of_the_lab(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue()
    tls = Tls(str(certificate), str(key), str(authority.file))
    folder = tmp_path / "lab"
    folder.mkdir()
    async with standing(folder, tls) as place:
        place.pod()
        config = str(place.lab.kubeconfig(tmp_path / "config"))
        assert "/as/" not in Path(config).read_text()
        clients = [[*OURS, "--kubeconfig", config]]
        clients += [[KUBECTL, "--kubeconfig", config, "exec"]] if KUBECTL else []
        for words in clients:
            ran = await run([*words, "-i", "web", "--", "cat"], b"words")
            assert (ran.code, ran.out) == (0, b"words"), ran.err


async def test_a_terminal_only_where_there_is_one(place: Place, tmp_path: Path) -> None:
    place.pod()
    ran = await run([*OURS, "-it", "web", "--", "sh", "-c", "tty; cat"], b"x", PWD=str(tmp_path))
    assert ran.out == b"not a tty\nx"
    assert b"-t is left out" in ran.err


async def test_a_lab_that_does_not_run(tmp_path: Path, here: Here) -> None:
    async with standing(tmp_path) as place:
        config = place.lab.kubeconfig(tmp_path / "config")
    ran = await here(["--kubeconfig", str(config), "web", "--", "id"])
    assert (ran.code, ran.err.count(b"\n")) == (1, 1)
    assert b"does it run?" in ran.err
    ran = await here(["--kubeconfig", str(tmp_path / "none"), "web", "--", "id"])
    assert (ran.code, ran.err.count(b"\n")) == (1, 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["web"], "a command must follow"),
        (["web", "--"], "a command must follow"),
        (["--", "id"], "POD"),
        (["web", "id", "--", "id"], "unrecognized"),
        (["web", "--", "id"], "start a lab here"),
    ],
)
def test_bad_usage(
    words: list[str], said: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(SystemExit) as found:
        lab_exec.main(words)
    assert found.value.code == 2
    assert said in capsys.readouterr().err
