"""ingress: the hosts of Ingresses and of the Gateway API answer where they are reached. Ours.

The answers are made in kdns.zone.hosts, over the cluster of the block's `kubernetes`, which watches
ingresses, gateways and HTTPRoutes only because this directive stands here.
"""

from collections.abc import Awaitable

from kdns.plugins.base import Query, Result
from kdns.plugins.outward import Hosts
from kdns.zone import hosts


class Ingress(Hosts):
    """Answers hosts of ingresses and gateways."""

    name = "ingress"
    whose = "ingresses"
    watched = "entrances"

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """Answers names of the plugin's zones; only what is reached at a name is waited for."""
        return self._found(query, hosts.in_ingress)
