"""Names of single pods, such as mysql-0.mysql: which pod has one, and why another has not."""

from kdns.explain.facts import PodFact, ServiceFact
from kdns.explain.reasons.case import Case
from kdns.explain.reasons.words import kubectl, listed, nearest
from kdns.explain.said import Reason


def below_external_name(case: Case) -> Reason | None:
    """A name below an ExternalName, which has no endpoints."""
    wanted, service = case.subject, case.service
    if wanted.kind not in ("endpoint", "port") or service is None or case.is_answered:
        return None
    if service.type != "ExternalName":
        return None
    return Reason(
        "no-such-endpoint",
        f"service {wanted.key} is an ExternalName: it has no endpoints and no ports of its own, so "
        f"nothing is called {wanted.endpoint or wanted.port} below it",
        (),
        (kubectl(wanted.namespace, "get", "service", wanted.service, "-o", "yaml"),),
    )


def no_such_endpoint(case: Case) -> Reason | None:
    """No endpoint of the service has the name that stands before it."""
    wanted, service = case.subject, case.service
    if wanted.kind != "endpoint" or service is None or case.is_answered:
        return None
    if _has(case, wanted.endpoint):
        return None
    pods = case.facts.pods.get(wanted.namespace, ())
    pod = next((one for one in pods if wanted.endpoint in (one.name, one.hostname)), None)
    if pod is not None:
        return _unnamed(case, service, pod)
    if not case.knows("slices"):
        return None
    names = sorted({one.hostname for one in case.endpoints if one.hostname})
    near = nearest(wanted.endpoint, names)
    says = f"no endpoint of service {wanted.key} is called {wanted.endpoint}"
    says += f"; the nearest is {near[0]}" if near else ""
    unread = case.unread("pods")
    if names:
        evidence = f"endpoints with names: {listed(names, 8)}"
    elif case.endpoints:
        evidence = "none of its endpoints has a hostname: they are called by their address, "
        evidence += f"as in {_by_address(case)}"
    else:
        evidence = "it has no endpoints"
    return Reason(
        "no-such-endpoint",
        says,
        (evidence, *unread),
        (kubectl(wanted.namespace, "get", "endpointslices,pods", "-o", "wide"),),
    )


def _unnamed(case: Case, service: ServiceFact, pod: PodFact) -> Reason | None:
    """The pod exists; what keeps it from being called so."""
    wanted = case.subject
    host = pod.hostname or pod.name
    evidence = (f"pod {pod.name}: hostname {pod.hostname or '-'}, subdomain {pod.subdomain or '-'}",
                f"service {wanted.key} is {_kind(service)}")  # fmt: skip
    commands = (
        kubectl(pod.namespace, "get", "pod", pod.name, "-o", "jsonpath={.spec.subdomain}"),
        kubectl(pod.namespace, "get", "statefulsets",
                "-o", "custom-columns=NAME:.metadata.name,SERVICE:.spec.serviceName"),
    )  # fmt: skip
    if pod not in case.selected and service.selector:
        return Reason(
            "pod-of-another-service",
            f"pod {pod.namespace}/{pod.name} exists, but service {wanted.key} does not select it, "
            f"so it is not called {wanted.endpoint} there",
            evidence,
            (kubectl(pod.namespace, "get", "pod", pod.name, "--show-labels"), *commands[:1]),
        )
    if not pod.subdomain:
        return Reason(
            "no-hostname",
            f"pod {pod.namespace}/{pod.name} has no subdomain, so service {wanted.key} gives it no "
            f"name: spec.hostname and spec.subdomain: {service.name} would",
            (*evidence, f"meanwhile it is {_by_address(case)}") if case.endpoints else evidence,
            commands,
        )
    if pod.subdomain != service.name:
        right = f"{host}.{pod.subdomain}.{pod.namespace}"
        there = f"{pod.namespace}/{pod.subdomain}" in case.facts.services
        return Reason(
            "subdomain-mismatch",
            f"pod {pod.namespace}/{pod.name} has the subdomain {pod.subdomain}, not {service.name} "
            "(a StatefulSet writes its serviceName there)"
            + (f": {right} is its name" if there else f", and no service {pod.subdomain} exists"),
            evidence,
            commands,
        )
    if not pod.hostname:
        return Reason(
            "no-hostname",
            f"pod {pod.namespace}/{pod.name} has no hostname, so service {wanted.key} gives it no "
            "name of its own",
            evidence,
            commands,
        )
    return None


def _has(case: Case, label: str) -> bool:
    return any(
        label == one.hostname or label in (a.replace(".", "-").replace(":", "-")
                                           for a in one.addresses)
        for one in case.endpoints
    )  # fmt: skip


def _by_address(case: Case) -> str:
    address = next((a for one in case.endpoints for a in one.addresses), "10.244.1.5")
    wanted = case.subject
    dashed = address.replace(".", "-").replace(":", "-")
    return f"{dashed}.{wanted.service}.{wanted.namespace}.svc.{wanted.zone.rstrip('.')}"


def _kind(service: ServiceFact) -> str:
    return "headless" if "None" in service.addresses else f"a {service.type} service"
