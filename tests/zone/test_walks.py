"""Walks: what a name says, what is learned of whom, and that all of it stays small."""

import pytest

from kdns.cluster.objects import Namespace, Service
from kdns.cluster.store import Put, Store, Synced
from kdns.wire import names
from kdns.zone import walks as module
from kdns.zone.view import View, Zone
from kdns.zone.walks import PLAIN, First, Walks, first_step, stem_of

ZONE = names.parse_key("cluster.local")
ADDRESS = b"\x0a\0\0\1"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def first(base: str = "www.example.org", namespace: str = "a") -> First:
    key = names.parse_key
    within = (key(f"{base}.svc.cluster.local"), key(f"{base}.cluster.local"))
    return First(key(f"{base}.{namespace}.svc.cluster.local"), key(base), within)


def view() -> View:
    store = Store()
    store.apply_all([Put(Namespace("a")), Put(Service("a", "web")), Synced()], 1)
    zone = Zone(ZONE, 5, store, is_multicluster=False)
    return View(store, (zone,), ZONE)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("www.example.org.a.svc.cluster.local", "www.example.org"),
        ("example.org.a.svc.cluster.local", "example.org"),
        ("db.b.svc.cluster.local.a.svc.cluster.local", "db.b.svc.cluster.local"),
        ("host.a.svc.cluster.local", None),
        ("x.web.a.svc.cluster.local", None),
        ("x.a.a.svc.cluster.local", None),
        ("_x.example.org.a.svc.cluster.local", None),
        ("www.example.org.z.svc.cluster.local", None),
        ("www.example.org.svc.cluster.local", None),
        ("www.example.org.a.pod.cluster.local", None),
        ("www.example.org", None),
    ],
)
def test_which_names_are_first_steps(name, base):
    touched = []
    found = first_step(view(), names.parse_key(name), touched.append)
    if base is None:
        assert found is None
        return
    assert found == first(base)
    last = base.rsplit(".", 1)[-1]
    assert touched == ["a", last, f"a/{last}"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.b.c", b"\1a\1b"),
        ("a.b", b"\1a\1b"),
        ("a", b""),
        (".", b""),
    ],
)
def test_the_stem_is_the_first_two_labels(name, stem):
    assert stem_of(names.parse_key(name)) == stem


def walk(walks: Walks, base: str = "www.example.org", address: bytes = ADDRESS) -> bool:
    """Makes a whole walk; True when it was learned."""
    step = first(base)
    walks.begin(address, step)
    stem = walks.stem(stem_of(step.base))
    if stem is None:
        return False
    for key in step.within:
        walks.saw(address, stem, key, exists=False, has=False)
    walks.saw(address, stem, step.base, exists=True, has=True)
    return walks.learned(address, step.name) is not None


def test_a_class_that_nobody_shares_is_never_the_same_twice():
    walks = Walks(Clock())
    one, two = (walks.standing(ADDRESS, first().name) for _ in range(2))
    assert one != two
    assert walk(walks)
    assert walks.standing(ADDRESS, first().name) == walks.learned(ADDRESS, first().name)


def test_walks_of_one_client_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_OF_ONE", 3)
    walks = Walks(Clock())
    for number in range(5):
        assert walk(walks, f"n{number}.example.org")
    assert walks.count == 3
    learned = [walks.learned(ADDRESS, first(f"n{n}.example.org").name) for n in range(5)]
    assert [one is not None for one in learned] == [False, False, True, True, True]


def test_walks_of_all_clients_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_WALKS", 4)
    walks = Walks(Clock())
    for number in range(10):
        assert walk(walks, "www.example.org", bytes((10, 0, 0, number)))
        assert walk(walks, "api.example.org", bytes((10, 0, 0, number)))
    assert walks.count == 4
    assert len(walks._askers) == 2


def test_stems_are_bounded_and_few_begin_in_a_second(monkeypatch):
    monkeypatch.setattr(module, "MOST_STEMS", 250)
    clock = Clock()
    walks = Walks(clock)
    begun = [walks.begin(ADDRESS, first(f"n{number}.example.org")) for number in range(1000)]
    assert sum(map(bool, begun)) == 200
    for _ in range(20):
        clock.now += 1
        begun = [walks.begin(ADDRESS, first(f"m{n}.s{clock.now}.org")) for n in range(50)]
        assert sum(map(bool, begun)) == 20
    assert len(walks._stems) == 250


def test_those_who_walk_are_bounded_and_make_room(monkeypatch):
    monkeypatch.setattr(module, "MOST_WALKING", 3)
    clock = Clock()
    walks = Walks(clock)
    for number in range(5):
        walks.begin(bytes((10, 0, 0, number)), first())
    stem = walks.stem(stem_of(first().base))
    assert len(stem.walking) == 3
    assert stem.classify(bytes((10, 0, 0, 4))) is PLAIN
    clock.now += 11
    assert stem.classify(bytes((10, 0, 0, 0))) is PLAIN
    assert walk(walks, address=bytes((10, 0, 0, 4)))
    assert len(stem.walking) == 0


def test_a_client_that_only_ever_begins_is_left_alone():
    clock = Clock()
    walks = Walks(clock)
    for _ in range(module.MOST_TRIES):
        for _ in range(100):
            assert walks.standing(ADDRESS, first().name) is not PLAIN
            walks.begin(ADDRESS, first())
        clock.now += 1
    walks.begin(ADDRESS, first())
    assert walks.standing(ADDRESS, first().name) is PLAIN


def test_a_walk_of_too_many_steps_is_none():
    walks = Walks(Clock())
    walks.begin(ADDRESS, first())
    stem = walks.stem(stem_of(first().base))
    for number in range(40):
        key = names.parse_key(f"www.example.org.n{number}.example")
        walks.saw(ADDRESS, stem, key, exists=False, has=False)
    assert stem.classify(ADDRESS) is PLAIN
    assert walks.learned(ADDRESS, first().name) is None


@pytest.mark.parametrize("exists", [True, None])
def test_a_step_that_exists_or_fails_ends_a_walk(exists):
    clock = Clock()
    walks = Walks(clock)
    walks.begin(ADDRESS, first())
    stem = walks.stem(stem_of(first().base))
    walks.saw(ADDRESS, stem, first().within[0], exists=exists, has=False)
    assert stem.classify(ADDRESS) is PLAIN
    assert (walks.standing(ADDRESS, first().name) is PLAIN) == (exists is True)
    clock.now += 601
    assert walks.standing(ADDRESS, first().name) is not PLAIN
    assert walk(walks)
