"""What is much is done in pieces: others have their turn, and nobody waits for what is not his."""

import asyncio

import pytest

from kdns.lab.errors import Obj
from kdns.lab.proxy import proxy as proxy_
from kdns.lab.proxy.rules import Place
from kdns.lab.proxy.slices import Endpoint, Port, Slices
from kdns.lab.proxy.table import Table
from tests.lab.proxy.scene import RESET, SILENT, played, pod_ip, until
from tests.lab.proxy.test_rules import READY, service, slice_

COUNT = 100
FIRST = 20000


def ports(first: int, count: int) -> list[Obj]:
    return [
        {"name": f"p{number}", "port": number, "protocol": "TCP"}
        for number in range(first, first + count)
    ]


def test_a_slice_concerns_the_ports_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Port] = []
    members = Slices.members

    def seen(slices: Slices, port: Port, family: str) -> tuple[Endpoint, ...]:
        looked.append(port)
        return members(slices, port, family)

    table = Table()
    table.set_service(service(ports=ports(1, 50)))
    table.set_slice(slice_(READY, name="a", ports=ports(1, 20)))
    monkeypatch.setattr(Slices, "members", seen)
    changed = table.set_slice(slice_(READY, name="b", ports=ports(31, 5)))
    assert {place.port for place in changed} == set(range(31, 36))
    assert looked == [(f"p{number}", "TCP") for number in range(31, 36)]
    changed = table.set_slice(slice_(READY, name="b", ports=ports(33, 5)))
    assert {place.port for place in changed} == {31, 32, 36, 37}, "those it had, and those it has"
    assert [rule.place.port for rule in table.rules("shop/web")] == list(range(1, 51))


def test_a_service_of_many_ports_is_taken_in_parts() -> None:
    table = Table()
    assert [len(part) for part in table.taking(service(ports=ports(1, 300)))] == [128, 128, 44]
    parts = list(table.taking(service(ports=ports(101, 300))))
    assert {place.port for part in parts for place in part} == {*range(1, 101), *range(301, 401)}
    assert [rule.place.port for rule in table.rules("shop/web")] == list(range(101, 401))


async def test_others_have_their_turn_while_many_listeners_are_opened_and_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_, "TURN_S", 0.0)
    async with played() as (scene, _):
        scene.service(ports=ports(FIRST, COUNT))
        scene.slice(pod_ip(), ports=ports(FIRST, COUNT))
        listening = scene.ground.listeners.open
        seen = set[int]()
        while len(listening) < COUNT:
            await asyncio.sleep(0)
            seen.add(len(listening))
        assert len(seen) > COUNT // 10, "it was opened in pieces"
        scene.slice(ports=ports(FIRST, COUNT))
        seen.clear()
        while listening:
            await asyncio.sleep(0)
            seen.add(len(listening))
        assert len(seen) > COUNT // 10


async def test_who_connects_waits_for_no_other_listener() -> None:
    async with played() as (scene, proxy):
        address = scene.service(ports=ports(FIRST, COUNT))
        scene.slice(pod_ip(), ports=ports(FIRST, COUNT))
        place = Place(address, FIRST + COUNT - 1, "TCP")
        found = proxy.board.rule_at(place)
        assert found
        assert found.members
        assert [one.port for one in scene.ground.listeners.open] == [place.port]
        await until(lambda: len(scene.ground.listeners.open) == COUNT)
        scene.slice(ports=ports(FIRST, COUNT))
        assert await scene.ask(address, FIRST) not in {"", SILENT}
        gone = proxy.board.rule_at(place)
        assert gone
        assert not gone.members


async def test_an_endpoint_that_left_is_not_asked_though_listeners_are_still_to_be_closed() -> None:
    async with played() as (scene, _):
        address = scene.service(ports=ports(FIRST, COUNT))
        scene.slice(await scene.speaker("a", port=FIRST), ports=ports(FIRST, COUNT))
        await until(lambda: len(scene.ground.listeners.open) == COUNT + 1)
        reader, writer = await scene.connect(address, FIRST)
        assert await reader.readline() == b"a\n"
        writer.close()
        connecting = asyncio.create_task(scene.ask(address, FIRST))
        await asyncio.sleep(0)  # it is in the queue of the listener
        scene.slice(ports=ports(FIRST, COUNT))
        assert await connecting == RESET
