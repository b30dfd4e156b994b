"""The order in which reasons count: what keeps an answer away first, what is worth knowing last.

Of each family the first reason that holds is told; the first of all is the first line of an
explanation.
"""

from collections.abc import Callable
from dataclasses import replace
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
from kdns.explain.reasons.words import lasting
from kdns.explain.said import Reason

Judge = Callable[[Case], Reason | None]

NONE: Final[tuple[Judge, ...]] = (
    spelling.impossible,
    spelling.address_as_name,
    spelling.pasted,
    serverside.not_synced,
)
"""Why there is nothing to look up, or nobody who knows, and no more to say."""
UNASKED: Final[tuple[Judge, ...]] = (
    dnsserver.node_resolver,
    dnsserver.dns_forbidden,
    dnsserver.dns_pods_down,
    dnsserver.dns_service_empty,
    dnsserver.wrong_nameserver,
    dnsserver.unanswered,
)
"""Why no question comes to the server."""
ANSWERS: Final[tuple[Judge, ...]] = (
    serverside.policy,
    shadow.answered_by_plugin,
    shadow.shadowed_by_service,
    shadow.shadowed_by_search_domain,
)
"""Why somebody else answers, or nobody may."""
ABSENT: Final[tuple[Judge, ...]] = (
    spelling.trailing_dot,
    existence.other_zone,
    spelling.illegal_service,
    existence.namespace_terminating,
    existence.no_such_namespace,
    existence.gone,
    existence.no_such_service,
    serverside.left_out,
    existence.pod_name,
)
"""Why there is nothing of that name."""
LEADS: Final[tuple[Judge, ...]] = (
    headless.below_external_name,
    external.external_name_loops,
    external.external_name_is_address,
    freshness.stale_cache,
    serverside.upstream_failed,
    external.external_name_dead,
    serverside.not_served,
    serverside.server_failed,
)
"""Why it does not resolve where it leads out of the cluster."""
EMPTY: Final[tuple[Judge, ...]] = (
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
    endpoints.endpoints_unknown,
)
"""Why nothing is behind it."""
OLD: Final[tuple[Judge, ...]] = (freshness.stale, freshness.behind)
"""Why the server does not know better."""
REACHED: Final[tuple[Judge, ...]] = (
    ports.target_port_absent,
    reach.connection_forbidden,
    ports.target_port_undeclared,
    reach.connection_failed,
    ports.headless_port,
)
"""Why a connection to it fails."""
ODD: Final[tuple[Judge, ...]] = (
    dnsserver.nameserver_silent,
    freshness.endpoints_late,
    spelling.libcs_differ,
)
"""What else is not as it should be."""
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
"""How it ended, told where it was answered, or nothing above holds."""
NOTES: Final[tuple[Judge, ...]] = (
    endpoints.publishes_unready,
    freshness.endpoints_were_late,
)
"""Worth knowing, whatever else is so."""

FAMILIES: Final = (UNASKED, ANSWERS, ABSENT, LEADS, EMPTY, OLD, REACHED, ODD)


def diagnose(case: Case) -> tuple[Reason, ...]:
    """The reasons, the most telling first, one of each family; never none."""
    if nothing := _first(NONE, case):
        return (nothing,)
    found = [reason for family in FAMILIES if (reason := _first(family, case))]
    if not found or case.is_answered:
        ended = _first(ENDS, case)
        found += [ended] if ended else []
    found += [reason for judge in NOTES if (reason := judge(case))]
    unique: dict[str, Reason] = {}
    for reason in found:
        unique.setdefault(reason.id, reason)
    return _dated(tuple(unique.values()), case)


def _dated(found: tuple[Reason, ...], case: Case) -> tuple[Reason, ...]:
    """What a server that is cut off knows may have changed: the first line says so."""
    first, *others = found
    age_s = case.facts.server.stale_s
    is_old = any(one.id == "stale" for one in others)
    if not (is_old and age_s):
        return found
    says = f"{first.says}; so it was {lasting(age_s)} ago, when the API server was last heard of"
    return (replace(first, says=says), *others)


def _first(family: tuple[Judge, ...], case: Case) -> Reason | None:
    return next((reason for judge in family if (reason := judge(case))), None)
