"""A walk always ends, within its bounds and in its order; a resolv.conf is read as each libc does.

What the real libcs ask and say is pinned in test_search_libcs.py; here is what holds for any
resolv.conf, any name and any nameserver, and what a person reads.
"""

import asyncio
import random
from itertools import groupby

import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.client.search import Heard, Resolv, parse_resolv, walk
from kdns.wire import types
from tests.client.libcs.scripted import replied

LIBCS = ["glibc", "musl"]
PAIR = (types.A, types.AAAA)
SERVER = ("192.0.2.53", 53)
WORDS = ("NXDOMAIN", "NXDOMAIN", "NODATA", "SERVFAIL", "REFUSED", "NOTIMP", "FORMERR", "lame", "short", "other-id",
         "other-question", "A cut", "A 10.0.0.1", "AAAA 2001:db8::1", "CNAME y.test.", "CNAME y.test. A 10.0.0.1",
         "TC A 10.0.0.1", "TC SERVFAIL", "TC drop", "drop", "refused", "garbage")  # fmt: skip
OPTIONS = (
    "rotate",
    "use-vc",
    "edns0",
    "trust-ad",
    "single-request",
    "single-request-reopen",
    "no-aaaa",
    "no-tld-query",
)

LABELS = st.sampled_from(["a", "web", "x-1", "_tcp", "l" * 63])
NAMES = st.builds(
    lambda parts, end: ".".join(parts) + end,
    st.lists(LABELS, min_size=1, max_size=5),
    st.sampled_from(["", "", "."]),
)
DOMAINS = st.one_of(
    st.sampled_from([".", "a..b", "a.test.", "l" * 64]),
    st.lists(LABELS, min_size=1, max_size=3).map(".".join),
)
RESOLVS = st.builds(
    Resolv,
    st.integers(1, 3).map(lambda count: tuple((f"192.0.2.{at + 1}", 53) for at in range(count))),
    st.lists(DOMAINS, max_size=4, unique=True).map(tuple),
    st.integers(0, 5),
    st.sampled_from([0.0, 1.0, 5.0]),
    st.integers(0, 3),
    st.lists(st.sampled_from(OPTIONS), max_size=3).map(tuple),
)  # fmt: skip


def scripted(seed: int):
    """An `ask` that does anything, the same again for the same seed; and what it was asked."""
    chance = random.Random(seed)
    asked: list[tuple[tuple[str, int], str]] = []

    async def ask(nameserver, packet, transport):
        asked.append((nameserver, transport))
        assert len(asked) < 5000, "it goes on and on"
        word = chance.choice(WORDS)
        if word == "refused":
            return Heard(error="connection refused", failure="refused")
        if word == "garbage":
            return Heard(packet[:2] + chance.randbytes(chance.randrange(80)))
        reply = replied({"*": word}, packet, 0, transport)
        return (
            Heard(reply, failure=chance.choice(("silent", "cut")))
            if reply is None
            else Heard(reply)
        )

    return ask, asked


def words(text: str):
    """An `ask` by a table that says what nameservers do, each word a line: `NAME WHAT`."""
    table = dict(line.strip().split(" ", 1) for line in text.strip().split("\n"))

    async def ask(nameserver, packet, transport):
        return Heard(replied(table, packet, 0, transport), transport=transport)

    return ask


@given(
    NAMES,
    st.sampled_from([PAIR, PAIR, (types.A,), (types.AAAA,), (types.SRV,)]),
    RESOLVS,
    st.integers(0, 1 << 32),
)
@settings(max_examples=80, deadline=None)
@pytest.mark.parametrize("libc", LIBCS)
def test_a_walk_ends_within_its_bounds_and_in_its_order(libc, name, kinds, resolv, seed):
    ask, asked = scripted(seed)
    found = asyncio.run(walk(name, kinds, resolv, libc, ask))
    assert len(asked) <= len(found.asked)  # musl may be done before a second try has left
    assert libc == "musl" or len(asked) == len(found.asked)
    per_name = len(kinds) * len(resolv.nameservers) * resolv.attempts
    most = (
        4 * per_name
        if libc == "glibc"
        else per_name + 2 * len(kinds) * resolv.attempts + len(kinds)
    )
    steps = [list(group) for _, group in groupby(found.asked, key=lambda one: one.because)]
    assert len(steps) <= len(resolv.search) + 1
    assert all(len(step) <= most for step in steps)
    _check_order(name, resolv, libc, [step[0].because for step in steps])
    assert all(one.then and one.because for one in found.asked)
    assert {one.nameserver for one in found.asked} <= set(resolv.nameservers)
    assert {one.type for one in found.asked} <= (
        {*kinds, types.A} if "no-aaaa" in resolv.options else set(kinds)
    )
    assert (found.says == "") == (found.outcome == "answered")
    if found.outcome == "answered" and set(kinds) <= set(PAIR):
        assert found.addresses


def _check_order(name: str, resolv: Resolv, libc: str, reasons: list[str]) -> None:
    """Search domains stand in their order; the name as written is first or last, by its dots."""
    domains = [reason for reason in reasons if reason.startswith("search domain ")]
    numbers = [int(reason.split()[2]) for reason in domains]
    assert numbers == sorted(set(numbers))
    written = [at for at, reason in enumerate(reasons) if reason.startswith("as written")]
    assert len(written) <= 1
    has_enough = name.count(".") >= resolv.ndots or name.endswith(".")
    if has_enough:
        assert written in ([0], [])
    elif written:
        assert written == [len(reasons) - 1]
    if (libc == "musl" and has_enough) or name.endswith("."):
        assert not domains


@given(st.text(max_size=300), st.sampled_from(LIBCS))
def test_any_text_is_a_resolv_conf(text, libc):
    found = parse_resolv(text, libc)
    assert 1 <= len(found.nameservers) <= 3
    assert 0 <= found.ndots <= 15


@pytest.mark.parametrize("libc", LIBCS)
def test_a_resolv_conf_with_everything(libc):
    text = (
        "# of a node\n; mine\nnameserver 192.0.2.1 # first\nnameserver\t2001:db8::53\n nameserver 192.0.2.9\n"
        "nameserver fe80::1%eth0\nnameserver 192.0.2.4\nnameserver host.test\ndomain old.test\n"
        "search\ta.test  b.test\noptions ndots:2 timeout:3\toptions attempts:4 rotate\noptions edns0 no-reload\n"
        "sortlist 192.0.2.0\nnameserver\noptions\n"
    )
    assert parse_resolv(text, libc) == Resolv(
        (("192.0.2.1", 53), ("2001:db8::53", 53), ("fe80::1%eth0", 53)),
        ("a.test", "b.test"), 2, 3.0, 4, ("options", "rotate", "edns0", "no-reload"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "nameserver nonsense\n", "nameserver192.0.2.1\n"]
)
@pytest.mark.parametrize("libc", LIBCS)
def test_what_is_not_said_has_the_defaults(libc, text):
    assert parse_resolv(text, libc) == Resolv((("127.0.0.1", 53),), (), 1, 5.0, 2, ())


@pytest.mark.parametrize(
    ("text", "glibc", "musl"),
    [
        ("domain a.test b.test", ("a.test",), ("a.test", "b.test")),
        ("search a.test\nsearch ", ("a.test",), ()),
        ("search " + "d" * 247, ("d" * 247,), ("d" * 247,)),
        ("search " + "d" * 248, ("d" * 248,), ()),
        ("search a.test\r", ("a.test\r",), ("a.test",)),
    ],
    ids=["domain-of-two", "empty-search", "line-of-254", "line-of-255", "carriage-return"],
)  # fmt: skip
def test_the_libcs_differ_in_search(text, glibc, musl):
    assert parse_resolv(text, "glibc").search == glibc
    assert parse_resolv(text, "musl").search == musl


@pytest.mark.parametrize(
    ("text", "glibc", "musl"),
    [
        ("ndots:99 timeout:99 attempts:99", (15, 30.0, 5), (15, 60.0, 10)),
        ("ndots:x timeout: attempts:1.5", (0, 0.0, 1), (1, 5.0, 1)),
        ("ndots:3\noptions timeout:1", (3, 1.0, 2), (3, 1.0, 2)),
        ("ndots:3 ndots:4", (4, 5.0, 2), (3, 5.0, 2)),
        ("xndots:3", (1, 5.0, 2), (3, 5.0, 2)),
    ],
    ids=["caps", "no-numbers", "two-lines", "twice", "within"],
)
def test_the_libcs_differ_in_numbers(text, glibc, musl):
    for libc, wanted in (("glibc", glibc), ("musl", musl)):
        found = parse_resolv(f"options {text}\n", libc)
        assert (found.ndots, found.timeout_s, found.attempts) == wanted


@pytest.mark.parametrize("libc", LIBCS)
async def test_each_question_says_why_and_what_it_leads_to(libc):
    resolv = Resolv((SERVER,), ("shop.svc.cluster.local", "svc.cluster.local"), 5)
    ask = words("* NXDOMAIN\nwww.outside.test. CNAME web.test. A 10.0.0.1")
    found = await walk("www.outside.test", (types.A,), resolv, libc, ask)
    assert [(one.because, one.then) for one in found.asked] == [
        ("search domain 1 of 2: shop.svc.cluster.local", "goes on"),
        ("search domain 2 of 2: svc.cluster.local", "goes on"),
        ("as written, last (it has 2 dots, ndots is 5)", "ends here: answered"),
    ]
    assert (found.outcome, found.says, found.addresses) == ("answered", "", ("10.0.0.1",))
    assert (found.name, found.canonical) == ("www.outside.test.", "web.test.")


TWO = (SERVER, ("192.0.2.54", 53))


@pytest.mark.parametrize(
    ("name", "servers", "what", "then"),
    [
        ("x", TWO, "* drop", ["asks the next server", "leaves the search list for the name as written",
                              "asks the next server", "ends here: no server gave an answer"]),
        ("x", (SERVER,), "* SERVFAIL", ["goes on, and remembers what went wrong"] * 2 + ["ends here: no server gave an answer"]),
        ("x.y", (SERVER,), "* FORMERR", ["goes on, and remembers what went wrong", "ends here: the server will not say"]),
        ("x.y", (SERVER,), "* NXDOMAIN", ["goes on", "goes on", "ends here: no such name"]),
        ("x.", (SERVER,), "* NODATA", ["ends here: no data"]),
        ("x.", (SERVER,), "* TC A 10.0.0.1", ["asks again over TCP", "ends here: answered"]),
    ],
    ids=["silence", "servfail", "formerr", "as-written-first", "absolute", "truncated"],
)  # fmt: skip
async def test_glibc_says_what_each_question_leads_to(name, servers, what, then):
    resolv = Resolv(servers, ("a.test", "b.test"), 1, 1.0, 1)
    found = await walk(name, (types.A,), resolv, "glibc", words(what))
    assert [one.then for one in found.asked] == then


@pytest.mark.parametrize(
    ("what", "then"),
    [
        ("* NXDOMAIN", ["goes on", "goes on", "ends here: no such name"]),
        ("* NODATA", ["ends here: no data"]),
        ("* SERVFAIL", ["asks this server again"] * 2 + ["ends here: not all was answered"]),
        ("* TC A 10.0.0.1", ["asks again over TCP", "ends here: answered"]),
        ("* drop", ["ends here: not all was answered"]),
        ("* REFUSED", ["ends here: not all was answered"]),
    ],
    ids=["nxdomain", "nodata", "servfail", "truncated", "silence", "refused"],
)
async def test_musl_says_what_each_question_leads_to(what, then):
    resolv = Resolv((SERVER,), ("a.test", "b.test"), 1, 1.0, 1)
    found = await walk("x", (types.A,), resolv, "musl", words(what))
    assert [one.then for one in found.asked] == then


async def test_musl_waits_for_another_answer_than_a_refusal():
    async def ask(nameserver, packet, transport):
        word = "REFUSED" if nameserver == SERVER else "A 10.0.0.1"
        return Heard(replied({"*": word}, packet, 0, transport))

    found = await walk("x.", (types.A,), Resolv(TWO), "musl", ask)
    assert [one.then for one in found.asked] == ["waits for another answer", "ends here: answered"]


async def test_a_second_attempt_asks_again():
    for libc, again in (("glibc", "asks it again"), ("musl", "asks all servers again")):
        found = await walk("x.", (types.A,), Resolv((SERVER,)), libc, words("* drop"))
        assert [one.then.partition(":")[0] for one in found.asked] == [again, "ends here"]


@pytest.mark.parametrize(("libc", "hangs"), [("glibc", True), ("musl", False)])
async def test_glibc_has_no_time_limit_over_tcp(libc, hangs):
    found = await walk("x.", PAIR, Resolv((SERVER,)), libc, words("* TC drop"))
    assert found.outcome == "failed"
    assert ("without limit" in found.says) == hangs


@pytest.mark.parametrize(
    ("libc", "word", "says", "count"),
    [("glibc", "NXDOMAIN", "HOST_NOT_FOUND", 3), ("glibc", "NODATA", "NO_DATA", 3), ("glibc", "SERVFAIL", "TRY_AGAIN", 6),
     ("musl", "NXDOMAIN", "HOST_NOT_FOUND", 1), ("musl", "NODATA", "NO_DATA", 1), ("musl", "drop", "TRY_AGAIN", 2)],
)  # fmt: skip
async def test_other_types_are_searched_by_glibc_alone(libc, word, says, count):
    resolv = Resolv((SERVER,), ("a.test", "b.test"), 5)
    found = await walk("_sql._tcp.db", (types.SRV,), resolv, libc, words(f"* {word}"))
    assert (found.says, len(found.asked)) == (says, count)


@pytest.mark.parametrize("libc", LIBCS)
async def test_an_srv_record_is_an_answer_without_addresses(libc):
    async def ask(_nameserver, packet, _transport):
        reply = dns.message.make_response(dns.message.from_wire(packet))
        owner = reply.question[0].name
        reply.answer.append(dns.rrset.from_text(owner, 5, "IN", "SRV", "0 0 5432 db-0.test."))
        return Heard(reply.to_wire())

    found = await walk("_sql._tcp.db.test.", (types.SRV,), Resolv((SERVER,)), libc, ask)
    assert (found.outcome, found.addresses, found.name) == ("answered", (), "_sql._tcp.db.test.")


async def test_aliases_that_go_round_end():
    async def ask(_nameserver, packet, _transport):
        reply = dns.message.make_response(dns.message.from_wire(packet))
        for owner, target in (("a.test.", "b.test."), ("b.test.", "a.test.")):
            reply.answer.append(dns.rrset.from_text(owner, 5, "IN", "CNAME", target))
        return Heard(reply.to_wire())

    for libc, says in (("glibc", "EAI_NONAME"), ("musl", "EAI_NODATA")):
        assert (await walk("a.test.", PAIR, Resolv((SERVER,)), libc, ask)).says == says


async def test_musl_does_not_wait_for_the_slower_server():
    is_waiting = asyncio.Event()

    async def ask(nameserver, packet, transport):
        if nameserver == SERVER:
            await asyncio.sleep(0)
            return Heard(replied({"*": "A 10.0.0.1"}, packet, 0, transport))
        is_waiting.set()
        await asyncio.sleep(60)
        raise AssertionError

    resolv = Resolv((("192.0.2.54", 53), SERVER))
    found = await walk("x.", (types.A,), resolv, "musl", ask)
    assert is_waiting.is_set()
    assert found.addresses == ("10.0.0.1",)
    assert [one.heard.error for one in found.asked] == ["it was not waited for", ""]


@pytest.mark.parametrize(("libc", "count"), [("glibc", 7), ("musl", 1)])
async def test_musl_searches_nothing_of_a_line_it_would_skip(libc, count):
    """A pod's search domains may be more than musl reads, whoever put them together."""
    resolv = Resolv((SERVER,), tuple(f"{'d' * 40}{at}.test" for at in range(6)), 5)
    found = await walk("x", (types.A,), resolv, libc, words("* NXDOMAIN"))
    assert len(found.asked) == count


@pytest.mark.parametrize("libc", LIBCS)
async def test_an_address_is_not_asked_for(libc):
    found = await walk("10.1", PAIR, Resolv((SERVER,)), libc, words("* NXDOMAIN"))
    assert (found.outcome, found.addresses, found.asked) == ("answered", ("10.0.0.1",), ())


@pytest.mark.parametrize("libc", LIBCS)
async def test_an_ask_that_fails_ends_the_walk_with_its_error(libc):
    async def ask(_nameserver, _packet, _transport):
        raise LookupError("of the asker's own")

    with pytest.raises(LookupError, match="of the asker's own"):
        await walk("x.", PAIR, Resolv((SERVER,)), libc, ask)
