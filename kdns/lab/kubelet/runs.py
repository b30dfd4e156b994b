"""One container over all its starts: runs, ends or fails, is started again, later each time.

Backoff is a kubelet's made short: at once, then after 1 s, doubling to 30 s; a run that has lasted
a minute begins the row anew.
"""

import asyncio
from dataclasses import dataclass
from typing import Literal

from kdns.lab.controllers.bodies import name_of, namespace_of, spec_of
from kdns.lab.errors import Obj
from kdns.lab.kubelet.asking import Asker
from kdns.lab.kubelet.journal import Record
from kdns.lab.kubelet.member import Member
from kdns.lab.kubelet.probing import Probing, Verdict
from kdns.lab.kubelet.programs.base import Exit, Program, Role
from kdns.lab.kubelet.programs.choice import ends_at_once, kind_of, programs_of
from kdns.lab.kubelet.programs.shell import Shell
from kdns.lab.rights.trust import author

FIRST_S, LATEST_S = 1.0, 30.0
LASTING_S = 60.0
_SOON_S = 0.1
"""How long an end is seen before the next start, at least."""
LAST_S = 0.5
"""How long a container that a probe has given up goes on serving, not ready, before it is ended."""
KILLED = 137
State = Literal["waiting", "running", "terminated"]


@dataclass(frozen=True, slots=True)
class Past:
    """A run that is over."""

    exit: Exit
    began: float
    ended: float

    @property
    def reason(self) -> str:
        """As in its status."""
        return self.exit.reason or ("Error" if self.exit.code else "Completed")


def backoff_s(failures: int) -> float:
    """How long to wait before the next start, after so many ends in a row."""
    return 0.0 if failures <= 1 else min(FIRST_S * 2.0 ** min(failures - 2, 16), LATEST_S)


class Run:
    """A container of a pod that has its place."""

    def __init__(self, member: Member, container: Obj, *, is_first: bool = False) -> None:
        self.member = member
        self.container = container
        self.name = str(container["name"])
        self.is_sidecar = is_first and container.get("restartPolicy") == "Always"
        self.is_first = is_first and not self.is_sidecar
        """An init container: it ends before others begin."""
        self.state: State = "waiting"
        self.reason = "ContainerCreating"
        self.message = ""
        self.restarts = 0
        self.began = 0.0
        self.past: Past | None = None
        self.is_leaving = False
        self._is_given_up = False
        self._failures = 0
        self._number = 0
        self._programs: list[Program] = []
        self._probing: Probing | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_new(self) -> bool:
        """True until it is started for the first time."""
        return self._number == 0

    @property
    def is_over(self) -> bool:
        """True once it has ended and will not start again."""
        return self.state == "terminated" and self._timer is None

    @property
    def has_started(self) -> bool:
        """True for one that runs, and whose startup probe has passed."""
        return self.state == "running" and (self._probing is None or self._probing.has_started)

    @property
    def is_ready(self) -> bool:
        """True while its probes say so."""
        if self._is_given_up or not self.has_started:
            return False
        return self._probing is None or self._probing.is_ready

    def start(self) -> None:
        """Runs it."""
        self._timer = None
        self._is_given_up = False
        self._number += 1
        member, number = self.member, self._number
        self.began = member.now()
        record = member.parts.journal.begin(member.uid, self.name)
        try:
            self._programs = self._cast(self._role(record))
            for one in self._programs:
                one.start(lambda exit_: self._ended(number, exit_))
        except OSError as error:
            record.write(f"kdns-lab: cannot listen: bind: {(error.strerror or str(error)).lower()}")
            self._ended(number, Exit(1))
            return
        except LookupError as error:
            self._unready(str(error.args[0] if error.args else error))
            return
        self.state, self.reason, self.message = "running", "", ""
        member.tell("Started", f"Started container {self.name}")
        if Probing.is_needed(self.container) and not self.is_first:
            asker = Asker(member, self.container)
            self._probing = Probing(self.container, asker.ask, self._failed)
            self._probing.begin(member.changed, lambda which: self._unhealthy(number, which))
        is_empty = self.is_first or ends_at_once(member.pod, self.container)
        if is_empty and not self._programs:
            self._ended(number, Exit(0))
        member.changed()

    def stop(self, exit_: Exit) -> None:
        """Ends it for good."""
        self._wait_for_nothing()
        was_running = self.state == "running"
        self._halt()
        if was_running:
            self.past = Past(exit_, self.began, self.member.now())
        self.state = "terminated"

    def terminate(self) -> None:
        """Its pod is being deleted: what has ended stays so."""
        self.is_leaving = True
        self._wait_for_nothing()
        if self._probing:
            self._probing.end()  # readiness stays as it is: its endpoint is marked as terminating
        for one in self._programs:
            one.terminate()

    def crash(self) -> None:
        """Fails, and stays down until it is started."""
        self.stop(Exit(1))
        self.restarts += 1
        self.state, self.reason = "waiting", "CrashLoopBackOff"
        self.message = "back-off restarting the container, as its annotation asks for"

    # What it runs

    def _role(self, record: Record) -> Role:
        member = self.member
        return Role(
            uid=member.uid,
            container=self.container,
            pod=lambda: member.pod,
            addresses=member.addresses,
            ground=member.parts.ground,
            record=record,
        )

    def _cast(self, role: Role) -> list[Program]:
        """The programs of a run."""
        member = self.member
        if kind_of(member.pod, self.container) != "shell":
            return [] if self.is_first else programs_of(member.pod, role)
        if member.is_trusted:
            return [Shell(role, member.parts.insides, member.parts.consoles)]
        who = author(member.pod)
        said = f"the command of container {self.name} was written by {who} and is not run: "
        said += "the lab runs only what its admin has written, this container sleeps"
        role.record.write(said)
        member.tell("CommandNotRun", said[0].upper() + said[1:], is_warning=True)
        return []

    def _wait_for_nothing(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _halt(self) -> None:
        """Stops programs and probes."""
        self._number += 1  # what they still have to say is of the past
        if self._probing:
            self._probing.end()
            self._probing = None
        programs, self._programs = self._programs, []
        for one in programs:
            one.stop()
        record = self.member.parts.journal.find(self.member.uid, self.name)
        if record:
            record.end()

    # What becomes of it

    def _ended(self, number: int, exit_: Exit) -> None:
        """Its program has ended; it starts again if its pod wants that."""
        if number != self._number:
            return
        self._halt()
        self._wait_for_nothing()
        member = self.member
        self.past = Past(exit_, self.began, member.now())
        self.state, self.reason, self.message = "terminated", self.past.reason, exit_.message
        if exit_.reason == "StartError":
            member.tell("Failed", f"Error: {exit_.message}", is_warning=True)
        if self._is_wanted_again(exit_) and not self.is_leaving:
            self._again()
        member.changed()

    def _is_wanted_again(self, exit_: Exit) -> bool:
        policy = spec_of(self.member.pod).get("restartPolicy", "Always")
        if self.is_sidecar:
            return True
        if policy == "Never" or (self.is_first and not exit_.code):
            return False
        return policy == "Always" or exit_.code != 0

    def _again(self) -> None:
        if self.past and self.past.ended - self.past.began >= LASTING_S:
            self._failures = 0
        self._failures += 1
        wait = backoff_s(self._failures)
        if wait:
            self._back_off("CrashLoopBackOff", wait)
        self._timer = asyncio.get_running_loop().call_later(max(wait, _SOON_S), self._restart)

    def _restart(self) -> None:
        self.restarts += 1
        self.member.parts.insides.prepare(self.member.pod)  # its files are new
        self.start()

    def _back_off(self, reason: str, wait: float) -> None:
        pod = self.member.pod
        where = f"{self.name} pod={name_of(pod)}_{namespace_of(pod)}({self.member.uid})"
        self.state, self.reason = "waiting", reason
        self.message = f"back-off {wait:g}s restarting failed container={where}"
        said = f"Back-off restarting failed container {self.name} in pod {name_of(pod)}"
        self.member.tell("BackOff", said, is_warning=True)

    def _unready(self, why: str) -> None:
        """Its environment cannot be made: what it names may come."""
        self._halt()
        self.state, self.reason, self.message = "waiting", "CreateContainerConfigError", why
        self.member.tell("Failed", f"Error: {why}", is_warning=True)
        self._failures += 1
        wait = max(backoff_s(self._failures), FIRST_S)
        self._timer = asyncio.get_running_loop().call_later(wait, self.start)
        self.member.changed()

    # What probes say

    def _failed(self, kind: str, verdict: Verdict) -> None:
        self.member.tell("Unhealthy", f"{kind} probe failed: {verdict.said}", is_warning=True)

    def _unhealthy(self, number: int, which: str) -> None:
        said = f"Container {self.name} failed {which} probe, will be restarted"
        self.member.tell("Killing", said)
        self._is_given_up = True
        self._timer = asyncio.get_running_loop().call_later(
            LAST_S, self._ended, number, Exit(KILLED)
        )
        for one in self._programs:
            one.terminate()
        self.member.changed()
