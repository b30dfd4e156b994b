"""What is played in namespaces, as programs: `python -m tests.lab.ground.scenes NAME` says as JSON
what it saw. Python's own modules only: an ordinary user may have no other interpreter."""

import asyncio
import contextlib
import errno
import json
import os
import pty
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from kdns.lab.ground import kernel, netlink, relay
from kdns.lab.ground.base import Entry, Stand, Streams
from kdns.lab.ground.enter import inside
from kdns.lab.ground.inner import has_v6
from kdns.lab.ground.netlink import Netlink, Rule
from kdns.lab.ground.outside import Outside
from kdns.lab.ground.spaces import Spaces

WEB, DB = "10.244.1.5", "10.244.2.5"
WEB6, DB6 = "fd00:10:244:1::5", "fd00:10:244:2::5"
DNS = "10.96.0.10"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
ASK = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.settimeout(20)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    print(s.recv(100).decode())
except OSError as error:
    print(type(error).__name__)
"""
BREAK_OUT = """
import ctypes, os, socket, struct, sys
address = socket.inet_aton
def packet(source):
    udp = struct.pack("!HHHH", 9, 999, 8, 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 17, 0)
    return head + address(source) + address("10.96.0.10") + udp
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for source in sys.argv[2:]:
    raw.sendto(packet(source), ("10.96.0.10", 0))
libc = ctypes.CDLL(None)
try:
    print("in", libc.setns(os.open(f"/proc/{sys.argv[1]}/ns/net", os.O_RDONLY), 0x40000000))
except OSError as error:
    print("in", type(error).__name__)
print("mounts", libc.mount(b"none", b"/mnt", b"tmpfs", 0, None))
"""


class Place:
    """Two pods, the files of one, and commands in it."""

    def __init__(self) -> None:
        self.ground = Spaces()
        more = has_v6()
        self.ground.put_up(Stand("web", "default/web", (WEB, WEB6) if more else (WEB,)))
        self.ground.put_up(Stand("db", "default/db", (DB, DB6) if more else (DB,)))
        self.ground.put_up(Stand("host", "default/host", ("172.18.0.3",), is_on_host=True))
        self.folder = Path(tempfile.mkdtemp())
        self.files = {
            "/etc/resolv.conf": self._file("resolv", f"nameserver {DNS}\nsearch a.test b.test\n"),
            "/etc/hosts": self._file("hosts", f"127.0.0.1 localhost\n{WEB} web\n"),
            "/etc/hostname": self._file("name", "web\n"),
            "/tmp": self._folder("tmp"),
            "/root": self._folder("home"),
            ACCOUNT: self._folder("account"),
        }
        (self.folder / "account" / "token").write_text("a token")
        tool = self._folder("tools") / "a-tool"
        tool.write_text("#!/bin/sh\necho a tool\n")
        tool.chmod(0o755)

    def _file(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name

    def _folder(self, name: str) -> Path:
        (self.folder / name).mkdir()
        return self.folder / name

    def entry(self, *command: str) -> Entry:
        path = f"{os.environ['PATH']}:{self.folder}/tools:/tmp/nowhere"
        return Entry(command, {"PATH": path, "A": "1"}, "web", self.files)

    async def run(self, *command: str, uid: str = "web") -> tuple[int, str, str]:
        """Exit code, what it wrote, and its complaints."""
        nothing = os.open(os.devnull, os.O_RDONLY)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            streams = Streams(nothing, out.fileno(), err.fileno())
            process = await self.ground.enter(uid, self.entry(*command), streams)
            os.close(nothing)
            async with asyncio.timeout(40):
                code = await process.wait()
            out.seek(0)
            err.seek(0)
            return code, out.read().decode(), err.read().decode()

    async def ask(self, address: str, port: int, uid: str = "web") -> str:
        """What a program in a pod hears from a listener."""
        python = (sys.executable, "-I", "-S", "-c", ASK, address, str(port))
        return (await self.run(*python, uid=uid))[1].strip()

    async def serve(self, address: str, port: int, at: str = "") -> None:
        """Says to each who it is."""

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(writer.get_extra_info("peername")[0].encode())
            writer.close()

        listener = self.ground.listen(address, port, "TCP", at=at)
        await asyncio.start_server(answer, sock=listener.socket)


def answer_dns(made: socket.socket) -> None:
    """Every name has one IPv4 address, DB's, and no other records."""
    packet, client = made.recvfrom(4096)
    end = packet.index(0, 12) + 5
    is_a = packet[end - 4 : end - 2] == b"\0\1"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4" + socket.inet_aton(DB) if is_a else b""
    counts = b"\0\1" + (b"\0\1" if is_a else b"\0\0") + bytes(4)
    made.sendto(packet[:2] + b"\x84\0" + counts + packet[12:end] + record, client)


def serve_dns(place: Place) -> None:
    made = place.ground.listen(DNS, 53, "UDP").socket
    asyncio.get_running_loop().add_reader(made.fileno(), answer_dns, made)


# Scenes that end by themselves


async def views(outside: Outside) -> dict[str, Any]:
    """What a command finds in a pod."""
    place = Place()
    serve_dns(place)
    words = {
        "resolv": "cat /etc/resolv.conf",
        "hosts": "getent hosts web",
        "dns": "getent ahostsv4 mysql",
        "nsswitch": "grep ^hosts: /etc/nsswitch.conf",
        "hostname": "hostname; cat /etc/hostname",
        "run": "ls -A /run; ls -A /var/run",
        "account": f"cat {ACCOUNT}/token",
        "tmp": "echo mine > /tmp/x",
        "release": "cat /etc/os-release; cat /etc/passwd",
        "missing": 'for one in /etc/*; do [ -e "$one" ] || echo "$one"; done',
        "environ": "env",
        "links": "cat /proc/net/dev",
        "session": "cut -d' ' -f 1,5,6 /proc/self/stat; grep SigBlk /proc/self/status; pwd; umask",
        "forward": "cat /proc/sys/net/ipv4/ip_forward",
        "tool": "a-tool; ls /tmp",
        "root": "cd /root && echo mine > history && cat history",
    }
    seen: dict[str, Any] = {"pid": os.getpid()}
    done = await asyncio.gather(*(place.run("sh", "-c", one) for one in words.values()))
    seen |= dict(zip(words, (one[1] + one[2] for one in done), strict=True))
    seen["tmp"] = (place.folder / "tmp" / "x").read_text()
    for name in ("foo", "/nope", "/etc/passwd"):
        seen[name] = await place.run(name)
    seen["host"] = await place.run("sh", "-c", "hostname; cat /etc/resolv.conf", uid="host")
    seen["home"] = Path("/etc/resolv.conf").exists() and Path("/etc/resolv.conf").read_text()
    try:
        await place.run("true", uid="nobody's")
    except LookupError as error:
        seen["unknown"] = str(error)
    return seen


async def break_out(outside: Outside) -> dict[str, Any]:
    """A command that would have another pod's address, and be where the lab is."""
    place = Place()
    listener = place.ground.listen(DNS, 999, "UDP").socket
    python = (sys.executable, "-I", "-S", "-c", BREAK_OUT, str(os.getpid()))
    code, said, why = await place.run(*python, DB, "172.18.0.3", WEB)
    sources = []
    async with asyncio.timeout(40):
        while WEB not in sources:
            with contextlib.suppress(BlockingIOError):
                sources.append(listener.recvfrom(1)[1][0])
            await asyncio.sleep(0.01)
    return {"code": code, "said": said.splitlines(), "why": why, "sources": sources}


async def odd(outside: Outside) -> dict[str, Any]:
    """A machine whose /etc is not as most are: it has no nsswitch.conf, and links that lead out."""
    python = os.path.realpath(sys.executable)
    kernel.mount("tmpfs", "/etc", "tmpfs", 0)
    etc = Path("/etc")
    (etc / "resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (etc / "hosts").symlink_to("/nowhere/hosts")
    (etc / "zero").symlink_to("../dev/zero")
    (etc / "plain").write_text("plain")
    (etc / "folder" / "deep").mkdir(parents=True)
    (etc / "folder" / "deep" / "out").symlink_to("../../../dev/zero")
    (etc / "folder" / "deep" / "near").symlink_to("../../plain")
    (etc / "closed").mkdir(mode=0)
    (etc / "secret").write_text("")
    (etc / "secret").chmod(0)
    place = Place()
    serve_dns(place)
    words = {
        "resolv": "cat /etc/resolv.conf",
        "hosts": "getent hosts web",
        "dns": "getent ahostsv4 mysql",
        "nsswitch": "cat /etc/nsswitch.conf",
        "plain": "cat /etc/plain /etc/folder/deep/near",
        "out": "readlink -f /etc/zero; readlink -f /etc/folder/deep/out",
        "entries": "ls /etc",
        "hostname": "cat /etc/hostname",
    }
    done = await asyncio.gather(*(place.run("sh", "-c", one) for one in words.values()))
    seen = dict(zip(words, (one[1] + one[2] for one in done), strict=True))
    seen["python"] = (await place.run(python, "-I", "-S", "-c", "print(1)"))[1]
    return seen


async def terminals(outside: Outside) -> dict[str, Any]:
    """A command whose controlling terminal is ours."""
    place = Place()
    master, slave = pty.openpty()
    words = "tty; [ -t 0 ] && echo yes; stty -echo 2>/dev/null; echo ready; exec sleep 60"
    entry = place.entry("sh", "-c", words)
    process = await place.ground.enter("web", entry, Streams(slave, slave, slave, True))
    os.close(slave)
    said = ""
    while "ready" not in said:
        said += (await asyncio.to_thread(os.read, master, 1000)).decode()
    os.write(master, b"\x03")
    async with asyncio.timeout(40):
        return {"said": said, "code": await process.wait()}


async def connections(outside: Outside) -> dict[str, Any]:
    """Who hears whom, from which address."""
    place = Place()
    await place.serve(DB, 80, "db")
    await place.serve(DNS, 80)
    await place.serve("172.18.0.3", 80, "host")
    seen: dict[str, Any] = {"v6": has_v6()}
    if has_v6():
        await place.serve(DB6, 80, "db")
        await place.serve("fd00:10:96::a", 80)
        seen["pod6"] = await place.ask(DB6, 80)
        seen["service6"] = await place.ask("fd00:10:96::a", 80)
    seen["pod"] = await place.ask(DB, 80)
    seen["service"] = await place.ask(DNS, 80)
    seen["node"] = await place.ask("172.18.0.3", 80)
    seen["own localhost"] = await place.ask("127.0.0.1", 80, uid="db")
    seen["other's localhost"] = await place.ask("127.0.0.1", 80, uid="web")
    seen["itself"] = await place.ask(DB, 80, uid="db")
    seen["closed"] = await place.ask(DNS, 81)
    loop = asyncio.get_running_loop()
    for source in (WEB, DB, "172.18.0.7", ""):
        made = place.ground.outgoing(DB, "TCP", source=source)
        await loop.sock_connect(made, place.ground.target(DB, 80))
        seen[f"from {source}"] = (await loop.sock_recv(made, 100)).decode()
        made.close()
    stand = place.ground.stand_of(WEB)
    seen["stand"] = [stand and stand.uid, place.ground.stand_of("10.244.9.9")]
    told = []
    place.ground.listeners.told.append(lambda one: told.append(one.at))
    twice = place.ground.listen(WEB, 90, "TCP", at="web")
    try:
        place.ground.listen(WEB, 90, "TCP", at="web")
    except OSError as error:
        seen["twice"] = errno.errorcode[error.errno or 0]
    seen["told"], seen["listeners"] = told, len(place.ground.listeners.open)
    place.ground.take_down("web")
    seen["closed with its pod"] = twice.socket.fileno()
    return seen


async def endings(outside: Outside) -> dict[str, Any]:
    """What is left of pods that were taken down."""
    ground = Spaces()
    nothing = os.open(os.devnull, os.O_RDWR)
    before = sorted(os.listdir("/proc/self/fd"))
    place = Place()
    ground, seen = place.ground, {}
    words = "setsid sleep 1000 & sleep 1000 & exec sleep 1000"
    entry = place.entry("sh", "-c", words)
    for uid in ("host", "web"):
        process = await ground.enter(uid, entry, Streams(*[nothing] * 3))
        while sum("sleep" in one for one in commands()) < 3:
            await asyncio.sleep(0.005)
        if uid == "host":
            ground.take_down(uid)
            seen["host"] = await asyncio.wait_for(process.wait(), 40)
            while any("sleep" in one for one in commands()):
                await asyncio.sleep(0.005)
    early = await ground.enter("db", entry, Streams(*[nothing] * 3))
    ground.take_down("db")
    seen["early"] = await asyncio.wait_for(early.wait(), 40)
    ground.put_up(Stand("db", "default/db", (DB,)))
    ground.listen(WEB, 80, "TCP", at="web")
    loop = asyncio.get_running_loop()
    await place.serve(DNS, 80)
    made = ground.outgoing(DNS, "TCP", source=WEB)
    await loop.sock_connect(made, (DNS, 80))
    await loop.sock_recv(made, 100)
    ground.take_down("web")
    ground.take_down("web")
    async with asyncio.timeout(40):
        seen["code"] = await process.wait()
        seen["read"] = (await loop.sock_recv(made, 100)).decode()
        while any("sleep" in one for one in commands()):
            await asyncio.sleep(0.005)
    made.close()
    seen["kill 1"] = await place.run("sh", "-c", "kill 1", uid="db")
    orphan = await asyncio.create_subprocess_exec("sh", "-c", "sh -c 'exec true' & exit 5")
    seen["own child"] = await orphan.wait()
    ground.put_up(Stand("web", "default/web", (WEB,)))  # the same address, at once
    await place.serve(WEB, 80, "web")
    seen["again"] = await place.ask(WEB, 80, uid="db")
    for number in range(50):
        ground.put_up(Stand(f"u{number}", "x", (f"10.244.3.{number + 1}",)))
    for listener in list(ground.listeners.open):
        ground.listeners.close(listener)
    ground.close()
    del place
    seen["links"] = links_left()
    seen["zombies"] = [one for one in commands() if one == "Z"]
    extra = set(os.listdir("/proc/self/fd")) - set(before)
    seen["descriptors"] = [target for one in extra if (target := linked(one)).startswith("net:")]
    return seen


async def four(outside: Outside) -> dict[str, Any]:
    """A kernel without IPv6, as far as we can tell."""
    with contextlib.suppress(FileNotFoundError):
        Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    place = Place()
    place.ground.put_up(Stand("both", "default/both", ("10.244.3.5", WEB6)))
    await place.serve("10.244.3.5", 80, "both")
    return {"heard": await place.ask("10.244.3.5", 80)}


def linked(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""


def commands() -> list[str]:
    """The names of all processes; Z for one that is dead."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            text = Path("/proc", name, "stat").read_text()
            is_dead = text.rpartition(")")[2].split()[0] == "Z"
            found.append("Z" if is_dead else text[text.index("(") :])
    return found


def links_left() -> list[str]:
    end = time.monotonic() + 40
    while True:
        left = [one for one in os.listdir("/proc/sys/net/ipv4/conf") if one.startswith("pod")]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.01)


async def wires(outside: Outside) -> dict[str, Any]:
    """What the kernel refuses, and what rules drop."""
    place = Place()
    serve_dns(place)
    seen: dict[str, Any] = {}
    with Netlink() as net:
        for name, request in {
            "no link": netlink.delete_link(4000),
            "no device": netlink.route(ip_network("10.1.0.0/16"), 4000),
            "no rule": netlink.delete_rule(Rule(77)),
            "twice": netlink.veth(
                "lo", 500, peer="x", peer_index=2, space=os.open("/proc/self/ns/net", 0)
            ),
        }.items():
            try:
                net.run(request, netlink.link_up(netlink.LO))
            except OSError as error:
                seen[name] = [errno.errorcode[error.errno or 0], error.filename]
    seen["before"] = await asks(place, WEB), await asks(place, DB)
    place.ground.block("web", frozenset({(DNS, 53, "UDP"), (DNS, 53, "TCP")}))
    seen["with"] = await asks(place, WEB, 0.3), await asks(place, DB)
    place.ground.block("web", frozenset({(DNS, 54, "UDP")}))
    seen["after"] = await asks(place, WEB), await asks(place, DB)
    place.ground.block("host", frozenset({(DNS, 53, "UDP")}))
    place.ground.take_down("web")
    rule = Rule(1000, iif="pod100", target=ip_network(DNS), protocol=17, ports=(54, 54))
    try:
        with Netlink() as net:
            net.run(netlink.delete_rule(rule))
    except OSError as error:
        seen["rule of a pod that is gone"] = errno.errorcode[error.errno or 0]
    return seen


async def asks(place: Place, source: str, within_s: float = 30.0) -> bool:
    """Whether the DNS server can be heard from a pod."""
    loop = asyncio.get_running_loop()
    with place.ground.outgoing(DNS, "UDP", source=source) as made:
        made.connect((DNS, 53))
        await loop.sock_sendall(made, b"\0\7\1\0\0\1" + bytes(6) + b"\1a\0\0\1\0\1")
        try:
            async with asyncio.timeout(within_s):
                return (await loop.sock_recv(made, 512))[-4:] == socket.inet_aton(DB)
        except TimeoutError:
            return False


async def many(outside: Outside) -> dict[str, Any]:
    """Two hundred pods come and go: the milliseconds that most of them take, each way."""
    ground = Spaces()
    up, down = [], []
    for number in range(200):
        began = time.perf_counter()
        ground.put_up(Stand(str(number), "x", (f"10.244.4.{number + 1}",)))
        up.append(time.perf_counter() - began)
    for number in range(200):
        began = time.perf_counter()
        ground.take_down(str(number))
        down.append(time.perf_counter() - began)
    return {"up": sorted(up)[150] * 1000, "down": sorted(down)[150] * 1000, "left": links_left()}


# Scenes that go on


async def hold(outside: Outside) -> int:
    """Says the ports it has of the machine, and goes on until it is told to end."""
    place = Place()
    serve_dns(place)
    handed = [outside.listen("127.0.0.1", 0, "TCP"), outside.listen("127.0.0.1", 0, "UDP")]
    refusals = []
    for host, port in (("0.0.0.0", 0), ("127.0.0.1", handed[0].getsockname()[1])):
        try:
            outside.listen(host, port, "TCP")
        except OSError as error:
            refusals.append(errno.errorcode[error.errno or 0])
    await place.serve(DB, 3306, "db")
    await place.serve("127.0.0.1", 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    await place.ground.enter("web", place.entry("sleep", "1000"), Streams(*[nothing] * 3))
    loop = asyncio.get_running_loop()
    told: asyncio.Future[int] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda one=number: told.done() or told.set_result(one))
    carried = [
        asyncio.create_task(relay.carry(handed[0], relay.Target(place.ground, DB, 3306))),
        asyncio.create_task(relay.carry(handed[1], relay.Target(place.ground, DNS, 53))),
    ]
    ports = [one.getsockname()[1] for one in handed]
    print(json.dumps({"ports": ports, "refusals": refusals}), flush=True)
    code = 40 + await told
    for task in carried:
        task.cancel()
    return code


async def fail(outside: Outside) -> int:
    """Ends with a code of its own."""
    return 7


def main(name: str) -> int:
    scene: Callable[[Outside], Any] = globals()[name]

    def run(outside: Outside) -> int:
        said = asyncio.run(scene(outside))
        if isinstance(said, int):
            return said
        print(json.dumps(said))
        return 0

    return inside(run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
