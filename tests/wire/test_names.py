"""Names: text and wire agree with dnspython, and reverse names are their own inverse."""

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire import names
from tests.strategies import wire_names


@given(wire_names())
def test_text_of_a_name_parses_back_to_it(name: bytes) -> None:
    assert names.parse(names.format(name)) == name


@given(wire_names())
def test_dnspython_reads_the_same_name_from_our_text(name: bytes) -> None:
    assert dns.name.from_text(names.format(name)).to_wire() == name


@given(wire_names())
def test_folding_agrees_with_dnspython(name: bytes) -> None:
    ours = dns.name.from_wire(names.fold(name), 0)[0]
    assert ours == dns.name.from_wire(name, 0)[0]
    assert names.fold(names.fold(name)) == names.fold(name)


@pytest.mark.parametrize(
    "text",
    ["a..b", ".a", "a" * 64, ".".join(["a" * 63] * 4) + ".b", "a\\", "a\\2", "a\\999", "\\300"],
)
def test_text_that_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="name"):
        names.parse(text)


def test_root_has_two_spellings() -> None:
    assert names.parse(".") == names.parse("") == b"\0"
    assert names.format(b"\0") == "."


@given(wire_names(), wire_names())
def test_is_below_agrees_with_dnspython(name: bytes, zone: bytes) -> None:
    expected = dns.name.from_wire(name, 0)[0].is_subdomain(dns.name.from_wire(zone, 0)[0])
    assert names.is_below(names.fold(name), names.fold(zone)) is expected


@given(wire_names(), wire_names())
def test_a_joined_name_is_below_its_suffix(left: bytes, zone: bytes) -> None:
    joined = left[:-1] + zone
    if len(joined) <= 255:
        assert names.is_below(names.fold(joined), names.fold(zone))


def test_a_suffix_inside_a_label_is_not_below() -> None:
    zone = names.parse_key("cluster.local")
    tricky = b"\x0f" + b"a" + zone[:-1][:14] + b"\0"
    assert tricky.endswith(zone)
    assert not names.is_below(names.Key(tricky), zone)


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_reverse_names_are_their_own_inverse(address: bytes) -> None:
    key = names.reverse(address)
    assert names.parse_reverse(key) == address


@pytest.mark.parametrize(
    "text",
    [
        "in-addr.arpa", "1.in-addr.arpa", "1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa",
        "256.0.0.1.in-addr.arpa", "x.0.0.1.in-addr.arpa", "1111.0.0.1.in-addr.arpa", "ip6.arpa",
        "a.example", ".".join("g" * 32) + ".ip6.arpa", ".".join(["10"] * 32) + ".ip6.arpa",
        ".".join("1" * 31) + ".ip6.arpa",
    ],
)  # fmt: skip
def test_incomplete_or_wrong_reverse_names_have_no_address(text: str) -> None:
    assert names.parse_reverse(names.parse_key(text)) is None


@pytest.mark.parametrize("octets", range(5))
@pytest.mark.parametrize("more", range(12))
def test_a_label_that_ends_like_a_reverse_zone_is_no_part_of_one(octets: int, more: int) -> None:
    label = b"0" * more + names.IN_ADDR[:-1]
    key = names.Key(b"\x011" * octets + bytes((len(label),)) + label + b"\0")
    assert names.parse_reverse(key) is None


def test_parent_walks_to_the_root() -> None:
    key = names.parse_key("a.b")
    assert names.parent(key) == names.parse_key("b")
    assert names.parent(names.parent(key)) == names.ROOT == names.parent(names.ROOT)


@pytest.mark.parametrize(
    ("packed", "text"),
    [(bytes((10, 0, 0, 1)), "10.0.0.1"), (bytes(15) + b"\1", "::1")],
)
def test_addresses_are_written_canonically(packed: bytes, text: str) -> None:
    assert names.format_address(packed) == text
