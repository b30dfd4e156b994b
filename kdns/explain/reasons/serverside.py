"""What lies with the server and those it asks: policy, upstreams, a zone that nobody serves."""

import re

from kdns.explain.reasons.case import Case
from kdns.explain.reasons.replies import Step
from kdns.explain.reasons.words import command, listed
from kdns.explain.said import Reason, Trace, Visit
from kdns.wire import types

POLICIES = ("acl", "tenant", "guard", "ratelimit", "fair", "shed", "tsig", "any", "cookies")
CONFIG = "kubectl -n kube-system get configmap coredns -o yaml"
_FORBID = frozenset({types.EDE_BLOCKED, types.EDE_FILTERED, types.EDE_PROHIBITED})
_NO_UPSTREAM = frozenset({types.EDE_NO_REACHABLE, types.EDE_NETWORK_ERROR})
_UPSTREAM = ("forward", "grpc", "secondary")
_SOCKET = re.compile(r"(?:read|write|dial) (udp|tcp) (?:[^ ]+->)?([^ ]+): (?:read: |write: )?")
_EXTENDED = {
    types.EDE_STALE_ANSWER: "stale answer",
    types.EDE_NOT_READY: "not ready",
    types.EDE_BLOCKED: "blocked",
    types.EDE_FILTERED: "filtered",
    types.EDE_PROHIBITED: "prohibited",
    types.EDE_STALE_NXDOMAIN: "stale NXDOMAIN",
    types.EDE_NOT_AUTHORITATIVE: "not authoritative",
    types.EDE_NO_REACHABLE: "no reachable authority",
    types.EDE_NETWORK_ERROR: "network error",
}


def policy(case: Case) -> Reason | None:
    """The server does not want to answer this, or not to this client."""
    for step in _refused(case):
        trace = case.trace_of(step)
        by = trace.plugin if trace.plugin in POLICIES else ""
        if not by and not case.codes(step) & _FORBID:
            continue
        by = by or trace.plugin
        who = f"{by} in server block {trace.block}" if by else "the server's policy"
        whom = f"pod {case.asker.namespace}/{case.asker.name}" if case.asker else "this client"
        says = f"{who} refuses to answer {step.question} for {whom}"
        if step.rcode != "REFUSED":
            says = f"{who} answers {step.question} for {whom} with {step.said} in place of what is"
        return Reason("policy", says, evidence(step, trace), (CONFIG,))
    return None


def upstream_failed(case: Case) -> Reason | None:
    """What is forwarded to does not answer, or with a failure."""
    for step in () if case.is_answered else case.telling:
        trace = case.trace_of(step)
        by = trace.plugin in _UPSTREAM
        if step.rcode not in ("SERVFAIL", "REFUSED") or not (by or case.codes(step) & _NO_UPSTREAM):
            continue
        whose = next((note for one in trace.visits if one.plugin in _UPSTREAM
                      for note in one.notes), "")  # fmt: skip
        said = trace.error or next((text for _, text in step.ede if text), "") or whose
        how = said or "no upstream could be reached"
        if step.rcode == "REFUSED":
            how = said or "the upstream says REFUSED"
        says = f"the upstream for {step.name} failed: {plainly(how)}"
        return Reason(
            "upstream-failed",
            says,
            evidence(step, trace),
            (
                CONFIG,
                *_asked_directly(step, how),
                "kubectl -n kube-system logs -l k8s-app=kube-dns --tail=50",
            ),
        )
    return None


def not_served(case: Case) -> Reason | None:
    """No server block, or none with an answer, is for the name."""
    step = case.step
    is_told = step is not None and step.rcode in ("REFUSED", "SERVFAIL")
    if step is None or not is_told or case.trace.plugin or case.is_answered:
        return None
    is_unserved = types.EDE_NOT_AUTHORITATIVE in case.codes(step)
    if not is_unserved and not (case.traces and not case.trace.error):
        return None
    return Reason(
        "not-served",
        f"nothing answers {step.name}: it is no name of the cluster, and the server forwards it to "
        f"nobody ({step.rcode})",
        evidence(step, case.trace),
        (CONFIG,),
    )


def not_synced(case: Case) -> Reason | None:
    """The server has not yet read the cluster."""
    server = case.facts.server
    told = [one for one in case.steps if types.EDE_NOT_READY in case.codes(one)]
    step = told[0] if told else case.step
    if (server.has_synced or not server.is_kdns) and not told:
        return None
    if case.is_answered:
        return None
    why = f": {server.failure}" if server.failure else ""
    return Reason(
        "not-synced",
        f"the server does not know the cluster yet{why}",
        evidence(step, case.trace_of(step)) if step else (),
        (
            "kubectl -n kube-system logs -l k8s-app=kube-dns --tail=50",
            "kubectl auth can-i list endpointslices "
            "--as=system:serviceaccount:kube-system:coredns -A",
        ),
    )


def server_failed(case: Case) -> Reason | None:
    """A failure for which nothing above was the cause."""
    step = case.step
    if step is None or case.is_answered or step.rcode in ("", "NOERROR", "NXDOMAIN"):
        return None
    if case.trace.plugin in POLICIES or case.codes(step) & _FORBID:
        return None
    why = case.trace.error or next((text for _, text in step.ede if text), "")
    by = f" (plugin {case.trace.plugin})" if case.trace.plugin else ""
    return Reason(
        "server-failed",
        f"the server answers {step.question} with {step.rcode}{by}" + (f": {why}" if why else ""),
        evidence(step, case.trace),
        ("kubectl -n kube-system logs -l k8s-app=kube-dns --tail=50",),
    )


def left_out(case: Case) -> Reason | None:
    """The server was told to serve only a part of the cluster, and this is not in it."""
    wanted, server = case.subject, case.facts.server
    if not server.chosen or not wanted.namespace or case.is_answered:
        return None
    exists = case.service is not None or wanted.namespace in case.facts.namespaces
    if not exists or not case.step or case.step.rcode != "NXDOMAIN":
        return None
    return Reason(
        "left-out",
        f"{wanted.key if wanted.service else wanted.namespace} exists, and the server leaves it "
        f"out: it serves only {listed(server.chosen)}",
        evidence(case.step, case.trace),
        (CONFIG,),
    )


def evidence(step: Step, trace: Trace) -> tuple[str, ...]:
    """What a step and the plugins say."""
    lines = [f"{step.question}: {step.said}"]
    lines += [extended(code, text) for code, text in (*step.ede, *trace.ede)]
    lines += [f"{one.plugin}: {note}" for one in trace.visits for note in spoken(one)]
    error = plainly(trace.error)
    if error and not any(error in line for line in lines):
        lines.append(f"{trace.plugin or 'the server'}: {error}")
    return tuple(dict.fromkeys(lines))


def extended(code: int, text: str) -> str:
    """An extended error in words."""
    what = f"extended error {code}" + (f", {_EXTENDED[code]}" if code in _EXTENDED else "")
    return f"{what}: {text}" if text else what


def spoken(visit: Visit) -> list[str]:
    """What a plugin says, but for its extended errors, which are told by themselves."""
    own = f"{visit.plugin}/"
    notes = (note for note in visit.notes if not note.startswith("EDE "))
    return [plainly(note.removeprefix(own)) for note in notes]


def plainly(text: str) -> str:
    """`read udp 10.0.0.1:4711->10.0.0.2:53: i/o timeout` as `10.0.0.2:53 (udp): i/o timeout`."""
    return _SOCKET.sub(r"\2 (\1): ", text)


def _asked_directly(step: Step, how: str) -> tuple[str, ...]:
    """The upstream that failed asked by hand, where it is named."""
    named = _SOCKET.search(how)
    host, colon, port = named[2].rpartition(":") if named else ("", "", "")
    if not colon or not port.isdecimal():
        return ()
    ask = ("dig", f"@{host.strip('[]')}", "-p", port, step.name, types.type_name(step.type))
    return (command(*ask),)


def _refused(case: Case) -> list[Step]:
    return [
        step
        for step in case.telling
        if step.rcode == "REFUSED"
        or (step.rcode in ("NXDOMAIN", "NOERROR") and case.codes(step) & _FORBID)
    ]
