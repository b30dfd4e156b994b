"""How replies reach a client over HTTP, whole or spoiled as a fault has it.

Bodies go out in pieces, so that a list of 100 MB neither fills memory nor holds the loop; a client
that takes nothing for STALL_S is cut off.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator

from aiohttp import web

from kdns.lab import forms
from kdns.lab.errors import ApiError, Obj
from kdns.lab.faults import Fault
from kdns.lab.pieces import PIECE, joined

JSON = "application/json"
STALL_S = 30.0
_NOISE = b"\xff{]"


def plain(obj: Obj, code: int = 200, media: str = JSON) -> web.Response:
    """An object as a whole body."""
    return raw(forms.encode(obj), code, media)


def raw(body: bytes, code: int = 200, media: str = JSON) -> web.Response:
    """JSON as a whole body."""
    return web.Response(body=body, status=code, headers={"Content-Type": media})


def failure(error: ApiError) -> web.Response:
    """A Status as the reply."""
    response = plain(error.status(), error.code)
    if error.retry_s:
        response.headers["Retry-After"] = str(error.retry_s)
    return response


async def begun(request: web.BaseRequest) -> web.StreamResponse:
    """A reply whose body comes in pieces; its headers are sent."""
    headers = {"Content-Type": JSON, "Cache-Control": "no-cache, private"}
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


async def put(response: web.StreamResponse, piece: bytes) -> None:
    """Sends a piece; raises TimeoutError when the client takes nothing."""
    async with asyncio.timeout(STALL_S):
        await response.write(piece)


async def written(request: web.BaseRequest, pieces: Iterator[bytes]) -> web.StreamResponse:
    """A whole body, in pieces."""
    response = await begun(request)
    async for piece in joined(pieces):
        await put(response, piece)
    await response.write_eof()
    return response


async def spoiled(request: web.BaseRequest, body: bytes, fault: Fault) -> web.StreamResponse:
    """A body as `slow`, `cut` or `garble` leave it."""
    response = await begun(request)
    size = fault.size
    if fault.what == "slow":
        step = size or PIECE
        for start in range(0, len(body), step):
            await response.write(body[start : start + step])
            await asyncio.sleep(fault.delay_s)
    elif fault.what == "garble":
        await response.write(body[:size] + _NOISE + body[size + len(_NOISE) :])
    else:
        await response.write(body[:size])
        await asyncio.sleep(0)
        await reset(request)
    await response.write_eof()
    return response


async def broken(
    request: web.BaseRequest, response: web.StreamResponse, fault: Fault
) -> web.StreamResponse:
    """The end of a watch that a fault has ended."""
    if fault.what == "reset":
        await reset(request)
    if fault.what == "half_close":
        await half_closed(request)
    if fault.what == "error":
        await response.write(forms.failure(fault.error()))
    if fault.what == "garble":
        await response.write(_NOISE + b"\n")
    await response.write_eof()
    return response


async def reset(request: web.BaseRequest) -> None:
    """Breaks the connection off: the client sees a RST. Ends with the cancellation that follows."""
    transport = request.transport
    if transport is not None:
        ours = transport.get_extra_info("socket")
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    await forever()


async def half_closed(request: web.BaseRequest) -> None:
    """Sends a FIN without ending the body; the client may still send. Over TLS it is a close."""
    transport = request.transport
    if transport is not None:
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()
    await forever()


async def forever() -> None:
    """Says nothing until the client goes away, which cancels this."""
    await asyncio.Event().wait()
