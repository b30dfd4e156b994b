"""What a program in a pod is given, and what is asked of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kdns.lab.controllers.bodies import annotations_of, name_of, namespace_of, spec_of
from kdns.lab.errors import Obj
from kdns.lab.ground.base import Ground
from kdns.lab.kubelet.journal import Record

PREFIX = "lab.kdns.io/"


@dataclass(frozen=True, slots=True)
class Role:
    """One run of a container: whose it is, where it stands, where it writes."""

    uid: str
    container: Obj
    pod: Callable[[], Obj]
    """The pod as it is now: annotations may change at any time."""
    addresses: tuple[str, ...]
    """Of its place, the first first."""
    ground: Ground
    record: Record

    @property
    def name(self) -> str:
        """Of the pod."""
        return name_of(self.pod())

    @property
    def namespace(self) -> str:
        """Of the pod."""
        return namespace_of(self.pod())

    @property
    def node(self) -> str:
        """That it runs on."""
        return str(spec_of(self.pod()).get("nodeName", ""))

    def wish(self, word: str) -> str:
        """What an annotation of the lab says of this container, or of the whole pod."""
        found = annotations_of(self.pod())
        own = found.get(f"{PREFIX}{word}.{self.container['name']}")
        return str(own if own is not None else found.get(PREFIX + word, ""))

    @property
    def words(self) -> list[str]:
        """Its command line, as far as the manifest has one."""
        return [*(self.container.get("command") or ()), *(self.container.get("args") or ())]


class Exit(NamedTuple):
    """How a container has ended."""

    code: int
    reason: str = ""
    message: str = ""


class Program(Protocol):
    """What a container runs."""

    def start(self, ended: Callable[[Exit], None]) -> None:
        """Begins; raises OSError. `ended` is told if it ends by itself."""

    def terminate(self) -> None:
        """Its pod is being deleted: it may end now, and will be stopped soon."""

    def stop(self) -> None:
        """Ends it at once; fine for one that has ended."""
