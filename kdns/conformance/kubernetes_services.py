"""The Kubernetes DNS specification 1.1.0 §2.3 and §2.5: services with a ClusterIP, ExternalName."""

from ipaddress import ip_address

from kdns.conformance.case import Case
from kdns.conformance.clauses import Group
from kdns.conformance.kubernetes import SPEC, expect_no_data, expect_values, known
from kdns.conformance.objects import Port, Service
from kdns.conformance.wanted import LONG
from kdns.wire import names

GROUP = Group("Kubernetes DNS specification: services with a ClusterIP")
EXTERNAL = Group("Kubernetes DNS specification: ExternalName services")


def srv_name(port: Port, service: Service, zone: str) -> str:
    """`_http._tcp.web.shop.svc.cluster.local.`"""
    return f"_{port.name}._{port.protocol}.{service.fqdn(zone)}"


def reverse(address: str) -> str:
    """The name of an address's PTR record."""
    return names.format(names.reverse(ip_address(address).packed))


def port_and_target(value: str) -> tuple[int, str]:
    """What an SRV record says beside priority and weight, which are the server's choice."""
    _, _, port, target = value.split()
    return int(port), target.lower()


def _with(service: Service, type_: str) -> bool:
    return service.kind == "ClusterIP" and bool(service.addresses(type_))


@GROUP.clause(
    "k8s-service-a",
    "A service has an A record for each IPv4 ClusterIP.",
    f"{SPEC} §2.3.1",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return _with(one, "A") and len(one.name) < len(LONG)

    for service in known(case, suits, "service with an IPv4 ClusterIP"):
        reply = await case.ask(service.fqdn(case.target.zone))
        expect_values(case, reply, "A", service.addresses("A"))


@GROUP.clause(
    "k8s-service-aaaa",
    "A service has an AAAA record for each IPv6 ClusterIP.",
    f"{SPEC} §2.3.1",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    for service in known(case, lambda one: _with(one, "AAAA"), "service with an IPv6 ClusterIP"):
        reply = await case.ask(service.fqdn(case.target.zone), "AAAA")
        expect_values(case, reply, "AAAA", service.addresses("AAAA"))


@GROUP.clause(
    "k8s-service-other-family",
    "A service without a ClusterIP of a family exists all the same: no data, not NXDOMAIN.",
    f"{SPEC} §2.3.1, RFC 2308 §2.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return _with(one, "A") != _with(one, "AAAA")

    for service in known(case, suits, "service with a ClusterIP of one family alone"):
        type_ = "AAAA" if service.addresses("A") else "A"
        reply = await case.ask(service.fqdn(case.target.zone), type_)
        expect_no_data(case, reply, f"it has no {type_}")


@GROUP.clause(
    "k8s-service-long-name",
    "A service whose name fills a label of 63 octets is found.",
    f"{SPEC} §2.3.1, RFC 1035 §2.3.4",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return _with(one, "A") and len(one.name) == len(LONG)

    for service in known(case, suits, "service with a name of 63 letters"):
        reply = await case.ask(service.fqdn(case.target.zone))
        expect_values(case, reply, "A", service.addresses("A"))


@GROUP.clause(
    "k8s-service-srv",
    "Each named port has one SRV record with its number and the service's name.",
    f"{SPEC} §2.3.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return one.kind == "ClusterIP" and bool(one.named_ports())

    zone = case.target.zone
    for service in known(case, suits, "ClusterIP service with a named port"):
        for port in service.named_ports():
            reply = await case.ask(srv_name(port, service, zone), "SRV")
            said = [port_and_target(value) for value in reply.values("SRV")]
            case.expect(
                said == [(port.number, service.fqdn(zone).lower())],
                f"one SRV with port {port.number} and target {service.fqdn(zone)}",
            )


@GROUP.clause(
    "k8s-service-srv-additional",
    "An address that comes along with an SRV record is the service's own.",
    f"{SPEC} §2.3.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return _with(one, "A") and bool(one.named_ports())

    for service in known(case, suits, "ClusterIP service with a named port")[:1]:
        reply = await case.ask(srv_name(service.named_ports()[0], service, case.target.zone), "SRV")
        for type_ in ("A", "AAAA"):
            came = reply.values(type_, "additional")
            case.expect(
                set(came) <= set(service.addresses(type_)), f"no {type_} but the ClusterIP", came
            )


@GROUP.clause(
    "k8s-service-srv-unnamed",
    "A port without a name has no SRV record.",
    f"{SPEC} §2.3.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return one.kind == "ClusterIP" and any(not port.name for port in one.ports)

    for service in known(case, suits, "ClusterIP service with an unnamed port")[:1]:
        port = next(port for port in service.ports if not port.name)
        for label in (str(port.number), "", "unnamed"):
            owner = f"_{label}._{port.protocol}." if label else f"_{port.protocol}."
            reply = await case.ask(owner + service.fqdn(case.target.zone), "SRV")
            case.expect(not reply.values("SRV"), "no SRV record")


@GROUP.clause(
    "k8s-service-srv-protocol",
    "A named port has no SRV record under another protocol than its own.",
    f"{SPEC} §2.3.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    def suits(one: Service) -> bool:
        return one.kind == "ClusterIP" and bool(one.named_ports())

    for service in known(case, suits, "ClusterIP service with a named port")[:1]:
        spoken = {(port.name, port.protocol) for port in service.ports}
        for port in service.named_ports():
            other = "udp" if port.protocol == "tcp" else "tcp"
            if (port.name, other) not in spoken:
                asked = Port(port.name, port.number, other)
                reply = await case.ask(srv_name(asked, service, case.target.zone), "SRV")
                case.expect(not reply.values("SRV"), f"no SRV record of {port.name} over {other}")


async def _points_back(case: Case, type_: str) -> None:
    what = f"service with an IPv{4 if type_ == 'A' else 6} ClusterIP"
    for service in known(case, lambda one: _with(one, type_), what):
        for address in service.addresses(type_):
            reply = await case.ask(reverse(address), "PTR")
            expect_values(case, reply, "PTR", [service.fqdn(case.target.zone)])


@GROUP.clause(
    "k8s-service-ptr",
    "The PTR record of an IPv4 ClusterIP is the service's name.",
    f"{SPEC} §2.3.3",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    await _points_back(case, "A")


@GROUP.clause(
    "k8s-service-ptr6",
    "The PTR record of an IPv6 ClusterIP is the service's name.",
    f"{SPEC} §2.3.3",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    await _points_back(case, "AAAA")


def _externals(case: Case) -> list[Service]:
    return known(case, lambda one: one.kind == "ExternalName", "ExternalName service")


@EXTERNAL.clause(
    "k8s-external-cname",
    "An ExternalName service is a CNAME record that points to its name.",
    f"{SPEC} §2.5",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    for service in _externals(case):
        reply = await case.ask(service.fqdn(case.target.zone), "CNAME")
        expect_values(case, reply, "CNAME", [service.external_name.rstrip(".") + "."])


@EXTERNAL.clause(
    "k8s-external-address",
    "Asked for an address, an ExternalName service answers its CNAME record first.",
    f"{SPEC} §2.5, RFC 1034 §4.3.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    for service in _externals(case):
        for type_ in ("A", "AAAA"):
            reply = await case.ask(service.fqdn(case.target.zone), type_)
            target = service.external_name.rstrip(".").lower() + "."
            found = [names.format(rrset.rdatas[0]).lower() for rrset in reply.rrsets("CNAME")]
            case.expect(found[:1] == [target], f"a CNAME to {target}")


@EXTERNAL.clause(
    "k8s-external-other-type",
    "A CNAME record answers every type, not addresses alone.",
    "RFC 1034 §3.6.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    for service in _externals(case)[:1]:
        for type_ in ("TXT", "MX"):
            reply = await case.ask(service.fqdn(case.target.zone), type_)
            case.expect(reply.rrsets("CNAME"), f"a CNAME for {type_}")


@EXTERNAL.clause(
    "k8s-external-inside",
    "An ExternalName that names another service brings that service's address along.",
    "RFC 1034 §4.3.2",
    needs=("cluster",),
)
async def _(case: Case) -> None:
    objects, zone = case.target.objects, case.target.zone
    inside = {one.fqdn(zone).rstrip("."): one for one in objects.services} if objects else {}

    def suits(one: Service) -> bool:
        target = inside.get(one.external_name.rstrip(".").lower())
        return one.kind == "ExternalName" and bool(target and target.addresses("A"))

    for service in known(case, suits, "ExternalName service that names another service")[:1]:
        reply = await case.ask(service.fqdn(zone))
        target = inside[service.external_name.rstrip(".").lower()]
        expect_values(case, reply, "A", target.addresses("A"))
