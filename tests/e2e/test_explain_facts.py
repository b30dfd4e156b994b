"""What explanations know of a real cluster, asked with no more than the ClusterRole of config/."""

import asyncio
from pathlib import Path

from kdns.cluster.api.connection import Access
from kdns.explain.facts import Facts
from kdns.explain.gather_live import live
from kdns.explain.wanted import asked
from tests.e2e.conftest import KUBECONFIG
from tests.e2e.things import pod, service
from tests.referee.asking import eventually
from tests.referee.kube import Kube

ZONES = ("cluster.local.",)


def facts(config: str, name: str, asker: str) -> Facts:
    found = asked([name], asker, ZONES)
    return asyncio.run(live(Access(kubeconfig=config), found, ZONES))


def test_what_the_cluster_says_and_what_the_role_leaves_out(
    kube: Kube, space: str, limited: Path
) -> None:
    assert KUBECONFIG
    policy = {"podSelector": {}, "policyTypes": ["Ingress"]}
    path = f"/apis/networking.k8s.io/v1/namespaces/{space}/networkpolicies"
    body = {"metadata": {"name": "deny"}, "spec": policy}
    kube.call("POST", path, {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **body})
    kube.create(service(space, "web"), pod(space, "web-0", "web"))
    eventually(
        lambda: kube.list("EndpointSlice", space, "kubernetes.io/service-name=web"),
        within_s=60,
        what="the slice of web",
    )
    name = f"web.{space}.svc.cluster.local."

    own = facts(KUBECONFIG, name, f"{space}/web-0")
    assert (own.unknown, own.skipped, own.only) == ({}, (), ())
    assert own.services[f"{space}/web"].selector == {"app": "web"}
    assert own.services["default/kubernetes"].created
    assert [one.name for one in own.pods[space]] == ["web-0"]
    assert [one.spec for one in own.policies[space]] == [policy]
    (slice_,) = own.slices[f"{space}/web"]
    assert slice_.managed_by == "endpointslice-controller.k8s.io"
    assert slice_.written

    limited_to = facts(str(limited), name, f"{space}/web-0")
    assert list(limited_to.unknown) == ["policies"]
    assert 'resources ["networkpolicies"], verbs ["list"]' in limited_to.unknown["policies"]
    assert limited_to.services == own.services
    assert limited_to.slices == own.slices
    assert limited_to.pods[space] == own.pods[space]
