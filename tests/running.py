"""A kdns process of the test's own: started on a free port, asked over real sockets, ended by pid."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dns.message
import dns.query

WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
PORTS = range(
    10_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS, 20_000, WORKERS
)
"""Below those that the kernel gives to whoever asks for any, and those that a lab opens (20000 + 80,
30000–32767): nobody takes one by chance. Tests that run beside these have others."""
PATIENCE_S = 40.0
"""How long a start may take: others share the machine."""
_given: set[int] = set()


def free_port() -> int:
    """A port that is free for UDP and TCP on every address; another each time."""
    for _ in range(1000):
        port = random.SystemRandom().choice(PORTS)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError("no free port")


def is_free(port: int) -> bool:
    """Whether nobody has it, for UDP or TCP, on any address."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as sock:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                sock.bind(("", port))
            except OSError:
                return False
    return True


class Running:
    """`kdns -conf FILE -dns.port N …` until the block ends."""

    def __init__(
        self,
        corefile: Path,
        *words: str,
        environ: dict[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        command = [sys.executable, "-m", "kdns", "-conf", str(corefile)]
        self.process = subprocess.Popen(
            [*command, "-dns.port", str(self.port), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environ or {})},
        )

    def __enter__(self) -> "Running":
        return self

    def wait(self) -> "Running":
        """Returns when it answers."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"kdns ended: {self.process.communicate()[0]}")
            try:
                self.ask("up.invalid", timeout=0.5)
            except (dns.exception.Timeout, OSError):
                time.sleep(0.05)
            else:
                return self
        self.process.kill()
        raise AssertionError(f"kdns does not answer: {self.process.communicate()[0]}")

    def ask(self, name: str, type_: str = "A", *, timeout: float = 5.0) -> dns.message.Message:
        """One question over UDP."""
        query = dns.message.make_query(name, type_)
        return dns.query.udp(query, "127.0.0.1", timeout, self.port)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Sends a signal; returns the exit code and all that was printed."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        printed = self.process.communicate(timeout=PATIENCE_S)[0]
        return self.process.returncode, printed

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
