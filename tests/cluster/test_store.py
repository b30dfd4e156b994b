"""The Store: which facts each event moves, what the indexes find, what is selected."""

import pytest

from kdns.cluster import selectors
from kdns.cluster.objects import Namespace, Pod, Port, Service, ServiceImport, Slice
from kdns.cluster.selection import Selection
from kdns.cluster.store import SYNCED, Delete, Put, Replace, Store, Synced
from tests.cluster.things import imported, ips, listed, pod, ready, service, slice_

S, A, ONE, TWO, SIX = "a/s", "a", *ips("1", "2", "fd00::1")

CHANGES = {
    "a new namespace is named": ([], Put(Namespace("a")), {A}),
    "a namespace put again is no change": ([Namespace("a")], Put(Namespace("a", version="2")), set()),
    "a relabelled namespace is named": (
        [Namespace("a")], Put(Namespace("a", (("team", "x"),))), {A}),
    "a deleted namespace is named": ([Namespace("a")], Delete(Namespace, "", "a"), {A}),
    "a namespace never seen is no change": ([], Delete(Namespace, "", "a"), set()),
    "a new service is named with its addresses": ([], Put(service("s", "1", "fd00::1")), {S, ONE, SIX}),
    "a headless service is named alone": ([], Put(service("s")), {S}),
    "a service that only gets labels is no change": (
        [service("s", "1")], Put(service("s", "1", labels=(("x", "y"),), version="2")), set()),
    "a renamed port names the service alone": (
        [service("s", "1")], Put(Service("a", "s", ips("1"), ports=(Port("web", 80, "tcp"),))), {S}),
    "another ClusterIP names the old and the new": ([service("s", "1")], Put(service("s", "2")), {S, ONE, TWO}),
    "a second ClusterIP names only itself": (
        [service("s", "1")], Put(service("s", "1", "fd00::1")), {S, SIX}),
    "a service turned headless gives its address up": ([service("s", "1")], Put(service("s")), {S, ONE}),
    "a service turned ExternalName gives its address up": (
        [service("s", "1")], Put(Service("a", "s", external_name="example.org")), {S, ONE}),
    "a deleted service is named with its addresses": (
        [service("s", "1")], Delete(Service, "a", "s"), {S, ONE}),
    "a service never seen is no change": ([], Delete(Service, "a", "s"), set()),
    "a new slice names its service and addresses": ([], Put(slice_("x", "1", "2")), {S, ONE, TWO}),
    "a slice put again is no change": ([slice_("x", "1")], Put(slice_("x", "1", version="2")), set()),
    "an endpoint more names only its address": ([slice_("x", "1")], Put(slice_("x", "1", "2")), {S, TWO}),
    "an endpoint less names only its address": ([slice_("x", "1", "2")], Put(slice_("x", "1")), {S, TWO}),
    "an endpoint that turns unready is named": (
        [slice_("x", "1", "2")], Put(slice_("x", "1", "2", unready=frozenset({1}))), {S, TWO}),
    "an endpoint with a new hostname is named": (
        [slice_("x", "1", "2")], Put(slice_("x", "1", "2", hostnames=("", "h"))), {S, TWO}),
    "an endpoint with a new pod is named": (
        [slice_("x", "1", "2")], Put(slice_("x", "1", "2", pods=("p", ""))), {S, ONE}),
    "endpoints in another order name the service alone": (
        [slice_("x", "1", "2")], Put(slice_("x", "2", "1")), {S}),
    "another zone names the service alone": (
        [slice_("x", "1")], Put(slice_("x", "1", zones=("z",))), {S}),
    "one address twice in another order is named": (
        [slice_("x", "1", "1", hostnames=("g", "h"))],
        Put(slice_("x", "1", "1", hostnames=("h", "g"))), {S, ONE}),
    "a slice of another service names both": (
        [slice_("x", "1")], Put(slice_("x", "1", of="t")), {S, "a/t", ONE}),
    "a deleted slice names its service and addresses": (
        [slice_("x", "1")], Delete(Slice, "a", "x"), {S, ONE}),
    "a slice never seen is no change": ([], Delete(Slice, "a", "x"), set()),
    "a slice of names answers nothing but is there": (
        [], Put(Slice("a", "x", "s", 0)), {S}),
    "a multicluster slice has no reverse names": ([], Put(slice_("x", "1", cluster="c")), {S}),
    "a slice turned multicluster gives its reverse names up": (
        [slice_("x", "1")], Put(slice_("x", "1", cluster="c")), {S, ONE}),
    "a new pod names its addresses": ([], Put(pod("p", "1", "fd00::1")), {ONE, SIX}),
    "a pod with new labels is no change": (
        [pod("p", "1")], Put(pod("p", "1", labels=(("x", "y"),), version="2")), set()),
    "a pod restarted with a new address names both": ([pod("p", "1")], Put(pod("p", "2")), {ONE, TWO}),
    "a deleted pod names its addresses": ([pod("p", "1")], Delete(Pod, "a", "p"), {ONE}),
    "a new import is named": ([], Put(imported("s", "1")), {S}),
    "an import put again is no change": ([imported("s", "1")], Put(imported("s", "1")), set()),
    "an import with another address is named": ([imported("s", "1")], Put(imported("s", "2")), {S}),
    "a deleted import is named": ([imported("s", "1")], Delete(ServiceImport, "a", "s"), {S}),
    "an import never seen is no change": ([], Delete(ServiceImport, "a", "s"), set()),
    "a service that vanished from a list is named": (
        [service("s", "1"), service("t", "2")], Replace(Service, (service("t", "2"),)), {S, ONE}),
    "a slice that vanished from a list is named": (
        [slice_("x", "1"), slice_("y", "2", of="t")],
        Replace(Slice, (slice_("y", "2", of="t"),)), {S, ONE}),
    "a namespace that vanished from a list is named": ([Namespace("a")], Replace(Namespace, ()), {A}),
    "a pod that vanished from a list is named": (
        [pod("p", "1"), pod("q", "2")], Replace(Pod, (pod("q", "2"),)), {ONE}),
    "an import that vanished from a list is named": (
        [imported("s", "1")], Replace(ServiceImport, ()), {S}),
    "the same list again is no change": (
        [slice_("x", "1"), slice_("y", "2", of="t")],
        Replace(Slice, (slice_("y", "2", of="t"), slice_("x", "1"))), set()),
    "the first state is a fact": ([], Synced(), {SYNCED}),
}  # fmt: skip


@pytest.mark.parametrize(("before", "event", "keys"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_names_exactly_the_facts_that_moved(before, event, keys):
    store = Store()
    store.apply_all(map(Put, before), 1.0)
    assert store.apply(event, 2.0).keys == keys


@pytest.mark.parametrize(("before", "event", "keys"), CHANGES.values(), ids=CHANGES.keys())
def test_an_event_repeated_changes_nothing_more(before, event, keys):
    store = Store()
    store.apply_all(map(Put, before), 1.0)
    store.apply(event, 2.0)
    assert not store.apply(event, 2.0).keys


@pytest.mark.parametrize(
    ("event", "serial", "import_serial"),
    [
        (Put(Namespace("b")), 20, 10),
        (Put(service("s", "9")), 20, 10),
        (Put(service("s", "1", labels=(("x", "y"),), version="2")), 10, 10),
        (Put(slice_("x", "9")), 20, 10),
        (Put(pod("p", "9")), 20, 10),
        (Put(imported("s", "9")), 10, 20),
        (Put(slice_("m", "9", cluster="c")), 10, 20),
        (Delete(Slice, "a", "m"), 10, 20),
        (Put(Namespace("a", (("team", "x"),))), 10, 10),
        (Delete(Namespace, "", "a"), 20, 10),
    ],
    ids=str,
)
def test_the_serial_is_the_time_of_the_last_change_with_effect(event, serial, import_serial):
    store = Store()
    assert store.serial == store.import_serial == 0
    known = [Namespace("a"), service("s", "1"), slice_("x", "1"), pod("p", "1")]
    store.apply_all(map(Put, [*known, imported("s", "1"), slice_("m", "1", cluster="c")]), 10.9)
    store.apply(event, 20.9)
    assert (store.serial, store.import_serial) == (serial, import_serial)


def test_a_new_version_is_stored_although_nothing_changed():
    store = Store()
    old = [Namespace("a"), service("s", "1"), slice_("x", "1"), pod("p", "1"), imported("s", "1")]
    store.apply_all(map(Put, old), 1.0)
    new = [
        type(thing)(**{f: getattr(thing, f) for f in thing.__struct_fields__} | {"version": "7"})
        for thing in old
    ]
    assert not store.apply_all(map(Put, new), 2.0).keys
    there = [
        store.namespaces["a"], store.services[S], store.slices(S)[0], store.pods_at(ONE)[0],
        store.imports[S], store.endpoints_at(ONE)[0][0], store.services_at(ONE)[0],
    ]  # fmt: skip
    assert {thing.version for thing in there} == {"7"}


def test_services_that_share_an_address_are_found_in_the_order_of_their_names():
    store = Store()
    store.apply_all(
        map(Put, [service("t", "1"), service("s", "1"), service("s", "1", ns="b")]), 1.0
    )
    assert [s.key for s in store.services_at(ONE)] == ["a/s", "a/t", "b/s"]
    store.apply(Delete(Service, "a", "s"), 2.0)
    assert [s.key for s in store.services_at(ONE)] == ["a/t", "b/s"]


def test_endpoints_are_found_by_address_across_services_and_readiness():
    store = Store()
    store.apply_all(
        map(Put, [
            slice_("y", "1", "2", of="t"), slice_("x", "3", "1", "1", unready=frozenset({1})),
            slice_("m", "1", cluster="c"), slice_("z", "fd00::1"),
        ]), 1.0,
    )  # fmt: skip
    assert [(s.name, at) for s, at in store.endpoints_at(ONE)] == [("x", 1), ("x", 2), ("y", 0)]
    assert [(s.name, at) for s, at in store.endpoints_at(SIX)] == [("z", 0)]
    assert not list(store.endpoints_at(ips("9")[0]))


def test_an_address_is_not_found_across_the_border_of_two_others():
    x = slice_("x", "10.1.1.2", "1.1.2.1", "1.2.1.1")
    assert list(x.find(ips("1.2.1.1")[0])) == [2]
    assert not list(slice_("x", "10.1.1.2", "1.1.2.1").find(ips("1.2.1.1")[0]))
    assert not list(x.find(SIX))


def test_slices_of_a_service_are_in_the_order_of_their_names():
    store = Store()
    store.apply_all(map(Put, [slice_(n, "1") for n in ("x-10", "x-2", "x-1")]), 1.0)
    assert [s.name for s in store.slices(S)] == ["x-1", "x-10", "x-2"]


def test_multicluster_slices_are_apart_from_local_ones():
    store = Store()
    store.apply_all(map(Put, [slice_("x", "1"), slice_("m", "2", cluster="c")]), 1.0)
    assert [s.name for s in store.slices(S)] == ["x"]
    assert [s.name for s in store.import_slices(S)] == ["m"]
    store.apply(Delete(Slice, "a", "m"), 2.0)
    assert store.import_slices(S) == ()


def test_pods_that_share_an_address_are_all_found():
    store = Store()
    store.apply_all(map(Put, [pod("q", "1"), pod("p", "1"), pod("p", "1", ns="0")]), 1.0)
    assert [(p.namespace, p.name) for p in store.pods_at(ONE)] == [
        ("0", "p"),
        ("a", "p"),
        ("a", "q"),
    ]
    store.apply(Delete(Pod, "a", "p"), 2.0)
    assert [(p.namespace, p.name) for p in store.pods_at(ONE)] == [("0", "p"), ("a", "q")]


def test_a_service_named_only_by_slices_is_no_service():
    store = Store()
    store.apply(Put(slice_("x", "1")), 1.0)
    assert not store.services


SHOWN, HIDDEN = (("tier", "web"),), (("tier", "db"),)


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [
        (service("s", "1", labels=SHOWN), service("s", "1", labels=HIDDEN)),
        (slice_("x", "1", labels=SHOWN), slice_("x", "1", labels=HIDDEN)),
        (slice_("x", "1", labels=SHOWN, cluster="c"), slice_("x", "1", labels=HIDDEN, cluster="c")),
        (pod("p", "1", labels=SHOWN), pod("p", "1", labels=HIDDEN)),
        (Namespace("a", SHOWN), Namespace("a", HIDDEN)),
    ],
    ids=lambda thing: type(thing).__name__,
)
@pytest.mark.parametrize("is_list", [False, True], ids=["put", "list"])
def test_what_a_selector_no_longer_matches_is_gone(shown, hidden, is_list):
    web = selectors.parse("tier=web")
    store, empty = Store(Selection(web, web)), Store(Selection(web, web))
    for thing, is_there in ((hidden, False), (shown, True), (hidden, False), (shown, True)):
        store.apply(Replace(type(thing), (thing,)) if is_list else Put(thing), 1.0)
        seen = [
            store.namespaces,
            store.services,
            store.slices(S),
            store.import_slices(S),
            store.pods_at(ONE),
        ]
        none = [empty.namespaces, empty.services, (), (), ()]
        assert (seen != none) == is_there


@pytest.mark.parametrize(
    ("thing", "selection"),
    [
        (slice_("x", "1"), Selection(endpoints=False)),
        (pod("p", "1"), Selection(pods=False)),
        (imported("s", "1"), Selection(imports=False)),
        (slice_("m", "1", cluster="c"), Selection(imports=False)),
    ],
    ids=["endpoints", "pods", "imports", "imported slices"],
)
def test_what_is_not_wanted_is_not_kept(thing, selection):
    store = Store(selection)
    assert not store.apply(Put(thing), 1.0).keys
    assert not list(store.endpoints_at(ONE))
    assert not store.pods_at(ONE)
    assert not store.imports
    assert not store.import_slices(S)


def test_endpoints_stay_while_a_list_moves_them_between_slices_and_services():
    store = Store()
    store.apply_all(
        map(Put, [service("s"), service("t"), slice_("x", "1", "2"), slice_("y", "3", of="t")]), 1.0
    )
    moved = (slice_("x", "3", of="t"), slice_("y", "2"), slice_("z", "1"))
    for change in store.steps(Replace(Slice, moved), 2.0):
        assert ready(store, "a/s") >= set(ips("1", "2")), change
        assert ready(store, "a/t") >= set(ips("3")), change
    assert ready(store, "a/s") == set(ips("1", "2"))


def test_services_that_swap_slices_in_a_ring_change_at_once():
    store = Store()
    ring = ["r", "s", "t", "u"]
    store.apply_all(map(Put, [slice_(f"x{at}", str(at), of=of) for at, of in enumerate(ring)]), 1.0)
    turned = [slice_(f"x{at}", str((at + 1) % 4), of=ring[(at + 1) % 4]) for at in range(4)]
    for _ in store.steps(Replace(Slice, tuple(turned)), 2.0):
        assert [ready(store, f"a/{of}") for of in ring] == [set(ips(str(at))) for at in range(4)]


def test_a_list_is_applied_in_many_small_steps():
    store = Store()
    many = tuple(slice_(f"x{n}", f"10.1.{n // 250}.{n % 250}", of=f"s{n}") for n in range(500))
    assert sum(1 for _ in store.steps(Replace(Slice, many), 1.0)) >= 500
    assert sum(1 for _ in store.steps(Replace(Slice, ()), 2.0)) >= 500
    assert not store.slices("a/s7")


def test_the_store_has_synced_once_its_source_says_so():
    store = Store()
    store.apply_all(listed([]), 1.0)
    assert not store.has_synced
    for _ in store.steps(Synced(), 2.0):
        pass
    assert store.has_synced
    assert not store.apply(Synced(), 3.0).keys
