"""Trying a port tells open, refused and silent apart, over TCP and as far as UDP tells."""

import asyncio
import socket
from contextlib import contextmanager

import pytest

from kdns.explain import connect as room
from kdns.explain.connect import connect
from tests.running import free_port


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(b"?", addr)


@contextmanager
def full(host: str = "127.0.0.1"):
    """A listener whose queue is full: nobody answers who comes now."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex((host, port))
        yield port
        for one in waiting:
            one.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_open_tcp_port_connects(host):
    server = await asyncio.start_server(lambda _, writer: writer.close(), host, 0)
    port = server.sockets[0].getsockname()[1]
    found = await connect(host, port, "TCP")
    server.close()
    await server.wait_closed()
    assert (found.address, found.port, found.protocol, found.is_open) == (host, port, "TCP", True)
    assert found.outcome.startswith("connected in ")
    assert found.outcome.endswith(" ms")


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_a_closed_port_refuses(protocol):
    found = await connect("127.0.0.1", free_port(), protocol)
    assert (found.outcome, found.is_open) == ("refused", False)


async def test_silence_is_no_answer(monkeypatch):
    monkeypatch.setattr(room, "TCP_S", 0.2)
    with full() as port:
        found = await connect("127.0.0.1", port)
    assert (found.outcome, found.is_open) == ("no answer within 0.2 s", False)


async def test_what_cannot_be_reached_says_why():
    found = await connect("fe80::1", 80)
    assert not found.is_open
    assert found.outcome
    assert "\n" not in found.outcome


async def test_udp_that_answers_is_open():
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
    found = await connect("127.0.0.1", server.get_extra_info("sockname")[1], "udp")
    server.close()
    assert found.protocol == "UDP"
    assert found.is_open
    assert found.outcome.startswith("answered in ")


async def test_udp_that_is_silent_was_not_refused(monkeypatch):
    monkeypatch.setattr(room, "UDP_S", 0.1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        found = await connect("127.0.0.1", mute.getsockname()[1], "UDP")
    assert found.is_open
    assert found.outcome == "not refused within 0.1 s, which is all that UDP tells"


async def test_other_protocols_are_not_tried():
    found = await connect("127.0.0.1", 1, "SCTP")
    assert (found.outcome, found.is_open) == ("not tried: SCTP is neither TCP nor UDP", False)
