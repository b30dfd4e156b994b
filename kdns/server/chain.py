"""Joins the plugins of a server block into one function: Query in, Answer (or SKIP) out.

Backends are asked in order; a filter stands around all that follows it. Gates, observers and
monitors take no part here.
"""

from collections.abc import Sequence
from functools import partial

from kdns.plugins.base import SKIP, Backend, Filter, Next, Plugin, Query, Result


def join(plugins: Sequence[Plugin]) -> Next:
    """The chain of these plugins, given in the order they are asked in."""
    chain: Next = _ran_out
    backends: list[Backend] = []
    for plugin in reversed(plugins):
        if isinstance(plugin, Backend):
            backends.insert(0, plugin)
        elif isinstance(plugin, Filter):
            chain = partial(plugin.around, next_=_backends(tuple(backends), chain))
            backends = []
    return _backends(tuple(backends), chain)


async def _ran_out(_: Query) -> Result:
    return SKIP


def _backends(backends: tuple[Backend, ...], after: Next) -> Next:
    if not backends:
        return after

    async def ask(query: Query) -> Result:
        for backend in backends:
            answer = await backend.answer(query)
            if answer is not SKIP:
                return answer
        return await after(query)

    return ask
