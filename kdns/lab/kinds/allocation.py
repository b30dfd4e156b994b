"""Addresses and node ports of Services: who has which, and the next that nobody has.

An address follows from namespace and name by hash and probing (the low ones are left to those who
name theirs), so a lab that is started again gives the same ones. What is taken is read from the
history of the Services, a change at a time.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from kdns.lab import checks
from kdns.lab.errors import ApiError, Cause, Obj, invalid
from kdns.lab.ranges import Ranges

if TYPE_CHECKING:
    from kdns.lab.history import Watch
    from kdns.lab.storage import Storage

NODE_PORTS = range(30000, 32768)
_LOW = 256
"""Addresses of a range that are given only to those who ask for them."""

Taken = str | tuple[str, int]
"""An address in its canonical form, or a protocol and a node port."""


class Allocations:
    """What is taken in each storage."""

    def __init__(self) -> None:
        self._ledgers: WeakKeyDictionary[Storage, Ledger] = WeakKeyDictionary()

    def allocate(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """Completes a Service's addresses and node ports, or raises 422 for one that is taken."""
        ledger = self._ledgers.get(storage)
        if ledger is None:
            ledger = self._ledgers[storage] = Ledger()
        ledger.catch_up(storage)
        held = set(taken_by(old)) if old else set()
        _give_addresses(obj, ledger, held, storage.ranges)
        _give_node_ports(obj, ledger, held)


class Ledger:
    """What the Services of one storage have taken."""

    def __init__(self) -> None:
        self._watch: Watch | None = None
        self._owners: dict[Taken, int] = {}

    def catch_up(self, storage: "Storage") -> None:
        """Reads what has happened to Services since the last time."""
        from kdns.lab.resources import SERVICES  # noqa: PLC0415  (it holds the rules that hold this)

        try:
            events = self._watch.taken() if self._watch else None
        except ApiError:  # the history was cut: begin anew
            events = None
        if events is None:
            self._owners.clear()
            self._watch = storage.watch(SERVICES)
            events = self._watch.taken()
        for event in events:
            if event.old:
                self._count(event.old, -1)
            if event.type != "DELETED":
                self._count(event.object, 1)

    def has(self, one: Taken) -> bool:
        """True when a Service has it."""
        return self._owners.get(one, 0) > 0

    def _count(self, service: Obj, step: int) -> None:
        for one in taken_by(service):
            self._owners[one] = self._owners.get(one, 0) + step
            if not self._owners[one]:
                del self._owners[one]


def taken_by(service: Obj) -> Iterator[Taken]:
    """What one Service has."""
    spec = service["spec"]
    for text in spec.get("clusterIPs") or []:
        if text != "None":
            yield _canonical(text)
    for port in spec.get("ports") or []:
        if port.get("nodePort"):
            yield port["protocol"], port["nodePort"]
    if spec.get("healthCheckNodePort"):
        yield "TCP", spec["healthCheckNodePort"]


def _canonical(text: str) -> str:
    return str(checks.address(text) or text)


def _give_addresses(obj: Obj, ledger: Ledger, held: set[Taken], ranges: Ranges) -> None:
    spec = obj["spec"]
    if spec["type"] == "ExternalName":
        return
    addresses = list(spec.get("clusterIPs") or [])
    if addresses == ["None"]:
        return
    for text in addresses:
        if _canonical(text) not in held:
            _require(obj, text, addresses, ledger, ranges)
    lacking = spec["ipFamilies"][len(addresses) :]
    addresses += [_next_address(obj, _network(ranges, family), ledger) for family in lacking]
    count = 1 if spec["ipFamilyPolicy"] == "SingleStack" else 2
    spec["clusterIPs"] = addresses[:count]
    spec["clusterIP"] = addresses[0]
    spec["ipFamilies"] = spec["ipFamilies"][:count]


def _network(ranges: Ranges, family: str) -> IPv4Network | IPv6Network:
    return ranges.services6 if family == "IPv6" else ranges.services


def _require(obj: Obj, text: str, addresses: list[str], ledger: Ledger, ranges: Ranges) -> None:
    address = ip_address(_canonical(text))
    network = _network(ranges, f"IPv{address.version}")
    if address not in network:
        why = (
            f"the provided IP ({text}) is not in the valid range. "
            f"The range of valid IPs is {network}"
        )
    elif ledger.has(_canonical(text)):
        why = "provided IP is already allocated"
    else:
        return
    cause = checks.invalid("spec.clusterIPs", addresses, f"failed to allocate IP {text}: {why}")
    raise _refused(obj, cause)


def _next_address(obj: Obj, network: IPv4Network | IPv6Network, ledger: Ledger) -> str:
    room = network.num_addresses - _LOW - 1
    start = _hash(obj) % room
    for step in range(room):
        found = str(network[_LOW + (start + step) % room])
        if not ledger.has(found):
            return found
    why = f"failed to allocate a serviceIP: range is full ({network})"
    raise ApiError(500, "InternalError", f"Internal error occurred: {why}")


def _give_node_ports(obj: Obj, ledger: Ledger, held: set[Taken]) -> None:
    spec = obj["spec"]
    if spec["type"] not in {"NodePort", "LoadBalancer"}:
        return
    ports = spec.get("ports") or []
    mine: set[Taken] = set()
    for place, port in enumerate(ports):
        if port.get("nodePort"):
            at = f"spec.ports[{place}].nodePort"
            _require_port(obj, at, port["protocol"], port["nodePort"], ledger, held, mine)
            mine.add((port["protocol"], port["nodePort"]))
    if spec.get("allocateLoadBalancerNodePorts") is not False:
        for port in ports:
            if not port.get("nodePort"):
                port["nodePort"] = _next_port(obj, ports, port, ledger, mine)
                mine.add((port["protocol"], port["nodePort"]))
    if spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
        _give_health_port(obj, ledger, held, mine)


def _give_health_port(obj: Obj, ledger: Ledger, held: set[Taken], mine: set[Taken]) -> None:
    spec = obj["spec"]
    if spec.get("healthCheckNodePort"):
        number = spec["healthCheckNodePort"]
        _require_port(obj, "spec.healthCheckNodePort", "TCP", number, ledger, held, mine)
    else:
        spec["healthCheckNodePort"] = _free_port(_hash(obj), ("TCP",), ledger, mine)


def _require_port(
    obj: Obj,
    field: str,
    protocol: str,
    number: int,
    ledger: Ledger,
    held: set[Taken],
    mine: set[Taken],
) -> None:
    if number not in NODE_PORTS:
        least, most = NODE_PORTS[0], NODE_PORTS[-1]
        why = f"provided port is not in the valid range. The range of valid ports is {least}-{most}"
    elif (protocol, number) in mine or (
        ledger.has((protocol, number)) and (protocol, number) not in held
    ):
        why = "provided port is already allocated"
    else:
        return
    raise _refused(obj, checks.invalid(field, number, why))


def _next_port(obj: Obj, ports: list[Obj], port: Obj, ledger: Ledger, mine: set[Taken]) -> int:
    """A free node port; two protocols of one port share theirs."""
    for other in ports:
        number = other.get("nodePort")
        if number and other["port"] == port["port"] and (port["protocol"], number) not in mine:
            return int(number)
    return _free_port(_hash(obj) + port["port"], checks.PROTOCOLS, ledger, mine)


def _free_port(seed: int, protocols: Iterable[str], ledger: Ledger, mine: set[Taken]) -> int:
    for step in range(len(NODE_PORTS)):
        number = NODE_PORTS[(seed + step) % len(NODE_PORTS)]
        ones = [(protocol, number) for protocol in protocols]
        if not any(ledger.has(one) or one in mine for one in ones):
            return number
    raise ApiError(500, "InternalError", "Internal error occurred: range is full")


def _hash(obj: Obj) -> int:
    metadata = obj["metadata"]
    key = f"{metadata.get('namespace')}/{metadata['name']}".encode()
    return int.from_bytes(blake2b(key, digest_size=8).digest())


def _refused(obj: Obj, cause: Cause) -> ApiError:
    return invalid("Service", obj["metadata"]["name"], [cause])
