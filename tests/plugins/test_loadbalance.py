"""loadbalance: the orders CoreDNS 1.15.0 gave, and how often each address came first."""

import asyncio
import logging
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import DROP, SKIP, Backend
from kdns.plugins.loadbalance import Loadbalance, parse_weights
from kdns.wire import names, records, types
from kdns.wire.message import Answer, RRset
from tests import fakes


def rrset(owner: str, type_: str, *rdatas: str) -> RRset:
    packed = {
        "A": records.address,
        "AAAA": records.address,
        "CNAME": names.parse,
        "MX": lambda text: records.mx(10, names.parse(text)),
        "TXT": lambda text: records.txt(text.encode()),
        "NS": names.parse,
    }[type_]
    return RRset(names.parse(owner), types.parse_type(type_), 5, tuple(map(packed, rdatas)))


TWO = (rrset("w.", "A", "1.1.1.1", "1.1.1.2"),)
THREE = (rrset("w.", "A", "1.1.1.1", "1.1.1.2", "1.1.1.3"),)
MIXED = (
    rrset("m.", "A", "1.1.1.1"),
    rrset("m.", "TXT", "t"),
    rrset("m.", "MX", "a.", "b."),
    rrset("m.", "CNAME", "x.m."),
    rrset("x.m.", "AAAA", "::1", "::2"),
    rrset("m.", "A", "1.1.1.2"),
    rrset("x.m.", "CNAME", "y.m."),
)


class Gives(Backend):
    """Answers everything with what `answer` says."""

    name = "gives"
    given: Answer = Answer()

    async def answer(self, query):
        return self.given


def chain(text: str, given: object) -> fakes.Chain:
    made = fakes.chain(f"{text}\ngives", Loadbalance, Gives)
    made.plugins[1].given = given
    return made


async def started(text: str, given: Answer) -> fakes.Chain:
    made = chain(text, given)
    await made.plugins[0].start()
    return made


def order(answer: Answer) -> str:
    """The records of the answer section: types, addresses in full."""
    return " ".join(
        names.format_address(rdata)
        if one.type in (types.A, types.AAAA)
        else types.type_name(one.type)
        for one in answer.answer
        for rdata in one.rdatas
    )


async def orders(made: fakes.Chain, count: int) -> Counter[str]:
    return Counter([order(await made.ask("w.")) for _ in range(count)])


# round_robin


@pytest.mark.parametrize("text", ["loadbalance", "loadbalance round_robin"])
async def test_records_stand_in_corednss_order(text):
    answer = await chain(text, Answer(answer=MIXED, authority=MIXED, additional=MIXED)).ask("m.")
    expected = "CNAME CNAME TXT 1.1.1.1 ::1 ::2 1.1.1.2 MX MX"
    assert order(answer) == expected
    assert order(Answer(answer=answer.authority)) == expected
    assert order(Answer(answer=answer.additional)) == expected


async def test_addresses_are_left_to_rotate_and_the_answer_may_be_kept():
    made = chain("loadbalance", Answer(answer=THREE))
    answer = await made.ask("w.")
    assert answer.rotate
    assert answer.answer == THREE
    assert made.ledger.keep


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(Answer(answer=(rrset("w.", "A", "1.1.1.1"),)), id="one address"),
        pytest.param(Answer(answer=(rrset("w.", "MX", "a.", "b."),)), id="no address"),
        pytest.param(Answer(rcode=3), id="nothing"),
        pytest.param(SKIP, id="SKIP"),
        pytest.param(DROP, id="DROP"),
    ],
)
@pytest.mark.parametrize(
    "text", ["loadbalance", "loadbalance {\n prefer 1.1.1.2/32\n}", "loadbalance weighted w"]
)
async def test_an_answer_without_a_choice_is_passed_on_as_it_is(text, given):
    made = chain(text, given)
    assert await made.ask("w.") is given
    assert made.ledger.keep


@pytest.mark.parametrize("type_", ["AXFR", "IXFR"])
@pytest.mark.parametrize(
    "text", ["loadbalance", "loadbalance {\n prefer 1.1.1.2/32\n}", "loadbalance weighted w"]
)
async def test_transfers_keep_their_order(text, type_):
    given = Answer(answer=MIXED)
    assert await chain(text, given).ask("m.", type_) is given


# prefer


@pytest.mark.parametrize(
    ("nets", "expected"),
    [
        ("1.1.1.2/32", {"1.1.1.2 1.1.1.1 1.1.1.3", "1.1.1.2 1.1.1.3 1.1.1.1"}),
        ("1.1.1.3/32 1.1.1.2/32", {"1.1.1.3 1.1.1.2 1.1.1.1"}),
        ("1.1.1.3/32\nprefer 1.1.1.1/32", {"1.1.1.3 1.1.1.1 1.1.1.2"}),
        ("1.1.1.2/31", {"1.1.1.2 1.1.1.3 1.1.1.1", "1.1.1.3 1.1.1.2 1.1.1.1"}),
        ("1.1.1.3/31", {"1.1.1.2 1.1.1.3 1.1.1.1", "1.1.1.3 1.1.1.2 1.1.1.1"}),
    ],
)
async def test_preferred_nets_come_first_in_their_order_and_equals_at_random(nets, expected):
    made = chain(f"loadbalance {{\nprefer {nets}\n}}", Answer(answer=THREE))
    assert set(await orders(made, 60)) == expected
    assert not made.ledger.keep


@pytest.mark.parametrize("net", ["0.0.0.0/0", "9.0.0.0/8", "::/0"])
async def test_where_all_or_none_are_preferred_they_rotate_as_ever(net):
    made = chain(f"loadbalance {{\nprefer {net}\n}}", Answer(answer=THREE))
    assert (await made.ask("w.")).rotate
    assert made.ledger.keep


async def test_with_preferred_nets_a_comes_before_aaaa_and_other_types_last():
    made = chain("loadbalance {\nprefer 1.1.1.2/32 ::2/128\n}", Answer(answer=MIXED))
    assert set(await orders(made, 20)) == {"CNAME CNAME 1.1.1.2 1.1.1.1 ::2 ::1 MX MX TXT"}


async def test_prefer_without_nets_is_round_robin():
    answer = await chain("loadbalance {\nprefer\n}", Answer(answer=THREE)).ask("w.")
    assert answer.rotate


# weighted


async def test_addresses_come_first_as_often_as_they_weigh(tmp_path):
    file = tmp_path / "weights"
    file.write_text("# weights\nw.\n1.1.1.2 3\n")
    made = await started(f"loadbalance weighted {file}", Answer(answer=THREE))
    found = await orders(made, 1000)
    assert set(found) == {
        "1.1.1.1 1.1.1.2 1.1.1.3",
        "1.1.1.2 1.1.1.1 1.1.1.3",
        "1.1.1.3 1.1.1.2 1.1.1.1",
    }
    assert 500 < found["1.1.1.2 1.1.1.1 1.1.1.3"] < 700
    assert 130 < found["1.1.1.3 1.1.1.2 1.1.1.1"] < 270
    assert not made.ledger.keep


async def test_weights_are_those_of_the_owner_of_the_addresses(tmp_path):
    file = tmp_path / "weights"
    file.write_text("W\n1.1.1.2 255\nx.w\n1.1.1.1 255\n")
    aliased = (rrset("x.w.", "CNAME", "w."), *TWO)
    made = await started(f"loadbalance weighted {file}", Answer(answer=aliased))
    found = Counter([order(await made.ask("x.w.")) for _ in range(200)])
    assert found["CNAME 1.1.1.2 1.1.1.1"] > 190


async def test_without_weights_each_address_is_first_equally_often(tmp_path):
    file = tmp_path / "weights"
    file.write_text("")
    made = await started(f"loadbalance weighted {file}", Answer(answer=TWO))
    assert 400 < (await orders(made, 1000))["1.1.1.1 1.1.1.2"] < 600


ADDRESSES = st.lists(st.ip_addresses(v=4).map(str), min_size=2, max_size=6, unique=True)


@given(
    addresses=ADDRESSES,
    policy=st.sampled_from(["weighted w", "round_robin {\nprefer 0.0.0.0/1\n}"]),
)
def test_no_record_is_lost(addresses, policy):
    given = Answer(answer=(*MIXED, rrset("w.", "A", *addresses)))
    answer = asyncio.run(chain(f"loadbalance {policy}", given).ask("w."))
    assert sorted(order(answer).split()) == sorted(order(given).split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# a\n\n  # b\na.\n1.1.1.1 5\n", {"a.": {"1.1.1.1": 5}}),
        ("A\n 1.1.1.1\t5 \r\n::1 255\nb\n1.1.1.1 1", {"a.": {"1.1.1.1": 5, "::1": 255}, "b.": {"1.1.1.1": 1}}),
        ("a\n1.1.1.1 5\n1.1.1.1 9\n", {"a.": {"1.1.1.1": 5}}),
        ("a\n1.1.1.1 5\na\n1.1.1.2 9\n", {"a.": {"1.1.1.1": 5, "1.1.1.2": 9}}),
    ],
)  # fmt: skip
def test_weights_are_read(text, expected):
    found = {
        names.format(name): {names.format_address(one): weight for one, weight in weights.items()}
        for name, weights in parse_weights(text, "w").items()
    }
    assert found == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1.1.1.1 5\n", "w:1: expected a name before the first address"),
        ("a\n1.1.1.1\n", "w:2: expected a weight from 1 to 255 behind the address"),
        ("a\n1.1.1.1 0\n", "w:2: expected an address and a weight from 1 to 255"),
        ("a\n1.1.1.1 256\n", "w:2: expected an address and a weight"),
        ("a\n1.1.1.1 x\n", "w:2: expected an address and a weight"),
        ("a\n1.1.1.1 1 # one\n", "w:2: expected an address and a weight"),
        ("a\nb 1\n", "w:2: expected an IP address, found 'b 1'"),
        ("a..b\n1.1.1.1 5\n", "w:1: expected a name (name 'a..b' has a label of 0"),
    ],
)
def test_wrong_weights_are_named(text, why):
    with pytest.raises(ValueError, match="expected") as caught:
        parse_weights(text, "w")
    assert str(caught.value).startswith(why)


# The file


def put(file: Path, text: str) -> None:
    """Writes a file at one go, as a ConfigMap changes."""
    other = file.with_suffix(".new")
    other.write_text(text)
    other.rename(file)


async def test_a_missing_file_is_waited_for(tmp_path, caplog):
    file = tmp_path / "weights"
    made = await started(f"loadbalance weighted {file} {{\nreload 1ms\n}}", Answer(answer=TWO))
    assert "cannot read" in caplog.text
    caplog.set_level(logging.INFO, "kdns.loadbalance")
    caplog.clear()
    [follows] = made.plugins[0].tasks()
    following = asyncio.ensure_future(follows)
    put(file, "w\n1.1.1.2 255\n")
    await until(lambda: made.plugins[0].weights)
    put(file, "w\n1.1.1.2 0\n")
    await until(lambda: "keeping the weights" in caplog.text)
    assert made.plugins[0].weights
    file.unlink()
    await until(lambda: "cannot read" in caplog.text)
    assert made.plugins[0].weights
    put(file, "w\n1.1.1.2 9\n")
    await until(lambda: 9 in made.plugins[0].weights[b"\x01w\0"].values())
    following.cancel()


async def until(is_so) -> None:
    """Waits for a change that a file brings."""
    async with asyncio.timeout(40):
        while not is_so():
            await asyncio.sleep(0.001)


async def test_wrong_weights_are_said_once(tmp_path, caplog):
    file = tmp_path / "weights"
    put(file, "w\n1.1.1.2 9\n")
    made = await started(f"loadbalance weighted {file} {{\nreload 1ms\n}}", Answer(answer=TWO))
    [follows] = made.plugins[0].tasks()
    following = asyncio.ensure_future(follows)
    put(file, "w\n1.1.1.2 0\n")
    await until(lambda: "keeping the weights" in caplog.text)
    await asyncio.sleep(0.03)
    following.cancel()
    assert caplog.text.count("keeping the weights") == 1


@pytest.mark.parametrize(
    ("content", "reload", "why"),
    [
        (None, "0", "cannot read"),
        ("w\n1.1.1.1 0\n", "0", "weights:2: expected an address and a weight"),
        ("w\n1.1.1.1 0\n", "30s", "weights:2: expected an address and a weight"),
    ],
)
async def test_what_is_wrong_at_start_ends_it(tmp_path, content, reload, why):
    if content is not None:
        (tmp_path / "weights").write_text(content)
    text = f"loadbalance weighted weights {{\nreload {reload}\n}}"
    [plugin] = fakes.chain(text, Loadbalance, root=str(tmp_path)).plugins
    with pytest.raises(ConfigError) as caught:
        await plugin.start()
    assert why in str(caught.value)


def test_reload_0_reads_the_file_once():
    assert not fakes.chain("loadbalance weighted w {\nreload 0\n}", Loadbalance).plugins[0].tasks()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("loadbalance roundrobin", "did you mean 'round_robin'?"),
        ("loadbalance round_robin x", "unexpected 'x'"),
        ("loadbalance weighted", "expected a file of weights"),
        ("loadbalance weighted a b", "unexpected 'b'"),
        ("loadbalance weighted a {\nprefer ::/0\n}", "prefer is no option of this policy"),
        ("loadbalance {\nreload 5s\n}", "reload is no option of this policy"),
        ("loadbalance weighted a {\nreload\n}", "end of the line"),
        ("loadbalance weighted a {\nreload 5\n}", "expected a duration"),
        ("loadbalance weighted a {\nreload -5s\n}", "expected a duration"),
        ("loadbalance {\nprefer 10.0.0.1\n}", "expected an address block"),
        ("loadbalance {\nfoo\n}", "unknown option 'foo'"),
    ],
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError) as caught:
        fakes.chain(text, Loadbalance)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("content", "options", "why"),
    [
        ("a.example\n10.0.0.1 0\n", "", "expected an address and a weight"),
        (None, "{\n reload 0s\n}", "No such file"),
        (None, "", ""),
        ("a.example\n10.0.0.1 3\n", "", ""),
    ],
)
def test_a_check_looks_at_the_file(tmp_path, content, options, why):
    path = tmp_path / "weights"
    if content is not None:
        path.write_text(content)
    text = f"loadbalance weighted {path} {options}"
    [plugin] = fakes.plugins(text, fakes.site(), Loadbalance)
    if why:
        with pytest.raises(ConfigError, match=why):
            plugin.look()
    else:
        plugin.look()
