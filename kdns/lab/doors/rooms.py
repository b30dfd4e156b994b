"""`kubectl exec` and `attach`: a WebSocket becomes the streams of a command in a pod.

Who may ask has been looked at (`admission`). What flows is held back on both sides when the other
does not take it. A client that goes ends what was run for it; what it was attached to lives on.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import suppress
from dataclasses import replace

from aiohttp import WSMessage, WSMsgType, web

from kdns.lab import errors
from kdns.lab.calls import Call
from kdns.lab.doors import asked as asking
from kdns.lab.doors import channels
from kdns.lab.doors.asked import Asked
from kdns.lab.doors.command import Command
from kdns.lab.doors.consoles import Console, Consoles
from kdns.lab.doors.forwards import Forwards
from kdns.lab.ground.base import Entry, Ground
from kdns.lab.kubelet.programs.shell import NOT_ALLOWED, NOT_FOUND
from kdns.lab.resources import PODS
from kdns.lab.stage import Insides
from kdns.lab.storage import Storage

MOST = 100
"""Clients at once."""
PULSE_S = 10.0
"""kubectl leaves when it hears nothing for a minute, also while nothing of its input is taken."""
EARLY_S = 0.5
"""How long a command waits for the size of its terminal, which clients send at once."""
LEAVE_S = 2.0
"""For the client to close after us."""
LARGEST = 1 << 20
"""Of a message; kubectl's have 32 KiB."""
Outputs = Iterable[AsyncIterator[tuple[int, bytes]]]


class Rooms:
    """The Doors of a lab."""

    def __init__(
        self, storage: Storage, ground: Ground, insides: Insides, consoles: Consoles
    ) -> None:
        self._storage = storage
        self._ground = ground
        self._insides = insides
        self._consoles = consoles
        self._forwards = Forwards(storage, ground)
        self._open = 0
        self._left: set[Command] = set()
        """Those that have been asked to end."""

    def end(self) -> None:
        """Kills what has been asked to end, and has not."""
        for command in self._left:
            command.kill()
        self._left.clear()

    async def reply(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """Runs a command, attaches to one, or forwards ports; raises ApiError."""
        aim = call.target
        if aim.part == "portforward":
            return await self._forwards.reply(request, call)
        asked = asking.read(request, call, self._storage.get(PODS, aim.namespace, aim.name))
        # kubectl asks once more without WebSockets when it is refused, and shows that reply only:
        # the reason comes first, the protocol last.
        target = self._console(asked) if aim.part == "attach" else self._entry(asked)
        asking.check_protocol(request)
        if self._open >= MOST:
            raise asking.too_many(MOST)
        self._open += 1
        try:
            if isinstance(target, Entry):
                return await self._exec(request, asked, target)
            return await self._attach(request, asked, target)
        finally:
            self._open -= 1

    def _entry(self, asked: Asked) -> Entry:
        try:
            return self._insides.entry(asked.pod, asked.container["name"], asked.command)
        except LookupError as error:
            raise errors.bad_request(str(error.args[0])) from None

    def _console(self, asked: Asked) -> Console:
        name = asked.container["name"]
        console = self._consoles.find(asked.uid, name)
        if console is None:
            raise errors.bad_request(
                f"container {name} plays a program that is part of the lab: nothing can be "
                "attached to it; run a command in it (kubectl exec)"
            )
        return console

    async def _exec(
        self, request: web.BaseRequest, asked: Asked, entry: Entry
    ) -> web.StreamResponse:
        socket = await _upgraded(request)
        early = await _early(socket) if asked.wanted.is_terminal else None
        try:
            command = await self._start(asked, entry, early)
        except (OSError, LookupError) as error:
            return await _refused(socket, asked, error)
        has_ended = False
        try:
            code = await _talk(socket, command, command.outputs(), asked, early)
            has_ended = code is not None
            return await _closed(socket, b"" if code is None else channels.outcome(code))
        finally:
            if not has_ended:
                self._left.add(command)
                command.hang_up(lambda: self._left.discard(command))
            command.close()

    async def _start(self, asked: Asked, entry: Entry, early: WSMessage | None) -> Command:
        wanted = asked.wanted
        if wanted.is_terminal:
            entry = replace(entry, environ={"TERM": "xterm", **entry.environ})
        if early and (size := _size(early)):
            wanted = replace(wanted, size=size)
        return await Command.start(self._ground, asked.uid, entry, wanted)

    async def _attach(
        self, request: web.BaseRequest, asked: Asked, console: Console
    ) -> web.StreamResponse:
        socket = await _upgraded(request)
        has_input = asked.wanted.stdin and console.has_input
        try:
            code = await _talk(socket, console, [console.follow()], asked)
        finally:
            if has_input and asked.container.get("stdinOnce"):
                console.end_input()
        return await _closed(socket, b"" if code is None else channels.outcome(0))


def _why(error: OSError | LookupError, command: str) -> str:
    """What keeps a command from running, in the words of its ground or of the kernel."""
    if isinstance(error, OSError) and error.strerror:
        return f'exec: "{command}": {error.strerror.lower()}'
    return str(error.args[0])


async def _refused(
    socket: web.WebSocketResponse, asked: Asked, error: OSError | LookupError
) -> web.StreamResponse:
    """A command that there is not has a shell's exit code, as one that a launcher looks for."""
    why = _why(error, asked.command[0])
    is_absent = isinstance(error, FileNotFoundError)
    if not (is_absent or isinstance(error, PermissionError)):
        return await _closed(socket, channels.failure(why))
    channel = channels.STDERR if asked.wanted.stderr else channels.STDOUT
    await socket.send_bytes(bytes([channel]) + f"{why}\n".encode())
    return await _closed(socket, channels.outcome(NOT_FOUND if is_absent else NOT_ALLOWED))


async def _upgraded(request: web.BaseRequest) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(
        protocols=channels.PROTOCOLS, timeout=LEAVE_S, max_msg_size=LARGEST, compress=False
    )
    await socket.prepare(request)
    await socket.send_bytes(bytes([channels.STDOUT]))  # as real servers do: the client may begin
    return socket


async def _early(socket: web.WebSocketResponse) -> WSMessage | None:
    """The first message of a client with a terminal: its size, before the command looks at it."""
    try:
        return await socket.receive(EARLY_S)
    except TimeoutError:
        return None


def _size(message: WSMessage) -> tuple[int, int] | None:
    if message.type is not WSMsgType.BINARY or message.data[:1] != bytes([channels.RESIZE]):
        return None
    return channels.size(message.data[1:])


async def _closed(socket: web.WebSocketResponse, last: bytes) -> web.WebSocketResponse:
    """Says the last word, if there is one, and closes."""
    with suppress(ConnectionError):
        if last:
            await socket.send_bytes(last)
        await socket.close()
    return socket


async def _talk(
    socket: web.WebSocketResponse,
    partner: Command | Console,
    outputs: Outputs,
    asked: Asked,
    early: WSMessage | None = None,
) -> int | None:
    """Carries both ways until the command ends, with its exit code, or the client goes: None."""
    end = bytes([channels.STDIN]) if socket.ws_protocol == channels.V5 else None
    hearing = asyncio.ensure_future(_hear(_messages(socket, early), partner, asked, end))
    saying = asyncio.ensure_future(_say(socket, partner, outputs, asked))
    beating = asyncio.ensure_future(_beat(socket))
    try:
        await asyncio.wait((hearing, saying), return_when=asyncio.FIRST_COMPLETED)
        return saying.result() if saying.done() else None
    finally:
        await _stopped(hearing, saying, beating)


async def _stopped(*tasks: "asyncio.Future[int] | asyncio.Future[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _messages(
    socket: web.WebSocketResponse, early: WSMessage | None
) -> AsyncIterator[WSMessage]:
    """All that come, with one that has come already."""
    if early:
        yield early
    async for message in socket:
        yield message


async def _hear(
    messages: AsyncIterator[WSMessage], partner: Command | Console, asked: Asked, end: bytes | None
) -> None:
    """Input and sizes, until the client goes; `end` is what closes its input, in v5."""
    is_open = asked.wanted.stdin
    async for message in messages:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, octets = message.data[0], message.data[1:]
        if channel == channels.STDIN and is_open and octets:
            is_open = await _took(partner.write(octets))
        elif channel == channels.CLOSE and is_open and octets == end:
            partner.end_input()
            is_open = False
        elif channel == channels.RESIZE and (size := channels.size(octets)):
            partner.resize(*size)


async def _took(writing: Awaitable[None]) -> bool:
    """False when nobody reads what is written."""
    try:
        await writing
    except BrokenPipeError:
        return False
    return True


async def _say(
    socket: web.WebSocketResponse, partner: Command | Console, outputs: Outputs, asked: Asked
) -> int:
    """All output, and then the exit code."""
    wanted = {channels.STDOUT: asked.wanted.stdout, channels.STDERR: asked.wanted.stderr}

    async def carry(output: AsyncIterator[tuple[int, bytes]]) -> None:
        with suppress(ConnectionError):  # the client has gone, which `_hear` sees
            async for channel, octets in output:
                if wanted[channel]:
                    await socket.send_bytes(bytes([channel]) + octets)

    async with asyncio.TaskGroup() as group:
        for output in outputs:
            group.create_task(carry(output))
    return await partner.ended()


async def _beat(socket: web.WebSocketResponse) -> None:
    while True:
        await asyncio.sleep(PULSE_S)
        await socket.pong()
