"""DoT, DoH, DoQ and gRPC: what leaves, what is taken for a reply, what becomes of connections."""

import asyncio
import socket
import ssl

import dns.edns
import dns.message
import pytest

from kdns.client.dialers import dialer, grpc_dialer
from kdns.client.line import MismatchError, StaleError, UpstreamError
from kdns.client.secured import DeclinedError, Secured
from kdns.client.security import Credentials
from kdns.client.targets import Target
from kdns.client.upstream import Keeping
from tests import secure
from tests.upstream import CLOSE, answers, drops, reply, wire

ANSWER = answers("a.example. 60 IN A 10.0.0.1")
KINDS = ("tls", "https", "https1", "quic", "grpc", "grpcs")
ALL = pytest.mark.parametrize("kind", KINDS)
STREAMS = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "quic"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


def serving(kind: str, script, folder):
    if kind == "quic":
        pytest.importorskip("aioquic", reason="the extra kdns[quic] is not installed")
        return secure.doq(script, folder)
    ways = {
        "tls": secure.dot,
        "https": secure.doh,
        "https1": secure.doh1,
        "grpc": secure.grpc_plain,
        "grpcs": secure.grpc_tls,
    }
    return ways[kind](script)


class Asking:
    """An upstream of ours to a server, and what it counted."""

    def __init__(self, kind: str, server, folder, *, port: int = 0, **more) -> None:
        method = more.pop("method", "POST")
        name = more.pop("server_name", "")
        ca = more.pop("ca", None)
        paths = secure.write(folder)
        credentials = Credentials(ca=paths["ca"] if ca is None else ca, server_name=name)
        target = Target(kind.rstrip("1"), "127.0.0.1", port or server.port)
        if kind.startswith("grpc"):
            dial = grpc_dialer(target, credentials if kind == "grpcs" else None)
        else:
            dial = dialer(target, credentials, doh_method=method)
        self.counted: list[tuple[str, bool]] = []
        is_patient = more.pop("is_patient", False)
        self.up = Secured(target, dial, Keeping(**more), self._count, is_patient=is_patient)

    def _count(self, transport: str, is_kept: bool, by: int) -> None:
        self.counted += [(transport, is_kept)] * by

    async def __aenter__(self) -> Secured:
        return self.up

    async def __aexit__(self, *_) -> None:
        self.up.close()
        await asyncio.sleep(0)


def packet(name: str = "a.example.", type_: str = "A", **more) -> bytes:
    return dns.message.make_query(name, type_, id=7, **more).to_wire()


def address(reply: bytes) -> str:
    return dns.message.from_wire(reply).answer[0][0].to_text()


@ALL
async def test_a_query_is_answered(kind, folder):
    async with serving(kind, ANSWER, folder) as server, Asking(kind, server, folder) as up:
        assert address(await up.ask(packet(), "udp", 20)) == "10.0.0.1"
        assert len(server.asked) == 1


@ALL
async def test_one_connection_carries_all(kind, folder):
    def one(asked):
        last = asked.name.removeprefix("n").partition(".")[0]
        return wire(reply(asked, f"{asked.name} 60 IN A 10.0.0.{last}"))

    async with serving(kind, one, folder) as server:
        asking = Asking(kind, server, folder)
        async with asking as up:
            await up.ask(packet("n250.example."), "udp", 20)
            found = [up.ask(packet(f"n{at}.example."), "udp", 20) for at in range(20)]
            for at, each in enumerate(await asyncio.gather(*found)):
                assert address(each) == f"10.0.0.{at}"
            if kind != "https1":
                assert len(server.resumed) == 1
            assert asking.counted[0][1] is False
            assert asking.counted[1] == (up.over, True)


@pytest.mark.parametrize("kind", ["https", "quic", "grpc"])
async def test_the_id_on_the_wire_is_zero(kind, folder):
    async with serving(kind, ANSWER, folder) as server, Asking(kind, server, folder) as up:
        await up.ask(packet(), "udp", 20)
        assert server.asked[0].wire[:2] == b"\0\0"


@ALL
async def test_a_reply_to_another_question_is_no_reply(kind, folder):
    def other(asked):
        said = reply(asked)
        said.question[0].name = dns.name.from_text("b.example.")
        return wire(said)

    async with serving(kind, other, folder) as server, Asking(kind, server, folder) as up:
        with pytest.raises(MismatchError):
            await up.ask(packet(), "udp", 20)


@ALL
async def test_no_reply_is_an_error_and_the_next_query_is_answered(kind, folder):
    def first_drops(asked):
        return None if asked.name.startswith("lost") else ANSWER(asked)

    async with serving(kind, first_drops, folder) as server, Asking(kind, server, folder) as up:
        with pytest.raises(UpstreamError, match="i/o timeout"):
            await up.ask(packet("lost.example."), "udp", 0.2)
        assert address(await up.ask(packet(), "udp", 20)) == "10.0.0.1"


@pytest.mark.parametrize("kind", ["https", "quic", "grpc"])
async def test_one_stream_is_given_up_alone(kind, folder):
    """Other queries on the connection are answered while it waits, so it is not dead."""

    def one_drops(asked):
        return None if asked.name.startswith("lost") else ANSWER(asked)

    async with serving(kind, one_drops, folder) as server, Asking(kind, server, folder) as up:
        await up.ask(packet(), "udp", 20)
        lost = up.send(packet("lost.example."), "udp", 1)
        while not lost.done():
            await asyncio.sleep(0.04)
            await up.ask(packet(), "udp", 20)
        assert isinstance(await lost, UpstreamError)
        await up.ask(packet(), "udp", 20)
        assert server.cancelled == 1
        assert len(server.resumed) == 1


@STREAMS
async def test_a_kept_connection_found_closed_is_not_the_upstreams_fault(kind, folder):
    async with serving(kind, ANSWER, folder) as server, Asking(kind, server, folder) as up:
        await up.ask(packet(), "udp", 20)
        waiter = up.send(packet(), "udp", 20)
        server.hang_up()
        assert isinstance(await waiter, StaleError)
        assert address(await up.ask(packet(), "udp", 20)) == "10.0.0.1"


@pytest.mark.parametrize("kind", ["tls", "quic"])
async def test_the_next_connection_resumes_the_session(kind, folder):
    async with (
        serving(kind, ANSWER, folder) as server,
        Asking(kind, server, folder, expire=0.05) as up,
    ):
        await up.ask(packet(), "udp", 20)
        await asyncio.sleep(0.1)
        await up.ask(packet(), "udp", 20)
        assert server.resumed == [False, True]


async def test_tls_1_1_is_refused(folder):
    old = secure.context()
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLS"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with secure.dot(ANSWER, old) as server, Asking("tls", server, folder) as up:
        with pytest.raises(UpstreamError, match=r"tls: |reset|EOF"):  # which, OpenSSL decides
            await up.ask(packet(), "udp", 20)


@pytest.mark.parametrize("kind", ["tls", "https", "quic", "grpcs"])
@pytest.mark.parametrize(("name", "is_right"), [("up.example", True), ("other.example", False)])
async def test_the_certificate_must_be_for_the_name(kind, name, is_right, folder):
    async with (
        serving(kind, ANSWER, folder) as server,
        Asking(kind, server, folder, server_name=name) as up,
    ):
        if is_right:
            assert address(await up.ask(packet(), "udp", 20)) == "10.0.0.1"
        else:
            with pytest.raises(UpstreamError, match=r"certificate|doesn't match"):
                await up.ask(packet(), "udp", 20)


@pytest.mark.parametrize("kind", ["tls", "https", "quic"])
async def test_an_unknown_authority_is_not_trusted(kind, folder):
    async with serving(kind, ANSWER, folder) as server, Asking(kind, server, folder, ca="") as up:
        with pytest.raises(UpstreamError, match="certificate"):
            await up.ask(packet(), "udp", 20)
        assert not server.asked


@pytest.mark.parametrize("kind", ["tls", "https"])
async def test_who_never_shakes_hands_costs_no_more_than_half_of_the_window(kind, folder):
    """A listener that accepts and says nothing; the query's own patience is not what counts."""
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    with silent:
        async with Asking(kind, None, folder, port=port) as up:
            up._connect_s = 0.3
            began = asyncio.get_running_loop().time()
            with pytest.raises(UpstreamError, match="i/o timeout"):
                await up.ask(packet(), "udp", 0.05)
            assert 0.3 <= asyncio.get_running_loop().time() - began < 20


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("kind", ["https", "https1"])
async def test_the_request(kind, method, folder):
    more = {"method": method, "server_name": "up.example"}
    async with serving(kind, ANSWER, folder) as server, Asking(kind, server, folder, **more) as up:
        for _ in range(3):
            assert address(await up.ask(packet(), "udp", 20)) == "10.0.0.1"
        seen = server.requests[0]
        assert seen[":method"] == method
        assert seen[":path"].startswith("/dns-query?dns=" if method == "GET" else "/dns-query")
        assert seen.get(":authority", seen.get("host")) == "up.example"
        assert seen["accept"] == "application/dns-message"


async def test_the_address_is_the_host_without_a_name(folder):
    async with secure.doh(ANSWER) as server, Asking("https", server, folder) as up:
        await up.ask(packet(), "udp", 20)
        assert server.requests[0][":authority"] == server.address


@pytest.mark.parametrize("kind", ["https", "grpc"])
async def test_another_status_is_an_error_of_that_query(kind, folder):
    async with serving(kind, lambda _: 503, folder) as server, Asking(kind, server, folder) as up:
        with pytest.raises(UpstreamError, match="503"):
            await up.ask(packet(), "udp", 20)


async def test_more_queries_than_streams_are_allowed_wait(folder):
    async with (
        secure.doh(ANSWER, most_streams=2) as server,
        Asking("https", server, folder) as up,
    ):
        await up.ask(packet(), "udp", 20)
        found = await asyncio.gather(*(up.ask(packet(), "udp", 20) for _ in range(30)))
        assert {address(each) for each in found} == {"10.0.0.1"}


@pytest.mark.parametrize("kind", ["tls", "https", "https1", "quic", "grpc"])
async def test_the_longest_reply_comes_whole(kind, folder):
    def long(asked):
        said = reply(asked)
        texts = " ".join('"' + "x" * 250 + '"' for _ in range(255))
        said.answer.append(dns.rrset.from_text("a.example.", 5, "IN", "TXT", texts))
        return wire(said)

    async with serving(kind, long, folder) as server, Asking(kind, server, folder) as up:
        for _ in range(3):
            assert len(await up.ask(packet(type_="TXT"), "udp", 20)) > 64_000


async def test_going_away_is_not_the_upstreams_fault(folder):
    def leaves(asked):
        return CLOSE if len(server.asked) == 2 else ANSWER(asked)

    async with secure.doh(leaves) as server, Asking("https", server, folder) as up:
        await up.ask(packet(), "udp", 20)
        with pytest.raises(StaleError):
            await up.ask(packet(), "udp", 20)
        assert address(await up.ask(packet(), "udp", 20)) == "10.0.0.1"


class TestQuic:
    """RFC 9250."""

    @pytest.fixture(autouse=True)
    def _has_it(self):
        pytest.importorskip("aioquic", reason="the extra kdns[quic] is not installed")

    async def test_transfers_are_declined(self, folder):
        async with secure.doq(ANSWER, folder) as server, Asking("quic", server, folder) as up:
            for type_ in ("AXFR", "IXFR"):
                with pytest.raises(DeclinedError):
                    await up.ask(packet(type_=type_), "tcp", 20)
            assert not server.resumed

    async def test_the_keepalive_option_is_taken_out(self, folder):
        options = [dns.edns.GenericOption(11, b""), dns.edns.GenericOption(10, b"12345678")]
        async with secure.doq(ANSWER, folder) as server, Asking("quic", server, folder) as up:
            await up.ask(packet(options=options), "udp", 20)
            assert [int(one.otype) for one in server.asked[0].message.options] == [10]
            await up.ask(packet(options=options[:1]), "udp", 20)
            assert server.asked[1].message.edns == 0
            assert not server.asked[1].message.options
            await up.ask(packet(), "udp", 20)
            assert server.asked[2].message.edns == -1

    @pytest.mark.parametrize(
        "framed",
        [
            pytest.param(lambda out: b"\0\x0c" + b"\0\7" + out[2:14], id="an-id"),
            pytest.param(lambda out: b"\0\x09" + out, id="another-length"),
            pytest.param(lambda out: (len(out).to_bytes(2, "big") + out) * 2, id="two-messages"),
            pytest.param(lambda _: b"", id="nothing"),
        ],
    )
    async def test_what_is_no_reply_ends_the_connection(self, framed, folder):
        def lies(asked):
            return ANSWER(asked) if len(server.resumed) > 1 else (framed(ANSWER(asked)),)

        async with secure.doq(lies, folder) as server, Asking("quic", server, folder) as up:
            with pytest.raises(UpstreamError, match="bad reply"):
                await up.ask(packet(), "udp", 20)
            assert address(await up.ask(packet(), "udp", 20)) == "10.0.0.1"
            async with asyncio.timeout(40):  # the server tells it when it has drained
                while {"closed": "2"} not in server.requests:
                    await asyncio.sleep(0.02)

    async def test_a_closed_connection_is_replaced(self, folder):
        def leaves(asked):
            return CLOSE if len(server.asked) == 2 else ANSWER(asked)

        async with secure.doq(leaves, folder) as server, Asking("quic", server, folder) as up:
            await up.ask(packet(), "udp", 20)
            with pytest.raises(StaleError):
                await up.ask(packet(), "udp", 20)
            assert address(await up.ask(packet(), "udp", 20)) == "10.0.0.1"

    async def test_who_is_not_there_is_an_error(self, folder):
        async with secure.doq(drops, folder) as server:
            port = server.port
        async with Asking("quic", None, folder, port=port) as up:
            with pytest.raises(UpstreamError, match=r"refused|timeout"):
                await up.ask(packet(), "udp", 0.5)
