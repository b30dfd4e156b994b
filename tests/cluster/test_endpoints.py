"""The endpoint controller and ClusterIPs for manifests, as pure functions."""

import random
from ipaddress import ip_address, ip_network

import pytest

from kdns.cluster.allocate import Ranges, allocate
from kdns.cluster.assembly import Found, assemble
from kdns.cluster.endpoints import MAX_ENDPOINTS, PodIndex, mirror, select
from kdns.cluster.objects import Namespace, Pod, Port, Service, ServiceImport, Slice
from kdns.cluster.parse import parse
from kdns.cluster.workloads import EndpointAddress, Endpoints, PodState, ServiceSpec, Subset, Target
from tests.cluster.things import imported, ips, slice_

APP = (("app", "web"),)


def spec(name: str = "s", *addresses: str, headless: bool = False, **fields: object) -> ServiceSpec:
    service = Service("a", name, ips(*addresses), headless, labels=(("team", "x"),))
    return ServiceSpec(
        service, **{"selector": APP, "targets": (Target("http", "tcp", 8080),)} | fields
    )


def pod(
    name: str, *addresses: str, labels: object = APP, ns: str = "a", **fields: object
) -> PodState:
    return PodState(Pod(ns, name, ips(*addresses), labels), **{"is_ready": True} | fields)


def rows(slices: list[Slice]) -> set[tuple[str, bool, str, str]]:
    """Address, readiness, hostname and pod of every endpoint."""
    return {
        (str(ip_address(s.address(at))), s.is_ready(at), s.hostname(at), s.pod(at))
        for s in slices
        for at in range(s.count)
    }


PODS = {
    "a ready pod": (pod("p", "1"), {("10.0.0.1", True, "", "p")}),
    "a pod that is not ready": (pod("p", "1", is_ready=False), {("10.0.0.1", False, "", "p")}),
    "a pod that terminates": (pod("p", "1", is_terminating=True), {("10.0.0.1", False, "", "p")}),
    "a pod that has finished": (pod("p", "1", is_finished=True), set()),
    "a pod without an address": (pod("p"), set()),
    "a pod of another family": (pod("p", "fd00::1"), set()),
    "a pod of both families": (pod("p", "1", "fd00::1"), {("10.0.0.1", True, "", "p")}),
    "a pod of another namespace": (pod("p", "1", ns="b"), set()),
    "a pod with another label": (pod("p", "1", labels=(("app", "db"),)), set()),
    "a pod with more labels": (pod("p", "1", labels=(*APP, ("x", "y"))), {("10.0.0.1", True, "", "p")}),
    "a pod named in its service": (
        pod("p", "1", hostname="h", subdomain="s"), {("10.0.0.1", True, "h", "p")}),
    "a pod named in another service": (
        pod("p", "1", hostname="h", subdomain="t"), {("10.0.0.1", True, "", "p")}),
}  # fmt: skip


@pytest.mark.parametrize(("state", "expected"), PODS.values(), ids=PODS.keys())
def test_a_pod_becomes_an_endpoint(state, expected):
    slices = select(spec(), PodIndex([state]))
    assert rows(slices) == expected
    assert {(s.namespace, s.service, s.labels) for s in slices} == {("a", "s", (("team", "x"),))}


def test_a_selector_asks_for_all_its_labels():
    both = (("app", "web"), ("tier", "front"))
    pods = PodIndex([pod("p", "1", labels=both), pod("q", "2")])
    assert rows(select(spec(selector=both), pods)) == {("10.0.0.1", True, "", "p")}


def test_an_empty_selector_selects_no_pod():
    assert PodIndex([pod("p", "1")]).matching("a", ()) == []


def test_unready_pods_are_published_when_the_service_asks_for_them():
    pods = PodIndex([pod("p", "1", is_ready=False), pod("q", "2", is_terminating=True)])
    found = rows(select(spec(shows_unready=True), pods))
    assert found == {("10.0.0.1", True, "", "p"), ("10.0.0.2", True, "", "q")}


def test_each_family_of_the_service_has_slices_of_its_own():
    slices = select(spec(families=(4, 16)), PodIndex([pod("p", "1", "fd00::1")]))
    assert [(s.width, s.count) for s in slices] == [(4, 1), (16, 1)]


def test_a_service_without_pods_keeps_an_empty_slice():
    (one,) = select(spec(), PodIndex([]))
    assert one.count == 0


def test_a_named_target_port_is_where_each_pod_has_it():
    named = spec(targets=(Target("http", "tcp", "web"), Target("dns", "udp", 53)))
    pods = PodIndex([
        pod("p", "1", ports=(Port("web", 1, "udp"), Port("web", 8080, "tcp"))),
        pod("q", "2", ports=(Port("web", 9090, "tcp"),)), pod("r", "3"),
    ])  # fmt: skip
    dns = Port("dns", 53, "udp")
    assert {s.ports: s.addresses for s in select(named, pods)} == {
        (Port("http", 8080, "tcp"), dns): ips("1")[0],
        (Port("http", 9090, "tcp"), dns): ips("2")[0],
        (dns,): ips("3")[0],
    }


def test_a_service_without_ports_has_endpoints_without_ports():
    (one,) = select(spec(targets=()), PodIndex([pod("p", "1")]))
    assert (one.count, one.ports) == (1, ())


def crowd(size: int) -> list[PodState]:
    return [pod(f"p-{n}", f"10.1.{n // 250}.{n % 250}") for n in range(size)]


@pytest.mark.parametrize("size", [0, 1, 100, 101, 250, 2000])
def test_no_slice_is_too_large_and_none_is_lost(size):
    slices = select(spec(), PodIndex(crowd(size)))
    assert max(s.count for s in slices) <= MAX_ENDPOINTS
    assert len(rows(slices)) == size
    assert len({s.name for s in slices}) == len(slices)
    assert len(slices) <= max(1, size // 30)


def test_slices_do_not_depend_on_the_order_of_pods():
    pods = crowd(300)
    mixed = random.Random(1).sample(pods, len(pods))
    assert select(spec(), PodIndex(pods)) == select(spec(), PodIndex(mixed))


def test_a_pod_more_changes_one_slice():
    before = {s.name: s for s in select(spec(), PodIndex(crowd(1000)))}
    after = {s.name: s for s in select(spec(), PodIndex([*crowd(1000), pod("new", "1")]))}
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert len(changed) <= 3  # one, or one that was full and its two halves


def test_endpoints_that_share_a_hostname_are_spread_too():
    same = Subset(tuple(EndpointAddress(ips(f"10.2.0.{n}")[0], "h") for n in range(250)), ())
    slices = mirror(spec().service, Endpoints("a", "s", (same,)))
    assert sum(s.count for s in slices) == 250
    assert len(slices) <= 8


def test_an_endpoint_written_twice_counts_once_and_is_ready_if_either_is():
    (one,) = ips("1.1.1.1")
    both = (EndpointAddress(one), EndpointAddress(one, is_ready=False), EndpointAddress(one))
    assert rows(mirror(spec().service, Endpoints("a", "s", (Subset(both, ()),)))) == {
        ("1.1.1.1", True, "", "")
    }


def test_endpoints_are_mirrored_by_family_and_ports():
    http, dns = (Port("http", 80, "tcp"),), (Port("dns", 53, "udp"),)
    one, two, six = ips("1.1.1.1", "2.2.2.2", "fd00::1")
    subsets = (
        Subset((EndpointAddress(one, "h", "p"), EndpointAddress(two, is_ready=False)), http),
        Subset((EndpointAddress(one), EndpointAddress(six)), dns),
    )
    slices = mirror(spec().service, Endpoints("a", "s", subsets))
    assert {(s.width, s.ports): s.addresses for s in slices} == {
        (4, http): one + two if slices[0].addresses.startswith(one) else two + one,
        (4, dns): one, (16, dns): six,
    }  # fmt: skip
    assert ("2.2.2.2", False, "", "") in rows(slices)
    assert ("1.1.1.1", True, "h", "p") in rows(slices)


LACKS4 = {"lacks": (4,), "families": (4,)}


def given(
    *specs: ServiceSpec, used: tuple[bytes, ...] = (), ranges: Ranges | None = None
) -> dict[str, tuple[bytes, ...]]:
    return {s.service.name: s.service.addresses for s in allocate(specs, used, ranges or Ranges())}


def test_an_address_follows_from_the_name_alone():
    many = [spec(f"s{n}", **LACKS4) for n in range(200)]
    assert given(*many) == given(*reversed(many))
    alone = given(many[7])["s7"]
    assert given(*many)["s7"] == alone
    assert ip_address(alone[0]) in ip_network("10.96.0.0/12")


def test_addresses_are_unique_and_none_is_in_use():
    small = Ranges({4: ip_network("10.96.0.0/24")})
    used = tuple(ip_address(f"10.96.0.{n}").packed for n in range(100, 200))
    found = given(
        *(spec(f"s{n}", **LACKS4) for n in range(138)),
        spec("t", "10.96.0.50"),
        used=used,
        ranges=small,
    )
    given_out = [a for name, addresses in found.items() if name != "t" for a in addresses]
    assert len(set(given_out)) == len(given_out) == 138
    assert not set(given_out) & {*used, *ips("10.96.0.50", "10.96.0.0", "10.96.0.255")}


def test_a_service_that_finds_no_room_lacks_an_address():
    tiny = Ranges({4: ip_network("10.96.0.0/30")})
    found = given(*(spec(f"s{n}", **LACKS4) for n in range(4)), ranges=tiny)
    assert sorted(map(len, found.values())) == [0, 0, 1, 1]
    for full in ("10.96.0.0/31", "10.96.0.0/32"):
        assert given(spec(**LACKS4), ranges=Ranges({4: ip_network(full)})) == {"s": ()}


def test_both_families_are_given_in_their_order():
    (six, four) = given(spec(lacks=(4, 16), families=(16, 4)))["s"]
    assert (len(six), len(four)) == (16, 4)
    assert ip_address(six) in ip_network("fd00:10:96::/112")
    (had, new) = given(spec("s", "10.96.9.9", lacks=(16,), families=(4, 16)))["s"]
    assert (had, len(new)) == (ips("10.96.9.9")[0], 16)


def world(*things: object) -> dict[type, tuple]:
    return assemble([Found(f"f: document {n}", thing) for n, thing in enumerate(things)], Ranges())


def test_slices_are_the_truth_then_endpoints_then_pods():
    written = Endpoints("a", "s", (Subset((EndpointAddress(ips("2")[0]),), ()),))
    state, own = pod("p", "1"), slice_("x", "3")
    service = spec("s", "9")
    assert rows(world(service, state).objects[Slice]) == {("10.0.0.1", True, "", "p")}
    assert rows(world(service, state, written).objects[Slice]) == {("10.0.0.2", True, "", "")}
    assert rows(world(service, state, written, own).objects[Slice]) == {("10.0.0.3", True, "", "")}
    elsewhere = slice_("m", "4", cluster="c")
    assert len(rows(world(service, state, elsewhere).objects[Slice])) == 2


def test_endpoints_without_a_service_are_nothing():
    written = Endpoints("a", "s", (Subset((EndpointAddress(ips("2")[0]),), ()),))
    assert world(written).objects[Slice] == ()


def test_a_service_without_selector_and_endpoints_has_no_slices():
    assert world(spec("s", headless=True, selector=()), pod("p", "1")).objects[Slice] == ()


def test_a_namespace_named_only_by_its_objects_exists():
    named = world(
        spec("s", "9"), pod("p", ns="b", is_finished=True), Namespace("c", (("team", "x"),))
    )
    label = "kubernetes.io/metadata.name"
    assert named.objects[Namespace] == (
        Namespace("a", ((label, "a"),)),
        Namespace("b", ((label, "b"),)),
        Namespace("c", ((label, "c"), ("team", "x"))),
    )


def test_pods_that_are_gone_are_no_pods_and_imports_are_kept():
    states = [pod("p", "1"), pod("q", "2", is_terminating=True), pod("r", "3", is_finished=True)]
    made = world(*states, imported("i", "1"))
    assert [p.name for p in made.objects[Pod]] == ["p"]
    assert made.objects[ServiceImport] == (imported("i", "1"),)


def test_the_last_of_two_objects_of_a_name_wins_with_a_warning():
    made = world(
        spec("s", "1"),
        spec("s", "2"),
        spec("s", "2"),
        pod("p", "1"),
        pod("p", "3"),
        Namespace("n"),
        Namespace("n", APP),
    )
    assert made.objects[Service][0].addresses == ips("2")
    assert made.warnings == (
        "f: document 1: Service a/s replaces the one in f: document 0",
        "f: document 4: Pod a/p replaces the one in f: document 3",
        "f: document 6: Namespace n replaces the one in f: document 5",
    )


def test_addresses_of_endpoints_and_pods_are_never_given_to_services():
    (alone,) = world(spec(**LACKS4)).objects[Service]
    (taken,) = alone.addresses
    text = str(ip_address(taken))
    written = Endpoints("a", "t", (Subset((EndpointAddress(taken),), ()),))
    external = ServiceSpec(Service("a", "lb", external_addresses=(taken,)))
    for other in (pod("p", text), slice_("x", text, of="t"), written, external):
        found = {s.name: s.addresses for s in world(spec(**LACKS4), other).objects[Service]}
        assert found["s"] != (taken,)


def test_a_service_without_room_is_warned_of():
    full = Ranges({4: ip_network("10.96.0.0/32")})
    made = assemble([Found("f", spec(**LACKS4))], full)
    assert made.warnings == ("a/s: no ClusterIP is free for it",)


def test_objects_do_not_depend_on_the_order_of_files():
    documents = [
        {"kind": "Service", "metadata": {"name": f"s{n}"}, "spec": {"selector": {"n": str(n % 3)}}}
        for n in range(20)
    ] + [
        {"kind": "Pod", "metadata": {"name": f"p{n}", "labels": {"n": str(n % 3)}}, "status": {"podIP": f"10.0.0.{n + 1}"}}
        for n in range(20)
    ]  # fmt: skip
    things = [parse(document) for document in documents]
    assert world(*things) == world(*reversed(things))
