"""What a tool knows of the pod that it runs in: its files, its address, and where ports are.

Without spaces the lab tells it by the environment (kdns/lab/ground/running.py). With them, and for
whoever tries a tool by hand, files are those of /etc and addresses and ports are as they are named.
"""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address

from kdns.lab.ranges import LOOPBACK, Ranges, loopback

RESERVED = 1024
_BIND_ADDRESS_NO_PORT = 24
_LOCALHOST = {"127.0.0.1", "::1"}
"""A pod's own, where its programs listen; here it would be the machine's."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod; without an address: the machine, or a space of its own."""

    address: str = ""
    offset: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    ranges: Ranges = LOOPBACK

    def path(self, name: str) -> str:
        """Where a path of the pod's is."""
        for known, path in self.files.items():
            if name == known:
                return path
            if name.startswith(known + "/"):
                return path + name[len(known) :]
        return name

    def text(self, name: str) -> str:
        """A file of the pod's; empty when there is none."""
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def moved(self, address: str) -> str:
        """An address as a tutorial names it, where it is here."""
        return self.ranges.moved(address) if self.address else address

    def place(self, address: str, port: int) -> tuple[str, int]:
        """What to connect to for an address and a port."""
        host = self.address if self.address and address in _LOCALHOST else self.moved(address)
        is_shifted = self.offset and port < RESERVED and self._is_of_lab(host)
        return host, port + self.offset if is_shifted else port

    def socket(self, place: tuple[str, int], kind: socket.SocketKind) -> socket.socket:
        """A socket that leaves from the pod's address."""
        host = place[0]
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
        if self.address and self._is_of_lab(host):
            one.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            one.bind((self.address, 0))
        return one

    def _is_of_lab(self, host: str) -> bool:
        try:
            address = IPv4Address(host)
        except AddressValueError:
            return False
        return address in self.ranges.services or self.ranges.has_end(address)


def here(environ: Mapping[str, str] = os.environ) -> Pod:
    """The pod of this process."""
    return Pod(
        environ.get("KDNS_POD_ADDRESS", ""),
        int(environ.get("KDNS_POD_OFFSET") or 0),
        json.loads(environ.get("KDNS_POD_FILES") or "{}"),
        loopback(int(environ.get("KDNS_POD_RANGES") or 0)),
    )
