"""Services: defaults, checks, and what a change of type takes along or leaves behind."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds.allocation import Allocations
from kdns.lab.kinds.kind import Kind
from kdns.lab.ranges import Ranges
from kdns.lab.rules import Column

if TYPE_CHECKING:
    from kdns.lab.storage import Storage

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
FAMILIES = ("IPv4", "IPv6")
POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
TRAFFIC = ("Cluster", "Local")
DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_EXTERNAL = ("NodePort", "LoadBalancer")
_AFFINITY_S = 10800
_DAY_S = 86400


class Services(Kind):
    """The rules of Services."""

    name_form = checks.label_1035
    columns = (
        tables.NAME,
        Column("Type"),
        Column("Cluster-IP"),
        Column("External-IP"),
        Column("Port(s)"),
        tables.AGE,
        Column("Selector", priority=1),
    )

    def __init__(self) -> None:
        self._allocations = Allocations()

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, TYPE, CLUSTER-IP, EXTERNAL-IP, PORT(S), AGE, SELECTOR."""
        spec = obj["spec"]
        addresses = spec.get("clusterIPs") or [spec.get("clusterIP") or "<none>"]
        return [
            obj["metadata"]["name"],
            spec.get("type", "ClusterIP"),
            addresses[0],
            _external(obj),
            ",".join(_port_cell(port) for port in spec.get("ports") or []) or "<none>",
            tables.age(obj, now),
            tables.selector(spec.get("selector")),
        ]

    def default(self, obj: Obj) -> None:
        """What stands in `-o yaml` though nobody wrote it."""
        spec = obj.setdefault("spec", {})
        kind = spec.setdefault("type", "ClusterIP")
        affinity = spec.setdefault("sessionAffinity", "None")
        if affinity == "None":
            spec.pop("sessionAffinityConfig", None)
        elif affinity == "ClientIP":
            client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
            client.setdefault("timeoutSeconds", _AFFINITY_S)
        for port in spec.get("ports") or []:
            port.setdefault("protocol", "TCP")
            if port.get("targetPort") in (None, 0, ""):  # what is no port may have no hash
                port["targetPort"] = port.get("port", 0)
            if not port.get("nodePort"):
                port.pop("nodePort", None)
        if kind != "ExternalName":
            spec.setdefault("internalTrafficPolicy", "Cluster")
        if kind in _EXTERNAL or (spec.get("externalIPs") and kind == "ClusterIP"):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if kind == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """Carries over what a writer left out, drops what the former type had, sets families."""
        spec = obj["spec"]
        if storage.ranges.is_loopback:
            _move(obj, storage.ranges)
        if old is not None:
            _carry(spec, old["spec"])
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        _set_families(spec)
        obj.setdefault("status", {"loadBalancer": {}})

    def check_within(self, obj: Obj, ranges: Ranges) -> Iterable[Cause]:
        """Everything about the spec."""
        spec = obj["spec"]
        kind = spec["type"]
        is_headless = spec.get("clusterIP") == "None"
        if not spec.get("ports") and not is_headless and kind != "ExternalName":
            yield checks.required("spec.ports")
        if kind == "ExternalName":
            yield from _external_name(spec)
        elif kind in _EXTERNAL and is_headless:
            why = f"may not be set to 'None' for {kind} services"
            yield checks.invalid("spec.clusterIPs[0]", "None", why)
        yield from _ports(spec, kind)
        yield from checks.labels("spec.selector", spec.get("selector") or {})
        yield from checks.one_of(
            "spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None")
        )
        yield from _affinity(spec)
        for place, address in enumerate(spec.get("externalIPs") or []):
            yield from checks.endpoint_address(f"spec.externalIPs[{place}]", address, ranges)
        yield from checks.one_of("spec.type", kind, TYPES)
        yield from _policies(spec, kind)
        if kind in TYPES and kind != "ExternalName":
            yield from _addresses(spec)

    def changed(self, obj: Obj, old: Obj) -> Iterable[Cause]:
        """Addresses stay while a Service has any."""
        new, before = obj["spec"], old["spec"]
        if "ExternalName" in {new["type"], before["type"]}:
            return
        now, then = new.get("clusterIPs") or [], before.get("clusterIPs") or []
        if now and then and now[0] != then[0] and new.get("clusterIP") == now[0]:
            yield checks.invalid("spec.clusterIPs[0]", now, "may not change once set")

    def allocate(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """Addresses and node ports that nobody else has."""
        self._allocations.allocate(obj, old, storage)


def _move(obj: Obj, ranges: Ranges) -> None:
    """Addresses of the usual ranges are where the lab has them."""
    spec = obj["spec"]
    for name in ("clusterIP", "loadBalancerIP"):
        if spec.get(name):
            spec[name] = ranges.moved(spec[name])
    for name in ("clusterIPs", "externalIPs"):
        if spec.get(name):
            spec[name] = [ranges.moved(text) for text in spec[name]]
    status = obj.get("status") or {}
    for point in (status.get("loadBalancer") or {}).get("ingress") or []:
        if point.get("ip"):
            point["ip"] = ranges.moved(point["ip"])


def _carry(spec: Obj, before: Obj) -> None:
    """What an update that does not mention it keeps, and what a new type cannot have."""
    kind, former = spec["type"], before["type"]
    if kind == "ExternalName" != former:
        _drop_unless_changed(spec, before, "clusterIP", "clusterIPs")
        for name in ("ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
            spec.pop(name, None)
    elif "ExternalName" not in {kind, former}:
        _carry_addresses(spec, before)
    if kind in _EXTERNAL and former in _EXTERNAL:
        _keep_node_ports(spec, before)
    elif former in _EXTERNAL:
        _drop_unless_changed(spec, before, "externalTrafficPolicy", "allocateLoadBalancerNodePorts")
        _drop_node_ports(spec, before)
    if former == "LoadBalancer" and kind != former:
        _drop_unless_changed(spec, before, "allocateLoadBalancerNodePorts", "loadBalancerClass")
    if not _wants_health_port(spec):
        _drop_unless_changed(spec, before, "healthCheckNodePort")
    elif _wants_health_port(before) and before.get("healthCheckNodePort"):
        spec.setdefault("healthCheckNodePort", before["healthCheckNodePort"])


def _carry_addresses(spec: Obj, before: Obj) -> None:
    given, listed = spec.get("clusterIP"), spec.get("clusterIPs")
    if not given and not listed:
        kept = {name: before[name] for name in ("clusterIP", "clusterIPs") if before.get(name)}
        spec.update(kept)
    elif not given:
        spec["clusterIP"] = spec["clusterIPs"][0]
    elif given != before.get("clusterIP") and listed == before.get("clusterIPs"):
        spec["clusterIPs"] = [given]
    for name in ("ipFamilies", "ipFamilyPolicy"):
        if name in before:
            spec.setdefault(name, before[name])


def _drop_unless_changed(spec: Obj, before: Obj, *names: str) -> None:
    for name in names:
        if spec.get(name) == before.get(name):
            spec.pop(name, None)


def _keep_node_ports(spec: Obj, before: Obj) -> None:
    if spec.get("allocateLoadBalancerNodePorts") is False:
        return
    known = {(one.get("protocol"), one["port"]): one.get("nodePort") for one in before["ports"]}
    taken = {one.get("nodePort") for one in spec.get("ports") or []}
    for port in spec.get("ports") or []:
        number = known.get((port.get("protocol"), port.get("port")))
        if number and "nodePort" not in port and number not in taken:
            port["nodePort"] = number


def _drop_node_ports(spec: Obj, before: Obj) -> None:
    known = {one.get("nodePort") for one in before.get("ports") or []}
    for port in spec.get("ports") or []:
        if port.get("nodePort") in known:
            port.pop("nodePort", None)


def _wants_health_port(spec: Obj) -> bool:
    return spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _set_families(spec: Obj) -> None:
    """Families and their policy, as they follow from what was asked for."""
    if spec["type"] == "ExternalName":
        return
    addresses = [one for one in spec.get("clusterIPs") or [] if one != "None"]
    families = spec.get("ipFamilies") or [_family(one) for one in addresses]
    is_bare = spec.get("clusterIP") == "None" and not spec.get("selector")
    if "ipFamilyPolicy" not in spec:
        is_dual = (is_bare and not families) or (is_bare and len(families) > 1)
        spec["ipFamilyPolicy"] = "RequireDualStack" if is_dual else "SingleStack"
    families = families or ["IPv4"]
    if spec["ipFamilyPolicy"] != "SingleStack" and len(families) == 1:
        families = [*families, "IPv6" if families[0] == "IPv4" else "IPv4"]
    spec["ipFamilies"] = families


def _family(text: str) -> str:
    found = checks.address(text)
    return "IPv6" if found is not None and found.version == 6 else "IPv4"


def _external_name(spec: Obj) -> Iterable[Cause]:
    if spec.get("clusterIPs"):
        yield checks.forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    name = (spec.get("externalName") or "").removesuffix(".")
    if name:
        yield from checks.text_of("spec.externalName", name, checks.subdomain)
    else:
        yield checks.required("spec.externalName")


def _ports(spec: Obj, kind: str) -> Iterable[Cause]:
    ports = spec.get("ports") or []
    names: set[str] = set()
    numbers: set[tuple[Any, Any]] = set()
    repeated: list[Cause] = []
    for place, port in enumerate(ports):
        at = f"spec.ports[{place}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            yield checks.required(f"{at}.name")
        elif name:
            yield from checks.text_of(f"{at}.name", name, checks.label)
            if name in names:
                yield checks.duplicate(f"{at}.name", name)
            names.add(name)
        yield from checks.port(f"{at}.port", port.get("port", 0))
        yield from checks.one_of(f"{at}.protocol", port["protocol"], checks.PROTOCOLS)
        if port.get("targetPort") is not None:
            yield from checks.port_or_name(f"{at}.targetPort", port["targetPort"])
        if port.get("nodePort") and kind not in _EXTERNAL:
            yield checks.forbidden(f"{at}.nodePort", f"may not be used when `type` is '{kind}'")
        key = (port["protocol"], port.get("port"))
        if key in numbers:
            repeated.append(checks.duplicate(at, _go_port(port)))
        numbers.add(key)
    yield from repeated


def _go_port(port: Obj) -> Obj:
    """What a server shows of a port that stands twice."""
    return {
        "Name": "", "Protocol": port["protocol"], "AppProtocol": None, "Port": port.get("port", 0),
        "TargetPort": 0, "NodePort": 0,
    }  # fmt: skip


def _affinity(spec: Obj) -> Iterable[Cause]:
    if spec["sessionAffinity"] == "ClientIP":
        seconds = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
        if not 0 < seconds <= _DAY_S:
            at = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            yield checks.invalid(at, seconds, f"must be greater than 0 and less than {_DAY_S}")


def _policies(spec: Obj, kind: str) -> Iterable[Cause]:
    if spec.get("loadBalancerSourceRanges") and kind != "LoadBalancer":
        why = "may only be used when `type` is 'LoadBalancer'"
        yield checks.forbidden("spec.LoadBalancerSourceRanges", why)
    if spec.get("allocateLoadBalancerNodePorts") is not None and kind != "LoadBalancer":
        why = "may only be used when `type` is 'LoadBalancer'"
        yield checks.forbidden("spec.allocateLoadBalancerNodePorts", why)
    external = spec.get("externalTrafficPolicy")
    if external and kind not in _EXTERNAL and not spec.get("externalIPs"):
        why = "may only be set for externally-accessible services"
        yield checks.invalid("spec.externalTrafficPolicy", external, why)
    elif external:
        yield from checks.one_of("spec.externalTrafficPolicy", external, TRAFFIC)
    if spec.get("internalTrafficPolicy"):
        at = "spec.internalTrafficPolicy"
        yield from checks.one_of(at, spec["internalTrafficPolicy"], TRAFFIC)
    if spec.get("trafficDistribution"):
        at = "spec.trafficDistribution"
        yield from checks.one_of(at, spec["trafficDistribution"], DISTRIBUTIONS)


def _addresses(spec: Obj) -> Iterable[Cause]:
    """Addresses and families, and that they fit each other."""
    addresses, families = spec.get("clusterIPs") or [], spec["ipFamilies"]
    for place, family in enumerate(families):
        at = f"spec.ipFamilies[{place}]"
        yield from checks.one_of(at, family, FAMILIES)
        if family in families[:place]:
            yield checks.duplicate(at, family)
    if len(families) > 1 and spec["ipFamilyPolicy"] == "SingleStack":
        either = "'RequireDualStack' or 'PreferDualStack'"
        why = f"must be {either} when multiple IP families are specified"
        yield checks.invalid("spec.ipFamilyPolicy", "SingleStack", why)
    if addresses and not spec.get("clusterIP"):
        why = "must be empty when `clusterIP` is not specified"
        yield checks.invalid("spec.clusterIPs", addresses, why)
        return
    if addresses and spec["clusterIP"] != addresses[0]:
        yield checks.invalid("spec.clusterIPs", addresses, "first value must match `clusterIP`")
        return
    yield from checks.one_of("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], POLICIES)
    for place, (address, family) in enumerate(zip(addresses, families, strict=False)):
        at = f"spec.clusterIPs[{place}]"
        if address == "None":
            continue
        if checks.address(address) is None:
            yield checks.invalid(at, address, checks.NO_ADDRESS)
        elif _family(address) != family and family in FAMILIES:
            why = f"expected an {family} value as indicated by `ipFamilies[{place}]`"
            yield checks.invalid(at, address, why)


def _external(obj: Obj) -> str:
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return spec.get("externalName") or "<none>"
    given = ",".join(spec.get("externalIPs") or [])
    if spec.get("type") != "LoadBalancer":
        return given or "<none>"
    found = (obj.get("status") or {}).get("loadBalancer", {}).get("ingress") or []
    balanced = ",".join(one.get("ip") or one.get("hostname", "") for one in found)
    return ",".join(part for part in (balanced, given) if part) or "<pending>"


def _port_cell(port: Obj) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node}/{port.get('protocol', 'TCP')}"
