"""What only some directives need is watched for them, and may be missing without harm."""

import pytest

from kdns.cluster.nodes import MACHINES
from kdns.cluster.objects import Gateway, Ingress, Node, Route
from kdns.cluster.selection import Selection
from kdns.cluster.store import Prune
from kdns.wire.names import parse_key
from tests.cluster.following import following, until
from tests.cluster.scripted_api import ScriptedApi, namespace, refused, service, slice_

WIDE = Selection(pods=False, imports=False, nodes=True, entrances=True, hosts=True)
NODE = {
    "metadata": {"name": "N1", "labels": {"topology.kubernetes.io/zone": "z1"}},
    "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd01::/64"]},
    "status": {
        "addresses": [
            {"type": "Hostname", "address": "n1"},
            {"type": "ExternalIP", "address": "192.0.2.1"},
            {"type": "InternalIP", "address": "10.0.0.1"},
        ],
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}
INGRESS = {
    "metadata": {"name": "i", "namespace": "default"},
    "spec": {"rules": [{"host": "Shop.Example"}, {}, {"host": "*.w.example"}]},
    "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}, {"hostname": "lb.example"}]}},
}
GATEWAY = {
    "metadata": {"name": "g", "namespace": "default"},
    "spec": {"listeners": [{"hostname": "g.example"}, {}]},
    "status": {"addresses": [{"value": "192.0.2.8"}, {"type": "Hostname", "value": "gw.example"}]},
}
ROUTE = {
    "metadata": {"name": "r", "namespace": "default"},
    "spec": {"hostnames": ["r.example"], "parentRefs": [{"name": "g"}]},
}


@pytest.fixture
async def api():
    async with ScriptedApi() as made:
        made.put("namespaces", namespace("default"))
        made.put("services", service("web"))
        made.put("nodes", NODE)
        made.put("ingresses", INGRESS)
        made.put("gateways", GATEWAY)
        made.put("httproutes", ROUTE)
        yield made


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    monkeypatch.setattr("kdns.cluster.api.backoff.BASE_S", 0.02)


async def test_nothing_of_it_is_asked_for_unless_it_is_wanted(api):
    async with following(api.url):
        resources = {one.resource for one in api.requests}
    assert resources == {"namespaces", "services", "endpointslices"}


async def test_nodes_ingresses_gateways_and_routes_are_followed(api):
    async with following(api.url, selection=WIDE) as seen:
        store = seen.store
        assert store.nodes.get("", "n1").addresses == (bytes((10, 0, 0, 1)),)
        assert store.nodes.zone_of(bytes((10, 1, 0, 77))) == "z1"
        assert store.nodes.zone_of(bytes((10, 2, 0, 77))) == ""
        shop, routed = parse_key("shop.example"), parse_key("r.example")
        assert [one.name for one in store.entrances.at(shop)] == ["i"]
        assert [one.addresses for one in store.entrances.at(routed)] == [(bytes((192, 0, 2, 8)),)]
        assert store.entrances.hosts.exists(parse_key("w.example"))
        api.delete("gateways", "default", "g")
        await until(lambda: not store.entrances.at(routed))
        api.delete("nodes", "", "N1")
        await until(lambda: store.nodes.get("", "n1") is None)


async def test_slices_say_which_node_and_zone_an_endpoint_is_for(api):
    slice_1 = slice_("web-1", "10.1.0.1")
    slice_1["endpoints"][0] |= {"nodeName": "n1", "hints": {"forZones": [{"name": "z1"}]}}
    api.put("endpointslices", slice_1)
    async with following(api.url, selection=WIDE) as seen:
        [known] = seen.store.slices("default/web")
        assert (known.nodes, known.hints) == (("n1",), ("z1",))
    async with following(api.url) as seen:
        [known] = seen.store.slices("default/web")
        assert (known.nodes, known.hints) == (None, None)


async def test_a_cluster_without_the_gateway_api_has_no_gateways(api):
    api.faults.append((lambda one: one.resource in {"gateways", "httproutes"}, refused(404), [999]))
    async with following(api.url, selection=WIDE) as seen:
        lists = [one.kind for one in seen.events if isinstance(one, Prune) and not one.named]
        assert {Gateway, Route} <= set(lists)
        assert seen.store.has_synced
        assert not seen.api.failure


@pytest.mark.parametrize(
    ("resource", "title", "kind"),
    [
        ("nodes", "nodes", Node),
        ("ingresses", "ingresses.networking.k8s.io", Ingress),
        ("httproutes", "httproutes.gateway.networking.k8s.io", Route),
    ],
)
async def test_what_may_not_be_read_keeps_nothing_else_waiting(
    api, caplog, monkeypatch, resource, title, kind
):
    monkeypatch.setattr("kdns.cluster.api.watcher.REFUSAL_S", 0.01)
    api.faults.append((lambda one: one.resource == resource, refused(403, "forbidden"), [999]))
    async with following(api.url, selection=WIDE) as seen:
        assert seen.store.has_synced
        assert not seen.api.failure
        assert kind not in seen.freshness.ages()
        [line] = {one.message for one in caplog.records if one.levelname == "ERROR"}
        assert f"the verbs list and watch on {title} in a ClusterRole" in line
        api.faults.clear()
        await until(lambda: kind in seen.freshness.ages())
        assert seen.store.get(kind, *next(seen.store.versions(kind))[:2]) is not None


async def test_a_node_that_only_says_that_it_lives_moves_nothing(api):
    async with following(api.url, selection=WIDE) as seen:
        serial = seen.store.outer_serial
        store = seen.store
        api.put("nodes", NODE)
        newest = str(api.version)
        await until(lambda: store.nodes.get("", "n1").version == newest)
        assert store.outer_serial == serial
        unready = NODE | {"status": NODE["status"] | {"conditions": []}}
        api.put("nodes", unready)
        await until(lambda: not store.nodes.ready())
        assert MACHINES == "/nodes"
