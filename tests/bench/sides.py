"""One of the two servers of the comparison as a process: its Corefile, credentials, memory and CPU."""

import http.client
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen

from tests.differential import peer
from tests.referee.asking import ask, eventually, texts
from tests.referee.between import Between
from tests.referee.inside import inside

NAMESPACE = "bench"
COREFILE = """.:PORT {
    bind 127.0.0.1
    errors
    health 127.0.0.1:HEALTH {
        lameduck 5s
    }
    ready 127.0.0.1:READY
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        ENDPOINT
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus 127.0.0.1:METRICS
    forward . UPSTREAM {
        max_concurrent 1000
    }
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""


@dataclass
class Server:
    """One of the two, running."""

    command: list[str]
    between: Between
    upstream: int
    folder: Path
    last: str
    """The service that was created last."""
    account: Path
    """The files of a ServiceAccount."""
    port: int = 0
    ready_port: int = 0
    process: "Popen[bytes] | None" = None

    def start(self, *, direct: bool) -> tuple[float, float]:
        """Starts it; returns seconds to the first right answer and to ready.

        Direct is as in a cluster: TLS, a token and the CA in the files of a ServiceAccount.
        """
        ports = [peer.free_port() for _ in range(4)]
        self.port, self.ready_port = ports[:2]
        text = COREFILE
        for word, value in zip(("PORT", "READY", "HEALTH", "METRICS"), ports, strict=True):
            text = text.replace(word, str(value))
        text = text.replace("ENDPOINT", "" if direct else f"endpoint {self.between.url}")
        text = text.replace("UPSTREAM", f"127.0.0.1:{self.upstream}")
        path = self.folder / "Corefile"
        path.write_text(text)
        command = [*self.command, "-conf", str(path), "-dns.port", str(self.port)]
        if direct:
            command = inside(self.account, self.between.kube.url, command)
        began = time.monotonic()
        with (self.folder / "log").open("ab") as log:
            self.process = Popen(
                command, stdout=log, stderr=STDOUT, stdin=DEVNULL, env=peer.environment()
            )
        ready = Waiting(lambda: is_ready(self.ready_port))
        answered = Waiting(lambda: bool(self.addresses(self.last, wait_s=0.05)))
        return answered.at() - began, ready.at() - began

    def addresses(self, service: str, *, wait_s: float = 0.5) -> list[str]:
        """What it answers for a service; nothing while it does not."""
        with suppress(Exception):
            return texts(ask(self.port, f"{service}.{NAMESPACE}.svc.cluster.local", wait_s=wait_s))
        return []

    def stop(self) -> None:
        """Ends it."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def memory(self, field_: str = "VmRSS") -> float:
        """MB of it, or of its peak as VmHWM."""
        assert self.process
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field_):
                return int(line.split()[1]) / 1024
        raise AssertionError(field_)

    def forget_peak(self) -> None:
        """Peaks are counted from here on."""
        assert self.process
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu_s(self) -> float:
        """CPU time so far, all threads."""
        assert self.process
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9


class Waiting:
    """The moment at which something holds, found by a thread."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        self._found: list[float] = []
        self._thread = threading.Thread(target=self._run, args=(holds,), daemon=True)
        self._thread.start()

    def _run(self, holds: Callable[[], bool]) -> None:
        eventually(holds, within_s=120, every_s=0.005)
        self._found.append(time.monotonic())

    def at(self) -> float:
        """The moment."""
        self._thread.join()
        assert self._found, "it never did"
        return self._found[0]


def is_ready(port: int) -> bool:
    """True when /ready says so."""
    with suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    return False
