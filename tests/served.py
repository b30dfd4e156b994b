"""A chain of plugins between start and stop, with their background tasks."""

import asyncio

from tests.fakes import Chain, chain


class Serving:
    """`async with Serving(text, Forward) as served:` has the plugins of `text` at work."""

    def __init__(self, text: str, *kinds, **changes) -> None:
        self.chain: Chain = chain(text, *kinds, **changes)

    async def __aenter__(self) -> Chain:
        self.tasks = []
        for plugin in self.chain.plugins:
            self.tasks += [asyncio.ensure_future(work) for work in plugin.tasks()]
        for plugin in self.chain.plugins:
            await plugin.start()
        return self.chain

    async def __aexit__(self, *_) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for plugin in self.chain.plugins:
            await plugin.stop()
