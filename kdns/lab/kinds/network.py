"""Ingresses and NetworkPolicies."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds.kind import Kind
from kdns.lab.rules import Column

if TYPE_CHECKING:
    from kdns.lab.storage import Storage

_PATHS = ("Exact", "ImplementationSpecific", "Prefix")
_DIRECTIONS = ("Egress", "Ingress")
_NO_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


class Ingresses(Kind):
    """The rules of Ingresses."""

    columns = (
        tables.NAME,
        Column("Class"),
        Column("Hosts"),
        Column("Address"),
        Column("Ports"),
        tables.AGE,
    )

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, CLASS, HOSTS, ADDRESS, PORTS, AGE."""
        spec = obj.get("spec") or {}
        found = (obj.get("status") or {}).get("loadBalancer", {}).get("ingress") or []
        hosts = [rule["host"] for rule in spec.get("rules") or [] if rule.get("host")]
        more = f" + {len(hosts) - 3} more..." if len(hosts) > 3 else ""
        return [
            obj["metadata"]["name"],
            spec.get("ingressClassName") or "<none>",
            ",".join(hosts[:3]) + more if hosts else "*",
            ",".join(one.get("ip") or one.get("hostname", "") for one in found),
            "80, 443" if spec.get("tls") else "80",
            tables.age(obj, now),
        ]

    def prepare(self, obj: Obj, old: Obj | None, storage: "Storage") -> None:
        """A new one has no address yet."""
        del storage
        obj.setdefault("spec", {})
        if old is None:
            obj["status"] = {"loadBalancer": {}}

    def check(self, obj: Obj) -> Iterable[Cause]:
        """Rules or a backend for all."""
        spec = obj["spec"]
        if not spec.get("rules") and not spec.get("defaultBackend"):
            why = "either `defaultBackend` or `rules` must be specified"
            yield checks.invalid("spec", None, why)
        for place, rule in enumerate(spec.get("rules") or []):
            at = f"spec.rules[{place}]"
            if rule.get("host"):
                yield from _check_host(rule["host"], f"{at}.host")
            if "http" in rule:
                for number, path in enumerate(rule["http"].get("paths") or []):
                    yield from _check_path(path, f"{at}.http.paths[{number}]")
        if spec.get("defaultBackend"):
            yield from _check_backend(spec["defaultBackend"], "spec.defaultBackend")


def _check_host(host: str, at: str) -> Iterable[Cause]:
    if checks.address(host) is not None:
        yield checks.invalid(at, host, "must be a DNS name, not an IP address")
    else:
        plain = host.removeprefix("*.")
        yield from (checks.invalid(at, host, why) for why in checks.subdomain(plain))


def _check_path(path: Obj, at: str) -> Iterable[Cause]:
    kind = path.get("pathType")
    if not kind:
        yield checks.required(f"{at}.pathType", "pathType must be specified")
    elif kind not in _PATHS:
        yield checks.unsupported(f"{at}.pathType", kind, _PATHS)
    elif kind != "ImplementationSpecific" and not (path.get("path") or "").startswith("/"):
        yield checks.invalid(f"{at}.path", path.get("path", ""), "must be an absolute path")
    yield from _check_backend(path.get("backend") or {}, f"{at}.backend")


def _check_backend(backend: Obj, at: str) -> Iterable[Cause]:
    service = backend.get("service")
    if not service:
        if not backend.get("resource"):
            yield checks.invalid(at, "", "resource or service backend is required")
        return
    if service.get("name"):
        yield from checks.text_of(f"{at}.service.name", service["name"], checks.label_1035)
    else:
        yield checks.required(f"{at}.service.name")
    port = service.get("port") or {}
    if port.get("number") and port.get("name"):
        yield checks.invalid(at, "", "cannot set both port name & port number")
    elif not port:
        yield checks.required(at, "port name or number is required")
    elif port.get("number"):
        yield from checks.port(f"{at}.service.port.number", port["number"])
    elif port.get("name"):
        yield from checks.text_of(f"{at}.service.port.name", port["name"], checks.port_name)


class NetworkPolicies(Kind):
    """The rules of NetworkPolicies."""

    columns = (tables.NAME, Column("Pod-Selector"), tables.AGE)

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, POD-SELECTOR, AGE."""
        chosen = tables.label_selector((obj.get("spec") or {}).get("podSelector"))
        return [obj["metadata"]["name"], chosen, tables.age(obj, now)]

    def default(self, obj: Obj) -> None:
        """Protocols, and the policy's types by the rules it has."""
        spec = obj.setdefault("spec", {})
        spec.setdefault("podSelector", {})
        for direction in ("ingress", "egress"):
            for rule in spec.get(direction) or []:
                for port in rule.get("ports") or []:
                    port.setdefault("protocol", "TCP")
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]

    def check(self, obj: Obj) -> Iterable[Cause]:
        """Whom it is for, ports and peers."""
        spec = obj["spec"]
        yield from checks.selector("spec.podSelector", spec["podSelector"])
        for kind in spec["policyTypes"]:
            yield from checks.one_of("spec.policyTypes", kind, _DIRECTIONS)
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for place, rule in enumerate(spec.get(direction) or []):
                at = f"spec.{direction}[{place}]"
                for number, port in enumerate(rule.get("ports") or []):
                    yield from _check_port(port, f"{at}.ports[{number}]")
                for number, peer in enumerate(rule.get(peers) or []):
                    yield from _check_peer(peer, f"{at}.{peers}[{number}]")


def _check_port(port: Obj, at: str) -> Iterable[Cause]:
    first, last = port.get("port"), port.get("endPort")
    if first is not None:
        yield from checks.port_or_name(f"{at}.port", first)
    yield from checks.one_of(f"{at}.protocol", port["protocol"], checks.PROTOCOLS)
    if last is None:
        return
    if not isinstance(first, int):
        why = "not specified" if first is None else "non-numeric"
        yield checks.invalid(f"{at}.endPort", last, f"may not be specified when `port` is {why}")
    elif last < first:
        why = "must be greater than or equal to `port`"
        yield checks.invalid(f"{at}.endPort", last, why)


def _check_peer(peer: Obj, at: str) -> Iterable[Cause]:
    named = [key for key in ("podSelector", "namespaceSelector") if peer.get(key) is not None]
    for key in named:
        yield from checks.selector(f"{at}.{key}", peer[key])
    block = peer.get("ipBlock")
    if block is not None:
        yield from _check_block(block, f"{at}.ipBlock")
        if named:
            yield checks.forbidden(at, "may not specify both ipBlock and another peer")
    elif not named:
        yield checks.required(at, "must specify a peer")


def _check_block(block: Obj, at: str) -> Iterable[Cause]:
    whole = _network(block.get("cidr", ""))
    if whole is None:
        yield checks.invalid(f"{at}.cidr", block.get("cidr", ""), _NO_CIDR)
    for number, text in enumerate(block.get("except") or []):
        part, field = _network(text), f"{at}.except[{number}]"
        if part is None:
            yield checks.invalid(field, text, _NO_CIDR)
        elif whole is not None and not _is_within(part, whole):
            yield checks.invalid(field, text, "must be a strict subset of `cidr`")


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _is_within(part: IPv4Network | IPv6Network, whole: IPv4Network | IPv6Network) -> bool:
    return part.network_address in whole and part.prefixlen > whole.prefixlen
