"""One UDP place: each client's address and port is a flow, with an endpoint of its own.

Flows end as conntrack's do: after 30 s of silence, 180 s once the endpoint has answered, and at
once when their endpoint leaves, so that the next packet goes to another. Replies leave from the
address that was asked.
"""

import asyncio
import socket
import time
from contextlib import suppress
from typing import Any

from kdns.lab.ground.base import Listener
from kdns.lab.proxy.board import Board, log
from kdns.lab.proxy.rules import Rule
from kdns.lab.proxy.slices import Endpoint
from kdns.lab.proxy.tcp import reason

IDLE_S = 30.0
STREAM_S = 180.0
SWEEP_S = 5.0
_AT_ONCE = 64
_LARGEST = 65535

Client = tuple[Any, ...]  # Any: a socket address, of two parts or (IPv6) four


class _Flow:
    """What one client has with one endpoint."""

    __slots__ = ("client", "endpoint", "has_reply", "socket", "used")

    def __init__(self, client: Client, endpoint: Endpoint, made: socket.socket, now: float) -> None:
        self.client = client
        self.endpoint = endpoint
        self.socket = made
        self.used = now
        self.has_reply = False

    def is_over(self, now: float) -> bool:
        """True when it has been silent for too long."""
        return now - self.used > (STREAM_S if self.has_reply else IDLE_S)


class UdpFront:
    """A socket and its flows."""

    def __init__(self, board: Board, rule: Rule, listener: Listener) -> None:
        self._board = board
        self._place = rule.place
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._flows: dict[Client, _Flow] = {}
        self._is_closed = False
        self._loop.add_reader(listener.socket.fileno(), self._receive)
        self._sweep: asyncio.TimerHandle | None = None

    def update(self, rule: Rule) -> None:
        """The rule has changed: flows of endpoints that left are closed."""
        there = {one.place for one in rule.endpoints}
        for flow in [one for one in self._flows.values() if one.endpoint.place not in there]:
            self._drop(flow)

    def close(self) -> None:
        """Listens no more; who asks is told that the port is unreachable."""
        self._is_closed = True
        if self._sweep:
            self._sweep.cancel()
        for flow in list(self._flows.values()):
            self._drop(flow)
        self._loop.remove_reader(self._listener.socket.fileno())
        self._board.dial.ground.listeners.close(self._listener)

    async def end(self) -> None:
        """Nothing is left to end."""

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                packet, client = self._listener.socket.recvfrom(_LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # what an earlier reply met on its way
                continue
            rule = self._board.rule_at(self._place)
            if self._is_closed:
                return
            flow = self._flows.get(client) or (rule and self._begin(rule, client))
            if flow:
                self._send(flow, packet)

    def _begin(self, rule: Rule, client: Client) -> _Flow | None:
        board, host = self._board, client[0]
        order = board.order(rule, host)
        if not order or not board.allows(host, order[0], "UDP") or not board.flows.take(host):
            return None
        for endpoint in order:
            try:
                made = board.dial.flow(endpoint, host)
            except OSError as error:
                why = f"{endpoint.address}:{endpoint.port}: {reason(error)}"
                continue
            board.connections_of[rule.service] += 1
            board.keep(rule, host, endpoint)
            flow = self._flows[client] = _Flow(client, endpoint, made, time.monotonic())
            self._loop.add_reader(made.fileno(), self._reply, flow)
            self._sweep = self._sweep or self._loop.call_later(SWEEP_S, self._forget)
            return flow
        board.flows.leave(host)
        board.failures_of[rule.service] += 1
        count = board.failures_of[rule.service]
        if not count & (count - 1):
            words = "kube-proxy: %s:%d: no endpoint of %s can be sent to (%s)"
            log.warning(words, self._place.address, self._place.port, rule.service, why)
        return None

    def _send(self, flow: _Flow, packet: bytes) -> None:
        flow.used = time.monotonic()
        try:
            flow.socket.send(packet)
        except (BlockingIOError, InterruptedError):
            return  # its queue is full; packets may be lost
        except OSError:  # nothing listens there: the next packet may find another endpoint
            self._drop(flow)

    def _reply(self, flow: _Flow) -> None:
        for _ in range(_AT_ONCE):
            try:
                packet = flow.socket.recv(_LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._drop(flow)
                return
            flow.used, flow.has_reply = time.monotonic(), True
            with suppress(OSError):  # a client that is gone, or one that is slow
                self._listener.socket.sendto(packet, flow.client)

    def _drop(self, flow: _Flow) -> None:
        if self._flows.pop(flow.client, None) is None:
            return
        self._loop.remove_reader(flow.socket.fileno())
        flow.socket.close()
        self._board.flows.leave(flow.client[0])

    def _forget(self) -> None:
        now = time.monotonic()
        for flow in [one for one in self._flows.values() if one.is_over(now)]:
            self._drop(flow)
        self._sweep = self._loop.call_later(SWEEP_S, self._forget) if self._flows else None
