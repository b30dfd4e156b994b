"""Events: what happened to an object, how often, and who says so."""

from collections.abc import Iterable
from typing import Any

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds.kind import Kind
from kdns.lab.rules import Column


class Events(Kind):
    """The rules of Events."""

    columns = (
        Column("Last Seen"),
        Column("Type"),
        Column("Reason"),
        Column("Object"),
        Column("Subobject", priority=1),
        Column("Source", priority=1),
        Column("Message"),
        Column("First Seen", priority=1),
        Column("Count", priority=1),
        Column("Name", format="name", priority=1),
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """LAST SEEN, TYPE, REASON, OBJECT, SUBOBJECT, SOURCE, MESSAGE, FIRST SEEN, COUNT, NAME."""
        target, source = obj.get("involvedObject") or {}, obj.get("source") or {}
        first = obj.get("firstTimestamp") or obj.get("eventTime")
        series = obj.get("series") or {}
        last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
        component = source.get("component") or obj.get("reportingComponent") or ""
        where = source.get("host") or obj.get("reportingInstance")
        kind, name = target.get("kind", "").lower(), target.get("name", "")
        return [
            tables.since(last, now),
            obj.get("type", ""),
            obj.get("reason", ""),
            f"{kind}/{name}" if name else kind,
            target.get("fieldPath", ""),
            f"{component}, {where}" if where else component,
            (obj.get("message") or "").strip(),
            tables.since(first, now),
            series.get("count") or obj.get("count") or 1,
            obj["metadata"]["name"],
        ]

    def default(self, obj: Obj) -> None:
        """What is not said stands as empty."""
        for name in ("eventTime", "firstTimestamp", "lastTimestamp"):
            obj.setdefault(name, None)
        obj.setdefault("source", {})
        obj.setdefault("reportingComponent", "")
        obj.setdefault("reportingInstance", "")

    def check(self, obj: Obj) -> Iterable[Cause]:
        """It is where its object is."""
        where = (obj.get("involvedObject") or {}).get("namespace", "")
        if where and where != obj["metadata"].get("namespace"):
            yield checks.invalid(
                "involvedObject.namespace", where, "does not match event.namespace"
            )

    def fields(self, obj: Obj) -> dict[str, str]:
        """By object, reason and source, as `kubectl describe` asks."""
        target = obj.get("involvedObject") or {}
        names = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        source = (obj.get("source") or {}).get("component") or obj.get("reportingComponent", "")
        return {f"involvedObject.{name}": target.get(name, "") for name in names} | {
            "reason": obj.get("reason", ""),
            "reportingComponent": obj.get("reportingComponent", ""),
            "source": source,
            "type": obj.get("type", ""),
        }
