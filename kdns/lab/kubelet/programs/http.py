"""A web server that says which pod answered, to whom and to what.

    GET /            Hello from web-6c4f… (10.244.1.5), and what was asked
    GET /healthz     ok, as /health, /livez, /readyz, /ready, /ping
    GET /status/503  that code

The annotation `lab.kdns.io/answers` is said instead, or what the image is known for (voices.py);
paths in `lab.kdns.io/fails` answer 500.
"""

import asyncio
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from kdns.lab.kubelet.programs import voices
from kdns.lab.kubelet.programs.base import Exit, Role
from kdns.lab.kubelet.programs.requests import REST_S, Refused, Request, read
from kdns.lab.kubelet.programs.serving import Serving

IDLE_S = 65.0
_HEALTH = {"/healthz", "/health", "/livez", "/readyz", "/ready", "/ping"}
_SHOWN = 1024
"""Of a request's body."""


class Http:
    """The web server of one container."""

    def __init__(self, role: Role, ports: Sequence[int]) -> None:
        self._role = role
        self._ports = ports
        self._serving = Serving(role)
        self._served = 0
        self._began = time.monotonic()

    def start(self, ended: Callable[[Exit], None]) -> None:
        """Listens on its ports; raises OSError."""
        del ended  # it serves until it is stopped
        for port in self._ports:
            self._serving.tcp(port, self.serve)

    def terminate(self) -> None:
        """Goes on, so that connections can come to their end."""

    def stop(self) -> None:
        """Ends all connections."""
        self._serving.close()

    async def serve(self, reader: StreamReader, writer: StreamWriter, peer: str) -> None:
        """The requests of a connection, one after the other."""
        is_kept = True
        while is_kept:
            try:
                async with asyncio.timeout(IDLE_S):
                    begin = await reader.readexactly(1)
                async with asyncio.timeout(REST_S):
                    request = await read(begin, reader, writer)
            except Refused as refused:
                writer.write(_reply(refused.code, f"{refused}\n", is_kept=False))
                self._note(peer, None, refused.code, 0)
                return
            is_kept = request.is_kept
            code, text = self._answer(request, peer)
            reply = _reply(code, text, is_kept=is_kept, is_head=request.method == "HEAD")
            writer.write(reply)
            await writer.drain()
            self._note(peer, request, code, len(text.encode()))

    def _answer(self, request: Request, peer: str) -> tuple[int, str]:
        path = request.path
        self._served += 1
        if path in {one.strip() for one in self._role.wish("fails").split(",")}:
            return 500, f"{path} fails: the annotation lab.kdns.io/fails names it\n"
        annotated = self._role.wish("answers")
        heard = voices.Heard(request, peer, time.monotonic() - self._began)
        if not annotated and (said := voices.reply(self._role, heard)):
            return said
        if path in _HEALTH:
            return 200, "ok\n"
        _, _, code = path.rpartition("/status/")
        if path == f"/status/{code}" and code.isascii() and code.isdigit() and len(code) == 3:
            number = int(code)
            return (number, f"{code}\n") if 200 <= number < 600 else (400, "no such code\n")
        if text := annotated or _text(self._role):
            return 200, text.rstrip("\n") + "\n"
        return 200, self._hello(request, peer)

    def _hello(self, request: Request, peer: str) -> str:
        role = self._role
        address = next(iter(role.addresses), "")
        lines = [
            f"Hello from {role.name} ({address})",
            "",
            f"Pod:       {role.name}",
            f"Namespace: {role.namespace}",
            f"Address:   {address}",
            f"Node:      {role.node}",
            f"Container: {role.container['name']}",
            f"Requests:  {self._served}",
            "",
            f"Asked by:  {peer}",
            f"Request:   {request.method} {request.target}",
            f"Host:      {request.value('host')}",
            "",
            *(f"{name}: {value}" for name, value in request.headers),
        ]
        if request.body:
            lines += ["", request.body[:_SHOWN].decode(errors="replace")]
        return "\n".join(lines) + "\n"

    def _note(self, peer: str, request: Request | None, code: int, size: int) -> None:
        """A line as web servers write it: Combined Log Format."""
        at = datetime.fromtimestamp(time.time(), UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        line = f"{request.method} {request.target} {request.version}" if request else ""
        agent = request.value("user-agent") if request else ""
        referer = request.value("referer") if request else ""
        quoted = [f'"{_plain(text) or "-"}"' for text in (line, referer, agent)]
        self._role.record.write(
            f"{peer} - - [{at}] {quoted[0]} {code} {size} {' '.join(quoted[1:])}"
        )


def _text(role: Role) -> str:
    """What http-echo is told to say: `-text=hello` or `-text hello`."""
    words = role.words
    for at, word in enumerate(words):
        name, is_joined, value = word.lstrip("-").partition("=")
        if name == "text" and word.startswith("-"):
            return value if is_joined else next(iter(words[at + 1 :]), "")
    return ""


def _reply(code: int, text: str, *, is_kept: bool, is_head: bool = False) -> bytes:
    body = text.encode()
    phrase = HTTPStatus(code).phrase if code in set(HTTPStatus) else "Unknown"
    lines = [f"HTTP/1.1 {code} {phrase}", "Server: kdns-lab"]
    if code in {204, 304}:
        body = b""
    else:
        lines += ["Content-Type: text/plain; charset=utf-8", f"Content-Length: {len(body)}"]
    lines.append(f"Connection: {'keep-alive' if is_kept else 'close'}")
    head = "\r\n".join([*lines, "", ""]).encode()
    return head if is_head else head + body


def _plain(text: str) -> str:
    """A text of a client's, fit for a line of a log."""
    return "".join(
        one if one.isprintable() and one not in '"\\' else f"\\x{ord(one):02x}" for one in text
    )
