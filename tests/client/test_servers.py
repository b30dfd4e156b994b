"""forward with real servers behind it: Unbound, dnsdist and Knot DNS, asked by dig and kdig."""

import asyncio
import shutil
import subprocess

import dns.message
import dns.query
import pytest

from kdns.plugins.forward import Forward
from tests.client import servers
from tests.fakes import client
from tests.running import Running
from tests.secure import write
from tests.served import Serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unbound(tmp_path_factory):
    with servers.unbound(tmp_path_factory.mktemp("unbound")) as ports:
        yield ports


@pytest.fixture(scope="module")
def dnsdist(tmp_path_factory, unbound):
    with servers.dnsdist(tmp_path_factory.mktemp("dnsdist"), unbound["dns"]) as ports:
        yield ports


@pytest.fixture(scope="module")
def knot(tmp_path_factory):
    with servers.knot(tmp_path_factory.mktemp("knot")) as ports:
        yield ports


SERVERS = [
    ("unbound", "dns"),
    ("unbound", "tls"),
    ("unbound", "https"),
    ("dnsdist", "tls"),
    ("dnsdist", "https"),
    ("knot", "dns"),
]


@pytest.mark.parametrize(("server", "scheme"), SERVERS)
async def test_answers_come_through(server, scheme, request, tmp_path):
    port = request.getfixturevalue(server)[scheme]
    pem = write(tmp_path)
    options = f"tls {pem['ca']}" if scheme != "dns" else ""
    text = f"forward . {scheme}://127.0.0.1:{port} {{\n{options}\nmixed_case\n}}"
    async with Serving(text, Forward) as served:
        asked = [
            ("a.example", "A"),
            ("b.example", "AAAA"),
            ("none.example", "A"),
            ("a.example", "MX"),
        ]
        for name, type_ in asked * 2:
            got = await served.dig(name, type_)
            code = "NXDOMAIN" if name == "none.example" else "NOERROR"
            assert got.rcode().name == code
            assert bool(got.answer) == ((name, type_) in asked[:2])
        many = [served.ask("a.example", has_opt=True, size=1232) for _ in range(60)]
        assert all(answer.answer for answer in await asyncio.gather(*many))
        counted = served.site.counters.values
        missed = [key for key in counted if key[0] == "coredns_proxy_conn_cache_misses_total"]
        if scheme == "tls":
            assert sum(counted[key] for key in missed) <= 4


@pytest.mark.parametrize(("server", "scheme"), SERVERS)
async def test_a_long_answer_comes_whole_over_streams(server, scheme, request, tmp_path):
    port = request.getfixturevalue(server)[scheme]
    pem = write(tmp_path)
    options = f"tls {pem['ca']}" if scheme != "dns" else ""
    text = f"forward . {scheme}://127.0.0.1:{port} {{\n{options}\n}}"
    async with Serving(text, Forward) as served:
        answer = await served.ask("big.example", "TXT", client(transport="tcp"))
        assert len(answer.answer[0].rdatas) == 40


@pytest.mark.parametrize("scheme", ["tls", "https"])
async def test_another_name_is_not_trusted(scheme, unbound, tmp_path):
    pem = write(tmp_path)
    text = (
        f"forward . {scheme}://127.0.0.1:{unbound[scheme]} {{\n"
        f"tls {pem['ca']}\ntls_servername other.example\n}}"
    )
    async with Serving(text, Forward) as served:
        assert "certificate" in (await served.ask("a.example")).error


def test_clients_ask_a_kdns_in_front(unbound, tmp_path):
    """The whole way: kdig or dig, kdns, Unbound over TLS and HTTPS; a warm connection is kept."""
    pem = write(tmp_path)
    corefile = tmp_path / "Corefile"
    for scheme in ("tls", "https"):
        corefile.write_text(
            f". {{\nforward . {scheme}://127.0.0.1:{unbound[scheme]} {{\ntls {pem['ca']}\n}}\n}}\n"
        )
        with Running(corefile) as kdns:
            kdns.wait()
            tool = shutil.which("kdig") or shutil.which("dig")
            if tool is None:
                pytest.skip("neither kdig nor dig is installed (knot-dnsutils, bind9-dnsutils)")
            command = [tool, "@127.0.0.1", "-p", str(kdns.port), "a.example", "A", "+short"]
            said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
            assert said.stdout.strip() == "10.0.0.1"
            query = dns.message.make_query("big.example", "TXT")
            reply = dns.query.tcp(query, "127.0.0.1", 40, kdns.port)
            assert len(reply.answer[0]) == 40
