"""The options of a `kubernetes` stanza: what it takes, what it selects, where its cluster is told.

What other directives of the block want to know of the cluster beyond services, they have said
before, each by the name of a field of Selection in `site.beside["watched"]`.
"""

import os
from collections.abc import Collection
from typing import Any, ClassVar, Final

from kdns.cluster.api.connection import Access
from kdns.cluster.cluster import Origin
from kdns.cluster.selection import Selection
from kdns.cluster.selectors import EVERYTHING, Selector, parse
from kdns.corefile.options import (
    Settings,
    Shape,
    Syntax,
    choice,
    duration,
    integer,
    number,
    text,
    zones,
)

API_OPTIONS: Final = (
    "endpoint", "tls", "kubeconfig", "apiserver_qps", "apiserver_burst", "apiserver_max_inflight",
)  # fmt: skip
OUR_API_OPTIONS: Final = ("snapshot", "stale_after")
"""What goes with an API server only, and is ours."""

SYNTAX: Final = Syntax(
    args=Shape(rest=zones),
    options={
        "endpoint": Shape(rest=text, at_least=1),
        "tls": Shape((text, text, text)),
        "kubeconfig": Shape((text,), (text,)),
        "apiserver_qps": Shape((number(),)),
        "apiserver_burst": Shape((integer(),)),
        "apiserver_max_inflight": Shape((integer(),)),
        "manifests": Shape(rest=text, at_least=1, repeats=True),
        "namespaces": Shape(rest=text, at_least=1, repeats=True),
        "namespace_labels": Shape(rest=text, at_least=1),
        "labels": Shape(rest=text, at_least=1),
        "pods": Shape((choice("disabled", "insecure", "verified"),)),
        "endpoint_pod_names": Shape(),
        "ttl": Shape((integer(0, 3600),), is_loose=True),
        "noendpoints": Shape(),
        "fallthrough": Shape(rest=zones),
        "ignore": Shape((choice("empty_service"),), rest=text),
        "multicluster": Shape(rest=zones),
        "zonal": Shape(),
        "topology": Shape(),
        "startup_timeout": Shape((duration(0),), is_loose=True),
        "snapshot": Shape((text,)),
        "stale_after": Shape((duration(0),)),
    },
    removed={
        "federation": "federations are gone from Kubernetes, take the line out",
        "resyncperiod": "changes are watched as they happen, take the line out",
        "transfer": "zone transfers have a directive of their own, `transfer`",
        "upstream": "ExternalName targets are always resolved by this server",
    },
)


class Stanza:
    """The checked options of a stanza, as far as they say what is watched and where."""

    exclusive: ClassVar = (
        ("namespaces", "namespace_labels"),
        ("zonal", "noendpoints"),
        ("topology", "noendpoints"),
    )

    def __init__(self, settings: Settings, watched: Collection[str] = ()) -> None:
        self._settings = settings
        self._check()
        also = {*watched, "nodes"} if settings.has("topology") else watched
        self.selection = Selection(
            labels=self._selector("labels"),
            namespaces=self._selector("namespace_labels"),
            endpoints=not settings.has("noendpoints"),
            pods=settings.get("pods") == "verified",
            imports=bool(settings.values("multicluster")),
            **dict.fromkeys(also, True),
        )

    def _check(self) -> None:
        """Raises ConfigError for options that exclude each other."""
        settings = self._settings
        for option, other in self.exclusive:
            if settings.has(option) and settings.has(other):
                raise settings.all(other)[0].fail(
                    f"kubernetes: {option} and {other} exclude each other"
                )
        for line in settings.lines:
            if line.name in API_OPTIONS and settings.has("manifests"):
                raise line.fail(
                    f"kubernetes: {line.name} and manifests are two sources",
                    "keep one of them",
                )
            if line.name in OUR_API_OPTIONS and settings.has("manifests"):
                raise line.fail(
                    f"kubernetes: {line.name} is for what an API server tells, manifests are files",
                    "take the line out",
                )

    def _selector(self, option: str) -> Selector:
        """The label selector of an option; its words are joined by spaces."""
        lines = self._settings.all(option)
        if not lines:
            return EVERYTHING
        try:
            return parse(" ".join(lines[-1].values))
        except ValueError as error:
            raise lines[-1].fail(f"kubernetes: {option}: {error}") from None

    @property
    def origin(self) -> Origin:
        """Where the cluster is told of."""
        settings = self._settings
        cert, key, ca = self._words("tls") or ("", "", "")
        kubeconfig, *context = self._words("kubeconfig") or ("",)
        access = Access(
            endpoint="" if kubeconfig else next(iter(self._words("endpoint")), ""),
            cert=cert,
            key=key,
            ca=ca,
            kubeconfig=kubeconfig,
            context=context[0] if context else "",
            qps=settings.get("apiserver_qps", 0.0),
            burst=settings.get("apiserver_burst", 0),
            max_inflight=settings.get("apiserver_max_inflight", 0),
        )
        kept = self._paths("snapshot")
        return Origin(self.selection, self._paths("manifests"), access, kept[-1] if kept else "")

    @property
    def warnings(self) -> list[str]:
        """What CoreDNS passes over in silence."""
        if self._settings.has("kubeconfig") and self._settings.has("endpoint"):
            return ["endpoint is not used, since kubeconfig names the API server"]
        endpoints = self._words("endpoint")
        if len(endpoints) > 1:
            return [f"of several endpoints only the first is used: {endpoints[0]}"]
        return []

    def _words(self, option: str) -> tuple[Any, ...]:  # Any: as the option's Shape has them
        """The values of an option's last line."""
        lines = self._settings.all(option)
        return lines[-1].values if lines else ()

    def _paths(self, option: str) -> tuple[str, ...]:
        """Paths, from the folder of the file that names them."""
        return tuple(
            os.path.join(os.path.dirname(line.word.file), path)
            for line in self._settings.all(option)
            for path in line.values
        )
