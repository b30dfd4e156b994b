"""Runs inside namespaces of its own: kdns on port 53 of three loopback addresses, and commands.

Each line of standard input is a command with the resolv.conf it sees, as JSON; each line of
standard output says what it printed and its exit status. 127.0.0.53 and .54 serve with a forwarder
for the root, 127.0.0.55 without: so a test can see that its clients would have warned.
"""

import asyncio
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message

from tests.conformance.resolver import script
from tests.upstream import Upstream

HERE = Path(__file__).parent
ADDRESSES = ("127.0.0.53", "127.0.0.54", "127.0.0.55")
WITHOUT_FORWARD = "127.0.0.55"
COREFILE = """
.:53 {{
    bind {address}
    errors
    loadbalance
    cache 30
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        manifests {manifests}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
    {end}
}}
"""
FILES = {
    "resolv.conf": "",
    "nsswitch.conf": "hosts: files dns\n",
    "hosts": "127.0.0.1 localhost\n",
}
PATIENCE_S = 60


def raise_loopback() -> None:
    """`ip link set lo up`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("16xH", fcntl.ioctl(sock, 0x8913, request))[0]
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", flags | 1))


def cover_files(folder: Path) -> None:
    """Our files instead of the machine's, for this mount namespace alone."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
        if Path("/etc", name).exists():
            subprocess.run(["mount", "--bind", folder / name, f"/etc/{name}"], check=True)


async def start(folder: Path, address: str, upstream: str) -> asyncio.subprocess.Process:
    """A kdns on one address, answering."""
    end = "" if address == WITHOUT_FORWARD else f"forward . {upstream}"
    corefile = folder / f"Corefile-{address}"
    manifests = HERE / "manifests.yaml"
    corefile.write_text(COREFILE.format(address=address, manifests=manifests, end=end))
    with (folder / f"log-{address}").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kdns", "-conf", corefile,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    query = dns.message.make_query("web.shop.svc.cluster.local", "A")
    for _ in range(PATIENCE_S * 10):
        if server.returncode is not None:
            break
        try:
            await dns.asyncquery.udp(query, address, 0.1)
        except (dns.exception.Timeout, OSError):
            await asyncio.sleep(0.05)
        else:
            return server
    raise RuntimeError((folder / f"log-{address}").read_text())


async def run(argv: list[str]) -> dict[str, object]:
    """What a command prints, and its exit status."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        err += b"killed: it took too long"
    return {"code": process.returncode, "out": out.decode(), "err": err.decode()}


async def main(folder: Path) -> None:
    """Sets the room up, then runs commands until standard input ends."""
    raise_loopback()
    cover_files(folder)
    async with Upstream(script) as upstream:
        servers = await asyncio.gather(*(start(folder, to, upstream.address) for to in ADDRESSES))
        print(json.dumps({"ready": True}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            (folder / "resolv.conf").write_text(asked["resolv"])
            print(json.dumps(await run(asked["argv"])), flush=True)
        for server in servers:
            server.terminate()
        await asyncio.gather(*(server.wait() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
