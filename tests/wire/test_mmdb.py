"""MaxMind DBs as the test's own writer makes them, and octets that are none."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire.mmdb import Mmdb, MmdbError
from tests.mmdb import database

RECORD = {
    "text": "é" * 40, "long": "x" * 200, "double": -1.5, "number": 70000, "zero": 0, "yes": True,
    "no": False, "list": ["a", 1, {"b": {}}], "names": {"en": "Town"},
}  # fmt: skip
NETS = {"10.0.0.0/8": RECORD, "192.168.1.0/24": {"a": 1}, "2001:db8::/32": {"b": 2}}


@pytest.mark.parametrize("bits", [24, 28, 32])
def test_addresses_lead_to_their_records(bits):
    made = Mmdb(database(NETS, bits=bits))
    found = {
        text: made.record(made.find(ip_address(text).packed))
        for text in ("10.1.2.3", "192.168.1.9", "192.168.2.9", "2001:db8::1", "2001:db9::1")
    }
    assert found == {
        "10.1.2.3": RECORD, "192.168.1.9": {"a": 1}, "192.168.2.9": None,
        "2001:db8::1": {"b": 2}, "2001:db9::1": None,
    }  # fmt: skip
    assert made.type == "GeoLite2-City"


def test_a_database_of_ipv4_has_no_ipv6():
    made = Mmdb(database({"10.0.0.0/8": {"a": 1}}, version=4))
    assert made.record(made.find(b"\x0a\0\0\1")) == {"a": 1}
    assert made.find(bytes(16)) == 0


NETWORKS = st.integers(0, 2**32 - 1).flatmap(
    lambda number: st.integers(8, 32).map(lambda n: ip_network((number, n), strict=False))
)


@given(st.lists(NETWORKS, min_size=1, max_size=20), st.data())
def test_the_network_that_holds_an_address_is_found(networks, data):
    apart = [
        one for at, one in enumerate(networks)
        if not any(one.overlaps(other) for other in networks[:at])
    ]  # fmt: skip
    made = Mmdb(database({str(one): {"is": str(one)} for one in apart}, bits=28))
    address = data.draw(st.sampled_from(apart).map(lambda one: one[-1]) | st.ip_addresses(v=4))
    holding = [{"is": str(one)} for one in apart if address in one]
    assert made.record(made.find(address.packed)) == (holding[0] if holding else None)


@given(st.data())
def test_damage_is_told_and_nothing_else_happens(data):
    octets = bytearray(database(NETS))
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=30)):
        octets[at] = data.draw(st.integers(0, 255))
    cut = bytes(octets[data.draw(st.integers(0, 40)) :])
    try:
        made = Mmdb(cut)
        for text in ("10.1.2.3", "2001:db8::1", "1.1.1.1"):
            made.record(made.find(ip_address(text).packed))
    except MmdbError:
        pass


@pytest.mark.parametrize("octets", [b"", b"x" * 100, b"\xab\xcd\xefMaxMind.com"])
def test_other_files_are_no_databases(octets):
    with pytest.raises(MmdbError):
        Mmdb(octets)
