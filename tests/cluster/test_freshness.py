"""Freshness: how old what is known of each kind is, and whether all of it has been told once."""

from kdns.cluster.freshness import Freshness
from kdns.cluster.objects import Pod, Service, Slice
from tests.fakes import Clock


def test_nothing_watched_is_always_fresh():
    clock = Clock()
    freshness = Freshness(clock)
    clock.now += 1e6
    assert freshness.age() == 0
    assert freshness.is_whole


def test_each_kind_has_an_age_and_the_oldest_counts():
    clock = Clock()
    freshness = Freshness(clock)
    for kind in (Service, Slice, Pod):
        freshness.expect(kind)
    clock.now += 10
    freshness.heard(Service)
    clock.now += 5
    freshness.heard(Slice)
    assert freshness.ages() == {Service: 5, Slice: 0, Pod: 15}
    assert freshness.age() == 15
    assert not freshness.is_whole
    freshness.heard(Pod)
    assert freshness.is_whole
    assert freshness.age() == 5


def test_what_is_expected_again_keeps_its_age():
    clock = Clock()
    freshness = Freshness(clock)
    freshness.heard(Service)
    freshness.expect(Service)
    assert freshness.is_whole
