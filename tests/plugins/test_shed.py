"""shed: replies that would have to wait behind 1,024 others are dropped, and counted."""

import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.shed import MOST, Shed
from tests import fakes
from tests.server.test_batches import busy
from tests.stubs import Told, World, addresses


def shed(text: str = "shed") -> list:
    return fakes.plugins(text, fakes.site(), Shed)


@pytest.mark.parametrize("text", ["", "shed"], ids=["without", "with"])
async def test_so_many_replies_wait_at_most(text, monkeypatch):
    plugins = shed(text)
    world = World(*plugins, Told(lambda query: addresses(query, 1)))
    one, _ = busy(world)
    outbox = one._outbox
    for at in range(MOST + 10):
        outbox.keep(b"reply", ("127.0.0.1", at + 1), [])
    assert len(outbox.waiting) == (MOST if text else MOST + 10)
    if text:
        values = plugins[0].site.counters.values
        assert values["coredns_shed_dropped_total", "dns://:53", "response"] == 10
        assert values["coredns_shed_dropped_total", "dns://:53", "query"] == 0
    outbox.waiting.clear()
    await one.stop(0)


def test_an_empty_block_is_taken():
    assert shed("shed {\n}")


@pytest.mark.parametrize(
    ("text", "why"), [("shed 10", "unexpected '10'"), ("shed {\n max 1\n}", "takes no options")]
)
def test_mistakes(text, why):
    with pytest.raises(ConfigError, match=why):
        shed(text)
