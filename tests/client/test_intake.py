"""Datagrams that wait on a connected socket come in whole and in order, however many there are."""

import socket

import pytest

from kdns.client import intake
from kdns.client.intake import Intake


@pytest.fixture
def pair():
    with socket.socket(type=socket.SOCK_DGRAM) as theirs, connected() as ours:
        theirs.bind(("127.0.0.1", 0))
        ours.connect(theirs.getsockname())
        theirs.connect(ours.getsockname())
        yield theirs, ours


def connected() -> socket.socket:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


@pytest.fixture(params=["together", "one-by-one"])
def way(request, monkeypatch):
    if request.param == "one-by-one":
        monkeypatch.setattr(intake, "_fits", lambda: False)


def drained(reader: Intake, sock: socket.socket) -> list[bytes]:
    found = []
    while messages := reader.read(sock):
        found += messages
    return found


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("sizes", [[], [20], [0, 20], [12, 65507, 1, 4097], [30] * 70])
def test_all_come_in_order_and_whole(pair, sizes):
    theirs, ours = pair
    packets = [bytes([at]) * size for at, size in enumerate(sizes)]
    for packet in packets:
        theirs.send(packet)
    assert drained(Intake(), ours) == packets


@pytest.mark.usefixtures("way")
def test_what_is_read_stays_when_the_next_is_read(pair):
    theirs, ours = pair
    reader = Intake()
    theirs.send(b"first")
    kept = drained(reader, ours)
    theirs.send(b"other")
    assert drained(reader, ours) == [b"other"]
    assert kept == [b"first"]


@pytest.mark.usefixtures("way")
def test_a_closed_port_is_an_error_once(pair):
    theirs, ours = pair
    reader = Intake()
    theirs.close()
    ours.send(b"anybody?")
    with pytest.raises(ConnectionRefusedError):
        reader.read(ours)
    assert reader.read(ours) == []


def test_they_come_together_where_the_system_is_known(pair):
    if not intake._fits():
        pytest.skip("recvmmsg is not as we know it")
    theirs, ours = pair
    for _ in range(70):
        theirs.send(b"x" * 30)
    reader = Intake()
    assert [len(reader.read(ours)) for _ in range(3)] == [64, 6, 0]
