"""The roles and bindings that a cluster has from the start, cut down to the kinds of the lab.

`view`, `edit` and `admin` are joined from others by label, as `aggregation` joins those of users.
"""

from kdns.lab.errors import Obj
from kdns.lab.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, Resource
from kdns.lab.rights.aggregation import joined
from kdns.lab.rights.rbac import EVERYTHING, EVERYWHERE, MASTERS
from kdns.lab.rights.rules import RBAC
from kdns.lab.storage import Storage

_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_UPDATE = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
_AGGREGATE = f"{RBAC}/aggregate-to-"
_READ = "get list watch"
_WRITE = "create delete deletecollection patch update"
_APPS = "daemonsets deployments replicasets statefulsets"
_SCALES = "deployments/scale replicasets/scale statefulsets/scale"
_INSIDE = "pods/attach pods/exec pods/portforward"

_HEALTH = "/healthz /livez /readyz /version /version/"
_DISCOVERY = f"/api /api/* /apis /apis/* /openapi /openapi/* {_HEALTH}"
_KEYS = (
    "/.well-known/openid-configuration /.well-known/openid-configuration/ "
    "/openid/v1/jwks /openid/v1/jwks/"
)

_VIEW = (
    ("", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods "
     "serviceaccounts services services/status", _READ),
    ("", "events namespaces namespaces/status pods/log pods/status", _READ),
    ("discovery.k8s.io", "endpointslices", _READ),
    ("apps", f"{_APPS} {_SCALES} daemonsets/status deployments/status replicasets/status "
     "statefulsets/status", _READ),
    ("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", _READ),
    ("batch", "cronjobs cronjobs/status jobs jobs/status", _READ),
    ("policy", "poddisruptionbudgets poddisruptionbudgets/status", _READ),
    ("networking.k8s.io", "ingresses ingresses/status networkpolicies", _READ),
)  # fmt: skip
_EDIT = (
    ("", f"{_INSIDE} secrets", _READ),
    ("", "serviceaccounts", "impersonate"),
    ("", f"pods {_INSIDE}", _WRITE),
    ("", "pods/eviction serviceaccounts/token", "create"),
    ("", "configmaps events persistentvolumeclaims secrets serviceaccounts services", _WRITE),
    ("apps", f"{_APPS} {_SCALES}", _WRITE),
    ("autoscaling", "horizontalpodautoscalers", _WRITE),
    ("batch", "cronjobs jobs", _WRITE),
    ("policy", "poddisruptionbudgets", _WRITE),
    ("networking.k8s.io", "ingresses networkpolicies", _WRITE),
)
_ADMIN = (
    ("authorization.k8s.io", "localsubjectaccessreviews", "create"),
    (RBAC, "rolebindings roles", f"{_WRITE} {_READ}"),
)
_USER = (
    ("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", "create"),
    ("authentication.k8s.io", "selfsubjectreviews", "create"),
)
_BOUND = {
    "cluster-admin": (MASTERS,),
    "system:basic-user": ("system:authenticated",),
    "system:discovery": ("system:authenticated",),
    "system:public-info-viewer": ("system:authenticated", "system:unauthenticated"),
    "system:service-account-issuer-discovery": ("system:serviceaccounts",),
}
"""ClusterRoles, and the groups that have them."""


def furnish(storage: Storage) -> None:
    """Makes what is missing of them."""
    for role in _roles():
        _ensure(storage, CLUSTERROLES, role)
    for name in ("view", "edit", "admin"):  # in this order: each is a part of the next
        role = storage.get(CLUSTERROLES, "", name)
        if role.get("aggregationRule"):
            storage.update(CLUSTERROLES, "", name, role | {"rules": joined(storage, role)})
    for name, groups in _BOUND.items():
        _ensure(storage, CLUSTERROLEBINDINGS, _binding(name, groups))


def _ensure(storage: Storage, resource: Resource, obj: Obj) -> None:
    if storage.find(resource, "", obj["metadata"]["name"]) is None:
        storage.create(resource, "", obj)


def _roles() -> list[Obj]:
    return [
        _role("cluster-admin", [EVERYTHING, EVERYWHERE]),
        _role("system:discovery", [_urls(_DISCOVERY)]),
        _role("system:public-info-viewer", [_urls(_HEALTH)]),
        _role("system:service-account-issuer-discovery", [_urls(_KEYS)]),
        _role("system:basic-user", _rules(_USER)),
        _role("system:aggregate-to-view", _rules(_VIEW), part_of="view"),
        _role("system:aggregate-to-edit", _rules(_EDIT), part_of="edit"),
        _role("system:aggregate-to-admin", _rules(_ADMIN), part_of="admin"),
        _joining("view", part_of="edit"),
        _joining("edit", part_of="admin"),
        _joining("admin"),
    ]


def _role(name: str, rules: list[Obj], *, part_of: str = "") -> Obj:
    labels = _LABELS | ({_AGGREGATE + part_of: "true"} if part_of else {})
    return {
        "metadata": {"name": name, "labels": labels, "annotations": _UPDATE},
        "rules": rules,
    }


def _joining(name: str, *, part_of: str = "") -> Obj:
    wanted = {"matchLabels": {_AGGREGATE + name: "true"}}
    return _role(name, [], part_of=part_of) | {
        "aggregationRule": {"clusterRoleSelectors": [wanted]}
    }


def _rules(rows: tuple[tuple[str, str, str], ...]) -> list[Obj]:
    return [
        {"apiGroups": [group], "resources": sorted(resources.split()), "verbs": verbs.split()}
        for group, resources, verbs in rows
    ]


def _urls(urls: str) -> Obj:
    return {"nonResourceURLs": sorted(urls.split()), "verbs": ["get"]}


def _binding(name: str, groups: tuple[str, ...]) -> Obj:
    return {
        "metadata": {"name": name, "labels": _LABELS, "annotations": _UPDATE},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "Group", "apiGroup": RBAC, "name": one} for one in groups],
    }
