"""One question to one nameserver over plain sockets, from the pod's own address.

What BIND's tools do with it, server after server and name after name, is in `bind`; what libcs do
is in `walking`. Nothing here takes long to import: users feel it at every command.
"""

import socket
import time
from dataclasses import dataclass

from kdns.client.search_conf import parse_resolv
from kdns.client.search_terms import Resolv
from kdns.lab.tools.pod import Pod

LARGEST = 65535
CUT = "the server closed the connection"


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks for one pod."""

    pod: Pod
    within_s: float = 5.0

    def ask(self, server: tuple[str, int], packet: bytes, transport: str = "udp") -> bytes:
        """The reply under the packet's id; raises OSError (TimeoutError when nothing came)."""
        place = self.pod.place(*server)
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        with self.pod.socket(place, kind) as one:
            one.settimeout(self.within_s)
            one.connect(place)
            if transport == "tcp":
                return _over_stream(one, packet)
            one.send(packet)
            end = time.monotonic() + self.within_s
            while (left := end - time.monotonic()) > 0:
                one.settimeout(left)
                reply = one.recv(LARGEST)
                if reply[:2] == packet[:2]:
                    return reply
        raise TimeoutError


def _over_stream(one: socket.socket, packet: bytes) -> bytes:
    one.sendall(len(packet).to_bytes(2, "big") + packet)
    size = int.from_bytes(_exactly(one, 2), "big")
    return _exactly(one, size)


def _exactly(one: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = one.recv(size - len(found))
        if not more:
            raise ConnectionResetError(CUT)
        found += more
    return found


def resolv_of(pod: Pod) -> Resolv:
    """What the pod's resolv.conf says."""
    return parse_resolv(pod.text("/etc/resolv.conf"), "glibc")
