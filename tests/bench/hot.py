"""A steady load on hot names from a process of its own, timed by the kernel as replies come in.

The moment of arrival is the kernel's (SO_TIMESTAMPNS), so what the generator itself is late to read
is not counted against the server.
"""

import multiprocessing
import socket
import struct
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType

import dns.message

SO_TIMESTAMPNS = 35
RATE = 5000
GIVEN_UP_S = 2.0


class Hot:
    """Asks so many questions a second from entry to exit; then the figures are there."""

    def __init__(self, port: int, names: list[str], rate: int = RATE) -> None:
        self.times: list[float] = []
        self.lost = 0
        self._ours, theirs = multiprocessing.get_context("spawn").Pipe()
        packets = [dns.message.make_query(name, "A", use_edns=0).to_wire() for name in names]
        self._process = multiprocessing.get_context("spawn").Process(
            target=_run, args=(port, packets, rate, theirs), daemon=True
        )

    def __enter__(self) -> "Hot":
        self._process.start()
        self._ours.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._ours.send(None)
        if kind is None:
            self.times, self.lost = self._ours.recv()
            self.times.sort()
        self._process.join()

    def percentile(self, percent: float) -> float:
        """Milliseconds that so many of a hundred answered questions took at most."""
        return self.times[min(len(self.times) - 1, int(len(self.times) * percent / 100))] * 1000


def _run(port: int, packets: list[bytes], rate: int, control: Connection) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    sent: dict[int, float] = {}
    times: list[float] = []
    lost = number = 0
    began = time.monotonic()
    control.send(None)
    until: float | None = None
    while until is None or (sent and time.monotonic() < until):
        if until is None and control.poll():
            until = time.monotonic() + GIVEN_UP_S
        while until is None and number < (time.monotonic() - began) * rate:
            number = number + 1
            id_ = number & 0xFFFF
            lost += id_ in sent
            sent[id_] = time.time()
            with suppress(OSError):
                sock.send(struct.pack("!H", id_) + packets[number % len(packets)][2:])
        _drain(sock, sent, times)
        time.sleep(0.0005)
    control.send((times, lost + len(sent)))


def _drain(sock: socket.socket, sent: dict[int, float], times: list[float]) -> None:
    while True:
        try:
            wire, extra, _, _ = sock.recvmsg(2048, 64)
        except OSError:
            return
        asked = sent.pop(int.from_bytes(wire[:2], "big"), None)
        if asked is not None:
            seconds, nanos = struct.unpack("qq", extra[0][2][:16])
            times.append(max(seconds + nanos / 1e9 - asked, 0.0))
