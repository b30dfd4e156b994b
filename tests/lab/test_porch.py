"""Node ports that lead in, on 127.0.0.1."""

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from kdns.lab.ground.outside import opened
from kdns.lab.porch import Porch
from kdns.lab.resources import NODES, SERVICES
from tests.lab.driven import Driven

if TYPE_CHECKING:
    from kdns.lab.ground.base import Ground, Transport

PORT = 31_080


class Plain:
    """A ground that is this machine; notes where it is asked to lead to."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def outgoing(self, address: str, transport: "Transport", *, source: str = "") -> socket.socket:
        del transport, source
        self.asked.append(str(address))
        made = socket.socket()
        made.setblocking(False)
        return made

    def target(self, address: str, port: int) -> tuple[str, int]:
        raise ConnectionRefusedError(f"{address}:{port}")


async def test_a_node_whose_address_is_none_ends_no_node_ports() -> None:
    cluster, ground = Driven(), Plain()
    doors: list[int] = []

    def opener(host: str, port: int, transport: "Transport") -> socket.socket:
        del port  # whichever is free
        made = opened(host, 0, transport)
        doors.append(made.getsockname()[1])
        return made

    status = {"addresses": [{"type": "InternalIP", "address": "here"}]}
    node = cluster.storage.list(NODES)[0]
    name = node["metadata"]["name"]
    cluster.storage.update(NODES, "", name, {**node, "status": status}, part="status")
    ports = [{"port": 80, "nodePort": PORT, "protocol": "TCP"}]
    body = {"metadata": {"name": "web"}, "spec": {"type": "NodePort", "ports": ports}}
    cluster.create(SERVICES, body)
    task = asyncio.create_task(Porch(cluster.storage, cast("Ground", ground), opener).run())
    try:
        async with asyncio.timeout(30):
            while not doors:
                await asyncio.sleep(0.001)
            for _ in range(2):
                with suppress(ConnectionResetError):
                    reader, _ = await asyncio.open_connection("127.0.0.1", doors[0])
                    await reader.read()
        assert not task.done()
        assert len(ground.asked) == 2
        assert "here" not in ground.asked
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
