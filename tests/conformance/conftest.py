"""The server under test: a kdns of this checkout, as a process. For others: `kdns conformance`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.resolver import Resolver
from tests.conformance.server import Server
from tests.differential import peer

ZONE = "cluster.local"
NAME = "web-1.shop.svc.cluster.local"
BIG = "many.shop.svc.cluster.local"
COREFILE = """
.:PORT {
    bind 127.0.0.1
    loadbalance
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        manifests MANIFESTS
    }
    forward . UPSTREAM
}
"""


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Who is asked."""
    with Resolver() as resolver:
        text = COREFILE.replace("UPSTREAM", resolver.address)
        text = text.replace("MANIFESTS", str(Path(__file__).parent / "manifests.yaml"))
        with peer.start_kdns(text) as running:
            yield Server(peer.HOST, running.port, ZONE, NAME, BIG)
            assert "Traceback" not in running.log, running.log


@pytest.fixture
def big(server: Server) -> str:
    """A name whose whole answer needs TCP or a larger EDNS size."""
    return server.big
