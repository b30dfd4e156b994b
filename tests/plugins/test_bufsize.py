"""bufsize: no UDP reply longer than this."""

import dns.flags
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.bufsize import Bufsize
from tests import fakes
from tests.tabled import Served, query, served

MANY = "".join(f" 10.0.0.{at} a.example\n" for at in range(60))
REST = f"hosts {{\n{MANY}}}\n"


def corefile(size):
    return f"a.example:0 {{\n bufsize {size}\n {REST}}}\n"


@pytest.mark.parametrize(
    ("cap", "asked", "expected"),
    [
        pytest.param("", 4096, 1232, id="by default"),
        pytest.param("600", 4096, 600, id="capped"),
        pytest.param("600", 520, 520, id="never raised"),
        pytest.param("512", 0, 0, id="no EDNS, no OPT"),
    ],
)
async def test_the_asker_gets_no_more_than_that(cap, asked, expected):
    one = Served(corefile(cap))
    packet = query("a.example", size=asked)
    for _ in range(4):
        wire = await one.wire(packet)
        assert len(wire) <= (expected or 512)
        reply = await one.ask("a.example", size=asked)
        assert reply.payload == expected
        assert bool(reply.flags & dns.flags.TC) == ((expected or 512) < 60 * 16 + 27)


async def test_askers_of_other_sizes_are_cut_as_they_say():
    one = Served(corefile("700"))
    for size in (4096, 520, 650, 4096, 520):
        wire = await one.wire(query("a.example", size=size))
        assert len(wire) <= min(size, 700)


async def test_over_tcp_nothing_is_cut():
    one = Served(corefile("512"), whole=True)
    for _ in range(3):
        reply = await one.ask("a.example", size=4096)
        assert len(reply.answer[0]) == 60


async def test_the_first_of_a_block_counts(caplog):
    text = f"a.example:0 {{\n bufsize 1000\n bufsize 600 {{\n x\n }}\n {REST}}}\n"
    async with served(text) as one:
        assert (await one.ask("a.example", size=4096)).payload == 1000
    assert caplog.text.count("kdns.bufsize") == 2


@pytest.mark.parametrize("text", ["bufsize 511", "bufsize 4097", "bufsize x", "bufsize 512 600"])
def test_wrong_sizes_are_refused(text):
    with pytest.raises(ConfigError):
        fakes.chain(text, Bufsize)
