"""`kdns query`: asks a server, or a Corefile without a socket, and shows the reply.

A small dig on our own wire code. `-conf FILE` builds and starts that Corefile's plugins here and
asks them; it needs no port and no running server.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_address

from kdns.client.ask import ask
from kdns.client.line import UpstreamError
from kdns.client.targets import parse_target
from kdns.corefile.tree import ConfigError
from kdns.plugins.base import Client
from kdns.server.assembly import Services, built
from kdns.server.begin import corefile
from kdns.server.service import Service
from kdns.wire import names, shown, types
from kdns.wire.message import WireError
from kdns.wire.parse import Message, parse


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when a reply came, 1 when none did, 2 for a question or Corefile that is none."""
    options = parser().parse_intermixed_args(arguments)
    try:
        name, type_, server = _asked(options.words, options.port)
        if options.x:
            name, type_ = names.format(names.reverse(ip_address(options.x).packed)), types.PTR
        packet = _packet(name, type_, size=options.bufsize)
    except ValueError as error:
        print(f"kdns query: {error}", file=sys.stderr)
        return 2
    transport = "tcp" if options.tcp else "udp"
    started = time.perf_counter()
    try:
        if options.conf is not None:
            reply = asyncio.run(_without_socket(options.conf, packet, transport))
            asked = options.conf
        else:
            reply = asyncio.run(ask(server, packet, transport))
            asked = f"{server[0]}#{server[1]} over {transport}"
        text = _shown(reply and parse(reply), name, type_)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except (UpstreamError, WireError, OSError) as error:
        print(f"kdns query: no usable reply: {error}", file=sys.stderr)
        return 1
    print(text)
    print(
        f";; {(time.perf_counter() - started) * 1000:.1f} ms, {len(reply or b'')} octets, {asked}"
    )
    return 0 if reply else 1


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    made = argparse.ArgumentParser(
        prog="kdns query", allow_abbrev=False,
        description="A small dig: asks a server and shows the reply. With -conf, the plugins of "
        "that Corefile are started here and asked: it needs no port and no running server.",
    )  # fmt: skip
    flag = made.add_argument
    flag("words", nargs="*", metavar="NAME|TYPE|@SERVER", help="in any order; type A, 127.0.0.1")
    flag("-x", metavar="ADDRESS", help="the PTR name of an address")
    flag("-p", dest="port", type=int, default=53, metavar="PORT", help="the server's port (53)")
    flag("-conf", "--conf", metavar="FILE", help="ask this Corefile, without a socket")
    flag("-tcp", "--tcp", action="store_true", help="over TCP")
    flag("-bufsize", "--bufsize", type=int, default=1232, metavar="N", help="EDNS size (1232)")
    return made


def _asked(words: Sequence[str], port: int) -> tuple[str, int, tuple[str, int]]:
    """Name, type and server, in whatever order they stand."""
    name, type_, server = "", types.A, ("127.0.0.1", port)
    for word in words:
        if word.startswith("@"):
            server = _server(word[1:], port)
        elif word.upper() in types.TYPES:
            type_ = types.parse_type(word)
        elif name:
            raise ValueError(f"{word!r} is no type, and {name!r} is the name already")
        else:
            name = word
    return name or ".", type_, server


def _server(text: str, port: int) -> tuple[str, int]:
    """Host and port of `HOST` or `HOST:PORT`, an address or a name."""
    try:
        return str(ip_address(text)), port
    except ValueError:
        pass
    try:
        found = parse_target(f"dns://{text}")
    except ValueError as error:
        raise ValueError(f"@{text}: expected {error}") from None
    return found.host, found.port if text.endswith(f":{found.port}") else port


def _packet(name: str, type_: int, *, size: int) -> bytes:
    """A query with RD and EDNS."""
    head = os.urandom(2) + b"\x01\x00\0\x01\0\0\0\0\0\x01"
    asked = names.parse(name) + type_.to_bytes(2, "big") + b"\0\x01"
    return head + asked + b"\0\0\x29" + size.to_bytes(2, "big") + bytes(6)


async def _without_socket(path: str, packet: bytes, transport: str) -> bytes | None:
    """Starts a Corefile's plugins, asks the block that has the name, stops them."""
    text, file = corefile(path, 53)
    services = Services()
    assembly = built(text, file, services)
    service = Service(assembly, services)
    await service.start(listen=False)
    try:
        router = next(iter(assembly.routers.values()))
        pipeline = service.pipeline(router, whole=transport == "tcp")
        client = Client(b"\x7f\0\0\x01", 0, transport, b"\x7f\0\0\x01", 53)
        return await pipeline.respond(packet, client, services.clock())
    finally:
        await service.stop()


def _shown(reply: Message | bytes | None, name: str, type_: int) -> str:
    if not isinstance(reply, Message):
        return f";; no reply: {name} {types.type_name(type_)} was dropped"
    return shown.show(reply)
