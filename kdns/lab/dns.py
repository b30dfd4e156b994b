"""The DNS server beside a lab: its command, its Corefile, and what both are told.

The Corefile finds where to listen and whom to watch in its environment: KDNS_LAB_DNS and
KDNS_LAB_DNS_PORT, KDNS_LAB_NODE (an address for metrics and probes), KDNS_LAB_PAGE (of the status
page) and KDNS_LAB_KUBECONFIG.
"""

import asyncio
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kdns.client.ask import ask
from kdns.client.line import UpstreamError

PORT = 5353
PAGE_PORT = 9154
HERE = Path(__file__).with_name("Corefile")
"""For who names none; CoreDNS reads it too."""
_PLACE = "{corefile}"
_NAME = b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\0"
_QUERY = b"\0\1\1\0\0\1\0\0\0\0\0\0" + _NAME + b"\0\1\0\1"
"""RFC 1035 §4.1: one question, for its address."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server is to listen, and its status page."""

    address: str = "127.0.0.1"
    port: int = PORT
    node: str = "127.0.0.1"
    page: str = f"127.0.0.1:{PAGE_PORT}"


def command(dns: str, corefile: str) -> list[str]:
    """The words that start a server; `dns` is the user's command, with {corefile}, or empty."""
    if not dns:
        return [sys.executable, "-m", "kdns", "-conf", corefile]
    return [word.replace(_PLACE, corefile) for word in shlex.split(dns)]


def corefile(named: str, dns: str, folder: Path) -> str:
    """The Corefile to serve: the one that is named, or ours, for kdns with its status page."""
    if named:
        return named
    if dns:
        return str(HERE)
    made = folder / "Corefile"
    text = HERE.read_text(encoding="utf-8")
    made.write_text(
        text.replace("    loadbalance\n", "    status {$KDNS_LAB_PAGE}\n    loadbalance\n")
    )
    return str(made)


def environ(where: Listening, kubeconfig: Path) -> Mapping[str, str]:
    """What the server is told."""
    return {
        "KDNS_LAB_KUBECONFIG": str(kubeconfig),
        "KUBECONFIG": str(kubeconfig),
        "KDNS_LAB_DNS": where.address,
        "KDNS_LAB_DNS_PORT": str(where.port),
        "KDNS_LAB_NODE": where.node,
        "KDNS_LAB_PAGE": where.page,
    }


async def answers(where: Listening, within: float = 10.0) -> None:
    """Waits until something answers there, whatever it says; for so long at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while True:
                with suppress(UpstreamError):
                    await ask((where.address, where.port), _QUERY, within=0.5)
                    return
                await asyncio.sleep(0.05)
