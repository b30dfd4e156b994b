"""What is tested: a server, what it is known to serve, and what the suite may do there."""

import secrets
import shutil
from collections.abc import Mapping
from ctypes.util import find_library
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdns.conformance.objects import Objects
    from kdns.conformance.workshop import Workshop

NEEDS: Mapping[str, str] = {
    "name": "no name with an address is known in the zone; give one with --name",
    "big": "no name is known with more addresses than 512 octets hold; give one with --big",
    "tcp": "the server answers nothing over TCP",
    "authority": "the server does not answer with authority (AA) for the zone",
    "recursion": "the server offers no recursion (RA is not set)",
    "cluster": "no known objects: --kubeconfig lets the suite create them, --manifests names them",
    "objects": "the suite may not create objects: --kubeconfig with the right to is needed",
}
"""What clauses may need, and what is said where it is not there."""


PACKAGES: Mapping[str, str] = {
    "dig": "bind9-dnsutils", "host": "bind9-host", "nslookup": "bind9-dnsutils",
    "busybox": "busybox", "getent": "libc-bin", "go": "golang-go", "cares": "libc-ares2",
}  # fmt: skip
"""The clients, and the Debian packages that they come in."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server under test."""

    host: str
    port: int
    zone: str
    """One that it serves, absolute: `cluster.local.`"""
    name: str = ""
    """A name in the zone with an A record."""
    big: str = ""
    """A name in the zone with more A records than 512 octets hold."""
    has: frozenset[str] = frozenset()
    """The words of NEEDS that are there."""
    objects: "Objects | None" = None
    """What the suite made in the cluster or was told of."""
    workshop: "Workshop | None" = None
    """Where the suite may make more of them."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a need is not met, where more is known than NEEDS says."""

    @property
    def transports(self) -> tuple[str, ...]:
        """What clauses about both transports use."""
        return ("udp", "tcp") if "tcp" in self.has else ("udp",)

    def missing(self) -> str:
        """A name of the zone that does not exist, another one each time."""
        return f"missing-{secrets.token_hex(6)}.{self.zone}"

    def lacks(self, need: str) -> str:
        """Why a need is not met; empty when it is."""
        if need.startswith("client:"):
            return lacks_client(need.removeprefix("client:"))
        if need in self.has:
            return ""
        return self.reasons.get(need) or NEEDS[need]


def lacks_client(client: str) -> str:
    """Why a client cannot be tried, and how to get it; empty when it can."""
    is_here = find_library("cares") if client == "cares" else shutil.which(client)
    return "" if is_here else f"{client} is not installed here (apt install {PACKAGES[client]})"
