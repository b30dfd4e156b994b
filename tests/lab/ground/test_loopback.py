"""The ground on loopback addresses: who is seen where, what is refused, and that nothing stays."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdns.lab.ground import loopback, running
from kdns.lab.ground.base import Entry, Ground, Listener, Stand, Streams
from kdns.lab.ground.loopback import Loopback
from kdns.lab.ranges import MOST_LOOPBACKS
from kdns.lab.ranges import loopback as loopback_ranges

POD = Stand("uid-1", "default/web", ("127.244.1.5",))
OTHER = Stand("uid-2", "default/db", ("127.244.2.7",))


@pytest.fixture
def ground() -> Iterator[Loopback]:
    made = Loopback()
    made.put_up(POD)
    made.put_up(OTHER)
    yield made
    made.close()


def entry(*command: str, path: str = os.defpath) -> Entry:
    return Entry(command, {"PATH": path}, "web", {"/etc/hosts": Path("/somewhere/hosts")})


def free_port(ground: Loopback) -> int:
    with socket.socket() as one:
        one.bind((POD.addresses[0], 0))
        return one.getsockname()[1]


async def run(ground: Loopback, *command: str) -> tuple[int, str]:
    reading, writing = os.pipe()
    try:
        streams = Streams(writing, writing, writing)
        process = await ground.enter("uid-1", entry(*command), streams)
        os.close(writing)
        writing = -1
        code = await process.wait()
        return code, os.read(reading, 1 << 16).decode()
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def test_loopback_is_a_ground(ground: Loopback) -> None:
    as_ground: Ground = ground
    assert as_ground.ranges.dns == "127.96.0.10"
    assert not as_ground.has_spaces


def test_a_listener_sees_the_address_of_the_pod_that_asks(ground: Loopback) -> None:
    port = free_port(ground)
    listener = ground.listen("10.244.1.5", port, "TCP", at="uid-1")
    asker = ground.outgoing("127.244.1.5", "TCP", source="127.244.2.7")
    asker.setblocking(True)
    asker.connect(ground.target("127.244.1.5", port))
    listener.socket.setblocking(True)
    accepted, peer = listener.socket.accept()
    assert peer[0] == "127.244.2.7"
    assert listener.port == port
    accepted.close()
    asker.close()


def test_an_asker_over_udp_bears_its_address_too(ground: Loopback) -> None:
    port = free_port(ground)
    listener = ground.listen("127.244.1.5", port, "UDP", at="uid-1")
    with ground.outgoing("127.244.1.5", "UDP", source="127.244.2.7") as asker:
        asker.connect(ground.target("127.244.1.5", port))
        asker.send(b"x")
        listener.socket.setblocking(True)
        assert listener.socket.recvfrom(10)[1][0] == "127.244.2.7"


def test_who_asks_from_outside_is_let_through_as_he_is(ground: Loopback) -> None:
    with ground.outgoing("127.244.1.5", "TCP", source="192.0.2.9") as asker:
        assert asker.getsockname()[0] == "0.0.0.0"


@pytest.mark.parametrize("offset", [0, 20000])
def test_low_ports_are_shifted_where_they_cannot_be_had(ground: Loopback, offset: int) -> None:
    ground.offset = offset
    assert ground.admit("10.96.0.10", 53) == ("127.96.0.10", 53 + offset)
    assert ground.target("127.96.0.10", 53) == ("127.96.0.10", 53 + offset)
    assert ground.admit("10.96.0.10", 8080) == ("127.96.0.10", 8080)


def test_an_ordinary_user_gets_an_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: tuple[str, int]) -> None:
        raise PermissionError(13, f"Permission denied: {address}")

    monkeypatch.setattr(loopback.socket.socket, "bind", refuse)
    assert loopback.least_offset() == 20000


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", "192.0.2.1", "1.1.1.1", "127.1.1.1", "127.244.1.005", "::1",
     "::ffff:127.0.0.1", "fd00:10:96::1", "localhost", ""],
)  # fmt: skip
def test_foreign_addresses_are_refused(ground: Loopback, address: str) -> None:
    for attempt in (
        lambda: ground.target(address, 8080),
        lambda: ground.listen(address, 0, "TCP"),
        lambda: ground.outgoing(address, "TCP"),
        lambda: ground.admit(address, 8080),
    ):
        with pytest.raises(OSError, match=r"no address of this lab|no IPv6"):
            attempt()


def test_services_of_this_machine_are_not_found_behind_addresses_of_the_lab(
    ground: Loopback,
) -> None:
    with socket.socket() as elsewhere:
        elsewhere.bind(("0.0.0.0", 0))
        elsewhere.listen()
        port = elsewhere.getsockname()[1]
        with pytest.raises(ConnectionRefusedError, match=r"nothing of the lab listens"):
            ground.target("127.244.1.5", port)


def test_a_closed_listener_is_no_target_any_more(ground: Loopback) -> None:
    listener = ground.listen("127.244.1.5", free_port(ground), "TCP")
    assert ground.target("127.244.1.5", listener.port)
    ground.listeners.close(listener)
    with pytest.raises(ConnectionRefusedError):
        ground.target("127.244.1.5", listener.port)


def test_a_listener_that_its_user_has_closed_already(ground: Loopback) -> None:
    listener = ground.listen(POD.addresses[0], free_port(ground), "TCP", at=POD.uid)
    listener.socket.close()
    ground.listeners.close(listener)
    assert listener not in ground.listeners.open


def test_taking_down_ends_what_listens_and_what_is_connected(ground: Loopback) -> None:
    port = free_port(ground)
    listener = ground.listen("127.244.2.7", port, "TCP", at="uid-2")
    asker = ground.outgoing("127.244.2.7", "TCP", source="127.244.1.5")
    asker.setblocking(True)
    asker.connect(ground.target("127.244.2.7", port))
    ground.take_down("uid-1")
    assert asker.recv(1) == b""
    asker.close()
    assert ground.stand_of("127.244.1.5") is None
    ground.take_down("uid-2")
    assert listener not in ground.listeners.open
    ground.take_down("nobody")


def test_pods_of_one_address_do_not_take_each_other_down(ground: Loopback) -> None:
    ground.put_up(Stand("uid-3", "default/twin", POD.addresses))
    ground.take_down("uid-3")
    assert ground.stand_of("127.244.1.5") == POD


def test_the_address_of_a_node_is_no_pods(ground: Loopback) -> None:
    ground.put_up(Stand("uid-4", "kube-system/agent", ("127.18.0.11",), is_on_host=True))
    assert ground.stand_of("127.18.0.11") is None


async def test_a_command_is_told_its_pod(ground: Loopback) -> None:
    code, said = await run(ground, "env")
    told = dict(line.split("=", 1) for line in said.splitlines())
    assert code == 0
    assert json.loads(told[running.FILES]) == {"/etc/hosts": "/somewhere/hosts"}
    assert told[running.ADDRESS] == "127.244.1.5"
    assert told[running.OFFSET] == str(ground.offset)
    assert "HOME" not in told


async def test_a_command_leads_a_session(ground: Loopback) -> None:
    code, said = await run(
        ground, sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid(), os.getcwd())"
    )
    assert (code, said) == (0, "True /\n")


async def test_what_a_command_writes_lands_in_the_folder_of_its_pod(
    ground: Loopback, tmp_path: Path
) -> None:
    files = {"/tmp": tmp_path}
    command = Entry(("sh", "-c", "echo x >made"), {"PATH": os.defpath}, "web", files)
    process = await ground.enter("uid-1", command, Streams(0, 1, 2))
    assert await process.wait() == 0
    assert (tmp_path / "made").read_text() == "x\n"


async def test_a_terminal_becomes_the_commands_own(ground: Loopback) -> None:
    master, slave = os.openpty()
    try:
        streams = Streams(slave, slave, slave, is_terminal=True)
        look = entry(sys.executable, "-c", "import os; print(os.ttyname(os.open('/dev/tty', 0)))")
        process = await ground.enter("uid-1", look, streams)
        assert await process.wait() == 0
        assert os.read(master, 100) == b"/dev/tty\r\n"
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("foo", r'exec: "foo": executable file not found in \$PATH'),
        ("/no/foo", 'exec: "/no/foo": stat /no/foo: no such file or directory'),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied'),
    ],
)
async def test_commands_that_are_not_there(ground: Loopback, command: str, said: str) -> None:
    with pytest.raises(OSError, match=said):
        await run(ground, command)


async def test_a_pod_without_a_place_has_no_door(ground: Loopback) -> None:
    with pytest.raises(LookupError):
        await ground.enter("nobody", entry("env"), Streams(0, 1, 2))


_DAEMON = (
    "import os, subprocess, sys; child = subprocess.Popen(['sleep', '100'], "
    "start_new_session=True, stdout=subprocess.DEVNULL); "
    "print(os.getpid(), child.pid, flush=True); child.wait()"
)


async def test_all_that_a_pod_runs_ends_with_it(ground: Loopback) -> None:
    reading, writing = os.pipe()
    process = await ground.enter(
        "uid-1", entry(sys.executable, "-c", _DAEMON), Streams(writing, writing, writing)
    )
    os.close(writing)
    pids = [int(one) for one in os.read(reading, 100).split()]
    os.close(reading)
    ground.take_down("uid-1")
    assert await process.wait() == -signal.SIGKILL
    await asyncio.to_thread(gone, pids)


def gone(pids: list[int]) -> None:
    """Waits until they are."""
    end = time.monotonic() + 30
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < end, pids
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status != "Z"


_LAB = f"""
import asyncio, os, sys
from kdns.lab.ground.base import Entry, Stand, Streams
from kdns.lab.ground.loopback import Loopback

async def main():
    ground = Loopback()
    ground.put_up(Stand("uid-1", "default/web", ("127.244.1.5",)))
    command = (sys.executable, "-c", {_DAEMON!r})
    await ground.enter("uid-1", Entry(command, {{"PATH": os.defpath}}, "web", {{}}), Streams(0, 1, 2))
    await asyncio.sleep(100)

asyncio.run(main())
"""


def test_a_killed_lab_leaves_nothing_running() -> None:
    lab = subprocess.Popen([sys.executable, "-c", _LAB], stdout=subprocess.PIPE)
    try:
        assert lab.stdout
        pids = [int(one) for one in lab.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_running, pids))
        helpers = [
            int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and parent(pid) == lab.pid
        ]
        assert set(helpers) - set(pids), "the warden"
    finally:
        lab.kill()
        lab.wait()
        lab.stdout.close()
    gone([*pids, *helpers])


def test_labs_stand_beside_each_other() -> None:
    grounds = [Loopback.first_free() for _ in range(2)]
    first, second = (ground.ranges for ground in grounds)
    networks = [
        network
        for ranges in map(loopback_ranges, range(MOST_LOOPBACKS))
        for network in (ranges.services, ranges.pods, ranges.nodes, ranges.outside)
    ]
    for at, network in enumerate(networks):
        assert network.is_loopback
        assert int(network[0]) >> 16 != 0x7F00, "the machine's own"
        assert not any(network.overlaps(other) for other in networks[at + 1 :])
    assert first.number != second.number
    grounds[0].close()
    again = Loopback.first_free()
    assert again.ranges.number <= first.number
    again.close()
    grounds[1].close()


def test_a_lab_more_than_there_are_ranges_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "MOST_LOOPBACKS", 0)
    with pytest.raises(OSError, match="end one"):
        Loopback.first_free()


def test_nobody_connects_before_filters_are_put_on(ground: Loopback) -> None:
    seen = []

    def look(listener: Listener) -> None:
        seen.append(listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    ground.listeners.told.append(look)
    opened = ground.listen("127.244.1.5", free_port(ground), "TCP")
    assert seen == [0]
    assert opened.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def test_a_listener_that_cannot_be_opened_is_not_left_behind(ground: Loopback) -> None:
    first = ground.listen("127.244.1.5", free_port(ground), "TCP")
    with pytest.raises(OSError, match="in use"):
        ground.listen("127.244.1.5", first.port, "TCP")
    assert ground.listeners.open == {first}


def parent(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
