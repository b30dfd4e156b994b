"""Web configuration files of Prometheus: who may read a page, and over which TLS (by curl)."""

import asyncio
import shutil
import subprocess
from contextlib import asynccontextmanager

import pytest

from kdns.observe.webfile import WebError, read, secured
from kdns.plugins.base import Endpoint, HttpReply
from kdns.server.http import HttpListener, Offer

pytestmark = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl")),
    reason="openssl and curl are not installed",
)
BOTH = "tls_server_config:\n  cert_file: cert\n  key_file: key\n"


def certificate(folder, name="", subject="localhost"):
    """A certificate that is its own authority."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-keyout", folder / f"{name}key", "-out", folder / f"{name}cert",
         "-subj", f"/CN={subject}", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    certificate(tmp_path)
    return tmp_path


def webfile(folder, text):
    path = folder / "web.yml"
    path.write_text(text)
    return str(path)


@asynccontextmanager
async def listening(web):
    async def ok(_):
        return HttpReply()

    offer = Offer("prometheus", {"/metrics": Endpoint("127.0.0.1", 0, "/metrics", ok, web)})
    listener = HttpListener(("127.0.0.1", 0), offer)
    await listener.start()
    try:
        yield listener.port
    finally:
        await listener.stop(0.2)


async def curl(port, *options, scheme="https"):
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-S", *map(str, options), f"{scheme}://127.0.0.1:{port}/metrics",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    return (await process.communicate())[0].decode()


async def test_the_page_is_read_over_tls_only(folder):
    async with listening(webfile(folder, BOTH)) as port:
        assert await curl(port, "--cacert", folder / "cert") == "OK"
        assert await curl(port, "--cacert", folder / "cert", "--tlsv1.3") == "OK"
        assert "certificate" in await curl(port)
        assert await curl(port, scheme="http") != "OK"


async def test_clients_may_have_to_show_a_certificate(folder):
    certificate(folder, "client", "scraper")
    certificate(folder, "other", "stranger")
    web = webfile(
        folder,
        BOTH + "  client_ca_file: clientcert\n  client_auth_type: RequireAndVerifyClientCert\n",
    )
    async with listening(web) as port:
        ca = ("--cacert", folder / "cert", "--cert")
        shown = {
            name: await curl(port, *ca, folder / f"{name}cert", "--key", folder / f"{name}key")
            for name in ("client", "other")
        }
        assert shown["client"] == "OK"
        assert shown["other"] != "OK"
        assert await curl(port, *ca[:2]) != "OK"


async def test_versions_are_bounded(folder):
    async with listening(webfile(folder, BOTH + "  min_version: TLS13\n")) as port:
        assert await curl(port, "-k", "--tls-max", "1.2") != "OK"
        assert await curl(port, "-k") == "OK"


async def test_a_renewed_certificate_is_taken_over(folder):
    async with listening(webfile(folder, BOTH)) as port:
        old = (folder / "cert").read_bytes()
        (folder / "old").write_bytes(old)
        assert await curl(port, "--cacert", folder / "old") == "OK"
        (folder / "cert").write_text("broken")
        assert await curl(port, "--cacert", folder / "old") == "OK"
        certificate(folder)
        assert await curl(port, "--cacert", folder / "cert") == "OK"
        assert await curl(port, "--cacert", folder / "old") != "OK"


@pytest.mark.parametrize("text", ["", "{}", "http_server_config:\n  http2: true\n"])
def test_a_file_may_ask_for_nothing(folder, text):
    assert read(webfile(folder, text)) is None
    assert secured(webfile(folder, text)) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "no YAML"),
        ("- x", "no mapping"),
        ("basic_auth_users:\n  a: b\n", "basic_auth_users is not implemented"),
        ("tls_server_config:\n  cert_file: cert\n", "needs cert_file and key_file"),
        (BOTH + "  what: x\n", "what is not implemented"),
        (BOTH + "  client_ca_file: cert\n", "needs a client_auth_type"),
        (BOTH + "  client_auth_type: RequireAnyClientCert\n", "client_auth_type can be"),
        (BOTH + "  min_version: TLS9\n", "a version can be"),
        (BOTH + "  min_version: 13\n", "is no text"),
        (BOTH.replace(": cert", ": nothing"), "no certificate"),
        (BOTH.replace(": key", ": cert"), "no certificate"),
    ],
)
def test_what_will_not_do_is_named(folder, text, why):
    with pytest.raises(WebError, match=why):
        secured(webfile(folder, text))


def test_a_file_that_is_not_there_is_named(folder):
    with pytest.raises(WebError, match="No such file"):
        read(str(folder / "absent"))
