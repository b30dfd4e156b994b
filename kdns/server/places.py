"""Where something is listened for, and what is spoken there: the keys of listeners.

Two that speak differently cannot have one port of one kind: the kernel would give each client to
either of them.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from kdns.corefile.tree import ConfigError, Word

if TYPE_CHECKING:
    from kdns.server.terms import Terms

PLAIN: Final = "dns"
PROXIED: Final = "dns with PROXY headers"
"""Spoken where `proxyproto` is: datagrams are read differently, so a reload opens new sockets."""
DATAGRAMS: Final = frozenset(("quic", "https3"))
"""Spoken over UDP alone."""


class Place(NamedTuple):
    """An address of the Corefile; an empty host is every address."""

    scheme: str
    host: str
    port: int

    @property
    def name(self) -> str:
        """The host, or what a listener without a port of its own is known by among workers."""
        if self.scheme in {PLAIN, PROXIED}:
            return self.host
        return f"{self.scheme}://{self.host}"

    @property
    def is_stream(self) -> bool:
        """It takes a TCP port."""
        return self.scheme not in DATAGRAMS

    @property
    def is_datagram(self) -> bool:
        """It takes a UDP port."""
        return self.scheme in {PLAIN, PROXIED, *DATAGRAMS}

    @property
    def label(self) -> str:
        """As metrics name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def seen_by(self, terms: "Terms") -> "Place":
        """The same, with what it speaks by these terms."""
        return self._replace(scheme=PROXIED) if self.scheme == PLAIN and terms.trust else self


def check_ports(
    places: Iterable[Place], errors: list[ConfigError], words: Mapping[Place, Word]
) -> None:
    """Checks that no port is to be shared by two that speak differently."""
    taken: dict[tuple[str, str, int], Place] = {}
    for place in places:
        kinds = ["TCP"] * place.is_stream + ["UDP"] * place.is_datagram
        for kind in kinds if place.port else ():
            other = taken.setdefault((kind, place.host, place.port), place)
            if other.scheme != place.scheme:
                errors.append(
                    words[place].fail(
                        f"{place.scheme}:// and {other.scheme}:// cannot share {kind} port"
                        f" {place.port}: each client would reach either of the two",
                        "give one of them another port",
                    )
                )
                break
