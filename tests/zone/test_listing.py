"""A transfer of a cluster zone: its order, and that it says what the names themselves answer."""

import pytest

from kdns.wire import names, types
from kdns.zone import listing
from tests.zone.worlds import ask, endpoint, service, service_import, slice_, store, view

KNOWN = store(
    service("web", "10.96.0.1", "fd00::1", ports=("http:80", "dns:53/UDP", ":7")),
    service("api", "10.96.0.2", ns="b"),
    service("db", ports=("sql:3306",)),
    slice_("db", endpoint("10.0.0.1", hostname="db-0"), endpoint("10.0.0.2", ready=False),
           endpoint("10.0.0.3", hostname="db-2"), ports=("sql:3306",)),
    service("out", external="www.example.org"),
    service_import("shared", "10.5.0.1"),
    slice_("shared", endpoint("10.0.1.1"), cluster="c1"),
)  # fmt: skip
WHERE = view(
    KNOWN, "cluster.local", "clusterset.local", "10.in-addr.arpa", imported="clusterset.local"
)


def listed(apex: str):
    zone = next(one for one in WHERE.zones if names.format(one.key) == apex)
    return list(listing.records(WHERE, zone))


def said(rrsets) -> dict[tuple[str, str], list[bytes]]:
    found: dict[tuple[str, str], list[bytes]] = {}
    for one in rrsets:
        found.setdefault((names.format(one.owner), types.type_name(one.type)), []).extend(
            one.rdatas
        )
    return found


@pytest.mark.parametrize("apex", ["cluster.local.", "clusterset.local."])
def test_a_transfer_says_what_the_names_answer(apex):
    rrsets = listed(apex)
    assert [one.type for one in rrsets[:2]] == [types.SOA, types.NS]
    checked = 0
    for one in rrsets:
        if names.format(one.owner).startswith("ns.dns.") or one.type in {
            types.SOA,
            types.NS,
            types.CNAME,
        }:
            continue
        answer = ask(WHERE, names.format(one.owner), types.type_name(one.type))
        start = 4 if one.type == types.SRV else 0  # the weights of a transfer are CoreDNS's
        there = {rdata[start:] for each in answer.answer for rdata in each.rdatas}
        assert {rdata[start:] for rdata in one.rdatas} <= there, one
        checked += 1
    assert checked > 2


def test_services_come_by_their_names_and_what_is_not_ready_not_at_all():
    found = said(listed("cluster.local."))
    owners = [owner for owner, _ in found if owner.count(".") == 5]
    assert list(dict.fromkeys(owners)) == [
        f"{name}.svc.cluster.local." for name in ("api.b", "db.a", "out.a", "web.a")
    ]
    assert found["db.a.svc.cluster.local.", "A"] == [b"\x0a\0\0\1", b"\x0a\0\0\3"]
    assert ("db-2.db.a.svc.cluster.local.", "A") in found
    assert found["out.a.svc.cluster.local.", "CNAME"] == [names.parse("www.example.org")]
    assert len(found["web.a.svc.cluster.local.", "SRV"]) == 3
    assert not [owner for owner, _ in found if "shared" in owner]


def test_weights_are_shared_in_a_slice():
    found = said(listed("cluster.local."))
    weights = [
        int.from_bytes(one[2:4], "big") for one in found["_sql._tcp.db.a.svc.cluster.local.", "SRV"]
    ]
    assert weights == [50, 50]
    [web] = found["_dns._udp.web.a.svc.cluster.local.", "SRV"]
    assert web[:6] == b"\0\0\0\x64\0\x35"


def test_a_reverse_zone_has_its_apex_alone():
    kinds = {type_ for _, type_ in said(listed("10.in-addr.arpa."))}
    assert {"SOA", "NS"} <= kinds <= {"SOA", "NS", "A", "AAAA"}
