"""A pod that has its place: init containers one after the other, then all others, to the end."""

from collections.abc import Iterator
from typing import Literal

from kdns.lab.controllers.bodies import spec_of, status_of
from kdns.lab.kubelet.member import Member
from kdns.lab.kubelet.programs.base import Exit
from kdns.lab.kubelet.runs import Run

Phase = Literal["Pending", "Running", "Succeeded", "Failed"]


class Life:
    """What a pod does from the moment it has its addresses."""

    def __init__(self, member: Member) -> None:
        self.member = member
        spec = spec_of(member.pod)
        self.first = [Run(member, one, is_first=True) for one in spec.get("initContainers") or ()]
        self.runs = [Run(member, one) for one in spec.get("containers") or ()]
        if self.first:
            for run in (*self.first, *self.runs):
                run.reason = "PodInitializing"
        before = {one["name"]: one for one in status_of(member.pod).get("containerStatuses") or ()}
        for run in self.runs:  # the lab has been started again
            if run.name in before:
                run.restarts = int(before[run.name].get("restartCount", 0)) + 1
        self.has_begun = False
        """True once init containers are through and all others have been started."""
        self.is_crashed = False
        self.is_leaving = False

    @property
    def phase(self) -> Phase:
        """The pod's, by its containers."""
        if any(run.is_over and run.past and run.past.exit.code for run in self._firsts()):
            return "Failed"
        if not self.has_begun:
            return "Pending"
        if self.is_leaving or not all(run.is_over for run in self.runs):
            return "Running"
        is_good = all(run.past is None or run.past.exit.code == 0 for run in self.runs)
        return "Succeeded" if is_good else "Failed"

    def advance(self) -> None:
        """Starts what is next."""
        if self.has_begun or self.is_leaving or self.is_crashed:
            return
        for run in self.first:
            if run.is_new:
                run.start()
            is_through = run.has_started if run.is_sidecar else run.is_over
            if not is_through or (run.is_first and run.past and run.past.exit.code):
                return
        self.has_begun = True
        for run in self.runs:
            run.start()

    def crash(self) -> None:
        """All containers fail, until `recover`."""
        if not self.is_crashed and self.has_begun:
            self.is_crashed = True
            for run in self.runs:
                run.crash()

    def recover(self) -> None:
        """Starts them again."""
        if self.is_crashed:
            self.is_crashed = False
            for run in self.runs:
                run.start()

    def terminate(self) -> None:
        """The pod is being deleted: it serves on for its grace period."""
        if not self.is_leaving:
            self.is_leaving = True
            for run in (*self.first, *self.runs):
                run.terminate()

    def end(self) -> None:
        """Ends all that runs; the place is still there."""
        for run in (*self.first, *self.runs):
            run.stop(Exit(0))

    def _firsts(self) -> Iterator[Run]:
        return (run for run in self.first if run.is_first)
