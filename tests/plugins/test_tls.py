"""tls: handshakes over real sockets, who is let in, and certificates that change under load."""

import asyncio
import logging
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import dns.asyncquery
import dns.message
import pytest

from kdns.plugins import tls as tls_module
from tests.certificates import Authority
from tests.serving import Serving, mistakes

COREFILE = """{scheme}://.:0 {{
 bind 127.0.0.1
 tls {files} {{
  client_auth {auth}
 }}
 hosts {{
  10.0.0.1 a.example
 }}
}}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def corefile(*files: Path, auth: str = "nocert", scheme: str = "tls") -> str:
    return COREFILE.format(scheme=scheme, files=" ".join(map(str, files)), auth=auth)


async def ask(serving: Serving, context: ssl.SSLContext) -> str:
    query = dns.message.make_query("a.example", "A")
    reply = await dns.asyncquery.tls(
        query, "127.0.0.1", 5, serving.port("tls"), ssl_context=context, server_hostname="localhost"
    )
    return reply.answer[0][0].address


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_answer_comes_over_tls(authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.client()
    context.minimum_version = context.maximum_version = version
    async with Serving(corefile(*authority.issue())) as serving:
        assert await ask(serving, context) == "10.0.0.1"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_older_versions_are_not_spoken(authority: Authority) -> None:
    context = authority.client()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with Serving(corefile(*authority.issue())) as serving:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(serving, context)
        assert serving.count("kdns_tls_failures_total") >= 1


@pytest.mark.parametrize(
    ("auth", "own", "strangers", "none"),
    [
        ("nocert", True, True, True),
        ("request", True, True, True),
        ("verify_if_given", True, False, True),
        ("require", True, False, False),
        ("require_and_verify", True, False, False),
    ],
)
async def test_nobody_without_the_right_certificate_is_let_in(
    authority: Authority, tmp_path: Path, auth: str, own: bool, strangers: bool, none: bool
) -> None:
    (tmp_path / "strange").mkdir()
    strange = Authority(tmp_path / "strange")
    text = corefile(*authority.issue(), authority.file, auth=auth)
    async with Serving(text) as serving:
        for files, is_let_in in (
            (authority.issue("client"), own),
            (strange.issue("client"), strangers),
            ((), none),
        ):
            try:
                found = await ask(serving, authority.client(*files))
            except (OSError, EOFError):
                found = ""
            assert bool(found) == is_let_in, (auth, files)


async def test_certificates_rotate_under_load(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, connections stand, and new ones get the new certificate."""
    monkeypatch.setattr(tls_module, "LOOK_S", 0.01)
    context = authority.client()
    async with Serving(corefile(*authority.issue())) as serving:
        port = serving.port("tls")
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        answered = 0
        is_over = False

        async def load() -> None:
            nonlocal answered
            while not is_over:
                assert await ask(serving, context) == "10.0.0.1"
                answered += 1

        loads = [asyncio.create_task(load()) for _ in range(4)]
        serials = set()
        for _ in range(5):
            before = answered
            authority.issue()
            while answered < before + 8:
                await asyncio.sleep(0.005)
                assert not any(one.done() for one in loads)
            serials.add(await serial(port, context))
        is_over = True
        await asyncio.gather(*loads)
        assert len(serials) >= 3
        query = dns.message.make_query("a.example", "A").to_wire()
        writer.write(len(query).to_bytes(2, "big") + query)
        size = int.from_bytes(await reader.readexactly(2), "big")
        assert dns.message.from_wire(await reader.readexactly(size)).answer
        writer.close()


async def serial(port: int, context: ssl.SSLContext) -> str:
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    found = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    return found


async def test_a_broken_pair_leaves_the_last_good_one_and_is_said_once(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    certificate, key = authority.issue()
    async with Serving(corefile(certificate, key)) as serving:
        [plugin] = [one for one in serving.service.assembly.plugins if one.name == "tls"]
        good = certificate.read_bytes(), key.read_bytes()
        shutil.copy(authority.issue("other")[0], certificate)  # the key is that of the other
        for _ in range(3):
            plugin.keyring.look()
        assert await ask(serving, authority.client()) == "10.0.0.1"
        certificate.unlink()
        for _ in range(3):
            plugin.keyring.look()
        assert await ask(serving, authority.client()) == "10.0.0.1"
        certificate.write_bytes(good[0])
        plugin.keyring.look()
    said = [one.getMessage() for one in caplog.records if one.name == "kdns.tls"]
    assert len(said) == 2
    assert "are no certificate and its key: key values mismatch" in said[0]
    assert "cannot read" in said[1]


async def test_the_end_of_the_certificate_that_serves_is_published(authority: Authority) -> None:
    certificate, key = authority.issue()
    metric = "kdns_tls_certificate_end_timestamp_seconds"
    async with Serving(corefile(certificate, key)) as serving:
        context = authority.client()
        _, writer = await asyncio.open_connection(
            "127.0.0.1", serving.port("tls"), ssl=context, server_hostname="localhost"
        )
        shown = writer.get_extra_info("peercert")["notAfter"]
        writer.close()
        published = list(serving.services.counters.asked[metric]())
    assert published == [((str(certificate),), ssl.cert_time_to_seconds(shown))]


async def test_a_reload_brings_and_takes_what_clients_must_show(authority: Authority) -> None:
    server, client = authority.issue(), authority.issue("client")
    async with Serving(corefile(*server)) as serving:
        listeners = list(serving.service._listeners.values())
        assert await ask(serving, authority.client()) == "10.0.0.1"
        strict = corefile(*server, authority.file, auth="require_and_verify")
        assert await serving.reload(strict)
        assert list(serving.service._listeners.values()) == listeners
        assert await ask(serving, authority.client(*client)) == "10.0.0.1"
        with pytest.raises((OSError, EOFError)):
            await ask(serving, authority.client())
        assert await serving.reload(corefile(*server))
        assert await ask(serving, authority.client()) == "10.0.0.1"
        assert not await serving.reload(strict.replace(str(authority.file), str(server[1])))
        assert await ask(serving, authority.client()) == "10.0.0.1"


async def test_a_session_is_resumed(authority: Authority) -> None:
    context = authority.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with Serving(corefile(*authority.issue())) as serving:
        port = serving.port("tls")
        reused = await asyncio.to_thread(resumed, context, port)
        assert reused


def resumed(context: ssl.SSLContext, port: int) -> bool:
    session = None
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", port), 5) as sock,
            context.wrap_socket(sock, server_hostname="localhost", session=session) as tls,
        ):
            session = tls.session
            was_reused = tls.session_reused
    return bool(was_reused)


BLOCK = "tls://{} {{\n tls {}\n whoami\n}}\n"


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ("", "ACME are not implemented (let cert-manager"),
        ("a", "expected the file of the key"),
        ("a b c d", "unexpected 'd'"),
        ("acme {\n domain a.b\n }", "unknown option 'domain'"),
        ("a b {\n client_auth\n }", "expected nocert"),
        ("a b {\n client_auth sometimes\n }", "found 'sometimes'"),
        ("a b {\n client_auth request require\n }", "unexpected 'require'"),
        ("a b {\n keylog\n }", "expected"),
        ("{\n acme\n }", "ACME are not implemented"),
    ],
)
def test_what_is_wrong_is_said(args: str, why: str) -> None:
    assert any(why in error for error in mistakes(BLOCK.format(".", args)))


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("tls a b", "whoami", "only one of the two has `tls`"),
        ("whoami", "tls a b", "only one of the two has `tls`"),
        ("tls a b {\n client_auth request\n }", "tls a b", "client_auth request and nocert"),
        ("tls a b c", "tls a b", "only one of the two names a CA"),
    ],
)
def test_blocks_on_one_address_must_agree(one: str, other: str, why: str) -> None:
    [error] = mistakes(f"tls://a {{\n {one}\n}}\ntls://b {{\n {other}\n}}\n")
    assert why in error
    assert not mistakes(f"tls://a {{\n {one}\n}}\ntls://b:8853 {{\n {other}\n}}\n")


async def test_other_files_with_another_certificate_are_found_at_the_start(
    authority: Authority,
) -> None:
    one, other = authority.issue("one"), authority.issue("other")
    text = corefile(*one).replace(".:0", "a:0") + corefile(*other).replace(".:0", "b:0")
    serving = Serving(text)
    with pytest.raises(Exception, match="differ"):
        await serving.service.start()
    copy = [shutil.copy(path, path.with_suffix(".copy" + path.suffix)) for path in one]
    same = corefile(*one).replace(".:0", "a:0") + corefile(*map(Path, copy)).replace(".:0", "b:0")
    async with Serving(same):
        pass


async def test_files_that_are_not_there_are_an_error_at_the_start(tmp_path: Path) -> None:
    serving = Serving(corefile(tmp_path / "a", tmp_path / "b"))
    with pytest.raises(Exception, match="Corefile:3: tls: cannot read"):
        await serving.service.start()


async def test_the_secrets_are_written_for_who_debugs(authority: Authority, tmp_path: Path) -> None:
    text = corefile(*authority.issue()).replace("client_auth nocert", f"keylog {tmp_path}/log")
    async with Serving(text) as serving:
        await ask(serving, authority.client())
    assert "CLIENT_TRAFFIC_SECRET" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("tool", ["kdig", "dig", "openssl"])
async def test_real_clients(authority: Authority, tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    async with Serving(corefile(*authority.issue())) as serving:
        port = str(serving.port("tls"))
        trust = f"+tls-ca={authority.file}"
        command = {
            "kdig": ["kdig", "+tls", trust, "+tls-hostname=localhost", "+short", "-p", port],
            "dig": ["dig", "+tls", trust, "+tls-hostname=localhost", "+short", "-p", port],
            "openssl": ["openssl", "s_client", "-alpn", "dot", "-brief", "-verify_return_error"],
        }[tool]
        if tool == "openssl":
            command += ["-CAfile", str(authority.file), "-connect", f"127.0.0.1:{port}"]
        else:
            command += ["@127.0.0.1", "a.example"]
        said = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, input="", timeout=60
        )
        expected = "Verification: OK" if tool == "openssl" else "10.0.0.1"
        assert expected in said.stdout + said.stderr
