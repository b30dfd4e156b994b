"""An API server is asked for what names point to; whatever goes wrong there is a word, no failure."""

import asyncio
import time

import pytest

from kdns.cluster.api.connection import Access
from kdns.explain import asking, gather_live
from kdns.explain.gather_live import Live, live
from kdns.explain.wanted import Wanted, asked, wanted
from kdns.lab.faults import Fault
from kdns.lab.resources import PODS
from tests.explain.cluster import (
    DENY,
    SPEC,
    WEB,
    ZONES,
    access,
    counted,
    create,
    filled,
    forbid,
    slice_,
)


@pytest.fixture
async def lab():
    async with filled() as made:
        yield made


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([WEB], Wanted(frozenset({"shop/web"}), frozenset({"shop"}))),
        (["WEB.Shop.svc.cluster.local"], Wanted(frozenset({"shop/web"}), frozenset({"shop"}))),
        (["_http._tcp." + WEB], Wanted(frozenset({"shop/web"}), frozenset({"shop"}))),
        (["web-0." + WEB], Wanted(frozenset({"shop/web"}), frozenset({"shop"}))),
        (["shop.svc.cluster.local."], Wanted(frozenset(), frozenset({"shop"}))),
        (
            ["10-0-0-1.shop.pod.cluster.local."],
            Wanted(frozenset(), frozenset({"shop"}), frozenset({"10.0.0.1"})),
        ),
        (["1.0.0.10.in-addr.arpa."], Wanted(addresses=frozenset({"10.0.0.1"}))),
        ([WEB + WEB], Wanted()),
        (["www.example.com.", "cluster.local.", "svc.cluster.local.", ".", ""], Wanted()),
        (["a/../b.shop.svc.cluster.local."], Wanted(frozenset(), frozenset({"shop"}))),
        (["web.sh/op.svc.cluster.local.", "web.%2e.svc.cluster.local."], Wanted()),
        (["web._x.svc.cluster.local.", "1.arpa.", "x" * 300 + ".arpa."], Wanted()),
    ],
)
def test_names_point_to_what_they_name(names, found):
    assert wanted(names, ZONES) == found


def test_who_asks_is_wanted_too():
    assert asked([], "shop/web-0", ZONES).namespaces == {"shop"}
    assert asked([], "shop/web-0", ZONES).pods == {"shop/web-0"}
    assert asked([], "shop/a,b=c", ZONES).pods == frozenset()
    assert asked([], "shop", ZONES).namespaces == {"shop"}
    assert asked([], "10.0.0.1", ZONES).addresses == {"10.0.0.1"}
    assert asked([], "", ZONES) == asked([], "../..", ZONES) == Wanted()


async def test_all_that_a_name_points_to_is_gathered(lab):
    facts = await live(access(lab), wanted([WEB], ZONES), ZONES)
    assert set(facts.services) >= {"shop/web", "db/sql", "kube-system/kube-dns"}
    assert facts.services["shop/web"].selector == {"app": "web"}
    assert set(facts.namespaces) >= {"shop", "db"}
    assert set(facts.slices) == {"shop/web", "kube-system/kube-dns"}
    (one,) = facts.slices["shop/web"]
    assert [(each.addresses, each.is_ready) for each in one.endpoints] == [
        (("10.0.0.1",), True),
        (("10.0.0.2",), False),
    ]
    assert one.triggered == "2026-11-21T10:00:01Z"
    assert {pod.name: pod.is_ready for pod in facts.pods["shop"]} == {
        "web-0": True,
        "web-1": False,
    }
    assert [pod.name for pod in facts.pods["kube-system"]] == ["dns-0"]
    assert [one.spec for one in facts.policies["shop"]] == [DENY]
    assert "db" not in facts.pods
    assert (facts.unknown, facts.only, facts.skipped) == ({}, (), ())
    assert facts.now


async def test_a_namespace_that_is_not_there_is_known_to_be_empty(lab):
    hits = counted(lab, "pods")
    facts = await live(access(lab), wanted(["web.nowhere.svc.cluster.local."], ZONES), ZONES)
    assert "nowhere" not in facts.namespaces
    assert (facts.pods["nowhere"], facts.policies["nowhere"]) == ((), ())
    assert hits.hits == 1  # those of the cluster's DNS


async def test_an_alias_is_followed(lab):
    facts = await live(access(lab), wanted(["alias.shop.svc.cluster.local."], ZONES), ZONES)
    assert set(facts.slices) >= {"db/sql"}
    assert set(facts.pods) >= {"shop", "db"}


@pytest.mark.parametrize("name", ["1.0.0.10.in-addr.arpa.", "1.0.96.10.in-addr.arpa."])
async def test_an_address_leads_to_its_services(lab, name):
    facts = await live(access(lab), wanted([name], ZONES), ZONES)
    assert set(facts.slices) >= {"shop/web"}
    assert {pod.name for pod in facts.pods["shop"]} == {"web-0", "web-1"}


@pytest.mark.parametrize(
    ("resource", "field", "rule"),
    [
        ("pods", "pods", 'apiGroups [""], resources ["pods"]'),
        (
            "endpointslices",
            "slices",
            'apiGroups ["discovery.k8s.io"], resources ["endpointslices"]',
        ),
        (
            "networkpolicies",
            "policies",
            'apiGroups ["networking.k8s.io"], resources ["networkpolicies"]',
        ),
        ("namespaces", "namespaces", 'apiGroups [""], resources ["namespaces"]'),
        ("services", "services", 'apiGroups [""], resources ["services"]'),
    ],
)
async def test_what_rbac_forbids_is_unknown_and_the_missing_rule_is_said(
    lab, resource, field, rule
):
    forbid(lab, resource)
    facts = await live(access(lab), wanted([WEB], ZONES), ZONES)
    assert list(facts.unknown) == [field]
    assert facts.unknown[field].startswith(f"403: may not list {resource}")
    assert f'{rule}, verbs ["list"]' in facts.unknown[field]


async def test_services_of_one_namespace_are_better_than_none(lab):
    lab.faults.add(Fault("refuse", resource="services", code=403, reason="Forbidden", count=1))
    facts = await live(access(lab), wanted([WEB], ZONES), ZONES)
    assert set(facts.services) == {"shop/web", "shop/alias"}
    assert facts.only == ("shop",)
    assert "services" not in facts.unknown
    assert facts.slices["shop/web"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("refuse", code=401, reason="Unauthorized"), "(401)"),
        (Fault("refuse", code=503, reason="ServiceUnavailable"), "answered 503"),
        (Fault("refuse", code=429, reason="TooManyRequests", retry_s=1), "overloaded (429)"),
        (Fault("refuse", code=404, reason="NotFound"), "404: this API server does not serve"),
        (Fault("reset"), ""),
        (Fault("cut", size=20), "broke"),
        (Fault("garble", size=1), "is no list of services"),
        (Fault("hang"), "no answer within 0.2 s"),
        (Fault("slow", size=8, delay_s=0.1), "no answer within 0.2 s"),
    ],
    ids=lambda value: f"{value.what}{value.code}" if isinstance(value, Fault) else "",
)
async def test_no_failure_of_an_api_server_is_one_of_ours(lab, monkeypatch, fault, said):
    monkeypatch.setattr(asking, "REQUEST_S", 0.2)
    lab.faults.add(fault)
    facts = await live(access(lab), wanted([WEB], ZONES), ZONES)
    assert said in facts.unknown["services"]
    assert facts.unknown["services"].isprintable()
    assert facts.services == {}


async def test_a_fault_of_pods_leaves_the_rest(lab, monkeypatch):
    monkeypatch.setattr(asking, "REQUEST_S", 0.2)
    lab.faults.add(Fault("hang", resource="pods"))
    facts = await live(access(lab), wanted([WEB], ZONES), ZONES)
    assert facts.unknown == {"pods": "no answer within 0.2 s"}
    assert facts.slices["shop/web"]


async def test_nobody_there_is_found_out_once(lab):
    where = access(lab)
    await lab.stop_serving()
    began = time.monotonic()
    facts = await live(where, wanted([WEB], ZONES), ZONES)
    assert time.monotonic() - began < 1
    assert set(facts.unknown) == {"services", "slices", "pods", "namespaces", "policies"}
    assert all("cannot reach" in why for why in facts.unknown.values())


async def test_a_kubeconfig_that_is_not_there_is_one_line(tmp_path):
    where = Access(kubeconfig=str(tmp_path / "none"))
    facts = await live(where, wanted([WEB], ZONES), ZONES)
    assert facts.unknown["services"].startswith(f"kubeconfig {tmp_path}/none: ")
    assert (
        "No such file" in facts.unknown["services"]
        or "cannot be read" in (facts.unknown["services"])
    )


async def test_a_kubeconfig_is_used(tmp_path, lab):
    where = Access(kubeconfig=str(lab.kubeconfig(tmp_path / "config")))
    facts = await live(where, wanted([WEB], ZONES), ZONES)
    assert facts.unknown == {}
    assert facts.slices["shop/web"]


async def test_the_whole_is_bounded_in_time(lab, monkeypatch):
    monkeypatch.setattr(gather_live, "ALL_S", 0.2)
    lab.faults.add(Fault("hang"))
    facts = await live(access(lab), wanted([WEB], ZONES), ZONES)
    assert facts.unknown["pods"] == "the API server took more than 0.2 s"


async def test_pages_are_read_to_the_end(lab):
    for number in range(260):
        create(lab, PODS, "shop", f"many-{number}", spec=SPEC)
    facts = await live(access(lab), wanted([WEB], ZONES), ZONES)
    assert len(facts.pods["shop"]) == 262
    assert facts.unknown == {}


async def test_of_very_many_pods_those_that_count_are_read(lab):
    for number in range(2000):
        create(lab, PODS, "shop", f"a-{number:04}", spec=SPEC)
    create(lab, PODS, "shop", "zz", spec=SPEC)
    facts = await live(access(lab), asked([WEB], "shop/zz", ZONES), ZONES)
    assert facts.unknown == {"other pods": "shop has many: 2000 were read, and those selected"}
    assert {one.name for one in facts.pods["shop"]} >= {"web-0", "web-1", "zz"}
    assert len(facts.pods["shop"]) == 2003


async def test_of_very_many_slices_those_of_the_service_are_read(lab):
    for number in range(60):
        slice_(lab, "shop/other", number=number)
    facts = await live(access(lab), wanted([WEB], ZONES), ZONES)
    assert [one.name for one in facts.slices["shop/web"]] == ["web-0"]


async def test_an_object_that_is_none_is_named(lab):
    create(lab, PODS, "shop", "odd", spec=SPEC, status={"podIP": "nowhere"})
    facts = await live(access(lab), wanted([WEB], ZONES), ZONES)
    (line,) = facts.skipped
    assert line.startswith("pods in shop: Expected an IP address, got 'nowhere'")
    assert {one.name for one in facts.pods["shop"]} == {"web-0", "web-1"}


async def test_what_was_asked_is_not_asked_again(lab):
    hits = counted(lab, "services")
    one = Live(access(lab))
    await one.facts(Wanted(), ZONES)
    await asyncio.gather(*[one.facts(wanted([WEB], ZONES), ZONES) for _ in range(3)])
    await one.close()
    assert hits.hits == 1
