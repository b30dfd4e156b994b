"""https: bounds, and that `acl` and the answer table go by the client a trusted proxy names."""

import asyncio

import dns.message
import pytest

from kdns.server.terms import UNLIMITED
from tests.serving import Serving, bounds, mistakes

BLOCK = "https://. {{\n https {{\n{}\n }}\n whoami\n}}\n"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", (200, 250)),
        ("max_connections 10\nmax_streams 4294967295", (10, 4294967295)),
        ("max_connections 0\nmax_streams 0", (UNLIMITED, UNLIMITED)),
    ],
)
def test_bounds_are_kept_to(inside: str, expected: tuple[int, int]) -> None:
    assert bounds(BLOCK.format(inside)) == expected


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("max_connections -1", "at least 0"),
        ("max_connections", "a whole number"),
        ("max_connections 1 2", "unexpected '2'"),
        ("max_connections 1\nmax_connections 2", "may stand once"),
        ("max_streams 4294967296", "to 4294967295"),
        ("max_streams 1\nmax_streams 2", "may stand once"),
        ("trust_forwarded", "an address block"),
        ("trust_forwarded proxy", "an address block"),
        ("bogus", "unknown option"),
    ],
)
def test_what_is_wrong_is_said(inside: str, why: str) -> None:
    [error] = mistakes(BLOCK.format(inside))
    assert why in error


def test_blocks_on_one_address_may_not_name_two_numbers_of_streams() -> None:
    two = "https://{} {{\n https {{\n  max_streams {}\n }}\n whoami\n}}\n"
    [error] = mistakes(two.format("a", 10) + two.format("b", 20))
    assert "max_streams 20 differs from 10" in error
    assert not mistakes(two.format("a", 10) + two.format("b", 10))
    assert not mistakes(two.format("a", 10) + "https://b {\n whoami\n}\n")


GUARDED = """https://.:0 {{
 bind 127.0.0.1
 {https}
 acl {{
  block net 192.0.2.0/24
 }}
 hosts {{
  10.0.0.1 a.example
 }}
}}
"""
TRUSTING = "https {\n trust_forwarded 127.0.0.0/8 198.51.100.0/24\n }"


async def rcode(port: int, *fields: str) -> str:
    query = dns.message.make_query("a.example", "A", id=0).to_wire()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = ["POST /dns-query HTTP/1.1", "host: x", "content-type: application/dns-message"]
    lines += [f"content-length: {len(query)}", "connection: close", *fields, "", ""]
    writer.write("\r\n".join(lines).encode() + query)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200 ")
    return dns.rcode.to_text(dns.message.from_wire(body).rcode())


WORDS = [
    ((), "NOERROR"),
    (("x-forwarded-for: 192.0.2.7",), "REFUSED"),
    (("x-forwarded-for: 203.0.113.1, 192.0.2.7",), "REFUSED"),
    (("x-forwarded-for: 192.0.2.7, 203.0.113.1",), "NOERROR"),  # he wrote the first himself
    (("x-forwarded-for: 192.0.2.7, 198.51.100.1",), "REFUSED"),  # through another proxy
    (("x-forwarded-for: 203.0.113.1", "x-forwarded-for: 192.0.2.7"), "REFUSED"),
    (('forwarded: for="192.0.2.7:4711";proto=https',), "REFUSED"),
    (("forwarded: proto=https;For=192.0.2.7",), "REFUSED"),
    (('forwarded: for="[2001:db8::1]:4711"', "x-forwarded-for: 192.0.2.7"), "NOERROR"),
    (("x-forwarded-for: ::ffff:192.0.2.7",), "REFUSED"),
    (("forwarded: for=unknown",), "NOERROR"),
    (("x-forwarded-for: junk",), "NOERROR"),
]


@pytest.mark.parametrize("order", [1, -1])
async def test_the_client_that_a_trusted_proxy_names_is_judged(order: int) -> None:
    async with Serving(GUARDED.format(https=TRUSTING)) as serving:
        for _ in range(3):  # from the answer table, too
            for fields, expected in WORDS[::order]:
                assert await rcode(serving.port("https"), *fields) == expected, fields


async def test_nobody_else_is_believed() -> None:
    async with Serving(GUARDED.format(https="")) as serving:
        for fields, _ in WORDS:
            assert await rcode(serving.port("https"), *fields) == "NOERROR", fields
