"""secondary: a zone follows its masters, is kept while they are away, and hears only them."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from kdns.corefile.tree import ConfigError
from kdns.keeping.pour import incremental
from kdns.plugins.base import DROP, SKIP
from kdns.plugins.secondary import Secondary
from kdns.wire import names, types
from kdns.wire.message import Answer
from kdns.zone.files.changes import differing
from kdns.zone.files.zone import finish
from tests import fakes
from tests.keeping.masters import Master, serving, until, zone

NOTIFY = types.NOTIFY << 11


@asynccontextmanager
async def following(master: Master, **site):
    made = fakes.chain(f"secondary example {{\n transfer from {master.at}\n}}", Secondary, **site)
    async with fakes.at_work(made.plugins, made.site.shared) as failures:
        yield made
        assert not failures


async def said(made: fakes.Chain, name: str = "www.example") -> object:
    answer = await made.ask(name)
    if answer is SKIP or answer.rcode:
        return "SKIP" if answer is SKIP else types.rcode_name(answer.rcode)
    return [names.format_address(rdata) for rrset in answer.answer for rdata in rrset.rdatas]


def served(made: fakes.Chain) -> int | None:
    return made.plugins[0].shelf.serial(names.parse_key("example"))


async def test_a_zone_is_fetched_and_answered_from():
    async with serving(zone(1)) as master, following(master) as made:
        await until(lambda: served(made) == 1)
        assert await said(made) == ["192.0.2.1"]
        assert await said(made, "nx.example") == "NXDOMAIN"
        assert await said(made, "www.other") == "REFUSED"
        assert made.site.counters.values["kdns_zone_serial", "secondary", "example."] == 1
        answer = await made.ask("www.example")
        assert (answer.plugin, answer.flags) == ("secondary", types.AA)


async def test_before_the_first_transfer_names_are_servfail():
    async with serving(zone(1)) as master:
        master.is_away = True
        async with following(master) as made:
            await until(lambda: master.asked)
            assert await said(made) == "SERVFAIL"


async def test_a_notification_of_a_master_fetches_what_changed_and_forgets_answers():
    async with serving(zone(1)) as master, following(master) as made:
        await until(lambda: served(made) == 1)
        assert await said(made) == ["192.0.2.1"]
        made.ledger.settle()
        before = made.ledger
        master.present = zone(2)
        reply = await made.ask("example", "SOA", fakes.client("127.0.0.1"), flags=NOTIFY)
        assert isinstance(reply, Answer)
        assert (reply.rcode, reply.flags) == (0, types.AA)
        await until(lambda: served(made) == 2)
        assert not before.is_right()
        assert await said(made) == ["192.0.2.2"]


async def test_a_notification_of_anybody_else_is_not_heard():
    async with serving(zone(1)) as master, following(master) as made:
        await until(lambda: served(made) == 1)
        master.present = zone(2)
        asked = len(master.asked)
        assert await made.ask("example", "SOA", fakes.client("127.0.0.2"), flags=NOTIFY) is DROP
        elsewhere = await made.ask("www.example", "SOA", flags=NOTIFY)
        assert isinstance(elsewhere, Answer)
        assert elsewhere.rcode == types.REFUSED
        assert len(master.asked) == asked
        assert served(made) == 1


async def test_refresh_asks_for_the_serial_and_fetches_only_what_is_newer():
    async with serving(zone(5, timers="1 1 100")) as master, following(master) as made:
        await until(lambda: master.asked.count(types.SOA) >= 1)
        assert master.asked.count(types.AXFR) == 1
        master.present = zone(4, timers="1 1 100")
        count = master.asked.count(types.SOA)
        await until(lambda: master.asked.count(types.SOA) > count)
        assert served(made) == 5
        master.present = zone(6, timers="1 1 100")
        await until(lambda: served(made) == 6)
        assert types.IXFR in master.asked


async def test_a_flood_of_notifications_is_not_passed_on_to_the_masters():
    async with serving(zone(1)) as master, following(master) as made:
        await until(lambda: served(made) == 1)
        until_, master.asked[:] = asyncio.get_running_loop().time() + 0.5, []
        while asyncio.get_running_loop().time() < until_:
            await made.ask("example", "SOA", fakes.client("127.0.0.1"), flags=NOTIFY)
            await asyncio.sleep(0.001)
        await until(lambda: master.asked)
        assert len(master.asked) <= 4


async def test_a_zone_is_kept_while_the_master_is_away_until_it_expires(caplog):
    clock = fakes.Clock()
    async with serving(zone(1, timers="1 1 100")) as master, following(master, clock=clock) as made:
        await until(lambda: served(made) == 1)
        master.is_away = True
        clock.now += 99
        made.plugins[0]._replicas[names.parse_key("example")].notify()
        await until(lambda: "no master gives it" in caplog.text)
        assert await said(made) == ["192.0.2.1"]
        clock.now += 1
        made.plugins[0]._replicas[names.parse_key("example")].notify()
        await until(lambda: served(made) is None)
        assert await said(made) == "SERVFAIL"
        assert "expired" in caplog.text
        master.is_away = False
        made.plugins[0]._replicas[names.parse_key("example")].notify()
        await until(lambda: served(made) == 1)
        assert await said(made) == ["192.0.2.1"]


async def test_what_was_transferred_outlives_a_reload():
    async with serving(zone(1)) as master, following(master) as made:
        await until(lambda: served(made) == 1)
        text = f"secondary example {{\n transfer from {master.at}\n}}"
        again = fakes.chain(text, Secondary, shared={}, kept=made.site.shared)
        await again.plugins[0].start()
        await made.plugins[0].stop()
        assert await said(again) == ["192.0.2.1"]
        assert await said(made) == "REFUSED"


@pytest.mark.parametrize(
    "body",
    ["", "transfer", "transfer from", "transfer to *", "transfer from localhost", "upstream",
     "transfer from tls://127.0.0.1", "transfer from 10.0.0.0/8"],
)  # fmt: skip
def test_what_cannot_be_meant_is_an_error(body):
    with pytest.raises(ConfigError):
        fakes.chain(f"secondary {{\n{body}\n}}", Secondary)


async def test_differences_that_do_not_fit_are_made_up_for_by_the_whole_zone():
    old, other, new = zone(1), zone(2, "gone A 1.1.1.1\n"), zone(3)
    async with serving(old) as master, following(master) as made:
        await until(lambda: served(made) == 1)
        wrong = finish(differing(other, new))._replace(old=old.soa)
        plain = master.messages
        master.messages = lambda known: incremental([wrong], "test") if known else plain(known)
        master.present = new
        made.plugins[0]._replicas[names.parse_key("example")].notify()
        await until(lambda: served(made) == 3)
        assert master.asked[-2:] == [types.IXFR, types.AXFR]
        assert await said(made) == ["192.0.2.3"]
