"""What a server does not decide alone where several processes serve as one; here it is alone.

`workers.kin` has the other kind. The service asks before it opens sockets and before it changes
over to another Corefile, and has HTTP addresses opened for it.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Protocol

from kdns.plugins.base import Endpoint, Plugin
from kdns.server.http import Address, HttpListener, Offer

if TYPE_CHECKING:
    from kdns.server.assembly import Assembly

log = logging.getLogger("kdns.multisocket")


class Door(Protocol):
    """An HTTP address that is open."""

    port: int
    routes: dict[str, Endpoint]

    async def start(self) -> None:
        """Begins to serve there, the first time."""

    async def stop(self, grace_s: float) -> None:
        """Serves there no more."""


class Siblings:
    """The other workers: none."""

    def __init__(self, count: int = 1, *, is_fixed: bool = False) -> None:
        self._count = count
        self._is_fixed = is_fixed

    async def may_open(self, plugins: Iterable[Plugin]) -> None:
        """Returns when sockets may be opened for the first time."""

    def port_of(self, address: Address) -> int:
        """The port to bind for an address of the Corefile."""
        return address[1]

    def shared(self, _ports: Iterable[int]) -> set[int]:
        """Those ports that others of us have open, too."""
        return set()

    async def open(self, address: Address, offer: Offer, ours: Collection[int]) -> Door:
        """Opens an HTTP address; raises StartError."""
        return HttpListener(address, offer, ours)

    async def agree(self, assembly: "Assembly") -> None:
        """Returns when everybody can serve a Corefile; raises StartError where not all can."""
        count = wanted(assembly, log.warning)
        if count != self._count and not self._is_fixed:
            log.warning(
                "the Corefile says %d workers and %d serve: their number changes when kdns is"
                " started again",
                count, self._count,
            )  # fmt: skip


def wanted(assembly: "Assembly", warn: Callable[[str], None]) -> int:
    """How many workers a Corefile asks for: the most that any of its listeners does.

    CoreDNS: of the blocks on a listener, the first one counts. `warn` is told of others.
    """
    counts = [1]
    unheeded: dict[str, None] = {}
    for router in assembly.routers.values():
        said = [_said(block.plugins) for block in router.blocks]
        first, _ = said[0]
        counts.append(first)
        unheeded |= dict.fromkeys(where for count, where in said[1:] if where and count != first)
    for where in unheeded:
        warn(f"{where}: multisocket: does nothing, the first block of a listener says how many")
    return max(counts)


def _said(plugins: Iterable[Plugin]) -> tuple[int, str]:
    """How many workers a block asks for, and where it does."""
    for one in plugins:
        if one.name == "multisocket":
            word = one.settings.word
            return getattr(one, "count", 1), f"{word.file}:{word.line}"
    return 1, ""
