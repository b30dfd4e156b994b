"""The Kubernetes DNS specification 1.1.0, the zone as a whole: version, denials, empty names, case.

What all modules of Kubernetes clauses share is here too: choosing services, comparing answers.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from kdns.conformance.case import Case
from kdns.conformance.clauses import Group, Skipped
from kdns.conformance.objects import Service
from kdns.conformance.packets import Reply
from kdns.wire import types

SPEC = "Kubernetes DNS spec 1.1.0"
MOST = 5
"""So many services of a shape are tried, where a cluster has more."""
NEGATIVE_S = 30

GROUP = Group("Kubernetes DNS specification: the zone")

_VERSION = re.compile(r'"\d+\.\d+\.\d+"')


def known(case: Case, suits: Callable[[Service], object], what: str) -> list[Service]:
    """Some services of a shape; the clause is skipped where there is none."""
    objects = case.target.objects
    found = objects.where(suits) if objects else []
    if not found:
        raise Skipped(f"there is no {what} among the known services")
    return found[:MOST]


def expect_values(case: Case, reply: Reply, type_: str, expected: Iterable[str]) -> None:
    """Fails unless the reply holds exactly these records of a type."""
    wanted = sorted(expected)
    shown = ", ".join(wanted) if len(wanted) <= MOST else f"{len(wanted)} records"
    values = [value.lower() for value in reply.values(type_)]
    case.expect(
        reply.rcode == "NOERROR" and sorted(values) == sorted(map(str.lower, wanted)),
        f"NOERROR and {type_} {shown}",
    )


def expect_no_data(case: Case, reply: Reply, what: str) -> None:
    """Fails unless the name exists and has no such record."""
    case.expect(reply.rcode == "NOERROR" and not reply.message.answer, f"NOERROR, empty: {what}")


def expect_denied(case: Case, reply: Reply, what: str) -> None:
    """Fails unless the name does not exist."""
    case.expect(reply.rcode == "NXDOMAIN", f"NXDOMAIN: {what}")


def expect_none_of(case: Case, reply: Reply, type_: str, unwanted: Sequence[str]) -> None:
    """Fails when one of these records came."""
    came = set(reply.values(type_)) & set(unwanted)
    case.expect(not came, f"no {type_} {', '.join(unwanted)}")


@GROUP.clause(
    "k8s-schema-version",
    "dns-version.<zone> has a TXT record with the version of the schema.",
    f"{SPEC} §2.2",
)
async def _(case: Case) -> None:
    reply = await case.ask(f"dns-version.{case.target.zone}", "TXT")
    values = reply.values("TXT")
    case.expect(
        reply.rcode == "NOERROR" and len(values) == 1 and _VERSION.fullmatch(values[0]),
        'one TXT record like "1.1.0"',
    )


@GROUP.clause(
    "k8s-kubernetes-default",
    "kubernetes.default has an address, in every cluster.",
    "Kubernetes e2e: should provide DNS for the cluster",
)
async def _(case: Case) -> None:
    objects, zone = case.target.objects, case.target.zone
    spaces = (
        {one.namespace for one in objects.services if one.name == "kubernetes"} if objects else ()
    )
    if objects and "default" not in spaces:
        raise Skipped(
            "the known objects are no whole cluster: kubernetes.default is not among them"
        )
    name = f"kubernetes.default.svc.{zone}"
    found = [
        *(await case.ask(name)).values("A"),
        *(await case.ask(name, "AAAA")).values("AAAA"),
    ]
    case.expect(found, f"an A or AAAA record of {name}")


@GROUP.clause(
    "k8s-no-such-service",
    "A name of no service does not exist.",
    f"{SPEC} §2.3, RFC 1035 §4.1.1",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    for service in known(case, lambda _: True, "service")[:1]:
        name = case.target.missing().replace(".", f".{service.namespace}.svc.", 1)
        expect_denied(case, await case.ask(name), "there is no such service")


@GROUP.clause(
    "k8s-no-such-namespace",
    "A service in no namespace does not exist.",
    f"{SPEC} §2.3, RFC 1035 §4.1.1",
)
async def _(case: Case) -> None:
    name = "web." + case.target.missing().replace(".", ".svc.", 1)
    expect_denied(case, await case.ask(name), "there is no such namespace")


@GROUP.clause(
    "k8s-negative-ttl",
    f"What does not exist is denied for at most {NEGATIVE_S} s, or a new service is found late.",
    "RFC 2308 §5",
    level="should",
)
async def _(case: Case) -> None:
    reply = await case.ask("web." + case.target.missing().replace(".", ".svc.", 1))
    soa = reply.soa
    case.expect(soa, "an SOA record in the authority section")
    assert soa
    least = min(soa.ttl, int.from_bytes(soa.rdatas[0][-4:], "big"))
    case.note(f"negative TTL {least} s")
    case.expect(least <= NEGATIVE_S, f"a negative TTL of at most {NEGATIVE_S} s", f"{least} s")


@GROUP.clause(
    "k8s-empty-svc",
    "svc.<zone> exists, as services are below it; a resolver that cuts at NXDOMAIN loses them all.",
    "RFC 8020 §2, RFC 4592 §2.2.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    known(case, lambda _: True, "service")
    expect_no_data(case, await case.ask(f"svc.{case.target.zone}"), "services are below it")


@GROUP.clause(
    "k8s-empty-namespace",
    "<ns>.svc.<zone> exists, as the namespace's services are below it.",
    "RFC 8020 §2, RFC 4592 §2.2.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    for service in known(case, lambda _: True, "service")[:1]:
        reply = await case.ask(f"{service.namespace}.svc.{case.target.zone}")
        expect_no_data(case, reply, "services are below it")


@GROUP.clause(
    "k8s-empty-protocol",
    "_<proto>.<service>.<ns>.svc.<zone> exists where SRV records are below it.",
    "RFC 8020 §2, RFC 4592 §2.2.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    for service in known(case, _has_named_port, "ClusterIP service with a named port")[:1]:
        protocol = service.named_ports()[0].protocol
        reply = await case.ask(f"_{protocol}.{service.fqdn(case.target.zone)}")
        expect_no_data(case, reply, "SRV records are below it")


@GROUP.clause(
    "k8s-case",
    "Names are compared without regard to letter case.",
    f"{SPEC} §2.1, RFC 4343",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    for service in known(case, _is_addressed, "ClusterIP service")[:1]:
        name, type_ = service.fqdn(case.target.zone), service.family()
        for written in (name.upper(), name.title()):
            reply = await case.ask(written, type_)
            expect_values(case, reply, type_, service.addresses(type_))


@GROUP.clause(
    "k8s-pod-record",
    "<a>-<b>-<c>-<d>.<ns>.pod.<zone> has the address that it spells (deprecated, still asked for).",
    f"{SPEC} §2.6",
    level="should",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    for service in known(case, lambda _: True, "service")[:1]:
        reply = await case.ask(f"198-18-0-9.{service.namespace}.pod.{case.target.zone}")
        expect_values(case, reply, "A", ["198.18.0.9"])


@GROUP.clause(
    "k8s-outside",
    "A name outside its zones is looked up or refused, never denied with authority.",
    "RFC 1034 §4.3.2, RFC 8499 §7",
)
async def _(case: Case) -> None:
    reply = await case.ask(case.target.missing().partition(".")[0] + ".test.")
    case.expect("aa" not in reply.flags, "no AA on a name that is not its own")
    if "ra" in reply.flags:
        return
    case.expect(
        reply.rcode in {"REFUSED", "SERVFAIL"},
        "REFUSED or SERVFAIL from a server without recursion, on which a stub goes on",
    )


@GROUP.clause(
    "k8s-ra",
    "A server that recurses says so (RA) in the replies on cluster names as well.",
    "RFC 1035 §4.1.1",
    level="should",
    needs=("recursion",),
)
async def _(case: Case) -> None:
    reply = await case.ask(f"dns-version.{case.target.zone}", "TXT", flags=types.RD)
    case.expect("ra" in reply.flags, "RA")


def _is_addressed(service: Service) -> bool:
    return service.kind == "ClusterIP" and bool(service.cluster_ips)


def _has_named_port(service: Service) -> bool:
    return service.kind == "ClusterIP" and bool(service.named_ports())
