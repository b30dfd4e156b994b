"""Nothing of a lab listens on the machine but what it has printed, and that on loopback alone."""

import re
from ipaddress import ip_address

import pytest

from tests.play.cluster import Cluster, node_port
from tests.play.traces import listening, processes, sockets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HERE = "127.0.0.1"


def late() -> dict:
    """A service that comes later."""
    ports = [
        {"name": "http", "port": 80, "nodePort": node_port()},
        {"name": "say", "port": 9000, "protocol": "UDP", "nodePort": node_port()},
    ]
    spec = {"type": "NodePort", "selector": {"app": "web"}, "ports": ports}
    return {"metadata": {"name": "late"}, "spec": spec}


def open_now(cluster: Cluster) -> set[tuple[str, str, int]]:
    """All sockets of the lab that wait for whoever comes, on the machine's own network."""
    pids = {*processes(cluster).values()}
    mine = sockets(pids)
    return {place for inode, place in listening().items() if inode in mine}


def printed(cluster: Cluster) -> set[tuple[str, str, int]]:
    ports = cluster.ports
    found = {("tcp", HERE, ports[name]) for name in ("api", "dns", "page")}
    return found | {("udp", HERE, ports["dns"])}


def node_ports(cluster: Cluster) -> set[tuple[str, str, int]]:
    return {
        (port["protocol"].lower(), HERE, port["nodePort"])
        for service in cluster.api.get("/api/v1/services")["items"]
        for port in service["spec"].get("ports", ())
        if "nodePort" in port
    }


def test_only_what_is_printed_listens_outside(cluster: Cluster) -> None:
    if cluster.way == "loopback":
        pytest.skip("there is no outside: see the next test")
    there = printed(cluster) | node_ports(cluster)
    cluster.until(lambda: open_now(cluster) == there, "the printed ports, and no others")
    cluster.api.create("/api/v1/namespaces/default/services", late())
    more = node_ports(cluster)
    try:
        assert len(more) == 3
        cluster.until(lambda: open_now(cluster) == there | more, "the new node ports")
        told = set(map(int, re.findall(r"leads to node port (\d+)", cluster.log)))
        assert {port for _, _, port in more} == told
    finally:
        cluster.api.delete("/api/v1/namespaces/default/services/late")
    cluster.until(lambda: open_now(cluster) == there, "the node ports have gone")


def test_nothing_of_it_listens_but_on_loopback_addresses(cluster: Cluster) -> None:
    found = open_now(cluster)
    assert printed(cluster) <= found
    assert not [one for one in found if not _is_loopback(one[1])]


def _is_loopback(text: str) -> bool:
    return "." in text and ip_address(text).is_loopback
