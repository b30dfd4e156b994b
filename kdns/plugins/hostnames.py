"""hostnames: the names that annotations of services ask for (those of ExternalDNS). Ours.

The answers are made in kdns.zone.hosts, over the cluster of the block's `kubernetes`, which reads
these annotations only because this directive stands here.
"""

from collections.abc import Awaitable

from kdns.plugins.base import Query, Result
from kdns.plugins.outward import Hosts
from kdns.zone import hosts


class Hostnames(Hosts):
    """Answers hosts of services."""

    name = "hostnames"
    watched = "hosts"

    def at_once(self, query: Query) -> Result | Awaitable[Result]:
        """Answers names of the plugin's zones; only what is reached at a name is waited for."""
        return self._found(query, hosts.in_services)
