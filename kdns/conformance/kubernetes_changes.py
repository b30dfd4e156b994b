"""Changes in the cluster and how soon answers follow them: measured, and they should within 10 s.

Each clause makes objects of its own, so that they may run side by side. The behaviours are those
of the Kubernetes e2e tests, and what people wait for: a new service, a scaled one, a deleted one.
"""

import asyncio
from collections.abc import Callable

from kdns.conformance import wanted
from kdns.conformance.api import ApiError
from kdns.conformance.case import Case
from kdns.conformance.clauses import Failed, Group, Skipped
from kdns.conformance.kubernetes import expect_values
from kdns.conformance.objects import Service
from kdns.conformance.packets import Reply
from kdns.conformance.workshop import Workshop

GROUP = Group("Changes in the cluster, and how soon they are answered")

BOUND_S = 10.0
"""What people may expect; no specification has a figure, so that this only should hold."""
EVENTUALLY_S = 60.0
"""What the e2e tests and the other clauses wait for: caches with usual TTLs have expired."""
WATCHED_S = 1.0
"""How long nothing may go missing."""
_LIMIT_S = 4 * EVENTUALLY_S
_FIRST_STEP_S, _STEP_S = 0.002, 0.05
"""Between questions, longer each time."""
_E2E = "Kubernetes e2e"
_SLI = "Kubernetes SLI: DNS programming latency"


def _shop(case: Case) -> Workshop:
    assert case.target.workshop
    return case.target.workshop


async def _until(
    case: Case,
    what: str,
    holds: Callable[[Reply], object],
    name: str,
    *,
    type_: str = "A",
    within_s: float,
) -> None:
    """Asks until a reply is as it must become; notes how long that took."""
    loop = asyncio.get_running_loop()
    began, step = loop.time(), _FIRST_STEP_S
    while loop.time() - began < within_s:
        if holds(await case.resolve(name, type_)):
            took_ms = (loop.time() - began) * 1000
            case.note(f"{what}: {took_ms:.{0 if took_ms >= 10 else 1}f} ms")
            return
        await asyncio.sleep(step)
        step = min(step * 1.5, _STEP_S)
    raise Failed(f"{what} within {within_s:g} s", str(case.last))


async def _until_served(case: Case, what: str, service: Service, *, within_s: float) -> None:
    """Asks until a service has its ClusterIPs."""
    type_ = service.family()
    holds = _has(type_, *service.addresses(type_))
    name = service.fqdn(case.target.zone)
    await _until(case, what, holds, name, type_=type_, within_s=within_s)


def _has(type_: str, *values: str) -> Callable[[Reply], object]:
    return lambda reply: reply.rcode == "NOERROR" and reply.values(type_) == sorted(values)


def _is_gone(reply: Reply) -> bool:
    return reply.rcode == "NXDOMAIN"


@GROUP.clause(
    "k8s-new-service",
    f"A new service is answered within {BOUND_S:g} s.",
    _SLI,
    level="should",
    needs=("objects",),
    limit_s=_LIMIT_S,
)
async def _(case: Case) -> None:
    made = await _shop(case).service("fresh", ports=[wanted.port("http", 80)])
    await _until_served(case, "new service", made, within_s=BOUND_S)


@GROUP.clause(
    "k8s-new-service-after-denial",
    f"A name that was denied just before is answered within {BOUND_S:g} s of its service's making.",
    "RFC 2308 §5",
    level="should",
    needs=("objects",),
    limit_s=_LIMIT_S,
)
async def _(case: Case) -> None:
    shop = _shop(case)
    name = f"awaited.{shop.place.namespace}.svc.{case.target.zone}"
    await case.ask(name)
    made = await shop.service("awaited", ports=[wanted.port("http", 80)])
    await _until_served(case, "new service after NXDOMAIN", made, within_s=BOUND_S)


@GROUP.clause(
    "k8s-scaled",
    f"Endpoints that come, or go, are answered within {BOUND_S:g} s.",
    _SLI,
    level="should",
    needs=("objects",),
    limit_s=_LIMIT_S,
)
async def _(case: Case) -> None:
    shop = _shop(case)
    one, two, three = map(shop.place.v4, (41, 42, 43))
    made = await shop.service("scaled", clusterIP="None", ports=[wanted.port("http", 80)])
    await shop.slice_("scaled", [one])
    name = made.fqdn(case.target.zone)
    await _until(case, "first endpoint", _has("A", one), name, within_s=BOUND_S)
    await shop.fill("scaled", [*map(wanted.endpoint, (one, two, three))])
    await _until(case, "two more endpoints", _has("A", one, two, three), name, within_s=BOUND_S)
    await shop.fill("scaled", [wanted.endpoint(three)])
    await _until(case, "two endpoints less", _has("A", three), name, within_s=BOUND_S)


@GROUP.clause(
    "k8s-readiness",
    f"An endpoint that is ready no more, and then again, is followed within {BOUND_S:g} s.",
    "Kubernetes DNS spec 1.1.0 §2.4.1",
    level="should",
    needs=("objects",),
    limit_s=_LIMIT_S,
)
async def _(case: Case) -> None:
    shop = _shop(case)
    steady, shaky = map(shop.place.v4, (51, 52))
    made = await shop.service("shaky", clusterIP="None", ports=[wanted.port("http", 80)])
    await shop.slice_("shaky", [steady, shaky])
    name = made.fqdn(case.target.zone)
    await _until(case, "both ready", _has("A", steady, shaky), name, within_s=BOUND_S)
    unready = wanted.endpoint(shaky, is_ready=False)
    await shop.fill("shaky", [wanted.endpoint(steady), unready])
    await _until(case, "one not ready", _has("A", steady), name, within_s=BOUND_S)
    await shop.fill("shaky", [*map(wanted.endpoint, (steady, shaky))])
    await _until(case, "ready again", _has("A", steady, shaky), name, within_s=BOUND_S)


@GROUP.clause(
    "k8s-moved",
    "An endpoint that is moved from one slice to another is answered all the while.",
    "Kubernetes DNS spec 1.1.0 §2.4.1",
    needs=("objects",),
    limit_s=_LIMIT_S,
)
async def _(case: Case) -> None:
    shop = _shop(case)
    stays, moves = map(shop.place.v4, (61, 62))
    made = await shop.service("moved", clusterIP="None", ports=[wanted.port("http", 80)])
    await shop.slice_("moved", [stays, moves])
    name = made.fqdn(case.target.zone)
    await _until(case, "served", _has("A", stays, moves), name, within_s=EVENTUALLY_S)
    await shop.slice_("moved", [moves], suffix="b")
    await shop.fill("moved", [wanted.endpoint(stays)])
    loop = asyncio.get_running_loop()
    end = loop.time() + WATCHED_S
    while loop.time() < end:
        expect_values(case, await case.ask(name), "A", [stays, moves])
        await asyncio.sleep(_STEP_S / 5)


@GROUP.clause(
    "k8s-deleted",
    f"A service that is deleted is denied within {BOUND_S:g} s.",
    _SLI,
    level="should",
    needs=("objects",),
    limit_s=_LIMIT_S,
)
async def _(case: Case) -> None:
    shop = _shop(case)
    made = await shop.service("doomed", ports=[wanted.port("http", 80)])
    name = made.fqdn(case.target.zone)
    await _until_served(case, "new service", made, within_s=EVENTUALLY_S)
    await shop.remove("Service", "doomed")
    await _until(case, "deleted service", _is_gone, name, within_s=BOUND_S)


@GROUP.clause(
    "k8s-e2e-external-name",
    "An ExternalName that is changed, then made a ClusterIP, is followed.",
    f"{_E2E}: should provide DNS for ExternalName services",
    needs=("objects",),
    limit_s=_LIMIT_S,
)
async def _(case: Case) -> None:
    shop = _shop(case)
    first, second = "foo.kdns-conformance.example.", "bar.kdns-conformance.example."
    made = await shop.service("changing", type="ExternalName", externalName=first.rstrip("."))
    name = made.fqdn(case.target.zone)
    await _until(
        case, "ExternalName", _has("CNAME", first), name, type_="CNAME", within_s=EVENTUALLY_S
    )
    await shop.alter("changing", externalName=second.rstrip("."))
    await _until(
        case,
        "changed ExternalName",
        _has("CNAME", second),
        name,
        type_="CNAME",
        within_s=EVENTUALLY_S,
    )
    made = await shop.alter(
        "changing", type="ClusterIP", externalName=None, ports=[wanted.port("http", 80)]
    )
    await _until_served(case, "made a ClusterIP", made, within_s=EVENTUALLY_S)


@GROUP.clause(
    "k8s-e2e-headless-subdomain",
    "A pod's hostname and subdomain are found, over UDP and TCP.",
    f"{_E2E}: should provide DNS for pods for Hostname, for Subdomain",
    needs=("objects",),
    limit_s=_LIMIT_S,
)
async def _(case: Case) -> None:
    shop = _shop(case)
    address = shop.place.v4(71)
    made = await shop.service("subdomain", clusterIP="None", ports=[wanted.port("http", 80)])
    await shop.slice_("subdomain", [address])
    await shop.fill("subdomain", [wanted.endpoint(address, "querier")])
    name = made.fqdn(case.target.zone)
    await _until(case, "hostname", _has("A", address), f"querier.{name}", within_s=EVENTUALLY_S)
    await _until(case, "subdomain", _has("A", address), name, within_s=EVENTUALLY_S)
    for asked in (f"querier.{name}", name):
        expect_values(case, await case.ask(asked, transport="tcp"), "A", [address])


@GROUP.clause(
    "k8s-e2e-digit",
    "A service whose name begins with a digit is answered, where the API server allows it.",
    f"{_E2E}: RelaxedServiceNameValidation",
    needs=("objects",),
    limit_s=_LIMIT_S,
)
async def _(case: Case) -> None:
    try:
        made = await _shop(case).service("1digit", ports=[wanted.port("http", 80)])
    except ApiError as error:
        if error.code != 422:
            raise
        raise Skipped("the API server allows no such name") from None
    await _until_served(case, "new service", made, within_s=EVENTUALLY_S)
