"""root: the directory that relative paths of the server block start from."""

import logging
import os

from kdns.corefile.options import Settings, Shape, Syntax, text
from kdns.plugins.base import Monitor, Site

log = logging.getLogger("kdns.root")


class Root(Monitor):
    """Gives the directory; the server hands it to the block's other plugins as `site.root`."""

    name = "root"
    syntax = Syntax(args=Shape(words=(text,)), repeats=True)

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.path: str = settings.args[0]

    async def start(self) -> None:
        """Warns of a directory that is not there; it may still appear (CoreDNS)."""
        if not os.path.isdir(self.path):  # noqa: ASYNC240 - no socket is open yet
            log.warning("%s is no directory: relative paths below it will not be found", self.path)
