"""Finds out what a server is before it is tested: does it answer, and what may be tried on it.

The names that clauses need are chosen among the known objects; without any, kubernetes.default is
tried, which every cluster has.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace

from kdns.conformance.case import Case
from kdns.conformance.clauses import Failed
from kdns.conformance.objects import Objects, Service
from kdns.conformance.target import Target

SERVED_S = 30.0
"""How long the suite waits for its objects to be served; then clauses say what is not."""
_BIG = 40
"""Addresses of this number need more than 512 octets."""


class SilentError(Exception):
    """The server does not answer anything."""


async def survey(target: Target) -> Target:
    """The target with what it has; raises SilentError when nobody answers there."""
    case = Case(target)
    try:
        apex = await case.ask(target.zone, "SOA")
    except Failed as failed:
        raise SilentError(failed.seen) from None
    has = set(target.has)
    if "aa" in apex.flags and apex.values("SOA"):
        has.add("authority")
    if await _recurses(case):
        has.add("recursion")
    if await _has_tcp(case):
        has.add("tcp")
    name, big = await _names(case, target)
    has |= {need for need, found in (("name", name), ("big", big)) if found}
    if target.objects:
        has.add("cluster")
    if target.workshop:
        has.add("objects")
    return replace(target, name=name, big=big, has=frozenset(has))


async def settle(target: Target) -> float | None:
    """Waits until the objects are served; how long it took, None when they are not after all."""
    assert target.objects
    case = Case(target)
    loop = asyncio.get_running_loop()
    began = loop.time()
    awaited = list(target.objects.services)
    while loop.time() - began < SERVED_S:
        awaited = [one for one in awaited if not await _is_served(case, one)]
        if not awaited:
            return loop.time() - began
        await asyncio.sleep(0.1)
    return None


async def _is_served(case: Case, service: Service) -> bool:
    name = service.fqdn(case.target.zone)
    try:
        if service.kind == "ExternalName":
            return bool((await case.ask(name, "CNAME")).values("CNAME"))
        type_ = service.family()
        return not service.addresses(type_) or bool((await case.resolve(name, type_)).values(type_))
    except Failed:
        return False


async def _has_tcp(case: Case) -> bool:
    """True when the server answers over TCP."""
    try:
        return bool(await case.ask(case.target.zone, "SOA", transport="tcp"))
    except Failed:
        return False


async def _recurses(case: Case) -> bool:
    """True when the server offers to look up what is not its own."""
    try:
        return "ra" in (await case.ask("kdns-conformance.test.")).flags
    except Failed:
        return False


async def _names(case: Case, target: Target) -> tuple[str, str]:
    """A name with an address, and one with many: those given, else of the known objects."""
    objects, zone = target.objects or Objects(()), target.zone

    def first(services: list[Service]) -> str:
        return next((one.fqdn(zone) for one in services), "")

    plain = objects.where(lambda one: one.kind == "ClusterIP" and one.addresses("A"))
    many = objects.where(lambda one: one.kind == "Headless" and len(one.addresses("A")) > _BIG)
    name, big = target.name or first(plain), target.big or first(many)
    usual = f"kubernetes.default.svc.{zone}"
    if not name and await _has_address(case, usual):
        name = usual
    return name, big


async def _has_address(case: Case, name: str) -> bool:
    try:
        return bool((await case.ask(name)).values("A"))
    except Failed:
        return False


async def learn(target: Target) -> tuple[Target, int]:
    """Asks for ClusterIPs that manifests leave to the API server; and for how many services."""
    assert target.objects
    case, learnt, count = Case(target), [], 0
    for service in target.objects.services:
        known = service
        if service.kind == "ClusterIP" and not service.cluster_ips:
            name = service.fqdn(target.zone)
            with suppress(Failed):  # clauses about it say so
                v4, v6 = await case.ask(name), await case.ask(name, "AAAA")
                known = replace(service, cluster_ips=(*v4.values("A"), *v6.values("AAAA")))
            count += 1
        learnt.append(known)
    objects = replace(target.objects, services=tuple(learnt))
    return replace(target, objects=objects), count
