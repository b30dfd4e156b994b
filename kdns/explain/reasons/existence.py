"""Names of what does not exist: the service, its namespace, the zone; and what was meant."""

from ipaddress import ip_address

from kdns.explain.facts import ServiceFact
from kdns.explain.reasons.case import Case, again
from kdns.explain.reasons.words import command, kubectl, listed, nearest, since
from kdns.explain.said import Reason


def no_such_namespace(case: Case) -> Reason | None:
    """Nothing in the cluster is in the namespace the name speaks of."""
    wanted = case.subject
    if not case.knows("namespaces") or not wanted.namespace or wanted.kind == "foreign":
        return None
    if not case.facts.namespaces or has_namespace(case, wanted.namespace):
        return None
    near = nearest(wanted.namespace, namespaces(case))
    says = f"namespace {wanted.namespace} does not exist"
    homes = [one for one in near if f"{one}/{wanted.service}" in case.facts.services]
    if homes:
        says += f"; {homes[0]} does, and has service {wanted.service}: "
        says += f"{spelled(case, homes[0])} is its name{here(case)}"
    elif near:
        says += f"; the nearest is {near[0]}"
    elsewhere = [one.namespace for one in named(case, wanted.service)]
    if elsewhere and not homes:
        says += f"; service {wanted.service} is in {listed(elsewhere)}: "
        says += f"{spelled(case, elsewhere[0])} is its name{here(case)}"
    return Reason(
        "no-such-namespace",
        says,
        (f"namespaces there are: {listed(sorted(namespaces(case)), 8)}",),
        (
            "kubectl get namespaces",
            *(_retry(case, one) for one in (homes or elsewhere)[:1]),
        ),
    )


def no_such_service(case: Case) -> Reason | None:
    """No service of that name is in the namespace, though the namespace exists."""
    wanted = case.subject
    if not wanted.is_ours or not case.knows("services") or case.service or case.slices:
        return None
    own = [name for space, name in case.facts.names if space == wanted.namespace]
    near = nearest(wanted.service, own)
    elsewhere = sorted(one.namespace for one in named(case, wanted.service))
    says = f"service {wanted.service} does not exist in namespace {wanted.namespace}"
    if elsewhere:
        verb = "has it" if len(elsewhere) == 1 else "have it"
        says += f"; {listed(elsewhere)} {verb}: {spelled(case, elsewhere[0])} is its name"
        says += here(case)
    elif near:
        says += f"; the nearest there is {near[0]}"
    elif wanted.service in case.facts.namespaces and wanted.kind == "service":
        says += f"; {wanted.service} is a namespace: its services are SERVICE.{wanted.service}"
    has = f"services in {wanted.namespace}: {listed(sorted(own), 8)}"
    evidence = [has if own else f"namespace {wanted.namespace} has no service at all"]
    if elsewhere and near:
        evidence.append(f"the nearest name in {wanted.namespace}: {listed(near)}")
    if not elsewhere and not near and (others := _alike(case)):
        evidence.append(f"alike in other namespaces: {listed(others)}")
    return Reason(
        "no-such-service",
        says,
        (*evidence, *case.unread("namespaces")),
        (
            kubectl(wanted.namespace, "get", "services"),
            *(_retry(case, one) for one in elsewhere[:1]),
            *(again(case, f"{one}.{wanted.namespace}") for one in near[:1] if not elsewhere),
        ),
    )


def namespace_terminating(case: Case) -> Reason | None:
    """The namespace is being deleted, and what is in it goes."""
    found = case.facts.namespaces.get(case.subject.namespace)
    if found is None or not found.is_terminating:
        return None
    left = [name for space, name in case.facts.names if space == found.name]
    return Reason(
        "namespace-terminating",
        f"namespace {found.name} is being deleted: what is in it goes, "
        "and nothing new can be made there",
        (f"services still in {found.name}: {listed(sorted(left), 8) or 'none'}",),
        (
            command("kubectl", "get", "namespace", found.name, "-o", "yaml"),
            kubectl(found.name, "get", "all"),
        ),
    )


def other_zone(case: Case) -> Reason | None:
    """The name is spelled for a cluster zone that is not this one's."""
    wanted = case.subject
    if wanted.kind != "foreign" or case.is_answered:
        return None
    ours = case.facts.zones[0].rstrip(".") if case.facts.zones else "cluster.local"
    says = (
        f"{case.name} is a name below {wanted.zone.rstrip('.')}, and this cluster's zone is {ours}"
    )
    if f"{wanted.namespace}/{wanted.service}" in case.facts.services:
        says += f": {wanted.service}.{wanted.namespace}.svc.{ours} is the name here"
    return Reason(
        "other-zone",
        says,
        (f"zones served: {listed(case.facts.zones)}",),
        (
            again(case, f"{wanted.service}.{wanted.namespace}.svc.{ours}"),
            "kubectl -n kube-system get configmap coredns -o yaml",
        ),
    )


def pod_name(case: Case) -> Reason | None:
    """A name made of a pod's address: answered only where the Corefile says so."""
    wanted = case.subject
    if wanted.kind != "pod" or case.is_answered or case.step is None:
        return None
    address = _dashed(wanted.endpoint)
    if not address:
        return Reason(
            "no-pod-address",
            f"{wanted.endpoint} is not the address of a pod: names below {wanted.namespace}.pod "
            "are IPs with dashes, such as 10-244-1-5",
        )
    pods = case.facts.pods.get(wanted.namespace, ())
    owner = next((one for one in pods if address in one.addresses), None)
    if owner and case.facts.server.pods not in ("", "disabled"):
        return None
    if owner:
        return Reason(
            "pod-names-disabled",
            f"names of pods by address are not answered here (`pods disabled`, the default), "
            f"although {address} is pod {owner.namespace}/{owner.name}",
            (f"{case.step.question}: {case.step.said}",),
            ("kubectl -n kube-system get configmap coredns -o yaml",),
        )
    if not case.knows("pods", "other pods"):
        return None
    return Reason(
        "no-pod-with-address",
        f"no pod in namespace {wanted.namespace} has the address {address}",
        (f"{case.step.question}: {case.step.said}",),
        (kubectl(wanted.namespace, "get", "pods", "-o", "wide"),),
    )


def reverse(case: Case) -> Reason | None:
    """An address that no service or endpoint has."""
    if case.subject.kind != "reverse" or case.is_answered or case.step is None:
        return None
    return Reason(
        "no-reverse-name",
        f"no service or endpoint of this cluster is known by {case.name}",
        (
            f"{case.step.question}: {case.step.said}",
            "only services with a cluster IP and endpoints of services have reverse names",
        ),
        ("kubectl get services,endpointslices -A -o wide",),
    )


def named(case: Case, service: str) -> list[ServiceFact]:
    """The services of that name, of all namespaces but those being deleted."""
    return [
        case.facts.services[f"{space}/{name}"]
        for space, name in case.facts.names
        if name == service
        and not (space in case.facts.namespaces and case.facts.namespaces[space].is_terminating)
    ]


def namespaces(case: Case) -> set[str]:
    """The names of those there are."""
    return {*case.facts.namespaces, *(space for space, _ in case.facts.names)}


def has_namespace(case: Case, name: str) -> bool:
    """Something says that it exists."""
    facts = case.facts
    asker = case.asker.namespace if case.asker else ""
    return name in (asker, "default") or name in namespaces(case) or bool(facts.pods.get(name))


def spelled(case: Case, namespace: str) -> str:
    """The name, as short as it may be, by which who asks reaches its service there."""
    wanted = case.subject
    ends: tuple[str, ...] = (namespace,)
    heads = {
        "endpoint": (wanted.endpoint,),
        "port": tuple(f"_{one}" for one in (wanted.port, wanted.protocol) if one),
    }.get(wanted.kind, ())
    if not case.asker or case.asker.dns_policy not in ("ClusterFirst", "ClusterFirstWithHostNet"):
        zone = case.facts.zones[0].rstrip(".") if case.facts.zones else "cluster.local"
        ends = (namespace, "svc", zone)
    return ".".join((*heads, wanted.service, *ends))


def here(case: Case) -> str:
    """` for pod shop/web`, where somebody is said to ask."""
    return f" for pod {case.asker.namespace}/{case.asker.name}" if case.asker else ""


def _retry(case: Case, namespace: str) -> str:
    return again(case, spelled(case, namespace))


def _alike(case: Case) -> list[str]:
    known = {name for _, name in case.facts.names}
    near = set(nearest(case.subject.service, known))
    return sorted(f"{name}.{space}" for space, name in case.facts.names if name in near)


def _dashed(label: str) -> str:
    """The address of `10-244-1-5` or `fd00--5`; empty for what is none."""
    for mark in (".", ":"):
        try:
            return str(ip_address(label.replace("-", mark)))
        except ValueError:
            continue
    return ""


def gone(case: Case) -> Reason | None:
    """Endpoints are left of a service that was deleted."""
    if case.service or not case.slices or not case.knows("services"):
        return None
    wanted = case.subject
    return Reason(
        "service-deleted",
        f"service {wanted.service} does not exist in namespace {wanted.namespace}, "
        "though an EndpointSlice still names it",
        tuple(
            f"EndpointSlice {one.namespace}/{one.name} is left{since(one.written, case.facts.now)}"
            for one in case.slices
        ),
        (kubectl(wanted.namespace, "get", "services,endpointslices"),),
    )
