"""UDP packets become replies: one socket, read in bounded batches whenever it is readable.

On a wildcard address the reply leaves from the address that was asked (IP_PKTINFO). A reply the
kernel has no room for waits its turn; a packet is only read while there is room for its reply.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Any

from kdns.plugins.base import Client
from kdns.server.drive import drive
from kdns.server.pipeline import Pipeline
from kdns.server.sockets import turn_away

BATCH = 64
"""Packets a wake-up may read before other sockets and timers get their turn."""
MAX_UNDERWAY = 10_000
"""Packets that may wait for an answer at once; beyond it, packets stay in the kernel's queue."""

_MAPPED = bytes(10) + b"\xff\xff"
_PKTINFO6 = struct.Struct("@16sI")
_PKTINFO4 = struct.Struct("@I4s4s")
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)

Peer = tuple[Any, ...]  # Any: an address tuple as the socket module gives it
Ancillary = list[tuple[int, int, bytes]]


def address_of(peer: Peer) -> bytes:
    """The packed address of a socket peer, IPv4-mapped ones as IPv4."""
    host: str = peer[0]
    if len(peer) == 2:
        return socket.inet_pton(socket.AF_INET, host)
    return _unmapped(socket.inet_pton(socket.AF_INET6, host.partition("%")[0]))


def _unmapped(packed: bytes) -> bytes:
    return packed[12:] if packed[:12] == _MAPPED else packed


class UdpListener:
    """One bound UDP socket and the pipeline behind it."""

    def __init__(self, sock: socket.socket, pipeline: Pipeline, clock: Callable[[], float]) -> None:
        self.sock = sock
        self.pipeline = pipeline
        self.clock = clock
        self.underway = 0
        self.heard_at = float("-inf")
        """When packets were last read."""
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[bytes, Peer, Ancillary]] = deque()
        self._is_reading = False
        self._is_in_batch = False
        self._stopped: asyncio.Future[None] | None = None
        host, port = sock.getsockname()[:2]
        self._local = ip_address(host).packed
        self._port = port
        self._is_wildcard = not any(self._local)
        if self._is_wildcard:
            _ask_for_local_addresses(sock)

    def start(self) -> None:
        """Begins to read."""
        self._is_reading = True
        self._loop.add_reader(self.sock, self._read)

    async def stop(self, grace_s: float) -> None:
        """Answers what is in the queue and under way, closes the socket.

        New packets go to whoever else listens on the port. Where nobody does they are refused, so
        that a client need not wait; at most half of the time goes to a queue that never empties.
        """
        turn_away(self.sock)
        began = self._loop.time()
        looks = 2  # the first may come before a packet that was on its way to this queue
        while looks and self._loop.time() - began < grace_s / 2:
            is_over = not self._read() and self._is_reading
            looks = looks - 1 if is_over else 2
            await asyncio.sleep(0 if self._is_reading else 0.01)
        self._pause()
        if self.underway or self._waiting:
            self._stopped = self._loop.create_future()
            left_s = began + grace_s - self._loop.time()
            await asyncio.wait([self._stopped], timeout=max(left_s, 0))
        self._loop.remove_writer(self.sock)
        self.sock.close()

    def _read(self) -> int:
        """Answers up to a batch of packets; says how many there were."""
        receive = self._receive_any if self._is_wildcard else self._receive
        recall = self.pipeline.recall
        observed = self.pipeline.router.is_observed
        now = self.clock()
        count = 0
        self._is_in_batch = True
        while count < BATCH:
            if self._waiting or self.underway >= MAX_UNDERWAY:
                self._pause()
                break
            try:
                packet, peer, ancillary = receive()
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                count += 1
                continue  # an ICMP error of an earlier reply; the next packet is not to blame
            count += 1
            reply = recall(packet, peer, now)
            if reply is None:
                self.underway += 1
                client = self._client(peer, ancillary)
                drive(
                    self.pipeline.respond(packet, client, now),
                    partial(self._answered, peer, ancillary),
                )
                continue
            if observed:
                client = self._client(peer, ancillary)
                self.pipeline.recalled(packet, peer, client, reply, now)
            self._send(reply, peer, ancillary)
        self._is_in_batch = False
        if count:
            self.heard_at = now
        self.pipeline.tell()
        return count

    def _receive(self) -> tuple[bytes, Peer, Ancillary]:
        packet, peer = self.sock.recvfrom(65535)
        return packet, peer, []

    def _receive_any(self) -> tuple[bytes, Peer, Ancillary]:
        packet, ancillary, _, peer = self.sock.recvmsg(65535, 128)
        return packet, peer, ancillary

    def _client(self, peer: Peer, ancillary: Ancillary) -> Client:
        local = self._local
        for level, kind, data in ancillary:
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                local = data[:16]
            elif level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                local = data[8:12]
        return Client(address_of(peer), peer[1], "udp", _unmapped(local), self._port)

    def _answered(self, peer: Peer, ancillary: Ancillary, reply: bytes | None) -> None:
        self.underway -= 1
        if reply is not None:
            self._send(reply, peer, ancillary)
        if self._is_in_batch:
            return
        if self._is_reading:
            self.pipeline.tell()
        else:
            self._resume()

    def _send(self, reply: bytes, peer: Peer, ancillary: Ancillary) -> None:
        if self._waiting:
            self._waiting.append((reply, peer, ancillary))
            return
        try:
            self._write(reply, peer, ancillary)
        except (BlockingIOError, InterruptedError):
            self._waiting.append((reply, peer, ancillary))
            self._loop.add_writer(self.sock, self._flush)
        except OSError:
            self.pipeline.counters.add("kdns_send_failures_total", "udp")

    def _write(self, reply: bytes, peer: Peer, ancillary: Ancillary) -> None:
        if ancillary:
            self.sock.sendmsg([reply], _from_local(ancillary), 0, peer)
        else:
            self.sock.sendto(reply, peer)

    def _flush(self) -> None:
        while self._waiting:
            try:
                self._write(*self._waiting[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.pipeline.counters.add("kdns_send_failures_total", "udp")
            self._waiting.popleft()
        self._loop.remove_writer(self.sock)
        self._resume()

    def _pause(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self.sock)

    def _resume(self) -> None:
        """Goes on reading when there is room again, or ends the stop when nothing is left."""
        self.pipeline.tell()
        if self._stopped is not None:
            if not self.underway and not self._waiting and not self._stopped.done():
                self._stopped.set_result(None)
        elif not self._waiting and self.underway < MAX_UNDERWAY:
            self.start()


def _ask_for_local_addresses(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def _from_local(ancillary: Ancillary) -> Ancillary:
    """Turns the received "sent to" into a "send from", the interface left to routing."""
    out: Ancillary = []
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            address, index = _PKTINFO6.unpack(data[:20])
            is_link_local = address[:2] == b"\xfe\x80"
            out.append((level, kind, _PKTINFO6.pack(address, index if is_link_local else 0)))
        elif level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            _, _, asked = _PKTINFO4.unpack(data[:12])
            out.append((level, kind, _PKTINFO4.pack(0, asked, bytes(4))))
    return out
