"""nodeport: names of node ports answer the nodes that take them. Ours.

The answers are made in kdns.zone.nodeports, over the cluster of the block's `kubernetes`, which
watches nodes only because this directive stands here.
"""

from typing import ClassVar

from kdns.corefile.options import Settings, Shape, Syntax, integer, zones
from kdns.plugins.base import (
    SKIP,
    Backend,
    Query,
    Result,
    Site,
    fallthrough,
    zone_of,
)
from kdns.wire import types
from kdns.wire.message import Answer
from kdns.wire.names import Key
from kdns.zone import nodeports
from kdns.zone.outer import OuterSerial, zone_in
from kdns.zone.outside import OutsideZone
from kdns.zone.view import View

UNSYNCED = ((types.EDE_NOT_READY, "the cluster is not known yet"),)


class NodePort(Backend):
    """Answers names below `nodeport` in each zone."""

    name = "nodeport"
    is_live = True
    syntax: ClassVar[Syntax] = Syntax(
        args=Shape(rest=zones),
        options={"ttl": Shape((integer(0, 3600),)), "fallthrough": Shape(rest=zones)},
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._ttl: int = settings.get("ttl", 5)
        self._fallthrough = fallthrough(settings)
        self._keys = tuple(key for group in settings.args for key in group)
        self._serial = OuterSerial()
        self._zones: tuple[OutsideZone, ...] = ()
        site.beside.setdefault("watched", set()).add("nodes")

    def look(self) -> None:
        """Learns of the cluster of the block; raises ConfigError where there is none."""
        view = self._view
        if view is None:
            raise self.settings.fail(
                "nodeport: this server block has no kubernetes, whose services it would name",
                "add a kubernetes directive to the block",
            )
        self._serial.store = view.store
        keys = self._keys or tuple(zone.key for zone in view.zones if not zone.is_reverse)
        made = (
            OutsideZone(Key(b"\x08nodeport" + key), self._ttl, self._serial, self.name, "_dns")
            for key in dict.fromkeys(keys)
        )
        self._zones = tuple(sorted(made, key=lambda zone: -len(zone.key)))

    async def start(self) -> None:
        """Learns of the cluster of the block."""
        self.look()

    @property
    def _view(self) -> View | None:
        """The cluster, which `kubernetes` of the same block has."""
        view: View | None = self.site.beside.get("cluster")
        return view

    def at_once(self, query: Query) -> Result:
        """Answers names of the plugin's zones."""
        key, view = query.key, self._view
        zone = zone_in(self._zones, key)
        if view is None or not isinstance(zone, OutsideZone):
            return SKIP
        found = nodeports.answer(view, zone, key, query.type, query.toucher(), self._ttl)
        if not view.store.has_synced:
            query.forget()
            if not isinstance(found, Answer) or not found.answer:
                may_pass = zone_of(key, self._fallthrough) is not None
                return SKIP if may_pass else zone.unsynced.but(ede=UNSYNCED)
        if not isinstance(found, Answer):
            return SKIP if zone_of(key, self._fallthrough) is not None else zone.nxdomain
        return found
