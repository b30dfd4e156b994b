"""What can be attached to: programs of pods that the kubelet has started, as doors see them."""

from collections.abc import AsyncIterator
from typing import Protocol


class Console(Protocol):
    """A program that runs, its output and its input."""

    is_terminal: bool
    has_input: bool

    def follow(self) -> AsyncIterator[tuple[int, bytes]]:
        """What it writes, as (1 for stdout or 2 for stderr, octets), until it ends."""

    async def write(self, octets: bytes, /) -> None:
        """Gives it input; raises BrokenPipeError when it takes none."""

    def end_input(self) -> None:
        """No more input."""

    def resize(self, rows: int, columns: int, /) -> None:
        """A new size of its terminal."""

    async def ended(self) -> int:
        """Its exit code."""


class Consoles(Protocol):
    """All of them."""

    def find(self, uid: str, container: str, /) -> Console | None:
        """That of a container; None when none runs in it."""
