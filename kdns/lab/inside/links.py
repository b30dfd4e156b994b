"""Services become environment variables, as a kubelet gives them to the containers of a pod.

`REDIS_SERVICE_HOST`, `REDIS_SERVICE_PORT` and the older ones in the style of Docker's links
(`REDIS_PORT_6379_TCP_ADDR`). Ports are those that listen on this ground; the names bear the API's.
"""

import re
from collections.abc import Iterable, Iterator

from kdns.lab.errors import Obj

MASTER = "kubernetes"
"""The service of the API, which every pod hears of, whatever its namespace."""
_RESERVED = 1024
"""Ports below it are shifted where they cannot be had."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def links(services: Iterable[Obj], offset: int) -> dict[str, str]:
    """The variables of services; those without a ClusterIP have none. `offset` is the ground's."""
    return {
        name: text
        for service in services
        for name, text in _variables(service, offset)
        if _VARIABLE.fullmatch(name)
    }


def has_address(service: Obj) -> bool:
    """False for headless services and ExternalNames."""
    spec = service.get("spec") or {}
    return spec.get("clusterIP") not in {None, "", "None"} and spec.get("type") != "ExternalName"


def _variables(service: Obj, offset: int) -> Iterator[tuple[str, str]]:
    ports = (service.get("spec") or {}).get("ports")
    if not ports or not has_address(service):
        return
    host = service["spec"]["clusterIP"]
    name = capitals(service["metadata"]["name"])
    numbers = [_shifted(port["port"], offset) for port in ports]
    yield f"{name}_SERVICE_HOST", host
    yield f"{name}_SERVICE_PORT", str(numbers[0])
    for port, number in zip(ports, numbers, strict=True):
        if port.get("name"):
            yield f"{name}_SERVICE_PORT_{capitals(port['name'])}", str(number)
    yield f"{name}_PORT", _url(ports[0], host, numbers[0])
    for port, number in zip(ports, numbers, strict=True):
        yield from _link(name, port, host, number)


def _shifted(port: int, offset: int) -> int:
    return port + offset if port < _RESERVED else port


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
