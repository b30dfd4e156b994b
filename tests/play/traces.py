"""What a lab has on the machine: its processes, and their sockets, as /proc shows them."""

import os
from contextlib import suppress
from pathlib import Path

from tests.play.cluster import Cluster

NETS = ("tcp", "tcp6", "udp", "udp6")
LISTENS = {"tcp": "0A", "udp": "07"}
"""The states of sockets that wait for whoever comes (UDP: those that are bound alone)."""
NAMES = ("outer", "between", "first", "inner", "server")


def marked(mark: str) -> dict[int, str]:
    """The processes that have a word in their environment or command line, but not our own."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        if path.name == str(os.getpid()):
            continue
        with suppress(OSError):
            words = (path / "cmdline").read_bytes()
            if words and mark.encode() in words + (path / "environ").read_bytes():
                found[int(path.name)] = words.replace(b"\0", b" ").decode(errors="replace")
    return found


def children(pid: int) -> list[int]:
    """Those of a process."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def processes(cluster: Cluster) -> dict[str, int]:
    """Those of the lab, by what they are."""
    found = [cluster.process.pid]
    if cluster.way == "namespaces":
        while len(found) < 4:
            found += children(found[-1])[:1]
    named = dict(zip(NAMES, found, strict=False))
    for pid in children(found[-1]):
        if b"-conf" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            named["server"] = pid
    return named


def sockets(pids: set[int]) -> set[str]:
    """The inodes of their sockets."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            for path in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    kind, _, inode = str(path.readlink()).partition(":")
                    if kind == "socket":
                        found.add(inode.strip("[]"))
    return found


def listening() -> dict[str, tuple[str, str, int]]:
    """All of the machine's sockets that wait for whoever comes: by inode the kind, host and port."""
    found = {}
    for net in NETS:
        for line in Path("/proc/net", net).read_text().splitlines()[1:]:
            words = line.split()
            host, _, port = words[1].partition(":")
            far = words[2].partition(":")
            if words[3] == LISTENS[net[:3]] and not int(far[2], 16):
                found[words[9]] = (net[:3], _address(host), int(port, 16))
    return found


def _address(text: str) -> str:
    octets = bytes.fromhex(text)
    if len(octets) == 4:
        return ".".join(str(one) for one in reversed(octets))
    return octets.hex()
