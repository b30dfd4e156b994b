"""cache: what is kept, for how long, who gets it, and what makes it wrong. The clock stands still."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest

from kdns.client.shelf import LEAST_CAPACITY, Entry, Shelf, size_of
from kdns.corefile.tree import ConfigError
from kdns.plugins.acl import Acl
from kdns.plugins.base import DROP, SKIP, Backend, Ledger, Query, waiting
from kdns.plugins.cache import Cache
from kdns.plugins.template import Template
from kdns.wire import names, records, types
from kdns.wire.classify import DENIAL, SUCCESS
from kdns.wire.message import Answer, RRset
from tests.fakes import Chain, chain, client, question

EXAMPLE = names.parse_key("example")


def rr(type_: str, ttl: int, rdata: bytes = b"\0", owner: str = "a.example") -> RRset:
    return RRset(names.parse_key(owner), types.parse_type(type_), ttl, (rdata,))


def a(ttl: int = 60, address: str = "10.0.0.1") -> RRset:
    return rr("A", ttl, records.address(address))


def soa(ttl: int = 30) -> RRset:
    return rr("SOA", ttl, records.soa(EXAMPLE, EXAMPLE, 1, (2, 3, 4), 5), "example")


NS = rr("NS", 60, EXAMPLE, "example")
CNAME = rr("CNAME", 60, names.parse_key("b.example"))
TXT = rr("TXT", 60, b"\1x", "example")


@dataclass
class Script:
    """What stands behind the cache, as the test says at the moment."""

    answer: Answer | None = None
    asked: list[Query] = field(default_factory=list)
    gate: asyncio.Event | None = None
    keys: tuple[str, ...] = ()
    until: float | None = None
    reads: str = ""


class Behind(Backend):
    name = "whoami"
    script: Script

    async def answer(self, query: Query):
        script = self.script
        script.asked.append(query)
        for key in script.keys:
            query.touch(key)
        answer = script.answer
        if script.gate is not None:
            await script.gate.wait()
        if script.until is not None:
            query.until(script.until)
        if script.reads == "client":
            query.reads_client()
        if script.reads == "class":
            query.reads_class(self)
        query.forget()
        return SKIP if answer is None else answer

    def classify(self, address: bytes) -> int:
        return address[0]


class Asking:
    """A cache before a script, and the clock."""

    def __init__(self, directive: str = "cache", **changes) -> None:
        self.chain: Chain = chain(f"{directive}\nwhoami", Cache, Behind, **changes)
        self.cache: Cache = self.chain.plugins[0]
        self.script = self.chain.plugins[1].script = Script(Answer(answer=(a(),)))

    def later(self, seconds: float) -> None:
        self.chain.site.clock.now += seconds

    def says(self, *answer: RRset, **more) -> None:
        self.script.answer = Answer(answer=answer, **more)

    async def ask(self, name: str = "a.example", type_: str = "A", **q):
        return await self.chain.ask(name, type_, **q)

    async def ttl(self, name: str = "a.example", type_: str = "A", **q) -> int:
        """The one TTL of all records of the reply, as dnspython reads it."""
        got = await self.chain.dig(name, type_, **q)
        (ttl,) = {rrset.ttl for section in got.sections[1:] for rrset in section}
        return ttl

    def count(self, metric: str, kind: str = "") -> int:
        labels = ("dns://:53", kind, ".", "") if kind else ("dns://:53", ".", "")
        return self.chain.site.counters.values[(f"coredns_cache_{metric}", *labels)]


async def test_it_counts_under_the_name_of_the_view():
    asking = Asking()
    asking.chain.site.beside["view"] = "inside"  # by `view`, which is built after it
    await asking.ask()
    labels = ("coredns_cache_requests_total", "dns://:53", ".", "inside")
    assert asking.chain.site.counters.values[labels] == 1


# Hits and TTLs


async def test_the_second_time_is_a_hit():
    asking = Asking()
    first = await asking.chain.dig("a.example")
    second = await asking.chain.dig("a.example")
    assert first.to_wire() == second.to_wire()
    assert len(asking.script.asked) == 1
    assert asking.count("requests_total") == 2
    assert asking.count("misses_total") == 1
    assert asking.count("hits_total", SUCCESS) == 1


@pytest.mark.parametrize(
    ("directive", "answer", "expected"),
    [
        ("cache", {"answer": (a(60),)}, 60),
        ("cache", {"answer": (a(1),)}, 5),
        ("cache", {"answer": (a(0),)}, 5),
        ("cache", {"answer": (a(99999),)}, 3600),
        ("cache 30", {"answer": (a(99999),)}, 30),
        ("cache 3", {"answer": (a(1),)}, 3),
        ("cache", {"answer": (a(60),), "authority": (NS,), "additional": (a(20),)}, 20),
        ("cache", {"authority": (soa(9),), "rcode": 3}, 9),
        ("cache", {"authority": (soa(9999),), "rcode": 3}, 1800),
        ("cache 30", {"authority": (soa(9999),), "rcode": 3}, 30),
        ("cache", {"authority": (soa(50),)}, 50),
        ("cache", {"answer": (CNAME,), "authority": (soa(50),)}, 50),
        ("cache", {"authority": (NS,), "additional": (a(70),)}, 5),
        ("cache", {"additional": (a(70),)}, 70),
        ("cache", {"answer": (a(60),), "rcode": 2}, 5),
        ("cache {\nservfail 30s\n}", {"answer": (a(60),), "rcode": 2}, 30),
        ("cache {\nsuccess 1000 20 10\n}", {"answer": (a(60),)}, 20),
        ("cache {\nsuccess 1000 20 10\n}", {"answer": (a(1),)}, 10),
        ("cache {\ndenial 1000 15 12\n}", {"authority": (soa(1),), "rcode": 3}, 12),
        ("cache {\ndenial 1000 15\n}", {"answer": (CNAME,), "authority": (soa(50),)}, 15),
        ("cache {\ndenial 1000 15\n}", {"answer": (a(60),), "authority": (soa(50),)}, 50),
        ("cache 40 {\nsuccess 1000\n}", {"answer": (a(60),)}, 40),
        ("cache 40 {\nsuccess 1000 50\n}", {"answer": (a(60),)}, 50),
    ],
)
async def test_one_ttl_for_all_records_on_misses_and_hits(directive, answer, expected):
    asking = Asking(directive)
    asking.script.answer = Answer(**answer)
    assert await asking.ttl() == expected
    assert await asking.ttl() == expected
    assert len(asking.script.asked) == 1
    asking.later(expected - 1)
    assert await asking.ttl() == 1
    asking.later(1)
    assert await asking.ttl() == expected
    assert len(asking.script.asked) == 2


@pytest.mark.parametrize(
    ("answer", "ttl"),
    [
        pytest.param({"rcode": 3, "authority": (NS,)}, 5, id="NXDOMAIN-without-SOA"),
        pytest.param(
            {"rcode": 3, "answer": (CNAME,), "authority": (soa(),)}, 5, id="NXDOMAIN-CNAME"
        ),
        pytest.param({"answer": (CNAME,)}, 60, id="CNAME-to-nothing"),
        pytest.param({"answer": (a(1),), "flags": types.TC}, 5, id="truncated"),
        pytest.param({"answer": (a(1),), "rcode": 5}, 5, id="REFUSED"),
        pytest.param({"answer": (a(9),), "rcode": 1}, 5, id="FORMERR"),
    ],
)
async def test_what_is_not_kept_has_its_ttl_bounded_all_the_same(answer, ttl):
    asking = Asking()
    asking.script.answer = Answer(**answer)
    for _ in range(2):
        assert await asking.ttl() == ttl
    assert len(asking.script.asked) == 2


@pytest.mark.parametrize(
    ("directive", "ttl"),
    [("cache 1", 1), ("cache {\nsuccess 1000 60 10\ndenial 1000 20 1\n}", 10)],
)
async def test_what_is_not_kept_stays_within_the_bounds_of_success(directive, ttl):
    asking = Asking(directive)
    asking.script.answer = Answer(rcode=3, answer=(CNAME,), authority=(soa(),))
    assert await asking.ttl() == ttl


@pytest.mark.parametrize("type_", ["AXFR", "IXFR"])
async def test_transfers_are_not_kept(type_):
    asking = Asking()
    for _ in range(2):
        assert await asking.ttl("a.example", type_) == 5
    assert len(asking.script.asked) == 2


async def test_other_opcodes_and_zones_pass_untouched():
    asking = Asking("cache 30 example.org")
    for _ in range(2):
        assert await asking.ttl() == 60
    asking = Asking()
    for _ in range(2):
        assert await asking.ttl("a.example", flags=4 << 11) == 60
    assert len(asking.script.asked) == 2


async def test_skip_and_drop_pass():
    asking = Asking()
    asking.script.answer = None
    assert await asking.ask() is SKIP
    asking.script.answer = DROP
    assert await asking.ask() is DROP


async def test_a_ttl_of_zero_is_kept_for_no_time():
    asking = Asking("cache {\nsuccess 1000 60 0\n}")
    asking.says(a(0))
    for _ in range(2):
        assert await asking.ttl() == 0
    assert len(asking.script.asked) == 2


async def test_keepttl_does_not_count_down():
    asking = Asking("cache {\nkeepttl\n}")
    for _ in range(2):
        assert await asking.ttl() == 60
        asking.later(59)
    asking.later(2)
    await asking.ttl()
    assert len(asking.script.asked) == 2


@pytest.mark.parametrize(
    ("disabled", "success", "denial"),
    [
        ("success", 2, 1),
        ("denial", 1, 2),
        ("success example", 2, 1),
        ("success example.org", 1, 1),
        ("denial other example", 1, 2),
        ("success\ndisable denial", 2, 2),
    ],
)
async def test_disable(disabled, success, denial):
    asking = Asking(f"cache {{\ndisable {disabled}\n}}")
    asking.says(a(1))
    for _ in range(2):
        assert await asking.ttl() == 5
    assert len(asking.script.asked) == success
    asking = Asking(f"cache {{\ndisable {disabled}\n}}")
    asking.says(authority=(soa(1),), rcode=types.NXDOMAIN)
    for _ in range(2):
        assert await asking.ttl() == 5
    assert len(asking.script.asked) == denial


# Who gets what


@pytest.mark.parametrize(
    ("first", "second", "asked"),
    [
        ({}, {"name": "A.ExamPle"}, 1),
        ({}, {"who": client("10.9.9.9")}, 1),
        ({}, {"has_opt": True}, 1),
        ({}, {"flags": 0}, 1),
        ({}, {"flags": types.RD | types.AD}, 1),
        ({}, {"type_": "AAAA"}, 2),
        ({}, {"name": "b.example"}, 2),
        ({}, {"cls": 3}, 2),
        ({}, {"has_opt": True, "do": True}, 2),
        ({}, {"flags": types.RD | types.CD}, 2),
    ],
)
@pytest.mark.parametrize("swapped", [False, True], ids=["", "swapped"])
async def test_two_askers_share_an_answer_when_their_questions_are_the_same(
    first, second, asked, swapped
):
    asking = Asking()
    for q in (second, first) if swapped else (first, second):
        await asking.ask(**q)
    assert len(asking.script.asked) == asked


async def test_the_reply_has_the_letter_case_of_each_asker():
    asking = Asking()
    for name in ("a.example.", "A.Example.", "a.EXAMPLE."):
        got = await asking.chain.dig(name)
        assert got.answer[0].name.to_text() == name
    assert len(asking.script.asked) == 1


@pytest.mark.parametrize("order", [("plain", "ad"), ("ad", "plain")], ids="-".join)
async def test_ad_is_for_those_who_ask_for_it(order):
    asking = Asking()
    asking.says(a(), flags=types.AD | types.AA | types.RA)
    flags = {"plain": types.RD, "ad": types.RD | types.AD}
    for who in order * 2:
        answer = await asking.ask(flags=flags[who])
        assert bool(answer.flags & types.AD) == (who == "ad")
        assert answer.flags & types.AA
        assert answer.flags & types.RA
    assert (await asking.ask(has_opt=True, do=True)).flags & types.AD


async def test_edns_options_are_not_kept_and_extended_errors_are():
    asking = Asking()
    asking.says(a(), options=b"\0\3\0\1x", ede=((17, "no"),))
    for _ in range(2):
        answer = await asking.ask(has_opt=True)
        assert (answer.options, answer.ede) == (b"", ((17, "no"),))


@pytest.mark.parametrize("reads", ["client", "class"])
async def test_what_was_made_for_one_asker_is_not_for_others(reads):
    asking = Asking()
    asking.script.reads = reads
    for who in ("10.0.0.1", "10.0.0.2"):
        await asking.ask(who=client(who))
    assert len(asking.script.asked) == 2


async def test_what_was_read_of_the_asker_before_the_cache_does_not_matter():
    asking = Asking()
    site = asking.chain.site
    for _ in range(2):
        ledger = Ledger(site.stamps, asking.chain.route)
        query = Query.of(question("a.example"), client(), site.clock(), ledger)
        query.reads_client()
        await waiting(lambda q: asking.cache.at_once(q, asking.chain.plugins[1].at_once))(query)
        assert ledger.is_personal
    assert len(asking.script.asked) == 1


async def test_signatures_that_are_not_valid_now_are_not_kept_under_do():
    def signed(start: int, end: int) -> RRset:
        head = b"\0\1\x08\x02\0\0\0\x3c" + end.to_bytes(4, "big") + start.to_bytes(4, "big")
        return rr("RRSIG", 60, head + b"\0\1" + EXAMPLE + b"sig")

    for start, end, do, asked in (
        (0, 2000, True, 1),
        (0, 999, True, 2),
        (1001, 2000, True, 2),
        (0, 999, False, 1),
    ):
        asking = Asking()
        asking.says(a(), signed(start, end))
        for _ in range(2):
            await asking.ask(has_opt=True, do=do)
        assert len(asking.script.asked) == asked


# Facts


async def test_live_answers_pass_untouched():
    asking = Asking("cache 5 {\nserve_stale\nprefetch 1\n}")
    asking.says(a(600), live=True, options=b"\0\3\0\0")
    for _ in range(2):
        answer = await asking.ask()
        assert answer is asking.script.answer
    assert len(asking.script.asked) == 2
    assert (asking.cache.size(SUCCESS), asking.cache.size(DENIAL)) == (0, 0)


async def test_an_entry_whose_facts_changed_is_a_miss():
    asking = Asking("cache {\nserve_stale\n}")
    asking.script.keys = ("hosts", "other")
    await asking.ask()
    asking.chain.site.stamps.bump(["unrelated"])
    await asking.ask()
    assert len(asking.script.asked) == 1
    asking.chain.site.stamps.bump(["other"])
    asking.says(a(60, "10.0.0.2"))
    assert (await asking.ask()).answer[0].rdatas == (records.address("10.0.0.2"),)
    assert asking.cache.size(SUCCESS) == 1


async def test_a_change_while_the_answer_was_made_keeps_it_out():
    asking = Asking()
    asking.script.keys = ("hosts",)
    asking.script.gate = asyncio.Event()
    first = asyncio.ensure_future(asking.ask())
    while not asking.script.asked:
        await asyncio.sleep(0)
    asking.chain.site.stamps.bump(["hosts"])
    asking.script.gate.set()
    await first
    await asking.ask()
    assert len(asking.script.asked) == 2


async def test_a_hit_tells_the_answer_table_what_it_must_know():
    asking = Asking()
    asking.chain.site.stamps.bump(["hosts"])
    asking.script.keys = ("hosts", "other")
    await asking.ask()
    assert not asking.chain.ledger.keep
    missed = asking.chain.ledger
    asking.later(10)
    answer = await asking.ask()
    ledger = asking.chain.ledger
    assert ledger.keep
    assert ledger.until == 1060
    assert (ledger.touched, ledger.mark) == (missed.touched, missed.mark)
    assert ledger.is_right()
    asking.chain.site.stamps.bump(["hosts"])
    assert not ledger.is_right()
    assert answer.aging == (1000, 60)
    assert answer.plugin == "cache"


async def test_an_answer_ends_when_what_it_was_made_of_ends():
    asking = Asking()
    asking.script.until = 1020
    await asking.ask()
    asking.later(19)
    await asking.ask()
    assert asking.chain.ledger.until == 1020
    asking.later(1)
    await asking.ask()
    assert len(asking.script.asked) == 2


async def test_an_entry_outlives_what_the_rest_of_the_query_was_made_of():
    asking = Asking()
    site = asking.chain.site
    ledger = Ledger(site.stamps, asking.chain.route)
    query = Query.of(question("a.example"), client(), site.clock(), ledger)
    query.until(1010)
    await waiting(lambda q: asking.cache.at_once(q, asking.chain.plugins[1].at_once))(query)
    assert ledger.until == 1010
    await asking.ask()
    assert asking.chain.ledger.until == 1060


async def test_hits_of_the_answer_table_are_counted():
    asking = Asking()
    await asking.ask()
    await asking.ask()
    asking.chain.ledger.credits[0].hits += 41
    await asking.ask()
    assert asking.count("hits_total", SUCCESS) == 43
    assert asking.count("requests_total") == 44


# Failures


async def test_a_failure_without_a_reply_is_kept_and_the_first_asker_is_told_why():
    asking = Asking()
    asking.says(rcode=types.SERVFAIL, error="i/o timeout")
    assert (await asking.ask()).error == "i/o timeout"
    assert await asking.ask() == Answer(rcode=types.SERVFAIL, plugin="cache", aging=(1000, 5))
    asking.later(5)
    assert (await asking.ask()).error == "i/o timeout"
    assert len(asking.script.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [{"rcode": types.SERVFAIL}, {"rcode": types.SERVFAIL, "error": "x"}, {"rcode": types.NOTIMP}],
)
async def test_servfail_0_keeps_no_failures(answer):
    asking = Asking("cache {\nservfail 0\n}")
    asking.says(**answer)
    for _ in range(2):
        await asking.ask()
    assert len(asking.script.asked) == 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["failure-first", "answer-first"])
async def test_of_two_replies_at_once_the_answer_is_preferred_to_the_failure(order):
    asking = Asking()
    gates = asyncio.Event(), asyncio.Event()
    replies = Answer(rcode=types.SERVFAIL), Answer(answer=(a(),))
    waiting = []
    for reply, gate in zip(replies, gates, strict=True):
        asking.script.answer, asking.script.gate = reply, gate
        waiting.append(asyncio.ensure_future(asking.ask()))
        await asyncio.sleep(0)
    for number in order:
        gates[number].set()
        await waiting[number]
    assert await asking.ttl() == 60
    assert len(asking.script.asked) == 2


async def test_a_refusal_of_ours_is_not_kept():
    asking = Asking()
    asking.says(rcode=types.REFUSED, error="concurrent queries exceeded maximum 1")
    for _ in range(2):
        await asking.ask()
    assert len(asking.script.asked) == 2


# Prefetch and stale answers


class Refreshing(Asking):
    """Asking, with the cache's background work running."""

    async def __aenter__(self):
        self.work = [asyncio.ensure_future(work) for work in self.cache.tasks()]
        return self

    async def __aexit__(self, *_):
        for task in self.work:
            task.cancel()
        await asyncio.gather(*self.work, return_exceptions=True)

    async def settle(self) -> None:
        """Lets the background come to rest."""
        for _ in range(8):
            await asyncio.sleep(0)

    async def got(self) -> str:
        answer = await self.ask()
        await self.settle()
        if answer.rcode or not answer.answer:
            return types.rcode_name(answer.rcode)
        ttl = answer.answer[0].ttl if answer.aging is None else await self.left(answer)
        return f"{names.format_address(answer.answer[0].rdatas[0])} {ttl}"

    async def left(self, answer: Answer) -> int:
        stored, ttl = answer.aging
        return ttl - int(self.chain.site.clock() - stored)


def prefetching(options: str = "prefetch 2 1m 10%") -> Refreshing:
    return Refreshing(f"cache {{\n{options}\n}}")


async def test_a_popular_entry_is_refreshed_at_its_end():
    async with prefetching() as asking:
        await asking.got()
        asking.later(53)
        await asking.got()
        assert len(asking.script.asked) == 1
        asking.says(a(60, "10.0.0.2"))
        asking.later(1)
        assert await asking.got() == "10.0.0.1 6"
        assert len(asking.script.asked) == 2
        assert await asking.got() == "10.0.0.2 60"
        assert asking.count("prefetch_total") == 1


async def test_an_unpopular_entry_is_not_refreshed():
    async with prefetching() as asking:
        await asking.got()
        asking.later(54)
        await asking.got()
        assert len(asking.script.asked) == 1


async def test_a_gap_makes_an_entry_unpopular():
    async with prefetching("prefetch 2 10s") as asking:
        await asking.got()
        await asking.got()
        asking.later(54)
        await asking.got()
        assert len(asking.script.asked) == 1
        await asking.got()
        assert len(asking.script.asked) == 2


async def test_hits_of_the_answer_table_make_an_entry_popular():
    async with prefetching("prefetch 10 10s") as asking:
        await asking.got()
        await asking.got()
        asking.chain.ledger.credits[0].hits += 9
        asking.later(54)
        await asking.got()
        assert len(asking.script.asked) == 2


async def test_the_answer_table_asks_again_when_an_entry_may_be_refreshed():
    async with prefetching() as asking:
        await asking.got()
        await asking.got()
        assert asking.chain.ledger.until == 1054
        asking.script.answer = Answer(rcode=types.REFUSED)
        asking.later(55)
        await asking.ask()
        assert not asking.chain.ledger.keep
        await asking.settle()


async def test_popularity_outlives_a_refresh():
    async with prefetching() as asking:
        for _ in range(3):
            await asking.got()
        for _ in range(3):
            asking.later(55)
            await asking.got()
        assert len(asking.script.asked) == 4


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(rcode=types.SERVFAIL), id="SERVFAIL"),
        pytest.param(Answer(rcode=types.SERVFAIL, error="x"), id="error"),
        pytest.param(Answer(rcode=types.REFUSED), id="REFUSED"),
        pytest.param(Answer(answer=(a(),), flags=types.TC), id="truncated"),
        pytest.param(None, id="SKIP"),
    ],
)
async def test_a_refresh_that_fails_changes_nothing(answer):
    async with prefetching() as asking:
        for _ in range(2):
            await asking.got()
        asking.script.answer = answer
        asking.later(55)
        assert await asking.got() == "10.0.0.1 5"
        assert await asking.got() == "10.0.0.1 5"


async def test_one_refresh_at_a_time():
    async with prefetching() as asking:
        for _ in range(2):
            await asking.got()
        asking.script.gate = asyncio.Event()
        asking.later(55)
        for _ in range(5):
            await asking.got()
        assert len(asking.script.asked) == 2
        asking.script.gate.set()
        await asking.settle()
        assert await asking.got() == "10.0.0.1 60"


async def test_a_refresh_that_breaks_is_logged_and_the_cache_lives_on(caplog):
    async with prefetching() as asking:
        for _ in range(2):
            await asking.got()
        asking.script.keys = ([],)  # not hashable: touching it raises
        asking.later(55)
        await asking.got()
        assert "background work failed" in caplog.text
        asking.script.keys = ()
        await asking.got()
        assert await asking.got() == "10.0.0.1 60"


def stale(options: str = "serve_stale 1h") -> Refreshing:
    return Refreshing(f"cache {{\nservfail 1s\n{options}\n}}")


async def test_immediate_gives_the_old_answer_and_asks_behind_its_back():
    async with stale() as asking:
        await asking.got()
        asking.says(a(60, "10.0.0.2"))
        asking.later(61)
        assert await asking.got() == "10.0.0.1 0"
        assert not asking.chain.ledger.keep
        assert await asking.got() == "10.0.0.2 60"
        assert asking.count("served_stale_total") == 1


async def test_a_stale_answer_outlives_failing_upstreams_but_not_its_time():
    async with stale("serve_stale 100s") as asking:
        await asking.got()
        asking.says(rcode=types.SERVFAIL, error="i/o timeout")
        asking.later(159)
        for _ in range(3):
            assert await asking.got() == "10.0.0.1 0"
        assert len(asking.script.asked) == 4
        asking.later(1)
        assert await asking.got() == "SERVFAIL"


async def test_news_of_a_name_that_is_gone_ends_a_stale_answer():
    async with stale() as asking:
        await asking.got()
        asking.says(authority=(soa(60),), rcode=types.NXDOMAIN)
        asking.later(61)
        assert await asking.got() == "10.0.0.1 0"
        assert await asking.got() == "NXDOMAIN"
        asking.says(rcode=types.SERVFAIL)
        asking.later(61)
        assert await asking.got() == "NXDOMAIN"


async def test_of_a_stale_denial_and_a_stale_answer_the_newer_one_is_given():
    async with stale() as asking:
        asking.says(authority=(soa(60),), rcode=types.NXDOMAIN)
        await asking.got()
        asking.says(a())
        asking.later(61)
        assert await asking.got() == "NXDOMAIN"
        assert await asking.got() == "10.0.0.1 60"
        asking.says(rcode=types.SERVFAIL)
        asking.later(61)
        assert await asking.got() == "10.0.0.1 0"


async def test_prefer_positive_keeps_the_stale_answer():
    async with stale("serve_stale\nserve_stale_policy prefer_positive") as asking:
        await asking.got()
        asking.says(authority=(soa(60),), rcode=types.NXDOMAIN)
        asking.later(61)
        for _ in range(3):
            assert await asking.got() == "10.0.0.1 0"
        asking.says(a(60, "10.0.0.2"))
        await asking.got()
        assert await asking.got() == "10.0.0.2 60"


async def test_failures_are_never_served_stale():
    async with stale() as asking:
        asking.says(rcode=types.SERVFAIL)
        assert await asking.got() == "SERVFAIL"
        asking.says(a())
        asking.later(1)
        assert await asking.got() == "10.0.0.1 60"


async def test_ttl_and_recheck_of_stale_answers():
    async with stale("serve_stale 1h immediate 7s 10s") as asking:
        await asking.got()
        asking.says(rcode=types.SERVFAIL)
        asking.later(61)
        for _ in range(3):
            assert await asking.got() == "10.0.0.1 7"
        assert len(asking.script.asked) == 2
        asking.later(10)
        await asking.got()
        assert len(asking.script.asked) == 3


async def test_keepttl_holds_for_stale_answers_too():
    async with stale("serve_stale\nkeepttl") as asking:
        await asking.got()
        asking.later(61)
        assert await asking.got() == "10.0.0.1 60"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answer(answer=(a(60, "10.0.0.2"),)), "10.0.0.2 60", id="answer"),
        pytest.param(Answer(authority=(soa(),)), "NOERROR", id="NODATA"),
        pytest.param(Answer(authority=(soa(),), rcode=3), "NXDOMAIN", id="NXDOMAIN"),
        pytest.param(Answer(rcode=3), "NXDOMAIN", id="NXDOMAIN-without-SOA"),
        pytest.param(Answer(rcode=2), "10.0.0.1 0", id="SERVFAIL"),
        pytest.param(Answer(rcode=5), "10.0.0.1 0", id="REFUSED"),
        pytest.param(Answer(answer=(a(),), flags=types.TC), "10.0.0.1 0", id="truncated"),
        pytest.param(None, "10.0.0.1 0", id="SKIP"),
    ],
)
@pytest.mark.parametrize("options", ["", " 0s 0s 5s"], ids=["each", "one"])
async def test_verify_asks_first(options, answer, expected):
    async with stale(f"serve_stale 1h verify{options}") as asking:
        await asking.got()
        asking.script.answer = answer
        asking.later(61)
        assert await asking.got() == expected
        assert len(asking.script.asked) == 2


async def test_verify_with_a_time_out_gives_the_stale_answer_then():
    async with stale("serve_stale 1h verify 5ms") as asking:
        await asking.got()
        asking.script.gate = asyncio.Event()
        asking.says(a(60, "10.0.0.2"))
        asking.later(61)
        assert await asking.got() == "10.0.0.1 0"
        assert await asking.got() == "10.0.0.1 0"
        assert len(asking.script.asked) == 2
        asking.script.gate.set()
        await asking.settle()
        assert await asking.got() == "10.0.0.2 60"


async def test_without_refreshes_there_is_no_background_work():
    assert Asking().cache.tasks() == ()


# Bounds


async def test_a_flood_of_names_leaves_the_cache_as_large_as_it_is():
    asking = Asking("cache {\nsuccess 1300\n}")
    await asking.ask("kept.example")
    for number in range(4000):
        await asking.ask(f"n{number}.example")
        if not number % 500:
            await asking.ask("kept.example")
    assert asking.cache.size(SUCCESS) == 1280
    assert asking.count("entries", SUCCESS) == 1280
    assert asking.count("evictions_total", SUCCESS) == 4001 - 1280
    before = len(asking.script.asked)
    await asking.ask("kept.example")
    assert len(asking.script.asked) == before


def _entry(name: str, octets: int) -> Entry:
    key = (names.parse_key(name), types.TXT, types.IN, False, True)
    answer = Answer(answer=(rr("TXT", 60, b"x" * octets),))
    return Entry(key, SUCCESS, answer, 0.0, 60, 60.0, (), 0, size_of(answer), 0.0, 0.0)


def test_long_answers_leave_room_for_fewer():
    shelf = Shelf(SUCCESS, 0, Counter(), lambda *words: words)
    for number in range(200):
        shelf.put(_entry(f"n{number}.example", 60_000))
    assert len(shelf.entries) < LEAST_CAPACITY * 2048 / 60_000 + 1
    assert shelf.size <= LEAST_CAPACITY * 2048
    for number in range(200):
        shelf.drop(_entry(f"n{number}.example", 0).key)
    assert (len(shelf.entries), shelf.size) == (0, 0)


# What the Corefile says


@pytest.mark.parametrize(
    ("directive", "why"),
    [
        ("cache 0", "a TTL of at least 1, found 0"),
        ("cache -1", "a TTL of at least 1, found -1"),
        ("cache a..b", "expected a zone"),
        ("cache {\nsuccess\n}", "success: expected a whole number"),
        ("cache {\nsuccess x\n}", "success: expected a whole number"),
        ("cache {\nsuccess 100 0\n}", "success: expected a whole number, at least 1"),
        ("cache {\ndenial 100 10 -1\n}", "denial: expected a whole number, at least 0"),
        ("cache {\nprefetch\n}", "prefetch: expected a whole number"),
        ("cache {\nprefetch 10 1m 9%\n}", "from 10% to 90%, found 9%"),
        ("cache {\nprefetch 10 1m 95%\n}", "from 10% to 90%, found 95%"),
        ("cache {\nprefetch 10 1m 20\n}", "expected a percentage"),
        ("cache {\nprefetch 10 1m 20% x\n}", "unexpected 'x'"),
        ("cache {\nserve_stale -1s\n}", "serve_stale: expected a duration"),
        ("cache {\nserve_stale 1h bogus\n}", "expected immediate or verify, found 'bogus'"),
        ("cache {\nserve_stale 1h immediate 5s 5s 5s\n}", "unexpected '5s'"),
        ("cache {\nserve_stale 1h verify 1s 5s 5s 5s\n}", "unexpected '5s'"),
        ("cache {\nserve_stale 1h verify -1s\n}", "serve_stale: expected a duration"),
        ("cache {\nserve_stale 1h immediate 500ms\n}", "a TTL of whole seconds"),
        ("cache {\nserve_stale_policy prefer_positive\n}", "serve_stale_policy needs serve_stale"),
        ("cache {\nserve_stale\nserve_stale_policy x\n}", "expected prefer_positive"),
        ("cache {\nservfail 6m\n}", "servfail: expected a duration"),
        ("cache {\nservfail 5\n}", "servfail: expected a duration"),
        ("cache {\ndisable\n}", "disable: expected success or denial"),
        ("cache {\ndisable x\n}", "disable: expected success or denial"),
        ("cache {\nkeepttl x\n}", "unexpected 'x'"),
        ("cache {\nprefetsh 1\n}", "unknown option 'prefetsh'"),
    ],
)
def test_what_cannot_be_meant_is_an_error(directive, why):
    with pytest.raises(ConfigError) as caught:
        chain(directive, Cache)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "directive",
    [
        "cache 30 a.b c.d",
        "cache a.b 30",
        "cache 30 10.0.0.0/15",
        "cache {\nsuccess 0\nsuccess 100 10 20\n}",
        "cache {\nprefetch 0\nprefetch 10 0\n}",
        "cache {\nserve_stale 0\n}",
        "cache {\nserve_stale 1h VERIFY 0 0 0\n}",
        "cache {\nserve_stale 500ms immediate 5s 0\n}",
        "cache {\nservfail 500ms\nkeepttl\nkeepttl\n}",
        "cache {\ndisable success a b 10.0.0.0/15\ndisable success\n}",
    ],
)
def test_what_coredns_takes_is_taken(directive):
    chain(directive, Cache)


async def test_what_acl_decides_behind_the_cache_is_decided_for_each_asker() -> None:
    made = chain(
        """acl b.example {
            block net 192.168.0.0/16
        }
        acl a.example {
            block net 172.16.0.0/12
        }
        cache
        template IN A a.example {
            answer "a.example 60 IN CNAME b.example"
        }
        template IN A b.example {
            answer "b.example 60 IN A 10.0.0.1"
        }""",
        Acl,
        Cache,
        Template,
        beside={},
    )
    assert len((await made.dig("a.example", "A", client("10.0.0.9"))).answer) == 2
    assert len((await made.dig("a.example", "A", client("192.168.0.9"))).answer) == 1
    assert len((await made.dig("a.example", "A", client("10.0.0.9"))).answer) == 2


async def test_the_answer_table_does_not_remember_what_has_just_been_stored() -> None:
    text = 'cache\ntemplate IN A a.example {\n answer "a.example 60 IN A 10.0.0.1"\n}'
    made = chain(text, Cache, Template)
    await made.dig("a.example")
    assert not made.ledger.keep, "its TTL would stand still"
    await made.dig("a.example")
    assert made.ledger.keep


def test_a_live_answer_passes_without_anything_to_wait_for():
    asking = Asking()
    live = Answer(answer=(a(600),), live=True)
    site = asking.chain.site
    for outer in (float("inf"), 2000.0):
        ledger = Ledger(site.stamps, asking.chain.route)
        query = Query.of(question("a.example"), client(), site.clock(), ledger)
        query.until(outer)

        def behind(inner: Query):
            inner.until(3000.0)
            inner.reads_class(asking.chain.plugins[1])
            return live

        assert asking.cache.at_once(query, behind) is live
        assert ledger.until == min(outer, 3000.0)
        assert ledger.audience == (asking.chain.plugins[1],)


def test_what_need_not_be_waited_for_is_stored_at_once():
    asking = Asking()
    site = asking.chain.site
    site.stamps.bump(["hosts"])
    for _ in range(2):
        ledger = Ledger(site.stamps, asking.chain.route, [], ["before"])
        query = Query.of(question("a.example"), client(), site.clock(), ledger)

        def behind(inner: Query):
            asking.script.asked.append(inner)
            inner.touch("hosts")
            return Answer(answer=(a(60),))

        answer = asking.cache.at_once(query, behind)
        assert answer.answer == (a(60),)
    assert len(asking.script.asked) == 1
    ledger.settle()
    assert ledger.is_right()
    site.stamps.bump(["hosts"])
    assert not ledger.is_right()
