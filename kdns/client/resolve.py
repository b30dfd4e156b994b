"""Looks up a host name's addresses once, at start: through given resolvers or the system's.

Runs in an ordinary Task before anything is served. Names are absolute: no search list.
"""

import asyncio
import logging
import socket
from pathlib import Path

from kdns.client.ask import ask
from kdns.client.line import UpstreamError
from kdns.client.packets import build, read
from kdns.client.targets import Place, Target, host_name, parse_nameservers
from kdns.client.upstream import TCP, UDP
from kdns.wire import names, types

log = logging.getLogger("kdns.client")

_PATIENCE_S = 2.0
_LONGEST_S = 10.0


async def locate(
    place: Place,
    resolvers: tuple[tuple[str, int], ...],
    known: dict[str, list[str]],
) -> list[Target]:
    """The servers a file or a host name stands for.

    A host name that is not found now keeps the addresses it had, which `known` remembers. Raises
    OSError or UnicodeError about a file, UpstreamError about a name.
    """
    content = await asyncio.to_thread(content_of, place.text)
    if content is not None:
        return [place.at(one) for one in parse_nameservers(content)]
    try:
        found = await resolve(host_name(place), resolvers)
    except ValueError as error:
        raise UpstreamError(str(error)) from error
    except UpstreamError as error:
        found = known.get(place.host, [])
        if not found:
            raise
        log.warning("%s: %s; it keeps the addresses it had", place.text, error)
    known[place.host] = found
    return [place.at(one, place.host) for one in found]


async def resolve(name: bytes, resolvers: tuple[tuple[str, int], ...]) -> list[str]:
    """The addresses of a host, IPv4 first; raises UpstreamError with the reason for none."""
    if not resolvers:
        return await _system(name)
    error = UpstreamError("no resolver")
    for resolver in resolvers:
        try:
            found = [
                address
                for type_ in (types.A, types.AAAA)
                for address in await _ask(resolver, name, type_)
            ]
        except UpstreamError as failed:
            error = failed
            continue
        if found:
            return found
        error = UpstreamError("no such host")
    raise error


def content_of(path: str) -> str | None:
    """What a file holds; None when there is none."""
    file = Path(path)
    return file.read_text(encoding="utf-8") if file.exists() else None


async def _ask(resolver: tuple[str, int], name: bytes, type_: int) -> list[str]:
    packet = build(name, type_)
    message = read(await ask(resolver, packet, UDP, _PATIENCE_S), is_datagram=True)
    if message.flags & types.TC:
        message = read(await ask(resolver, packet, TCP, _PATIENCE_S), is_datagram=False)
    return [
        names.format_address(rdata)
        for rrset in message.answer
        if rrset.type == type_ and rrset.cls == types.IN
        for rdata in rrset.rdatas
    ]


async def _system(name: bytes) -> list[str]:
    loop = asyncio.get_running_loop()
    host = names.format(name)
    try:
        found = await asyncio.wait_for(
            loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM), _LONGEST_S
        )
    except TimeoutError as error:
        raise UpstreamError("time-out") from error
    except (OSError, UnicodeError) as error:
        raise UpstreamError(f"no such host ({error})") from error
    addresses = dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found)
    return sorted(addresses, key=lambda address: ":" in address)
