"""What all that plays one pod shares: its place, its log, its consoles, and how to say things."""

from collections.abc import Callable
from dataclasses import dataclass

from kdns.lab.controllers.bodies import name_of, namespace_of, uid_of
from kdns.lab.controllers.desk import Desk
from kdns.lab.errors import Obj
from kdns.lab.ground.base import Ground
from kdns.lab.kubelet.console import Consoles
from kdns.lab.kubelet.journal import Journal
from kdns.lab.resources import PODS
from kdns.lab.rights.trust import is_trusted
from kdns.lab.stage import Insides

KUBELET = "kubelet"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a kubelet works with."""

    ground: Ground
    insides: Insides
    journal: Journal
    consoles: Consoles
    is_settled: Callable[[], bool] = lambda: True
    """Whether NetworkPolicies are in force for all pods that there are."""


class Member:
    """One pod, as it is now; what is said of it becomes its Events."""

    def __init__(
        self, pod: Obj, addresses: tuple[str, ...], node: str, desk: Desk, parts: Parts,
        changed: Callable[[], None],
    ) -> None:  # fmt: skip
        self._last = pod
        self._desk = desk
        self.uid = uid_of(pod)
        self.addresses = addresses
        self.node = node
        """The address of its node: probes come from there."""
        self.parts = parts
        self.changed = changed
        """To be called when its status is another."""

    @property
    def pod(self) -> Obj:
        """The pod as it is stored now; as it last was, once it is gone."""
        found = self._desk.storage.find(PODS, namespace_of(self._last), name_of(self._last))
        if found and uid_of(found) == self.uid:
            self._last = found
        return self._last

    @property
    def is_trusted(self) -> bool:
        """True while only the admin has written it: else none of its commands runs."""
        return is_trusted(self.pod)

    def now(self) -> float:
        """The time."""
        return self._desk.storage.now()

    def tell(self, reason: str, message: str, *, is_warning: bool = False) -> None:
        """Leaves an Event about the pod."""
        self._desk.tell(self.pod, reason, message, source=KUBELET, is_warning=is_warning)
