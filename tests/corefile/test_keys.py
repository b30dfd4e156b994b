from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.corefile.keys import expand_zone, is_preferred, read_key
from kdns.corefile.tree import Word
from kdns.wire import names
from tests.corefile.corpus import Case, load


def served(text, port=1053):
    keys = read_key(Word(text, "C", 1), port=port)
    return [f"{key.scheme}://{names.format(key.zone)}:{key.port}" for key in keys]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".", ["dns://.:1053"]),
        (".:53", ["dns://.:53"]),
        ("Example.ORG", ["dns://example.org.:1053"]),
        ("example.org.:53", ["dns://example.org.:53"]),
        ("dns://.", ["dns://.:1053"]),
        ("tls://a", ["tls://a.:853"]),
        ("https://a", ["https://a.:443"]),
        ("https3://a:8443", ["https3://a.:8443"]),
        ("quic://a", ["quic://a.:853"]),
        ("grpc://a", ["grpc://a.:443"]),
        ("DNS://a", ["dns://dns://a.:1053"]),
        ("a:b", ["dns://a:b.:1053"]),
        ("10.0.0.0/8", ["dns://10.in-addr.arpa.:1053"]),
        ("tls://10.0.0.0/15:99", ["tls://0.10.in-addr.arpa.:99", "tls://1.10.in-addr.arpa.:99"]),
        ("0.0.0.0/0", ["dns://in-addr.arpa.:1053"]),
        ("::/0", ["dns://ip6.arpa.:1053"]),
        ("10.1.2.3/32", ["dns://3.2.1.10.in-addr.arpa.:1053"]),
        ("10.1.2.3/33", ["dns://10.1.2.3/33.:1053"]),
        ("10.1.2.3/255.0.0.0", ["dns://10.1.2.3/255.0.0.0.:1053"]),
        ("10.1.2.3", ["dns://10.1.2.3.:1053"]),
        ("2001:db8::/32", ["dns://8.b.d.0.1.0.0.2.ip6.arpa.:1053"]),
        (
            "2001:db8::/47:53",
            ["dns://0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.:53", "dns://1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.:53"],
        ),
    ],
)  # fmt: skip
def test_a_key_is_transport_zone_and_port(text, expected):
    assert served(text) == expected


def test_only_the_first_zone_of_an_address_block_is_an_origin():
    blocks = load(Case("a 10.0.0.0/15 b\n")).blocks
    assert [names.format(zone) for zone in blocks[0].origins] == ["a.", "0.10.in-addr.arpa.", "b."]
    assert [key.text for key in blocks[0].keys] == ["a", "10.0.0.0/15", "10.0.0.0/15", "b"]


@given(
    st.one_of(
        st.tuples(st.ip_addresses(v=4), st.integers(0, 32)),
        st.tuples(st.ip_addresses(v=6), st.integers(0, 128)),
    ),
    st.data(),
)
def test_the_zones_of_a_block_hold_exactly_its_addresses(block, data):
    network = ip_network(block, strict=False)
    zones = expand_zone(f"{block[0]}/{block[1]}")
    assert len(set(zones)) == len(zones) <= (128 if network.version == 4 else 8)
    address = data.draw(
        st.one_of(
            st.ip_addresses(v=network.version),
            st.integers(int(network[0]), int(network[-1])).map(type(network[0])),
        )
    )
    holding = [zone for zone in zones if names.is_below(names.reverse(address.packed), zone)]
    assert len(holding) == (ip_address(address) in network)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (".", True),
        ("a-1.example", True),
        ("10.in-addr.arpa", True),
        ("1.2.3.4", False),
        ("a_b.c", False),
        ("-a", False),
        ("a-", False),
        ("*.a", False),
        ("}", False),
        ("a.9b", False),
        ("ü.a", False),
    ],
)
def test_ordinary_names_are_told_from_odd_ones(zone, expected):
    assert is_preferred(names.parse_key(zone)) is expected


def test_an_odd_zone_is_a_warning():
    outcome = load(Case(". {\n}\n}\n"))
    assert outcome.errors == []
    assert outcome.warnings == ["Corefile:3: zone '}' is no ordinary domain name; is it meant?"]
