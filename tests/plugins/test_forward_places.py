"""forward: while many queries wait, no client network gets more places than are free."""

import asyncio

from kdns.plugins import forward
from kdns.plugins.base import SKIP
from kdns.plugins.forward import Forward
from kdns.wire import types
from tests import fakes


async def test_one_client_network_cannot_take_all_places_while_many_queries_wait(monkeypatch):
    monkeypatch.setattr(forward, "_MOST_UNDERWAY", 40)
    made = fakes.chain("forward . 127.0.0.1:9", Forward)
    plugin = made.plugins[0]
    held = []

    async def waits(query, next_):
        plugin._running += 1
        held.append(asyncio.get_running_loop().create_future())
        try:
            await held[-1]
            return SKIP
        finally:
            plugin._running -= 1

    plugin._forwarded = waits
    flooder, other = (fakes.client(each) for each in ("10.1.1.1", "10.2.2.2"))
    asked = [asyncio.ensure_future(made.ask(f"n{at}.example", who=flooder)) for at in range(60)]
    await asyncio.sleep(0)
    assert len(held) == 25  # ten that were not counted, and half of the other thirty
    refused = next(each.result() for each in asked if each.done())
    assert refused.rcode == types.SERVFAIL
    assert made.ledger.is_personal
    asked += [asyncio.ensure_future(made.ask("x.example", who=other)) for _ in range(2)]
    await asyncio.sleep(0)
    assert len(held) == 27
    for each in held:
        each.set_result(None)
    await asyncio.gather(*asked)
    assert plugin._running == 0
    assert not plugin._shares._by_network
