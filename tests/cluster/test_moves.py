"""Endpoints on the move between slices: held on evidence, gone at once without."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.cluster.moves import LIMIT_S, QUIET_S
from kdns.cluster.objects import Service, ServiceImport, Slice
from kdns.cluster.store import Delete, Put, Replace, Store
from tests.cluster.things import imported, ips, ready, service, slice_


def store(*slices: Slice) -> Store:
    made = Store()
    made.apply_all(map(Put, [service("s"), imported("s"), *slices]), 10.0)
    return made


PAIR = (slice_("x", "1", "2"), slice_("y", "3"))


def test_an_endpoint_that_leaves_one_of_two_slices_is_held_until_it_shows_up():
    held = store(*PAIR)
    assert held.apply(Put(slice_("x", "1")), 11.0).keys == {"a/s", *ips("2")}
    assert ready(held) == set(ips("1", "2", "3"))
    assert [(s.name, at) for s, at in held.endpoints_at(ips("2")[0])] == [("x~1", 0)]
    held.apply(Put(slice_("y", "2", "3")), 11.5)
    assert [s.name for s in held.slices("a/s")] == ["x", "y"]
    assert held.settles_at is None


def test_a_held_endpoint_goes_when_the_service_has_been_quiet():
    held = store(*PAIR)
    held.apply(Put(slice_("x", "1")), 11.0)
    assert held.settles_at == 11.0 + QUIET_S
    assert not held.settle(11.0 + QUIET_S - 0.01).keys
    assert held.settle(11.0 + QUIET_S).keys == {"a/s", *ips("2")}
    assert held.serial == int(11.0 + QUIET_S)
    assert ready(held) == set(ips("1", "3"))


def test_a_held_endpoint_waits_while_slices_change_but_not_for_ever():
    held = store(*PAIR)
    held.apply(Put(slice_("x", "1")), 11.0)
    wall = 11.0
    while wall < 11.0 + LIMIT_S - QUIET_S / 2:
        assert ips("2")[0] in ready(held)
        wall += QUIET_S / 2
        held.apply(Put(slice_("y", "3", str(int(wall * 2)))), wall)
    held.settle(11.0 + LIMIT_S)
    assert ips("2")[0] not in ready(held)


def test_any_later_event_lets_go_of_what_is_due():
    held = store(*PAIR)
    held.apply(Put(slice_("x", "1")), 11.0)
    assert held.apply(Put(service("t", "9")), 20.0).keys == {"a/s", *ips("2", "9"), "a/t"}


def test_a_clock_set_back_ends_a_hold():
    held = store(*PAIR)
    held.apply(Put(slice_("x", "1")), 11.0)
    assert held.settle(5.0).keys


def test_a_held_endpoint_that_shows_up_unready_is_unready():
    held = store(*PAIR)
    held.apply(Put(slice_("x", "1")), 11.0)
    held.apply(Put(slice_("y", "2", "3", unready=frozenset({0}))), 11.1)
    assert ready(held) == set(ips("1", "3"))


def test_of_several_held_endpoints_those_that_show_up_are_let_go():
    held = store(slice_("x", "1", "2", "4", zones=("p", "q", "r")), slice_("y", "3"))
    held.apply(Delete(Slice, "a", "x"), 11.0)
    held.apply(Put(slice_("y", "1", "3")), 11.1)
    (piece,) = [s for s in held.slices("a/s") if s.name != "y"]
    assert (piece.addresses, piece.zones) == (b"".join(ips("2", "4")), ("q", "r"))


AT_ONCE = {
    "a service with one slice": ([slice_("x", "1", "2")], Put(slice_("x", "1"))),
    "a last slice that is deleted": ([slice_("x", "2")], Delete(Slice, "a", "x")),
    "a service with one slice a family": (
        [slice_("x", "1", "2"), slice_("y", "fd00::1")], Put(slice_("x", "1"))),
    "an endpoint that turns unready": (PAIR, Put(slice_("x", "1", "2", unready=frozenset({1})))),
    "an endpoint that was unready": (
        [slice_("x", "1", "2", unready=frozenset({1})), slice_("y", "3")], Put(slice_("x", "1"))),
    "a pod that came back with a new address": (
        [slice_("x", "1", "2", pods=("p", "q")), slice_("y", "3")],
        Put(slice_("x", "1", "4", pods=("p", "q")))),
    "a hostname that is in use elsewhere": (
        [slice_("x", "1", "2", hostnames=("", "h")), slice_("y", "3", hostnames=("h",))],
        Put(slice_("x", "1"))),
    "another slice of another cluster": (
        [slice_("x", "1", "2"), slice_("m", "3", cluster="c")], Put(slice_("x", "1"))),
    "a list": (PAIR, Replace(Slice, (slice_("x", "1"), slice_("y", "3")))),
}  # fmt: skip


@pytest.mark.parametrize(("slices", "event"), AT_ONCE.values(), ids=AT_ONCE.keys())
def test_without_evidence_of_a_move_a_removal_shows_at_once(slices, event):
    plain = store(*slices)
    plain.apply(event, 11.0)
    assert ips("2")[0] not in ready(plain)
    assert plain.settles_at is None


def test_nothing_is_held_for_a_service_that_does_not_exist():
    plain = Store()
    plain.apply_all(map(Put, PAIR), 10.0)
    plain.apply(Put(slice_("x", "1")), 11.0)
    assert ready(plain) == set(ips("1", "3"))


def test_a_deleted_service_lets_go_of_its_endpoints():
    held = store(*PAIR)
    held.apply(Put(slice_("x", "1")), 11.0)
    assert held.apply(Delete(Service, "a", "s"), 11.1).keys == {"a/s", *ips("2")}
    assert held.settles_at is None


def test_a_list_lets_go_of_what_it_does_not_hold():
    held = store(*PAIR)
    held.apply(Put(slice_("x", "1")), 11.0)
    held.apply(Replace(Slice, (slice_("x", "1"), slice_("y", "3"))), 11.1)
    assert [s.name for s in held.slices("a/s")] == ["x", "y"]


def test_endpoints_of_an_imported_service_are_held_in_their_cluster():
    held = store(
        slice_("m", "1", "2", cluster="c"),
        slice_("n", "3", cluster="c"),
        slice_("o", "2", cluster="d"),
    )
    held.apply(Put(slice_("m", "1", cluster="c")), 11.0)
    assert [s.name for s in held.import_slices("a/s")] == ["m", "m~1", "n", "o"]
    assert held.import_serial == 11
    assert not list(held.endpoints_at(ips("2")[0]))
    assert held.apply(Delete(ServiceImport, "a", "s"), 12.5).keys == {"a/s"}
    assert [s.name for s in held.import_slices("a/s")] == ["m", "n", "o"]


def test_an_import_that_goes_lets_go_of_its_endpoints():
    held = store(slice_("m", "1", "2", cluster="c"), slice_("n", "3", cluster="c"))
    held.apply(Put(slice_("m", "1", cluster="c")), 11.0)
    held.apply(Delete(ServiceImport, "a", "s"), 11.1)
    assert [s.name for s in held.import_slices("a/s")] == ["m", "n"]


@settings(max_examples=75, deadline=None)
@given(st.data())
def test_an_endpoint_that_stays_ready_is_answered_throughout_any_repacking(data):
    """Endpoints spread over slices are spread anew; the slices' events come in any order."""
    names = ["v", "w", "x", "y"]
    endpoints = [str(n) for n in range(1, 9)]
    before = {n: data.draw(st.sampled_from(names), label="before") for n in endpoints}
    after = {n: data.draw(st.sampled_from(names), label="after") for n in endpoints}
    with_pods = data.draw(st.booleans())

    def pack(places: dict[str, str]) -> dict[str, Slice]:
        packs: dict[str, list[str]] = {}
        for endpoint, name in places.items():
            packs.setdefault(name, []).append(endpoint)
        return {
            name: slice_(name, *those, pods=tuple(f"p{n}" for n in those) if with_pods else None)
            for name, those in packs.items()
        }

    old, new = pack(before), pack(after)
    if len(old) == 1:
        return  # the last slice of a family is never deleted on a move
    moving = store(*old.values())
    events = [Put(s) for name, s in new.items() if old.get(name) != s]
    events += [Delete(Slice, "a", name) for name in old if name not in new]
    wall = 11.0
    for event in data.draw(st.permutations(events), label="events"):
        moving.apply(event, wall)
        assert ready(moving) == set(ips(*endpoints))
        wall += 0.5
    moving.settle(wall + LIMIT_S)
    assert moving.slices("a/s") == tuple(sorted(new.values(), key=lambda s: s.name))
