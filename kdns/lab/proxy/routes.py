"""Ingresses become routes: host and path of a request → a port of a service.

Pure. An exact host comes before a wildcard (which stands for one label) and that before none; the
longest path first, of two alike the exact one, then the older ingress. What no path fits goes to
the default backend of an ingress with that host, then of any.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from kdns.lab.controllers.bodies import name_of, namespace_of, spec_of
from kdns.lab.errors import Obj
from kdns.lab.proxy.rules import usable
from kdns.lab.proxy.slices import Endpoint, Slices


class Backend(NamedTuple):
    """A port of a service, by number or name."""

    namespace: str
    name: str
    port: int | str

    @property
    def service(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


class Path(NamedTuple):
    """One path of a host; the least of those that fit is taken."""

    shortness: int
    is_prefix: bool
    created: str
    ingress: str
    path: str
    backend: Backend

    def fits(self, asked: str) -> bool:
        """True for a request's path; a prefix counts by whole elements."""
        if not self.is_prefix:
            return asked == self.path
        prefix = self.path.rstrip("/")
        return asked == prefix or asked.startswith(f"{prefix}/")


class Routes:
    """All of them."""

    def __init__(self, ingresses: Iterable[Obj]) -> None:
        self.by_host: defaultdict[str, list[Path]] = defaultdict(list)
        self.defaults: dict[str, Backend] = {}
        """Of hosts; "" is for all others."""
        for one in sorted(ingresses, key=_age):
            self._add(one)
        for paths in self.by_host.values():
            paths.sort()

    def find(self, host: str, path: str) -> Backend | None:
        """Where a request goes; None: nobody wants it."""
        host = host.lower().rstrip(".")
        _, dot, parent = host.partition(".")
        names = (host, f"*.{parent}" if dot else "", "")
        chosen = next((one for one in names if one in self.by_host or one in self.defaults), "")
        for one in self.by_host.get(chosen, ()):
            if one.fits(path):
                return one.backend
        return self.defaults.get(chosen) or self.defaults.get("")

    def _add(self, ingress: Obj) -> None:
        spec = spec_of(ingress)
        space = namespace_of(ingress)
        default = backend_of(space, spec.get("defaultBackend") or {})
        if default:
            self.defaults.setdefault("", default)
        created, key = _age(ingress)
        for rule in spec.get("rules") or ():
            host = str(rule.get("host") or "").lower()
            if default:
                self.defaults.setdefault(host, default)
            for one in (rule.get("http") or {}).get("paths") or ():
                backend = backend_of(space, one.get("backend") or {})
                text = one.get("path") or "/"
                is_prefix = one.get("pathType") != "Exact"
                size = len(text.rstrip("/") if is_prefix else text)
                if backend:
                    made = Path(-size, is_prefix, created, key, text, backend)
                    self.by_host[host].append(made)


def backend_of(namespace: str, backend: Obj) -> Backend | None:
    """The service that a backend names; None for other resources."""
    service = backend.get("service") or {}
    port = service.get("port") or {}
    if not service.get("name"):
        return None
    return Backend(namespace, service["name"], port.get("number") or port.get("name") or 0)


def endpoints_at(backend: Backend, service: Obj | None, slices: Slices) -> tuple[Endpoint, ...]:
    """The endpoints of a backend, straight from the slices: a headless service is as good."""
    for port in spec_of(service).get("ports") or () if service else ():
        if backend.port in {port["port"], port.get("name")}:
            name = port.get("name") or ""
            families = ("IPv4", "IPv6")
            return usable(
                one for family in families for one in slices.members((name, "TCP"), family)
            )
    return ()


def _age(ingress: Obj) -> tuple[str, str]:
    created = str(ingress["metadata"].get("creationTimestamp") or "")
    return created, f"{namespace_of(ingress)}/{name_of(ingress)}"
