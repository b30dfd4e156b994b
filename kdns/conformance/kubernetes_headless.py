"""The Kubernetes DNS specification 1.1.0 §2.4: headless services, endpoint by endpoint."""

from kdns.conformance.case import Case
from kdns.conformance.clauses import Group
from kdns.conformance.kubernetes import (
    SPEC,
    expect_denied,
    expect_none_of,
    expect_values,
    known,
)
from kdns.conformance.kubernetes_services import port_and_target, reverse, srv_name
from kdns.conformance.objects import Endpoint, Service, of_family

GROUP = Group("Kubernetes DNS specification: headless services")

MOST_RESOLVED = 20
"""Endpoints of a service whose names are all looked up."""


def headless(service: Service) -> bool:
    """True of a headless service with ready endpoints."""
    return service.kind == "Headless" and bool(service.ready())


def _all(case: Case) -> list[Service]:
    return known(case, headless, "headless service with ready endpoints")


def _hostnames(service: Service) -> dict[str, list[Endpoint]]:
    """The ready endpoints of each hostname."""
    found: dict[str, list[Endpoint]] = {}
    for one in service.ready():
        if one.hostname:
            found.setdefault(one.hostname, []).append(one)
    return found


def _hidden(service: Service, type_: str) -> list[str]:
    """Addresses that are not ready in any slice."""
    mine = of_family(type_, (one.address for one in service.endpoints))
    return sorted(set(mine) - set(service.addresses(type_)))


async def _has_addresses(case: Case, type_: str) -> None:
    """Every ready address is there; that no other one is, is another clause."""

    def suits(one: Service) -> bool:
        return headless(one) and bool(one.addresses(type_))

    what = f"headless service with ready {type_} endpoints"
    for service in known(case, suits, what):
        reply = await case.resolve(service.fqdn(case.target.zone), type_)
        wanted = service.addresses(type_)
        missing = set(wanted) - set(reply.values(type_))
        case.expect(not missing, f"{len(wanted)} {type_} records, {', '.join(missing)} among them")


@GROUP.clause(
    "k8s-headless-a",
    "A headless service has an A record for each ready IPv4 endpoint.",
    f"{SPEC} §2.4.1",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    await _has_addresses(case, "A")


@GROUP.clause(
    "k8s-headless-aaaa",
    "A headless service has an AAAA record for each ready IPv6 endpoint.",
    f"{SPEC} §2.4.1",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    await _has_addresses(case, "AAAA")


@GROUP.clause(
    "k8s-headless-unready",
    "An endpoint that is not ready is not among the addresses.",
    f"{SPEC} §2.4.1",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return headless(one) and bool(_hidden(one, "A"))

    for service in known(case, suits, "headless service with an unready endpoint beside others"):
        reply = await case.resolve(service.fqdn(case.target.zone))
        expect_none_of(case, reply, "A", _hidden(service, "A"))


@GROUP.clause(
    "k8s-headless-no-duplicates",
    "An address that two slices name is answered once.",
    "RFC 2181 §5",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return headless(one) and len(one.ready()) > len({each.address for each in one.ready()})

    for service in known(case, suits, "headless service with an address in two slices"):
        values = (await case.resolve(service.fqdn(case.target.zone))).values("A")
        twice = sorted({value for value in values if values.count(value) > 1})
        case.expect(not twice, "each address once", f"twice: {', '.join(twice)}")


def _with_hostnames(case: Case) -> list[Service]:
    def suits(one: Service) -> bool:
        return one.kind == "Headless" and bool(_hostnames(one))

    return known(case, suits, "headless service whose endpoints have hostnames")


async def _named(case: Case, type_: str) -> None:
    for service in _with_hostnames(case):
        for hostname, endpoints in list(_hostnames(service).items())[:5]:
            addresses = of_family(type_, (one.address for one in endpoints))
            if addresses and len(addresses) == 1:
                reply = await case.ask(f"{hostname}.{service.fqdn(case.target.zone)}", type_)
                expect_values(case, reply, type_, addresses)


@GROUP.clause(
    "k8s-headless-hostname-a",
    "An endpoint's hostname below the service has its A record.",
    f"{SPEC} §2.4.1",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    await _named(case, "A")


@GROUP.clause(
    "k8s-headless-hostname-aaaa",
    "An endpoint's hostname below the service has its AAAA record.",
    f"{SPEC} §2.4.1",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    await _named(case, "AAAA")


@GROUP.clause(
    "k8s-headless-hostname-shared",
    "A hostname that several endpoints have stands for all their addresses.",
    f"{SPEC} §2.4.1",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def shared(one: Service) -> list[tuple[str, list[str]]]:
        found = [
            (hostname, of_family("A", (each.address for each in endpoints)))
            for hostname, endpoints in _hostnames(one).items()
        ]
        return [(hostname, addresses) for hostname, addresses in found if len(addresses) > 1]

    for service in known(
        case, lambda one: one.kind == "Headless" and shared(one), "hostname of two endpoints"
    ):
        for hostname, addresses in shared(service)[:2]:
            reply = await case.ask(f"{hostname}.{service.fqdn(case.target.zone)}")
            expect_values(case, reply, "A", addresses)


@GROUP.clause(
    "k8s-headless-hostname-unready",
    "The hostname of an endpoint that is not ready has no address.",
    f"{SPEC} §2.4.1",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def waiting(one: Service) -> list[str]:
        ready = _hostnames(one)
        return [
            each.hostname for each in one.endpoints if each.hostname and each.hostname not in ready
        ]

    for service in known(
        case, lambda one: one.kind == "Headless" and waiting(one), "unready endpoint's hostname"
    ):
        reply = await case.ask(f"{waiting(service)[0]}.{service.fqdn(case.target.zone)}")
        case.expect(not reply.values("A"), "no address")


@GROUP.clause(
    "k8s-headless-idle",
    "A headless service none of whose endpoints is ready does not exist.",
    f"{SPEC} §2.4.1",
    level="should",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return one.kind == "Headless" and bool(one.endpoints) and not one.ready()

    for service in known(case, suits, "headless service with unready endpoints alone"):
        reply = await case.ask(service.fqdn(case.target.zone))
        expect_denied(case, reply, "no endpoint is ready")


@GROUP.clause(
    "k8s-headless-void",
    "A headless service without endpoints does not exist.",
    f"{SPEC} §2.4.1",
    level="should",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return one.kind == "Headless" and not one.endpoints

    for service in known(case, suits, "headless service without endpoints"):
        reply = await case.ask(service.fqdn(case.target.zone))
        expect_denied(case, reply, "there is no endpoint")


def _with_port(case: Case) -> list[Service]:
    def suits(one: Service) -> bool:
        return headless(one) and bool(_offered(one))

    return known(case, suits, "headless service with a named port")


def _offered(service: Service) -> list[tuple[str, str]]:
    """Named ports that its slices have, too."""
    mine = [(port.name, port.protocol) for port in service.named_ports()]
    theirs = {(port.name, port.protocol) for one in service.ready() for port in one.ports}
    return [port for port in mine if port in theirs]


@GROUP.clause(
    "k8s-headless-srv",
    "Each named port has an SRV record for each ready endpoint, with the port's number.",
    f"{SPEC} §2.4.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    zone = case.target.zone
    for service in _with_port(case):
        for port in service.named_ports():
            serving = [
                (one.hostname or one.address, each.number)
                for one in service.ready()
                for each in one.ports
                if (each.name, each.protocol) == (port.name, port.protocol)
            ]
            if not serving:
                continue
            reply = await case.resolve(srv_name(port, service, zone), "SRV")
            said = [port_and_target(value) for value in reply.values("SRV")]
            names, numbers = map(set, zip(*serving, strict=True))
            case.expect(
                len(set(said)) >= len(names) and {number for number, _ in said} == numbers,
                f"{len(names)} SRV records with port {sorted(numbers)}",
            )


@GROUP.clause(
    "k8s-headless-srv-hostname",
    "The target of an endpoint's SRV record is its hostname below the service.",
    f"{SPEC} §2.4.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    zone = case.target.zone
    for service in _with_hostnames(case):
        for port in service.named_ports()[:1]:
            reply = await case.resolve(srv_name(port, service, zone), "SRV")
            targets = {port_and_target(value)[1] for value in reply.values("SRV")}
            wanted = {f"{one}.{service.fqdn(zone)}".lower() for one in _hostnames(service)}
            case.expect(wanted <= targets, f"the targets {', '.join(sorted(wanted))}")


@GROUP.clause(
    "k8s-headless-srv-targets",
    "Each target of the SRV records resolves, and to ready endpoints alone.",
    f"{SPEC} §2.4.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    zone = case.target.zone
    for service in _with_port(case):
        if len(service.ready()) > MOST_RESOLVED:
            continue
        name, protocol = _offered(service)[-1]
        port = next(one for one in service.ports if (one.name, one.protocol) == (name, protocol))
        reply = await case.resolve(srv_name(port, service, zone), "SRV")
        wanted = {*service.addresses("A"), *service.addresses("AAAA")}
        for target in sorted({port_and_target(value)[1] for value in reply.values("SRV")}):
            v4, v6 = await case.ask(target), await case.ask(target, "AAAA")
            found = {*v4.values("A"), *v6.values("AAAA")}
            case.expect(found, f"an address of {target}")
            case.expect(found <= wanted, f"for {target} some of {sorted(wanted)}", sorted(found))


@GROUP.clause(
    "k8s-headless-srv-unnamed",
    "A headless service's port without a name has no SRV record.",
    f"{SPEC} §2.4.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return headless(one) and bool(one.ports) and not one.named_ports()

    for service in known(case, suits, "headless service with an unnamed port alone")[:1]:
        port = service.ports[0]
        for label in (f"_{port.number}.", "_unnamed.", ""):
            owner = f"{label}_{port.protocol}.{service.fqdn(case.target.zone)}"
            reply = await case.ask(owner, "SRV")
            case.expect(not reply.values("SRV"), "no SRV record")


async def _points_back(case: Case, type_: str) -> None:
    for service in _with_hostnames(case):
        for one in [each for each in service.ready() if each.hostname][:8]:
            if not of_family(type_, [one.address]):
                continue
            reply = await case.ask(reverse(one.address), "PTR")
            name = f"{one.hostname}.{service.fqdn(case.target.zone)}".lower()
            said = [value.lower() for value in reply.values("PTR")]
            case.expect(name in said, f"PTR {name}")


@GROUP.clause(
    "k8s-headless-ptr",
    "The PTR record of a ready IPv4 endpoint is its hostname below the service.",
    f"{SPEC} §2.4.3",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    await _points_back(case, "A")


@GROUP.clause(
    "k8s-headless-ptr6",
    "The PTR record of a ready IPv6 endpoint is its hostname below the service.",
    f"{SPEC} §2.4.3",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    await _points_back(case, "AAAA")


@GROUP.clause(
    "k8s-headless-ptr-unnamed",
    "An endpoint without a hostname has a name of its own below the service, and resolves by it.",
    f"{SPEC} §2.1, §2.4.3",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    zone = case.target.zone
    for service in _all(case):
        nameless = [one.address for one in service.ready() if not one.hostname]
        for address in of_family("A", nameless)[:3]:
            reply = await case.ask(reverse(address), "PTR")
            below = [
                value
                for value in reply.values("PTR")
                if value.lower().endswith("." + service.fqdn(zone).lower())
            ]
            case.expect(below, f"a PTR to a name below {service.fqdn(zone)}")
            back = await case.ask(below[0])
            expect_values(case, back, "A", [address])


@GROUP.clause(
    "k8s-headless-ptr-unready",
    "An endpoint that is not ready has no PTR record.",
    f"{SPEC} §2.4.3",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return one.kind == "Headless" and bool(_hidden(one, "A"))

    for service in known(case, suits, "headless service with an unready endpoint"):
        address = _hidden(service, "A")[0]
        reply = await case.ask(reverse(address), "PTR")
        below = [
            v for v in reply.values("PTR") if service.fqdn(case.target.zone).lower() in v.lower()
        ]
        case.expect(not below, f"no PTR of {address}")
