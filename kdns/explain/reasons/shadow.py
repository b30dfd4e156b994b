"""Names that something answers before, or instead of, what was meant."""

from itertools import pairwise

from kdns.explain.reasons.case import Case, again
from kdns.explain.reasons.subject import CLASSIC
from kdns.explain.reasons.words import command, counted, kubectl, listed
from kdns.explain.said import Reason

INSTEAD = ("hosts", "template", "file", "auto", "secondary", "etcd", "rewrite", "local", "any")
"""Plugins that may answer a cluster's name although it is not in the cluster."""


def shadowed_by_service(case: Case) -> Reason | None:
    """A name that looks public was answered by a service, through the search path."""
    walk, wanted = case.walk, case.subject
    typed = case.name.lower().rstrip(".")
    if walk is None or not case.is_answered or walk.name.lower() == f"{typed}.":
        return None
    if not wanted.is_ours or typed.rsplit(".", maxsplit=1)[-1] not in CLASSIC or "." not in typed:
        return None
    return Reason(
        "shadowed-by-service",
        f"{typed} is answered by service {wanted.service} in namespace {wanted.namespace}, not by "
        f"the domain {typed}: the search path asks for {walk.name} first",
        (
            *_answered(case),
            f"with a dot at the end, {typed}. is asked for alone",
        ),
        (
            again(case, f"{typed}."),
            kubectl(wanted.namespace, "get", "service", wanted.service),
        ),
    )


def shadowed_by_search_domain(case: Case) -> Reason | None:
    """A search domain that is none of the cluster's answered what was not meant for it."""
    walk, typed = case.walk, case.name.lower().rstrip(".")
    if walk is None or not case.is_answered or walk.name.lower() == f"{typed}.":
        return None
    if any(walk.name.lower().endswith(f".{zone}") for zone in case.facts.zones):
        return None
    end = walk.name.lower().removeprefix(f"{typed}.")
    wanted = case.subject
    own = {one.rstrip(".").lower() for one in (case.asker.searches if case.asker else ())}
    whose = "its dnsConfig" if end.rstrip(".") in own else "the node, or of the resolv.conf given,"
    says = f"{typed} is answered as {walk.name}: the search domain {end} of {whose} answers it"
    if wanted.is_ours and case.service is None:
        says += f", while no service {wanted.service} is in namespace {wanted.namespace}"
    elif "." in typed:
        says += " (a wildcard?) before the name itself is asked for"
    dots = "." in typed
    return Reason(
        "shadowed-by-search-domain",
        says,
        (*_answered(case),),
        (
            command("dig", f"surely-not-there.{end}", case.type),
            *((again(case, f"{typed}."),) if dots else ()),
        ),
    )


def answered_by_plugin(case: Case) -> Reason | None:
    """A plugin other than kubernetes answers a name of the cluster's zone."""
    wanted, trace, step = case.subject, case.trace, case.step
    if step is None or not wanted.zone or wanted.kind == "foreign":
        return None
    renamed = next(
        (
            one
            for before, one in pairwise(trace.visits)
            if before.plugin == "rewrite"
            and one.depth == before.depth + 1
            and one.name.lower() != before.name.lower()
        ),
        None,
    )
    if trace.plugin not in INSTEAD and renamed is None:
        return None
    by = trace.plugin if trace.plugin in INSTEAD else "rewrite"
    says = f"{wanted.name} is answered by {by} in server block {trace.block}, not by kubernetes"
    if renamed is not None:
        says = f"{wanted.name} is rewritten to {renamed.name} in server block {trace.block}"
        says += " before it is answered"
    if case.service is not None:
        says += f": service {wanted.key} with {listed(case.service.addresses) or 'no address'}"
        says += " is not asked for it"
    elif wanted.is_ours:
        says += f"; there is no service {wanted.key}"
    return Reason(
        "answered-by-plugin",
        says,
        (f"{step.question}: {step.said}",
         *(f"{one.plugin} was asked {one.name} {one.type}: {one.answered}" for one in trace.visits),
         ),
        ("kubectl -n kube-system get configmap coredns -o yaml",),
    )  # fmt: skip


def search_wastes(case: Case) -> Reason | None:
    """An outside name was found only after the search path."""
    walk, typed = case.walk, case.name.lower().rstrip(".")
    if walk is None or not case.is_answered or walk.name.lower() != f"{typed}.":
        return None
    names = [one.lower() for one in dict.fromkeys(one.name for one in walk.asked)]
    wasted = names.index(walk.name.lower()) if walk.name.lower() in names else 0
    if not wasted or case.name.endswith("."):
        return None
    return Reason(
        "search-wastes",
        f"{typed} resolves to {listed(walk.addresses) or 'what was asked'}, but only after "
        f"{counted(wasted, 'question')} for nothing: it has {counted(typed.count('.'), 'dot')}, "
        "fewer than ndots, so the search path comes first",
        (
            f"asked before it: {listed(names[:wasted])}",
            "a dot at the end, or ndots: 2 in the pod's dnsConfig, spares them; kdns' autopath "
            "answers them in one",
        ),
        (again(case, f"{typed}."),),
    )


def _answered(case: Case) -> tuple[str, ...]:
    walk = case.walk
    if walk is None:
        return ()
    because = next((one.because for one in walk.asked if one.name == walk.name), "")
    found = f"{walk.name}: {listed(walk.addresses) or 'answered'}"
    return (found, f"why it was asked: {because}") if because else (found,)
