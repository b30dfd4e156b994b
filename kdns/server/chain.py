"""Joins the plugins of a server block into one function: Query in, Answer (or SKIP) out.

Backends are asked in order; a filter stands around all that follows it. Gates, observers and
monitors take no part here. The function answers at once where its plugins do, and else gives
something to wait for.
"""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import cast

from kdns.plugins.base import SKIP, Backend, Filter, Plugin, Query, Result, Soon
from kdns.wire.message import Answer


def join(plugins: Sequence[Plugin]) -> Soon:
    """The chain of these plugins, given in the order they are asked in."""
    chain: Soon = _ran_out
    for plugin in reversed(plugins):
        if isinstance(plugin, Backend):
            chain = _backend(plugin, chain)
        elif isinstance(plugin, Filter):
            chain = partial(plugin.at_once, next_=chain)
    return chain


def _ran_out(_: Query) -> Result:
    return SKIP


def _backend(backend: Backend, after: Soon) -> Soon:
    ask = backend.at_once

    def asked(query: Query) -> Result | Awaitable[Result]:
        answer = ask(query)
        if type(answer) is Answer:
            return answer
        if answer is SKIP:
            return after(query)
        return _later(cast("Awaitable[Result]", answer), query, after)

    return asked


async def _later(waited: Awaitable[Result], query: Query, after: Soon) -> Result:
    answer = await waited
    if answer is not SKIP:
        return answer
    found = after(query)
    if type(found) is Answer or found is SKIP:
        return found
    return await cast("Awaitable[Result]", found)
