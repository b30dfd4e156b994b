"""The grammar of cluster names: a key becomes the labels below its zone, and what they pick.

Right to left below the zone stand `svc` or `pod`, a namespace, and a service or pod. One label
more names an endpoint, two a port and protocol, more only the zonal form. Nothing is looked up.
"""

from ipaddress import AddressValueError, IPv6Address

from msgspec import Struct

from kdns.cluster.objects import Slice
from kdns.wire.names import format_address

Labels = list[str] | bytes
"""The labels of a name left of its zone; of a whole reverse name the packed address instead."""

DASHED = 40
"""What the label of an address takes at most."""

_HEX = frozenset("0123456789abcdef-")
_SIZES = tuple(bytes((size,)) for size in range(64))
_OCTETS = {str(octet): octet for octet in range(256)}
_MAPPED = b"\0" * 10 + b"\xff\xff"
_ZONAL = ("pin", "prefer")
_KINDS = ("svc", "pod")


class Pick(Struct, frozen=True, gc=False):
    """What the labels in front of a service choose of it; the empty string chooses all."""

    endpoint: str = ""
    cluster: str = ""
    port: str = ""
    protocol: str = ""
    zone: str = ""
    is_pinned: bool = False


ALL = Pick()


def parse_pick(labels: list[str], *, multicluster: bool, zonal: bool) -> Pick | None:
    """What the labels in front of a service pick; None when they can mean nothing."""
    if len(labels) == 2:
        first, second = labels
        if multicluster and first[0] != "_" and second[0] != "_":
            return Pick(endpoint=first, cluster=second)
        return Pick("", "", first.removeprefix("_"), second.removeprefix("_"))
    if len(labels) < 2:
        return Pick(labels[0]) if labels else ALL
    first, second = labels[-2:]
    if zonal and not multicluster and second == "_zone" and first in _ZONAL:
        return Pick(zone=".".join(labels[:-2]), is_pinned=first == "pin")
    return None


def label(text: str) -> bytes:
    """One label of a wire name, empty when the text cannot be one."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raw = text.encode(errors="replace")
    size = len(raw)
    return _SIZES[size] + raw if 0 < size < 64 else b""


def dash(address: bytes) -> str:
    """The label of an address: dashes for its dots or colons."""
    if len(address) == 4:
        a, b, c, d = address
        return f"{a}-{b}-{c}-{d}"
    text = format_address(address).replace(":", "-")
    return text + "0" if text[-1] == "-" else text


def dashed(address: bytes) -> bytes:
    """`dash` as one label of a wire name, of at most DASHED octets."""
    raw = dash(address).encode()
    return _SIZES[len(raw)] + raw


def parse_dashed(text: str) -> bytes | None:
    """The packed address that a dashed label spells, in any spelling of it."""
    parts = text.split("-")
    if len(parts) == 4:
        a, b, c, d = parts
        try:  # perf: bench once pod names; ipaddress takes five times as long
            return bytes((_OCTETS[a], _OCTETS[b], _OCTETS[c], _OCTETS[d]))
        except KeyError:
            if "" not in parts:
                return None
    if len(parts) < 3 or not _HEX.issuperset(text):
        return None
    try:
        packed = IPv6Address(text.replace("-", ":")).packed
    except AddressValueError:
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def parse_exact(text: str) -> bytes | None:
    """The packed address whose one label, as `dash` makes it, this is."""
    address = parse_dashed(text)
    if address is None or (len(address) == 4 and text.count("-") == 3) or dash(address) == text:
        return address
    return None


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


def describe(parts: Labels, *, multicluster: bool, zonal: bool) -> dict[str, str]:
    """What the labels left of a zone mean, under the names of CoreDNS's metadata."""
    if isinstance(parts, bytes) or (parts and parts[-1] not in _KINDS):
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
