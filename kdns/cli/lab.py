"""`kdns lab`: a Kubernetes control plane in this process, for kubectl and whatever watches an API.

With `--play` services can be reached and pods be entered, in namespaces of the lab's own or on
loopback addresses. With `--serve COREFILE`, and always with `--play`, a DNS server runs beside it
as in production: a process of its own. With `-- COMMAND` that runs, and the lab ends with it.
"""

import argparse
import asyncio
import errno
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import randrange

from kdns.cli.whose import KUBECONFIG
from kdns.lab import companion, dns, manifests, played
from kdns.lab.controllers.desk import Desk
from kdns.lab.ground import enter
from kdns.lab.lab import Lab
from kdns.observe import logs

PORT = 7443
MOST = 65535
PARTS = {"exec": "kdns.cli.lab_exec", "rules": "kdns.cli.lab_rules"}
"""Commands of their own, for a lab that runs."""
_GROUNDS = ("auto", "namespaces", "loopback")


@dataclass(slots=True)
class _Words:
    """The command line."""

    port: int
    manifests: list[Path]
    data: Path | None
    kubeconfig: Path
    play: str
    corefile: str
    dns: str
    dns_port: int
    page_port: int
    command: list[str]

    @property
    def has_dns(self) -> bool:
        """True when a DNS server is to run."""
        return bool(self.play or self.corefile or self.dns)


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 or the command's; 1 failed, 2 bad usage or manifests, 3 cannot start."""
    if arguments and arguments[0] in PARTS:
        code: int = import_module(PARTS[arguments[0]]).main(arguments[1:])
        return code
    words = _parse(arguments)
    logs.set_up("text")
    return _told(words, lambda: _begin(words))


def _begin(words: _Words) -> int:
    found = manifests.read(words.manifests)
    return _play(words, found) if words.play else asyncio.run(_run(words, found))


def _told(words: _Words, act: Callable[[], int]) -> int:
    """Its exit code; what it raises becomes lines for the user."""
    try:
        return act()
    except manifests.ManifestError as error:
        for line in str(error).splitlines():
            logs.fatal(line)
        return 2
    except OSError as error:
        logs.fatal(_reason(error, words))
        return 3


def _parse(arguments: Sequence[str]) -> _Words:
    words = list(arguments)
    at = words.index("--") if "--" in words else len(words)
    grammar = parser()
    options = grammar.parse_args(words[:at])
    for name in ("port", "dns_port", "page_port"):
        if not 0 <= getattr(options, name) <= MOST:
            grammar.error(f"--{name.replace('_', '-')} must be 0 to {MOST}")
    return _Words(
        port=options.port,
        manifests=options.manifests,
        data=options.data,
        kubeconfig=options.kubeconfig_out.absolute(),
        play=options.play,
        corefile=options.serve,
        dns=options.dns,
        dns_port=options.dns_port,
        page_port=options.page_port,
        command=words[at + 1 :],
    )


def parser() -> argparse.ArgumentParser:
    """What may be said, up to `--`."""
    made = argparse.ArgumentParser(
        prog="kdns lab", allow_abbrev=False,
        usage="kdns lab [FLAG …] [-- COMMAND …]   or   kdns lab exec|rules …",
        description="A Kubernetes control plane for learning and testing, on 127.0.0.1.",
        epilog="-- COMMAND…: run it with KUBECONFIG set, and end with it. "
        "exec: run a command in a pod; rules: what kube-proxy does (each with --help).",
    )  # fmt: skip
    flag = made.add_argument
    flag("--port", metavar="N", type=int, default=PORT, help=f"of the API ({PORT}; 0: a free one)")
    flag(
        "--manifests", metavar="PATH", nargs="+", action="extend", type=Path, default=[],
        help="files and folders to apply at start",
    )  # fmt: skip
    flag("--data", metavar="DIR", type=Path, help="keep all objects there over restarts")
    flag(
        "--kubeconfig-out", metavar="FILE", type=Path, default=KUBECONFIG,
        help=f"where to write the kubeconfig ({KUBECONFIG})",
    )  # fmt: skip
    flag(
        "--play", metavar="GROUND", nargs="?", const="auto", default="", choices=_GROUNDS,
        help="play services and pods too: in namespaces of its own, else on loopback addresses; "
        "GROUND (namespaces, loopback) names one of the two",
    )  # fmt: skip
    flag("--serve", metavar="COREFILE", default="", help="run kdns with this Corefile beside it")
    flag(
        "--dns", metavar="COMMAND", default="",
        help="run this instead of kdns, as 'coredns -conf {corefile}'",
    )  # fmt: skip
    flag(
        "--dns-port", metavar="N", type=int, default=dns.PORT,
        help=f"of DNS on 127.0.0.1 ({dns.PORT}; 0: a free one)",
    )  # fmt: skip
    flag(
        "--page-port", metavar="N", type=int, default=dns.PAGE_PORT,
        help=f"of the status page on 127.0.0.1 ({dns.PAGE_PORT}; 0: a free one)",
    )  # fmt: skip
    return made


def _reason(error: OSError, words: _Words) -> str:
    if error.filename and Path(error.filename) in (words.kubeconfig, *words.kubeconfig.parents):
        hint = "--kubeconfig-out FILE puts the kubeconfig elsewhere"
        return f"{error.filename}: {error.strerror} ({hint})"
    if error.errno in {errno.EADDRINUSE, errno.EACCES}:
        why, where = os.strerror(error.errno), error.filename or f"127.0.0.1:{words.port}"
        ports = "--port, --dns-port and --page-port 0 take free ones"
        hint = f"does another lab run? {ports if words.play else '--port 0 takes a free port'}"
        if words.kubeconfig.exists():
            hint += ", and --kubeconfig-out FILE leaves it its kubeconfig"
        return f"cannot listen on {where}: {why} ({hint})"
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


# Played


def _play(words: _Words, found: Sequence[manifests.Found]) -> int:
    """Goes to where the lab is played, and plays it there."""
    words.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    forbidden = "" if words.play == "loopback" else enter.can_enter()
    if words.play == "namespaces" and forbidden:
        logs.fatal(f"lab: it cannot be played in namespaces: {forbidden}")
        return 3
    if words.play != "loopback" and not forbidden:
        return enter.inside(lambda outside: _played(words, found, played.in_spaces(outside)))
    return _played(words, found, played.on_loopback(forbidden))


def _played(words: _Words, found: Sequence[manifests.Found], site: played.Site) -> int:
    return _told(words, lambda: asyncio.run(_perform(words, found, site)))


async def _perform(words: _Words, found: Sequence[manifests.Found], site: played.Site) -> int:
    ended = _ending()
    plan = played.Plan(words.port, words.dns_port, words.page_port, words.data, not words.dns)
    async with played.Played(plan, site) as play:
        for line in play.open(found):
            logs.announce(f"lab: {line}")
        play.lab.kubeconfig(words.kubeconfig)
        return await _accompany(words, ended, play.folder, play.listening, play.inner_config)


# Not played


async def _run(words: _Words, found: Sequence[manifests.Found]) -> int:
    """The lab, until a signal, the command's end or a failure."""
    ended = _ending()
    words.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    async with Lab(port=words.port, data=words.data) as lab:
        manifests.apply(lab.storage, found, Desk(lab.storage, randrange))
        lab.kubeconfig(words.kubeconfig)
        logs.announce(f"lab: a Kubernetes API on {lab.url}, {len(found)} objects from manifests")
        where = dns.Listening(port=words.dns_port, page=f"127.0.0.1:{words.page_port}")
        with tempfile.TemporaryDirectory(prefix="kdns-lab-") as folder:
            return await _accompany(words, ended, Path(folder), where, words.kubeconfig)


async def _hint(words: _Words, where: dns.Listening) -> None:
    """Says what to do first, once all of it can be done."""
    if words.has_dns:
        await dns.answers(where)
    kubeconfig = shlex.quote(str(words.kubeconfig))
    logs.announce(f"lab: try: export KUBECONFIG={kubeconfig}; kubectl get services,pods -A")


# What runs beside it


def _ending() -> "asyncio.Future[int]":
    """Is done, with an exit code, once a signal asks for the end."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    ends = {signal.SIGTERM, signal.SIGINT}
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # not under nohup
        ends.add(signal.SIGHUP)
    for number in ends:
        asyncio.get_running_loop().add_signal_handler(number, _end, ended, 0)
    return ended


def _end(ended: "asyncio.Future[int]", code: int) -> None:
    if not ended.done():
        ended.set_result(code)


async def _accompany(
    words: _Words,
    ended: "asyncio.Future[int]",
    folder: Path,
    where: dns.Listening,
    config: Path,
) -> int:
    """Runs what is to run beside the lab; gives the exit code."""
    running: list[tuple[str, asyncio.subprocess.Process]] = []
    hint = asyncio.ensure_future(_hint(words, where))
    try:
        told = dns.environ(where, config)
        if words.has_dns:
            corefile = dns.corefile(words.corefile, words.dns, folder)
            server = await _start(dns.command(words.dns, corefile), told)
            running.append(("the DNS server", server))
        if words.command:
            if running:
                await dns.answers(where)
            running.append(("", await _start(words.command, told)))
        return await _until(running, ended)
    finally:
        hint.cancel()
        for _, process in reversed(running):
            await companion.stop(process)


async def _start(command: Sequence[str], told: Mapping[str, str]) -> asyncio.subprocess.Process:
    try:
        return await companion.start(command, told)
    except OSError as error:
        raise OSError(f"lab: cannot run {command[0]}: {error.strerror}") from None


async def _until(
    running: Sequence[tuple[str, asyncio.subprocess.Process]], ended: "asyncio.Future[int]"
) -> int:
    """Until one of those ends, or the lab is to."""
    waiting = [asyncio.ensure_future(process.wait()) for _, process in running]
    try:
        await asyncio.wait((*waiting, ended), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return ended.result()
        for name, process in running:
            if process.returncode is not None:
                if name:
                    logs.fatal(f"lab: {name} ended ({_how(process.returncode)})")
                return _code(process.returncode)
        return 0
    finally:
        for one in waiting:
            one.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}: {signal.strsignal(-code)}"


def _code(code: int) -> int:
    """As a shell gives it."""
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
