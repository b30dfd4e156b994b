"""Certificates of the lab, as OpenSSL, Python, curl and Go (kubectl) judge them."""

import asyncio
import base64
import shutil
import ssl
import stat
import time
from pathlib import Path

import aiohttp
import pytest

from kdns.lab import der, p256
from kdns.lab.certificates import NAMES, addresses_of, make
from kdns.lab.lab import Lab, Tls
from kdns.lab.ranges import LOOPBACK, USUAL


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return make(tmp_path, USUAL)


def strict(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def installed(tool: str) -> str:
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    return found


async def ran(*words: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out = (await asyncio.wait_for(child.communicate(), 20))[0].decode()
    return child.returncode or 0, out


def test_multiples_of_the_base_point_are_the_published_ones() -> None:
    """From the test vectors that NIST published for the curve."""
    assert p256.key_of(1).x == 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
    assert p256.key_of(2).x == 0x7CF27B188D034F7E8A52380304B51AC3C08969E277F21B35A60B48FC47669978
    last = p256.key_of(p256.N - 1)
    assert last.x == p256.key_of(1).x
    assert last.y == p256.P - p256.key_of(1).y
    for secret in (3, 5, 112233445566778899, p256.N - 2):
        key = p256.key_of(secret)
        b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
        assert (key.y**2 - key.x**3 + 3 * key.x - b) % p256.P == 0


def test_no_two_signatures_share_their_nonce() -> None:
    key = p256.new_key()
    assert len({p256.sign(key, b"same")[0] for _ in range(8)}) == 8


def test_der_is_as_the_standard_has_it() -> None:
    assert der.number(0) == bytes.fromhex("020100")
    assert der.number(128) == bytes.fromhex("02020080")
    assert der.oid("1.2.840.10045.4.3.2") == bytes.fromhex("06082a8648ce3d040302")
    assert der.octets(b"x" * 200)[:3] == bytes.fromhex("0481c8")
    assert der.octets(b"x" * 300)[:4] == bytes.fromhex("0482012c")
    assert der.time(0) == b"\x17\r700101000000Z"
    assert der.time(2524608000) == b"\x18\x0f20500101000000Z"


def test_files_are_for_their_owner_and_made_quickly(tmp_path: Path) -> None:
    began = time.thread_time()
    first = make(tmp_path / "a", LOOPBACK)
    assert time.thread_time() - began < 0.5
    second = make(tmp_path / "b", LOOPBACK)
    for one, other in ((first.ca, second.ca), (first.cert, second.cert), (first.key, second.key)):
        assert Path(one).read_bytes() != Path(other).read_bytes()
        assert stat.S_IMODE(Path(one).stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "apiserver.crt",
        "apiserver.key",
        "ca.crt",
    ]


async def greeted(tls: Tls, context: ssl.SSLContext, name: str) -> str:
    """The end of a TLS handshake with a server that has the certificate."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.close()

    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(tls.cert, tls.key)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=own)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=name
        )
        version = writer.get_extra_info("ssl_object").version()
        writer.close()
        return str(version)


@pytest.mark.parametrize("name", [*NAMES, *addresses_of(USUAL)])
async def test_strict_verification_takes_each_name(tls: Tls, name: str) -> None:
    assert await greeted(tls, strict(tls), name) == "TLSv1.3"


@pytest.mark.parametrize("name", ["example.com", "kubernetes.default.svc.cluster", "10.96.0.2"])
async def test_any_other_name_is_refused(tls: Tls, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid for"):
        await greeted(tls, strict(tls), name)


async def test_another_authority_is_refused(tls: Tls, tmp_path: Path) -> None:
    other = make(tmp_path / "other", USUAL)
    with pytest.raises(ssl.SSLCertVerificationError):
        await greeted(tls, strict(other), "localhost")


@pytest.mark.parametrize("now", [-7200.0, 11 * 365 * 86400.0])
async def test_it_is_good_from_an_hour_ago_for_ten_years(tmp_path: Path, now: float) -> None:
    away = make(tmp_path, USUAL, clock=lambda: time.time() - now)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not yet valid|expired"):
        await greeted(away, strict(away), "localhost")
    later = make(tmp_path, USUAL, clock=lambda: time.time() + 3500)
    assert await greeted(later, strict(later), "localhost")


async def test_openssl_verifies_it_strictly(tls: Tls) -> None:
    openssl = installed("openssl")
    words = ["-x509_strict", "-check_ss_sig", "-purpose", "sslserver", "-CAfile", tls.ca, tls.cert]
    code, out = await ran(openssl, "verify", *words)
    assert (code, out.strip()) == (0, f"{tls.cert}: OK")
    code, out = await ran(openssl, "ec", "-in", tls.key, "-check", "-noout")
    assert (code, "EC Key valid" in out) == (0, True), out


async def test_the_lab_serves_its_api_with_it(tls: Tls) -> None:
    async with Lab(tls=tls, has_controllers=False) as lab:
        headers = {"Authorization": f"Bearer {lab.token}"}
        async with (
            aiohttp.ClientSession(lab.url, headers=headers) as session,
            session.get("/api/v1/namespaces", ssl=strict(tls)) as reply,
        ):
            assert (reply.status, (await reply.json())["kind"]) == (200, "NamespaceList")


async def test_curl_takes_it_from_who_knows_the_authority(tls: Tls) -> None:
    curl = installed("curl")
    async with Lab(tls=tls, has_controllers=False) as lab:
        code, out = await ran(curl, "-sS", "--cacert", tls.ca, f"{lab.url}/readyz")
        assert (code, out) == (0, "ok")
        code, out = await ran(curl, "-sS", f"{lab.url}/readyz")
        assert code == 60, out


async def test_kubectl_takes_it_and_its_token_is_in_no_url(tls: Tls, tmp_path: Path) -> None:
    kubectl = installed("kubectl")
    async with Lab(tls=tls) as lab:
        config = lab.kubeconfig(tmp_path / "config")
        assert f"/as/{lab.token}" not in config.read_text()
        assert base64.b64encode(Path(tls.ca).read_bytes()).decode() in config.read_text()
        words = [f"--kubeconfig={config}", f"--cache-dir={tmp_path}"]
        code, out = await ran(kubectl, *words, "get", "nodes", "-o", "name")
        assert (code, "node/node-a" in out) == (0, True), out
