"""Addresses of pods: freed ones rest, unless no other is left; nodes take as many as they have."""

import pytest

from kdns.lab.addresses import REST_S, Addresses

RANGE = "10.244.1.0/29"
"""Of eight, without the network, the bridge and the broadcast address: five."""


def test_an_address_rests_before_it_is_given_again():
    clock = [0.0]
    given = Addresses(lambda: clock[0])
    first, *others = (given.next_of([RANGE])[0] for _ in range(4))
    for one in (first, *others):
        given.free(one)
    last = given.next_of([RANGE])
    assert last[0] not in {first, *others}
    clock[0] = REST_S
    assert given.next_of([RANGE]) == [first]


def test_one_that_rests_is_given_where_no_other_is_left():
    given = Addresses(lambda: 0.0)
    found = [given.next_of([RANGE])[0] for _ in range(5)]
    assert len(set(found)) == 5
    given.free(found[3])
    given.free(found[1])
    assert given.next_of([RANGE]) == [found[3]]
    assert given.next_of([RANGE]) == [found[1]]
    with pytest.raises(ValueError, match="no address of"):
        given.next_of([RANGE])
