"""The server under test: the one `--server` names, else a kdns of this checkout, started here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.resolver import Resolver
from tests.conformance.server import Server
from tests.differential import peer

ZONE = "cluster.local"
NAME = "web.shop.svc.cluster.local"
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


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/conformance --server HOST:PORT …` asks a server that already runs."""
    group = parser.getgroup("conformance")
    group.addoption("--server", metavar="HOST[:PORT]", help="the server to test; else kdns")
    group.addoption("--zone", default=ZONE, help="a zone that it serves")
    group.addoption("--name", default=NAME, help="a name in the zone with an address")
    group.addoption("--big", default="", help="a name with more addresses than 512 octets hold")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Who is asked."""
    option = request.config.getoption
    given = option("--server", default=None)
    if given:
        host, port = _address(given)
        yield Server(host, port, option("--zone"), option("--name"), option("--big"))
        return
    with Resolver() as resolver:
        text = COREFILE.replace("UPSTREAM", resolver.address)
        text = text.replace("MANIFESTS", str(Path(__file__).parent / "manifests.yaml"))
        with peer.start_kdns(text) as running:
            yield Server(peer.HOST, running.port, ZONE, NAME, BIG)
            assert "Traceback" not in running.log, running.log


@pytest.fixture
def big(server: Server) -> str:
    """A name whose whole answer needs TCP or a larger EDNS size."""
    if not server.big:
        pytest.skip("the server has no big name: --big")
    return server.big


def _address(text: str) -> tuple[str, int]:
    """HOST, HOST:PORT, [V6]:PORT."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest[1:] or 53)
    if text.count(":") > 1:
        return text, 53
    host, _, port = text.partition(":")
    return host, int(port or 53)
