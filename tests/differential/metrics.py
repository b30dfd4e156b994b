"""Two servers on one Corefile are asked the same, one question at a time; then their metrics are compared.

`python -m tests.differential.metrics` prints the table. Compared are names, kinds, label sets, and how much each
number grew; what differs on purpose stands in KNOWN, by name. Times and how sockets are kept are each server's own.
"""

import asyncio
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import dns.flags
import dns.message
from prometheus_client.parser import text_string_to_metric_families

from tests.differential import peer
from tests.differential.api import Api
from tests.differential.ask import ask
from tests.differential.corefiles import FILES
from tests.differential.upstream import Upstream

QUESTIONS = 200
TRIES = 3
SETTLED = ("coredns_dns_request_duration_seconds_count", "coredns_dns_responses_total")
"""What is counted last of an answer."""
COREFILE = """
.:PORT {
    prometheus 127.0.0.1:METRICS
    errors
    log
    metadata
    rewrite name exact old.outside.test www.outside.test
    health 127.0.0.1:HEALTH
    ready 127.0.0.1:READY
    reload
    cache 30 {
        disable success cluster.local 10.in-addr.arpa
        disable denial cluster.local 10.in-addr.arpa
    }
    kubernetes cluster.local 10.in-addr.arpa {
        endpoint URL
        pods insecure
        fallthrough 10.in-addr.arpa
    }
    forward . UPSTREAM
    loadbalance
}
example.test:PORT {
    prometheus 127.0.0.1:METRICS
    acl {
        block type TXT
        filter type LOC
        drop type MX
    }
    hosts FOLDER/hosts {
        10.0.0.1 a.example.test
        fallthrough
    }
    template IN AAAA {
        match ^t[0-9]*\\.example\\.test\\.$
        answer "{{ .Name }} 60 IN AAAA fd00::1"
        fallthrough
    }
    whoami
}
six.test:PORT {
    dns64 {
        allow_ipv4
    }
    siit
    local
    any
    hosts {
        10.0.0.4 four.six.test
        64:ff9b::a00:5 six.six.test
    }
}
path.test:PORT {
    prometheus 127.0.0.1:METRICS
    autopath FOLDER/search.conf
    nsid here
    hosts {
        10.0.0.6 a.two.path.test
        10.0.0.7 b.one.path.test
    }
}
zone.test:PORT {
    prometheus 127.0.0.1:METRICS
    minimal
    tsig {
        secret k. pRZgBrBvI4NAHZYhxmhs/Q==
    }
    file FOLDER/zone.test
    transfer {
        to *
    }
}
view.test:PORT {
    prometheus 127.0.0.1:METRICS
    view streams {
        expr proto() == 'tcp'
    }
    acl {
        block type TXT
    }
    whoami
}
view.test:PORT {
    prometheus 127.0.0.1:METRICS
    view others {
        expr true
    }
    cache
    template ANY ANY {
        answer "{{ .Name }} 60 IN A 192.0.2.1"
    }
}
localhost:PORT {
    prometheus 127.0.0.1:METRICS
    shed
    bufsize 1232
    local
}
quiet.test:PORT {
    whoami
}
empty.test:PORT {
}
"""
HOSTS = "10.0.0.2 b.example.test\n10.0.0.3 c.example.test c2.example.test\n"
OBJECTS = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
     "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.20", "clusterIPs": ["10.96.0.20"],
              "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}},
]  # fmt: skip
NAMES = (
    "web.shop.svc.cluster.local", "no.shop.svc.cluster.local", "10-0-0-1.shop.pod.cluster.local",
    "20.0.96.10.in-addr.arpa", "a.example.test", "b.example.test", "c2.example.test",
    "t1.example.test", "t2.example.test", "x.example.test", "a.quiet.test", "a.empty.test",
    "old.outside.test", "www.outside.test", "two.outside.test", "missing.outside.test", "refused.outside.test",
    "servfail.outside.test", "big.outside.test", "elsewhere.invalid",
    "four.six.test", "six.six.test", "a.one.path.test", "b.one.path.test",
    "a.zone.test", "none.zone.test", "a.view.test", "localhost", "b.localhost",
)  # fmt: skip
TYPES = ("A", "A", "A", "AAAA", "AAAA", "TXT", "MX", "LOC", "SRV", "PTR", "HTTPS", "ANY", "CAA")

Labels = tuple[tuple[str, str], ...]
Page = dict[str, dict[Labels, float]]

KNOWN = {
    "plugin": "the label says who made the answer; CoreDNS says who stands behind prometheus",
    "response size": "octets sent; CoreDNS counts them before compression and EDNS",
    "sockets": "how many sockets are kept, and when who is probed, is each server's own affair",
    "ours": "metrics that only kdns has",
    "theirs": "Go's runtime, native histograms, and directives we do not have",
    "process": "numbers of the process itself",
    "build": "what was built",
    "version": "the Corefile that serves is named from the start; by CoreDNS from the first reload on",
    "cache": "hits of the answer table are counted when the entry is looked at next, cluster names never",
    "autopath": "names that a search path led to; CoreDNS counts those that exist as asked, too",
    "rest client": "how long calls of the API take; CoreDNS 1.15.0 documents it and publishes nothing",
}
"""The differences that are meant."""
LATER = (
    "coredns_cache_requests_total", "coredns_cache_hits_total", "coredns_cache_misses_total",
)  # fmt: skip
REST = re.compile(r"coredns_kubernetes_rest_client_(request|rate_limiter)_duration_seconds")
THEIRS = re.compile(r"go_|process_network_|process_virtual_memory_max|promhttp_")
OWN_AFFAIR = re.compile(
    r"coredns_proxy_conn_cache_(hits|misses)|coredns_(proxy_healthcheck|health_request)"
)
SERVER = re.compile(r":\d+$")


@dataclass
class Compared:
    """What was found."""

    equal: int = 0
    known: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def know(self, name: str) -> None:
        assert name in KNOWN
        self.known[name] = self.known.get(name, 0) + 1


def questions(rng: Random, count: int) -> Iterator[tuple[bytes, bool]]:
    """Packets, and whether they go over TCP: few names again and again, answered alike by both."""
    for _ in range(count):
        name = rng.choice(NAMES)
        types = TYPES[:5] if ".path." in name else TYPES  # that no step leaves the server block
        type_ = "PTR" if name.endswith(".arpa") else rng.choice(types)
        query = dns.message.make_query(name, type_)
        query.id = rng.randrange(65536)
        if rng.random() < 0.4:
            query.use_edns(0, rng.choice((0, 0, dns.flags.DO)), payload=1232)
        wire = query.to_wire()
        yield wire, rng.random() < 0.2


def scrape(port: int) -> Page:
    """The samples of a page, numbers that are alike for both servers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as reply:
        text = reply.read().decode()
    page: Page = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if not one.name.endswith("_created"):
                page.setdefault(one.name, {})[_labels(one.labels)] = one.value
    return page


def _labels(labels: dict[str, str]) -> Labels:
    alike = {**labels}
    if "server" in alike:
        alike["server"] = SERVER.sub(":PORT", alike["server"])
    return tuple(sorted(alike.items()))


def grown(before: Page, after: Page) -> Page:
    """How much each number grew; gauges as they are."""
    return {
        name: {
            labels: value - before.get(name, {}).get(labels, 0) if _is_count(name) else value
            for labels, value in series.items()
        }
        for name, series in after.items()
    }


def _is_count(name: str) -> bool:
    return name.endswith(("_total", "_bucket", "_count", "_sum"))


def without(series: dict[Labels, float], *names: str) -> dict[Labels, float]:
    """The series with labels taken away, what then coincides added up; none of nothing."""
    out: dict[Labels, float] = {}
    for labels, value in series.items():
        left = tuple(pair for pair in labels if pair[0] not in names)
        out[left] = out.get(left, 0) + value
    return {labels: value for labels, value in out.items() if value}


def compare(theirs: Page, ours: Page) -> Compared:
    """Every metric of either, by name."""
    found = Compared()
    for name in sorted({*theirs, *ours}):
        a, b = theirs.get(name, {}), ours.get(name, {})
        if name.startswith(("kdns_", "python_")):
            found.know("ours")
        elif THEIRS.match(name):
            found.know("theirs")
        elif name.startswith("process_"):
            _judge(found, name, set(a) == set(b), "process", f"{a} / {b}")
        elif name == "coredns_build_info":
            is_alike = {key for labels in a for key, _ in labels} == {
                key for labels in b for key, _ in labels
            }
            _judge(found, name, is_alike, "build", f"{a} / {b}")
        elif OWN_AFFAIR.match(name):
            found.know("sockets")
        elif REST.match(name) and not a:
            found.know("rest client")
        elif name == "coredns_autopath_success_total" and set(a) == set(b):
            found.know("autopath")
        elif name == "coredns_reload_version_info" and not a and len(b) == 1:
            found.know("version")
        elif name in LATER:
            is_later = set(a) == set(b) and all(0 < b[labels] <= a[labels] for labels in a)
            _judge(found, name, is_later, "cache", f"{a} / {b}")
        else:
            _compare_one(found, name, a, b)
    return found


def _compare_one(
    found: Compared, name: str, a: dict[Labels, float], b: dict[Labels, float]
) -> None:
    if name.endswith("_seconds_bucket"):
        a, b = without(a, "le"), without(b, "le")
        bounds_match = not a or bool(b)
        _judge(found, name, bounds_match and set(a) == set(b), "", f"{a} / {b}")
        return
    if name.endswith("_seconds_sum"):
        _judge(found, name, set(a) == set(b), "", f"{set(a)} / {set(b)}")
        return
    if name == "coredns_dns_responses_total":
        found.know("plugin")
        a, b = without(a, "plugin"), without(b, "plugin")
    elif name in ("coredns_dns_response_size_bytes_bucket", "coredns_dns_response_size_bytes_sum"):
        found.know("response size")
        a = dict.fromkeys(a, 0.0)
        b = dict.fromkeys(b, 0.0)
    else:
        a, b = without(a), without(b)
    differing = {
        labels: (a.get(labels), b.get(labels))
        for labels in {*a, *b}
        if a.get(labels) != b.get(labels)
    }
    for labels, (theirs, ours) in sorted(differing.items()):
        found.wrong.append(f"{name}{dict(labels)}: CoreDNS {theirs}, kdns {ours}")
    found.equal += len({*a, *b}) - len(differing)


def _judge(found: Compared, name: str, is_alike: bool, known: str, text: str) -> None:
    if not is_alike:
        found.wrong.append(f"{name}: {text}")
    elif known:
        found.know(known)
    else:
        found.equal += 1


async def run(seed: str = "1", count: int = QUESTIONS) -> Compared:
    """Starts both, asks both, compares."""
    upstream = Upstream()
    upstream_port = await upstream.start()
    with ExitStack() as stack:
        stack.callback(upstream.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="metrics-")))
        (folder / "hosts").write_text(HOSTS)
        (folder / "search.conf").write_text("search one.path.test two.path.test\n")
        (folder / "zone.test").write_text(FILES["zone.test"])
        api = stack.enter_context(Api(OBJECTS))
        ports, pages = [], []
        for begin in (peer.start_coredns, peer.start_kdns):
            page = peer.free_port()
            text = COREFILE
            for name, value in (
                ("METRICS", page), ("HEALTH", peer.free_port()), ("READY", peer.free_port()),
                ("URL", api.url), ("FOLDER", folder),
                ("UPSTREAM", f"127.0.0.1:{upstream_port}"),
            ):  # fmt: skip
                text = text.replace(name, str(value))
            server = await asyncio.to_thread(begin, text)
            stack.callback(server.stop)
            ports.append(server.port)
            pages.append(page)
        # The questions that asked whether they answer are counted too.
        before = [await _settled(page) for page in pages]
        for packet, tcp in questions(Random(seed), count):
            await ask(packet, ports, tcp=tcp, wait_s=1.0)
        after = [await _settled(page) for page in pages]
        return compare(*(grown(*pair) for pair in zip(before, after, strict=True)))


async def _settled(port: int) -> Page:
    """The page once no more answers are counted: that is done after they are sent."""
    page: Page = {}
    while True:
        await asyncio.sleep(0.3)
        before, page = page, await asyncio.to_thread(scrape, port)
        if all(before.get(name) == page.get(name) for name in SETTLED):
            return page


def main() -> int:
    """Prints what was found; 1 on any difference that is not known."""
    if peer.coredns() is None:
        print("CoreDNS is not installed: go install github.com/coredns/coredns@v1.15.0")
        return 1
    began = time.monotonic()
    for _ in range(TRIES):  # what differs does so each time, a busy machine does not
        found = asyncio.run(run(*sys.argv[1:2]))
        if not found.wrong:
            break
    for line in found.wrong:
        print(f"--- metrics: {line}")
    print(f"metrics: {found.equal} equal, {len(found.wrong)} unexpected; known differences:")
    for name, count in found.known.items():
        print(f"  {name:16}{count:6}  {KNOWN[name]}")
    print(f"{time.monotonic() - began:.0f} s")
    return int(bool(found.wrong))


if __name__ == "__main__":
    sys.exit(main())
