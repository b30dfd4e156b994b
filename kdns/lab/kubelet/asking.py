"""One attempt of a probe: a request, a connection or a command, and what came of it.

Requests come from the node's address, as a kubelet's do. What is not run counts as passed, and is
said once: commands of pods that others than the admin have written, and gRPC.
"""

import asyncio
import os
import signal
import ssl
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from urllib.parse import quote

from kdns.lab.errors import Obj
from kdns.lab.ground.base import Streams
from kdns.lab.kubelet.member import Member
from kdns.lab.kubelet.probing import Verdict
from kdns.lab.ranges import Ranges
from kdns.lab.rights.trust import author
from kdns.observe import streams

_SHOWN = 10 * 1024
_PIECE = 4096
_AGENT = "kube-probe/1.34"
_IN_PATHS = "/%:@!$&'()*+,;=~-._?#[]"
GOOD = Verdict(is_good=True)


class Asker:
    """Asks one container."""

    def __init__(self, member: Member, container: Obj) -> None:
        self._member = member
        self._container = container
        self._said: set[str] = set()

    async def ask(self, probe: Obj) -> Verdict:
        """What comes of one attempt; it never raises."""
        limit_s = max(float(probe.get("timeoutSeconds", 1)), 1.0)
        if "exec" in probe:
            return await self._run(probe["exec"].get("command") or [], limit_s)
        if "httpGet" in probe:
            return await self._get(probe["httpGet"], limit_s)
        if "tcpSocket" in probe:
            return await self._connect(probe["tcpSocket"], limit_s)
        return self._skipped("a gRPC probe is not run in the lab")

    def _skipped(self, why: str) -> Verdict:
        """Counts as passed; says so once."""
        self._say(f"{why}; it counts as passed")
        return GOOD

    def _say(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            said = f"Container {self._container['name']}: {what}"
            self._member.tell("ProbeWarning", said, is_warning=True)

    # Over the network

    async def _get(self, way: Obj, limit_s: float) -> Verdict:
        host, port = self._host(way), _port(way.get("port"), self._container)
        if port is None:
            return _unknown(way)
        scheme = str(way.get("scheme", "HTTP")).lower()
        path = quote(str(way.get("path") or "/"), safe=_IN_PATHS)
        url = f"{scheme}://{_joined(host, port)}{path}"
        try:
            head = _request(path, _joined(host, port), way.get("httpHeaders") or ())
            async with asyncio.timeout(limit_s):
                code = await self._code(host, port, head, is_secure=scheme == "https")
        except TimeoutError:
            said = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            return Verdict(is_good=False, said=f'Get "{url}": {said}')
        except (OSError, ValueError, EOFError) as error:
            return Verdict(is_good=False, said=f'Get "{url}": {_why(error, host, port)}')
        if 200 <= code < 400:
            return GOOD
        return Verdict(is_good=False, said=f"HTTP probe failed with statuscode: {code}")

    async def _code(self, host: str, port: int, head: bytes, *, is_secure: bool) -> int:
        reader, writer = await self._opened(host, port, is_secure=is_secure)
        try:
            writer.write(head)
            line = (await reader.readline()).split()
            if len(line) < 2 or not line[0].startswith(b"HTTP/") or not line[1].isdigit():
                raise EOFError
            return int(line[1])
        finally:
            writer.transport.abort()
            streams.close(writer)

    async def _connect(self, way: Obj, limit_s: float) -> Verdict:
        host, port = self._host(way), _port(way.get("port"), self._container)
        if port is None:
            return _unknown(way)
        try:
            async with asyncio.timeout(limit_s):
                _, writer = await self._opened(host, port, is_secure=False)
        except TimeoutError:
            said = f"dial tcp {_joined(host, port)}: i/o timeout"
            return Verdict(is_good=False, said=said)
        except OSError as error:
            return Verdict(is_good=False, said=_why(error, host, port))
        writer.transport.abort()
        return GOOD

    async def _opened(
        self, host: str, port: int, *, is_secure: bool
    ) -> tuple[StreamReader, StreamWriter]:
        ground = self._member.parts.ground
        one = ground.outgoing(host, "TCP", source=self._member.node)
        try:
            await asyncio.get_running_loop().sock_connect(one, ground.target(host, port))
            secure = _unverified() if is_secure else None
            name = host if is_secure else None
            return await asyncio.open_connection(sock=one, ssl=secure, server_hostname=name)
        except BaseException:
            one.close()
            raise

    def _host(self, way: Obj) -> str:
        """The pod's address, or another of the lab's that the admin names."""
        own, asked = self._member.addresses[0], str(way.get("host") or "")
        if not asked or asked == own:
            return own
        ranges = self._member.parts.ground.ranges
        asked = ranges.moved(asked)
        if self._member.is_trusted and _is_within(asked, ranges):
            return asked
        self._say(f"a probe's host {asked} is not asked, but the pod itself")
        return own

    # In the pod

    async def _run(self, command: list[str], limit_s: float) -> Verdict:
        member = self._member
        if not member.is_trusted:
            who = author(member.pod)
            return self._skipped(f"a probe's command was written by {who} and is not run")
        try:
            name = str(self._container["name"])
            entry = member.parts.insides.entry(member.pod, name, tuple(command))
            reader, writer = os.pipe()
            null = os.open(os.devnull, os.O_RDONLY)
            try:
                streams = Streams(null, writer, writer)
                process = await member.parts.ground.enter(member.uid, entry, streams)
            except BaseException:
                os.close(reader)
                raise
            finally:
                os.close(writer)
                os.close(null)
        except (OSError, LookupError) as error:
            return Verdict(is_good=False, said=str(error))
        try:
            async with asyncio.timeout(limit_s):
                code = await process.wait()
        except TimeoutError:
            said = f'command "{" ".join(command)}" timed out'
            return Verdict(is_good=False, said=said)
        finally:
            _kill(process)
            output = _read(reader)
        return GOOD if code == 0 else Verdict(is_good=False, said=output)


def _kill(process: asyncio.subprocess.Process) -> None:
    """What has not ended in time, and what it has begun."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _read(fd: int) -> str:
    """What is in a pipe now; more than it holds, a probe need not say."""
    os.set_blocking(fd, False)
    found = b""
    with suppress(BlockingIOError):
        while len(found) < _SHOWN and (piece := os.read(fd, _PIECE)):
            found += piece
    os.close(fd)
    return found[:_SHOWN].decode(errors="replace")


def _request(path: str, host: str, headers: list[Obj] | tuple[()]) -> bytes:
    """Raises ValueError for headers that would be more than one."""
    given = {str(one["name"]): str(one.get("value", "")) for one in headers}
    known = {name.lower() for name in given}
    usual = {"Host": host, "User-Agent": _AGENT, "Accept": "*/*"}
    kept = {name: value for name, value in usual.items() if name.lower() not in known}
    lines = [f"{name}: {value}" for name, value in {**kept, **given}.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header of the probe has more than one line")
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "Connection: close", "", ""]).encode()


def _port(asked: object, container: Obj) -> int | None:
    """A port by number or name."""
    if isinstance(asked, int):
        return asked
    for one in container.get("ports") or ():
        if one.get("name") == asked:
            return int(one["containerPort"])
    return int(asked) if isinstance(asked, str) and asked.isdecimal() else None


def _unknown(way: Obj) -> Verdict:
    said = f'the container has no port of the name "{way.get("port")}"'
    return Verdict(is_good=False, said=said)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why(error: Exception, host: str, port: int) -> str:
    if isinstance(error, EOFError):
        return "EOF"
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {_joined(host, port)}: connect: connection refused"
    if isinstance(error, OSError) and error.strerror:
        return f"dial tcp {_joined(host, port)}: {error.strerror.lower()}"
    return str(error)


def _is_within(text: str, ranges: Ranges) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    networks = (ranges.services, ranges.services6, ranges.pods, ranges.pods6, ranges.nodes)
    return any(one is not None and address in one for one in (*networks, ranges.outside))


@cache
def _unverified() -> ssl.SSLContext:
    """Probes do not look at certificates, in Kubernetes either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
