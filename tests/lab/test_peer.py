"""CoreDNS itself watches the lab: it syncs, follows, and lives through faults as with a real server."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message
import pytest

from kdns.lab.faults import Fault
from kdns.lab.lab import Lab
from kdns.lab.resources import SERVICES
from tests.differential.peer import coredns, free_port

BINARY = coredns()
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(BINARY is None, reason="coredns is not installed"),
]


@dataclass
class Watcher:
    """A lab and the CoreDNS that watches it."""

    lab: Lab
    port: int

    def add(self, name: str, address: str) -> None:
        spec = {"clusterIP": address, "ports": [{"name": "http", "port": 80}]}
        self.lab.storage.create(SERVICES, "default", {"metadata": {"name": name}, "spec": spec})

    async def knows(self, name: str, address: str) -> bool:
        """Asks until the answer is right, ten seconds long."""
        question = dns.message.make_query(f"{name}.default.svc.cluster.local.", "A")
        async with asyncio.timeout(10):
            while True:
                try:
                    reply = await dns.asyncquery.udp(question, "127.0.0.1", 0.5, self.port)
                except (dns.exception.DNSException, OSError):
                    continue
                if any(address in str(rrset) for rrset in reply.answer):
                    return True
                await asyncio.sleep(0.02)


@pytest.fixture
async def watcher(tmp_path: Path) -> AsyncIterator[Watcher]:
    port = free_port()
    async with Lab(has_controllers=False, is_open=True) as lab:
        stanza = f"kubernetes cluster.local {{\n endpoint {lab.url}\n }}"
        (tmp_path / "Corefile").write_text(f".:{port} {{\n bind 127.0.0.1\n {stanza}\n}}\n")
        command = [BINARY or "", "-conf", "Corefile"]
        with (tmp_path / "log").open("wb") as log:
            child = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
        try:
            yield Watcher(lab, port)
        finally:
            child.terminate()
            child.wait()


async def test_coredns_syncs_from_the_lab_and_follows(watcher: Watcher) -> None:
    watcher.add("a", "10.96.1.1")
    assert await watcher.knows("a", "10.96.1.1")
    watcher.add("b", "10.96.1.2")
    assert await watcher.knows("b", "10.96.1.2")
    resources = {one.resource for one in watcher.lab.faults.watches}
    assert resources == {"services", "endpointslices", "namespaces"}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset", resource="services"),
        Fault("end", resource="services"),
        Fault("half_close", resource="services"),
        Fault("error", resource="services", code=410, reason="Expired", message="too old"),
    ],
    ids=lambda fault: fault.what,
)
async def test_coredns_heals(watcher: Watcher, fault: Fault) -> None:
    watcher.add("a", "10.96.1.1")
    assert await watcher.knows("a", "10.96.1.1")
    watcher.lab.faults.strike(fault)
    watcher.add("b", "10.96.1.2")
    assert await watcher.knows("b", "10.96.1.2")
    assert fault.hits == 1


async def test_coredns_lists_where_watchlist_is_refused(watcher: Watcher) -> None:
    watcher.lab.faults.add(Fault("refuse", verb="watchlist", code=422, reason="Invalid"))
    watcher.add("a", "10.96.1.1")
    assert await watcher.knows("a", "10.96.1.1")
