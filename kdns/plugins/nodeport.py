"""nodeport: names of node ports answer the nodes that take them. Ours.

The answers are made in kdns.zone.nodeports, over the cluster of the block's `kubernetes`, which
watches nodes only because this directive stands here.
"""

from collections.abc import Awaitable

from kdns.corefile.options import Settings
from kdns.plugins.base import Query, Result, Site
from kdns.plugins.outward import Outward
from kdns.wire.names import Key
from kdns.zone import nodeports


class NodePort(Outward):
    """Answers names below `nodeport` in each zone."""

    name = "nodeport"

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._keys = tuple(key for group in settings.args for key in group)
        site.beside.setdefault("watched", set()).add("nodes")

    def look(self) -> None:
        """Learns of the cluster of the block, whose zones it is below unless it names its own."""
        super().look()
        view = self._view
        assert view is not None
        keys = self._keys or tuple(zone.key for zone in view.zones if not zone.is_reverse)
        below = (Key(b"\x08nodeport" + key) for key in dict.fromkeys(keys))
        self._zones = self._own(below, "_dns")

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """Answers names of the plugin's zones."""
        return self._found(query, nodeports.answer)
