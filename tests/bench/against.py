"""`make bench-cluster`: CoreDNS and kdns on the same real API server, side by side, as one table.

Both get kubeadm's Corefile and 10,000 services of 15 endpoints. A proxy between them and the API
sees when an event goes out to a server, and cuts connections and refuses old versions to make it
list everything anew. The servers take turns; each figure is the best of several rounds, since others
share the machine. Each bound is printed with what became of it.
"""

import argparse
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import dns.message

from tests.bench.cluster import address
from tests.bench.hot import Hot
from tests.bench.sides import NAMESPACE, Server
from tests.differential import peer
from tests.referee.asking import eventually
from tests.referee.between import Between
from tests.referee.controlplane import HOW, ControlPlane, program
from tests.referee.inside import write_account
from tests.referee.kube import Kube, Object, ca_of
from tests.referee.names import serve_nothing

RELIST_S = 60
UPDATES = 500
"""Endpoints that change in a second, if the API server is as fast."""
UPDATING_S = 6
WRITERS = 8
BUSY = 20_000
"""Questions a second."""
KINDS = 3
"""Kinds that kubeadm's Corefile has a server watch: services, slices, namespaces."""


@dataclass
class Row:
    """A figure of each server and the bound it is held to."""

    name: str
    unit: str
    bound: Callable[[float, float], float] | None = None
    """From CoreDNS's figure and the fixed one of the issue to what kdns may have at most."""
    fixed: float = 0.0
    theirs: float | None = None
    ours: float | None = None

    def verdict(self) -> str:
        """Whether the bound holds; empty where there is none."""
        if self.bound is None or self.ours is None:
            return ""
        limit = self.bound(self.theirs if self.theirs is not None else float("inf"), self.fixed)
        return f"{'pass' if self.ours <= limit else 'FAIL'} (≤ {limit:.3g})"


def _no_more(theirs: float, _: float) -> float:
    return theirs


def _fixed(_: float, fixed: float) -> float:
    return fixed


def _share(theirs: float, share: float) -> float:
    return theirs * share


def rows() -> dict[str, Row]:
    """The table, empty."""
    events = [("new", "new service"), ("asked", "name asked before"), ("moved", "endpoint moved")]
    table = {
        "answer": Row("start → first right answer", "s", _no_more),
        "ready": Row("start → ready", "s", _share, 0.7),
        "cpu": Row("start → ready, CPU time", "s"),
        "rss": Row("memory, steady", "MB", _share, 0.5),
        "peak": Row("memory, peak of a relist ÷ steady", "×", _fixed, 1.15),
        "idle": Row("CPU, idle", "%"),
        "quiet99": Row("hot 5k q/s, quiet: p99", "ms"),
        "hot50": Row("hot 5k q/s, relisting: p50", "ms"),
        "hot99": Row("hot 5k q/s, relisting: p99", "ms", _fixed, 5),
        "lost": Row("hot 5k q/s, relisting: lost", "", _fixed, 0),
        "relist": Row("relist, until all is listed again", "s"),
        "relistcpu": Row("relist, CPU time", "s", _no_more),
        "rate": Row("endpoint updates a second", ""),
        "update": Row("CPU time of 1,000 updates", "s", _no_more),
        "update99": Row("hot 5k q/s, updating: p99", "ms", _fixed, 10),
        "busy50": Row("asked before, under 20k q/s: p50", "ms", _no_more),
        "busy99": Row("asked before, under 20k q/s: p99", "ms", _fixed, 10),
    }
    for key, name in events:
        table[key + "50"] = Row(f"{name} → right answer: p50", "ms", _no_more)
        table[key + "99"] = Row(f"{name} → right answer: p99", "ms", _fixed, 5)
    return table


@dataclass
class Bench:
    """All measurements of one server."""

    server: Server
    kube: Kube
    events: int
    services: int
    found: dict[str, list[float]] = field(default_factory=dict)

    def note(self, key: str, value: float) -> None:
        """Keeps a figure of a round."""
        self.found.setdefault(key, []).append(value)

    def best(self, key: str) -> float | None:
        """The best of a figure's rounds."""
        return min(self.found[key]) if key in self.found else None

    def run(self, *, has_events: bool) -> None:
        """Everything once; events are enough in one of the rounds."""
        answer, ready = self.server.start(direct=True)
        self.note("answer", answer)
        self.note("ready", ready)
        self.note("cpu", self.server.cpu_s())
        time.sleep(4)
        self.note("rss", self.server.memory())
        before, since = self.server.cpu_s(), time.monotonic()
        time.sleep(4)
        self.note("idle", (self.server.cpu_s() - before) / (time.monotonic() - since) * 100)
        self.server.stop()
        self.server.start(direct=False)
        time.sleep(4)
        if has_events:
            for kind in ("new", "asked", "moved"):
                self.propagation(kind)
            with Hot(self.server.port, hot_names(), BUSY):
                self.propagation("asked", "busy")
        with Hot(self.server.port, hot_names()) as hot:
            time.sleep(4)
        self.note("quiet99", hot.percentile(99))
        # CPU time without queries: a busy machine wakes a server less often, so none can be taken off.
        before = self.server.cpu_s()
        self.list_again()
        time.sleep(3)
        self.note("relistcpu", self.server.cpu_s() - before)
        self.relist()
        self.updates()
        self.server.stop()

    def list_again(self) -> float:
        """Cuts and compacts; returns when everything was listed again, how long it took."""
        between = self.server.between
        between.forget()
        between.compact(KINDS)
        return eventually(lambda: between.listed() >= KINDS, within_s=RELIST_S)

    def relist(self) -> None:
        """Everything is listed again under hot queries."""
        server = self.server
        steady = server.memory()
        server.forget_peak()
        with Hot(server.port, hot_names()) as hot:
            time.sleep(0.5)
            self.note("relist", self.list_again())
            time.sleep(3)
        self.note("peak", server.memory("VmHWM") / steady)
        self.note("hot50", hot.percentile(50))
        self.note("hot99", hot.percentile(99))
        self.note("lost", hot.lost)

    def updates(self) -> None:
        """Endpoints change one after the other, alone and under hot queries."""
        before = self.server.cpu_s()
        self.update_all(0)
        time.sleep(1)
        count = UPDATES * UPDATING_S
        self.note("update", (self.server.cpu_s() - before) / count * 1000)
        with Hot(self.server.port, hot_names()) as hot:
            self.note("rate", count / self.update_all(count))
        self.note("update99", hot.percentile(99))

    def update_all(self, first: int) -> float:
        """So many updates from this number on; how long they took."""
        since, other = time.monotonic(), int.from_bytes(os.urandom(2), "big")
        with ThreadPoolExecutor(WRITERS) as pool:
            ats = range(UPDATES * UPDATING_S)
            list(pool.map(lambda at: self._update(first + at, since + at / UPDATES, other), ats))
        return time.monotonic() - since

    def _update(self, at: int, due: float, other: int) -> None:
        """The at-th update, when it is due: one of fifteen endpoints gets another address.

        Another one than in other rounds, or nothing would change.
        """
        time.sleep(max(0.0, due - time.monotonic()))
        number = at * 7 % self.services
        places = [address(number * 15 + n) for n in range(15)]
        places[at % 15] = address(0xB0000 + (at + other) % 0xFFFF)
        body = {"endpoints": slice_(f"svc-{number}", places)["endpoints"]}
        self.kube.patch("EndpointSlice", NAMESPACE, f"svc-{number}-0", body)

    def propagation(self, kind: str, key: str = "") -> None:
        """From the moment that events of a kind go out to the first right answer."""
        took = []
        for at in range(self.events):
            took.append(getattr(self, kind)(f"{kind}-{os.urandom(4).hex()}-{at}"))
        took.sort()
        self.note((key or kind) + "50", statistics.median(took) * 1000)
        self.note((key or kind) + "99", took[min(len(took) - 1, int(len(took) * 0.99))] * 1000)

    def new(self, name: str) -> float:
        """A service nobody has asked for."""
        with self._event(name, name.encode()) as waiting:
            self.kube.create(service(name))
        self.kube.delete("Service", NAMESPACE, name)
        return waiting[0]

    def asked(self, name: str) -> float:
        """A service whose name was asked for before there was one."""
        for _ in range(3):
            assert not self.server.addresses(name)
        return self.new(name)

    def moved(self, name: str) -> float:
        """A headless service whose endpoint gets another address."""
        self.kube.create(service(name, headless=True), slice_(name, [address(0xA0000)]))
        eventually(lambda: self.server.addresses(name) != [], within_s=60)
        other = address(0xA0001)
        with self._event(name, other.encode(), wanted=other) as waiting:
            body = {"endpoints": slice_(name, [other])["endpoints"]}
            self.kube.patch("EndpointSlice", NAMESPACE, f"{name}-0", body)
        self.kube.delete("Service", NAMESPACE, name)
        self.kube.delete("EndpointSlice", NAMESPACE, f"{name}-0")
        return waiting[0]

    @contextmanager
    def _event(self, name: str, mark: bytes, wanted: str = "") -> Iterator[list[float]]:
        """Whatever is written inside: from its event's bytes at the proxy to the right answer."""
        out: list[float] = []
        went = threading.Event()

        def noted(piece: bytes) -> None:
            if not went.is_set() and mark in piece:
                out.append(time.monotonic())
                went.set()

        took: list[float] = []
        self.server.between.noted = noted
        watcher = threading.Thread(target=self._until, args=(name, wanted, went, out, took))
        watcher.start()
        yield took
        watcher.join()
        self.server.between.noted = None
        assert took, f"{name} was never right"

    def _until(
        self, name: str, wanted: str, went: threading.Event, out: list[float], took: list[float]
    ) -> None:
        packet = dns.message.make_query(f"{name}.{NAMESPACE}.svc.cluster.local", "A").to_wire()
        right = ip_address(wanted).packed if wanted else b""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self.server.port))
            sock.settimeout(0.5)
            went.wait(30)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with suppress(TimeoutError):
                    sock.send(packet)
                    reply = sock.recv(4096)
                    has_records = not reply[3] & 15 and reply[6:8] != b"\0\0"
                    if has_records and right in reply:
                        took.append(time.monotonic() - out[0])
                        return


def hot_names() -> list[str]:
    """Twenty names that everybody asks for."""
    return [f"svc-{at * 13}.{NAMESPACE}.svc.cluster.local" for at in range(20)]


def service(name: str, number: int | None = None, *, headless: bool = False) -> Object:
    """A service without a selector: its slices are ours to write."""
    spec: Object = {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    if headless:
        spec["clusterIP"] = "None"
    elif number is not None:
        spec["clusterIP"] = f"10.96.{(number >> 8) + 16}.{number & 255}"
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def slice_(name: str, addresses: list[str]) -> Object:
    """A slice as the slice controller writes it: with nodes, zones and the pods behind it."""
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": f"{name}-0", "namespace": NAMESPACE,
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "endpoints": [_endpoint(name, each) for each in addresses],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }  # fmt: skip


def _endpoint(name: str, address_: str) -> Object:
    tail = address_.replace(".", "-")
    return {
        "addresses": [address_],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": f"node-{hash(tail) % 100}", "zone": "a",
        "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": f"{name}-{tail}"},
    }  # fmt: skip


def fill(kube: Kube, services: int, endpoints: int) -> None:
    """The cluster that both servers know."""
    meta = {"name": NAMESPACE}
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    kube.fill(service(f"svc-{at}", at) for at in range(services))
    kube.fill(
        slice_(f"svc-{at}", [address(at * endpoints + n) for n in range(endpoints)])
        for at in range(services)
    )


def print_table(table: dict[str, Row]) -> bool:
    """Prints all rows as Markdown; True when no bound is missed."""
    print(f"| {'':36s} | CoreDNS 1.15.0 | kdns | bound |\n|---|---|---|---|")
    for row in table.values():
        cells = [
            "–" if each is None else f"{each:.3g} {row.unit}".strip()
            for each in (row.theirs, row.ours)
        ]
        print(f"| {row.name:36s} | {cells[0]} | {cells[1]} | {row.verdict()} |")
    return not any("FAIL" in row.verdict() for row in table.values())


def main() -> int:
    """Fills a control plane, measures both servers, prints the table."""
    options = _options()
    binary = peer.coredns()
    if program() is None or binary is None:
        print(f"bench-cluster: {HOW if binary else 'CoreDNS is not installed (make differential)'}")
        return 1
    commands = {"theirs": [binary], "ours": [sys.executable, "-m", "kdns"]}
    table = rows()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        plane = stack.enter_context(ControlPlane(folder / "plane"))
        began = time.monotonic()
        kube = stack.enter_context(plane.kube)
        fill(kube, options.services, 15)
        print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
        account = write_account(folder / "account", kube.token, Path(ca_of(plane.kubeconfig)))
        last = f"svc-{options.services - 1}"
        upstream = stack.enter_context(serve_nothing())
        benches: dict[str, Bench] = {}
        for side in [each for each in commands if options.only in ("", each)]:
            (folder / side).mkdir()
            between = stack.enter_context(Between(kube))
            server = Server(commands[side], between, upstream, folder / side, last, account)
            stack.callback(server.stop)
            benches[side] = Bench(server, kube, options.events, options.services)
        for at in range(options.rounds):
            for bench in benches.values():
                bench.run(has_events=at == 0)
        for side, bench in benches.items():
            for key, row in table.items():
                setattr(row, side, bench.best(key))
    return 0 if print_table(table) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.against")
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--only", choices=("", "theirs", "ours"), default="")
    return parser.parse_args()


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.exit(main())
