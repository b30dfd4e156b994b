"""Endpoints and EndpointSlices: defaults, checks, and their lines in `kubectl get`."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds.kind import Kind
from kdns.lab.ranges import Ranges
from kdns.lab.rules import Column

if TYPE_CHECKING:
    from kdns.lab.storage import Storage

_MOST_ENDPOINTS = 1000
_MOST_PORTS = 20_000
_MOST_ADDRESSES = 100
_TYPES = ("FQDN", "IPv4", "IPv6")
_USUAL = re.compile(r"(?:10|172|192)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}")
"""Addresses that need no second look: at 150,000 endpoints the long way takes seconds."""
_SHOWN = 3
"""How many endpoints `kubectl get` names before it counts."""


class Endpoints(Kind):
    """The rules of Endpoints."""

    columns = (tables.NAME, Column("Endpoints"), tables.AGE)

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, ENDPOINTS, AGE."""
        return [obj["metadata"]["name"], _listed(obj), tables.age(obj, now)]

    def default(self, obj: Obj) -> None:
        """The protocol of a port."""
        for subset in obj.get("subsets") or []:
            for port in subset.get("ports") or []:
                port.setdefault("protocol", "TCP")

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """Addresses of the usual ranges are where the lab has them."""
        del old
        if storage.ranges.is_loopback:
            for subset in obj.get("subsets") or []:
                for name in ("addresses", "notReadyAddresses"):
                    for address in subset.get(name) or []:
                        address["ip"] = storage.ranges.moved(address.get("ip", ""))

    def check_within(self, obj: Obj, ranges: Ranges) -> Iterable[Cause]:
        """Addresses and ports."""
        for place, subset in enumerate(obj.get("subsets") or []):
            at = f"subsets[{place}]"
            if not subset.get("addresses") and not subset.get("notReadyAddresses"):
                yield checks.required(at, "must specify `addresses` or `notReadyAddresses`")
            for name in ("addresses", "notReadyAddresses"):
                for number, address in enumerate(subset.get(name) or []):
                    yield from _check_address(address, f"{at}.{name}[{number}]", ranges)
            ports = subset.get("ports") or []
            for number, port in enumerate(ports):
                yield from _check_port(port, f"{at}.ports[{number}]", needs_name=len(ports) > 1)


def _check_address(address: Obj, at: str, ranges: Ranges) -> Iterable[Cause]:
    text = address.get("ip", "")
    is_address = checks.address(text) is not None
    if not is_address:
        yield checks.invalid(f"{at}.ip", text, checks.NO_ADDRESS)
    if address.get("hostname"):
        yield from checks.text_of(f"{at}.hostname", address["hostname"], checks.label)
    if address.get("nodeName"):
        yield from checks.text_of(f"{at}.nodeName", address["nodeName"], checks.subdomain)
    if is_address:
        yield from checks.endpoint_address(f"{at}.ip", text, ranges)
    else:  # servers say it twice
        yield checks.invalid(f"{at}.ip", text, "must be a valid IP address")


def _check_port(port: Obj, at: str, *, needs_name: bool) -> Iterable[Cause]:
    if port.get("name"):
        yield from checks.text_of(f"{at}.name", port["name"], checks.label)
    elif needs_name:
        yield checks.required(f"{at}.name")
    yield from checks.port(f"{at}.port", port.get("port", 0))
    yield from checks.one_of(f"{at}.protocol", port["protocol"], checks.PROTOCOLS)


def _listed(obj: Obj) -> str:
    """`10.0.0.1:80,10.0.0.2:80 + 3 more...`, ready ones only."""
    if not obj.get("subsets"):
        return "<none>"
    found: list[str] = []
    for subset in obj["subsets"]:
        addresses = [one["ip"] for one in subset.get("addresses") or []]
        ports = subset.get("ports") or []
        if not ports:
            found += addresses
        for port in ports:
            found += [_joined(address, port["port"]) for address in addresses]
    more = f" + {len(found) - _SHOWN} more..." if len(found) > _SHOWN else ""
    return ",".join(found[:_SHOWN]) + more


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class EndpointSlices(Kind):
    """The rules of EndpointSlices."""

    columns = (
        tables.NAME,
        Column("AddressType"),
        Column("Ports"),
        Column("Endpoints"),
        tables.AGE,
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, ADDRESSTYPE, PORTS, ENDPOINTS, AGE."""
        ports = [_port_cell(port) for port in obj.get("ports") or []]
        addresses = [
            address for one in obj.get("endpoints") or [] for address in one.get("addresses") or []
        ]
        return [
            obj["metadata"]["name"],
            obj.get("addressType", ""),
            _counted(ports, "<unset>"),
            _counted(addresses, "<unset>"),
            tables.age(obj, now),
        ]

    def default(self, obj: Obj) -> None:
        """Names and protocols of ports, conditions of endpoints; empty lists stand as null."""
        for port in obj.get("ports") or []:
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")
        for endpoint in obj.get("endpoints") or []:
            endpoint.setdefault("conditions", {})
        obj["endpoints"] = obj.get("endpoints") or None
        obj["ports"] = obj.get("ports") or None

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """Addresses of the usual ranges are where the lab has them."""
        del old
        if storage.ranges.is_loopback:
            for endpoint in obj["endpoints"] or []:
                found = endpoint.get("addresses") or []
                endpoint["addresses"] = [storage.ranges.moved(text) for text in found]

    def check_within(self, obj: Obj, ranges: Ranges) -> Iterable[Cause]:
        """Type, endpoints and ports."""
        kind = obj.get("addressType")
        if not kind:
            yield checks.required("addressType")
            return
        if kind not in _TYPES:
            yield checks.unsupported("addressType", kind, _TYPES)
            return
        endpoints = obj.get("endpoints") or []
        if len(endpoints) > _MOST_ENDPOINTS:
            yield _too_many("endpoints", len(endpoints), _MOST_ENDPOINTS)
        else:
            for place, endpoint in enumerate(endpoints):
                yield from _check_endpoint(endpoint, kind, f"endpoints[{place}]", ranges)
        ports = obj.get("ports") or []
        if len(ports) > _MOST_PORTS:
            yield _too_many("ports", len(ports), _MOST_PORTS)
        else:
            yield from _check_ports(ports)

    def changed(self, obj: Obj, old: Obj) -> Iterable[Cause]:
        """The type of addresses stays."""
        return checks.kept("addressType", obj.get("addressType"), old["addressType"])


def _too_many(field: str, count: int, most: int) -> Cause:
    message = f"Too many: {count}: must have at most {most} items"
    return Cause(field, "FieldValueTooMany", message)


def _check_endpoint(endpoint: Obj, kind: str, at: str, ranges: Ranges) -> Iterable[Cause]:
    addresses = endpoint.get("addresses") or []
    if not addresses:
        yield checks.required(f"{at}.addresses", "must contain at least 1 address")
    elif len(addresses) > _MOST_ADDRESSES:
        yield _too_many(f"{at}.addresses", len(addresses), _MOST_ADDRESSES)
    for place, text in enumerate(addresses):
        field = f"{at}.addresses[{place}]"
        if kind == "FQDN":
            yield from checks.text_of(field, text, checks.subdomain)
            continue
        if kind == "IPv4" and _USUAL.fullmatch(text):
            continue
        found = checks.address(text)
        if found is not None and f"IPv{found.version}" != kind:
            yield checks.invalid(f"{at}.addresses", text, f"must be an {kind} address")
        else:
            yield from checks.endpoint_address(field, text, ranges)
    if endpoint.get("hostname"):
        yield from checks.text_of(f"{at}.hostname", endpoint["hostname"], checks.label)
    if endpoint.get("nodeName"):
        yield from checks.text_of(f"{at}.nodeName", endpoint["nodeName"], checks.subdomain)


def _check_ports(ports: list[Obj]) -> Iterable[Cause]:
    names: set[str] = set()
    for place, port in enumerate(ports):
        at, name = f"ports[{place}]", port["name"]
        if name in names:
            yield checks.duplicate(f"{at}.name", name)
        names.add(name)
        if name:
            yield from checks.text_of(f"{at}.name", name, checks.label)
        yield from checks.one_of(f"{at}.protocol", port["protocol"], checks.PROTOCOLS)


def _port_cell(port: Obj) -> str:
    return str(port["port"]) if port.get("port") is not None else port.get("name") or "*"


def _counted(ones: list[str], none: str) -> str:
    more = f" + {len(ones) - _SHOWN} more..." if len(ones) > _SHOWN else ""
    return ",".join(ones[:_SHOWN]) + more if ones else none
