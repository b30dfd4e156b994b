"""The sketch keeps its word, its memory stays what it is, and the lists are fed as observers are."""

import tracemalloc
from collections import Counter
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.observe.lists import EVERY, FEW, HALF_LIFE_S, TopLists
from kdns.observe.top import Share, Top
from tests.fakes import Clock

STEPS = st.lists(
    st.one_of(st.tuples(st.integers(0, 40), st.integers(1, 100)), st.none()), max_size=300
)


@given(st.integers(1, 12), STEPS)
def test_what_was_counted_lies_within_the_bounds(size, steps):
    """Also when the past is halved in between (None)."""
    top, true, total = Top(size), Counter(), 0
    for step in steps:
        if step is None:
            top.halve()
            true = Counter({key: count / 2 for key, count in true.items()})
            total /= 2
        else:
            top.add(*step)
            true[step[0]] += step[1]
            total += step[1]
        assert len(top) <= 2 * size
    assert top.total == pytest.approx(total)
    found = {one.key: one for one in top.top(2 * size)}
    for key, count in true.items():
        if count > total / (size + 1):
            assert key in found
        if key in found:
            assert found[key].least <= count + 1e-9
            assert count <= found[key].most + 1e-9
            assert found[key].most - found[key].least <= total / (size + 1) + 1e-9


def test_a_flood_of_names_hides_nobody_and_takes_no_memory():
    top, chance = Top(100), Random(1)
    heavy = [b"heavy-%d" % at for at in range(20)]
    true: Counter[bytes] = Counter()

    def flood(count: int) -> None:
        for at in range(count):
            top.add(b"%d-%d" % (at, chance.getrandbits(64)))
            if at % 4 == 0:
                top.add(heavy[at // 4 % 20])
                true[heavy[at // 4 % 20]] += 1

    flood(5_000)
    tracemalloc.start()
    try:
        flood(20_000)
        grown_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown_bytes < 200 * 300
    # Each of them is a hundredth of all: just enough.
    assert {one.key for one in top.top(20)} == set(heavy)
    for one in top.top(20):
        assert one.least <= true[one.key] <= one.most


def test_an_order_made_to_push_it_out_does_not():
    """The heavy key comes first and never again, as often as its share needs."""
    top = Top(9)
    top.add("heavy", 101)
    for at in range(898):
        top.add(at)
    assert top.top(1)[0].key == "heavy"


def test_few_keys_are_counted_exactly():
    top = Top(4)
    for key in "abacabad":
        top.add(key)
    assert top.top(2) == [Share("a", 4, 4), Share("b", 2, 2)]


def test_the_present_overtakes_the_past():
    top = Top(4)
    top.add("then", 100)
    for _ in range(4):
        top.halve()
    top.add("now", 10)
    assert [one.key for one in top.top(2)] == ["now", "then"]


# The lists


def packet(name: bytes) -> bytes:
    return bytes(12) + bytes((len(name),)) + name + b"\0\0\1\0\1"


def told(name: bytes, *, rcode: int = 0, client: bytes = b"\x0a\0\0\1", at: float = 1000.0):
    reply = b"\0\0\x80" + bytes((rcode,)) + bytes(8)
    return SimpleNamespace(
        packet=packet(name), reply=reply, client=SimpleNamespace(address=client), ended=at
    )


def test_small_batches_are_counted_one_by_one():
    lists = TopLists(Clock())
    lists.observe([told(b"Web"), told(b"web"), told(b"none", rcode=3)])
    lists.observe([SimpleNamespace(**{**vars(told(b"web")), "reply": None})])
    assert lists.names.top(9) == [Share(b"\3web\0", 3, 3), Share(b"\4none\0", 1, 1)]
    assert lists.missing.top(9) == [Share(b"\4none\0", 1, 1)]
    assert lists.clients.top(9) == [Share(b"\x0a\0\0\1", 4, 4)]


@pytest.mark.parametrize("size", [FEW + 1, EVERY, 64, 200])
def test_of_large_batches_some_stand_for_the_rest(size):
    lists, count = TopLists(Clock()), 0
    # A period that a rate of 16 or 8 would fall for.
    names = [b"a", b"b", b"c", b"d"]
    while count < 40_000:
        lists.observe([told(names[at % 4]) for at in range(count, count + size)])
        count += size
    assert lists.names.total == pytest.approx(count, abs=EVERY)
    for one in lists.names.top(4):
        assert one.least == pytest.approx(count / 4, rel=0.05)


def test_sums_of_the_table_are_counted_as_they_are():
    lists = TopLists(Clock())
    hits = [
        SimpleNamespace(packet=packet(b"Web"), rcode=0, count=1000),
        SimpleNamespace(packet=packet(b"none"), rcode=3, count=7),
    ]
    lists.observe_hits(SimpleNamespace(hits=hits, callers=[(b"\x0a\0\0\2", 64)]))
    assert lists.names.top(1) == [Share(b"\3web\0", 1000, 1000)]
    assert lists.missing.top(1) == [Share(b"\4none\0", 7, 7)]
    assert lists.clients.top(1) == [Share(b"\x0a\0\0\2", 64, 64)]


def test_what_is_a_minute_old_counts_half():
    clock = Clock()
    lists = TopLists(clock)
    lists.observe([told(b"old")])
    clock.now += 2 * HALF_LIFE_S
    lists.observe_hits(SimpleNamespace(hits=[], callers=[]))
    assert lists.names.top(1) == [Share(b"\3old\0", 0.25, 0.25)]
    lists.observe([told(b"new", at=clock.now + 1)])
    assert [one.key for one in lists.names.top(2)] == [b"\3new\0", b"\3old\0"]
