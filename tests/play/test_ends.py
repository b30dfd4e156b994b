"""However a lab ends, nothing of it is left: no process, socket, link, mount or folder.

Also where commands run in its pods, and have gone into sessions of their own. What is killed may
leave its folder, which the next lab sweeps.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest

from tests.play.cluster import TOP, Cluster, Way, playing
from tests.play.traces import listening, marked, processes, sockets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

POD = """
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  containers:
  - {name: main, image: busybox, command: [sleep, "MARK1"]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, ports: [{port: 80}], selector: {app: web}}
"""
LEAVERS = """
exec >/dev/null 2>&1
setsid sleep {mark}2 &
nohup sleep {mark}3 &
(sleep {mark}4 & ) &
(setsid sh -c '(trap "" TERM HUP INT; setsid sleep {mark}5 & ) &' & )
sh -c 'sleep {mark}6' &
env -i setsid sleep {mark}7 &
"""
ENDS = [
    ("namespaces", "outer", signal.SIGTERM),
    ("namespaces", "outer", signal.SIGINT),
    ("namespaces", "outer", signal.SIGKILL),
    ("namespaces", "between", signal.SIGKILL),
    ("namespaces", "first", signal.SIGKILL),
    ("namespaces", "inner", signal.SIGKILL),
    ("namespaces", "inner", signal.SIGTERM),
    ("namespaces", "server", signal.SIGKILL),
    ("loopback", "outer", signal.SIGTERM),
    ("loopback", "outer", signal.SIGKILL),
    ("loopback", "server", signal.SIGKILL),
]  # fmt: skip


@pytest.mark.parametrize(("way", "whom", "number"), ENDS, ids=lambda one: getattr(one, "name", one))
def test_nothing_is_left(way: Way, whom: str, number: signal.Signals, tmp_path: Path) -> None:
    mark = f"1000.{uuid4().int}"
    (tmp_path / "pod.yaml").write_text(POD.replace("MARK", mark))
    (tmp_path / "tmp").mkdir()
    environ = {"TMPDIR": str(tmp_path / "tmp"), "KDNS_TEST_MARK": mark}
    links = links_now()
    with playing(tmp_path, way, [tmp_path / "pod.yaml"], environ=environ) as cluster:
        attached = subprocess.Popen(
            cluster.command("client", "sleep", f"{mark}8"), cwd=TOP,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            said = cluster.run("client", "sh", "-c", LEAVERS.format(mark=mark))
            assert not said.code, said
            count = LEAVERS.count("sleep") + 2
            cluster.until(lambda: len(sleepers(mark)) == count, "all run")
            mine = sockets(set(marked(mark)))
            assert mine & set(listening())
            os.kill(processes(cluster)[whom], number)
            check_gone(cluster, mark, mine, attached)
        finally:
            attached.kill()
            attached.wait()
    assert links_now() == links
    assert "kdns-lab-" not in Path("/proc/self/mountinfo").read_text()
    left = list((tmp_path / "tmp").iterdir())
    if whom == "server" or number != signal.SIGKILL:
        assert not left
    elif left:
        sweeps(way, tmp_path, environ)
        assert not list((tmp_path / "tmp").iterdir())


def sleepers(mark: str) -> dict[int, str]:
    return {
        pid: words
        for pid, words in marked(mark).items()
        if words.split()[0].endswith("/sleep") or words.startswith("sleep ")
    }


def links_now() -> set[str]:
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    return {line.partition(":")[0].strip() for line in lines}


def check_gone(
    cluster: Cluster, mark: str, mine: set[str], attached: "subprocess.Popen[bytes]"
) -> None:
    cluster.process.wait(60)
    attached.wait(60)
    end = time.monotonic() + 40
    while (left := marked(mark)) or mine & set(listening()):
        assert time.monotonic() < end, (left, mine & set(listening()))
        time.sleep(0.02)


def sweeps(way: Way, folder: Path, environ: dict[str, str]) -> None:
    """The next lab."""
    again = folder / "again"
    again.mkdir()
    with playing(again, way, environ=environ):
        pass
