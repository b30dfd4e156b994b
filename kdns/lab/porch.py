"""Node ports on 127.0.0.1 of the machine, so that a browser there reaches http://127.0.0.1:30080.

Each TCP and UDP node port that a service has is opened there, as far as it is free, and led to the
first node's.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

from kdns.lab.controllers.bodies import name_of, namespace_of, spec_of, status_of
from kdns.lab.errors import ApiError, Obj
from kdns.lab.ground.base import Ground, Transport
from kdns.lab.ground.relay import Target, carry
from kdns.lab.history import Event
from kdns.lab.proxy.slices import canonical
from kdns.lab.resources import NODES, SERVICES
from kdns.lab.storage import Key, Storage

HERE = "127.0.0.1"
MOST = 256
_LOG = logging.getLogger("kdns.lab")
_CARRIED: dict[str, Transport] = {"TCP": "TCP", "UDP": "UDP"}
_Door = tuple[int, Transport]


class Porch:
    """The node ports that lead in."""

    def __init__(
        self,
        storage: Storage,
        ground: Ground,
        opener: Callable[[str, int, Transport], socket.socket],
    ) -> None:
        self._storage = storage
        self._ground = ground
        self._opener = opener
        self._wanted: dict[Key, frozenset[_Door]] = {}
        self._open: dict[_Door, asyncio.Task[None]] = {}
        self._refused: set[_Door] = set()

    async def run(self) -> None:
        """Follows the services until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                watch = self._storage.watch(SERVICES)
                self._wanted.clear()
                try:
                    while True:
                        for event in await watch.batch():
                            self._note(event)
                        self._settle(group)
                except ApiError:  # it fell behind: all are looked at again
                    continue

    def _note(self, event: Event) -> None:
        key = namespace_of(event.object), name_of(event.object)
        doors = frozenset() if event.type == "DELETED" else _doors(event.object)
        if doors:
            self._wanted[key] = doors
        else:
            self._wanted.pop(key, None)

    def _settle(self, group: asyncio.TaskGroup) -> None:
        wanted = {door: key for key, doors in self._wanted.items() for door in doors}
        for door in self._open.keys() - wanted.keys():
            self._open.pop(door).cancel()
        self._refused &= wanted.keys()
        for door, key in wanted.items():
            if door not in self._open and door not in self._refused and len(self._open) < MOST:
                self._lead(door, key, group)

    def _lead(self, door: _Door, key: Key, group: asyncio.TaskGroup) -> None:
        port, transport = door
        node = self._node()
        try:
            outside = self._opener(HERE, port, transport)
        except OSError as error:
            self._refused.add(door)
            words = "node port %d of %s is not opened on %s: %s"
            _LOG.warning(words, port, "/".join(key), HERE, error.strerror)
            return
        _LOG.info("%s:%d leads to node port %d of %s", HERE, port, port, "/".join(key))
        self._open[door] = group.create_task(carry(outside, Target(self._ground, node, port)))

    def _node(self) -> str:
        for node in self._storage.list(NODES):
            for one in status_of(node).get("addresses") or ():
                if one.get("type") == "InternalIP" and (address := canonical(one.get("address"))):
                    return address
        return str(self._ground.ranges.nodes[11])


def _doors(service: Obj) -> frozenset[_Door]:
    return frozenset(
        (int(port["nodePort"]), _CARRIED[port["protocol"]])
        for port in spec_of(service).get("ports") or ()
        if port.get("nodePort") and port.get("protocol") in _CARRIED
    )
