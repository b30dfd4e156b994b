"""NS at the apex and `ns.dns`: whichever service our own addresses are endpoints of."""

import pytest

from tests.zone.worlds import dig, endpoint, rows, say, service, slice_, store, view

OWN = (b"\xc0\0\x02\x02", bytes.fromhex("fd000000000000000000000000000002"))

DNS = (
    service("dns", "10.0.0.10", "fd00::10", ns="kube"),
    slice_("dns", endpoint("192.0.2.2"), ns="kube"),
)
HEADLESS = (
    service("dnsh", ns="kube"),
    slice_(
        "dnsh",
        endpoint("192.0.2.2"),
        endpoint("192.0.2.3", hostname="two"),
        endpoint("192.0.2.4", ready=False),
        ns="kube",
    ),
)


def test_without_a_service_we_are_the_name_server():
    where = view(store(), own=OWN)
    reply = dig(where, "cluster.local", "NS")
    assert rows(reply.answer) == ["cluster.local. 5 NS ns.dns.cluster.local."]
    assert rows(reply.additional) == [
        "ns.dns.cluster.local. 5 A 192.0.2.2",
        "ns.dns.cluster.local. 5 AAAA fd00::2",
    ]
    assert say(where, "ns.dns.cluster.local") == "192.0.2.2"
    assert say(where, "ns.dns.cluster.local", "AAAA") == "fd00::2"


def test_a_service_with_our_address_is_the_name_server_exposed_or_not():
    where = view(store(*DNS), own=OWN, namespaces=frozenset({"a"}))
    reply = dig(where, "cluster.local", "NS")
    assert rows(reply.answer) == ["cluster.local. 5 NS dns.kube.svc.cluster.local."]
    assert rows(reply.additional) == [
        "dns.kube.svc.cluster.local. 5 A 10.0.0.10",
        "dns.kube.svc.cluster.local. 5 AAAA fd00::10",
    ]
    assert say(where, "ns.dns.cluster.local") == "10.0.0.10"


def test_a_headless_service_names_each_ready_endpoint_of_the_slice():
    reply = dig(view(store(*DNS, *HEADLESS), own=OWN), "cluster.local", "NS")
    assert {str(one) for one in reply.answer[0]} == {
        "dns.kube.svc.cluster.local.",
        "192-0-2-2.dnsh.kube.svc.cluster.local.",
        "two.dnsh.kube.svc.cluster.local.",
    }
    assert "two.dnsh.kube.svc.cluster.local. 5 A 192.0.2.3" in rows(reply.additional)


def test_name_servers_of_a_reverse_zone_lie_in_the_primary_zone():
    where = view(store(*DNS), own=OWN)
    assert say(where, "in-addr.arpa", "NS") == "dns.kube.svc.cluster.local."
    assert say(view(store(), own=OWN), "in-addr.arpa", "NS") == "ns.dns.in-addr.arpa."
    assert say(view(store(), own=OWN), "ns.dns.in-addr.arpa") == "192.0.2.2"


def test_an_unready_endpoint_is_no_name_server():
    away = slice_("dns", endpoint("192.0.2.2", ready=False), ns="kube")
    where = view(store(DNS[0], away), own=OWN)
    assert say(where, "cluster.local", "NS") == "ns.dns.cluster.local."


@pytest.mark.parametrize(("own", "said"), [(OWN[:1], "NODATA"), (OWN, "fd00::2")])
def test_ns_dns_has_only_the_families_we_have(own, said):
    assert say(view(store(), own=own), "ns.dns.cluster.local", "AAAA") == said
