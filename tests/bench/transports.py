"""CPU time per answered query over what is encrypted or HTTP: kdns beside CoreDNS, both ways.

Listeners get hot names over one kept connection, many at once; forwarders get names that come once,
over UDP, and pass them on to a third server, a CoreDNS. Each round goes round the servers; the
median stands in the table. `python -m tests.bench.transports --rows doh2,tls --tree old=/tmp/x`
"""

import argparse
import os
import random
import re
import socket
import ssl
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from hpack import Encoder

from tests.bench import servers
from tests.bench.load import RECORDS, load, write
from tests.bench.questions import A, query
from tests.bench.servers import Server
from tests.certificates import Authority
from tests.differential import peer

TOP = Path(__file__).parents[2]
HOT = 20
TOGETHER = 64
QUERIES = 12_800
"""Of a round at a listener."""
ONCE = 5000
"""Of a round at a forwarder."""
LISTENERS = ("dot", "doh1", "doh2", "call")
FORWARDERS = ("plain", "tls", "https", "grpc")
COREFILE = """.:{udp} {{
    {hot}
}}
tls://.:{dot} {{
    {hot}
    tls {cert} {key}
}}
https://.:{doh} {{
    {hot}
    tls {cert} {key}
}}
grpc://.:{call} {{
    {hot}
    tls {cert} {key}
}}
.:{plain} {{
    forward . 127.0.0.1:{udp_up}
}}
.:{tls} {{
    forward . tls://127.0.0.1:{tls_up} {{
        tls {ca}
        tls_servername localhost
    }}
}}
.:{https} {{
    forward . https://127.0.0.1:{https_up} {{
        tls {ca}
        tls_servername localhost
    }}
}}
.:{grpc} {{
    grpc . 127.0.0.1:{grpc_up} {{
        tls {ca}
        tls_servername localhost
    }}
}}
"""
UPSTREAM = """.:{udp_up} tls://.:{tls_up} https://.:{https_up} grpc://.:{grpc_up} {{
    tls {cert} {key}
    template IN A . {{
        answer "{{{{ .Name }}}} 60 IN A 192.0.2.1"
    }}
}}
"""
PORTS = ("udp", "dot", "doh", "call", *FORWARDERS, "udp_up", "tls_up", "https_up", "grpc_up")


class Bench:
    """The upstream, the servers, and a connection to each of their listeners."""

    def __init__(self, folder: Path, trees: dict[str, Path]) -> None:
        self.folder = folder
        self.trees = trees
        self.authority = Authority(folder)
        self.pair = self.authority.issue()
        self.ports: dict[str, dict[str, int]] = {}
        self.ups = {name: peer.free_port() for name in PORTS if name.endswith("_up")}
        self.running = [self._start("upstream", UPSTREAM)]
        self.sides = [self._start(name, COREFILE) for name in ("coredns", *trees)]
        self.running += self.sides

    def _start(self, name: str, corefile: str) -> Server:
        folder = self.folder / name
        folder.mkdir()
        ports = {each: peer.free_port() for each in PORTS} | self.ups
        self.ports[name] = ports
        names = "\n".join(f"        10.0.0.{at} h{at}.hot.test" for at in range(HOT))
        words = {
            "hot": f"bind 127.0.0.1\n    hosts {{\n{names}\n    }}",
            "ca": self.authority.file,
            "cert": self.pair[0],
            "key": self.pair[1],
        }
        (folder / "Corefile").write_text(corefile.format(**ports, **words))
        command = servers.peer_command(name, self.trees)
        process = servers.run(
            [*command, "-conf", str(folder / "Corefile")], folder, self.trees.get(name)
        )
        port = ports["udp_up" if name == "upstream" else "udp"]
        server = Server(name, process, port, folder)
        server.wait(query("h1.hot.test", A))
        return server

    def stop(self) -> None:
        """Ends all servers."""
        for each in self.running:
            each.stop()

    def round(self, row: str, server: Server, at: int) -> float:
        """CPU µs of a server per query of a row."""
        ports = self.ports[server.name]
        if row in FORWARDERS:
            return self._forward(server, ports[row], at)
        port = ports["doh" if row.startswith("doh") else row]
        alpn = {"dot": "dot", "doh1": "http/1.1"}.get(row, "h2")
        context = self.authority.client(alpn=(alpn,))
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as link,
        ):
            ask = {"dot": dot, "doh1": doh1, "doh2": doh2, "call": call}[row](link)
            ask(TOGETHER * 8)
            before = server.cpu_s()
            ask(QUERIES)
            return (server.cpu_s() - before) / QUERIES * 1e6

    def _forward(self, server: Server, port: int, at: int) -> float:
        words = [f"{random.getrandbits(48):x}-{at}-{each}.test" for each in range(ONCE)]
        path = write(self.folder / "packets", [(query(word, A), RECORDS) for word in words])
        load("window", port, write(self.folder / "one", [(query(f"{at}.test", A), RECORDS)]))
        before = server.cpu_s()
        found = load("window", port, path, "-w", TOGETHER)
        if found.trouble:
            print(f"{server.name}: {found.trouble}", file=sys.stderr)
        return (server.cpu_s() - before) / max(found.answered, 1) * 1e6


Ask = Callable[[int], None]


def hot(at: int) -> bytes:
    """A query for one of the hot names, its ID zero as RFC 8484 has it."""
    return query(f"h{at % HOT}.hot.test", A)


def dot(link: ssl.SSLSocket) -> Ask:
    """DNS over TLS."""
    frames = [len(hot(at)).to_bytes(2, "big") + hot(at) for at in range(TOGETHER)]

    def ask(count: int) -> None:
        for _ in range(count // TOGETHER):
            link.sendall(b"".join(frames))
            held, at, done = b"", 0, 0
            while done < TOGETHER:
                held += link.recv(65536)
                while at + 2 <= len(held) and at + 2 + (held[at] << 8 | held[at + 1]) <= len(held):
                    at += 2 + (held[at] << 8 | held[at + 1])
                    done += 1

    return ask


def doh1(link: ssl.SSLSocket) -> Ask:
    """DNS over HTTPS, HTTP/1.1, pipelined."""
    head = (
        b"POST /dns-query HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench/1.0\r\n"
        b"accept: application/dns-message\r\ncontent-type: application/dns-message\r\n"
        b"content-length: %d\r\n\r\n"
    )
    requests = [head % len(hot(at)) + hot(at) for at in range(TOGETHER)]
    length = re.compile(rb"content-length: (\d+)", re.I)

    def ask(count: int) -> None:
        for _ in range(count // TOGETHER):
            link.sendall(b"".join(requests))
            held, at, done = b"", 0, 0
            while done < TOGETHER:
                held += link.recv(65536)
                while (end := held.find(b"\r\n\r\n", at)) >= 0:
                    found = length.search(held, at, end + 2)
                    assert found, held
                    assert held.startswith(b"HTTP/1.1 200", at), held[at:]
                    if end + 4 + int(found[1]) > len(held):
                        break
                    at = end + 4 + int(found[1])
                    done += 1

    return ask


def doh2(link: ssl.SSLSocket) -> Ask:
    """DNS over HTTPS, HTTP/2: many streams at once."""
    fields = [(":path", "/dns-query"), ("accept", "application/dns-message")]
    fields += [("content-type", "application/dns-message"), ("user-agent", "bench/1.0")]
    return _streams(link, fields, [hot(at) for at in range(TOGETHER)])


def call(link: ssl.SSLSocket) -> Ask:
    """DNS over gRPC, many calls at once."""
    fields = [(":path", "/coredns.dns.DnsService/Query"), ("content-type", "application/grpc")]
    fields += [("te", "trailers"), ("user-agent", "bench/1.0")]
    bodies = []
    for at in range(TOGETHER):
        packet = b"\x0a" + bytes([len(hot(at))]) + hot(at)
        bodies.append(b"\0" + len(packet).to_bytes(4, "big") + packet)
    return _streams(link, fields, bodies)


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack("!HBBBL", len(body) >> 8, len(body) & 0xFF, kind, flags, stream) + body


def _streams(link: ssl.SSLSocket, fields: list[tuple[str, str]], bodies: list[bytes]) -> Ask:
    """Fields as browsers and Go's client send them: told once, then by number."""
    encoder, stream = Encoder(), 1
    start = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), *fields]
    link.sendall(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(4, 1, 0, b"")
        + _frame(8, 0, 0, (1 << 30).to_bytes(4, "big"))
    )  # fmt: skip

    def ask(count: int) -> None:
        nonlocal stream
        for _ in range(count // TOGETHER):
            out = []
            for body in bodies:
                block = encoder.encode([*start, ("content-length", str(len(body)))])
                out.append(_frame(1, 4, stream, block) + _frame(0, 1, stream, body))
                stream += 2
            link.sendall(b"".join(out))
            held, at, done = b"", 0, 0
            while done < TOGETHER:
                held += link.recv(65536)
                while at + 9 <= len(held):
                    end = at + 9 + int.from_bytes(held[at : at + 3], "big")
                    if end > len(held):
                        break
                    assert held[at + 3] not in (3, 7), held[at:end]
                    done += held[at + 3] in (0, 1) and held[at + 4] & 1
                    at = end

    return ask


def main() -> int:
    """Measures the chosen rows."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.transports")
    parser.add_argument("--rows", default=",".join(LISTENERS + FORWARDERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tree", action="append", default=[], help="NAME=PATH of a checkout")
    options = parser.parse_args()
    trees = {each.partition("=")[0]: Path(each.partition("=")[2]) for each in options.tree}
    if peer.coredns() is None:
        print("CoreDNS is not installed (go install github.com/coredns/coredns@v1.15.0)")
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="transports-")))
        bench = Bench(folder, trees or {"kdns": TOP})
        stack.callback(bench.stop)
        names = [each.name for each in bench.sides]
        _pin(bench)
        print(f"{'CPU µs per query':20}" + "".join(f"{name:>10}" for name in names))
        for row in options.rows.split(","):
            found: dict[str, list[float]] = {name: [] for name in names}
            for at in range(options.rounds):
                for side in bench.sides:
                    found[side.name].append(bench.round(row, side, at))
            cells = "".join(f"{statistics.median(found[name]):10.1f}" for name in names)
            print(f"{row:20}{cells}", flush=True)
    return 0


def _pin(bench: Bench) -> None:
    """Those that are measured on one processor, those that ask and answer them on another."""
    first, *others = sorted(os.sched_getaffinity(0))
    for side in bench.sides:
        for task in Path(f"/proc/{side.process.pid}/task").iterdir():
            with suppress(OSError):
                os.sched_setaffinity(int(task.name), {first})
    os.sched_setaffinity(0, set(others) or {first})
    os.sched_setaffinity(bench.running[0].process.pid, set(others) or {first})
    time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
