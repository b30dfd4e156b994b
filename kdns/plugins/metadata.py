"""metadata: lets plugins label queries for its zones, for `log`, `rewrite`, `template` to read.

A plugin that labels every query, before any other plugin has seen it, puts a function for that into
`site.beside["metadata"]`.
"""

from kdns.corefile.options import Settings, Shape, Syntax, zones
from kdns.plugins.base import Filter, Next, Query, Result, Site, own_zones, zone_of


class Metadata(Filter):
    """Turns labels on; without it `query.note` is free and stores nothing."""

    name = "metadata"
    syntax = Syntax(args=Shape(rest=zones))

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.zones = own_zones(settings, site, settings.args)
        site.beside["metadata labels"] = self.collect

    async def around(self, query: Query, next_: Next) -> Result:
        """Passes the query on with its labels."""
        self.collect(query)
        return await next_(query)

    def collect(self, query: Query) -> None:
        """Offers the ledger a place for labels when the name is in one of the zones."""
        ledger = query.ledger
        if ledger.metadata is None and zone_of(query.key, self.zones) is not None:
            ledger.metadata = {}
            for offer in self.site.beside.get("metadata", ()):
                offer(query)
