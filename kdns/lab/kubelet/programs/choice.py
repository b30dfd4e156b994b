"""A container's annotations, image and ports say which programs play it, and on which ports."""

from collections.abc import Iterator

from kdns.lab.controllers.bodies import annotations_of, is_of_job, spec_of
from kdns.lab.errors import Obj
from kdns.lab.ground.base import Transport
from kdns.lab.kubelet.programs import images
from kdns.lab.kubelet.programs.base import PREFIX, Program, Role
from kdns.lab.kubelet.programs.greeter import Greeter, Packets
from kdns.lab.kubelet.programs.http import Http
from kdns.lab.kubelet.programs.images import Kind
from kdns.lab.kubelet.programs.relaying import DEFAULTS, Relay

_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def kind_of(pod: Obj, container: Obj) -> Kind:
    """The kind of program that plays a container."""
    asked = _asked(pod, container)
    if asked:
        return asked
    cast = images.cast_of(str(container.get("image", "")))
    if _runs_to_end(pod):  # what it is there for is its command
        if container.get("command") or (container.get("args") and cast is images.UNKNOWN):
            return "shell"
        return "none" if ends_at_once(pod, container) else cast.kind
    return cast.kind


def _runs_to_end(pod: Obj) -> bool:
    """By its spec alone, which bears the mark of who wrote it; whom it belongs to may be forged."""
    return bool(spec_of(pod).get("restartPolicy", "Always") != "Always")


def ends_at_once(pod: Obj, container: Obj) -> bool:
    """True for a Job's container of which nothing is known: there is nothing to wait for."""
    is_known = images.cast_of(str(container.get("image", ""))) is not images.UNKNOWN
    is_told = container.get("command") or container.get("args")
    return is_of_job(pod) and not is_known and not is_told and not _asked(pod, container)


def _asked(pod: Obj, container: Obj) -> Kind | None:
    """What annotations say."""
    found = annotations_of(pod)
    for word in (f"{PREFIX}program.{container['name']}", f"{PREFIX}program"):
        for kind in images.KINDS:
            if found.get(word) == kind:
                return kind
    return None


def programs_of(pod: Obj, role: Role) -> list[Program]:
    """What serves the ports of a container; nothing for shells, which are run elsewhere."""
    kind = kind_of(pod, role.container)
    if kind in {"none", "shell"}:
        return []
    declared = list(_declared(role.container))
    if kind == "dns":
        return [Relay(role, declared or DEFAULTS)]
    packets = [port for port, transport in declared if transport == "UDP"]
    ports = [port for port, transport in declared if transport == "TCP"]
    ports = _with_defaults(role, ports, has_packets=bool(packets))
    pages = [port for port in ports if kind == "http" or port in images.WEB_PORTS]
    others = [port for port in ports if port not in pages]
    made: list[Program] = []
    if pages:
        made.append(Http(role, pages))
    if others:
        made.append(Greeter(role, others))
    if packets:
        made.append(Packets(role, packets))
    return made


def _declared(container: Obj) -> Iterator[tuple[int, Transport]]:
    seen = set()
    for one in container.get("ports") or ():
        transport: Transport = "UDP" if one.get("protocol") == "UDP" else "TCP"
        place = (int(one["containerPort"]), transport)
        if place not in seen and one.get("protocol") != "SCTP":
            seen.add(place)
            yield place


def _with_defaults(role: Role, ports: list[int], *, has_packets: bool) -> list[int]:
    """The ports of an image that declares none; those that are probed of an unknown one. One of
    which nothing is known is most likely found at one of two, unless a neighbour is there."""
    cast = images.cast_of(str(role.container.get("image", "")))
    if cast is images.UNKNOWN:
        probes = [role.container.get(name) or {} for name in _PROBES]
        ports = list(dict.fromkeys([*ports, *(port for one in probes for port in _probed(one))]))
    if ports or has_packets:
        return ports
    if role.wish("program") == "http" and not cast.ports:
        return [80]
    is_alone = len(spec_of(role.pod()).get("containers") or ()) == 1
    return list(cast.ports) if cast is not images.UNKNOWN or is_alone else []


def _probed(probe: Obj) -> Iterator[int]:
    for way in ("httpGet", "tcpSocket"):
        port = (probe.get(way) or {}).get("port")
        if isinstance(port, int):
            yield port
