"""Ports forwarded by `v4.channel.k8s.io`, as client libraries do: one connection to each port that
the query names, each with a channel for what passes and one for what goes wrong.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from socket import socket as Socket
from struct import pack

from aiohttp import WSMsgType, web

from kdns.lab import errors
from kdns.lab.doors.crossing import Crossing, Held, UnreachableError, Ways, port
from kdns.lab.doors.duties import until_first
from kdns.lab.errors import Obj

MOST = 64
PULSE_S = 10.0


def wanted(request: web.BaseRequest) -> list[int]:
    """The ports that a request names; raises 400."""
    found = [port(one) for one in ",".join(request.query.getall("ports", ())).split(",")]
    if len(found) > MOST or not all(found):
        raise errors.bad_request(f'query parameter "ports": name 1 to {MOST} ports of the pod')
    return found


async def carry(socket: web.WebSocketResponse, ways: Ways, pod: Obj, found: list[int]) -> None:
    """Until all connections have ended, or the client goes."""
    for channel, number in enumerate(number for number in found for _ in range(2)):
        await socket.send_bytes(pack("<BH", channel, number))
    held = Held()
    crossings = [Crossing(held) for _ in found]

    async def cross() -> None:
        async with asyncio.TaskGroup() as group:
            for nth, number in enumerate(found):
                joined = ways.joined(pod, number)
                group.create_task(_cross(socket, joined, crossings[nth], 2 * nth))

    with suppress(ConnectionError):  # the client has gone
        await until_first(_hear(socket, crossings, held), cross(), _beat(socket))


async def _cross(
    socket: web.WebSocketResponse,
    joined: AbstractAsyncContextManager[Socket],
    crossing: Crossing,
    channel: int,
) -> None:
    async def give(octets: bytes) -> None:
        await socket.send_bytes(bytes([channel]) + octets)

    with suppress(ConnectionError):
        try:
            async with joined as connection:
                await crossing.carry(connection, give)
        except UnreachableError as error:
            await socket.send_bytes(bytes([channel + 1]) + str(error).encode())
        finally:
            crossing.forget()


async def _hear(socket: web.WebSocketResponse, crossings: list[Crossing], held: Held) -> None:
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        nth, is_error = divmod(message.data[0], 2)
        if nth < len(crossings) and not is_error:
            crossings[nth].put(message.data[1:])
            await held.room()


async def _beat(socket: web.WebSocketResponse) -> None:
    """Who has gone without a word is noticed by it, also while nothing is read from him."""
    while True:
        await asyncio.sleep(PULSE_S)
        await socket.pong()
