"""Lists that come piece by piece: Puts and a Prune end as a fresh list, through short steps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.cluster import slices as slices_module
from kdns.cluster.alike import name_of
from kdns.cluster.objects import Namespace, Object, Service, Slice
from kdns.cluster.selection import Selection
from kdns.cluster.selectors import parse
from kdns.cluster.store import Delete, Event, Prune, Put, Store
from tests.cluster.test_order import ADDRESSES, KEYS, OBJECTS, fresh, name, unique
from tests.cluster.things import ALL, KINDS, ips, ready, seen, service, slice_


def relist(kind: type[Object], objects: list[Object]) -> list[Event]:
    """A list of a kind, page by page, as the API source tells it."""
    there = [one for one in objects if type(one) is kind]
    return [*map(Put, there), Prune(kind, set(map(name_of, there)))]


def test_what_a_list_did_not_name_is_gone():
    store = Store()
    store.apply_all(map(Put, [service("s", "1"), service("t", "2"), Namespace("a")]), 1.0)
    changes = store.apply(Prune(Service, frozenset({("a", "t")})), 2.0)
    assert changes.keys == {"a/s", *ips("1")}
    assert set(store.services) == {"a/t"}
    assert set(store.namespaces) == {"a"}


def test_a_list_that_names_everything_changes_nothing():
    store = Store()
    store.apply_all(map(Put, [service("s", "1"), slice_("x", "2")]), 1.0)
    edition = store.edition
    assert not store.apply(Prune(Service, frozenset({("a", "s")})), 2.0).keys
    assert not store.apply(Prune(Slice, frozenset({("a", "x")})), 2.0).keys
    assert store.edition == edition


def test_what_is_named_and_not_known_is_no_matter():
    """An object that cannot be read, or is not selected, counts as named."""
    store = Store(Selection(parse("app")))
    store.apply(Put(service("s", "1", labels=(("app", "x"),))), 1.0)
    assert not store.apply(Prune(Service, {("a", "s"), ("a", "other")}), 2.0).keys


def test_a_set_of_names_is_emptied_on_the_way_and_a_frozen_one_is_not():
    store = Store()
    store.apply(Put(service("s", "1")), 1.0)
    given, frozen = {("a", "s")}, frozenset({("a", "s")})
    store.apply(Prune(Service, given), 2.0)
    store.apply(Prune(Service, frozen), 2.0)
    assert not given
    assert frozen


def test_a_list_ends_holds():
    store = Store()
    store.apply_all(map(Put, [service("s"), slice_("x", "1", "2"), slice_("y", "3")]), 1.0)
    store.apply(Put(slice_("x", "1")), 1.1)
    assert ready(store) == set(ips("1", "2", "3"))
    store.apply(Prune(Slice, {("a", "x"), ("a", "y")}), 1.2)
    assert ready(store) == set(ips("1", "3"))
    assert store.settles_at is None


@settings(max_examples=150, deadline=None)
@given(st.lists(OBJECTS, max_size=12), st.lists(OBJECTS, max_size=12), st.data())
def test_puts_and_prunes_in_any_interleaving_end_as_a_fresh_list(before, after, data):
    """Kinds are listed side by side, and what happens meanwhile is watched or named."""
    store, wall = Store(ALL), 10.0
    for one in before:
        store.apply(Put(one), wall)
    truth = unique(after)
    lists = {kind: relist(kind, truth) for kind in KINDS}
    turns = [kind for kind, events in lists.items() for _ in events]
    for kind in data.draw(st.permutations(turns)):
        wall += data.draw(st.sampled_from([0.0, 0.3, 2.0]), label="pause")
        store.apply(lists[kind].pop(0), wall)
    assert seen(store, ADDRESSES, KEYS) == fresh(truth)
    late = data.draw(st.lists(OBJECTS, max_size=4), label="watched afterwards")
    for one in late:
        store.apply(Put(one), wall)
        truth = [*(there for there in truth if name(there) != name(one)), one]
    store.settle(wall + 60)
    assert seen(store, ADDRESSES, KEYS) == fresh(truth)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_steady_service_is_whole_throughout_a_relist(data):
    """Its endpoints may lie in other slices by now: what the list does not show is not dropped."""
    store = Store()
    ends = [str(n) for n in range(1, 7)]
    names = data.draw(st.lists(st.sampled_from("uvwxyz"), min_size=2, unique=True))
    sorted_in = {end: data.draw(st.sampled_from(names)) for end in ends}
    now = {end: data.draw(st.sampled_from(names)) for end in ends}

    def packed(where: dict[str, str]) -> list[Object]:
        return [slice_(n, *(e for e in ends if where[e] == n)) for n in names]

    store.apply_all([Put(service("s")), *map(Put, packed(sorted_in))], 1.0)
    whole = set(ips(*ends))
    for event in relist(Slice, packed(now)):
        for _ in store.steps(event, 1.1):
            assert ready(store) == whole


def test_equal_objects_are_kept_once():
    store = Store()
    first = slice_("x", "1", "2", pods=("p", "q"), version="1")
    store.apply_all([Put(service("s", "1")), Put(first)], 1.0)
    kept = store.get(Slice, "a", "x")
    store.apply(Put(slice_("x", "1", "2", pods=("p", "q"), version="1")), 2.0)
    assert store.get(Slice, "a", "x") is kept
    store.apply(Put(slice_("x", "1", "2", pods=("p", "q"), version="2")), 3.0)
    newer = store.get(Slice, "a", "x")
    assert newer.version == "2"
    assert newer.addresses is kept.addresses
    assert newer.pods is kept.pods
    assert newer.ports is kept.ports


@pytest.mark.parametrize(
    ("thing", "grows"),
    [
        (service("s", "1", version="2"), False),
        (service("s", "1", labels=(("a", "b"),)), True),
        (service("s", "2"), True),
        (service("s", "1"), False),
    ],
    ids=["version", "labels", "address", "same"],
)
def test_the_edition_grows_with_what_is_more_than_a_version(thing, grows):
    store = Store()
    store.apply(Put(service("s", "1")), 1.0)
    before = store.edition
    store.apply(Put(thing), 2.0)
    assert (store.edition > before) == grows
    store.apply(Delete(Service, "a", "never"), 3.0)
    assert (store.edition > before) == grows


# A service of many slices


def many(count: int) -> Store:
    """A service of `count` slices with ten endpoints each."""
    store = Store()
    store.apply(Put(service("s")), 1.0)
    for at in range(count):
        store.apply(Put(large(at, range(10))), 1.0)
    return store


def large(at: int, ends: range, version: str = "1") -> Slice:
    pods = tuple(f"p-{at}-{end}" for end in ends)
    return slice_(f"x{at:03d}", *(f"10.{at}.0.{end}" for end in ends), pods=pods, version=version)


def test_a_change_looks_at_what_changed_and_not_at_every_hold(monkeypatch):
    store = many(100)
    calls = []
    known = slices_module.leaving
    monkeypatch.setattr(slices_module, "leaving", lambda *given: calls.append(1) or known(*given))
    for at in range(100):
        store.apply(Put(large(at, range(9))), 2.0)
    assert len(calls) == 100, "each slice lost one endpoint, and none came back"
    calls.clear()
    store.apply(Put(large(7, range(10))), 2.1)
    assert len(calls) == 2, "one hold is looked at, and what the slice itself lost"
    assert len(store.slices("a/s")) == 199


def test_many_holds_end_a_few_at_a_time():
    store = many(100)
    for at in range(100):
        store.apply(Put(large(at, range(9))), 2.0)
    due = store.settles_at
    assert len(store.slices("a/s")) == 200
    turns = 0
    while store.settles_at is not None:
        assert store.settles_at == due
        assert store.settle(due).keys
        turns += 1
    assert turns == -(-100 // slices_module.AT_ONCE)
    assert len(store.slices("a/s")) == 100
