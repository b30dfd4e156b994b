"""Shares: who sends little is served in full, whoever else sends how much."""

from hypothesis import given
from hypothesis import strategies as st

from kdns.server.udp.shares import FREE, FULL, MOST_NAMED, judge, level, network

DEMANDS = st.lists(st.floats(0.5, 1e6), min_size=1, max_size=40)


@given(demands=DEMANDS, room=st.floats(1, 1e6))
def test_nobody_gets_more_than_the_level_and_all_together_no_more_than_there_is(demands, room):
    fair = level(demands, room)
    got = sum(min(demand, fair) for demand in demands)
    assert got <= room * (1 + 1e-9)
    assert got >= min(sum(demands), room) * (1 - 1e-9)


def addresses(count: int, first: bytes = b"\x0a\0") -> list[bytes]:
    return [first + at.to_bytes(2, "big") for at in range(count)]


def test_a_flooder_is_held_and_leaves_time_while_others_are_served_in_full():
    others = dict.fromkeys(addresses(10), 200.0)
    flooder = b"\x0a\x09\x09\x09"
    verdict = judge({**others, flooder: 1_000_000.0}, 50_000, 0.6)
    assert verdict.passes == {flooder: (50_000 * 0.6 - 2000) / 1_000_000}
    assert all(verdict.of(one) == 1 for one in others)


def test_where_many_ask_too_much_nearly_all_of_the_time_is_used():
    demands = dict.fromkeys(addresses(20), 1000.0)
    verdict = judge(demands, 10_000, 0.6)
    got = sum(demand * verdict.of(one) for one, demand in demands.items())
    assert abs(got - 10_000 * FULL) < 1


def test_who_is_alone_is_not_held():
    assert judge({b"\x0a\0\0\1": 1e6}, 1000, 0.6) is FREE
    assert judge({}, 1000, 0.6) is FREE


def test_what_can_be_answered_is_let_through():
    assert judge(dict.fromkeys(addresses(10), 90.0), 1000, 0.6) is FREE


def test_many_addresses_of_one_net_are_judged_as_one():
    others = dict.fromkeys(addresses(30, b"\x0a\1"), 10.0)
    others = {one[:2] + bytes([at]) + one[3:]: 10.0 for at, one in enumerate(others)}
    flood = dict.fromkeys(addresses(200, b"\x0a\x63"), 5000.0)
    verdict = judge({**others, **flood}, 10_000, 0.6)
    assert verdict.widths == (24, 56)
    assert set(verdict.passes) == {b"\x0a\x63\0"}
    assert {verdict.of(one) for one in others} == {1.0}


def test_forged_addresses_are_thinned_alike_and_the_list_stays_short():
    forged = {(at * 65_521 % 2**32).to_bytes(4, "big"): 20.0 for at in range(1, 5000)}
    flooder = b"\x0a\x09\x09\x09"
    verdict = judge({**forged, flooder: 50_000.0}, 10_000, 0.6)
    assert len(verdict.passes) <= MOST_NAMED
    assert verdict.of(flooder) < 0.01
    assert 0.05 < verdict.rest < 0.15


def test_ipv6_is_judged_by_address_first():
    others = {b"\xfd" + bytes(14) + bytes([at]): 10.0 for at in range(10)}
    flooder = b"\xfd" + bytes(14) + b"\xff"
    verdict = judge({**others, flooder: 1e5}, 1000, 0.6)
    assert set(verdict.passes) == {flooder}
    assert network(flooder, (24, 56)) == flooder[:7]
