"""A Corefile becomes a running server: CoreDNS or kdns as a child process on a free loopback port.

A peer is started, waited for until it answers or ends, and ended by its own process id.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.running import free_port

HOST = "127.0.0.1"
PROBE = b"\0\x01\x00\x00\0\1\0\0\0\0\0\0\x05probe\x04peer\0\0\1\0\1"


class PeerError(Exception):
    """The server ended, or did not answer, before it could be asked: its log says why."""

    def __init__(self, command: str, code: int | None, log: str) -> None:
        super().__init__(f"{command} ended with {code}:\n{log}")
        self.code = code
        self.log = log


def coredns() -> str | None:
    """The CoreDNS binary: on the PATH, or where `go install` puts it."""
    found = shutil.which("coredns")
    if found or not shutil.which("go"):
        return found
    gopath = subprocess.run(["go", "env", "GOPATH"], capture_output=True, text=True, check=True)
    binary = Path(gopath.stdout.strip()) / "bin" / "coredns"
    return str(binary) if binary.exists() else None


@dataclass
class Peer:
    """A running server."""

    process: "subprocess.Popen[bytes]"
    port: int
    folder: Path

    @property
    def log(self) -> str:
        """All it has written so far."""
        return (self.folder / "log").read_text(errors="replace")

    def stop(self) -> None:
        """Ends it and forgets its files."""
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(command: list[str], corefile: str, *, wait_s: float = 60.0) -> Peer:
    """Starts a server on a Corefile and waits until it answers; raises PeerError if it will not.

    `PORT` in the Corefile stands for the port it will listen on.
    """
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="differential-"))
    path = folder / "Corefile"
    path.write_text(corefile.replace("PORT", str(port)))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-conf", str(path), "-dns.port", str(port)],
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=folder,
            env=environment(),
        )  # fmt: skip
    peer = Peer(process, port, folder)
    if not _answers(peer, time.monotonic() + wait_s):
        text, code = peer.log, process.poll()
        peer.stop()
        raise PeerError(" ".join(command), code, text)
    return peer


def start_coredns(corefile: str, *, wait_s: float = 60.0) -> Peer:
    """Starts CoreDNS."""
    binary = coredns()
    if binary is None:
        raise FileNotFoundError("CoreDNS is not installed: go install it, or put it on the PATH")
    return start([binary], corefile, wait_s=wait_s)


def environment() -> dict[str, str]:
    """Our environment, with this checkout importable wherever the child runs."""
    return {**os.environ, "GOMAXPROCS": "2", "PYTHONPATH": str(Path(__file__).parents[2])}


def start_kdns(corefile: str, *, wait_s: float = 60.0) -> Peer:
    """Starts kdns of this checkout."""
    return start([sys.executable, "-m", "kdns"], corefile, wait_s=wait_s)


def _answers(peer: Peer, deadline: float) -> bool:
    """Asks over UDP until any reply comes, the process ends or time is up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((HOST, peer.port))
        probe.settimeout(0.1)
        while time.monotonic() < deadline and peer.process.poll() is None:
            with suppress(ConnectionRefusedError, TimeoutError):
                probe.send(PROBE)
                return bool(probe.recv(4096))
            time.sleep(0.02)
    return False
