"""Services played in namespaces, as a program: it says as JSON what pods saw.

Python's own modules only: an ordinary user may have no other interpreter.
"""

import asyncio
import json
import os
import sys
import tempfile
from contextlib import suppress
from itertools import count
from typing import Any

from kdns.lab.errors import Obj
from kdns.lab.ground.base import Entry, Stand, Streams
from kdns.lab.ground.enter import inside
from kdns.lab.ground.inner import has_v6
from kdns.lab.ground.outside import Outside
from kdns.lab.ground.spaces import Spaces
from kdns.lab.proxy.proxy import Proxy
from kdns.lab.resources import INGRESSES, NAMESPACES, NODES, SERVICES, SLICES
from kdns.lab.storage import Storage

PODS = {"web": "10.244.1.5", "one": "10.244.2.5", "two": "10.244.2.6"}
SERVICE, SERVICE6, NODE = "10.96.7.7", "fd00:10:96::77", "172.18.0.11"
ASK = """
import socket, sys
host, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
one = socket.socket(family, socket.SOCK_DGRAM if kind == "UDP" else socket.SOCK_STREAM)
one.settimeout(float(sys.argv[4]))
try:
    one.connect((host, port))
    if kind == "UDP":
        one.send(b"x")
    if kind == "HTTP":
        one.send(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(one.recv(100).decode())
except OSError as error:
    print(type(error).__name__)
"""


class Cluster:
    """A service on everything, two endpoints, and a pod that asks."""

    def __init__(self) -> None:
        clock, number = count(1_700_000_000), count(1)
        self.storage = Storage(now=lambda: float(next(clock)), uid=lambda: str(next(number)))
        self.ground = Spaces()
        for name, address in PODS.items():
            six = (f"fd00:10:244::{address.rpartition('.')[2]}{name == 'web':d}",)
            addresses = (address, *six) if has_v6() else (address,)
            self.ground.put_up(Stand(name, f"default/{name}", addresses))
            for transport in ("TCP", "UDP") if name != "web" else ():
                for one in addresses:
                    self._answer(name, one, transport)
        self.forbidden: set[str] = set()
        self.proxy = Proxy(self.storage, self.ground, self)

    def allows(self, source: str, target: str, port: int, transport: str) -> bool:
        del port, transport
        return source not in self.forbidden or target not in PODS.values()

    def _answer(self, name: str, address: str, transport: Any) -> None:
        """Says who answers and who asked."""
        listener = self.ground.listen(address, 3306, transport, at=name)

        def answer() -> None:
            with suppress(BlockingIOError):
                if transport == "UDP":
                    _, client = listener.socket.recvfrom(100)
                    listener.socket.sendto(f"{name} {client[0]}".encode(), client)
                    return
                made, client = listener.socket.accept()
                made.send(f"{name} {client[0]}".encode())
                made.close()

        asyncio.get_running_loop().add_reader(listener.socket.fileno(), answer)

    def furnish(self) -> None:
        """A node, a service, its slices and an ingress."""
        make = self.storage.create
        make(NAMESPACES, "", {"metadata": {"name": "default"}})
        node = make(NODES, "", {"metadata": {"name": "node-a"}})
        status = {"addresses": [{"type": "InternalIP", "address": NODE}]}
        self.storage.update(NODES, "", "node-a", {**node, "status": status}, part="status")
        ports = [
            {"name": "db", "port": 80, "protocol": "TCP", "nodePort": 30080},
            {"name": "udp", "port": 80, "protocol": "UDP"},
        ]
        spec: Obj = {"type": "NodePort", "ports": ports, "clusterIP": SERVICE,
                     "externalIPs": ["1.1.1.1"]}  # fmt: skip
        if has_v6():
            spec |= {"clusterIPs": [SERVICE, SERVICE6], "ipFamilies": ["IPv4", "IPv6"],
                     "ipFamilyPolicy": "RequireDualStack"}  # fmt: skip
        make(SERVICES, "default", {"metadata": {"name": "mysql"}, "spec": spec})
        backend = {"service": {"name": "mysql", "port": {"name": "db"}}}
        body = {"metadata": {"name": "all"}, "spec": {"defaultBackend": backend}}
        make(INGRESSES, "default", body)

    def endpoints(self, *names: str) -> None:
        """Of the service."""
        for family, addresses in (
            ("IPv4", [PODS[name] for name in names]),
            ("IPv6", [f"fd00:10:244::{PODS[name].rpartition('.')[2]}0" for name in names]),
        ):
            body: Obj = {
                "metadata": {
                    "name": f"mysql-{family.lower()}",
                    "labels": {"kubernetes.io/service-name": "mysql"},
                },
                "addressType": family,
                "endpoints": [{"addresses": [one]} for one in addresses],
                "ports": [
                    {"name": "db", "port": 3306, "protocol": "TCP"},
                    {"name": "udp", "port": 3306, "protocol": "UDP"},
                ],
            }
            name = body["metadata"]["name"]
            if self.storage.find(SLICES, "default", name):
                self.storage.update(SLICES, "default", name, body)
            else:
                self.storage.create(SLICES, "default", body)

    async def ask(self, host: str, port: int = 80, kind: str = "TCP") -> str:
        """What the pod hears there."""
        within_s = "1" if self.forbidden else "20"
        entry = Entry(
            (sys.executable, "-I", "-S", "-c", ASK, host, str(port), kind, within_s),
            {"PATH": os.environ["PATH"]}, "web", {},
        )  # fmt: skip
        nothing = os.open(os.devnull, os.O_RDONLY)
        with tempfile.TemporaryFile() as out:
            streams = Streams(nothing, out.fileno(), out.fileno())
            process = await self.ground.enter("web", entry, streams)
            os.close(nothing)
            async with asyncio.timeout(30):
                await process.wait()
            out.seek(0)
            return out.read().decode().strip()


async def services(outside: Outside) -> dict[str, Any]:
    """A pod asks a service everywhere it is."""
    del outside
    cluster = Cluster()
    cluster.furnish()
    cluster.endpoints("one", "two")
    running = asyncio.create_task(cluster.proxy.run())
    async with asyncio.timeout(20):
        while cluster.proxy._ingress._server is None or cluster.proxy._events:
            await asyncio.sleep(0.01)
    ask = cluster.ask
    told: dict[str, Any] = {
        "tcp": sorted([await ask(SERVICE), await ask(SERVICE)]),
        "udp": await ask(SERVICE, 80, "UDP"),
        "node": await ask(NODE, 30080),
        "ingress": (await ask("198.51.100.254", 80, "HTTP"))[:12],
        "six": sorted([await ask(SERVICE6), await ask(SERVICE6)]) if has_v6() else [],
    }
    cluster.forbidden = {PODS["web"]}
    told["forbidden"] = await ask(SERVICE)
    cluster.forbidden.clear()
    cluster.endpoints("two")
    told["left"] = [await ask(SERVICE), await ask(SERVICE, 80, "UDP")]
    cluster.endpoints()
    told["none"] = [await ask(SERVICE), await ask(SERVICE, 80, "UDP")]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    cluster.ground.close()
    return told


def main() -> int:
    def run(outside: Outside) -> int:
        print(json.dumps(asyncio.run(services(outside))))
        return 0

    return inside(run)


if __name__ == "__main__":
    sys.exit(main())
