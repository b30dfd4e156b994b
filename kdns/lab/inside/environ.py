"""A container's `env` and `envFrom` become its environment, in the order a kubelet takes them.

Later ones win: services' variables, then what is whole (envFrom), then what is named (env). What
is missing and not optional raises LookupError with the words a kubelet shows for it.
"""

import base64
import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kdns.lab.errors import Obj
from kdns.lab.inside.amounts import counted

_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")
_NAME = re.compile(r"[ -<>-~]+")
"""What Kubernetes takes for a variable since 1.34: printable ASCII but `=`."""
_KEYED = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")

Find = Callable[[str, str], Obj | None]
"""A ConfigMap or Secret by kind and name in the pod's namespace."""
Links = Callable[[], dict[str, str]]
"""The variables of services."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a pod's environment may speak of."""

    find: Find
    node: Obj
    """Its node; empty for one that is gone."""


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Puts values in for $(NAME); what is unknown stays, and $$ is a dollar."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else environ.get(found[2], found[0])

    return _REFERENCE.sub(value, text)


def container_of(pod: Obj, name: str) -> Obj:
    """A container by its name, the first for ""; raises LookupError."""
    spec = pod.get("spec") or {}
    lists = ("containers", "initContainers", "ephemeralContainers")
    found = [one for listed in lists for one in spec.get(listed) or ()]
    for one in found:
        if name in {"", one.get("name")}:
            return one  # type: ignore[no-any-return]  # an Obj's parts are Any
    raise LookupError(f"container {name} is not valid for pod {pod['metadata']['name']}")


def own(pod: Obj, container: Obj, links: Links, around: Around) -> dict[str, str]:
    """What a container adds to the variables of services, of which it may speak."""
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        found.update(_whole(source, around))
    for variable in container.get("env") or ():
        text = variable.get("value") or ""
        value: str | None = expand(text, ChainMap(found, links())) if "$" in text else text
        if not text and variable.get("valueFrom"):
            value = _referred(pod, container, variable["valueFrom"], around)
        if value is not None:
            found[variable["name"]] = value
    return {name: text for name, text in found.items() if _is_sound(name, text)}


def _is_sound(name: str, text: str) -> bool:
    """False for what the kernel or Kubernetes does not take."""
    return bool(_NAME.fullmatch(name)) and "\0" not in text


# Whole ConfigMaps and Secrets


def _whole(source: Obj, around: Around) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
        if reference := source.get(field):
            held = _held(kind, reference, around)
            return {prefix + key: text for key, text in _texts(held or {}, kind)}
    return {}


def _held(kind: str, reference: Obj, around: Around) -> Obj | None:
    name = reference.get("name") or ""
    found = around.find(kind, name)
    if found is None and not reference.get("optional"):
        raise LookupError(f'{kind.lower()} "{name}" not found')
    return found


def _texts(held: Obj, kind: str) -> Iterator[tuple[str, str]]:
    for key, value in sorted((held.get("data") or {}).items()):
        if kind == "Secret":
            # what is no UTF-8 reaches the process as the octets that it is
            yield key, base64.b64decode(value).decode(errors="surrogateescape")
        else:
            yield key, value


# Single values


def _referred(pod: Obj, container: Obj, source: Obj, around: Around) -> str | None:
    """The value of a valueFrom; None for what is missing and optional."""
    for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if reference := source.get(field):
            return _keyed(pod, kind, reference, around)
    if reference := source.get("resourceFieldRef"):
        return _resource(pod, container, reference, around.node)
    return _field(pod, (source.get("fieldRef") or {}).get("fieldPath") or "")


def _keyed(pod: Obj, kind: str, reference: Obj, around: Around) -> str | None:
    held = _held(kind, reference, around)
    if held is None:
        return None
    key = reference.get("key") or ""
    found = dict(_texts(held, kind))
    if key not in found and not reference.get("optional"):
        where = f"{pod['metadata']['namespace']}/{reference['name']}"
        raise LookupError(f"couldn't find key {key} in {kind} {where}")
    return found.get(key)


def _field(pod: Obj, path: str) -> str:
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    if keyed := _KEYED.fullmatch(path):
        return str((metadata.get(keyed[1]) or {}).get(keyed[2], ""))
    lists = {"status.podIPs": "podIPs", "status.hostIPs": "hostIPs"}
    if path in lists:
        return ",".join(one["ip"] for one in status.get(lists[path]) or ())
    part, _, name = path.partition(".")
    if name not in _FIELDS.get(part, ()):
        raise LookupError(f"unsupported fieldPath: {path}")
    if name == "serviceAccountName":
        return str(spec.get(name) or "default")
    return str({"metadata": metadata, "spec": spec, "status": status}[part].get(name, ""))


_FIELDS = {
    "metadata": {"name", "namespace", "uid"},
    "spec": {"nodeName", "serviceAccountName"},
    "status": {"hostIP", "podIP"},
}


def _resource(pod: Obj, container: Obj, reference: Obj, node: Obj) -> str:
    """A limit or request; a limit that nobody set is all the node has."""
    if reference.get("containerName"):
        container = container_of(pod, reference["containerName"])
    listed, _, name = str(reference.get("resource") or "").partition(".")
    amounts = (container.get("resources") or {}).get(listed) or {}
    missing = "0"
    if listed == "limits":
        missing = ((node.get("status") or {}).get("allocatable") or {}).get(name, "0")
    try:
        return counted(str(amounts.get(name, missing)), str(reference.get("divisor") or ""))
    except ValueError as error:
        raise LookupError(f"resource {listed}.{name}: {error}") from None
