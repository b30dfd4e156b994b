"""ready: says over HTTP whether the server may be sent queries: every plugin has usable data.

Of all blocks that have this directive. A plugin says so by its `is_ready`; those that do not
define one are no part of it.
"""

import logging
from collections.abc import Mapping, Sequence

from kdns.corefile.options import Settings, Shape, Syntax, choice, host_port
from kdns.plugins.base import Endpoint, HttpReply, Monitor, Plugin, Site

log = logging.getLogger("kdns.ready")

OK = HttpReply()
STOPPING = HttpReply(503, b"Shutting down")


class Ready(Monitor):
    """Serves /ready."""

    name = "ready"
    syntax = Syntax(
        args=Shape(maybe=(host_port,)),
        options={"monitor": Shape((choice("until-ready", "continuously"),))},
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        at: tuple[str, int] = (*settings.args, ("", 8181))[0]
        self.host, self.port = at
        self._is_strict = settings.get("monitor") == "continuously"
        self._were_ready: set[Plugin] = set()
        """Plugins that need not be asked again."""
        self._said = ""
        site.beside["ready"] = True

    def endpoints(self) -> Sequence[Endpoint]:
        """/ready: 200, or 503 with the names of the plugins that are not ready."""
        return (Endpoint(self.host, self.port, "/ready", self._serve),)

    async def _serve(self, _query: Mapping[str, str]) -> HttpReply:
        life = self.site.life
        if life.is_stopping:
            return STOPPING
        missing = [plugin.name for plugin in life.plugins if not self._is_ready(plugin)]
        names = ",".join(sorted(dict.fromkeys(missing)))
        if names != self._said:
            self._said = names
            log.info("Plugins not ready: %s", names or "none any more")
        return HttpReply(503, names.encode()) if names else OK

    def _is_ready(self, plugin: Plugin) -> bool:
        if type(plugin).is_ready is Plugin.is_ready or plugin in self._were_ready:
            return True
        if not plugin.site.beside.get("ready"):  # CoreDNS
            return True
        is_ready = plugin.is_ready
        if is_ready and not self._is_strict:
            self._were_ready.add(plugin)
        return is_ready
