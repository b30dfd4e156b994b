"""The scheduler and the kubelets of a lab with a stage: pods get a place, and their programs run.

What a pod does by itself (`Life`) is shown in its status; the annotations that `play` knows hold
here, too. A pod whose place cannot be had is tried again, later each time; others go on.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address

from kdns.lab.controllers.bodies import (
    is_true,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)
from kdns.lab.controllers.desk import Desk
from kdns.lab.errors import Obj
from kdns.lab.ground.base import Stand
from kdns.lab.history import Event
from kdns.lab.kubelet.life import Life
from kdns.lab.kubelet.member import Member, Parts
from kdns.lab.kubelet.play import READY_S, Play, phase_of, played, seconds, wish
from kdns.lab.kubelet.runs import FIRST_S, LATEST_S
from kdns.lab.kubelet.standing import standing
from kdns.lab.resources import PODS, Resource
from kdns.lab.storage import Key, timestamp

log = logging.getLogger("kdns.lab")

FORCED_S = 0.5
"""How long a pod goes on that the API has forgotten at once: proxies have yet to learn of it."""
SETTLE_S = 0.002
SETTLES_S = 5.0
"""How long a pod's start waits for NetworkPolicies at most."""
_ADDRESSES = ("hostIP", "hostIPs", "podIP", "podIPs", "startTime")
_OVER = {"Succeeded", "Failed"}


class Kubelet(Play):
    """Plays pods for real."""

    def __init__(self, desk: Desk, parts: Parts) -> None:
        super().__init__(desk)
        self._parts = parts
        self._lives: dict[str, Life] = {}
        self._given_before: dict[str, Obj] = {}
        """The addresses of pods that have no place yet."""
        self._failures: Counter[str] = Counter()

    async def run(self) -> None:
        """Does its duty until it is cancelled; nothing runs on after it."""
        try:
            await super().run()
        finally:
            for uid in list(self._lives):
                self._end(uid)

    def keys(self, resource: Resource, event: Event) -> Iterable[Key]:
        """As of pods that are played; one that is gone takes its log along."""
        if resource is PODS and event.type == "DELETED":
            self._forget(uid_of(event.object))
        return super().keys(resource, event)

    def _forget(self, uid: str) -> None:
        life = self._lives.get(uid)
        if life:  # it was deleted by force
            life.terminate()
            asyncio.get_running_loop().call_later(FORCED_S, self._end, uid)
        for one in self._given_before.pop(uid, {}).get("podIPs", ()):
            self._addresses.free(one["ip"])
        self._failures.pop(uid, None)
        self._parts.journal.drop(uid)
        self._parts.consoles.drop(uid)

    # To begin

    def _addressed(self, pod: Obj, node: Obj, inside: str) -> Obj:
        known = self._given_before.get(uid_of(pod))
        if known is None:
            found = status_of(super()._addressed(pod, node, inside))
            known = {key: found[key] for key in _ADDRESSES}
            self._given_before[uid_of(pod)] = known
        return {**pod, "status": {**status_of(pod), **known}}

    def _open(self, pod: Obj) -> float | None:
        life = self._lives.get(uid_of(pod)) or self._housed(pod)
        if life is None:
            return self._later_s(uid_of(pod))
        shown = standing(pod, life, may_be_ready=False, now=self.desk.storage.now())
        self.desk.set_status(pod, shown)
        self._given_before.pop(uid_of(pod), None)
        return 0.0

    def _housed(self, pod: Obj) -> Life | None:
        """A pod with its place; None for one that could not have it."""
        uid, status = uid_of(pod), status_of(pod)
        addresses = tuple(str(one["ip"]) for one in status["podIPs"])
        is_on_host = bool(spec_of(pod).get("hostNetwork"))
        stand = Stand(uid, f"{namespace_of(pod)}/{name_of(pod)}", addresses, is_on_host)
        try:
            self._require_fit(stand)
            self._parts.ground.put_up(stand)
        except OSError as error:
            self._failures[uid] += 1
            said = f"Failed to create pod sandbox: {error.strerror or error}"
            self.desk.tell(pod, "FailedCreatePodSandBox", said, source=self.name, is_warning=True)
            return None
        self._failures.pop(uid, None)
        self._parts.insides.prepare(pod)
        key = namespace_of(pod), name_of(pod)
        member = Member(pod, stand.addresses, str(status["hostIP"]), self.desk, self._parts,
                        lambda: self._poke(key))  # fmt: skip
        life = self._lives[uid] = Life(member)
        return life

    def _require_fit(self, stand: Stand) -> None:
        """An address may be anybody's wish; only those of pods are given."""
        ranges = self._parts.ground.ranges
        for one in () if stand.is_on_host else stand.addresses:
            address = ip_address(one)
            if not any(known and address in known for known in (ranges.pods, ranges.pods6)):
                raise OSError(f"{one} is no address of the pods' range {ranges.pods}")
            other = self._parts.ground.stand_of(one)
            if other and other.uid != stand.uid:
                raise OSError(f"{one} is the address of pod {other.name}")

    def _later_s(self, uid: str) -> float:
        return float(min(FIRST_S * 2.0 ** min(self._failures[uid] - 1, 16), LATEST_S))

    def _poke(self, key: Key) -> None:
        """Something has happened to a pod by itself."""
        self.agenda.add(key, asyncio.get_running_loop().time())

    # To run, and to end

    def _run(self, pod: Obj) -> float | None:
        uid = uid_of(pod)
        life = self._lives.get(uid) or self._housed(pod)
        if life is None:
            return self._later_s(uid)
        now = self.desk.storage.now()
        if phase_of(pod) in _OVER:
            self._end(uid)
            self.desk.set_status(pod, played(pod, is_ready=False, now=timestamp(now)))
            return None
        if not life.has_begun and not self._may_begin(pod):
            return SETTLE_S
        if wish(pod, "crash") == "true":
            life.crash()
        else:
            life.recover()
        life.advance()
        wait = self._ready_in(pod) if life.has_begun else None
        status = standing(pod, life, may_be_ready=wait == 0.0, now=now)
        if phase_of(pod) == "Unknown":
            status["phase"] = "Unknown"
        was_ready = is_true(pod, "Ready")
        after = self.desk.set_status(pod, status)
        if was_ready and wait is None and not is_true(after, "Ready"):
            why = "it crashes" if life.is_crashed else "its annotation says so"
            self.desk.tell(pod, "Unhealthy", f"Not ready: {why}", source=self.name, is_warning=True)
        if status["phase"] in _OVER:
            self._end(uid)
        return wait or None

    def _may_begin(self, pod: Obj) -> bool:
        """Whether NetworkPolicies know the pod; should more and more change, it waits no longer."""
        return self._parts.is_settled() or self._elapsed(pod, "settling") > SETTLES_S

    def _ready_in(self, pod: Obj) -> float | None:
        """Seconds until a pod may be ready, as far as annotations say; None for not at all."""
        if wish(pod, "ready") == "false":
            return None
        asked = wish(pod, "ready-after")
        after_s = seconds(asked) if asked else READY_S
        return max(0.0, after_s - self._elapsed(pod, "running"))

    def _stop(self, pod: Obj) -> float | None:
        if life := self._lives.get(uid_of(pod)):
            life.terminate()
            now = self.desk.storage.now()
            may_be_ready = is_true(pod, "Ready") and wish(pod, "ready") != "false"
            self.desk.set_status(pod, standing(pod, life, may_be_ready=may_be_ready, now=now))
        return super()._stop(pod)

    def _end(self, uid: str) -> None:
        """Ends what runs in a pod, and its place; its log stays while the pod does."""
        life = self._lives.pop(uid, None)
        if life is None:
            return
        life.end()
        try:
            self._parts.ground.take_down(uid)
        except OSError as error:  # it must not keep others from their end
            log.warning("kubelet: the place of a pod cannot be taken down: %s", error)
        self._parts.insides.drop(uid)
