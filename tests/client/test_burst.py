"""Datagrams of one turn of the loop leave together, in order, whatever their size and number."""

import asyncio
import socket

import pytest

from kdns.client import burst
from kdns.client.burst import Burst


class Sender:
    """A connected socket with something to send."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.out: list[bytes] = []
        self.failed: list[OSError] = []

    def fail(self, error: OSError) -> None:
        self.failed.append(error)


@pytest.fixture
def pair():
    with socket.socket(type=socket.SOCK_DGRAM) as theirs, connected() as ours:
        theirs.bind(("127.0.0.1", 0))
        ours.connect(theirs.getsockname())
        theirs.setblocking(False)
        yield theirs, ours


def connected() -> socket.socket:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


def heard(sock: socket.socket) -> list[bytes]:
    out = []
    while True:
        try:
            out.append(sock.recv(65535))
        except BlockingIOError:
            return out


@pytest.fixture(params=["together", "one-by-one"])
def way(request, monkeypatch):
    if request.param == "one-by-one":
        monkeypatch.setattr(burst, "_fits", lambda: False)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("sizes", [[20], [20, 30], [20, 4096, 21, 5000, 22], [12] * 150])
async def test_all_arrive_in_order_after_this_turn(pair, sizes):
    theirs, ours = pair
    sender, sending = Sender(ours), Burst(asyncio.get_running_loop(), lambda: None)
    packets = [bytes([at]) * size for at, size in enumerate(sizes)]
    sending.enlist(sender)
    sender.out += packets
    assert heard(theirs) == []
    await asyncio.sleep(0)
    assert heard(theirs) == packets
    assert not sender.out
    assert not sender.failed


@pytest.mark.usefixtures("way")
async def test_an_error_is_told_to_the_one_it_is_of(pair):
    theirs, ours = pair
    good, bad = Sender(ours), Sender(connected())
    sending = Burst(asyncio.get_running_loop(), lambda: None)
    for sender in (bad, good):
        sending.enlist(sender)
        sender.out += [b"one", b"two"]
    await asyncio.sleep(0)
    assert heard(theirs) == [b"one", b"two"]
    assert len(bad.failed) == 1
    assert not good.failed
    bad.socket.close()
