"""How a look-up ended, where nothing else tells more: it resolves, no data, no such name."""

from kdns.explain.reasons.case import Case, again, ask_for
from kdns.explain.reasons.ports import shown
from kdns.explain.reasons.serverside import evidence
from kdns.explain.reasons.words import command, counted, kubectl, listed
from kdns.explain.said import Reason


def no_data(case: Case) -> Reason | None:
    """The name exists, but not with this type."""
    step = case.step
    if case.is_answered or step is None or step.rcode != "NOERROR" or step.values or step.aliases:
        return None
    wanted, service = case.subject, case.service
    says = f"{step.name} exists, but has no {case.type or 'address'} record"
    lines = [f"{step.question}: {step.said}"]
    commands = []
    if wanted.kind in ("namespace", "zone"):
        says = f"{step.name} is a part of names only: a service's name stands before it"
    elif service is not None and case.type in ("A", "AAAA") and wanted.kind == "service":
        family = "IPv6" if case.type == "AAAA" else "IPv4"
        mark = ":" if case.type == "AAAA" else "."
        has = [one for one in service.addresses if mark in one]
        if not has and "None" not in service.addresses and service.addresses:
            other = "IPv4" if case.type == "AAAA" else "IPv6"
            says = f"service {wanted.key} is {other} only ({listed(service.addresses)}), so it has "
            says += f"no {case.type} record; ipFamilyPolicy: PreferDualStack would ask for {family}"
            commands.append(
                kubectl(service.namespace, "get", "service", service.name, "-o",
                        "jsonpath={.spec.ipFamilies}")
            )  # fmt: skip
        elif "None" in service.addresses and case.endpoints:
            says = f"headless service {wanted.key} has no {family} endpoint that is ready, so it "
            says += f"has no {case.type} record"
            lines.append(f"endpoints: {listed(a for e in case.endpoints for a in e.addresses)}")
    return Reason("no-such-type", says, tuple(lines), tuple(commands) or _dig(case))


def resolves(case: Case) -> Reason | None:
    """All is well."""
    walk = case.walk
    if walk is None or walk.outcome != "answered":
        return None
    wanted, service = case.subject, case.service
    values = walk.addresses or (case.step.values if case.step else ())
    found = listed(values) or "what was asked"
    says = f"{case.name} resolves to {found}"
    if service is not None:
        says += f": {_part(case)}service {wanted.key}"
    elif walk.canonical and walk.canonical.lower() != walk.name.lower():
        says += f", by the name {walk.canonical}"
    return Reason("resolves", says, _backing(case), _try(case))


def not_judged(case: Case) -> Reason | None:
    """No service like that could be looked for."""
    wanted = case.subject
    if not wanted.is_ours or case.is_answered or case.knows("services") or case.service:
        return None
    why = case.facts.unknown.get("services", f"only {listed(case.facts.only)} could be read")
    return Reason(
        "services-unknown",
        f"{_heard(case)}; whether service {wanted.key} exists could not be checked: {why}",
        evidence(case.step, case.trace) if case.step else (),
        (ask_for(case, "services"),
         kubectl(wanted.namespace, "get", "service", wanted.service)),
    )  # fmt: skip


def no_such_name(case: Case) -> Reason | None:
    """A name outside of the cluster that nobody has."""
    wanted, step = case.subject, case.step
    if case.is_answered or step is None or step.rcode != "NXDOMAIN":
        return None
    if wanted.is_ours and case.service is not None:
        return _disagrees(case)
    what = "is no name of a service or pod" if wanted.kind == "shapeless" else "does not exist"
    by = case.trace.plugin
    who = f"{by} says so" if by else "the DNS server says so"
    typed = case.name.rstrip(".")
    return Reason(
        "no-such-name",
        f"{typed} {what}: {who} (NXDOMAIN), also for every name of its search path"
        if len(case.steps) > 1
        else f"{typed} {what}: {who} (NXDOMAIN)",
        evidence(step, case.trace),
        (command("dig", f"{typed}.", case.type), again(case, f"{typed}.")),
    )


def undecided(case: Case) -> Reason | None:
    """The last word where there is none."""
    heard = _heard(case)
    lines = evidence(case.step, case.trace) if case.step else ()
    return Reason(
        "unexplained",
        f"{heard}; nothing that is known of the cluster tells why",
        (*lines, *(f"{kind} could not be read: {why}" for kind, why in case.facts.unknown.items())),
        _dig(case),
    )


def no_walk(case: Case) -> Reason | None:
    """Nobody was asked, and the facts show nothing wrong."""
    service = case.service
    if case.steps or service is None:
        return None
    ready = sum(1 for one in case.endpoints if one.is_ready and one.addresses)
    return Reason(
        "nothing-wrong",
        f"service {case.subject.key} exists ({listed(service.addresses) or service.type}) with "
        f"{counted(ready, 'ready endpoint')}; no server was asked",
        _backing(case),
    )


def _disagrees(case: Case) -> Reason:
    """The cluster has it, the server does not."""
    step, wanted = case.step, case.subject
    which = step.nameserver[0] if step else "the server"
    says = f"service {wanted.key} exists, and {which} says it does not"
    says += ": it has not heard of it, or is not this cluster's DNS"
    if not case.facts.server.is_kdns and not case.traces:
        says += " (it is not a kdns, so what it knows cannot be seen)"
    return Reason(
        "server-disagrees",
        says,
        evidence(step, case.trace) if step else (),
        (
            "kubectl -n kube-system get configmap coredns -o yaml",
            "kubectl -n kube-system logs -l k8s-app=kube-dns --tail=50",
        ),
    )


def _backing(case: Case) -> tuple[str, ...]:
    service = case.service
    if service is None:
        return ()
    ready = [one for one in case.endpoints if one.is_ready and one.addresses]
    lines = [f"ports: {listed(shown(one) for one in service.ports)}"] if service.ports else []
    if case.knows("slices") and service.type != "ExternalName":
        where = listed(one.pod or one.addresses[0] for one in ready)
        lines.append(f"behind it: {counted(len(ready), 'ready endpoint')}: {where}{_rest(case)}")
    if service.type == "ExternalName":
        lines.append(f"an ExternalName for {service.external_name}")
    return tuple(lines)


def _rest(case: Case) -> str:
    """The endpoints that are not answered, behind those that are."""
    rest = [one for one in case.endpoints if one.addresses and not one.is_ready]
    named = listed(one.pod or one.addresses[0] for one in rest)
    return f"; not ready: {named}" if rest else ""


def _part(case: Case) -> str:
    wanted = case.subject
    match wanted.kind:
        case "endpoint":
            return f"endpoint {wanted.endpoint} of "
        case "port":
            return f"port {wanted.port} of "
    return ""


def _heard(case: Case) -> str:
    if case.step is None:
        return f"{case.name} was not asked for"
    return f"{case.step.question} gave {case.step.said}"


def _try(case: Case) -> tuple[str, ...]:
    service = case.service
    if service is None or not service.ports or case.connections:
        return ()
    return (again(case, case.name, "--connect"),)


def _dig(case: Case) -> tuple[str, ...]:
    step = case.step
    name = step.name if step else f"{case.name.rstrip('.')}."
    host = f"@{step.nameserver[0]}" if step and case.subject.zone else ""
    port = ("-p", str(step.nameserver[1])) if host and step and step.nameserver[1] != 53 else ()
    return (command("dig", host, *port, name, case.type),)
