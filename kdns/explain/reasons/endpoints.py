"""A service that exists, and nothing behind it: selectors, pods not ready, no addresses."""

from collections.abc import Iterable

from kdns.explain.facts import ConditionFact, ContainerFact, PodFact
from kdns.explain.reasons.case import DUMP, OVER, Case, ask_for
from kdns.explain.reasons.words import command, counted, kubectl, listed, nearest, pairs, since
from kdns.explain.said import Reason

WORKLOADS = "deployments,statefulsets,daemonsets"


def selector_matches_nothing(case: Case) -> Reason | None:
    """No pod has the labels that the service selects."""
    service = case.service
    if service is None or not service.selector or not case.knows("pods") or case.selected:
        return None
    pods = case.facts.pods.get(service.namespace, ())
    there = [pod for pod in pods if pod.phase not in OVER]
    says = f"service {_of(case)} selects {pairs(service.selector)}, which no pod has"
    likely = _likely(case, there)
    near = sorted(there, key=lambda pod: len(likely & pod.labels.items()), reverse=True)
    is_near = bool(near) and not likely.isdisjoint(near[0].labels.items())
    if not there:
        says += f": there is no pod in namespace {service.namespace}"
    elif is_near:
        says += f"; pod {near[0].name} {listed(_differences(case, near[0]))}"
    else:
        says += _unlike(case, there)
    over = [pod for pod in pods if pod.phase in OVER]
    evidence = [f"pod {pod.name}: {pairs(pod.labels) or 'no labels'}" for pod in near[:3]]
    if len(near) > 3:
        evidence.append(f"and {counted(len(near) - 3, 'more pod')} without these labels")
    evidence += [f"pod {pod.name} does not count, its phase is {pod.phase}" for pod in over[:2]]
    return Reason(
        "selector-matches-nothing",
        says,
        tuple(evidence),
        (
            kubectl(service.namespace, "get", "pods", "--show-labels"),
            kubectl(service.namespace, "get", "service", service.name, "-o", "wide"),
            *(() if is_near else (kubectl(service.namespace, "get", WORKLOADS, "-o", "wide"),)),
        ),
    )


def pods_terminating(case: Case) -> Reason | None:
    """All pods of the service are being deleted."""
    pods = case.selected
    if not pods or not all(pod.deleted for pod in pods):
        return None
    return Reason(
        "pods-terminating",
        f"{_all(pods)} of service {_of(case)} {_verb(pods)} being deleted, and no new one is there",
        tuple(f"pod {pod.name} is terminating{since(pod.deleted, case.facts.now)}" for pod in pods),
        (
            kubectl(case.subject.namespace, "get", "pods,deployments,statefulsets"),
            _describe(case, pods[0]),
        ),
    )


def none_ready(case: Case) -> Reason | None:
    """Pods exist and none is ready: why, by what most of them lack."""
    pods = tuple(pod for pod in case.selected if not pod.deleted)
    if not pods or any(pod.is_ready for pod in pods):
        return None
    if case.service and case.service.publishes_unready and case.is_answered:
        return None
    worst = min(pods, key=lambda pod: _rank(_cause(pod)[0]))
    id_, why = _cause(worst)
    named = f"pod {worst.name}" if len(pods) == 1 else f"for example {worst.name}"
    says = f"none of the {counted(len(pods), 'pod')} of service {_of(case)} is ready"
    if len(pods) == 1:
        says = f"the only pod of service {_of(case)} is not ready"
    began = _condition(worst, "Ready").since or _condition(worst, "PodScheduled").since
    age = since(began, case.facts.now)
    says += f"{age}: {named} {why}"
    evidence = [line for pod in pods[:3] for line in _lines(pod)]
    return Reason(id_, says, tuple(evidence[:6]), _commands(case, worst, id_))


def endpoint_not_ready(case: Case) -> Reason | None:
    """The one pod that is asked for by its own name is not ready, others may be."""
    wanted = case.subject
    pod = next((one for one in case.selected if wanted.endpoint in (one.name, one.hostname)), None)
    if wanted.kind != "endpoint" or pod is None or pod.is_ready:
        return None
    if case.service is not None and case.service.publishes_unready:
        return None
    id_, why = _cause(pod)
    return Reason(
        id_,
        f"pod {pod.namespace}/{pod.name} is not ready"
        f"{since(_condition(pod, 'Ready').since, case.facts.now)}: it {why}, "
        "and its name is only answered while it is ready",
        tuple(_lines(pod)),
        _commands(case, pod, id_),
    )


def all_published(case: Case) -> Reason | None:
    """The same, where no pod is ready: whoever connects comes to one that is not."""
    return None if any(pod.is_ready for pod in case.selected) else publishes_unready(case)


def publishes_unready(case: Case) -> Reason | None:
    """Addresses are answered of pods that are not ready, because the service says so."""
    service = case.service
    unready = [one for one in case.selected if not one.is_ready and not one.deleted]
    if service is None or not service.publishes_unready or not unready:
        return None
    return Reason(
        "publishes-not-ready",
        f"service {_of(case)} has publishNotReadyAddresses: true, so addresses of pods that are "
        f"not ready are answered, too: {listed(pod.name for pod in unready)}",
        tuple(line for pod in unready[:3] for line in _lines(pod)),
        (kubectl(service.namespace, "get", "pods", "-l", pairs(service.selector)),),
    )


def nobody_writes_endpoints(case: Case) -> Reason | None:
    """A service without selector, for which nobody made an EndpointSlice."""
    service = case.service
    if service is None or service.selector or service.type == "ExternalName":
        return None
    if not case.knows("slices") or "selectors" in case.facts.unknown:
        return None
    if any(one.addresses for one in case.endpoints):
        return None
    slices = listed(one.name for one in case.slices)
    return Reason(
        "no-endpoints",
        f"service {_of(case)} has no selector, so its endpoints are written by hand, and "
        + (f"EndpointSlice {slices} has none" if slices else "nobody has written any"),
        ("EndpointSlices belong to it by the label kubernetes.io/service-name",),
        (
            kubectl(service.namespace, "get", "endpointslices", "--show-labels"),
            kubectl(service.namespace, "describe", "service", service.name),
        ),
    )


def endpoints_empty(case: Case) -> Reason | None:
    """The slices have no ready address, and what pods there are could not be read."""
    service = case.service
    if service is None or not service.selector or case.knows("pods") or not case.knows("slices"):
        return None
    if any(one.is_ready and one.addresses for one in case.endpoints):
        return None
    unready = sum(1 for one in case.endpoints if one.addresses)
    says = f"service {_of(case)} has no endpoint"
    if unready:
        says = f"none of the {unready} endpoints of service {_of(case)} is ready"
    if unready == 1:
        says = f"the only endpoint of service {_of(case)} is not ready"
    return Reason(
        "endpoints-empty",
        says,
        case.unread("pods"),
        (
            ask_for(case, "pods"),
            kubectl(service.namespace, "get", "pods", "-l", pairs(service.selector)),
        ),
    )


def endpoints_unknown(case: Case) -> Reason | None:
    """A headless name, which is its endpoints, where nothing is known of these."""
    service = case.service
    if service is None or not service.selector or case.is_answered:
        return None
    if "None" not in service.addresses or case.knows("pods") or case.knows("slices"):
        return None
    why = case.facts.unknown.get("pods") or case.facts.unknown.get("slices") or "they were not read"
    return Reason(
        "endpoints-unknown",
        f"service {_of(case)} is headless, so its addresses are those of its pods, "
        f"which are not known: {why}",
        (),
        (
            kubectl(service.namespace, "get", "pods", "-l", pairs(service.selector)),
            DUMP,
        ),
    )


_ORDER = ("image-pull-fails", "containers-crash", "pods-pending", "pods-without-address")


def _rank(id_: str) -> int:
    return _ORDER.index(id_) if id_ in _ORDER else len(_ORDER)


def _cause(pod: PodFact) -> tuple[str, str]:
    """What keeps a pod from being ready: the reason's id, and in words."""
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.status == "False":
        why = scheduled.message or scheduled.reason or "no reason given"
        return "pods-pending", f"cannot be scheduled: {why.rstrip('.')}"
    for one in pod.containers:
        found = _waits(one)
        if found and "PodInitializing" not in one.state:
            return found
    init = next((one for one in pod.containers if one.is_init and not one.is_ready), None)
    if init is not None:
        return "none-ready", f"waits for init container {init.name}, which is {init.state}"
    if not pod.addresses and pod.phase == "Pending":
        return "pods-without-address", "has no IP yet, its containers are being created"
    for one in pod.containers:
        if not one.is_ready and one.state.startswith("running"):
            said = f", readiness probe {one.readiness}" if one.readiness else ""
            return "none-ready", f"runs, but container {one.name} is not ready{said}"
    ready = _condition(pod, "Ready")
    gates = [one.type for one in pod.conditions if one.status == "False" and "/" in one.type]
    if ready.reason == "ReadinessGatesNotReady" or gates:
        return "none-ready", f"waits for its readiness gates: {listed(gates) or ready.message}"
    return "none-ready", f"is {pod.phase or 'not known to run'}: {ready.message or ready.reason}"


def _waits(one: ContainerFact) -> tuple[str, str] | None:
    again = f" after {counted(one.restarts, 'restart')}" if one.restarts else ""
    if "ImagePull" in one.state or "InvalidImageName" in one.state:
        return "image-pull-fails", f"cannot pull the image of container {one.name} ({one.state})"
    if "CrashLoop" in one.state or (one.state.startswith("terminated") and not one.is_ready):
        return "containers-crash", f"does not stay up: container {one.name} is {one.state}{again}"
    if one.state.startswith("waiting") and "ContainerCreating" not in one.state:
        return "containers-wait", f"waits: container {one.name} is {one.state}"
    return None


def _lines(pod: PodFact) -> list[str]:
    lines = []
    for one in pod.conditions:
        if one.status == "False" and one.type in ("Ready", "PodScheduled", "Initialized"):
            words = ": ".join(word for word in (one.reason, one.message) if word)
            why = f": {words}" if words else ""
            lines.append(f"pod {pod.name}: {one.type} is False since {one.since or '?'}{why}")
    for container in pod.containers:
        if not container.is_ready and container.state:
            again = f", {counted(container.restarts, 'restart')}" if container.restarts else ""
            lines.append(f"pod {pod.name}: container {container.name} {container.state}{again}")
    return lines or [f"pod {pod.name}: phase {pod.phase or 'unknown'}"]


def _commands(case: Case, pod: PodFact, id_: str) -> tuple[str, ...]:
    if id_ == "containers-crash":
        return (kubectl(pod.namespace, "logs", pod.name, "--previous"), _describe(case, pod))
    if id_ == "pods-pending":
        return (_describe(case, pod), command("kubectl", "get", "nodes"))
    return (_describe(case, pod), kubectl(pod.namespace, "logs", pod.name))


def _describe(case: Case, pod: PodFact) -> str:
    return kubectl(pod.namespace or case.subject.namespace, "describe", "pod", pod.name)


def _condition(pod: PodFact, type_: str) -> ConditionFact:
    return next((one for one in pod.conditions if one.type == type_), ConditionFact(type_, ""))


def _likely(case: Case, pods: Iterable[PodFact]) -> set[tuple[str, str]]:
    """The labels of pods that may have been meant by the selector, its own among them."""
    wanted = case.service.selector if case.service else {}
    return {
        (key, one)
        for key, value in wanted.items()
        for one in nearest(value, {pod.labels[key] for pod in pods if key in pod.labels})
    }


def _unlike(case: Case, pods: Iterable[PodFact]) -> str:
    """What pods have of the first label that is selected and that some have."""
    for key in sorted(case.service.selector) if case.service else ():
        values = sorted({pod.labels[key] for pod in pods if key in pod.labels})
        if values:
            return f"; pods there have {key}={listed(values)}"
    return ""


def _differences(case: Case, pod: PodFact) -> Iterable[str]:
    wanted = case.service.selector if case.service else {}
    for key, value in sorted(wanted.items()):
        if key not in pod.labels:
            yield f"has no label {key}"
        elif pod.labels[key] != value:
            yield f"has {key}={pod.labels[key]}"


def _of(case: Case) -> str:
    return case.subject.key


def _all(pods: tuple[PodFact, ...]) -> str:
    return "the only pod" if len(pods) == 1 else f"all {len(pods)} pods"


def _verb(pods: tuple[PodFact, ...]) -> str:
    return "is" if len(pods) == 1 else "are"
