"""Several workers as a test sees them: their processes, questions from many ports, their probes."""

import os
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import dns.message
import dns.query

from tests.running import PATIENCE_S, Running

NS = "svc.cluster.local"


class Workers(Running):
    """`kdns … --workers N`, asked so that every worker is reached."""

    def __init__(
        self, corefile: Path, count: int = 2, *, is_told: bool = True, port: int | None = None
    ) -> None:
        words = ("--workers", str(count)) if is_told else ()
        super().__init__(corefile, *words, port=port)
        self.count = count

    def wait(self) -> "Workers":
        """Returns when all workers serve."""
        until(lambda: self.process.poll() is not None or len(self.sockets()) == self.count)
        assert self.process.poll() is None, self.process.communicate()[0]
        return self

    def pids(self) -> dict[int, int]:
        """The process of each worker, by its number from 1 on."""
        found = {}
        with suppress(OSError):
            listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            for pid in listed.read_text().split():
                with suppress(OSError, IndexError, ValueError):
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    found[int(words[words.index(b"worker") + 2])] = int(pid)
        return found

    def sockets(self) -> list[str]:
        """Inodes of the UDP sockets on its port."""
        wanted = f":{self.port:04X}"
        lines = Path("/proc/net/udp").read_text().splitlines()[1:]
        return [line.split()[9] for line in lines if line.split()[1].endswith(wanted)]

    def sockets_of(self, pid: int) -> set[str]:
        """Those that a worker has open."""
        links = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()]
        return {one for one in self.sockets() if f"socket:[{one}]" in links}

    def ask_all(self, name: str, type_: str = "A", times: int = 24) -> set[str]:
        """What is answered to many source ports: addresses, or codes where there are none."""
        found = set()
        for _ in range(times):
            query = dns.message.make_query(name, type_, use_edns=0)
            found.add(said(dns.query.udp(query, "127.0.0.1", 10, self.port)))
        return found

    def ask_lossy(self, name: str) -> str:
        """What is answered once, empty where nothing is."""
        try:
            return said(self.ask(name, timeout=0.3))
        except (OSError, dns.exception.Timeout):
            return ""


def said(reply: dns.message.Message) -> str:
    found = sorted(str(one) for rrset in reply.answer for one in rrset)
    stale = "+stale" if any(o.otype == 15 and o.code == 3 for o in reply.options) else ""
    return (",".join(found) or dns.rcode.to_text(reply.rcode())) + stale


def status(port: int, path: str) -> int:
    return get(port, path)[0]


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as reply:
            return reply.status, reply.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except (TimeoutError, URLError, ConnectionError):
        return 0, ""


def metric(port: int, name: str, *labels: str) -> float:
    """The sum of a metric's children that have these labels."""
    lines = [one for one in get(port, "/metrics")[1].splitlines() if one.startswith(name)]
    lines = [
        one for one in lines if one[len(name)] in "{ " and all(label in one for label in labels)
    ]
    return sum(float(one.rpartition(" ")[2]) for one in lines)


def until(holds, seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
