"""Objects whose names no DNS name can hold: answered as far as possible, never with a broken reply."""

import pytest

from kdns.cluster.objects import Namespace, Port, Service, Slice
from kdns.cluster.store import Put, Store
from tests.zone.worlds import dig, say, view

LONG = "n" * 63
ZONE = ".".join(["z" * 60] * 3)
PORTS = (Port("http", 80, "tcp"),)
OWN = b"\xc0\0\x02\x02"


def known(*things):
    store = Store()
    store.apply_all([Put(Namespace("a")), Put(Namespace(LONG)), *map(Put, things)], 1000)
    return store


@pytest.mark.parametrize(
    "name", ["", "x" * 64, "é" * 40, "\ud800" * 70], ids=["empty", "long", "wide", "lone"]
)
def test_an_owner_without_a_possible_name_has_no_ptr(name):
    store = known(
        Service("a", name, (b"\1\2\3\4",)),
        Slice("a", "s", name, 4, b"\1\2\3\5"),
    )
    assert say(view(store), "4.3.2.1.in-addr.arpa", "PTR") == "NXDOMAIN"
    assert say(view(store), "5.3.2.1.in-addr.arpa", "PTR") == "NXDOMAIN"


def test_srv_targets_that_fit_into_no_name_are_left_out():
    head = Slice("a", "s", "web", 4, b"\1\2\3\4\1\2\3\5", hostnames=("h", "h" * 63), ports=PORTS)
    store = known(Service("a", "web", is_headless=True, ports=PORTS), head)
    where = view(store, ".".join([ZONE, "z" * 40]))
    name = f"web.a.svc.{ZONE}.{'z' * 40}"
    assert say(where, name) == "1.2.3.4 | 1.2.3.5"
    assert [str(one.target)[:6] for one in dig(where, name, "SRV").answer[0]] == ["h.web."]


def test_srv_without_any_possible_target_is_no_data():
    store = known(
        Service("a", "web", is_headless=True, ports=PORTS),
        Slice("a", "s", "web", 4, b"\1\2\3\4", hostnames=("h" * 63,), ports=PORTS),
    )
    zone = ".".join([ZONE, "z" * 40])
    assert say(view(store, zone), f"web.a.svc.{zone}", "SRV") == "NODATA"


@pytest.mark.parametrize("is_headless", [True, False])
def test_a_name_server_without_a_possible_name_does_not_count(is_headless):
    store = known(
        Service(LONG, LONG, (b"\1\2\3\4",) if not is_headless else (), is_headless),
        Slice(LONG, "s", LONG, 4, OWN),
    )
    assert say(view(store, ZONE, own=(OWN,)), ZONE, "NS") == f"ns.dns.{ZONE}."


def test_endpoints_without_a_service_are_no_name_servers():
    store = known(Slice("a", "s", "web", 4, OWN))
    assert say(view(store, own=(OWN,)), "cluster.local", "NS") == "ns.dns.cluster.local."


@pytest.mark.parametrize("target", ["a..b", "x" * 64, "\\", "192.0.2.1.", "fd00::1"])
def test_an_external_name_that_is_no_name_is_no_service(target):
    store = known(Service("a", "web", external_name=target))
    for type_ in ("A", "CNAME", "TXT"):
        assert say(view(store), "web.a.svc.cluster.local", type_) == "NXDOMAIN"


def test_a_service_that_has_no_address_yet_exists_without_data():
    store = known(Service("a", "web", ports=PORTS))
    for type_ in ("A", "AAAA", "SRV", "TXT"):
        assert say(view(store), "web.a.svc.cluster.local", type_) == "NODATA"


@pytest.mark.parametrize(
    ("namespace", "name", "asked", "target"),
    [
        ("a", "é", r"\233.a", r"\195\169.a"),
        ("a", "b/c", "c.a/b", "b/c.a"),
        ("a", "Web", "web.a", None),
    ],
)
def test_srv_leads_to_the_name_that_is_the_services_own(namespace, name, asked, target):
    store = known(Namespace("a/b"), Service(namespace, name, (b"\1\2\3\4",), ports=PORTS))
    told = say(view(store), f"{asked}.svc.cluster.local", "SRV")
    assert told == (f"0 100 80 {target}.svc.cluster.local." if target else "NXDOMAIN")
