"""Posts octets to an HTTP server, one request on one connection: all that a tracer needs."""

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from kdns.observe import streams

WITHIN_S = 5.0


class PostError(Exception):
    """What was posted was not taken, and why."""


async def post(url: str, body: bytes, fields: Mapping[str, str], *, method: str = "POST") -> None:
    """Returns when the server has taken the body; raises PostError."""
    try:
        async with asyncio.timeout(WITHIN_S):
            await _post(url, body, fields, method)
    except TimeoutError:
        raise PostError("no answer in time") from None
    except (OSError, EOFError) as error:
        raise PostError(str(error) or type(error).__name__) from error


async def _post(url: str, body: bytes, fields: Mapping[str, str], method: str) -> None:
    to = urlsplit(url)
    is_secure = to.scheme == "https"
    context = ssl.create_default_context() if is_secure else None
    port = to.port or (443 if is_secure else 80)
    reader, writer = await asyncio.open_connection(to.hostname, port, ssl=context)
    try:
        lines = [f"{method} {to.path or '/'} HTTP/1.1", f"Host: {to.netloc}", "Connection: close"]
        lines += [f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        status = (await reader.readline()).split()
        if len(status) < 2 or not status[1].startswith(b"2"):
            said = b" ".join(status[1:]).decode("latin-1")
            raise PostError(f"it says {said}" if said else "it says nothing")
    finally:
        streams.close(writer)
