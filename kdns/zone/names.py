"""The grammar of cluster names: a key becomes the labels below its zone, and what they pick.

Right to left below the zone stand `svc` or `pod`, a namespace, and a service or pod. One label
more names an endpoint, two a port and protocol, more only the zonal form. Nothing is looked up.
"""

from ipaddress import AddressValueError, IPv4Address, IPv6Address

from msgspec import Struct

from kdns.cluster.objects import Slice
from kdns.wire.names import Key, format_address

_HEX = frozenset("0123456789abcdef-")
_MAPPED = b"\0" * 10 + b"\xff\xff"
_ZONAL = ("pin", "prefer")


class Pick(Struct, frozen=True, gc=False):
    """What the labels in front of a service choose of it; the empty string chooses all."""

    endpoint: str = ""
    cluster: str = ""
    port: str = ""
    protocol: str = ""
    zone: str = ""
    is_pinned: bool = False


ALL = Pick()


def split(key: Key, zone: Key) -> list[str] | None:
    """The labels of `key` left of `zone`, as text; None when it does not lie there."""
    end = len(key) - len(zone)
    if end < 0 or not key.endswith(zone):
        return None
    text = key[:end].decode("latin-1")
    parts = []
    at = 0
    while at < end:
        after = at + key[at] + 1
        parts.append(text[at + 1 : after])
        at = after
    return parts if at == end else None


def parse_pick(labels: list[str], *, multicluster: bool, zonal: bool) -> Pick | None:
    """What the labels in front of a service pick; None when they can mean nothing."""
    if not labels:
        return ALL
    if len(labels) == 1:
        return Pick(endpoint=labels[0])
    first, second = labels[-2:]
    if len(labels) == 2:
        if multicluster and first[0] != "_" and second[0] != "_":
            return Pick(endpoint=first, cluster=second)
        return Pick(port=first.removeprefix("_"), protocol=second.removeprefix("_"))
    if zonal and not multicluster and second == "_zone" and first in _ZONAL:
        return Pick(zone=".".join(labels[:-2]), is_pinned=first == "pin")
    return None


def label(text: str) -> bytes:
    """One label of a wire name, empty when the text cannot be one."""
    raw = text.encode(errors="replace")
    return b"%c%b" % (len(raw), raw) if 0 < len(raw) < 64 else b""


def dash(address: bytes) -> str:
    """The label of an address: dashes for its dots or colons."""
    if len(address) == 4:
        a, b, c, d = address
        return f"{a}-{b}-{c}-{d}"
    text = format_address(address).replace(":", "-")
    return text + "0" if text[-1] == "-" else text


def parse_dashed(text: str) -> bytes | None:
    """The packed address that a dashed label spells, in any spelling of it."""
    if "-" not in text or not _HEX.issuperset(text):
        return None
    try:
        if text.count("-") == 3 and "--" not in text:
            return IPv4Address(text.replace("-", ".")).packed
        packed = IPv6Address(text.replace("-", ":")).packed
    except AddressValueError:
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def endpoint_label(slice_: Slice, at: int, *, pod_names: bool) -> str:
    """The label of an endpoint: hostname, else pod name where wanted, else dashed address."""
    hostname = slice_.hostname(at)
    if hostname and len(hostname) < 64:
        return hostname
    if pod_names:
        pod = slice_.pod(at)
        if pod and len(pod) < 64:
            return pod
    return dash(slice_.address(at))


def describe(parts: list[str], *, multicluster: bool, zonal: bool) -> dict[str, str]:
    """What the labels left of a zone mean, under the names of CoreDNS's metadata."""
    if parts and parts[-1] not in {"svc", "pod"}:
        return {"parse-error": "invalid query name"}
    pick = parse_pick(parts[:-3], multicluster=multicluster, zonal=zonal)
    if pick is None:
        return {"parse-error": "invalid query name"}
    *_, service, namespace, kind = ["", "", "", *parts]
    if len(parts) < 2:
        service = namespace = kind = ""
    told = {
        "port-name": pick.port,
        "protocol": pick.protocol,
        "endpoint": pick.endpoint,
        "service": service,
        "namespace": namespace,
        "kind": kind,
    }
    if multicluster:
        told["cluster"] = pick.cluster
    return told | {"zone": pick.zone} if zonal else told
