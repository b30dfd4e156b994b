"""The kinds that the lab serves: where each is found in the API, and the Rules that hold for it."""

from dataclasses import dataclass

from kdns.lab.kinds import (
    access,
    cluster,
    config,
    cronjobs,
    endpoints,
    event,
    jobs,
    network,
    pod,
    scaling,
    service,
    workloads,
)
from kdns.lab.rules import Rules

_PLAIN = Rules()


@dataclass(frozen=True, eq=False)
class Resource:
    """One kind of object under one path; compared and hashed by identity."""

    group: str
    version: str
    plural: str
    kind: str
    short: tuple[str, ...] = ()
    is_namespaced: bool = True
    has_status: bool = False
    has_scale: bool = False
    has_generation: bool = False
    categories: tuple[str, ...] = ()
    rules: Rules = _PLAIN

    @property
    def singular(self) -> str:
        """As `kubectl get service` has it."""
        return self.kind.lower()

    @property
    def api_version(self) -> str:
        """As objects carry it: `apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        """The kind of a list of these."""
        return f"{self.kind}List"

    @property
    def qualified(self) -> str:
        """As messages have it: `deployments.apps`, or `services`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_ALL = ("all",)
_RBAC = "rbac.authorization.k8s.io"

NAMESPACES = Resource(
    "",
    "v1",
    "namespaces",
    "Namespace",
    ("ns",),
    is_namespaced=False,
    has_status=True,
    rules=cluster.Namespaces(),
)
NODES = Resource(
    "", "v1", "nodes", "Node", ("no",), is_namespaced=False, has_status=True, rules=cluster.Nodes()
)
SERVICES = Resource(
    "",
    "v1",
    "services",
    "Service",
    ("svc",),
    has_status=True,
    categories=_ALL,
    rules=service.Services(),
)
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", ("ep",), rules=endpoints.Endpoints())
PODS = Resource(
    "",
    "v1",
    "pods",
    "Pod",
    ("po",),
    has_status=True,
    has_generation=True,
    categories=_ALL,
    rules=pod.Pods(),
)
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap", ("cm",), rules=config.ConfigMaps())
SECRETS = Resource("", "v1", "secrets", "Secret", rules=config.Secrets())
SERVICEACCOUNTS = Resource(
    "", "v1", "serviceaccounts", "ServiceAccount", ("sa",), rules=config.ServiceAccounts()
)
EVENTS = Resource("", "v1", "events", "Event", ("ev",), rules=event.Events())
CLAIMS = Resource(
    "",
    "v1",
    "persistentvolumeclaims",
    "PersistentVolumeClaim",
    ("pvc",),
    has_status=True,
    rules=scaling.Claims(),
)
SLICES = Resource(
    "discovery.k8s.io",
    "v1",
    "endpointslices",
    "EndpointSlice",
    has_generation=True,
    rules=endpoints.EndpointSlices(),
)
DEPLOYMENTS = Resource(
    "apps",
    "v1",
    "deployments",
    "Deployment",
    ("deploy",),
    has_status=True,
    has_scale=True,
    has_generation=True,
    categories=_ALL,
    rules=workloads.Deployments(),
)
REPLICASETS = Resource(
    "apps",
    "v1",
    "replicasets",
    "ReplicaSet",
    ("rs",),
    has_status=True,
    has_scale=True,
    has_generation=True,
    categories=_ALL,
    rules=workloads.ReplicaSets(),
)
STATEFULSETS = Resource(
    "apps",
    "v1",
    "statefulsets",
    "StatefulSet",
    ("sts",),
    has_status=True,
    has_scale=True,
    has_generation=True,
    categories=_ALL,
    rules=workloads.StatefulSets(),
)
DAEMONSETS = Resource(
    "apps",
    "v1",
    "daemonsets",
    "DaemonSet",
    ("ds",),
    has_status=True,
    has_generation=True,
    categories=_ALL,
    rules=workloads.DaemonSets(),
)
JOBS = Resource(
    "batch",
    "v1",
    "jobs",
    "Job",
    has_status=True,
    has_generation=True,
    categories=_ALL,
    rules=jobs.Jobs(),
)
CRONJOBS = Resource(
    "batch",
    "v1",
    "cronjobs",
    "CronJob",
    ("cj",),
    has_status=True,
    has_generation=True,
    categories=_ALL,
    rules=cronjobs.CronJobs(),
)
INGRESSES = Resource(
    "networking.k8s.io",
    "v1",
    "ingresses",
    "Ingress",
    ("ing",),
    has_status=True,
    has_generation=True,
    rules=network.Ingresses(),
)
POLICIES = Resource(
    "networking.k8s.io",
    "v1",
    "networkpolicies",
    "NetworkPolicy",
    ("netpol",),
    has_generation=True,
    rules=network.NetworkPolicies(),
)
ROLES = Resource(_RBAC, "v1", "roles", "Role", rules=access.Roles())
ROLEBINDINGS = Resource(
    _RBAC, "v1", "rolebindings", "RoleBinding", rules=access.Bindings("Role", "ClusterRole")
)
CLUSTERROLES = Resource(
    _RBAC, "v1", "clusterroles", "ClusterRole", is_namespaced=False, rules=access.Roles()
)
CLUSTERROLEBINDINGS = Resource(
    _RBAC,
    "v1",
    "clusterrolebindings",
    "ClusterRoleBinding",
    is_namespaced=False,
    rules=access.Bindings("ClusterRole"),
)
BUDGETS = Resource(
    "policy",
    "v1",
    "poddisruptionbudgets",
    "PodDisruptionBudget",
    ("pdb",),
    has_status=True,
    has_generation=True,
    rules=scaling.Budgets(),
)
AUTOSCALERS = Resource(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    ("hpa",),
    has_status=True,
    categories=_ALL,
    rules=scaling.Autoscalers(),
)
IMPORTS = Resource(
    "multicluster.x-k8s.io",
    "v1alpha1",
    "serviceimports",
    "ServiceImport",
    ("svcim",),
    has_status=True,
    has_generation=True,
)

RESOURCES: tuple[Resource, ...] = (
    NAMESPACES,
    NODES,
    SERVICES,
    ENDPOINTS,
    PODS,
    CONFIGMAPS,
    SECRETS,
    SERVICEACCOUNTS,
    EVENTS,
    CLAIMS,
    SLICES,
    DEPLOYMENTS,
    REPLICASETS,
    STATEFULSETS,
    DAEMONSETS,
    JOBS,
    CRONJOBS,
    INGRESSES,
    POLICIES,
    ROLES,
    ROLEBINDINGS,
    CLUSTERROLES,
    CLUSTERROLEBINDINGS,
    BUDGETS,
    AUTOSCALERS,
    IMPORTS,
)

_BY_PATH = {(one.group, one.version, one.plural): one for one in RESOURCES}
_BY_KIND = {(one.api_version, one.kind): one for one in RESOURCES}


def find(group: str, version: str, plural: str) -> Resource | None:
    """The resource under a path, as ("apps", "v1", "deployments")."""
    return _BY_PATH.get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Resource | None:
    """The resource of an object's apiVersion and kind."""
    return _BY_KIND.get((api_version, kind))
