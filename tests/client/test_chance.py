"""What an attacker would have to guess: ids and ports of queries are spread evenly (RFC 5452).

Thousands of real ones are drawn, from the system's randomness; the bounds are so wide that a fair
source fails less than once in 10^9 runs, and a counter, a fixed port or a small pool fails always.
"""

import asyncio
import itertools
from collections import Counter

import dns.message
import pytest

from kdns.client import upstream as upstreams
from kdns.client.line import Ids
from kdns.client.packets import build, mixed
from kdns.client.upstream import UDP, Keeping, Upstream
from kdns.wire import names, types
from tests import upstream as peer

ANSWER = peer.answers("a.example. 60 IN A 10.0.0.1")


def chi_square(counts: list[int]) -> float:
    """How far counts are from an even spread; about as many as there are classes when even."""
    mean = sum(counts) / len(counts)
    return sum((count - mean) ** 2 / mean for count in counts)


def assert_even(values: list[int], classes: int, what: str) -> None:
    """Each of `classes` values as often as another, within nine standard deviations."""
    found = Counter(values)
    counts = [found[at] for at in range(classes)]
    spread = (2 * (classes - 1)) ** 0.5
    assert abs(chi_square(counts) - (classes - 1)) < 9 * spread, what


def assert_random(ids: list[int]) -> None:
    """16 bits each, evenly spread, none telling the next one."""
    assert_even([id_ >> 8 for id_ in ids], 256, "the upper octet")
    assert_even([id_ & 255 for id_ in ids], 256, "the lower octet")
    pairs = itertools.pairwise(ids)
    assert_even([(after - before) >> 8 & 255 for before, after in pairs], 256, "the steps")


def test_ids_are_random():
    ids = Ids()
    assert_random([ids.next() for _ in range(100_000)])


async def test_the_ids_on_the_wire_are_random():
    packet = dns.message.make_query("a.example.", "A", id=7).to_wire()
    async with peer.Upstream(ANSWER) as server:
        up = Upstream("127.0.0.1", server.port)
        for _ in range(40):
            await asyncio.gather(*(up.ask(packet, UDP, 20) for _ in range(64)))
        up.close()
        assert_random([int.from_bytes(asked.wire[:2], "big") for asked in server.asked])


async def test_ports_are_given_back_and_drawn_anew(monkeypatch):
    """A socket serves some queries; here few, so that many ports are seen."""
    monkeypatch.setattr(upstreams, "_MOST_USES", 3)
    packet = dns.message.make_query("a.example.", "A", id=7).to_wire()
    async with peer.Upstream(ANSWER) as server:
        up = Upstream("127.0.0.1", server.port, Keeping())
        for _ in range(600):
            await up.ask(packet, UDP, 20)
        up.close()
        ports = [asked.peer[1] for asked in server.asked]
    different = list(dict.fromkeys(ports))
    assert len(different) > 150
    steps = Counter(after - before for before, after in itertools.pairwise(different))
    assert steps.most_common(1)[0][1] < len(different) / 5, "the next port can be foreseen"
    low, high = min(different), max(different)
    assert high - low > 10_000, "all ports are of one small range"
    thirds = Counter(min((port - low) * 3 // (high - low), 2) for port in different)
    assert min(thirds.values()) > len(different) / 6


async def test_the_port_of_the_next_query_is_one_of_several():
    """Who saw the port of one query does not know that of the next."""
    packet = dns.message.make_query("a.example.", "A", id=7).to_wire()
    async with peer.Upstream(ANSWER) as server:
        up = Upstream("127.0.0.1", server.port, Keeping(expire=600))
        for _ in range(400):
            await up.ask(packet, UDP, 20)
        up.close()
        ports = [asked.peer[1] for asked in server.asked][4:]
    found = list(Counter(ports))
    assert len(found) == 4
    assert_even([found.index(port) for port in ports], 4, "the sockets")
    pairs = itertools.pairwise(ports)
    follows = [found.index(before) * 4 + found.index(after) for before, after in pairs]
    assert_even(follows, 16, "one socket after another")


def test_letter_case_is_random():
    question = build(names.parse("abcdefgh.ijklmnop.example"), types.A)
    asked = (question, question[12:])
    drawn = [mixed(asked)[1] for _ in range(8000)]
    assert {each.lower() for each in drawn} == {asked[1]}
    letters = [at for at, octet in enumerate(asked[1][:-4]) if chr(octet).isalpha()]
    for at in letters:
        assert 3600 < sum(chr(each[at]).isupper() for each in drawn) < 4400
    upper = [
        sum(chr(each[at]).isupper() << bit for bit, at in enumerate(letters[:8])) for each in drawn
    ]
    assert_even(upper, 256, "eight letters together")
    packet, sent = mixed(asked)
    assert packet[12:] == sent


@pytest.mark.parametrize(
    "ids",
    [
        pytest.param([at & 0xFFFF for at in range(100_000)], id="a-counter"),
        pytest.param([at * 4099 & 0xFFFF for at in range(100_000)], id="a-stride"),
        pytest.param([Ids().next() & 0xFF7F for _ in range(3)] * 33_000, id="a-small-pool"),
    ],
)
def test_what_can_be_guessed_is_noticed(ids):
    with pytest.raises(AssertionError):
        assert_random(ids)
