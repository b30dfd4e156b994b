"""A storage, a proxy that follows it on loopback addresses nobody else has, endpoints and clients."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from itertools import count
from random import SystemRandom

from kdns.lab.errors import Obj
from kdns.lab.ground.base import Stand, Transport
from kdns.lab.ground.loopback import Loopback
from kdns.lab.proxy.proxy import Proxy
from kdns.lab.ranges import USUAL, Ranges
from kdns.lab.resources import NAMESPACES, NODES, SERVICES, SLICES
from kdns.lab.storage import Storage

CHANCE = SystemRandom()
_given: set[str] = set()
PORT = 8080
TCP: tuple[Obj, ...] = ({"port": PORT, "protocol": "TCP", "name": ""},)
REFUSED = "refused"
RESET = "reset"
SILENT = "silent"
Speaks = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def storage(ranges: Ranges = USUAL) -> Storage:
    """An empty one, whose clock is a counter."""
    clock, number = count(1_700_000_000), count(1)
    made = Storage(now=lambda: float(next(clock)), uid=lambda: f"{next(number)}", ranges=ranges)
    made.create(NAMESPACES, "", {"metadata": {"name": "default"}})
    return made


def ground() -> Loopback:
    """Loopback, with load balancers where no other test has them."""
    made = Loopback()
    here = IPv4Network(f"127.{CHANCE.randrange(128, 240)}.{CHANCE.randrange(256)}.0/24")
    made.ranges = replace(made.ranges, outside=here)
    return made


def cluster_ip() -> str:
    """One that nobody else is likely to have, and nobody here had before."""
    block = CHANCE.randrange(100, 110), CHANCE.randrange(256), CHANCE.randrange(1, 255)
    return _new("127.{}.{}.{}".format(*block)) or cluster_ip()


def pod_ip(node: int = 0) -> str:
    """The same, of a pod, perhaps on one of the first nodes."""
    block = node or CHANCE.randrange(20, 250), CHANCE.randrange(1, 255)
    return _new("127.244.{}.{}".format(*block)) or pod_ip(node)


def _new(address: str) -> str:
    """The address, if this process has not given it before."""
    if address in _given:
        return ""
    _given.add(address)
    return address


def endpoint(address: str, **words: object) -> Obj:
    """Of a slice."""
    node = words.pop("node", "")
    made: Obj = {"addresses": [address], "conditions": words or {"ready": True}}
    return {**made, "nodeName": node} if node else made


class Policy:
    """Forbids what is in it."""

    def __init__(self) -> None:
        self.forbidden: set[tuple[str, str]] = set()

    def allows(self, source: str, target: str, port: int, transport: Transport) -> bool:
        del port, transport
        return (source, target) not in self.forbidden


@dataclass
class Scene:
    """One of each."""

    ground: Loopback = field(default_factory=ground)
    policy: Policy = field(default_factory=Policy)
    kept: set[tuple[str, int, str]] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _closing: dict[str, Callable[[], object]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    proxy: Proxy | None = None

    def __post_init__(self) -> None:
        self.storage = storage(self.ground.ranges)

    def service(self, name: str = "web", **spec: object) -> str:
        """Stores a service; gives its ClusterIP."""
        address = cluster_ip()
        ports = [{"port": PORT, "protocol": "TCP"}]
        body = {"clusterIP": address, "ports": ports, **spec}
        self.storage.create(SERVICES, "default", {"metadata": {"name": name}, "spec": body})
        return address

    def slice(
        self, *endpoints: Obj | str, service: str = "web", ports: Sequence[Obj] = TCP
    ) -> None:
        """Makes the one slice of a service hold these endpoints."""
        made = [one if isinstance(one, dict) else endpoint(one) for one in endpoints]
        body = {
            "metadata": {
                "name": service,
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "endpoints": made,
            "ports": list(ports),
        }
        if self.storage.find(SLICES, "default", service):
            self.storage.update(SLICES, "default", service, body)
        else:
            self.storage.create(SLICES, "default", body)

    def node(self, name: str, address: str, pods: str = "") -> None:
        """Stores a node."""
        body: Obj = {"metadata": {"name": name}, "spec": {"podCIDRs": [pods] if pods else []}}
        made = self.storage.create(NODES, "", body)
        status = {"addresses": [{"type": "InternalIP", "address": address}]}
        self.storage.update(NODES, "", name, {**made, "status": status}, part="status")

    async def speaker(
        self, word: str, *, node: int = 0, port: int = PORT, speaks: Speaks | None = None
    ) -> str:
        """An endpoint that says its word to who connects, and then what it hears; its address."""
        address = pod_ip(node)
        self.ground.put_up(Stand(f"uid-{word}", f"default/{word}", (address,)))
        listener = self.ground.listen(address, port, "TCP", at=f"uid-{word}")
        loop = asyncio.get_running_loop()
        begin = speaks or self._speak(word)

        async def serve(made: socket.socket) -> None:
            reader, writer = await asyncio.open_connection(sock=made)
            try:
                with suppress(OSError, EOFError):
                    await begin(reader, writer)
            except asyncio.CancelledError:
                writer.transport.abort()  # whatever it still had to say
                raise
            finally:
                writer.close()

        def accept() -> None:
            with suppress(BlockingIOError):
                made, _ = listener.socket.accept()
                made.setblocking(False)
                task = loop.create_task(serve(made))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        number = listener.socket.fileno()
        loop.add_reader(number, accept)
        self._closing[f"uid-{word}"] = lambda: loop.remove_reader(number)
        return address

    def kill(self, word: str) -> None:
        """Ends an endpoint without a word to anybody."""
        self._closing.pop(f"uid-{word}")()
        self.ground.take_down(f"uid-{word}")

    def _speak(self, word: str) -> Speaks:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.seen.append(writer.get_extra_info("peername")[0])
            writer.write(f"{word}\n".encode())
            with suppress(OSError):
                while piece := await reader.read(65536):
                    writer.write(piece)
                    await writer.drain()
            writer.close()

        return speak

    def answerer(self, word: str, port: int = PORT) -> str:
        """A UDP endpoint that answers with its word and what it heard; its address."""
        address = pod_ip()
        self.ground.put_up(Stand(f"uid-{word}", f"default/{word}", (address,)))
        listener = self.ground.listen(address, port, "UDP", at=f"uid-{word}")
        loop = asyncio.get_running_loop()

        def answer() -> None:
            packet, client = listener.socket.recvfrom(65535)
            self.seen.append(client[0])
            listener.socket.sendto(f"{word} ".encode() + packet, client)

        loop.add_reader(listener.socket.fileno(), answer)
        number = listener.socket.fileno()
        self._closing[f"uid-{word}"] = lambda: loop.remove_reader(number)
        return address

    async def ask(self, address: str, port: int = PORT, source: str = "") -> str:
        """The word of whoever answers a connection, or how it fails."""
        try:
            async with asyncio.timeout(0.5 if source in self._forbidden() else 30):
                reader, writer = await self.connect(address, port, source)
                try:
                    line = await reader.readline()
                    return line.decode().strip() or RESET
                finally:
                    writer.transport.abort()
        except ConnectionRefusedError:
            return REFUSED
        except ConnectionResetError:
            return RESET
        except TimeoutError:
            return SILENT

    def _forbidden(self) -> set[str]:
        return {source for source, _ in self.policy.forbidden}

    async def connect(
        self, address: str, port: int = PORT, source: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An open connection."""
        made = socket.socket()
        made.setblocking(False)
        try:
            if source:
                made.bind((source, 0))
            target = self.place(address, port)
            await asyncio.get_running_loop().sock_connect(made, target)
        except BaseException:
            made.close()
            raise
        return await asyncio.open_connection(sock=made)

    async def settled(self) -> None:
        """Until the proxy has seen all that is stored, and listens accordingly."""
        proxy = self.proxy
        assert proxy
        for _ in range(2):  # it may be about to look
            await asyncio.sleep(0.002)
            while proxy._events or any(watch._woken.is_set() for watch in proxy._watches.values()):
                await asyncio.sleep(0.002)

    def place(self, address: str, port: int) -> tuple[str, int]:
        """Where an address and port of the API are."""
        return self.ground.ranges.moved(address), port + (self.ground.offset if port < 1024 else 0)

    async def close(self) -> None:
        for close in self._closing.values():
            close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.ground.close()


@asynccontextmanager
async def played(**words: object) -> AsyncIterator[tuple[Scene, Proxy]]:
    """A scene and its proxy, which runs."""
    scene = Scene(**words)  # type: ignore[arg-type]  # those of Scene
    proxy = Proxy(scene.storage, scene.ground, scene.policy, kept=scene.kept)
    running = asyncio.create_task(proxy.run())
    await asyncio.sleep(0)
    scene.proxy = proxy
    try:
        yield scene, proxy
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await scene.close()


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)
