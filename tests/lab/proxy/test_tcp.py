"""Connections to services, over real sockets."""

import asyncio
import errno
import resource
import socket
from ipaddress import ip_address

import pytest

from kdns.lab.ground.base import Listener
from kdns.lab.history import Event, Item
from kdns.lab.proxy.rules import Place
from kdns.lab.proxy.slices import Endpoint
from kdns.lab.resources import NODES, SERVICES
from tests.lab.proxy.scene import (
    CHANCE,
    PORT,
    REFUSED,
    RESET,
    SILENT,
    cluster_ip,
    endpoint,
    played,
    pod_ip,
    until,
)


async def test_connections_go_round_over_ready_endpoints() -> None:
    async with played() as (scene, _):
        address = scene.service()
        pods = [await scene.speaker(word) for word in "abc"]
        scene.slice(pods[0], pods[1], endpoint(pods[2], ready=False))
        await scene.settled()
        said = [await scene.ask(address) for _ in range(6)]
        assert sorted(said) == ["a"] * 3 + ["b"] * 3
        assert said[0] != said[1]


async def test_the_endpoint_sees_who_asks() -> None:
    async with played() as (scene, _):
        address, source = scene.service(), pod_ip()
        scene.slice(await scene.speaker("a"))
        await scene.settled()
        assert await scene.ask(address, source=source) == "a"
        assert scene.seen == [source]


async def test_a_service_without_endpoints_refuses_and_serves_once_it_has_one() -> None:
    async with played() as (scene, _):
        address = scene.service()
        scene.slice()
        await scene.settled()
        assert await scene.ask(address) == REFUSED
        pod = await scene.speaker("a")
        scene.slice(pod)
        await scene.settled()
        assert await scene.ask(address) == "a"
        scene.slice(endpoint(pod, ready=False))
        await scene.settled()
        assert await scene.ask(address) == REFUSED


async def test_who_was_accepted_before_the_last_endpoint_left_is_reset() -> None:
    async with played() as (scene, _):
        address = scene.service()
        scene.slice(await scene.speaker("a"))
        await scene.settled()
        with socket.socket() as client:  # in the kernel's backlog, before the loop turns
            client.connect(scene.place(address, PORT))
            scene.slice()
            client.setblocking(False)
            try:
                got = await asyncio.get_running_loop().sock_recv(client, 1)
            except ConnectionResetError:
                got = None
        assert got is None
        assert scene.seen == []


async def test_what_left_the_storage_gets_nothing_even_if_no_event_was_read() -> None:
    async with played() as (scene, _):
        address = scene.service()
        first, second = await scene.speaker("a"), await scene.speaker("b")
        scene.slice(first, second)
        await scene.settled()
        for _ in range(4):
            with socket.socket() as client:
                client.connect(scene.place(address, PORT))
                scene.slice(second)  # the accept is yet to come
                client.setblocking(False)
                assert await asyncio.get_running_loop().sock_recv(client, 2) == b"b\n"
            scene.slice(first, second)


async def test_bytes_pass_both_ways_with_half_closes() -> None:
    async with played() as (scene, _):
        address = scene.service()
        scene.slice(await scene.speaker("a"))
        await scene.settled()
        reader, writer = await scene.connect(address)
        sent = bytes(range(256)) * 8192
        writing = asyncio.ensure_future(_write(writer, sent))
        got = await reader.read(-1)
        await writing
        writer.close()
        assert got == b"a\n" + sent


async def _write(writer: asyncio.StreamWriter, sent: bytes) -> None:
    writer.write(sent)
    await writer.drain()
    writer.write_eof()


async def test_a_side_that_does_not_read_holds_the_other_up() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        try:
            for _ in range(1000):
                writer.write(bytes(65536))
                await writer.drain()
                written.append(65536)
        except OSError:
            pass

    written: list[int] = []
    async with played() as (scene, _):
        address = scene.service()
        scene.slice(await scene.speaker("a", speaks=flood))
        await scene.settled()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.connect(scene.place(address, PORT))
            await until(lambda: len(written) > 10)
            before = -1
            while before != len(written):
                before = len(written)
                await asyncio.sleep(0.2)
            assert len(written) < 900


async def test_resets_are_passed_on() -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        writer.transport.abort()

    async with played() as (scene, _):
        address = scene.service()
        scene.slice(await scene.speaker("a", speaks=break_off))
        await scene.settled()
        reader, writer = await scene.connect(address)
        writer.write(b"x")
        try:
            got = await reader.read(1)
        except ConnectionResetError:
            got = b"reset"
        writer.close()
        assert got == b"reset"


async def test_an_endpoint_that_does_not_listen_is_followed_by_the_next() -> None:
    async with played() as (scene, proxy):
        address = scene.service()
        scene.slice(pod_ip(2), pod_ip(2), await scene.speaker("a"))
        await scene.settled()
        assert [await scene.ask(address) for _ in range(4)] == ["a"] * 4
        assert proxy.board.connections_of == {"default/web": 4}
        assert not proxy.board.failures_of


async def test_an_endpoint_outside_of_the_lab_is_unreachable_at_once() -> None:
    async with played() as (scene, proxy):
        address = scene.service()
        scene.slice("1.1.1.1")
        await scene.settled()
        async with asyncio.timeout(10):
            assert await scene.ask(address) == RESET
        assert proxy.board.failures_of == {"default/web": 1}


async def test_affinity_keeps_a_client_with_its_endpoint_while_it_is_there() -> None:
    async with played() as (scene, _):
        address = scene.service(sessionAffinity="ClientIP")
        first, second = await scene.speaker("a"), await scene.speaker("b")
        scene.slice(first, second)
        await scene.settled()
        one, other = pod_ip(3), pod_ip(4)
        mine = await scene.ask(address, source=one)
        its = await scene.ask(address, source=other)
        assert {mine, its} == {"a", "b"}
        for _ in range(4):
            assert await scene.ask(address, source=one) == mine
        scene.slice(second if mine == "a" else first)
        assert await scene.ask(address, source=one) == its
        scene.slice(first, second)
        assert await scene.ask(address, source=one) == its


async def test_what_a_policy_forbids_hangs_until_the_client_gives_up() -> None:
    async with played() as (scene, proxy):
        address, source = scene.service(), pod_ip()
        pod = await scene.speaker("a")
        scene.slice(pod)
        scene.policy.forbidden = {(source, pod)}
        await scene.settled()
        assert await scene.ask(address) == "a"
        assert await scene.ask(address, source=source) == SILENT
        await until(lambda: proxy.board.held.taken == 0)
        await until(lambda: proxy.board.connections.taken == 0)


async def test_a_connection_goes_on_when_its_endpoint_leaves_and_the_listener_closes() -> None:
    async with played() as (scene, _):
        address = scene.service()
        scene.slice(await scene.speaker("a"))
        await scene.settled()
        reader, writer = await scene.connect(address)
        assert await reader.readline() == b"a\n"
        scene.slice()
        await scene.settled()
        assert await scene.ask(address) == REFUSED
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.close()


async def test_more_connections_than_may_be_open_are_refused_with_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played() as (scene, proxy):
        proxy.board.connections.most = 1
        address = scene.service()
        scene.slice(await scene.speaker("a"))
        await scene.settled()
        reader, writer = await scene.connect(address)
        assert await reader.readline() == b"a\n"
        assert await scene.ask(address) == RESET
        assert await scene.ask(address) == RESET
        writer.close()
        await until(lambda: proxy.board.connections.taken == 0)
        assert await scene.ask(address) == "a"
    assert len([one for one in caplog.messages if "which is the most" in one]) == 1


async def test_one_client_has_half_of_all_connections_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played() as (scene, proxy):
        proxy.board.connections.most = 4
        address, greedy, other = scene.service(), pod_ip(), pod_ip()
        scene.slice(await scene.speaker("a"))
        await scene.settled()
        held = [await scene.connect(address, source=greedy) for _ in range(2)]
        assert [await reader.readline() for reader, _ in held] == [b"a\n"] * 2
        assert await scene.ask(address, source=greedy) == RESET
        assert await scene.ask(address, source=greedy) == RESET
        assert await scene.ask(address, source=other) == "a"
        held[0][1].close()
        await until(lambda: proxy.board.connections.taken == 1)
        assert await scene.ask(address, source=greedy) == "a"
        held[1][1].close()
    said = f"{greedy} has 2 connections to services open"
    assert len([one for one in caplog.messages if said in one]) == 1


async def test_none_fails_and_none_goes_astray_while_two_stay() -> None:
    """A loop of connections, through endpoints that come, stop listening and leave."""
    async with played() as (scene, _):
        address = scene.service()
        stable = [await scene.speaker("a"), await scene.speaker("b")]
        scene.slice(*stable)
        await scene.settled()
        said: list[str] = []

        async def ask() -> None:
            while not done:
                said.append(await scene.ask(address))

        async def go_on() -> None:
            """Until some have asked since."""
            before = len(said)
            await until(lambda: len(said) >= before + 2)

        done: list[bool] = []
        asking = [asyncio.ensure_future(ask()) for _ in range(4)]
        for turn in range(30):
            word = f"c{turn}"
            extra = await scene.speaker(word)
            scene.slice(*stable, extra)
            await go_on()
            scene.kill(word)  # killed before its slice says so
            await go_on()
            scene.slice(*stable)
        done.append(True)
        await asyncio.gather(*asking)
        assert {REFUSED, SILENT} & set(said) == set()
        broken = said.count(RESET)  # had been accepted by what was killed
        assert broken <= 30
        assert len(said) > 100


async def test_two_services_on_one_address_the_older_has_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played() as (scene, _):
        inside = str(scene.ground.ranges.outside[7])
        scene.service("old", externalIPs=[inside])
        scene.service("new", externalIPs=[inside])
        scene.slice(await scene.speaker("a"), service="old")
        scene.slice(await scene.speaker("b"), service="new")
        await scene.settled()
        assert await scene.ask(inside) == "a"
        scene.storage.delete(SERVICES, "default", "old")
        await scene.settled()
        assert await scene.ask(inside) == "b"
    told = [one for one in caplog.messages if "default/old, which is older" in one]
    assert len(told) == 1


async def test_an_address_that_is_not_the_labs_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played() as (scene, _):
        address = scene.service(externalIPs=["1.1.1.1"])
        pod = await scene.speaker("a")
        for _ in range(3):
            scene.slice(pod)
            scene.slice(pod, pod_ip())
            await scene.settled()
        assert await scene.ask(address) == "a"
    told = [one for one in caplog.messages if "1.1.1.1:8080/TCP" in one]
    assert len(told) == 1
    assert "for spec.externalIPs take one of 127." in told[0]


async def test_a_place_that_another_program_has_is_told_of_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played() as (scene, proxy):
        inside = str(scene.ground.ranges.outside[9])
        with socket.socket() as other:
            other.bind((inside, PORT))
            scene.service(externalIPs=[inside])
            scene.slice(await scene.speaker("a"))
            await scene.settled()
            assert any("another program has that address" in one for one in caplog.messages)
        scene.service("other")
        await until(lambda: not proxy._failed)
        assert await scene.ask(inside) == "a"


async def test_what_the_dns_server_has_is_left_to_it() -> None:
    address = cluster_ip()
    async with played(kept={(address, 53, "UDP")}) as (scene, proxy):
        scene.service(clusterIP=address, ports=[{"port": 53, "protocol": "UDP"}])
        scene.slice("127.244.1.1", ports=[{"port": 53, "protocol": "UDP", "name": ""}])
        await scene.settled()
        assert proxy.behind(address, 53, "UDP") == [("127.244.1.1", 53)]
        assert not scene.ground.listeners.open


async def test_whoever_wants_is_told_of_changes_and_of_what_is_behind() -> None:
    async with played() as (scene, proxy):
        told: list[list[tuple[str, int]]] = []
        proxy.changed.append(lambda places: told.extend(proxy.behind(*place) for place in places))
        scene.service()
        scene.slice("127.244.1.1")
        await scene.settled()
        scene.slice()
        await scene.settled()
        assert [("127.244.1.1", PORT)] in told
        assert told[-1] == []


async def test_another_past_is_taken_for_what_it_is() -> None:
    async with played() as (scene, _):
        address = scene.service()
        before, version = scene.storage.dump(), scene.storage.version
        scene.slice(await scene.speaker("a"))
        await scene.settled()
        assert await scene.ask(address) == "a"
        scene.storage.load([(one, item.object) for one, item in before], version)
        await scene.settled()
        assert await scene.ask(address) == REFUSED
        scene.slice(await scene.speaker("b"))
        await scene.settled()
        assert await scene.ask(address) == "b"


async def test_a_load_balancer_may_be_for_some_networks_only() -> None:
    async with played() as (scene, proxy):
        inside = str(scene.ground.ranges.outside[5])
        scene.service(type="LoadBalancer", loadBalancerSourceRanges=["127.244.5.0/24", "odd"])
        found = scene.storage.get(SERVICES, "default", "web")
        status = {"loadBalancer": {"ingress": [{"ip": inside}]}}
        scene.storage.update(SERVICES, "default", "web", {**found, "status": status}, part="status")
        scene.slice(await scene.speaker("a"))
        await scene.settled()
        assert await scene.ask(inside, source=pod_ip(5)) == "a"
        stranger = pod_ip(6)
        scene.policy.forbidden = {(stranger, "")}  # so that the client does not wait for long
        assert await scene.ask(inside, source=stranger) == SILENT
        assert proxy.board.connections_of["default/web"] == 2


async def test_a_node_port_with_a_local_policy_serves_what_is_on_the_node() -> None:
    async with played() as (scene, _):
        nodes = {name: f"127.18.{CHANCE.randrange(1, 255)}.{at}" for at, name in enumerate("ab", 1)}
        for at, (name, address) in enumerate(nodes.items(), 1):
            scene.node(name, address, f"127.244.{at}.0/24")
        ports = [{"port": PORT, "protocol": "TCP", "nodePort": 30080}]
        scene.service(type="NodePort", ports=ports, externalTrafficPolicy="Local")
        one = await scene.speaker("one", node=1)
        scene.slice(endpoint(one, ready=True, node="a"))
        await scene.settled()
        assert await scene.ask(nodes["a"], 30080) == "one"
        assert await scene.ask(nodes["b"], 30080, source=pod_ip(1)) == "one", "a pod"
        stranger = str(scene.ground.ranges.outside[3])
        scene.policy.forbidden = {(stranger, "")}
        assert await scene.ask(nodes["b"], 30080, source=stranger) == SILENT


async def test_without_files_connections_wait_and_are_served_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played() as (scene, _):
        address = scene.service()
        scene.slice(await scene.speaker("a"))
        await scene.settled()
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as client:
            client.connect(scene.place(address, PORT))  # the loop does not turn meanwhile
            client.setblocking(False)
            with socket.socket() as last:
                resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno(), before[1]))
            try:
                await until(lambda: any("cannot accept" in one for one in caplog.messages))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            async with asyncio.timeout(10):
                assert await asyncio.get_running_loop().sock_recv(client, 2) == b"a\n"


async def test_who_looks_at_a_new_listener_may_ask_for_its_rule() -> None:
    async with played() as (scene, proxy):
        seen: list[int] = []

        def look(listener: Listener) -> None:
            rule = proxy.board.rule_at(Place(listener.address, listener.port, listener.transport))
            if rule:
                seen.append(len(rule.endpoints))

        addresses = [scene.service(name) for name in ("web", "api", "old")]
        pod = await scene.speaker("a")
        scene.ground.listeners.told.append(look)
        for name in ("web", "api", "old"):
            scene.slice(pod, service=name)
        await scene.settled()
        assert seen == [1, 1, 1]
        assert [await scene.ask(one) for one in addresses] == ["a"] * 3


async def test_many_services_open_in_turns_and_one_that_makes_no_sense_hurts_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played() as (scene, proxy):
        pod = await scene.speaker("a")
        addresses = [scene.service(f"s{number}") for number in range(60)]
        for number in range(60):
            scene.slice(pod, service=f"s{number}")
        odd = {"metadata": {"name": "odd"}, "status": {"addresses": 7}}
        scene.storage.create(NODES, "", {"metadata": {"name": "odd"}})
        proxy._events.append((NODES, Event("MODIFIED", Item(odd, 1), None)))
        await until(lambda: len(proxy._fronts) == len(set(addresses)))
        assert await scene.ask(addresses[-1]) == "a"
    assert any("node odd makes no sense" in one for one in caplog.messages)


async def test_nodes_say_by_how_much_ports_are_shifted() -> None:
    async with played() as (scene, _):
        scene.ground.offset = 20000
        scene.node("a", "127.18.0.11")
        await scene.settled()
        found = scene.storage.get(NODES, "", "a")
        assert found["metadata"]["annotations"]["lab.kdns.io/port-offset"] == "20000"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "take one from 1024 on"),
        (errno.EMFILE, "raise the limit"),
        (errno.EIO, "Input/output error"),
    ],
)
async def test_why_nothing_listens_is_said_with_what_to_do(
    number: int, said: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no")

    async with played() as (scene, _):
        pod = await scene.speaker("a")
        monkeypatch.setattr(scene.ground, "listen", refuse)
        scene.service()
        scene.slice(pod)
        await scene.settled()
        monkeypatch.undo()
    assert any(said in one for one in caplog.messages)


async def test_an_endpoint_that_left_while_another_was_tried_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with played() as (scene, proxy):
        address = scene.service()
        pods = sorted([await scene.speaker("a"), await scene.speaker("b")], key=ip_address)
        gone = "127.244.1.1"  # the least, so the first
        scene.slice(gone, *pods)
        await scene.settled()
        connect = proxy.board.dial.connect

        async def slow(found: Endpoint, source: str = "") -> socket.socket:
            if found.address == gone:
                scene.slice(pods[1])
            return await connect(found, source)

        monkeypatch.setattr(proxy.board.dial, "connect", slow)
        last = scene.ground.stand_of(pods[1])
        assert last
        assert f"default/{await scene.ask(address)}" == last.name


async def test_services_leave_files_for_the_rest_of_the_lab(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (9, 9))
    async with played() as (scene, _):
        pod = await scene.speaker("a")
        ports = [{"name": f"p{one}", "port": PORT + one} for one in range(5)]
        address = scene.service(ports=ports)
        scene.slice(pod, ports=[{**one, "port": PORT, "protocol": "TCP"} for one in ports])
        await scene.settled()
        tried = [(address, PORT + one) for one in range(5)]
        assert sum(one in scene.ground._indexed.at for one in tried) == 3
    assert sum("raise the limit" in one for one in caplog.messages) == 2
