"""How long HTTP may keep a reply: the least TTL, or what the SOA of a negative one says."""

import dns.flags
import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire.lifetime import lifetime

SOA = "example. {} IN SOA ns.example. host.example. 1 2 3 4 {}"


def reply(answer: list[str] = (), authority: list[str] = (), additional: list[str] = ()) -> bytes:
    made = dns.message.make_response(
        dns.message.make_query("www.example.", "A", use_edns=True, id=1)
    )
    for section, lines in (
        (made.answer, answer),
        (made.authority, authority),
        (made.additional, additional),
    ):
        for line in lines:
            name, ttl, cls, type_, rest = line.split(" ", 4)
            section.append(dns.rrset.from_text(name, int(ttl), cls, type_, rest))
    return made.to_wire()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (reply(["www.example. 20 IN A 10.0.0.1"]), 20),
        (reply(["www.example. 60 IN CNAME a.example.", "a.example. 30 IN A 10.0.0.1"]), 30),
        (
            reply(
                ["www.example. 60 IN A 10.0.0.1"],
                ["example. 300 IN NS ns.example."],
                ["ns.example. 7 IN A 10.0.0.2"],
            ),
            7,
        ),
        (reply([], [SOA.format(300, 60)]), 60),
        (reply([], [SOA.format(30, 600)]), 30),
        (reply(["www.example. 20 IN A 10.0.0.1"], [SOA.format(300, 5)]), 20),
        (reply(), 0),
        (reply(["www.example. 0 IN A 10.0.0.1"]), 0),
    ],
)
def test_the_least_counts(message: bytes, expected: int) -> None:
    assert lifetime(message) == expected


@given(st.binary(max_size=100))
def test_what_is_broken_is_kept_for_no_time(octets: bytes) -> None:
    assert lifetime(octets) >= 0
    assert lifetime(reply(["www.example. 20 IN A 10.0.0.1"])[:-3]) in {0, 20}
