"""Connections without room: who has most gives up those that were longest waited for."""

import asyncio
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from kdns.server.streams.crowded import surplus
from tests.server.test_stream import Served, frame, message, plain


class Held:
    def __init__(self, host: str | None, *, underway: int = 0) -> None:
        peer = (host, 4000) if host and ":" not in host else host and (host, 4000, 0, 0)
        self.host, self.underway = host, underway
        self.transport = SimpleNamespace(get_extra_info=lambda _: peer)


def test_who_has_most_gives_up_the_oldest_until_others_have_as_many():
    few = [Held("10.0.0.1"), Held("10.0.0.2")]
    many = [Held("10.9.9.9") for _ in range(5)]
    other = [Held("10.8.8.8") for _ in range(3)]
    found = surplus([*few, *many, *other], 4)
    assert found[:2] == many[:2]
    assert {one.host for one in found[2:]} == {"10.9.9.9", "10.8.8.8"}


def test_where_all_have_one_the_longest_waited_for_goes():
    each = [Held(f"10.0.0.{at}") for at in range(9)]
    assert surplus(each, 3) == each[:3]


def test_what_is_owed_an_answer_goes_last():
    owed, free = Held("10.0.0.1", underway=1), Held("10.0.0.1")
    assert surplus([owed, free, Held("10.0.0.2")], 2) == [free, owed]


def test_hosts_of_ipv6_are_their_network_and_lost_peers_are_one():
    flood = [Held(f"2001:db8::{at:x}") for at in range(4)]
    assert surplus([Held("2001:db8:0:1::1"), *flood, Held(None)], 2) == flood[:2]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), max_size=30), st.integers(1, 40))
def test_none_is_given_up_twice_and_no_client_falls_below_another_by_it(rows, count):
    held = [Held(f"10.0.0.{host}", underway=underway) for host, underway in rows]
    found = surplus(held, count)
    assert len(set(map(id, found))) == len(found) == min(count, len(held))
    left = [one.host for one in held if one not in found]
    lost = {one.host for one in found}
    most = max((left.count(host) for host in set(left)), default=0)
    assert all(left.count(host) >= most - 1 for host in lost)


async def test_a_flood_of_connections_costs_others_none_of_theirs():
    async with Served(plain(), max_connections=130) as served:

        async def connect(host: str):
            return await asyncio.open_connection("127.0.0.1", served.port, local_addr=(host, 0))

        others = [await connect(f"127.0.1.{at + 1}") for at in range(10)]
        flood = [await connect("127.9.9.9") for _ in range(300)]
        late = await connect("127.0.1.99")
        await served.accepted(late[1])
        assert len(served.listener.connections) == 130
        for at, (reader, writer) in enumerate([*others, late]):
            writer.write(frame(id_=at))
            assert (await message(reader)).id == at
        for _, each in [*others, *flood, late]:
            each.close()
