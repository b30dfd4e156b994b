"""Services become environment variables, as a kubelet gives them to the containers of a pod.

`REDIS_SERVICE_HOST`, `REDIS_SERVICE_PORT` and the older ones in the style of Docker's links
(`REDIS_PORT_6379_TCP_ADDR`). Host and port are where one connects to on this ground; the names
bear the port of the API's.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from kdns.lab.errors import Obj

Target = Callable[[str, int], tuple[str, int]]
"""`Ground.target`."""
MASTER = "kubernetes"
"""The service of the API, which every pod hears of, whatever its namespace."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def links(services: Iterable[Obj], target: Target) -> dict[str, str]:
    """The variables of services; those without a ClusterIP have none."""
    return {
        name: text
        for service in services
        for name, text in _variables(service, target)
        if _VARIABLE.fullmatch(name)
    }


def has_address(service: Obj) -> bool:
    """False for headless services and ExternalNames."""
    spec = service.get("spec") or {}
    return spec.get("clusterIP") not in {None, "", "None"} and spec.get("type") != "ExternalName"


def _variables(service: Obj, target: Target) -> Iterator[tuple[str, str]]:
    ports = (service.get("spec") or {}).get("ports")
    if not ports or not has_address(service):
        return
    address = service["spec"]["clusterIP"]
    name = capitals(service["metadata"]["name"])
    host, first = target(address, ports[0]["port"])
    yield f"{name}_SERVICE_HOST", host
    yield f"{name}_SERVICE_PORT", str(first)
    for port in ports:
        if port.get("name"):
            number = target(address, port["port"])[1]
            yield f"{name}_SERVICE_PORT_{capitals(port['name'])}", str(number)
    yield f"{name}_PORT", _url(ports[0], host, first)
    for port in ports:
        yield from _link(name, port, *target(address, port["port"]))


def _link(name: str, port: Obj, host: str, number: int) -> Iterator[tuple[str, str]]:
    transport = _transport(port)
    prefix = f"{name}_PORT_{port['port']}_{transport.upper()}"
    yield prefix, _url(port, host, number)
    yield f"{prefix}_PROTO", transport
    yield f"{prefix}_PORT", str(number)
    yield f"{prefix}_ADDR", host


def _url(port: Obj, host: str, number: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{_transport(port)}://{shown}:{number}"


def _transport(port: Obj) -> str:
    return str(port.get("protocol") or "TCP").lower()


def capitals(name: str) -> str:
    """A name as it stands in variables."""
    return name.replace("-", "_").upper()
