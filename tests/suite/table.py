"""`python -m tests.suite.table` (make conformance): the suite against kdns and other servers.

kdns and CoreDNS watch one lab cluster, with the Corefile that kubeadm writes; Knot, NSD and Unbound
serve a zone file, for the clauses of the RFCs. The table goes into the help page and the README.
All of it runs in a network namespace of its own, where servers may listen on every address.
"""

import argparse
import asyncio
import fcntl
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kdns.conformance import api
from kdns.conformance.catalogue import GROUPS
from kdns.conformance.clauses import Group, Verdict
from kdns.conformance.report import Report
from kdns.conformance.session import Session
from kdns.conformance.target import Target
from kdns.lab.lab import Lab
from tests import pages
from tests.clients.conftest import UNSHARE
from tests.clients.inside import raise_loopback
from tests.conformance import knot, nsd, unbound
from tests.conformance.resolver import Resolver
from tests.differential import peer

ADDRESS = "10.53.0.53"
SIOCSIFADDR = 0x8916
MAKER = "conformance"
PAGE = pages.HELP / "conformance.md"
ZONE = "cluster.local."
NAME, BIG = f"web-1.shop.svc.{ZONE}", f"many.shop.svc.{ZONE}"
COREFILE = """
.:PORT {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig KUBECONFIG
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    forward . UPSTREAM
    cache 30 {
        disable success cluster.local
        disable denial cluster.local
    }
    loadbalance
}
"""
ZONE_FILE = f"""$ORIGIN {ZONE}
$TTL 30
@ SOA ns.dns hostmaster 1 7200 1800 86400 30
@ NS ns.dns
ns.dns A 10.96.0.10
{NAME} A 10.96.0.20
""" + "".join(f"{BIG} A 198.18.0.{number}\n" for number in range(1, 121))
Zoned = Callable[[Path, dict[str, str]], AbstractContextManager[int]]


@dataclass(frozen=True)
class Peer:
    """A column of the table."""

    name: str
    version: tuple[str, ...]
    """The command that prints it."""
    start: Callable[[str], peer.Peer] | None = None
    """For servers of a cluster."""
    serving: Zoned | None = None
    """For servers of zone files."""

    def title(self) -> str:
        """Its name and version."""
        if not self.version:
            return self.name
        printed = subprocess.run(self.version, capture_output=True, text=True, check=False)
        words = (printed.stdout + printed.stderr).replace(",", " ").split()
        number = next(word for word in words if word.removeprefix("CoreDNS-")[0].isdigit())
        return f"{self.name} {number.removeprefix('CoreDNS-')}"


def peers() -> Iterator[Peer]:
    """Those that are installed."""
    yield Peer("kdns", (), peer.start_kdns)
    if binary := peer.coredns():
        yield Peer("CoreDNS", (binary, "-version"), peer.start_coredns)
    if knot.KNOTD:
        yield Peer("Knot", (knot.KNOTD, "-V"), serving=knot.serving)
    if nsd.NSD:
        yield Peer("NSD", (nsd.NSD, "-v"), serving=nsd.serving)
    if unbound.UNBOUND:
        yield Peer("Unbound", (unbound.UNBOUND, "-V"), serving=unbound.serving)


@contextmanager
def of_cluster(start: Callable[[str], peer.Peer], kubeconfig: Path) -> Iterator[int]:
    """The port of a server that watches the cluster."""
    with Resolver() as resolver:
        text = COREFILE.replace("KUBECONFIG", str(kubeconfig))
        with start(text.replace("UPSTREAM", resolver.address)) as running:
            yield running.port


async def tried(one: Peer, groups: Sequence[Group]) -> Report:
    """The suite's report on a server."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if one.serving:
            with one.serving(folder, {ZONE: ZONE_FILE}) as port:
                return await Session(groups).run(Target(peer.HOST, port, ZONE, NAME, BIG))
        async with Lab() as lab:
            kubeconfig = lab.kubeconfig(folder / "kubeconfig")
            assert one.start
            server = of_cluster(one.start, kubeconfig)
            port = await asyncio.to_thread(server.__enter__)
            try:
                target = Target(peer.HOST, port, ZONE)
                return await Session(groups).run(target, identity=api.kubeconfig(kubeconfig, ""))
            finally:
                await asyncio.to_thread(server.__exit__, None, None, None)


def suited(one: Peer) -> list[Group]:
    """The groups that a server can be tried on."""
    if one.start:
        return list(GROUPS)
    return [group for group in GROUPS if group.clauses[0].id.startswith("rfc")]


def table(reports: dict[str, Report]) -> str:
    """A row for each group, a column for each server; below, what each server fails."""
    found = {title: report.by_group() for title, report in reports.items()}
    titles = dict.fromkeys(title for groups in found.values() for title in groups)
    lines = ["| clauses | " + " | ".join(reports) + " |", "|---" * (len(reports) + 1) + "|"]
    for title in titles:
        cells = [cell(groups.get(title, [])) for groups in found.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(verdicts: Sequence[Verdict]) -> str:
    """`12 of 13`; empty where nothing was tried."""
    tried = [one for one in verdicts if one.outcome != "skipped"]
    passed = sum(one.outcome == "passed" for one in tried)
    if not tried:
        return ""
    return f"{passed} of {len(tried)}" if passed < len(tried) else f"all {passed}"


def failures(reports: dict[str, Report]) -> str:
    """A list of what each server fails, and of what could not be tried."""
    lines = []
    for title, report in reports.items():
        failed = [one for one in report.verdicts if one.outcome in {"failed", "error"}]
        for verdict in failed:
            mark = "" if verdict.clause.level == "must" else " (should)"
            clause = verdict.clause
            lines.append(f"* {title}: `{clause.id}`{mark}: {clause.title} ({clause.source})")
        skipped = [f"`{one.clause.id}`" for one in report.verdicts if one.outcome == "skipped"]
        if skipped:
            lines.append(f"* {title}: not tried: {', '.join(skipped)}")
    return "\n".join(lines)


def write(reports: dict[str, Report], page: Path = PAGE, readme: Path = pages.README) -> None:
    """Puts table and failures into the page, the table into the README where it has room."""
    whole = table(reports)
    pages.write(f"{whole}\n\n{failures(reports)}", page, MAKER)
    if pages.marks(MAKER)[0] in readme.read_text(encoding="utf-8"):
        pages.write(whole, readme, MAKER)


def main(words: Sequence[str]) -> int:
    """Runs itself again in a namespace, and tries the servers there."""
    parser = argparse.ArgumentParser(prog="python -m tests.suite.table")
    parser.add_argument("--only", nargs="+", default=[], help="servers by name; writes nothing")
    parser.add_argument("--inside", action="store_true", help="the network is our own already")
    options = parser.parse_args(words)
    if options.inside:
        give_addresses()
        return asyncio.run(try_all(options.only))
    again = [sys.executable, "-m", "tests.suite.table", "--inside", *words]
    return subprocess.run([*UNSHARE, *again], check=False).returncode


def give_addresses() -> None:
    """Brings loopback up, with an address beside its own: servers are not named by 127.0.0.1."""
    raise_loopback()
    alias = struct.pack("16sH2x4s8x", b"lo:1", socket.AF_INET, socket.inet_aton(ADDRESS))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFADDR, alias)


async def try_all(only: Sequence[str]) -> int:
    """Writes the table unless some servers are left out."""
    reports = {}
    for one in peers():
        if not only or one.name in only:
            reports[one.title()] = await tried(one, suited(one))
    print(f"{table(reports)}\n\n{failures(reports)}")
    if not only:
        write(reports)
    return 0 if "kdns" not in reports or reports["kdns"].has_passed() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
