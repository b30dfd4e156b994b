"""One request to the ingress: it goes to an endpoint of its service, and the response comes back.

The endpoint is connected to anew for each request; the client's connection is kept. The request's
body and the response pass at the same time, so that `100 Continue` and early refusals work.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from kdns.lab.proxy import messages
from kdns.lab.proxy.board import Board
from kdns.lab.proxy.messages import CHUNKED, TO_THE_END, Head, MessageError
from kdns.lab.proxy.routes import Backend
from kdns.lab.proxy.slices import Endpoint
from kdns.observe import streams

ANSWER_S = 60.0
_TRIES = 4
_FORWARDED = {b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}

Find = Callable[[str, str], Backend | None]
Endpoints = Callable[[Backend, str], list[Endpoint]]


class Exchange:
    """A client's connection."""

    def __init__(
        self,
        board: Board,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: str,
    ) -> None:
        self._board = board
        self._reader = reader
        self._writer = writer
        self._client = client

    async def carry(self, head: Head, find: Find, endpoints: Endpoints) -> bool:
        """Answers one request; False when the connection cannot be used again."""
        length = messages.length_of(head, without=0)
        host, target = _asked(head)
        backend = find(host.rpartition(":")[0] if _has_port(host) else host, _path(target))
        if backend is None:
            return await self._say(head, length, 404, "default backend - 404\n")
        order = endpoints(backend, self._client)
        if not order:
            return await self._say(head, length, 503, "the service has no endpoints\n")
        self._board.connections_of[backend.service] += 1
        try:
            other = await self._connect(order)
        except (OSError, TimeoutError) as error:
            self._board.failures_of[backend.service] += 1
            status = 504 if isinstance(error, TimeoutError) else 502
            return await self._say(head, length, status, "no endpoint takes the connection\n")
        limit = messages.HEAD_BYTES
        reader, writer = await asyncio.open_connection(sock=other, limit=limit)
        try:
            return await self._pass(head, length, (host, target), (reader, writer))
        finally:
            streams.close(writer)

    async def refuse(self, status: int, why: str) -> None:
        """Answers what is no request that can be carried; the connection ends with it."""
        self._writer.write(_text(status, f"{why}\n", ends=True))
        with suppress(OSError):
            await self._writer.drain()

    async def _connect(self, order: list[Endpoint]) -> socket.socket:
        """A connection to the first endpoint that takes one; a policy's silence is a time-out."""
        failure: BaseException = OSError()
        for endpoint in order[:_TRIES]:
            if not self._board.allows(self._client, endpoint, "TCP"):
                failure = TimeoutError()
                continue
            try:
                return await self._board.dial.connect(endpoint)
            except (OSError, TimeoutError) as error:
                failure = error
        raise failure

    async def _say(self, head: Head, length: int, status: int, text: str) -> bool:
        """An answer of our own; what has a body is not waited for."""
        ends = length != 0 or not _stays(head)
        made = _text(status, text, ends=ends)
        if head.start[0] == b"HEAD":
            made = made[: made.index(b"\r\n\r\n") + 4]
        self._writer.write(made)
        await self._writer.drain()
        return not ends

    async def _pass(
        self,
        head: Head,
        length: int,
        asked: tuple[str, bytes],
        other: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        reader, writer = other
        upgrade = head.words(b"upgrade") if b"upgrade" in head.words(b"connection") else []
        fields = self._fields(head, length, asked[0], bool(upgrade))
        writer.write(messages.head_bytes((head.start[0], asked[1], b"HTTP/1.1"), fields))
        body = asyncio.ensure_future(
            messages.pass_body(self._reader, writer, length, is_chunked=True)
        )
        body.add_done_callback(lambda done: _give_up(done, writer))
        try:
            answer = await self._answer(head, reader)
            if isinstance(answer, int):
                if body.done() and isinstance(body.exception(), MessageError):
                    await body
                text = "the endpoint gave no answer\n"
                return await self._say(head, length, answer, text) and body.done()
            if answer.start[1] == b"101":
                await _finish(body)
                return await self._switch(answer, reader, writer, is_asked=bool(upgrade))
            again = await self._reply(head, answer, reader)
            return again and body.done() and body.exception() is None
        finally:
            body.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await body

    def _fields(self, head: Head, length: int, host: str, is_upgrade: bool) -> messages.Fields:
        kept = [one for one in head.end_to_end() if one[0].lower() not in _FORWARDED | {b"host"}]
        added = [
            (b"Host", host.encode("latin-1")),
            (b"X-Forwarded-For", self._client.encode()),
            (b"X-Real-IP", self._client.encode()),
            (b"X-Forwarded-Host", host.encode("latin-1")),
            (b"X-Forwarded-Proto", b"http"),
        ]
        if length == CHUNKED:
            added.append((b"Transfer-Encoding", b"chunked"))
        if is_upgrade:
            added += [(b"Connection", b"Upgrade"), (b"Upgrade", b", ".join(head.all(b"upgrade")))]
        else:
            added.append((b"Connection", b"close"))
        return [*added, *kept]

    async def _answer(self, head: Head, reader: asyncio.StreamReader) -> Head | int:
        """The final response's head, what comes before it is passed on; or a status of failure."""
        try:
            async with asyncio.timeout(ANSWER_S):
                while read := await messages.read_head(reader):
                    answer = messages.response(*read)
                    if answer.start[1][:1] != b"1" or answer.start[1] == b"101":
                        return answer
                    if head.start[2] == b"HTTP/1.1":
                        start = (b"HTTP/1.1", *answer.start[1:])
                        self._writer.write(messages.head_bytes(start, answer.end_to_end()))
        except TimeoutError:
            return 504
        except (OSError, MessageError):
            return 502
        return 502

    async def _reply(self, head: Head, answer: Head, reader: asyncio.StreamReader) -> bool:
        has_none = head.start[0] == b"HEAD" or answer.start[1] in {b"204", b"304"}
        try:
            length = 0 if has_none else messages.length_of(answer, without=TO_THE_END)
        except MessageError:
            return await self._say(head, 0, 502, "the endpoint's answer is malformed\n")
        is_new = head.start[2] == b"HTTP/1.1"
        again = _stays(head) and length != TO_THE_END and (is_new or length != CHUNKED)
        fields = answer.end_to_end()
        if length == CHUNKED and is_new:
            fields.append((b"Transfer-Encoding", b"chunked"))
        fields.append((b"Connection", b"keep-alive" if again else b"close"))
        self._writer.write(messages.head_bytes((b"HTTP/1.1", *answer.start[1:]), fields))
        try:
            await messages.pass_body(reader, self._writer, length, is_chunked=is_new)
        except MessageError:  # the client sees that it is cut short
            self._writer.transport.abort()
            return False
        await self._writer.drain()
        return again

    async def _switch(
        self,
        answer: Head,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_asked: bool,
    ) -> bool:
        """Another protocol: bytes pass both ways until one side has ended."""
        if not is_asked:
            await self.refuse(502, "the endpoint changes the protocol unasked")
            return False
        fields = [
            *answer.end_to_end(),
            (b"Connection", b"Upgrade"),
            (b"Upgrade", b", ".join(answer.all(b"upgrade"))),
        ]
        self._writer.write(messages.head_bytes((b"HTTP/1.1", *answer.start[1:]), fields))
        ways = [
            asyncio.ensure_future(_flow(self._reader, writer)),
            asyncio.ensure_future(_flow(reader, self._writer)),
        ]
        try:
            await asyncio.gather(*ways)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        return False


async def _flow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(messages.PIECE):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _give_up(body: "asyncio.Future[None]", writer: asyncio.StreamWriter) -> None:
    """A body that does not come to its end is not waited for by the endpoint either."""
    if not body.cancelled() and body.exception():
        writer.transport.abort()


async def _finish(body: "asyncio.Future[None]") -> None:
    with suppress(OSError, MessageError):
        await body


def _asked(head: Head) -> tuple[str, bytes]:
    """The host that is asked, and the target in origin form."""
    target = head.start[1]
    if target.startswith(b"/") or target == b"*":
        return b"".join(head.all(b"host")).decode("latin-1"), target
    scheme, _, rest = target.partition(b"://")
    if scheme.lower() not in {b"http", b"https"} or not rest:
        raise MessageError(400, "the target is malformed")
    host, slash, path = rest.partition(b"/")
    return host.decode("latin-1"), slash + path or b"/"


def _has_port(host: str) -> bool:
    return ":" in host and host.rpartition(":")[2].isdecimal() and not host.endswith("]")


def _path(target: bytes) -> str:
    return target.partition(b"?")[0].decode("latin-1")


def _stays(head: Head) -> bool:
    words = head.words(b"connection")
    return b"keep-alive" in words if head.start[2] == b"HTTP/1.0" else b"close" not in words


def _text(status: int, text: str, *, ends: bool) -> bytes:
    phrase = HTTPStatus(status).phrase
    body = text.encode()
    lines = (
        f"HTTP/1.1 {status} {phrase}", "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}", f"Connection: {'close' if ends else 'keep-alive'}", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + body
