"""ede: reasons given, held back, or given for nothing found as well."""

import ast
from pathlib import Path

import dns.edns
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import DROP, SKIP
from kdns.plugins.ede import Ede
from kdns.wire import types
from kdns.wire.message import Answer
from tests import fakes
from tests.stubs import Told, addresses, soa
from tests.tabled import Served

CORE = """a.example:0 {{
    ede {}
    acl {{
        block type MX
    }}
    hosts {{
        10.0.0.1 a.example
    }}
}}
"""


def codes(reply):
    return [(int(o.code), o.text) for o in reply.options if o.otype == dns.edns.EDE]


@pytest.mark.parametrize(
    ("mode", "name", "type_", "expected"),
    [
        ("on", "a.example", "MX", [(15, None)]),
        ("on", "a.example", "A", []),
        ("on", "a.example", "AAAA", []),
        ("on", "b.a.example", "A", [(0, "no such host")]),
        ("on", "b.example", "A", [(20, None)]),
        ("off", "a.example", "MX", []),
        ("off", "b.a.example", "A", []),
        ("off", "b.example", "A", [(20, None)]),
        ("verbose", "a.example", "AAAA", [(0, "hosts: no records of this type")]),
        ("verbose", "a.example", "A", []),
    ],
)
async def test_reasons_are_given_as_said(mode, name, type_, expected):
    one = Served(CORE.format(mode))
    for _ in range(6):
        assert codes(await one.ask(name, type_, size=1232)) == expected
        assert (await one.ask(name, type_)).edns == -1
    assert await one.is_remembered(name, type_, size=1232)


async def edited(mode, answer):
    chain = fakes.chain(f"ede {mode}", Ede)
    chain.plugins.append(Told(lambda _: answer))
    return await chain.ask("a.example")


async def test_a_failure_of_ours_without_a_reason_gets_the_general_one():
    failed = Answer(types.SERVFAIL, error="broken")
    assert (await edited("", failed)).ede == ((0, ""),)
    theirs = Answer(types.SERVFAIL, plugin="forward")
    assert await edited("", theirs) is theirs


async def test_what_an_upstream_did_not_find_is_not_ours():
    missing = Answer(types.NXDOMAIN, authority=(soa(),), plugin="forward")
    assert await edited("verbose", missing) is missing
    ours = await edited("verbose", missing.but(plugin="kubernetes"))
    assert ours.ede == ((0, "kubernetes: no such name"),)


async def test_the_end_of_the_chain_and_silence_stay_what_they_are():
    assert await edited("on", SKIP) is SKIP
    ran_out = await edited("off", SKIP)
    assert (ran_out.rcode, ran_out.error, ran_out.ede) == (2, "no next plugin found", ())
    assert await edited("off", DROP) is DROP


async def test_what_must_be_waited_for_is_edited_too():
    chain = fakes.chain("ede off", Ede)
    chain.plugins.append(Told(lambda query: addresses(query, 1, ede=((3, ""),))))
    assert (await chain.ask("a.example")).ede == ()
    assert not (await edited("off", Answer(types.SERVFAIL, ede=((22, ""),)))).ede


@pytest.mark.parametrize("text", ["ede maybe", "ede on off", "ede {\n x\n}"])
def test_wrong_arguments_are_refused(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Ede)


KDNS = Path(__file__).parents[2] / "kdns"
FAILURES = {"SERVFAIL", "REFUSED", "NOTIMP"}
BARE = {
    "plugins/ede.py": "what it holds back",
    "plugins/erratic.py": "it fails for the sake of it",
    "plugins/template.py": "the code that a template is told to give",
}


def failures_without_reasons(text):
    """Lines where an Answer that fails is made without `ede`."""
    found = []
    for call in ast.walk(ast.parse(text)):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Answer":
            said = {one.arg: one.value for one in call.keywords}
            rcode = said.get("rcode") or (call.args[0] if call.args else None)
            if getattr(rcode, "attr", "") in FAILURES and "ede" not in said:
                found.append(call.lineno)
    return found


def test_every_failure_of_ours_says_why():
    bare = {
        str(path.relative_to(KDNS)): lines
        for path in KDNS.rglob("*.py")
        if (lines := failures_without_reasons(path.read_text(encoding="utf-8")))
    }
    assert bare.keys() == BARE.keys(), bare
    assert all(len(lines) == 1 for lines in bare.values()), bare


def test_one_that_does_not_is_seen():
    text = "Answer(types.SERVFAIL, ede=x)\nAnswer(rcode=types.REFUSED, plugin='a')\nAnswer()"
    assert failures_without_reasons(text) == [2]
