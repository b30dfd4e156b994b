"""Replies become packets on one socket; those the kernel has no room for wait their turn."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from kdns.plugins.shed import Shed
from kdns.server.peers import Ancillary, Peer, from_local
from kdns.server.pipeline import Pipeline


class Outbox:
    """What leaves a UDP socket one by one."""

    def __init__(
        self, sock: socket.socket, pipeline: Pipeline, emptied: Callable[[], None]
    ) -> None:
        self.waiting: deque[tuple[bytes, Peer, Ancillary]] = deque()
        """Replies without room, the first to go first; `emptied` is called when they have gone."""
        self._sock = sock
        self._pipeline = pipeline
        self._emptied = emptied
        self._loop = asyncio.get_running_loop()

    def send(self, reply: bytes, peer: Peer, ancillary: Ancillary) -> None:
        """Sends a reply now, or when there is room."""
        if self.waiting:
            self.keep(reply, peer, ancillary)
            return
        try:
            self._write(reply, peer, ancillary)
        except (BlockingIOError, InterruptedError):
            self.keep(reply, peer, ancillary)
        except OSError:
            self.fail()

    def keep(self, reply: bytes, peer: Peer, ancillary: Ancillary) -> None:
        """Sends a reply when there is room."""
        shed = self._pipeline.router.first(Shed) if self.waiting else None
        if shed is not None and not shed.takes(len(self.waiting)):
            return
        if not self.waiting:
            self._loop.add_writer(self._sock, self._flush)
        self.waiting.append((reply, peer, ancillary))

    def fail(self, count: int = 1) -> None:
        """Counts replies that could not be sent."""
        self._pipeline.counters.add("kdns_send_failures_total", "udp", by=count)

    def close(self) -> None:
        """Gives up what waits."""
        self._loop.remove_writer(self._sock)

    def _write(self, reply: bytes, peer: Peer, ancillary: Ancillary) -> None:
        if ancillary:
            self._sock.sendmsg([reply], from_local(ancillary), 0, peer)
        else:
            self._sock.sendto(reply, peer)

    def _flush(self) -> None:
        while self.waiting:
            try:
                self._write(*self.waiting[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.fail()
            self.waiting.popleft()
        self._loop.remove_writer(self._sock)
        self._emptied()
