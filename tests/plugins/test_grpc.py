"""grpc: what is asked over gRPC, what falls through, and what is counted."""

import re

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import SKIP
from kdns.plugins.grpc import Grpc
from kdns.plugins.whoami import Whoami
from kdns.server.assembly import Services, build
from kdns.wire import types
from kdns.wire.message import Answer
from tests import secure
from tests.fakes import Chain, chain
from tests.running import free_port
from tests.served import Serving
from tests.upstream import answers, reply, wire


def one(address: str):
    return lambda asked: wire(reply(asked, f"{asked.name} 60 IN A {address}"))


async def code(served: Chain, name: str = "a.example") -> str:
    answer = await served.ask(name)
    return "SKIP" if answer is SKIP else types.rcode_name(answer.rcode)


async def test_a_query_is_answered():
    async with (
        secure.grpc_plain(one("10.0.0.1")) as server,
        Serving(f"grpc . {server.address}", Grpc) as served,
    ):
        got = await served.dig("WwW.example")
        assert got.answer[0].to_text() == "WwW.example. 60 IN A 10.0.0.1"
        assert server.asked[0].name == "WwW.example."
        seen = server.requests[0]
        assert (seen[":scheme"], seen["content-type"], seen["te"]) == (
            "http",
            "application/grpc",
            "trailers",
        )
        assert not served.ledger.keep


async def test_with_tls(tmp_path):
    paths = secure.write(tmp_path)
    options = f"tls {paths['cert']} {paths['key']} {paths['ca']}\ntls_servername up.example"
    async with (
        secure.grpc_tls(one("10.0.0.1")) as server,
        Serving(f"grpc . {server.address} {{\n{options}\n}}", Grpc) as served,
    ):
        assert await code(served) == "NOERROR"
        seen = server.requests[0]
        assert (seen[":scheme"], seen[":authority"]) == ("https", "up.example")


@pytest.mark.parametrize(
    ("script", "without", "with_"),
    [
        pytest.param(answers(rcode="NXDOMAIN"), "NXDOMAIN", "SKIP", id="nxdomain"),
        pytest.param(answers(rcode="SERVFAIL"), "SERVFAIL", "SERVFAIL", id="servfail"),
        pytest.param(answers(rcode="REFUSED"), "REFUSED", "REFUSED", id="refused"),
        pytest.param(answers(), "NOERROR", "NOERROR", id="nodata"),
        pytest.param(lambda _: 503, "SERVFAIL", "SKIP", id="no-answer"),
    ],
)
async def test_what_falls_through(script, without, with_):
    async with secure.grpc_plain(script) as server:
        to = server.address
        for options, expected in (
            ("", without),
            ("fallthrough", with_),
            ("fallthrough example", with_),
            ("fallthrough other.example", without),
        ):
            async with Serving(f"grpc . {to} {{\n{options}\n}}", Grpc) as served:
                assert await code(served) == expected


async def test_other_names_go_to_the_next_plugin():
    async with (
        secure.grpc_plain(one("10.0.0.1")) as server,
        Serving(f"grpc example {server.address} {{\nexcept b.example\n}}", Grpc) as served,
    ):
        assert await code(served, "a.b.example") == "SKIP"
        assert await code(served, "example.org") == "SKIP"
        assert await code(served) == "NOERROR"


async def test_the_next_upstream_is_asked_and_a_dead_one_left_out():
    dead = f"127.0.0.1:{free_port()}"
    async with (
        secure.grpc_plain(one("10.0.0.1")) as server,
        Serving(f"grpc . {dead} {server.address} {{\npolicy sequential\n}}", Grpc) as served,
    ):
        assert await code(served) == "NOERROR"
        assert (await served.ask("a.example")).plugin == "grpc"


async def test_nobody_answers():
    async with Serving(f"grpc . 127.0.0.1:{free_port()}", Grpc) as served:
        answer = await served.ask("a.example")
        assert isinstance(answer, Answer)
        assert "connection refused" in answer.error


async def test_what_is_counted():
    async with (
        secure.grpc_plain(one("10.0.0.1")) as server,
        Serving(f"grpc . {server.address}", Grpc, Whoami) as served,
    ):
        await code(served)
        counted = served.site.counters.values
        to = server.address
        assert counted["coredns_grpc_requests_total", to] == 1
        assert counted["coredns_grpc_responses_total", to, "NOERROR"] == 1
        assert not [key for key in counted if key[0].startswith("coredns_proxy")]


@pytest.mark.parametrize(
    ("directive", "why"),
    [
        ("grpc", "expected a zone"),
        ("grpc .", "found the end of the line"),
        ("grpc . 127.0.0.1 {\nexcept\n}", "expected a zone"),
        ("grpc . 127.0.0.1 {\ntls a b c d\n}", "unexpected 'd'"),
        ("grpc . 127.0.0.1 {\ntls_servername\n}", "tls_servername"),
        ("grpc . 127.0.0.1 {\npolicy best\n}", "random, round_robin or sequential"),
        ("grpc . 127.0.0.1 {\nhealth_check 1s\n}", "unknown option"),
        (f"grpc . {' '.join(f'10.0.0.{at}' for at in range(16))}", "at most 15"),
    ],
)
def test_what_cannot_be_meant_is_an_error(directive, why):
    with pytest.raises(ConfigError, match=re.escape(why)):
        chain(directive, Grpc)


@pytest.mark.parametrize("directive", ["grpc . example.org", "grpc . no/such/file"])
async def test_host_names_are_no_targets(directive):
    with pytest.raises(ConfigError, match="neither an address nor a file"):
        await chain(directive, Grpc).plugins[0].start()


def test_certificates_that_are_not_there_are_an_error():
    with pytest.raises(ConfigError, match="Corefile:3: grpc tls: cannot use the certificates"):
        chain("grpc . 127.0.0.1 {\ntls nofile.pem\n}", Grpc).plugins[0].look()


@pytest.mark.parametrize(("zone", "recurses"), [(".", True), ("example.org", False)])
def test_who_forwards_the_root_recurses(zone, recurses):
    errors = []
    text = f".:53 {{\n grpc {zone} 127.0.0.1:1\n}}\n"
    [router] = build(text, "Corefile", Services(), errors).routers.values()
    assert not errors
    assert router.recurses is recurses
