"""What is particular to one kind of object: its columns, defaults, checks and server-set fields.

`Rules` is what holds for a kind that needs nothing of its own; `kdns/lab/kinds/` has a subclass for
each kind that does. A write goes through `default`, `prepare`, `validate`, `allocate`, in this
order, and what comes out is stored and never changed again. What these are given is a copy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdns.lab.errors import Cause, Obj
from kdns.lab.ranges import USUAL, Ranges

if TYPE_CHECKING:
    from kdns.lab.storage import Storage


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; priority 1 means `-o wide` only."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""


class Rules:
    """A kind without anything particular: a name and an age."""

    columns: Sequence[Column] = (
        Column("Name", format="name"),
        Column("Created At", "date"),
    )
    merge_keys: Mapping[str, str] = {}
    """For strategic merge patches: path of a list, as `spec.ports`, to the key of its items."""

    def cells(self, obj: Obj, now: float) -> list[Any]:  # Any: a cell is text, a number or null
        """One row of `kubectl get`, a cell per column; `now` is seconds since the epoch."""
        del now
        return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]

    def default(self, obj: Obj) -> None:
        """Fills in, in place, what may be left out; on create and on update."""

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """Sets, in place, what a writer cannot: carries over what stays, drops what is not his."""

    def validate(self, obj: Obj, old: Obj | None, ranges: Ranges = USUAL) -> list[Cause]:
        """Everything that is wrong; old is None on create."""
        del obj, old, ranges
        return []

    def allocate(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """Takes, in place, what is shared (addresses, node ports); ApiError if it is taken."""

    def released(self, obj: Obj, storage: "Storage") -> None:
        """Told after the object is gone."""

    def status_of(self, obj: Obj, old: Obj) -> Obj:
        """What a write to `/status` stores: all of old, but the status and metadata of obj."""
        return old | {key: obj[key] for key in ("metadata", "status") if key in obj}

    def fields(self, obj: Obj) -> dict[str, str]:
        """The field labels of `--field-selector`, besides metadata.name and metadata.namespace."""
        del obj
        return {}

    def grace_s(self, obj: Obj, asked: int | None) -> int:
        """Seconds between a delete and the end; 0 ends at once unless a finalizer holds it.

        Pods that run somewhere say more; whoever plays them deletes them again with asked=0.
        """
        del obj, asked
        return 0

    def terminate(self, obj: Obj) -> None:
        """Changes, in place, what changes along with deletionTimestamp (a Namespace's phase)."""

    def is_held(self, obj: Obj) -> bool:
        """True while a deleted object must stay: it has finalizers."""
        return bool(obj["metadata"].get("finalizers"))
