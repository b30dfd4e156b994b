"""Cookies as octets: RFC 9018's vectors, what is a right one, and where it goes in a reply."""

import dns.edns
import dns.message
import dns.tsigkeyring
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire import cookies, records
from kdns.wire.cookies import Secrets
from kdns.wire.siphash import siphash

CLIENT = bytes.fromhex("2464c4abcf10c957")
OURS = Secrets(own=b"secret")
HOME = bytes([198, 51, 100, 100])


def test_siphash_as_the_reference_code():
    key = bytes(range(16))
    assert siphash(key, bytes(range(15))).hex() == "e545be4961ca29a1"
    assert siphash(key, b"").hex() == "310e0edd47db6f72"
    assert siphash(key, bytes(range(8))).hex() == "62 24 93 9a 79 f5 f5 93".replace(" ", "")


FIRST, SECOND, THIRD = (
    bytes.fromhex(each)
    for each in (
        "e5e973e5a6b2a43f48e7dc849e37bfcf",
        "dd3bdf9344b678b185a6f5cb60fca715",
        "445536bcd2513298075a5d379663c962",
    )
)


@pytest.mark.parametrize(
    ("secret", "address", "cookie"),
    [
        (FIRST, "198.51.100.100", "2464c4abcf10c957010000005cf79f111f8130c3eee29480"),
        (SECOND, "2001:db8:220:1:59de:d0f4:8769:82b8",
         "22681ab97d52c298010000005cf7c57926556bd0934c72f8"),
        (THIRD, "2001:db8:220:1:59de:d0f4:8769:82b8",
         "22681ab97d52c298010000005cf7c609a6bb79d16625507a"),
    ],
)  # fmt: skip
def test_cookies_of_rfc_9018(secret, address, cookie):
    secrets, octets, home = (
        Secrets(shared=[secret]),
        bytes.fromhex(cookie),
        records.address(address),
    )
    made = int.from_bytes(octets[12:16], "big")
    assert secrets.make(octets[:8], home, made) == octets
    assert secrets.age(octets, home, made + 60) == 60


def test_reserved_octets_of_another_servers_cookie_are_hashed_as_they_came():
    """RFC 9018, A.3."""
    cookie = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
    assert Secrets(shared=[FIRST]).age(cookie, bytes([203, 0, 113, 203]), 1559727985 + 5) == 5


NOW = 1_800_000_000


@pytest.mark.parametrize(("later", "age"), [(0, 0), (3600, 3600), (3601, None), (-300, -300), (-301, None)])  # fmt: skip
def test_a_cookie_is_right_for_an_hour(later, age):
    cookie = OURS.make(CLIENT, HOME, NOW)
    assert OURS.age(cookie, HOME, NOW + later) == age


@given(
    at=st.integers(0, 191), now=st.integers(0, 2**33), address=st.binary(min_size=16, max_size=16)
)
def test_no_other_cookie_address_or_secret_is_right(at, now, address):
    cookie = OURS.make(CLIENT, address, now)
    assert OURS.age(cookie, address, now) == 0
    changed = bytearray(cookie)
    changed[at // 8] ^= 1 << at % 8
    assert OURS.age(bytes(changed), address, now) is None
    assert OURS.age(cookie, address[:-1] + bytes([address[-1] ^ 1]), now) is None
    assert Secrets(own=b"another").age(cookie, address, now) is None
    assert OURS.age(cookie[:-1], address, now) is None


def test_a_secret_before_the_first_is_right_too_and_the_first_makes():
    old, new = b"o" * 16, b"n" * 16
    both = Secrets(shared=[new, old])
    assert both.age(Secrets(shared=[old]).make(CLIENT, HOME, NOW), HOME, NOW) == 0
    assert both.make(CLIENT, HOME, NOW) == Secrets(shared=[new]).make(CLIENT, HOME, NOW)


def test_keys_change_by_the_day_and_yesterdays_cookie_is_still_right():
    midnight = NOW // cookies.DAY_S * cookies.DAY_S
    before, after = (OURS.make(CLIENT, HOME, midnight + by) for by in (-1, 1))
    assert before[16:] != after[16:]
    assert OURS.age(before, HOME, midnight + 10) == 11


def reply(**changes: object) -> dns.message.Message:
    query = dns.message.make_query("a.example.", "A", use_edns=0, **changes)
    made = dns.message.make_response(query)
    made.answer.append(dns.rrset.from_text("a.example.", 5, "IN", "A", "10.0.0.1"))
    return made


COOKIE = OURS.make(CLIENT, HOME, NOW)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_cookie_goes_behind_what_the_opt_holds(count):
    made = reply()
    options = [dns.edns.EDEOption(15, "why")] * count
    made.use_edns(0, options=options)
    found = dns.message.from_wire(cookies.put(made.to_wire(), COOKIE))
    assert [option.to_wire() for option in found.options[:-1]] == [one.to_wire() for one in options]
    assert found.options[-1].to_wire() == COOKIE
    assert found.answer == made.answer


def test_a_reply_has_one_cookie():
    once = cookies.put(reply().to_wire(), COOKIE)
    assert cookies.put(once, CLIENT + bytes(16)) == once


def test_a_reply_without_opt_or_with_a_signature_stays_as_it_is():
    made = reply()
    made.use_edns(-1)
    wire = made.to_wire()
    assert cookies.put(wire, COOKIE) == wire
    signed = reply()
    signed.use_tsig(dns.tsigkeyring.from_text({"k.": "c2VjcmV0"}), "k.")
    wire = signed.to_wire()
    assert cookies.put(wire, COOKIE) == wire


@pytest.mark.parametrize(
    ("length", "expected"), [(0, False), (7, False), (8, True), (9, False), (15, False),
                             (16, True), (24, True), (40, True), (41, False)],
)  # fmt: skip
def test_lengths(length, expected):
    assert cookies.is_formed(bytes(length)) == expected


@given(st.binary(max_size=60))
def test_any_packet_may_ask_for_nothing_but_a_cookie(tail):
    head = b"\0\1\0\0" + b"\0\0\0\0\0\0\0\1"
    for packet in (tail, head + tail, head + b"\0\0\x29\4\xd0\0\0\0\0" + tail):
        found = cookies.block_alone(packet)
        if found is not None:
            cookies.cookie_of(found)
