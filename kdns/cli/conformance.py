"""`kdns conformance`: tests any cluster DNS server from outside, clause by clause, and reports.

Exit code 0 when every clause that must hold does, 1 when one does not, 2 for bad usage.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from kdns.cli.terminal import is_colored
from kdns.conformance import api, manifests
from kdns.conformance.catalogue import GROUPS, UnknownError, choose
from kdns.conformance.clauses import Group
from kdns.conformance.page import as_page
from kdns.conformance.report import Report, as_json, as_junit
from kdns.conformance.session import Session
from kdns.conformance.survey import SilentError
from kdns.conformance.target import Target
from kdns.conformance.text import as_text, listing
from kdns.wire import names

_FORMS = {"json": as_json, "junit": as_junit, "html": as_page}
_PORT = 53


class UsageError(Exception):
    """Words that make no run, and why."""


def main(arguments: Sequence[str]) -> int:
    """Tests a server; gives the exit code."""
    options = parser().parse_args(arguments)
    try:
        groups = choose(GROUPS, options.only, options.skip)
        if options.list:
            print(listing(groups))
            return 0
        if options.print_manifests:
            print(manifests.dump(_zone(options.zone)), end="")
            return 0
        return asyncio.run(_test(options, groups))
    except (UsageError, UnknownError, api.KubeconfigError, manifests.ManifestError) as error:
        print(f"kdns conformance: {error}", file=sys.stderr)
        return 2
    except SilentError as error:
        print(f"kdns conformance: {options.server} does not answer: {error}", file=sys.stderr)
        return 1
    except asyncio.CancelledError as stopped:
        left = str(stopped) or "what it had made is deleted"
        print(f"kdns conformance: stopped; {left}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    made = argparse.ArgumentParser(
        prog="kdns conformance", allow_abbrev=False, usage="%(prog)s --server IP[:PORT] [FLAG …]",
        description="Tests any cluster DNS server from outside: the Kubernetes DNS specification, "
        "the e2e behaviours, the RFCs.",
        epilog="With --kubeconfig, or in a pod, a namespace with services is made for the run and "
        "deleted after it; without the right to, see kdns help conformance.",
    )  # fmt: skip
    flag = made.add_argument
    flag("--server", metavar="IP[:PORT]", default="", help="the server to test (port 53)")
    flag("--zone", default="cluster.local", help="the cluster's zone (cluster.local)")
    flag("--name", default="", help="a name with an address in a zone of no cluster")
    flag("--big", default="", metavar="NAME", help="one whose addresses need 513 octets or more")
    flag("--kubeconfig", metavar="FILE", type=Path, help="the cluster that the server serves")
    flag("--context", metavar="C", default="", help="the kubeconfig's context")
    flag(
        "--manifests", metavar="PATH", nargs="+", type=Path, action="extend", default=[],
        help="files and folders of the objects it serves",
    )  # fmt: skip
    flag("--print-manifests", action="store_true", help="print the objects that clauses need")
    flag("--only", metavar="ID", nargs="+", action="extend", default=[], help="these; k8s-* works")
    flag("--skip", metavar="ID", nargs="+", action="extend", default=[], help="all but these")
    flag("--list", action="store_true", help="list the clauses")
    flag(
        "--report", metavar="FORMAT", choices=("text", *_FORMS), default="text",
        help="text, json, junit or html (text)",
    )  # fmt: skip
    flag("--output", metavar="FILE", type=Path, help="write the report there")
    return made


async def _test(options: argparse.Namespace, groups: Sequence[Group]) -> int:
    if not options.server:
        raise UsageError("--server IP[:PORT] says whom to test")
    if options.manifests and options.kubeconfig:
        raise UsageError("--manifests and --kubeconfig exclude each other")
    host, port = await asyncio.to_thread(_address, options.server)
    zone = _zone(options.zone)
    target = Target(host, port, zone, _name(options.name), _name(options.big))
    objects = manifests.load(options.manifests) if options.manifests else None
    if objects and not objects.services:
        raise UsageError("--manifests: there is no Service in them")
    identity = _identity(options)
    _stop_at_signals()
    report = await Session(groups).run(target, identity=identity, objects=objects)
    _write(report, options.report, options.output)
    return 0 if report.has_passed() else 1


def _identity(options: argparse.Namespace) -> api.Identity | None:
    """Who we are to the cluster, if there is one to be asked."""
    if options.kubeconfig:
        return api.kubeconfig(options.kubeconfig, options.context)
    return None if options.manifests else api.in_cluster(dict(os.environ))


def _stop_at_signals() -> None:
    """The first signal ends the run, cleaning up; another one does not disturb that."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _cancel_once, task)


def _cancel_once(task: "asyncio.Task[object]") -> None:
    if not task.cancelling():
        task.cancel()


def _write(report: Report, form: str, output: Path | None) -> None:
    is_coloured = output is None and is_colored()
    text = as_text(report, coloured=is_coloured) if form == "text" else _FORMS[form](report)
    if output is None:
        print(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}") from None


def _address(text: str) -> tuple[str, int]:
    """Of `10.96.0.10`, `[::1]:5353`, `kube-dns.kube-system`."""
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"--server: {port!r} is no port")
    try:
        found = socket.getaddrinfo(host, int(port or _PORT), type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--server: {host!r} is neither an address nor a known host ({error})"
        ) from None
    address = found[0][4]
    return str(address[0]), int(address[1])


def _zone(text: str) -> str:
    return _name(text) or "."


def _name(text: str) -> str:
    """A name, made absolute and lower-case."""
    try:
        return names.format(names.parse_key(text)) if text else ""
    except ValueError as error:
        raise UsageError(str(error)) from None
