"""ExternalName services: where their chain leads, that it ends, that its end resolves."""

from dataclasses import replace
from ipaddress import ip_address

from kdns.explain.facts import ServiceFact
from kdns.explain.reasons.case import Case, again
from kdns.explain.reasons.existence import no_such_namespace, no_such_service
from kdns.explain.reasons.serverside import evidence
from kdns.explain.reasons.subject import parse
from kdns.explain.reasons.words import kubectl
from kdns.explain.said import Reason


def external_name_loops(case: Case) -> Reason | None:
    """The chain of ExternalNames comes back to where it was."""
    chain = followed(case)
    if len(chain) < 2 or chain[-1] not in chain[:-1]:
        return None
    loop = chain[chain.index(chain[-1]) :]
    return Reason(
        "external-name-loop",
        f"service {chain[0]} is an ExternalName that leads in a circle: {' -> '.join(loop)}",
        tuple(
            f"{key}: externalName {case.facts.services[key].external_name}"
            for key in dict.fromkeys(chain)
        ),
        tuple(
            kubectl(case.facts.services[key].namespace, "get", "service",
                    case.facts.services[key].name, "-o", "yaml")
            for key in dict.fromkeys(loop)
        ),
    )  # fmt: skip


def external_name_is_address(case: Case) -> Reason | None:
    """externalName holds an address, which is taken for a name."""
    service = _last(case)
    if service is None or not _is_address(service.external_name.rstrip(".")):
        return None
    key = f"{service.namespace}/{service.name}"
    return Reason(
        "external-name-is-address",
        f"service {key} has externalName {service.external_name}: that is taken for a name, not "
        "for an address; a service without selector and an EndpointSlice lead to addresses",
        (),
        (kubectl(service.namespace, "get", "service", service.name, "-o", "yaml"),),
    )


def external_name_dead(case: Case) -> Reason | None:
    """The end of the chain does not resolve."""
    service = _last(case)
    if service is None or (case.is_answered and case.step and case.step.values):
        return None
    if not service.external_name:
        return Reason(
            "external-name-dead",
            f"service {service.namespace}/{service.name} is an ExternalName without externalName",
            (),
            (kubectl(service.namespace, "edit", "service", service.name),),
        )
    target = service.external_name.rstrip(".").lower()
    ours = parse(f"{target}.", case.facts.zones)
    says = f"service {service.namespace}/{service.name} leads to {target}, "
    commands = [
        kubectl(service.namespace, "get", "service", service.name, "-o", "yaml"),
        again(case, f"{target}."),
    ]
    if ours is not None:
        there = replace(case, name=f"{target}.", walks=(), traces={}, connections=())
        why = no_such_namespace(there) or no_such_service(there)
        if why is None:
            return None
        return Reason("external-name-dead", f"{says}and {why.says}", why.evidence, tuple(commands))
    if case.step is None:
        return None
    says += "which does not resolve"
    asked = [one.plugin for one in case.trace.visits]
    if case.trace.visits and not {"forward", "grpc", "file", "hosts", "secondary"} & set(asked):
        says += ": this server forwards it to nobody"
    return Reason("external-name-dead", says, evidence(case.step, case.trace), tuple(commands))


def followed(case: Case) -> list[str]:
    """The services an ExternalName leads through, up to the first that came twice."""
    services, chain = case.facts.services, [case.subject.key]
    while chain[-1] not in chain[:-1]:
        service = services.get(chain[-1])
        if service is None or service.type != "ExternalName":
            break
        target = parse(f"{service.external_name.rstrip('.').lower()}.", case.facts.zones)
        if target is None or target.kind != "service" or target.key not in services:
            break
        chain.append(target.key)
    return chain


def _last(case: Case) -> ServiceFact | None:
    """The ExternalName that the chain ends with; None where it ends well, or never."""
    chain = followed(case)
    service = case.facts.services.get(chain[-1])
    is_end = chain[-1] not in chain[:-1] and service is not None
    return service if is_end and service and service.type == "ExternalName" else None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
