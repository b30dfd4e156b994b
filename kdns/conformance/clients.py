"""Real clients look names up with the server: what a person types must print what the wire says.

Each client that is here is tried on each kind of look-up that it knows; one that is not is skipped
with a word on where it comes from (target.PACKAGES).
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kdns.conformance import room
from kdns.conformance.case import Case
from kdns.conformance.clauses import Check, Failed, Group, Skipped
from kdns.conformance.kubernetes import known
from kdns.conformance.kubernetes_services import reverse, srv_name
from kdns.conformance.objects import Service
from kdns.conformance.target import Target

GROUP = Group("Clients")
_HERE = Path(__file__).parent
_LIMIT_S = 20.0
_BUILD_LIMIT_S = 180.0
"""Go builds its program first."""
_SHOWN = 600


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a client is to look up, and what it must print."""

    name: str
    type: str
    expected: Sequence[str] = ()
    """Words, in lower case, without final dots."""
    address: str = ""
    """For clients that are given the address and make the reverse name themselves."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of look-up."""

    title: str
    needs: tuple[str, ...]
    choose: Callable[[Case], Awaitable[Lookup]]


@dataclass(frozen=True, slots=True)
class Printed:
    """What a client said."""

    code: int
    text: str
    """Standard output and standard error."""

    @property
    def words(self) -> set[str]:
        """Its words as `expected` has them."""
        return {word.lower().rstrip(".") for word in self.text.split()}


@dataclass(frozen=True, slots=True)
class Client:
    """A program, and how it is told to ask the server."""

    name: str
    kinds: tuple[str, ...]
    command: Callable[[Target, Lookup], Sequence[str]]
    missing: tuple[int, str]
    """Exit code and words when there is no such name."""
    run: Callable[[Target, Sequence[str]], Awaitable[Printed]] | None = None
    limit_s: float = _LIMIT_S


async def run(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Printed:
    """Runs a command to its end; ends it when nobody waits any more."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C", **(environ or {})},
    )
    try:
        out, _ = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    return Printed(process.returncode or 0, out.decode(errors="replace"))


# Kinds


async def _address(case: Case) -> Lookup:
    name = case.target.name
    return Lookup(name, "A", _known(case, name) or (await case.ask(name)).values("A"))


async def _missing(case: Case) -> Lookup:
    return Lookup(case.target.missing(), "A")


async def _big(case: Case) -> Lookup:
    name = case.target.big
    found = _known(case, name) or (await case.ask(name, transport="tcp")).values("A")
    return Lookup(name, "A", found)


def _known(case: Case, name: str) -> list[str]:
    """The addresses that a name must have, where its service is known."""
    services = case.target.objects.services if case.target.objects else ()
    mine = [one for one in services if one.fqdn(case.target.zone).lower() == name.lower()]
    return mine[0].addresses("A") if mine else []


async def _srv(case: Case) -> Lookup:
    service, zone = _plain(case), case.target.zone
    port = service.named_ports()[0]
    target = service.fqdn(zone).lower().rstrip(".")
    return Lookup(srv_name(port, service, zone), "SRV", (str(port.number), target))


async def _ptr(case: Case) -> Lookup:
    service = _plain(case)
    [address, *_] = service.addresses("A")
    name = service.fqdn(case.target.zone).lower().rstrip(".")
    return Lookup(reverse(address), "PTR", (name,), address)


async def _cname(case: Case) -> Lookup:
    def suits(one: Service) -> bool:
        return one.kind == "ExternalName"

    service = known(case, suits, "ExternalName service")[0]
    target = service.external_name.lower().rstrip(".")
    return Lookup(service.fqdn(case.target.zone), "CNAME", (target,))


def _plain(case: Case) -> Service:
    def suits(one: Service) -> bool:
        return one.kind == "ClusterIP" and bool(one.addresses("A") and one.named_ports())

    return known(case, suits, "ClusterIP service with a named port")[0]


KINDS = {
    "a": Kind("finds an address", ("name",), _address),
    "srv": Kind("finds a port and target (SRV)", ("cluster",), _srv),
    "ptr": Kind("finds the name of a ClusterIP (PTR)", ("cluster",), _ptr),
    "cname": Kind("finds where an ExternalName leads (CNAME)", ("cluster",), _cname),
    "missing": Kind("says that a name does not exist", ("name",), _missing),
    "tcp": Kind("gets by TCP what UDP had to cut", ("big", "tcp"), _big),
}


# Clients


def _dig(target: Target, asked: Lookup) -> Sequence[str]:
    to = (f"@{target.host}", "-p", str(target.port))
    # Without statistics, whose milliseconds and octets look like ports.
    return "dig", "-r", "+nostats", "+tries=2", "+time=2", *to, "-t", asked.type, asked.name


def _host(target: Target, asked: Lookup) -> Sequence[str]:
    return "host", "-p", str(target.port), "-t", asked.type, asked.name, target.host


def _nslookup(target: Target, asked: Lookup) -> Sequence[str]:
    if Path(shutil.which("nslookup") or "").resolve().name == "busybox":
        raise Skipped("nslookup is BusyBox's here (BIND's: apt install bind9-dnsutils)")
    port, type_ = f"-port={target.port}", f"-type={asked.type}"
    return "nslookup", port, type_, asked.name, target.host


def _busybox(target: Target, asked: Lookup) -> Sequence[str]:
    return "busybox", "nslookup", f"-type={asked.type.lower()}", asked.name, _at(target)


def _getent(_target: Target, asked: Lookup) -> Sequence[str]:
    if asked.address:
        return "getent", "hosts", asked.address
    return "getent", "ahosts", asked.name


def _go(target: Target, asked: Lookup) -> Sequence[str]:
    program = str(_HERE / "lookup.go")
    return "go", "run", program, _at(target), asked.type, asked.address or asked.name


def _cares(target: Target, asked: Lookup) -> Sequence[str]:
    question = asked.address or asked.name
    return sys.executable, "-m", "kdns.conformance.cares", _at(target), asked.type, question


def _at(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"


async def _in_room(target: Target, argv: Sequence[str]) -> Printed:
    async with room.opened(target) as prefix:
        return await run([*prefix, *argv])


async def _without_cgo(_target: Target, argv: Sequence[str]) -> Printed:
    """Go's own resolver, from a file in no module. One at a time: the first one builds for all."""
    async with _turn(asyncio.get_running_loop()):
        return await run(argv, {"CGO_ENABLED": "0", "GO111MODULE": "off", "GOFLAGS": ""})


@cache
def _turn(_loop: asyncio.AbstractEventLoop) -> asyncio.Lock:
    return asyncio.Lock()


_MOST = ("a", "srv", "ptr", "cname", "missing")
CLIENTS = (
    Client("dig", (*_MOST, "tcp"), _dig, (0, "status: NXDOMAIN")),
    Client("host", (*_MOST, "tcp"), _host, (1, "3(NXDOMAIN)")),
    Client("nslookup", (*_MOST, "tcp"), _nslookup, (1, "server can't find")),
    Client("busybox", _MOST, _busybox, (1, "server can't find")),
    Client("getent", ("a", "ptr", "missing", "tcp"), _getent, (2, ""), run=_in_room),
    Client(
        "go", (*_MOST, "tcp"), _go, (1, "no such host"), run=_without_cgo, limit_s=_BUILD_LIMIT_S
    ),
    Client("cares", ("a", "ptr", "missing", "tcp"), _cares, (1, "Domain name not found")),
)


def _check(client: Client, kind: Kind) -> Check:
    async def check(case: Case) -> None:
        asked = await kind.choose(case)
        argv = client.command(case.target, asked)
        printed = await (client.run(case.target, argv) if client.run else run(argv))
        code, words = (0, "") if kind is not KINDS["missing"] else client.missing
        seen = f"{' '.join(argv)}\n{printed.text[:_SHOWN]}(exit code {printed.code})"
        missing = [word for word in asked.expected if word not in printed.words]
        if printed.code != code or words not in printed.text:
            raise Failed(f"exit code {code} {words}".rstrip(), seen)
        if missing:
            raise Failed(f"{', '.join(missing)} printed", seen)

    return check


for _client in CLIENTS:
    for _name in _client.kinds:
        _kind = KINDS[_name]
        GROUP.clause(
            f"client-{_client.name}-{_name}",
            f"{_client.name} {_kind.title}",
            f"{_client.name}, as a person types it",
            needs=(f"client:{_client.name}", *_kind.needs),
            limit_s=_client.limit_s,
        )(_check(_client, _kind))
