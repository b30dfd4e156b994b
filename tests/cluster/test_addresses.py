"""The address index: a multiset that forgets all it is told to forget, in few bytes."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from kdns.cluster.addresses import AddressIndex
from kdns.cluster.objects import Slice
from kdns.cluster.slices import SliceTable
from tests.cluster.things import ips, slice_

PAIRS = st.tuples(st.sampled_from(ips("1", "2", "3", "fd00::1")), st.integers(0, 3))


@given(st.lists(st.tuples(st.sampled_from(("add", "add all", "tidy", "remove")), PAIRS)))
def test_it_finds_exactly_what_was_added_and_not_removed(steps):
    index, model = AddressIndex(), []
    for step, pair in steps:
        if step == "add":
            index.add(*pair)
            model.append(pair)
        elif step == "add all":
            index.add_all([pair[0], *ips("9", "8")], pair[1])
            model += [(address, pair[1]) for address in (pair[0], *ips("9", "8"))]
        elif step == "tidy":
            assert sum(1 for _ in index.tidy()) <= 1024
            assert not index._unsorted
        elif pair in model:
            index.remove(*pair)
            model.remove(pair)
    for address in ips("1", "2", "3", "fd00::1", "8", "9", "7"):
        assert index.numbers(address) == sorted(n for a, n in model if a == address)


def test_slices_leave_nothing_behind():
    table = SliceTable()
    for addresses in (("1", "2"), ("2", "3"), ("2",), ("2", "2", "4"), ("fd00::1",)):
        table.put("a", "x", slice_("x", *addresses))
    table.put("a", "x", None)
    assert not any(table._index._shards)
    assert not table._numbers
    assert not table._local
    table.put("a", "y", slice_("y", "1"))
    assert len(table._slots) == 1


def test_endpoints_take_sixteen_bytes_each_beside_their_columns():
    slices = [
        Slice(
            "a", f"x{n}", f"s{n}", 4, b"".join(bytes((10, n >> 8, n & 255, at)) for at in range(15))
        )
        for n in range(1000)
    ]
    table = SliceTable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for one in slices:
            table.put(one.namespace, one.name, one)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    per_service = 400  # dictionary entries, keys and a tuple for each
    assert taken < 1000 * per_service + 15_000 * 16 + 200_000
