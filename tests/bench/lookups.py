"""`python -m tests.bench.lookups`: what one external look-up of a pod costs a server.

A stub asks as a pod of namespace shop does, whose search path ends at `www.example.org`: each step
for A and AAAA, from 64 sockets at once. With autopath it stops at the first step. CPU time of the
server's process, both servers over one API and one upstream, cached; the best of some rounds.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import dns.message
import dns.query

from tests.differential import peer
from tests.differential.api import Api, Object

NAME = "www.example.org"
STEPS = [f"{NAME}.{rest}cluster.local." for rest in ("shop.svc.", "svc.", "")] + [f"{NAME}."]
POD = "127.0.0.2"
SOCKETS = 64
LOOKUPS = 12_800
ROUNDS = 3
CASES: tuple[tuple[str, Callable[[str], peer.Peer], str, int], ...] = (
    ("CoreDNS", peer.start_coredns, "", 4),
    ("CoreDNS, autopath @kubernetes", peer.start_coredns, "autopath @kubernetes", 1),
    ("kdns", peer.start_kdns, "", 4),
    ("kdns, autopath @kubernetes", peer.start_kdns, "autopath @kubernetes", 1),
    ("kdns, autopath learned", peer.start_kdns, "autopath learned", 1),
    ("kdns, learned, never shortened", peer.start_kdns,
     f"autopath learned {{\n except {POD}\n }}", 4),
)  # fmt: skip
UPSTREAM = """. {
    template IN A . {
        match "^www[.]example[.]org[.]$"
        answer "{{ .Name }} 300 IN A 192.0.2.1"
        fallthrough
    }
    template IN AAAA . {
        match "^www[.]example[.]org[.]$"
        answer "{{ .Name }} 300 IN AAAA 2001:db8::1"
        fallthrough
    }
    template IN ANY . {
        rcode NXDOMAIN
        authority ". 60 IN SOA a. b. 1 2 3 4 30"
    }
}
"""
COREFILE = """. {{
    {autopath}
    kubernetes cluster.local {{
        endpoint {url}
        pods verified
    }}
    cache 30
    forward . 127.0.0.1:{port}
}}
"""


def objects() -> list[Object]:
    """A namespace with a pod that has the stub's address."""
    meta = {"name": "shop", "uid": "1", "resourceVersion": "1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": []}}
    pod["metadata"] = {"name": "p", "namespace": "shop", "uid": "2", "resourceVersion": "1"}
    pod["status"] = {"phase": "Running", "podIP": POD, "podIPs": [{"ip": POD}]}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": meta}, pod]


def look_up(port: int, steps: list[str], times: int) -> None:
    """So many look-ups, SOCKETS at a time, each step by step."""
    packets = [
        [dns.message.make_query(step, kind, id=7).to_wire() for kind in ("A", "AAAA")]
        for step in steps
    ]
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SOCKETS)]
    try:
        for one in sockets:
            one.settimeout(2)
            one.bind((POD, 0))
            one.connect((peer.HOST, port))
        for _ in range(times // SOCKETS):
            for pair in packets:
                for one in sockets:
                    for packet in pair:
                        one.send(packet)
                for one in sockets:
                    for _ in pair:
                        one.recv(4096)
    finally:
        for one in sockets:
            one.close()


def check(port: int, step: str) -> None:
    """Sees that the search ends at this step."""
    asked = dns.message.make_query(step, "A")
    reply = dns.query.udp(asked, peer.HOST, port=port, source=POD, timeout=2)
    assert reply.answer, f"{step} was not answered:\n{reply}"


def used_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(start: Callable[[str], peer.Peer], autopath: str, steps: int) -> float:
    """CPU µs of a look-up."""
    with Api(objects()) as api, peer.start_coredns(UPSTREAM) as upstream:
        text = COREFILE.format(autopath=autopath, url=api.url, port=upstream.port)
        with start(text) as server:
            for _ in range(4):
                look_up(server.port, STEPS, SOCKETS)
            check(server.port, STEPS[steps - 1])
            best = float("inf")
            for _ in range(ROUNDS):
                began = used_s(server.process.pid)
                look_up(server.port, STEPS[:steps], LOOKUPS)
                best = min(best, used_s(server.process.pid) - began)
    return best / LOOKUPS * 1e6


def main() -> None:
    """Prints a line for each case."""
    print(f"{'one look-up of an external name':40s}{'packets':>8s}{'CPU µs':>10s}")
    for title, start, autopath, steps in CASES:
        print(f"{title:40s}{2 * steps:8d}{cost(start, autopath, steps):10.1f}", flush=True)


if __name__ == "__main__":
    main()
