"""Manifests too large to be read beside a server's loop are read in a process of their own.

perf: with 14 MB of them a thread had the interpreter half of the time for 3 s, queries waited 5 ms
each (up to 180 ms), and 80 MB stayed. The process is asked for what has to do with some names. It
ends when nobody asked for IDLE_S.
"""

import asyncio
import gc
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import IO, Final

import msgspec

from kdns.explain.asking import POD_PAGE
from kdns.explain.excerpt import excerpt
from kdns.explain.facts import Facts, NamespaceFact, PodFact, PolicyFact, ServiceFact, SliceFact
from kdns.explain.gather import Unreadable, alone
from kdns.explain.gather_live import lost
from kdns.explain.wanted import Wanted
from kdns.server.workers.command import module

IDLE_S: Final = 60.0
NICE: Final = 5
"""The server goes first."""
_HEAD: Final = 4


class _Part(msgspec.Struct, frozen=True):
    """Facts without pods, which follow in pieces."""

    now: str
    namespaces: Mapping[str, NamespaceFact]
    services: Mapping[str, ServiceFact]
    slices: Mapping[str, tuple[SliceFact, ...]]
    policies: Mapping[str, tuple[PolicyFact, ...]]
    unknown: Mapping[str, str]
    derived: frozenset[str]
    skipped: tuple[str, ...]
    spaces: tuple[str, ...]
    """Those whose pods are known, be there none."""


_ENCODER = msgspec.msgpack.Encoder()
_NAMES = msgspec.msgpack.Decoder(list[str])
_WANTED = msgspec.msgpack.Decoder(Wanted)
_PART = msgspec.msgpack.Decoder(_Part)
_PODS = msgspec.msgpack.Decoder(tuple[PodFact, ...])


# In the server


class Aside:
    """Files in a process of their own, which begins with the first question."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._seen: object = None
        self._begun: asyncio.Future[Process] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._closing: asyncio.Future[None] | None = None

    async def facts(self, names: Sequence[str], seen: object, found: Wanted) -> Facts:
        """What these files say around something; they are read again when `seen` is another."""
        async with self._turn:
            if self._begun is None or self._seen != seen:
                await self._end()
                self._seen, self._begun = seen, asyncio.ensure_future(_begin(names))
            self._rest()
            try:
                # Who gives up waiting for a process that reads leaves it to who asks next.
                child = await asyncio.shield(self._begun)
                return await self._told(child, found)
            except (OSError, EOFError) as error:
                await self._end()
                why = f"the process that reads them ended ({type(error).__name__})"
                return lost(f"the manifests: {why}", ())

    async def close(self) -> None:
        """Ends the process."""
        async with self._turn:
            await self._end()

    async def _told(self, child: Process, found: Wanted) -> Facts:
        """What the process says; one that was not heard out is not asked again."""
        try:
            facts = await _ask(child, found)
        except BaseException:
            await self._end()
            raise
        return facts

    def _rest(self) -> None:
        """Ends the process in a while, unless it is asked again."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._stop)

    def _stop(self) -> None:
        self._closing = asyncio.ensure_future(self.close())

    async def _end(self) -> None:
        begun, self._begun = self._begun, None
        if self._idle is not None:
            self._idle.cancel()
        if begun is not None:
            begun.cancel()
            await asyncio.wait([begun])
            if not begun.cancelled() and begun.exception() is None:
                await _kill(begun.result())


async def _begin(names: Sequence[str]) -> Process:
    """The process, when it has read the files; raises OSError or EOFError."""
    child = await asyncio.create_subprocess_exec(
        *module("kdns.explain.aside"), stdin=PIPE, stdout=PIPE, limit=1 << 20
    )
    try:
        await _say(child, list(names))
        await _hear(child)
    except BaseException:
        await _kill(child)
        raise
    return child


async def _kill(child: Process) -> None:
    if child.returncode is None:
        child.kill()
    await child.wait()


async def _ask(child: Process, found: Wanted) -> Facts:
    await _say(child, found)
    part = _PART.decode(await _hear(child))
    pods: dict[str, list[PodFact]] = {space: [] for space in part.spaces}
    while piece := await _hear(child):
        for pod in _PODS.decode(piece):
            pods[pod.namespace].append(pod)
        await asyncio.sleep(0)  # others' turn
    return Facts(
        now=part.now,
        namespaces=part.namespaces,
        services=part.services,
        slices=part.slices,
        pods={space: tuple(listed) for space, listed in pods.items()},
        policies=part.policies,
        unknown=part.unknown,
        derived=part.derived,
        is_of_files=True,
        skipped=part.skipped,
    )


async def _say(child: Process, thing: object) -> None:
    assert child.stdin is not None
    child.stdin.write(_framed(thing))
    await child.stdin.drain()


async def _hear(child: Process) -> bytes:
    assert child.stdout is not None
    head = await child.stdout.readexactly(_HEAD)
    return await child.stdout.readexactly(int.from_bytes(head))


def _framed(thing: object) -> bytes:
    body = b"" if thing is None else _ENCODER.encode(thing)
    return len(body).to_bytes(_HEAD) + body


# In the process


def main() -> None:
    """Reads the files, then says what it is asked for until its standard input ends."""
    os.nice(NICE)
    gc.disable()  # perf: nothing becomes garbage, and looking for it takes a fifth of the time
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    known = _known(_NAMES.decode(_next(asked)))
    for thing in chain([None], _answers(asked, known)):
        told.write(_framed(thing))
        told.flush()


def _known(names: Sequence[str]) -> Facts:
    try:
        return alone(names)
    except Unreadable as error:
        return lost(str(error), ())


def _next(asked: IO[bytes]) -> bytes:
    """The next question; empty when there are no more."""
    return asked.read(int.from_bytes(asked.read(_HEAD)))


def _answers(asked: IO[bytes], known: Facts) -> Iterator[object]:
    while question := _next(asked):
        part = excerpt(known, _WANTED.decode(question))
        spaces = tuple(part.pods)
        yield _Part(
            part.now,
            part.namespaces,
            part.services,
            part.slices,
            part.policies,
            part.unknown,
            part.derived,
            part.skipped,
            spaces,
        )
        every = [pod for space in spaces for pod in part.pods[space]]
        for at in range(0, len(every), POD_PAGE):
            yield every[at : at + POD_PAGE]
        yield None


if __name__ == "__main__":
    main()
