"""transfer: whole zones and differences for those who may have them, and notifications."""

import asyncio

import pytest

from kdns.corefile.tree import ConfigError
from kdns.keeping import notify
from kdns.keeping.shelf import Held, Shelf
from kdns.plugins import transfer
from kdns.plugins.base import SKIP
from kdns.plugins.transfer import Transfer
from kdns.wire import message, names, types
from kdns.wire.encode import encode
from kdns.zone.files.changes import records
from kdns.zone.files.zone import compiled
from tests import fakes
from tests.keeping.masters import APEX, until, zone

MANY = "".join(f"host{n} A 10.0.{n >> 8}.{n & 255}\n" for n in range(2000))


async def chain(text: str, first: object = None, **site) -> tuple[fakes.Chain, Held]:
    """A block whose one source has the zone `example`."""
    made = fakes.chain(text, Transfer, **site)
    held = Held(APEX, "test", "file", made.site.stamps, made.site.counters)
    shelf = Shelf("file")
    shelf.add(held)
    made.site.beside["transfer"].append(shelf)
    await held.put(first or zone(1))
    return made, held


async def asked(made: fakes.Chain, type_: str = "AXFR", name: str = "example", **who):
    client = fakes.client(who.pop("address", "10.0.0.1"), who.pop("transport", "tcp"))
    return await made.ask(name, type_, client)


def given(answer: message.Transfer) -> list:
    """The records of all messages, in order."""
    assert type(answer) is message.Transfer
    return [one for each in answer.messages() for one in records(each.answer)]


async def test_a_zone_leaves_between_two_soas_in_messages_of_bounded_size():
    made, _ = await chain("transfer {\n to *\n}", zone(1, MANY))
    answer = await asked(made)
    found = given(answer)
    assert found[0] == found[-1]
    assert found[0].type == types.SOA
    assert [one.type for one in found].count(types.SOA) == 2
    assert set(compiled(APEX, found[:-1]).nodes) == set(zone(1, MANY).nodes)
    question = fakes.question("example", "AXFR")
    sizes = [len(encode(question, each, types.QR).wire) for each in answer.messages()]
    assert len(sizes) > 5
    assert max(sizes) < 20_000
    assert not made.ledger.keep


async def test_a_set_that_is_too_large_for_a_message_is_parted():
    large = "".join(f"many A 10.1.{n >> 8}.{n & 255}\n" for n in range(2000))
    made, _ = await chain("transfer {\n to *\n}", zone(1, large))
    answer = await asked(made)
    assert len(given(answer)) == 2005
    assert max(sum(len(one.rdatas) for one in each.answer) for each in answer.messages()) <= 300


async def test_a_zone_that_changes_on_the_way_leaves_as_it_was():
    made, held = await chain("transfer {\n to *\n}", zone(1, MANY))
    messages = (await asked(made)).messages()
    first = next(messages)
    await held.put(zone(2))
    rest = [one for each in messages for one in records(each.answer)]
    assert rest[-1] == next(records(first.answer))
    assert len(rest) > 1000


@pytest.mark.parametrize(
    ("text", "address", "is_given"),
    [
        pytest.param("transfer {\n to *\n}", "10.0.0.1", True, id="anyone"),
        pytest.param("transfer {\n to 10.0.0.1\n}", "10.0.0.1", True, id="an address"),
        pytest.param("transfer {\n to 10.0.0.1:5300\n}", "10.0.0.1", True, id="with a port"),
        pytest.param("transfer {\n to 10.0.0.2\n}", "10.0.0.1", False, id="another address"),
        pytest.param("transfer {\n to 10.0.0.2\n to ::1\n}", "::1", True, id="two lines"),
        pytest.param(
            "transfer . {\n to *\n}\ntransfer example {\n to ::1\n}", "10.0.0.1", False,
            id="the longest zone decides",
        ),
        pytest.param(
            "transfer x.example {\n to ::1\n}\ntransfer {\n to *\n}", "10.0.0.1", True,
            id="a zone below does not",
        ),
    ],
)  # fmt: skip
async def test_only_those_named_may_have_it(text, address, is_given):
    made, _ = await chain(text)
    answer = await asked(made, address=address)
    if is_given:
        assert len(given(answer)) == 5
    else:
        assert answer.rcode == types.REFUSED
    assert made.ledger.is_personal, "no other asker may get this"


async def test_what_is_not_here_goes_to_the_next_plugin():
    made, _ = await chain("transfer example {\n to *\n}")
    assert await asked(made, name="www.example") is SKIP
    assert await asked(made, name="other") is SKIP
    assert await asked(made, "A") is SKIP


async def test_a_zone_without_data_is_servfail():
    made, held = await chain("transfer {\n to *\n}")
    await held.put(None)
    assert (await asked(made)).rcode == types.SERVFAIL


async def test_datagrams_carry_no_transfer():
    made, _ = await chain("transfer {\n to *\n}")
    assert (await asked(made, transport="udp")).rcode == types.REFUSED
    answer = await asked(made, "IXFR", transport="udp")
    assert [one.type for one in answer.answer] == [types.SOA]


def ixfr(serial: int) -> bytes:
    soa = zone(serial).soa.rdatas[0]
    fixed = b"\xc0\x0c\0\6\0\1\0\0\0\0" + len(soa).to_bytes(2, "big")
    return b"\0\1\0\0\0\1\0\0\0\1\0\0" + APEX + b"\0\xfb\0\1" + fixed + soa


async def incremental(made: fakes.Chain, serial: int):
    from kdns.plugins.query import Ledger, Query  # noqa: PLC0415
    from kdns.wire.scan import scan  # noqa: PLC0415

    packet = ixfr(serial)
    ledger = Ledger(made.site.stamps, made.route, [], [], packet)
    query = Query.of(scan(packet), fakes.client("10.0.0.1", "tcp"), 1.0, ledger)
    return made.plugins[0].at_once(query)


async def test_ixfr_gives_nothing_differences_or_all():
    made, held = await chain("transfer {\n to *\n}", zone(2, "a A 1.1.1.1\n"))
    await held.put(zone(3, "b A 1.1.1.2\n"))
    await held.put(zone(4, "b A 1.1.1.3\n"))
    for serial in (4, 5):
        answer = await incremental(made, serial)
        assert [one.type for one in answer.answer] == [types.SOA]
    found = given(await incremental(made, 2))
    serials = [int.from_bytes(one.rdata[-20:-16], "big") for one in found if one.type == types.SOA]
    assert serials == [4, 2, 3, 3, 4, 4]
    assert len(given(await incremental(made, 1))) == 6


async def test_a_zone_that_changed_by_much_leaves_whole():
    made, held = await chain("transfer {\n to *\n}", zone(2))
    many = "".join(f"host{n} A 10.0.{n >> 8}.{n & 255}\n" for n in range(6000))
    await held.put(zone(3, many))
    assert len(given(await incremental(made, 2))) == 6005


class Receiver(asyncio.DatagramProtocol):
    """A secondary that answers the second time it is told."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, packet: bytes, peer) -> None:
        self.heard.append(packet)
        if len(self.heard) > 1:
            self.transport.sendto(packet[:2] + b"\xa4\0" + packet[4:], peer)


async def test_others_are_told_of_a_change_until_they_answer(monkeypatch):
    monkeypatch.setattr(notify, "PATIENCE_S", 0.05)
    monkeypatch.setattr(notify, "TOGETHER_S", 0.01)
    loop = asyncio.get_running_loop()
    transport, receiver = await loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    made, held = await chain(f"transfer {{\n to * 127.0.0.1:{port}\n source 127.0.0.1\n}}")
    async with fakes.at_work(made.plugins, {}):
        await until(lambda: len(receiver.heard) == 2)
        await held.put(zone(2))
        await until(lambda: len(receiver.heard) == 3)
    transport.close()
    for packet in receiver.heard:
        assert packet[2:12] == b"\x24\0\0\1\0\0\0\0\0\0"
        assert packet[12:] == names.parse("example") + b"\0\6\0\1"
    assert len(held.on_change) == 1


class Cluster:
    """Zones whose serial moves without a word."""

    zones = (names.parse_key("cluster.local"), names.parse_key("unsynced.example"))

    def __init__(self) -> None:
        self.at: int | None = 1
        self.on_change: list[object] = []

    def serial(self, zone) -> int | None:
        return self.at if zone == self.zones[0] else None

    def records(self, zone):
        return iter(())


async def test_others_are_told_of_the_cluster_though_nobody_says_that_it_changed(
    monkeypatch, caplog
):
    monkeypatch.setattr(notify, "TOGETHER_S", 0.01)
    monkeypatch.setattr(transfer, "LOOK_S", 0.05)
    loop = asyncio.get_running_loop()
    transport, receiver = await loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
    receiver.heard.append(b"")  # answers from the first
    port = transport.get_extra_info("sockname")[1]
    made = fakes.chain(f"transfer {{\n to 127.0.0.1:{port}\n}}", Transfer)
    cluster = Cluster()
    made.site.beside["transfer"].append(cluster)
    async with fakes.at_work(made.plugins, {}):
        await until(lambda: len(receiver.heard) == 2)
        await asyncio.sleep(0.2)
        assert len(receiver.heard) == 2, "it did not change"
        cluster.at = 2
        await until(lambda: len(receiver.heard) == 3)
        await asyncio.sleep(0.2)
        assert len(receiver.heard) == 3
    transport.close()
    assert not caplog.records


@pytest.mark.parametrize(
    "body",
    ["", "to", "to localhost", "to 10.0.0.0/8", "to tls://127.0.0.1", "source 127.0.0.1",
     "to *\nsource", "to *\nsource x", "to *\nsource ::1 ::1", "to *\nsource ::1\nsource ::1", "from ::1"],
)  # fmt: skip
def test_what_cannot_be_meant_is_an_error(body):
    with pytest.raises(ConfigError):
        fakes.chain(f"transfer {{\n{body}\n}}", Transfer)
