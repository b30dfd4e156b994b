"""The lab's namespaces: what ends them, what is left, what of the machine they can have."""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.lab.ground.within import USERS, all_gone, interpreter, options, seen, start, tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")


@pytest.fixture(scope="module", params=USERS)
def user(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ready(process: "subprocess.Popen[str]") -> dict[str, list[int]]:
    assert process.stdout
    told: dict[str, list[int]] = json.loads(process.stdout.readline())
    return told


def finish(process: "subprocess.Popen[str]") -> None:
    """Ends a scene whatever has become of it."""
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def test_the_exit_code_of_inside_is_that_of_outside(user: str) -> None:
    process = start("fail", user)
    assert process.wait(timeout=40) == 7
    finish(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_ends_it_in_order(user: str, number: signal.Signals) -> None:
    process = start("hold", user)
    ready(process)
    pids = tree(process.pid)
    process.send_signal(number)
    assert process.wait(timeout=40) == 40 + number
    assert all_gone(pids)
    finish(process)


@pytest.mark.parametrize("victim", range(5), ids=["outer", "between", "first", "lab", "pod"])
def test_killing_any_process_leaves_nothing(user: str, victim: int) -> None:
    process = start("hold", user)
    ready(process)
    pids = tree(process.pid)
    assert len(pids) == 5
    os.kill(pids[victim], signal.SIGKILL)
    if victim == 4:
        assert process.poll() is None, "what runs in a pod may be killed"
        process.terminate()
        assert process.wait(timeout=40) == 40 + signal.SIGTERM
    elif victim:
        assert process.wait(timeout=40) == 128 + signal.SIGKILL
    else:
        process.wait(timeout=40)
    assert all_gone(pids)
    finish(process)


def test_control_c_in_a_terminal_ends_it_in_order(user: str) -> None:
    master, slave = pty.openpty()
    process = start("hold", user, stdin=slave, start_new_session=True, preexec_fn=_take_terminal)
    os.close(slave)
    ready(process)
    pids = tree(process.pid)
    os.write(master, b"\x03")
    assert process.wait(timeout=40) == 40 + signal.SIGINT
    assert all_gone(pids)
    os.close(master)
    finish(process)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_only_loopback_addresses_that_are_free_are_handed_in(user: str) -> None:
    process = start("hold", user)
    assert ready(process)["refusals"] == ["EPERM", "EADDRINUSE"]
    process.terminate()
    process.wait(timeout=40)
    finish(process)


def test_nothing_listens_on_the_machine_but_what_was_handed_in(user: str) -> None:
    process = start("hold", user)
    tcp, udp = ready(process)["ports"]
    held = {inode for pid in tree(process.pid) for inode in inodes(pid)}
    ours = {(kind, port) for kind, port, inode in bound() if inode in held}
    assert ours == {("tcp", tcp), ("udp", udp)}
    process.terminate()
    process.wait(timeout=40)
    finish(process)


def inodes(pid: int) -> set[str]:
    """The sockets that a process has open."""
    folder = Path("/proc", str(pid), "fd")
    found = set()
    for one in folder.iterdir():
        try:
            found |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(one)))
        except OSError:
            continue
    return found


def bound() -> list[tuple[str, int, str]]:
    """All sockets of the machine that have a port and no peer."""
    rows = []
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        path = Path("/proc/net", kind)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            words = line.split()
            if words[2].endswith(":0000"):
                rows.append((kind, int(words[1].rpartition(":")[2], 16), words[9]))
    return rows


def test_a_connection_from_outside_reaches_a_pod(user: str) -> None:
    process = start("hold", user)
    tcp, _ = ready(process)["ports"]
    with socket.create_connection(("127.0.0.1", tcp), timeout=20) as made:
        assert made.recv(100) == b"172.18.0.1", "from the lab, as through a node port"
    process.terminate()
    assert process.wait(timeout=40) == 40 + signal.SIGTERM
    finish(process)


def test_dig_asks_the_server_inside(user: str) -> None:
    dig = shutil.which("dig")
    if not dig:
        pytest.skip("dig is not installed")
    process = start("hold", user)
    _, udp = ready(process)["ports"]
    words = [dig, "-p", str(udp), "@127.0.0.1", "mysql.default.svc.cluster.local", "+short"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=40, check=False)
    process.terminate()
    process.wait(timeout=40)
    finish(process)
    assert said.stdout == "10.244.2.5\n", said.stdout + said.stderr


def test_links_routes_and_rules_say_what_was_refused(user: str) -> None:
    told = seen("wires", user)
    assert told["no link"] == ["ENODEV", "link del 4000"]
    assert told["no device"] == ["ENODEV", "route add 10.1.0.0/16 dev 4000"]
    assert told["no rule"] == ["ENOENT", "rule del priority 77 blackhole"]
    assert told["twice"] == ["EEXIST", "link add lo type veth peer x"]


def test_a_pod_can_be_kept_from_the_dns_server(user: str) -> None:
    told = seen("wires", user)
    assert told["before"] == [True, True]
    assert told["with"] == [False, True]
    assert told["after"] == [True, True]
    assert told["rule of a pod that is gone"] == "ENOENT"


def test_without_namespaces_it_says_why() -> None:
    """In a user namespace that may have none below it."""
    words = (
        "import os\n"
        "from kdns.lab.ground import enter\n"
        "user, group = os.geteuid(), os.getegid()\n"
        "enter.kernel.unshare(enter.kernel.NEWUSER)\n"
        "open('/proc/self/setgroups', 'w').write('deny')\n"
        "open('/proc/self/uid_map', 'w').write(f'0 {user} 1')\n"
        "open('/proc/self/gid_map', 'w').write(f'0 {group} 1')\n"
        "open('/proc/sys/user/max_user_namespaces', 'w').write('0')\n"
        "print(enter.can_enter())\n"
        "open('/proc/sys/user/max_user_namespaces', 'w').write('10')\n"
        "enter.inner.prepare = lambda: enter.inner.kernel.mount('none', '/nowhere', 'x', 0)\n"
        "print(enter.can_enter())\n"
    )
    said = subprocess.run(
        [interpreter("self"), "-c", words],
        **options("self"),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert said.stdout.splitlines() == [
        "this kernel allows no user namespaces (user.max_user_namespaces is 0)",
        "this kernel does not give us namespaces (mount /nowhere: No such file or directory)",
    ], said.stderr
