"""A question that is followed gets the answer everybody gets, and the way it took is told."""

from pathlib import Path

import dns.message
import dns.rcode
import pytest

from kdns.plugins.base import SKIP, Client
from kdns.server.tracing import Passages, follow
from kdns.wire import names
from tests.running import free_port
from tests.socketless import Socketless

CLUSTER = """
{kind: Namespace, apiVersion: v1, metadata: {name: shop}}
---
kind: Service
apiVersion: v1
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, ports: [{name: http, port: 80}]}
---
kind: Service
apiVersion: v1
metadata: {name: away, namespace: shop}
spec: {type: ExternalName, externalName: web.shop.svc.cluster.local}
"""

COREFILE = """
. {{
    rewrite name exact shop.example web.shop.svc.cluster.local
    acl {{
        block net 10.9.0.0/16
    }}
    cache 30
    hosts {{
        192.0.2.7 fixed.example
        fallthrough
    }}
    kubernetes cluster.local {{
        manifests {manifests}
    }}
    forward . 127.0.0.1:{port} {{
        max_fails 0
    }}
    log
    prometheus 127.0.0.1:0
}}
"""


@pytest.fixture
def corefile(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    path = tmp_path / "Corefile"
    path.write_text(COREFILE.format(manifests=tmp_path / "cluster.yaml", port=free_port()))
    return path


async def followed(
    server: Socketless, name: str, type_: str = "A", client: str = "127.0.0.1"
) -> tuple[dns.message.Message, Passages]:
    packet = dns.message.make_query(name, type_, id=7).to_wire()
    router = next(iter(server.assembly.routers.values()))
    asker = Client(bytes(map(int, client.split("."))), 40000)
    reply, seen = await follow(router, server.services, packet, asker)
    assert reply is not None
    assert reply == await server.ask(packet, client=client)
    return dns.message.from_wire(reply), seen


def way(seen: Passages) -> list[tuple[str, str]]:
    return [(part.plugin, names.format(part.key)) for part in seen.parts]


async def test_every_plugin_on_the_way_is_seen_with_the_name_it_was_asked(corefile: Path) -> None:
    name = "web.shop.svc.cluster.local."
    async with Socketless(corefile) as server:
        _, seen = await followed(server, "shop.example")
        # `cache` is not asked for what is answered live, `hosts` stands before the cluster.
        assert way(seen) == [
            ("rewrite", "shop.example."),
            ("acl", name),
            ("cache", name),
            ("hosts", name),
            ("kubernetes", name),
        ]
        assert [part.depth for part in seen.parts] == [0, 1, 2, 3, 4]
        assert seen.parts[-1].result.plugin == "kubernetes"
        assert seen.zones == [names.ROOT]


async def test_an_answer_of_its_own_ends_the_way(corefile: Path) -> None:
    async with Socketless(corefile) as server:
        reply, seen = await followed(server, "web.shop.svc.cluster.local", client="10.9.1.1")
        assert reply.rcode() == dns.rcode.REFUSED
        assert way(seen)[-1][0] == "acl"


async def test_names_that_are_looked_up_on_the_way_are_followed_too(corefile: Path) -> None:
    async with Socketless(corefile) as server:
        _, seen = await followed(server, "away.shop.svc.cluster.local")
        asked = [(plugin, name) for plugin, name in way(seen) if plugin == "kubernetes"]
        assert ("kubernetes", "away.shop.svc.cluster.local.") in asked


async def test_an_upstream_that_failed_is_named(corefile: Path) -> None:
    async with Socketless(corefile) as server:
        reply, seen = await followed(server, "elsewhere.example")
        assert reply.rcode() == dns.rcode.SERVFAIL
        last = seen.parts[-1]
        assert last.plugin == "forward"
        assert "->127.0.0.1:" in last.result.error
        assert last.result.error.endswith("connection refused")
        passed = [part.plugin for part in seen.parts if part.result is last.result]
        assert passed[-3:] == ["hosts", "kubernetes", "forward"]
        assert SKIP not in [part.result for part in seen.parts]


async def test_following_is_not_counted_nor_kept(corefile: Path) -> None:
    async with Socketless(corefile) as server:
        packet = dns.message.make_query("web.shop.svc.cluster.local", "A").to_wire()
        router = next(iter(server.assembly.routers.values()))
        for _ in range(3):
            await follow(router, server.services, packet, Client(b"\x7f\0\0\1", 1))
        counted = {key[0] for key in server.services.counters.values}
        assert "coredns_dns_requests_total" not in counted
        assert not server.pipelines[False].table.entries
