"""ClusterIPs for services that name none, as a pure function of all services.

An address follows from namespace and name by hash and probing, so restarts, other machines and the
order of files give the same one. The low addresses of a range are left to those who name theirs,
as in Kubernetes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_network

from msgspec.structs import replace

from kdns.cluster.workloads import ServiceSpec

RESERVED = 256


@dataclass(frozen=True, slots=True)
class Ranges:
    """Where addresses come from, by octets an address."""

    networks: Mapping[int, IPv4Network | IPv6Network] = field(
        default_factory=lambda: {
            4: ip_network("10.96.0.0/12"),
            16: ip_network("fd00:10:96::/112"),
        }
    )


def allocate(
    specs: Iterable[ServiceSpec], in_use: Iterable[bytes], ranges: Ranges
) -> list[ServiceSpec]:
    """The services, those that lacked addresses with them; `in_use` are addresses of others.

    A service for which a range has no room left keeps lacking one.
    """
    done = {spec.service.key: spec for spec in specs}
    taken = set(in_use).union(*(spec.service.addresses for spec in done.values()))
    for key in sorted(key for key, spec in done.items() if spec.lacks):
        done[key] = _complete(done[key], taken, ranges)
    return list(done.values())


def _complete(spec: ServiceSpec, taken: set[bytes], ranges: Ranges) -> ServiceSpec:
    service = spec.service
    found = list(service.addresses)
    for width in spec.lacks:
        address = _free(service.key, ranges.networks[width], taken)
        if address is not None:
            taken.add(address)
            found.append(address)
    found.sort(key=lambda address: spec.families.index(len(address)))
    lacks = tuple(set(spec.lacks) - {len(address) for address in found})
    return replace(spec, service=replace(service, addresses=tuple(found)), lacks=lacks)


def _free(key: str, network: IPv4Network | IPv6Network, taken: set[bytes]) -> bytes | None:
    width = network.max_prefixlen // 8
    base, size = int(network.network_address), min(network.num_addresses, 1 << 32)
    low = min(RESERVED, size // 16) or 1
    room = size - low - 1
    if room < 1:
        return None
    start = int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) % room
    for step in range(room):
        address = (base + low + (start + step) % room).to_bytes(width)
        if address not in taken:
            return address
    return None
