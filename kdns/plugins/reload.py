"""reload: looks from time to time whether the Corefile differs, and has the server take it over.

How a Corefile is read, compared and put in place is the server's business (server/reload.py).
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

from kdns.corefile.options import Settings, Shape, Syntax, duration
from kdns.observe.counters import Labels
from kdns.plugins.base import Life, Monitor, Site

log = logging.getLogger("kdns.reload")


class Reload(Monitor):
    """Asks for a reload, again and again."""

    name = "reload"
    syntax = Syntax(args=Shape(maybe=(duration(2), duration(0))))

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        given: list[float] = [*settings.args]
        every_s, jitter_s = given + [30.0, 15.0][len(given) :]
        if 0 < jitter_s < 1:
            raise settings.fail(
                "reload: the jitter is less than 1s", "write 0s for none, or 1s and more"
            )
        jitter_s = min(jitter_s, every_s / 2)
        self.interval_s = every_s + (site.chance.random() - 0.5) * jitter_s
        """Drawn once, so that replicas do not all read at the same moment."""

    async def start(self) -> None:
        """Publishes the version that serves, while some Corefile with `reload` does."""
        self.site.counters.add("coredns_reload_failed_total", by=0)
        self.site.counters.ask("coredns_reload_version_info", partial(_version, self.site.life))

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Looks at the Corefile."""
        return (self._look(),)

    async def _look(self) -> None:
        life = self.site.life
        if life.reload is None:
            return  # a Corefile that came from elsewhere than a file
        while self not in life.plugins:  # noqa: ASYNC110 - rare, and for a moment
            await asyncio.sleep(0.05)
        log.info("Running configuration SHA512 = %s", life.version)
        while True:
            await asyncio.sleep(self.interval_s)
            await life.reload()


def _version(life: Life) -> Iterable[tuple[Labels, float]]:
    serves = any(isinstance(plugin, Reload) for plugin in life.plugins)
    return ((("sha512", life.version), 1),) if serves else ()
