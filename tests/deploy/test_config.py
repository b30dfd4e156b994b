"""What config/ applies: renders, fits together, and asks for no more rights than it needs."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import kdns
from kdns.corefile.tree import ConfigError
from kdns.lab import dns
from kdns.observe.catalogue import METRICS
from kdns.server.assembly import Services, build

TOP = Path(__file__).parents[2]
BASE = TOP / "config" / "base"
OVERLAYS = sorted(
    path.parent for path in (TOP / "config" / "overlays").glob("*/kustomization.yaml")
)
ALL = [BASE, *OVERLAYS]
COREFILES = sorted((TOP / "config").rglob("Corefile"))
WHOLE = [path for path in ALL if path.name not in {"drop-in", "node-local"}]
"""Those that are the whole of a cluster DNS server."""

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")

NAME = re.compile(r"[a-z0-9]([-a-z0-9.:]*[a-z0-9])?")
CLUSTERED = {"ClusterRole", "ClusterRoleBinding"}


@cache
def rendered(path: Path) -> tuple[dict[str, Any], ...]:
    done = subprocess.run(
        ["kubectl", "kustomize", str(path)], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    assert not done.stderr, "kustomize warns"
    return tuple(yaml.safe_load_all(done.stdout))


def one(path: Path, kind: str, name: str = "") -> dict[str, Any]:
    found = [
        each for each in rendered(path)
        if each["kind"] == kind and name in ("", each["metadata"]["name"])
    ]  # fmt: skip
    assert len(found) == 1, f"{path.name}: {len(found)} of {kind} {name}"
    return found[0]


def pods(path: Path) -> Iterator[dict[str, Any]]:
    for each in rendered(path):
        if each["kind"] in {"Deployment", "DaemonSet"}:
            yield each["spec"]["template"]


by_name = pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)


@needs_kubectl
@by_name
def test_every_object_is_well_formed(path):
    seen = set()
    for each in rendered(path):
        name = each["metadata"]["name"]
        assert NAME.fullmatch(name), name
        assert re.fullmatch(r"([a-z0-9.-]+/)?v\d\w*", each["apiVersion"])
        assert (each["kind"] in CLUSTERED) == ("namespace" not in each["metadata"])
        assert each["metadata"].get("namespace", "kube-system") == "kube-system"
        assert (each["kind"], name) not in seen
        seen.add((each["kind"], name))


@needs_kubectl
@by_name
def test_selectors_match_the_labels_of_pods(path):
    """Each selector of Deployments, Services, budgets, policies finds pods that are there."""
    labels = [pod["metadata"]["labels"].items() for pod in pods(path) if "metadata" in pod]
    if path.name == "node-local":
        labels += [pod["metadata"]["labels"].items() for pod in pods(BASE)]
    for each in rendered(path):
        spec = each.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector") or {}
        wanted = selector.get("matchLabels", selector)
        if wanted:
            assert any(wanted.items() <= have for have in labels), f"{each['kind']}: {wanted}"


def rights(path: Path, role: str) -> set[tuple[str, str, str]]:
    """(API group, resource, verb) of all that a ClusterRole allows."""
    return {
        (group, resource, verb)
        for rule in one(path, "ClusterRole", role)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if rule.keys() == {"apiGroups", "resources", "verbs"}
    }


def bound(path: Path, role: str) -> str:
    """The account that has the role."""
    (binding,) = (
        each for each in rendered(path)
        if each["kind"] == "ClusterRoleBinding" and each["roleRef"]["name"] == role
    )  # fmt: skip
    (subject,) = binding["subjects"]
    return subject["name"]


def watched(*kinds: tuple[str, str]) -> set[tuple[str, str, str]]:
    return {(*kind, verb) for kind in kinds for verb in ("list", "watch")}


@needs_kubectl
def test_the_rights_are_those_of_coredns_and_no_more():
    core = ("endpoints", "services", "pods", "namespaces")
    kinds = [*(("", resource) for resource in core), ("discovery.k8s.io", "endpointslices")]
    assert rights(BASE, "system:coredns") == watched(*kinds)
    account = one(BASE, "ServiceAccount")
    assert bound(BASE, "system:coredns") == account["metadata"]["name"]
    (pod,) = pods(BASE)
    assert pod["spec"]["serviceAccountName"] == account["metadata"]["name"]


@needs_kubectl
def test_names_beyond_the_cluster_have_the_rights_that_their_pages_ask_for():
    path, role = TOP / "config" / "overlays" / "beyond", "system:coredns-beyond"
    gateway = "gateway.networking.k8s.io"
    kinds = [(gateway, "gateways"), (gateway, "httproutes"), ("networking.k8s.io", "ingresses")]
    assert rights(path, role) == watched(("", "nodes"), *kinds)
    assert bound(path, role) == one(path, "ServiceAccount")["metadata"]["name"]
    asked: set[tuple[str, str, str]] = set()
    for page in ("ingress", "nodeport"):
        text = (TOP / "kdns" / "plugins" / f"{page}.md").read_text()
        for rule in yaml.safe_load(text.partition("~~~\n")[2].partition("~~~")[0]):
            (group,) = rule["apiGroups"]
            assert rule["verbs"] == ["list", "watch"]
            asked |= watched(*((group, resource) for resource in rule["resources"]))
    assert asked == rights(path, role)


@needs_kubectl
@by_name
def test_containers_are_confined(path):
    for pod in pods(path):
        if path.name == "drop-in":
            assert pod == {
                "spec": {
                    "containers": [
                        {"name": "coredns", "image": pod["spec"]["containers"][0]["image"]}
                    ]
                }
            }
            continue
        spec = pod["spec"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = {**spec["securityContext"], **container["securityContext"]}
            assert context["readOnlyRootFilesystem"]
            is_on_host = spec.get("hostNetwork", False)
            assert context["runAsUser"] == (0 if is_on_host else 65532)
            assert context.get("runAsNonRoot", False) != is_on_host
            ports = [one["value"] for one in context.get("sysctls", ())]
            assert ports == ([] if is_on_host else ["53"])
            assert not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
            assert container["args"] == ["-conf", "/etc/coredns/Corefile"]


@needs_kubectl
@by_name
def test_the_image_is_this_release_and_of_no_registry(path):
    images = {
        container["image"]
        for pod in pods(path)
        for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ()))
    }
    assert images == {f"kdns:{kdns.__version__}"}


@needs_kubectl
@by_name
def test_volumes_are_there_for_every_mount(path):
    maps = {each["metadata"]["name"] for each in rendered(path) if each["kind"] == "ConfigMap"}
    for pod in pods(path):
        spec = pod["spec"]
        volumes = {each["name"]: each for each in spec.get("volumes", ())}
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            for mount in container.get("volumeMounts", ()):
                volume = volumes[mount["name"]]
                assert "emptyDir" in volume or volume["configMap"]["name"] in maps


@needs_kubectl
@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_ports_of_the_service_and_probes_are_those_of_the_corefile(path):
    text = one(path, "ConfigMap", "coredns")["data"]["Corefile"]
    service, pod = one(path, "Service", "kube-dns"), next(pods(path))
    (container,) = pod["spec"]["containers"]
    ports = {(port["containerPort"], port["protocol"]) for port in container["ports"]}
    assert {(port["targetPort"], port["protocol"]) for port in service["spec"]["ports"]} <= ports
    assert service["spec"]["clusterIP"] == "10.96.0.10"
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness")}
    assert (named[probes["liveness"]["port"]], probes["liveness"]["path"]) == (8080, "/health")
    assert (named[probes["readiness"]["port"]], probes["readiness"]["path"]) == (8181, "/ready")
    lines = [line.strip() for line in text.splitlines()]
    assert {".:53 {", "health {", "ready", "prometheus :9153"} <= set(lines)
    lameduck = re.search(r"lameduck (\d+)s", text)
    assert lameduck
    assert int(lameduck[1]) + 10 < pod["spec"]["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("path", COREFILES, ids=lambda path: path.parent.name)
def test_every_corefile_is_right(path, monkeypatch):
    monkeypatch.setenv("KUBE_DNS_UPSTREAM_SERVICE_HOST", "10.96.0.99")
    for name, text in dns.environ(dns.Listening(), Path("kubeconfig")).items():
        monkeypatch.setenv(name, text)
    errors: list[ConfigError] = []
    assembly = build(path.read_text(), str(path), Services(), errors)
    assert not errors
    assert assembly.routers


KUBEADM = (
    ".:53 { errors health { lameduck 5s } ready "
    "kubernetes cluster.local in-addr.arpa ip6.arpa { "
    "pods insecure fallthrough in-addr.arpa ip6.arpa ttl 30 } "
    "prometheus :9153 forward . /etc/resolv.conf { max_concurrent 1000 } "
    "cache 30 { disable success cluster.local disable denial cluster.local } "
    "loop reload loadbalance }"
)


def test_the_corefile_of_base_is_that_of_kubeadm():
    """As kubeadm writes it for a new cluster, so that tools that rewrite it know it."""
    assert " ".join((BASE / "Corefile").read_text().split()) == KUBEADM


def test_the_snapshot_lies_on_the_volume():
    text = (TOP / "config/overlays/snapshot/Corefile").read_text()
    kept = [line for line in text.splitlines() if not line.strip().startswith("snapshot ")]
    assert kept == (BASE / "Corefile").read_text().splitlines()
    assert re.search(r"^ +snapshot /var/lib/kdns/\w+$", text, re.MULTILINE)


@needs_kubectl
def test_alerts_ask_for_metrics_that_exist():
    rule = one(TOP / "config" / "overlays" / "prometheus", "PrometheusRule")
    for group in rule["spec"]["groups"]:
        for alert in group["rules"]:
            for name in re.findall(r"\b(?:kdns|coredns)_\w+", alert["expr"]):
                base = name.removesuffix("_bucket")
                assert base in METRICS, f"{alert['alert']}: {name}"
                metric = METRICS[base]
                braces = re.search(rf"{name}{{(.*?)}}", alert["expr"])
                matched = re.findall(r"(\w+)=", braces[1]) if braces else []
                assert set(matched) <= {"job", *metric.labels}


@needs_kubectl
def test_the_autoscaler_owns_the_number_of_replicas():
    path = TOP / "config" / "overlays" / "autoscaled"
    assert "replicas" not in one(path, "Deployment")["spec"]
    target = one(path, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "coredns"}


@needs_kubectl
def test_dual_stack_keeps_the_first_address():
    spec = one(TOP / "config" / "overlays" / "dual-stack", "Service")["spec"]
    assert spec["clusterIPs"][0] == spec["clusterIP"]
    assert spec["ipFamilies"] == ["IPv4", "IPv6"]


@needs_kubectl
def test_the_node_cache_reaches_the_servers_of_base():
    path = TOP / "config" / "overlays" / "node-local"
    upstream = one(path, "Service", "kube-dns-upstream")["spec"]["selector"]
    assert upstream == one(BASE, "Service", "kube-dns")["spec"]["selector"]
    pod = next(pods(path))["spec"]
    text = one(path, "ConfigMap", "node-local-dns")["data"]["Corefile"]
    assert pod["hostNetwork"]
    assert pod["initContainers"][0]["command"][-1] in text
    assert pod["containers"][0]["livenessProbe"]["httpGet"]["host"] in text


def test_help_deploying_names_every_overlay():
    text = (TOP / "kdns" / "help" / "deploying.md").read_text()
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == [
        path.name for path in OVERLAYS
    ]
