"""Joins the plugins of a server block into one function: Query in, Answer (or SKIP) out.

Backends are asked in order; a filter stands around all that follows it. Gates, observers and
monitors take no part here. The function answers at once where its plugins do, and else gives
something to wait for.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from kdns.plugins.base import SKIP, Backend, Editor, Filter, Plugin, Query, Result, Soon
from kdns.wire import types
from kdns.wire.message import Answer

Watch = Callable[[Plugin, Soon], Soon]
"""Stands around a plugin and all behind it, to see what comes and goes."""

REFUSED = Answer(rcode=types.REFUSED, ede=((types.EDE_NOT_AUTHORITATIVE, ""),))


def unwatched(_plugin: Plugin, chain: Soon) -> Soon:
    """Nobody looks on."""
    return chain


def strange(plugins: Sequence[Plugin]) -> Soon:
    """Their chain for questions of classes other than IN."""
    return _joined(plugins, unwatched, _of_its_class)


def join(plugins: Sequence[Plugin], watch: Watch = unwatched) -> Soon:
    """The chain of these plugins, given in the order they are asked in."""
    return _joined(plugins, watch, _backend)


def _joined(
    plugins: Sequence[Plugin], watch: Watch, stage: Callable[[Backend, Soon], Soon]
) -> Soon:
    """A filter that lets live answers pass is not asked before the live backend right behind it:
    what that one says is the same, and nothing need be looked up or noted for it.
    """
    asked = [one for one in plugins if isinstance(one, Backend | Filter)]
    chain: Soon = (
        _refuse if asked and isinstance(asked[-1], Backend) and asked[-1].refuses_rest else _ran_out
    )
    behind = chain
    live: Backend | None = None
    for plugin in reversed(plugins):
        if isinstance(plugin, Backend):
            behind, live = chain, plugin if plugin.is_live else None
            chain = watch(plugin, stage(plugin, chain))
        elif isinstance(plugin, Filter) and live is not None and plugin.lets_live_pass:
            behind = watch(plugin, _filter(plugin, behind))
            chain = watch(live, stage(live, behind))
        elif isinstance(plugin, Filter):
            chain, live = watch(plugin, _filter(plugin, chain)), None
    return chain


def _of_its_class(backend: Backend, after: Soon) -> Soon:
    """Asks it where the class is, or was made, its own."""
    chain = _backend(backend, after)
    if not backend.is_of_in:
        return chain

    def asked(query: Query) -> Result | Awaitable[Result]:
        return chain(query) if query.cls in {types.IN, types.ANY} else after(query)

    return asked


def _filter(plugin: Filter, inner: Soon) -> Soon:
    if not isinstance(plugin, Editor):
        at_once = plugin.at_once

        def around(query: Query) -> Result | Awaitable[Result]:
            return at_once(query, inner)  # perf: bench forward; a partial costs twice as much

        return around
    edit, later = plugin.edit, plugin.edited

    def edited(query: Query) -> Result | Awaitable[Result]:
        answer = inner(query)
        if type(answer) is Answer:
            return edit(query, answer)
        if answer is SKIP:
            return SKIP
        waited: Any = answer  # Any: a cast costs a call (perf: bench forward)
        return later(query, waited)

    return edited


def _ran_out(_: Query) -> Result:
    return SKIP


def _refuse(_: Query) -> Result:
    return REFUSED


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
