"""Ports: names that SRV questions ask for, and where a service's ports lead in the pods."""

from kdns.explain.facts import PodFact, PortFact
from kdns.explain.reasons.case import Case, again
from kdns.explain.reasons.words import kubectl, listed, nearest, pairs
from kdns.explain.said import Reason


def no_such_port(case: Case) -> Reason | None:
    """A name such as _http._tcp.web of a port that the service does not have."""
    wanted, service = case.subject, case.service
    if wanted.kind != "port" or service is None or case.is_answered:
        return None
    has = [shown(port) for port in service.ports]
    there = f"service {wanted.key} has {listed(has)}" if has else f"{wanted.key} has no ports"
    same = [one for one in service.ports if one.name.lower() == wanted.port]
    if any(one.protocol.lower() == wanted.protocol for one in same):
        return None
    if not wanted.protocol:
        says = f"_{wanted.port} alone names no port: _{wanted.port}._tcp does, or _udp"
    elif same:
        says = f"port {wanted.port} of service {wanted.key} is {same[0].protocol}, "
        says += f"not {wanted.protocol.upper()}: ask for _{wanted.port}._{_low(same[0])}"
    else:
        says = f"service {wanted.key} has no port called {wanted.port}"
        says += f"/{wanted.protocol.upper()}"
        near = nearest(wanted.port, [one.name.lower() for one in service.ports if one.name])
        says += f"; it has {listed(has)}" if has else "; it has no ports"
        says += f": is {near[0]} meant?" if near else ""
    evidence = [there]
    if any(not one.name for one in service.ports):
        evidence.append("a port without a name has no SRV record of its own")
    return Reason(
        "no-such-port",
        says,
        tuple(evidence),
        (kubectl(service.namespace, "get", "service", service.name, "-o", "yaml"),),
    )


def target_port_absent(case: Case) -> Reason | None:
    """targetPort is a name that no container of the pods has."""
    service = case.service
    pods = [pod for pod in case.selected if not pod.deleted]
    if service is None or not pods:
        return None
    for port in service.ports:
        if not port.target or port.target.isdecimal():
            continue
        have = {(one.name, one.protocol) for pod in pods for one in ports_of(pod)}
        if (port.target, port.protocol) not in have:
            names = sorted(shown(one) for one in {one for pod in pods for one in ports_of(pod)})
            return Reason(
                "target-port-absent",
                f"port {shown(port)} of service {case.subject.key} leads to targetPort "
                f"{port.target}, and no container of its pods has a {port.protocol} port of "
                "that name",
                (
                    f"ports of the containers: {listed(names) or 'none declared'}",
                    f"pods: {listed(pod.name for pod in pods)}",
                ),
                (
                    kubectl(service.namespace, "get", "service", service.name, "-o", "yaml"),
                    kubectl(
                        service.namespace, "get", "pods", "-l", pairs(service.selector), "-o",
                        "jsonpath={.items[*].spec.containers[*].ports}",
                    ),
                ),
            )  # fmt: skip
    return None


def target_port_undeclared(case: Case) -> Reason | None:
    """targetPort is a number that the containers, which do declare ports, do not declare."""
    service = case.service
    pods = [pod for pod in case.selected if not pod.deleted]
    if service is None or "None" in service.addresses or not pods:
        return None
    if not all(ports_of(pod) for pod in pods):
        return None
    for port in service.ports:
        number = _number(port)
        if not number:
            continue
        if any((one.number, one.protocol) == (number, port.protocol)
               for pod in pods for one in ports_of(pod)):  # fmt: skip
            continue
        names = sorted({shown(one) for pod in pods for one in ports_of(pod)})
        tried = next((one for one in case.connections if one.port == port.number), None)
        if tried is not None and tried.is_open:
            continue
        says = (
            f"port {shown(port)} of service {case.subject.key} leads to port {number} of its "
            f"pods, and their containers declare only {listed(names)}"
        )
        yaml = kubectl(service.namespace, "get", "service", service.name, "-o", "yaml")
        if tried is not None:
            says += f"; a connection failed: {tried.outcome}"
            return Reason("target-port-undeclared", says, (), (yaml,))
        doubt = "a container may listen on ports it does not declare; whether it does is told by "
        commands = (again(case, _quoted(case), "--connect"), yaml)
        return Reason("target-port-undeclared", says, (f"{doubt}trying",), commands)
    return None


def headless_port(case: Case) -> Reason | None:
    """A headless service has a port that its pods have under another number."""
    found, service = moved(case), case.service
    is_reached = any(one.is_open for one in case.connections)
    if found is None or service is None or is_reached or not case.is_answered:
        return None
    port, number = found
    key = case.subject.key
    return Reason(
        "headless-port",
        f"service {key} is headless, so connections go to its pods themselves, where port "
        f"{shown(port)} is port {number}",
        (
            "what leads a port to another one is the proxy of a ClusterIP; connect to port "
            f"{number}, or make the service one with a ClusterIP",
            f"pods: {listed((pod.name for pod in case.selected), 8)}",
        ),
        (kubectl(service.namespace, "get", "service", service.name, "-o", "yaml"),),
    )


def moved(case: Case) -> tuple[PortFact, int] | None:
    """The port of a headless service that is another one in its pods, and which."""
    service = case.service
    if service is None or "None" not in service.addresses or not case.selected:
        return None
    if case.type == "SRV":
        return None  # which tells the pods' port
    there = [one for pod in case.selected for one in ports_of(pod)]
    for port in service.ports:
        named = [one.number for one in there if one.name and one.name == port.target]
        number = named[0] if named else _number(port)
        if number not in (0, port.number):
            return port, number
    return None


def shown(port: PortFact) -> str:
    """`http 80/TCP`."""
    return f"{port.name} {port.number}/{port.protocol}".strip()


def ports_of(pod: PodFact) -> list[PortFact]:
    """What its containers declare."""
    return [port for one in pod.containers for port in one.ports]


def _number(port: PortFact) -> int:
    """The pods' port a service's port leads to; 0 where that is a name."""
    if not port.target:
        return port.number
    return int(port.target) if port.target.isdecimal() else 0


def _low(port: PortFact) -> str:
    return port.protocol.lower()


def _quoted(case: Case) -> str:
    wanted = case.subject
    return f"{wanted.service}.{wanted.namespace}.svc.{wanted.zone.rstrip('.')}"
