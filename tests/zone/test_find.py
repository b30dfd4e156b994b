"""Which zone a name lies in and what stands left of it, held against the plain definition."""

from ipaddress import ip_address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kdns.wire import names
from kdns.zone import view as views
from tests.zone.worlds import store, view

ZONES = (
    "cluster.local", "local", ".", "a.svc.cluster.local", "web.a.svc.cluster.local", "svc.local",
    "svc.cluster.local", "in-addr.arpa", "10.in-addr.arpa", "0.0.10.in-addr.arpa", "1.0.0.10.in-addr.arpa", "arpa",
    "ip6.arpa", "0.ip6.arpa", r"a\007cluster.local",
)  # fmt: skip
V6 = names.format(names.reverse(bytes(16)))
FRONTS = (
    "", "web", "a", "svc", "a.svc", "web.a.svc", "web.a.pod", "_http._tcp.web.a.svc", "x.y", "dns",
    "10", "1.0.0.10", "0.0.10", r"x\003svc",
)  # fmt: skip
ENDS = (*ZONES, "example.org", V6)
NAMES = [
    ".".join(part for part in (front, end) if part not in ("", "."))
    for front in FRONTS
    for end in ENDS
]


def plainly(zones, key):
    """The longest zone that a name lies in, and its labels left of that."""
    held = [zone for zone in zones if names.is_below(key, zone)]
    if not held:
        return None
    zone = max(held, key=len)
    labels = [label.decode("latin-1") for label in names.labels(key)]
    return zone, labels[: len(labels) - len(names.labels(zone))]


def found(where, name):
    """What `find` says, an address taken apart again."""
    key = names.parse_key(name)
    place = where.find(key)
    if place is None:
        return None
    zone, labels = place
    plain = plainly([zone.key], key)[1]
    if plain and names.parse_reverse(key):
        assert key == names.reverse(labels)
        return zone.key, plain
    return zone.key, labels


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(ZONES), min_size=1, max_size=6, unique=True))
@example(["cluster.local", "a.svc.cluster.local"])
@example(["in-addr.arpa", "0.0.10.in-addr.arpa", "1.0.0.10.in-addr.arpa"])
def test_a_name_lies_in_its_longest_zone(zones):
    where = view(store(), *zones)
    for name in NAMES + NAMES[::-1]:
        expected = plainly([zone.key for zone in where.zones], names.parse_key(name))
        assert found(where, name) == expected, name


@pytest.mark.parametrize("address", ["10.0.0.1", "255.1.20.0", "fd00::1"])
def test_a_whole_reverse_name_is_its_address(address):
    packed = ip_address(address).packed
    zone, labels = view(store()).find(names.reverse(packed))
    assert zone.key == (names.IN_ADDR if len(packed) == 4 else names.IP6)
    assert labels == packed


@pytest.mark.parametrize(
    "name", ["10.in-addr.arpa", "in-addr.arpa", "1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa",
             "01.2.3.4.in-addr.arpa", "256.2.3.4.in-addr.arpa", "svc.in-addr.arpa"],
)  # fmt: skip
def test_other_names_below_reverse_zones_have_labels(name):
    _, labels = view(store()).find(names.parse_key(name))
    assert labels == name.split(".")[:-2]


def test_namespaces_that_were_asked_about_take_no_more_than_so_much(monkeypatch):
    monkeypatch.setattr(views, "_MOST_ENDS", 20)
    where = view(store())
    before = where.find(names.parse_key("web.a.svc.cluster.local"))
    for at in range(100):
        name = f"web.ns-{at}.svc.cluster.local"
        assert found(where, name) == (names.parse_key("cluster.local"), ["web", f"ns-{at}", "svc"])
        assert len(where._ends) <= 20
    assert where.find(names.parse_key("web.a.svc.cluster.local")) == before
