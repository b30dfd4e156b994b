"""Answers that are behind the cluster: a stale server, late endpoints, a silent controller."""

from typing import Final

from kdns.explain.facts import PodFact, SliceFact
from kdns.explain.reasons.case import Case
from kdns.explain.reasons.serverside import extended
from kdns.explain.reasons.words import (
    between,
    counted,
    kubectl,
    lasting,
    listed,
    moment,
    since,
)
from kdns.explain.said import Reason
from kdns.wire import types

LATE_S: Final = 5.0
"""From a pod's change to its endpoint, above which it is worth a word."""
LATELY_S: Final = 600.0
SILENT_S: Final = 10.0
_STALE = frozenset({types.EDE_STALE_ANSWER, types.EDE_STALE_NXDOMAIN})
_ITS_OWN = "endpointslice-controller.k8s.io"
_CONTROLLER = (
    "kubectl -n kube-system get pods -l component=kube-controller-manager",
    "kubectl -n kube-system get lease kube-controller-manager -o yaml",
)


def stale(case: Case) -> Reason | None:
    """What the server knows is old."""
    server = case.facts.server
    told = [
        (code, text)
        for step in case.steps
        for code, text in (*step.ede, *case.trace_of(step).ede)
        if code in _STALE
    ]
    if not told and not (
        server.failure or server.is_silent or server.stale_s or server.is_restored
    ):
        return None
    if told and not server.is_kdns and case.trace.plugin == "cache":
        return None
    says = "the answer is stale: "
    says += f"it is {lasting(server.stale_s)} old, " if server.stale_s > 0 else ""
    if server.failure:
        says += f"the server has lost the API server ({server.failure})"
    elif server.is_silent:
        says += "the API server keeps the watches open and says nothing"
    elif server.is_restored:
        says += "the server answers from a snapshot, it has not reached the API server yet"
    else:
        says += next((text for _, text in told if text), "the server says so (EDE 3)")
    evidence = [extended(code, text) for code, text in told]
    if server.stale_s > 0:
        evidence.append(f"the API server was last heard of {lasting(server.stale_s)} ago")
    if server.is_restored and server.failure:
        evidence.append("it answers from a snapshot")
    return Reason(
        "stale",
        says,
        tuple(dict.fromkeys(evidence)),
        (
            "kubectl get --raw /readyz?verbose",
            "kubectl -n kube-system logs -l k8s-app=kube-dns --tail=50",
        ),
    )


def stale_cache(case: Case) -> Reason | None:
    """The cache answered with what is over, since who it asks does not answer."""
    for step in case.steps:
        trace = case.trace_of(step)
        if case.codes(step) & _STALE and trace.plugin == "cache":
            notes = tuple(f"cache: {n}" for v in trace.visits if v.plugin == "cache"
                          for n in v.notes)  # fmt: skip
            return Reason(
                "stale-cache",
                f"{step.question} is answered from the cache although its time is over: what the "
                "server forwards to does not answer",
                (f"{step.question}: {step.said}", *notes),
                ("kubectl -n kube-system logs -l k8s-app=kube-dns --tail=50",),
            )
    return None


def controller_silent(case: Case) -> Reason | None:
    """Pods have changed since the slices were written, and the slices do not have it."""
    if case.service is None or not case.service.selector or not case.knows("pods", "slices"):
        return None
    if case.subject.key in case.facts.derived or case.subject.key in case.facts.server.behind:
        return None
    written = _newest(case.slices)
    missed = [pod for pod in case.selected if _is_missed(case, pod, written)]
    left = _left_over(case)
    if not missed and not left:
        return None
    key = case.subject.key
    if missed:
        pod = missed[0]
        more = f" (and {counted(len(missed) - 1, 'more pod')})" if len(missed) > 1 else ""
        says = f"pod {pod.name}{more} has been ready{since(_ready_at(pod), case.facts.now)}, and "
    else:
        says = f"{counted(len(left), 'address', 'addresses')} of pods that are gone "
        says += f"{'is' if len(left) == 1 else 'are'} still endpoints ({listed(left)}): "
    if not case.slices:
        says += f"no EndpointSlice of service {key} was ever written: "
    else:
        says += f"the EndpointSlices of service {key} were last written {written or '?'}: "
    return Reason(
        "controller-silent",
        f"{says}the endpoint controller (kube-controller-manager) is behind or down",
        (
            f"addresses in the slices: {listed(_addresses(case)) or 'none'}",
            f"ready pods: {_shown([one for one in case.selected if one.is_ready])}",
        ),
        (*_CONTROLLER, kubectl(case.subject.namespace, "get", "endpointslices", "-o", "yaml")),
    )


def endpoints_late(case: Case) -> Reason | None:
    """The last change of endpoints took long: which hop."""
    return _late(case, is_recent=True)


def endpoints_were_late(case: Case) -> Reason | None:
    """The same, of a change long ago."""
    return _late(case, is_recent=False)


def behind(case: Case) -> Reason | None:
    """The API server says something else than what the server answers from."""
    if case.subject.key not in case.facts.server.behind or case.facts.server.chosen:
        return None
    return Reason(
        "server-behind",
        f"the API server knows service {case.subject.key} otherwise than the server that answers: "
        "the change has not come there yet",
        tuple(f"EndpointSlice {one.name} was written {one.written}" for one in case.slices),
        ("kubectl -n kube-system logs -l k8s-app=kube-dns --tail=50",),
    )


def _late(case: Case, *, is_recent: bool) -> Reason | None:
    slices = [one for one in case.slices if one.triggered and one.written]
    if not slices:
        return None
    last = max(slices, key=lambda one: moment(one.written) or 0.0)
    received, applied = case.facts.server.applied.get(case.subject.key, ("", ""))
    if (between(last.written, received) or 0) < 0:
        received = applied = ""  # of another change
    hops = [
        ("the endpoint controller took", between(last.triggered, last.written)),
        ("the API server and the network took", between(last.written, received)),
        ("this server took", between(received, applied)),
    ]
    known = [(what, took) for what, took in hops if took is not None]
    total = sum(took for _, took in known)
    slowest, took = max(known, key=lambda hop: hop[1], default=("", 0.0))
    age = between(last.written, case.facts.now)
    if total < LATE_S or is_recent != (age is None or abs(age) < LATELY_S):
        return None
    done = "answered" if received else "written to the API server"
    return Reason(
        "endpoints-late",
        f"the last change of service {case.subject.key} was {done} {lasting(total)} after its "
        f"cause: {slowest} {lasting(took)} of it",
        (
            f"a pod changed {last.triggered} (last-change-trigger-time)",
            f"EndpointSlice {last.name} was written {last.written}",
            *((f"it came here {received}, and was answered {applied}",) if received else ()),
        ),
        _CONTROLLER if "controller" in slowest else ("kubectl get --raw /readyz?verbose",),
    )


def _newest(slices: tuple[SliceFact, ...]) -> str:
    return max((one.written for one in slices), key=lambda text: moment(text) or 0.0, default="")


def _is_missed(case: Case, pod: PodFact, written: str) -> bool:
    """A ready pod whose address is no ready endpoint, though it was ready long enough ago."""
    if not pod.is_ready or pod.deleted or not pod.addresses or pod.host_network:
        return False
    if any(one.is_ready and set(one.addresses) & set(pod.addresses) for one in case.endpoints):
        return False
    late = between(_ready_at(pod), case.facts.now)
    return late is None or late > SILENT_S or not written


def _left_over(case: Case) -> list[str]:
    """Ready endpoints with a pod's name that is not there any more."""
    if not case.knows("other pods"):
        return []
    names = {pod.name for pod in case.facts.pods.get(case.subject.namespace, ())}
    return [
        one.addresses[0]
        for slice_ in case.slices
        for one in slice_.endpoints
        if slice_.managed_by in ("", _ITS_OWN)
        and one.addresses
        and one.is_ready
        and not one.is_terminating
        and one.pod
        and one.pod.split("/")[-1] not in names
    ]


def _ready_at(pod: PodFact) -> str:
    return next((one.since for one in pod.conditions if one.type == "Ready"), "")


def _addresses(case: Case) -> list[str]:
    return [address for one in case.endpoints for address in one.addresses]


def _shown(pods: list[PodFact]) -> str:
    return listed(f"{one.name} ({listed(one.addresses)})" for one in pods) or "none"
