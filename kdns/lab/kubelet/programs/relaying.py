"""A DNS pod of the lab: what comes to its ports goes on to the DNS server, which stands elsewhere.

The server sees who asks, as it would in the pod. Health and metrics go there, too, if something
listens.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from kdns.lab.ground.base import Listener, Transport
from kdns.lab.ground.relay import Target, carry
from kdns.lab.kubelet.programs.base import Exit, Role
from kdns.lab.kubelet.programs.serving import listening

log = logging.getLogger("kdns.lab")

_DNS = 53
DEFAULTS: tuple[tuple[int, Transport], ...] = (
    (53, "UDP"), (53, "TCP"), (9153, "TCP"), (8080, "TCP"), (8181, "TCP"),
)  # fmt: skip
"""Where the manifest declares no ports: DNS, metrics, health, ready."""


class Relay:
    """The relay of one container."""

    def __init__(self, role: Role, ports: Sequence[tuple[int, Transport]]) -> None:
        self._role = role
        self._ports = ports
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, ended: Callable[[Exit], None]) -> None:
        """Listens on its ports; raises OSError."""
        del ended  # it relays until it is stopped
        ground = self._role.ground
        for port, transport in self._ports:
            host = ground.ranges.dns if port == _DNS else ground.ranges.server
            target = Target(ground, host, port, is_open=True)
            for listener in listening(self._role, port, transport):
                self._listeners.append(listener)
                # a socket of its own: the task closes it when it has been cancelled, not before
                own = listener.socket.dup()
                own.setblocking(False)
                task = asyncio.get_running_loop().create_task(carry(own, target))
                task.add_done_callback(self._done)
                self._tasks.append(task)

    def terminate(self) -> None:
        """Goes on, so that questions can be answered."""

    def stop(self) -> None:
        """Ends all connections and forgets who waits."""
        for task in self._tasks:
            task.cancel()
        for one in self._listeners:
            self._role.ground.listeners.close(one)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("kubelet: %s: the relay to the DNS server failed: %r", self._role.name, error)
