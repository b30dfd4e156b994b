"""The name resolves, and the connection is another matter: refused, or forbidden by policy."""

from kdns.explain.facts import PodFact, PortFact
from kdns.explain.reasons.case import Case
from kdns.explain.reasons.dnsserver import ENFORCED
from kdns.explain.reasons.netpolicy import Judgement, Peer, Port, judge
from kdns.explain.reasons.ports import moved, ports_of, shown
from kdns.explain.reasons.words import command, kubectl, listed, pairs
from kdns.explain.said import Reason


def connection_forbidden(case: Case) -> Reason | None:
    """NetworkPolicies forbid who asks to reach any pod of the service."""
    service = case.service
    targets = [pod for pod in case.selected if pod.is_ready and not pod.deleted]
    if service is None or not targets:
        return None
    for port in service.ports:
        judged = [_way(case, target, _port(target, port)) for target in targets]
        if any(one.allowed is not False for one in judged):
            continue
        names = sorted({name for one in judged for name in one.policies})
        who = f"pod {case.asker.namespace}/{case.asker.name}" if case.asker else "every client"
        what = "NetworkPolicy" if len(names) == 1 else "NetworkPolicies"
        forbid = "forbids" if len(names) == 1 else "forbid"
        evidence = [f"pods of {case.subject.key}: {listed(pod.name for pod in targets)}", ENFORCED]
        if case.asker:
            evidence.append(f"{who} has the labels {pairs(case.asker.labels) or '(none)'}")
        return Reason(
            "policy-forbids-connection",
            f"{case.subject.key} resolves, but {what} {listed(names)} {forbid} {who} to reach port "
            f"{shown(port)} of it",
            tuple(evidence),
            tuple(
                kubectl(
                    name.split("/")[0], "get", "networkpolicy", name.split("/")[1], "-o", "yaml"
                )
                for name in names[:3]
            ),
        )
    return None


def connection_failed(case: Case) -> Reason | None:
    """The address was tried, and nothing took the connection."""
    tried = [one for one in case.connections if not one.is_open]
    if not tried or any(one.is_open for one in case.connections):
        return None
    one = tried[0]
    place = f"{one.address} port {one.port}/{one.protocol}"
    service = case.service
    is_virtual = service is not None and one.address in service.addresses
    why = ""
    if "refused" in one.outcome:
        why = ": nothing listens there"
        if is_virtual:
            why = ": kube-proxy has no endpoint for it, or nothing listens in the pods"
        if (led := moved(case)) and led[0].number == one.port:
            why = f": the service is headless, and its pods have that port as {led[1]}"
    return Reason(
        "connection-failed",
        f"{case.name} resolves, but the connection to {place} failed: {one.outcome}{why}",
        tuple(f"{o.address} port {o.port}/{o.protocol}: {o.outcome}" for o in tried[:6]),
        (
            kubectl(case.subject.namespace, "get", "endpointslices,pods", "-o", "wide")
            if service
            else command("nc", "-vz", one.address, str(one.port)),
            *(
                (kubectl(pod.namespace, "logs", pod.name),)
                if (pod := next(iter(case.selected), None))
                else ()
            ),
        ),
    )


def _way(case: Case, target: PodFact, port: Port) -> Judgement:
    asker = case.asker
    peer = Peer(asker.addresses[0] if asker.addresses else "", asker) if asker else None
    if asker is not None:
        address = target.addresses[0] if target.addresses else ""
        out = judge(case.facts, asker, "Egress", Peer(address, target), port)
        if out.allowed is False:
            return out
    return judge(case.facts, target, "Ingress", peer, port)


def _port(target: PodFact, port: PortFact) -> Port:
    """Where a service's port leads in a pod."""
    wanted = port.target or str(port.number)
    for one in ports_of(target):
        if one.protocol == port.protocol and wanted in (one.name, str(one.number)):
            return Port(one.number, one.protocol, one.name)
    return Port(int(wanted) if wanted.isdecimal() else 0, port.protocol, wanted)
