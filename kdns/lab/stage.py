"""What a played lab has beside its API; the parts know each other by these few words only.

`Lab` makes a Stage when it is played. The API asks it for logs and for commands in pods, the
kubelet for the place and the inside of a pod, the proxy for its ground and whether a connection may
be made.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from kdns.lab.calls import Call
from kdns.lab.controllers.desk import Desk
from kdns.lab.controllers.work import Controller
from kdns.lab.errors import Obj
from kdns.lab.ground.base import Entry, Ground, Transport
from kdns.lab.ranges import USUAL, Ranges
from kdns.lab.storage import Storage
from kdns.lab.tokens import Tokens

ADMIN_ONLY = "pods are open to the admin of the lab only"


class Insides(Protocol):
    """What a command finds in a pod: environment and files, made when the pod starts."""

    def prepare(self, pod: Obj) -> None:
        """Makes them for a pod that has its addresses; the services of this moment count."""

    def drop(self, uid: str) -> None:
        """Forgets them, and removes the files."""

    def entry(self, pod: Obj, container: str, command: tuple[str, ...]) -> Entry:
        """What runs a command in a container ("" for the first); raises LookupError."""


class Logs(Protocol):
    """What the programs in pods have written."""

    async def reply(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """`GET …/pods/NAME/log` with its options; raises ApiError."""


class Doors(Protocol):
    """Ways into pods."""

    async def reply(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """`…/pods/NAME/exec`, `attach` and `portforward`, of the admin, whom the API is sure of."""


class Policies(Protocol):
    """NetworkPolicies."""

    def allows(self, source: str, target: str, port: int, transport: Transport) -> bool:
        """Whether the one address may connect to a port (of the pod's own) of the other."""


class _Open:
    """No policies."""

    def allows(self, source: str, target: str, port: int, transport: Transport) -> bool:
        """Everything is allowed."""
        del source, target, port, transport
        return True


@dataclass(slots=True)
class Stage:
    """All of it."""

    ground: Ground
    insides: Insides
    logs: Logs
    doors: Doors
    kubelet: Callable[[Desk], Controller]
    """Makes who plays the pods, again when the lab is restored."""
    policies: Policies = field(default_factory=_Open)


@dataclass(frozen=True, slots=True)
class Staging:
    """How a lab comes to be played."""

    stage: Callable[[Storage, Tokens], Stage]
    openings: Sequence[Callable[[int], socket.socket]]
    """Each makes a listening socket for the API, the first on this port, which its url names."""
    ranges: Ranges = USUAL
