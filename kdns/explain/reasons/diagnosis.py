"""The order in which reasons count: what keeps an answer away first, what is worth knowing last.

Every reason is tried; those that hold are told. The first is the first line of an explanation.
"""

from collections.abc import Callable
from typing import Final

from kdns.explain.reasons import (
    dnsserver,
    endpoints,
    ends,
    existence,
    external,
    freshness,
    headless,
    ports,
    reach,
    serverside,
    shadow,
    spelling,
)
from kdns.explain.reasons.case import Case
from kdns.explain.said import Reason

Judge = Callable[[Case], Reason | None]

UNASKED: Final[tuple[Judge, ...]] = (
    spelling.impossible,
    spelling.address_as_name,
    dnsserver.node_resolver,
    dnsserver.dns_forbidden,
    dnsserver.dns_pods_down,
    dnsserver.dns_service_empty,
    dnsserver.wrong_nameserver,
    dnsserver.unanswered,
)
"""Why no question comes to the server."""
ANSWERS: Final[tuple[Judge, ...]] = (
    serverside.not_synced,
    serverside.policy,
    shadow.answered_by_plugin,
    shadow.shadowed_by_service,
    shadow.shadowed_by_search_domain,
    spelling.trailing_dot,
    existence.other_zone,
    spelling.illegal_service,
    existence.namespace_terminating,
    existence.no_such_namespace,
    existence.gone,
    existence.no_such_service,
    serverside.left_out,
    existence.pod_name,
    external.external_name_loops,
    external.external_name_is_address,
)
"""Why the answer is what it is."""
BEHIND: Final[tuple[Judge, ...]] = (
    freshness.stale_cache,
    serverside.upstream_failed,
    external.external_name_dead,
    ports.no_such_port,
    freshness.controller_silent,
    endpoints.endpoint_not_ready,
    headless.no_such_endpoint,
    endpoints.selector_matches_nothing,
    endpoints.pods_terminating,
    endpoints.none_ready,
    endpoints.all_published,
    endpoints.nobody_writes_endpoints,
    endpoints.endpoints_empty,
    freshness.stale,
    freshness.behind,
    ports.target_port_absent,
    reach.connection_forbidden,
    reach.connection_failed,
    ports.target_port_undeclared,
    freshness.endpoints_late,
    serverside.not_served,
    serverside.server_failed,
    spelling.libcs_differ,
)
"""What is behind the name, or whoever the server asks."""
ENDS: Final[tuple[Judge, ...]] = (
    ends.no_data,
    ends.not_judged,
    existence.reverse,
    ends.no_such_name,
    shadow.search_wastes,
    ends.resolves,
    ends.no_walk,
    ends.undecided,
)
"""How it ended: the first of these that holds is told where nothing above does."""
NOTES: Final[tuple[Judge, ...]] = (
    endpoints.publishes_unready,
    freshness.endpoints_were_late,
)
"""Worth knowing, whatever else is so."""


def diagnose(case: Case) -> tuple[Reason, ...]:
    """The reasons, the most telling first; never none."""
    found = [reason for judge in (*UNASKED, *ANSWERS, *BEHIND) if (reason := judge(case))]
    if not found or case.is_answered:
        ended = next((reason for judge in ENDS if (reason := judge(case))), None)
        found += [ended] if ended else []
    found += [reason for judge in NOTES if (reason := judge(case))]
    return tuple({reason.id: reason for reason in reversed(found)}[one] for one in _ids(found))


def _ids(found: list[Reason]) -> list[str]:
    return list(dict.fromkeys(reason.id for reason in found))
