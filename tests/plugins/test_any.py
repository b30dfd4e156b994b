"""any: one record for ANY."""

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.any import Any
from kdns.plugins.base import SKIP
from tests import fakes
from tests.tabled import Served


async def test_any_is_answered_with_one_record():
    one = Served(".:0 {\n any\n}\n")
    for name in ("x.example", "X.Example", "."):
        reply = await one.ask(name, "ANY")
        [rrset] = reply.answer
        assert rrset.to_text() == f"{name}{'' if name == '.' else '.'} 8482 IN HINFO " + (
            '"ANY obsoleted" "See RFC 8482"'
        )
        assert not reply.flags & 0x0400, "not authoritative"
    assert await one.is_remembered("x.example", "ANY")


async def test_other_types_pass():
    assert await fakes.chain("any", Any).ask("x.example", "A") is SKIP


@pytest.mark.parametrize("text", ["any x", "any {\n x\n}"])
def test_it_takes_nothing(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Any)
