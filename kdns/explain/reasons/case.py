"""The case a diagnosis is made of: what was asked, what was heard, what is known of the cluster.

What several reasons look at (the thing a name means, its service, the replies) is read once here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from kdns.client.search import Walk
from kdns.explain.facts import EndpointFact, Facts, PodFact, ServiceFact, SliceFact
from kdns.explain.reasons.replies import Step, read
from kdns.explain.reasons.subject import Subject, subject
from kdns.explain.reasons.words import command
from kdns.explain.said import Connection, Trace

DUMP = "kubectl get svc,endpointslices,pods,ns,networkpolicies -A -o yaml"
"""All that an explanation reads, as one file."""
OVER = ("Succeeded", "Failed")
"""Phases of pods that no endpoint is made of."""


@dataclass(frozen=True)
class Case:
    """All that a reason may look at."""

    name: str
    """As typed."""
    type: str
    facts: Facts
    walks: tuple[Walk, ...] = ()
    traces: Mapping[tuple[str, int], Trace] = field(default_factory=dict)
    connections: tuple[Connection, ...] = ()
    asker: PodFact | None = None
    namespace: str = "default"
    """Of who asks, which the search path begins with."""

    @cached_property
    def subject(self) -> Subject:
        """What the name means in this cluster."""
        return subject(self.name, self.namespace, self.facts, self.walks)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What was heard in the first walk, the others' steps behind where they are new."""
        asked = {(one.name, one.type, one.nameserver): one for w in self.walks for one in w.asked}
        return tuple(read(one) for one in asked.values())

    @cached_property
    def telling(self) -> tuple[Step, ...]:
        """The steps that asked for what the name means, all where none did: how others ended, such
        as the name as written, is no reason for it."""
        return self._named or self.steps

    @cached_property
    def _named(self) -> tuple[Step, ...]:
        return tuple(one for one in self.steps if one.name.lower() == self.subject.name)

    @cached_property
    def step(self) -> Step | None:
        """The one that counts: it asked for what the name means, or was the last."""
        every = self._named or self.steps[-1:]
        return next((one for one in every if one.values), every[0] if every else None)

    @cached_property
    def trace(self) -> Trace:
        """What happened in the server for that step; empty where that is not known."""
        return self.trace_of(self.step)

    def trace_of(self, step: Step | None) -> Trace:
        """What happened in the server for a step."""
        found = self.traces.get((step.name, step.type)) if step else None
        return found or Trace("")

    def codes(self, step: Step | None) -> frozenset[int]:
        """The EDE codes of a step, be it that they were not asked for."""
        told = step.codes if step else frozenset()
        return told | {code for code, _ in self.trace_of(step).ede}

    @property
    def walk(self) -> Walk | None:
        """The first walk that was answered, else the first."""
        return next((one for one in self.walks if one.outcome == "answered"), None) or (
            self.walks[0] if self.walks else None
        )

    @property
    def is_answered(self) -> bool:
        """An application gets what it asked for, as far as somebody looked."""
        return self.walk is not None and self.walk.outcome == "answered"

    @cached_property
    def service(self) -> ServiceFact | None:
        """The service that the name means, if there is one."""
        return self.facts.services.get(self.subject.key)

    @cached_property
    def slices(self) -> tuple[SliceFact, ...]:
        """The service's."""
        return self.facts.slices.get(self.subject.key, ())

    @cached_property
    def endpoints(self) -> tuple[EndpointFact, ...]:
        """The service's, of all slices."""
        return tuple(one for slice_ in self.slices for one in slice_.endpoints)

    @cached_property
    def selected(self) -> tuple[PodFact, ...]:
        """The pods that the service selects and that are not over."""
        return selected(self.service, self.facts) if self.service else ()

    def knows(self, *kinds: str) -> bool:
        """True when these kinds could be read, where the name leads."""
        return all(self._is_known(kind) for kind in kinds)

    def _is_known(self, kind: str) -> bool:
        facts, home = self.facts, self.subject.namespace
        if kind in facts.unknown:
            return False
        if kind == "services":
            return not facts.only or home in facts.only
        if kind == "slices":
            return self.subject.key in facts.slices
        if kind == "pods":
            return home in facts.pods and "selectors" not in facts.unknown
        return True

    def unread(self, *kinds: str) -> tuple[str, ...]:
        """A line for each of these kinds that could not be read."""
        return tuple(
            f"not checked, for {kind} could not be read: {self.facts.unknown[kind]}"
            for kind in kinds
            if kind in self.facts.unknown
        )


def ask_for(case: Case, kind: str) -> str:
    """The command for a kind that could not be read: may it be, or a dump that has it."""
    return DUMP if case.facts.is_of_files else f"kubectl auth can-i list {kind} -A"


def again(case: Case, name: str, *flags: str) -> str:
    """The command that explains another name to the same asker."""
    space = case.namespace if case.namespace != "default" else ""
    who = f"{case.asker.namespace}/{case.asker.name}" if case.asker else space
    return command("kdns", "explain", name, case.type, *(("--from", who) if who else ()), *flags)


def selected(service: ServiceFact, facts: Facts) -> tuple[PodFact, ...]:
    """The pods of a service that are not over; none where it has no selector."""
    if not service.selector:
        return ()
    pods = facts.pods.get(service.namespace, ())
    return tuple(
        pod for pod in pods if pod.phase not in OVER and fits(service.selector, pod.labels)
    )


def fits(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """True when labels have all pairs of a selector."""
    return all(labels.get(key) == value for key, value in selector.items())
