"""Packets to services, over real sockets."""

import asyncio
import socket

import pytest

from kdns.lab.errors import Obj
from kdns.lab.proxy import udp
from tests.lab.proxy.scene import Scene, endpoint, played, pod_ip, until

PORT = 5353
PORTS: list[Obj] = [{"port": PORT, "protocol": "UDP"}]
NAMED: list[Obj] = [{"port": PORT, "protocol": "UDP", "name": ""}]


class Asker:
    """A client with a port of its own."""

    def __init__(self, scene: Scene, address: str, source: str = "") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(scene.place(address, PORT))

    async def ask(self, wait_s: float = 30) -> str:
        """Who answers, or how it fails."""
        loop = asyncio.get_running_loop()
        try:
            self.socket.send(b"x")
            async with asyncio.timeout(wait_s):
                return (await loop.sock_recv(self.socket, 100)).decode().split()[0]
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silent"

    def close(self) -> None:
        self.socket.close()


async def test_each_client_port_is_a_flow_that_stays_with_its_endpoint() -> None:
    async with played() as (scene, proxy):
        address, source = scene.service(ports=PORTS), pod_ip(7)
        scene.slice(scene.answerer("a", PORT), scene.answerer("b", PORT), ports=NAMED)
        await scene.settled()
        askers = [Asker(scene, address, source) for _ in range(4)]
        said = [await one.ask() for one in askers]
        assert sorted(said) == ["a", "a", "b", "b"]
        assert [await one.ask() for one in askers] == said
        assert set(scene.seen) == {source}
        assert proxy.board.flows.taken == 4
        for one in askers:
            one.close()


async def test_a_flow_of_an_endpoint_that_left_goes_to_another() -> None:
    async with played() as (scene, proxy):
        address = scene.service(ports=PORTS)
        pods = {"a": scene.answerer("a", PORT), "b": scene.answerer("b", PORT)}
        scene.slice(*pods.values(), ports=NAMED)
        await scene.settled()
        asker = Asker(scene, address)
        first = await asker.ask()
        other = "b" if first == "a" else "a"
        scene.slice(endpoint(pods[first], ready=False), pods[other], ports=NAMED)
        assert await asker.ask() == other
        assert proxy.board.flows.taken == 1
        asker.close()


async def test_without_endpoints_the_port_is_unreachable() -> None:
    async with played() as (scene, proxy):
        address = scene.service(ports=PORTS)
        scene.slice(scene.answerer("a", PORT), ports=NAMED)
        await scene.settled()
        asker = Asker(scene, address)
        assert await asker.ask() == "a"
        scene.slice(ports=NAMED)
        await scene.settled()
        assert await asker.ask() == "refused"
        assert proxy.board.flows.taken == 0
        asker.close()


async def test_affinity_is_of_the_clients_address() -> None:
    async with played() as (scene, _):
        address = scene.service(ports=PORTS, sessionAffinity="ClientIP")
        scene.slice(scene.answerer("a", PORT), scene.answerer("b", PORT), ports=NAMED)
        await scene.settled()
        source = pod_ip(8)
        askers = [Asker(scene, address, source) for _ in range(4)]
        assert len({await one.ask() for one in askers}) == 1
        for one in askers:
            one.close()


async def test_silent_flows_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "SWEEP_S", 0.01)
    monkeypatch.setattr(udp, "STREAM_S", 0.02)
    async with played() as (scene, proxy):
        address = scene.service(ports=PORTS)
        scene.slice(scene.answerer("a", PORT), ports=NAMED)
        await scene.settled()
        asker = Asker(scene, address)
        assert await asker.ask() == "a"
        await until(lambda: proxy.board.flows.taken == 0)
        assert await asker.ask() == "a"
        asker.close()


async def test_what_a_policy_forbids_and_what_is_too_much_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played() as (scene, proxy):
        address, source = scene.service(ports=PORTS), pod_ip(9)
        pod = scene.answerer("a", PORT)
        scene.slice(pod, ports=NAMED)
        scene.policy.forbidden = {(source, pod)}
        await scene.settled()
        asker = Asker(scene, address, source)
        assert await asker.ask(0.1) == "silent"
        assert proxy.board.flows.taken == 0
        scene.policy.forbidden.clear()
        proxy.board.flows.most = 0
        assert await asker.ask(0.1) == "silent"
        assert any("UDP flows to services" in one for one in caplog.messages)
        asker.close()


async def test_an_endpoint_outside_of_the_lab_gets_nothing() -> None:
    async with played() as (scene, proxy):
        address = scene.service(ports=PORTS)
        scene.slice("1.1.1.1", ports=NAMED)
        await scene.settled()
        asker = Asker(scene, address)
        assert await asker.ask(0.1) == "silent"
        assert proxy.board.failures_of == {"default/web": 1}
        assert proxy.board.flows.taken == 0
        asker.close()


async def test_a_flow_whose_endpoint_does_not_listen_is_begun_anew() -> None:
    async with played() as (scene, proxy):
        address = scene.service(ports=PORTS)
        pods = [scene.answerer("a", PORT), scene.answerer("b", PORT)]
        scene.slice(*pods, ports=NAMED)
        await scene.settled()
        asker = Asker(scene, address)
        first = await asker.ask()
        scene.kill(first)
        others = {"a", "b"} - {first}
        async with asyncio.timeout(30):
            while await asker.ask(0.1) not in others:
                pass
        assert proxy.board.flows.taken <= 1
        asker.close()


async def test_one_client_has_half_of_all_flows_at_most() -> None:
    async with played() as (scene, proxy):
        proxy.board.flows.most = 4
        address, greedy = scene.service(ports=PORTS), pod_ip()
        scene.slice(scene.answerer("a", PORT), ports=NAMED)
        await scene.settled()
        askers = [Asker(scene, address, greedy) for _ in range(3)]
        said = [await one.ask() for one in askers[:2]]
        said.append(await askers[2].ask(0.1))
        asker = Asker(scene, address, pod_ip())
        assert [*said, await asker.ask()] == ["a", "a", "silent", "a"]
        for one in (*askers, asker):
            one.close()
