"""Asks one server once: what `kdns query` does."""

from kdns.client.upstream import UDP, Keeping, Upstream


async def ask(
    server: tuple[str, int], packet: bytes, transport: str = UDP, within: float = 5.0
) -> bytes:
    """Sends a query and brings the reply, under the query's own id; raises UpstreamError."""
    upstream = Upstream(server[0], server[1], Keeping())
    try:
        reply = await upstream.ask(packet, transport, within)
    finally:
        upstream.close()
    return packet[:2] + reply[2:]
