"""Names beyond the cluster: Ingress hosts, node ports, external addresses; with and without rights.

The nodes, and what load balancers and ingress controllers would write, are written here.
"""

from pathlib import Path

from tests.e2e.conftest import Start, account, rules
from tests.e2e.things import port, service
from tests.referee.asking import ask, eventually, texts
from tests.referee.kube import Kube, Object, ca_of, kubeconfig, path_of

COREFILE = """.:PORT {
    bind 127.0.0.1
    errors
    k8s_external ext.test
    ingress app.test
    nodeport
    kubernetes cluster.local {
        kubeconfig KUBECONFIG
        topology
    }
    forward . UPSTREAM
}
"""
MORE: list[Object] = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["list", "watch"]},
    {
        "apiGroups": ["gateway.networking.k8s.io"],
        "resources": ["gateways", "httproutes"],
        "verbs": ["list", "watch"],
    },
]
"""What the pages of the plugins ask for."""


def node(name: str, address: str) -> Object:
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": "z1"}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }  # fmt: skip


def ingress(space: str, host: str) -> Object:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {
        "host": host,
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web", "namespace": space}, "spec": {"rules": [rule]},
    }  # fmt: skip


def reached(kube: Kube, kind: str, space: str, name: str, address: str) -> None:
    """Writes what a controller would: where it is reached."""
    path = path_of(kind, space, name) + "/status"
    body = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
    kube.call("PATCH", path, body, kind="application/merge-patch+json")


def test_hosts_node_ports_and_external_addresses(
    kube: Kube, space: str, tmp_path: Path, start: Start
):
    from tests.e2e.conftest import KUBECONFIG  # noqa: PLC0415

    assert KUBECONFIG
    config = tmp_path / "kubeconfig"
    token = account(kube, space, rules() + MORE)
    kubeconfig(config, kube.url, token=token, ca=ca_of(KUBECONFIG))
    name = f"node-{space}"
    kube.create(
        node(name, "192.0.2.201"),
        service(space, "web", type="LoadBalancer", ports=[port("http", 80)]),
        ingress(space, f"{space}.app.test"),
    )
    try:
        reached(kube, "Service", space, "web", "192.0.2.202")
        reached(kube, "Ingress", space, "web", "192.0.2.203")
        server = start(config, COREFILE)

        def says(asked: str, *expected: str) -> None:
            eventually(
                lambda: set(expected) <= set(texts(ask(server.port, asked))),
                within_s=60, what=f"{asked} {expected}:\n{server.log}",
            )  # fmt: skip

        says(f"web.{space}.ext.test", "192.0.2.202")
        says(f"{space}.app.test", "192.0.2.203")
        says(f"web.{space}.nodeport.cluster.local", "192.0.2.201")
        reached(kube, "Ingress", space, "web", "192.0.2.204")
        says(f"{space}.app.test", "192.0.2.204")
        kube.delete("Ingress", space, "web")
        eventually(
            lambda: ask(server.port, f"{space}.app.test").rcode() == 3,
            within_s=60, what=f"the host is gone:\n{server.log}",
        )  # fmt: skip
    finally:
        kube.delete("Node", "", name)


def test_without_the_rights_all_else_is_answered(
    kube: Kube, limited: Path, space: str, start: Start
):
    kube.create(service(space, "web"))
    server = start(limited, COREFILE)
    asked = f"web.{space}.svc.cluster.local"
    eventually(
        lambda: ask(server.port, asked).rcode() == 0,
        within_s=60, what=f"{asked}:\n{server.log}",
    )  # fmt: skip
    eventually(
        lambda: all(
            f"list and watch on {what} in a ClusterRole" in server.log
            for what in ("nodes", "ingresses.networking.k8s.io")
        ),
        within_s=60, what=f"what to grant:\n{server.log}",
    )  # fmt: skip
    assert "before the cluster is known" not in server.log
    assert "Traceback" not in server.log
