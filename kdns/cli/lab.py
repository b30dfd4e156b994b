"""`kdns lab`: a Kubernetes control plane in this process, for kubectl and whatever watches an API.

With `--serve COREFILE` a kdns serves beside it, as in production: a process of its own that is told
the kubeconfig as {$KDNS_LAB_KUBECONFIG}. With `-- COMMAND` that runs, and the lab ends with it.
"""

import argparse
import asyncio
import errno
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import randrange

from kdns.lab import companion, manifests
from kdns.lab.controllers.desk import Desk
from kdns.lab.lab import Lab
from kdns.observe import logs

PORT = 7443
MOST = 65535
KUBECONFIG = Path(".kdns/kubeconfig")


@dataclass(slots=True)
class _Words:
    """The command line."""

    port: int
    manifests: list[Path]
    data: Path | None
    kubeconfig: Path
    corefile: str
    command: list[str]


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 or the command's; 1 failed, 2 bad usage or manifests, 3 cannot start."""
    words = _parse(arguments)
    logs.set_up("text")
    try:
        found = manifests.read(words.manifests)
        return asyncio.run(_run(words, found))
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
    if not 0 <= options.port <= MOST:
        grammar.error(f"--port must be 0 to {MOST}")
    command = words[at + 1 :]
    if options.serve and command:
        grammar.error("--serve and -- COMMAND exclude each other")
    if options.serve:
        command = [sys.executable, "-m", "kdns", "-conf", options.serve]
    kubeconfig = options.kubeconfig_out.absolute()
    return _Words(options.port, options.manifests, options.data, kubeconfig, options.serve, command)


def parser() -> argparse.ArgumentParser:
    """What may be said, up to `--`."""
    made = argparse.ArgumentParser(
        prog="kdns lab", allow_abbrev=False,
        usage="kdns lab [FLAG …] [-- COMMAND …]",
        description="A Kubernetes control plane for learning and testing, on 127.0.0.1.",
        epilog="-- COMMAND…: run it with KUBECONFIG set, and end with it.",
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
    flag("--serve", metavar="COREFILE", default="", help="run kdns with this Corefile beside it")
    return made


def _reason(error: OSError, words: _Words) -> str:
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in {errno.EADDRINUSE, errno.EACCES}:
        why = os.strerror(error.errno)
        hint = "does another lab run? --port 0 takes a free port"
        return f"cannot listen on 127.0.0.1:{words.port}: {why} ({hint})"
    return str(error)


async def _run(words: _Words, found: Sequence[manifests.Found]) -> int:
    """The lab, until a signal, the command's end or a failure."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    ends = {signal.SIGTERM, signal.SIGINT}
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # not under nohup
        ends.add(signal.SIGHUP)
    for number in ends:
        asyncio.get_running_loop().add_signal_handler(number, _end, ended, 0)
    words.kubeconfig.parent.mkdir(parents=True, exist_ok=True)

    async with Lab(port=words.port, data=words.data) as lab:
        manifests.apply(lab.storage, found, Desk(lab.storage, randrange))
        lab.kubeconfig(words.kubeconfig)
        logs.announce(_hello(lab.url, words, len(found)))
        return await _accompany(words, ended)


def _end(ended: "asyncio.Future[int]", code: int) -> None:
    if not ended.done():
        ended.set_result(code)


def _hello(url: str, words: _Words, count: int) -> str:
    kubeconfig = shlex.quote(str(words.kubeconfig))
    return (
        f"lab: a Kubernetes API on {url}, {count} objects from manifests\n"
        f"lab: try: export KUBECONFIG={kubeconfig}; kubectl get services,pods -A"
    )


async def _accompany(words: _Words, ended: "asyncio.Future[int]") -> int:
    """Runs what is to run beside the lab; gives the exit code."""
    if not words.command:
        return await ended
    kubeconfig = str(words.kubeconfig)
    environ = {"KDNS_LAB_KUBECONFIG": kubeconfig, "KUBECONFIG": kubeconfig}
    process = await companion.start(words.command, environ)
    waiting = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait((waiting, ended), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done() and not ended.done():
            if words.corefile:
                logs.fatal(f"lab: the DNS server ended (exit code {process.returncode})")
            return process.returncode or 0
        return ended.result()
    finally:
        await companion.stop(process)
        with suppress(asyncio.CancelledError):
            await waiting
