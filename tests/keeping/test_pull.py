"""Transfers from a master: whole zones and differences come; what is neither is refused."""

import pytest

import kdns.keeping.pull
from kdns.keeping.pour import incremental, whole
from kdns.keeping.pull import PullError, pull
from kdns.wire import types
from kdns.wire.message import Answer, RRset
from kdns.zone.files.changes import applied, differing, records
from kdns.zone.files.zone import compiled, finish
from tests.keeping.masters import APEX, Source, serving, zone

MANY = "".join(f"host{n} A 10.0.{n >> 8}.{n & 255}\n" for n in range(2000))


def rows(one) -> set:
    return set(records(one.rrsets()))


async def test_a_zone_of_many_messages_comes_whole():
    async with serving(zone(1, MANY)) as master:
        pulled = await pull(("127.0.0.1", master.port), APEX, None)
    assert master.asked == [types.AXFR]
    assert rows(compiled(APEX, records(pulled.rrsets))) == rows(zone(1, MANY))


async def test_who_has_the_present_serial_gets_nothing():
    async with serving(zone(3)) as master:
        pulled = await pull(("127.0.0.1", master.port), APEX, zone(3))
    assert master.asked == [types.IXFR]
    assert pulled.is_current


async def test_differences_come_and_make_the_same_zone():
    old, middle, new = zone(1, "a A 1.1.1.1\n"), zone(2, "b A 1.1.1.2\n"), zone(3, "b A 1.1.1.3\n")
    steps = [finish(differing(old, middle)), finish(differing(middle, new))]
    async with serving(new) as master:
        master.messages = lambda _: incremental(steps, "test")
        pulled = await pull(("127.0.0.1", master.port), APEX, old)
    assert len(pulled.differences) == 2
    assert rows(compiled(APEX, applied(old, pulled.differences))) == rows(new)


async def test_a_master_without_differences_gives_all():
    async with serving(zone(2)) as master:
        pulled = await pull(("127.0.0.1", master.port), APEX, zone(1))
    assert not pulled.differences
    assert rows(compiled(APEX, records(pulled.rrsets))) == rows(zone(2))


def cut(serial: int):
    messages = list(whole(Source(zone(1, MANY)), APEX, "test"))
    return iter(messages[:-1])


def changed(serial: int):
    yield from list(whole(Source(zone(1, MANY)), APEX, "test"))[:-1]
    yield Answer(answer=(zone(2).soa,))


def more(serial: int):
    *first, last = whole(Source(zone(1)), APEX, "test")
    extra = RRset(APEX, types.TXT, 60, (b"\1x",))
    yield from first
    yield last.but(answer=(*last.answer, extra))


def headless(serial: int):
    yield Answer(answer=(RRset(APEX, types.TXT, 60, (b"\1x",)),))


def foreign(serial: int):
    soa = zone(1).soa
    yield Answer(answer=(RRset(b"\5other\0", types.SOA, 60, soa.rdatas),))


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        pytest.param(cut, "ended in the middle", id="cut"),
        pytest.param(changed, "changed in the middle", id="another SOA at the end"),
        pytest.param(more, "behind the closing SOA", id="more behind the end"),
        pytest.param(headless, "does not begin with an SOA", id="no SOA"),
        pytest.param(foreign, "not of the zone", id="another zone"),
        pytest.param(lambda _: iter([Answer(types.REFUSED)]), "said REFUSED", id="refused"),
        pytest.param(lambda _: iter([]), "ended in the middle", id="nothing"),
    ],
)
async def test_what_is_no_whole_zone_is_refused(messages, why):
    async with serving(zone(1)) as master:
        master.messages = messages
        with pytest.raises(PullError, match=why):
            await pull(("127.0.0.1", master.port), APEX, None)


async def test_a_master_that_never_ends_is_left_in_the_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kdns.keeping.pull, "WHOLE_S", 0.2)

    def endless(serial: int):
        yield Answer(answer=(zone(1).soa,))
        while True:
            yield Answer(answer=(RRset(b"\1a" + APEX, types.TXT, 60, (b"\1x",)),))

    async with serving(zone(1)) as master:
        master.messages = endless
        with pytest.raises(PullError, match="no end after"):
            await pull(("127.0.0.1", master.port), APEX, None)


async def test_a_master_that_is_not_there_is_named():
    async with serving(zone(1)) as master:
        port = master.port
    with pytest.raises(PullError, match=f"127.0.0.1:{port}: connection refused"):
        await pull(("127.0.0.1", port), APEX, None)
