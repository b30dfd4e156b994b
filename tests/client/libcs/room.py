"""Runs inside namespaces of its own: scripted nameservers, and one program per look-up.

Standard input is a JSON list of cases; standard output is a JSON list of what each came to. Every
case has nameservers of its own, 127.1.N.1 and on, so that all run at once.
"""

import asyncio
import json
import sys
from pathlib import Path

from tests.client.libcs.scripted import CLOSES, replied
from tests.clients.inside import cover_files, raise_loopback

AT_ONCE = 48
PATIENCE_S = 40


class Nameserver(asyncio.DatagramProtocol):
    """One nameserver of a case: notes what it is asked and answers by the table."""

    def __init__(self, case: dict, server: int, heard: list) -> None:
        self._table, self._server, self._heard = case["table"], server, heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, packet: bytes, peer: tuple) -> None:
        reply = self._reply(packet, "udp")
        if reply is not None:
            self._transport.sendto(reply, peer)

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                reply = self._reply(await reader.readexactly(size), "tcp")
                if reply == CLOSES:
                    break
                if reply is not None:
                    writer.write(len(reply).to_bytes(2, "big") + reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    def _reply(self, packet: bytes, transport: str) -> bytes | None:
        self._heard.append((self._server, transport, packet[2:].hex()))
        return replied(self._table, packet, self._server, transport)


async def judge(case: dict, number: int, folder: Path, turn: asyncio.Semaphore) -> dict:
    """What a C library asks and says in one case."""
    heard: list = []
    hosts = [f"127.{1 + number // 200}.{number % 200}.{at + 1}" for at in range(case["servers"])]
    loop = asyncio.get_running_loop()
    closing = []
    for at, host in enumerate(hosts):
        if case["table"].get(f"* @{at}", case["table"].get("*")) == "closed":
            continue
        server = Nameserver(case, at, heard)
        udp, _ = await loop.create_datagram_endpoint(lambda one=server: one, (host, 53))
        tcp = await asyncio.start_server(server.stream, host, 53)
        closing += [udp, tcp]
    conf = folder / f"resolv-{number}"
    conf.write_text(case["resolv"].format(*hosts))
    async with turn:
        before = loop.time()
        process = await asyncio.create_subprocess_exec(
            *case["argv"], conf, case["name"], str(case["family"]),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        except TimeoutError:
            process.kill()
            out, _ = await process.communicate()
        took = loop.time() - before
    for one in closing:
        one.close()
    return {"code": process.returncode, "said": out.decode(), "heard": heard, "took": took}


async def main(folder: Path) -> None:
    """Judges all cases, some at once."""
    raise_loopback()
    cover_files(folder)
    cases = json.load(sys.stdin)
    turn = asyncio.Semaphore(AT_ONCE)
    print(
        json.dumps(
            await asyncio.gather(
                *(judge(case, at, folder, turn) for at, case in enumerate(cases, 1))
            )
        )
    )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
