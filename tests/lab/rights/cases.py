"""Who may what: objects, and requests by ServiceAccounts, sent to a real server and to the lab."""

from typing import Any

RBAC = "rbac.authorization.k8s.io"
_ROLES = "/apis/rbac.authorization.k8s.io/v1"
_CORE, _APPS = "/api/v1", "/apis/apps/v1"
ACCOUNTS = (
    "reader", "named", "scaler", "apps", "nodes", "inside", "urls", "granting", "escalator",
    "binder", "lost", "someone", "nobody", "creator", "subs",
)  # fmt: skip
READS = ["get", "list", "watch"]


def _rule(groups: str, resources: str, verbs: str, *names: str) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "apiGroups": groups.split(","),
        "resources": resources.split(","),
        "verbs": verbs.split(","),
    }
    return rule | ({"resourceNames": list(names)} if names else {})


def _role(kind: str, name: str, *rules: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    place = f"{_ROLES}/namespaces/team/roles" if kind == "Role" else f"{_ROLES}/clusterroles"
    return place, {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "rules": list(rules),
    }


def _bound(
    role: str, *who: str, kind: str = "Role", inside: str = "team", subject: str = "ServiceAccount"
) -> tuple[str, dict[str, Any]]:
    own = {"namespace": "team"} if subject == "ServiceAccount" else {"apiGroup": RBAC}
    plural = f"namespaces/{inside}/rolebindings" if inside else "clusterrolebindings"
    return f"{_ROLES}/{plural}", {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if inside else "ClusterRoleBinding",
        "metadata": {"name": f"{role}-{who[0].replace(':', '-')}"},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [{"kind": subject, "name": one, **own} for one in who],
    }


SETUP: list[tuple[str, dict[str, Any]]] = [
    (f"{_CORE}/namespaces", {"metadata": {"name": "team"}}),
    (f"{_CORE}/namespaces", {"metadata": {"name": "other"}}),
    *(
        (f"{_CORE}/namespaces/team/serviceaccounts", {"metadata": {"name": one}})
        for one in ACCOUNTS
    ),
    *(
        (f"{_CORE}/namespaces/team/configmaps", {"metadata": {"name": one}})
        for one in ("one", "two")
    ),
    _role("Role", "reads", _rule("", "pods", "get,list,watch"), _rule("", "pods/log", "get")),
    _role("Role", "named", _rule("", "configmaps", "*", "one")),
    _role("Role", "creates", _rule("", "configmaps", "create,patch")),
    _role("ClusterRole", "scales", _rule("apps", "*/scale", "get,update,patch")),
    _role("ClusterRole", "all-apps", _rule("apps", "*", "*")),
    _role("ClusterRole", "nodes", _rule("", "nodes,namespaces", "get,list")),
    _role("ClusterRole", "urls", {"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]}),
    _role(
        "ClusterRole",
        "grants",
        _rule(RBAC, "*", "create,update,patch,get"),
        _rule("", "pods", "get,list"),
    ),
    _role("ClusterRole", "escalates", _rule(RBAC, "roles,clusterroles", "create,update,escalate")),
    _role(
        "ClusterRole",
        "binds",
        _rule(RBAC, "rolebindings,clusterrolebindings", "create"),
        _rule(RBAC, "clusterroles", "bind", "scales"),
    ),
    _role("ClusterRole", "services", _rule("", "services", "list")),
    _role("ClusterRole", "subs", _rule("", "*/status", "get"), _rule("", "services/*", "get")),
    _bound("reads", "reader"),
    _bound("named", "named"),
    _bound("creates", "creator"),
    _bound("scales", "scaler", kind="ClusterRole"),
    _bound("all-apps", "apps", kind="ClusterRole", inside=""),
    _bound("nodes", "nodes", kind="ClusterRole", inside=""),
    _bound("nodes", "inside", kind="ClusterRole"),
    _bound("urls", "urls", kind="ClusterRole", inside=""),
    _bound("grants", "granting", kind="ClusterRole", inside=""),
    _bound("escalates", "escalator", kind="ClusterRole", inside=""),
    _bound("binds", "binder", kind="ClusterRole", inside=""),
    _bound("subs", "subs", kind="ClusterRole"),
    _bound("missing", "lost"),
    _bound("absent", "lost", kind="ClusterRole", inside=""),
    _bound(
        "services",
        "system:serviceaccounts:team",
        kind="ClusterRole",
        inside="other",
        subject="Group",
    ),
    _bound("reads", "system:serviceaccount:team:someone", subject="User"),
]

_TEAM, _OTHER = f"{_CORE}/namespaces/team", f"{_CORE}/namespaces/other"
_HERE = f"{_ROLES}/namespaces/team"
_MERGE = "application/merge-patch+json"
_GRANT = _role("Role", "x", _rule("", "pods", "get,list"))[1]
_MORE = _role("Role", "x", _rule("", "pods,secrets", "get,delete"), _rule("apps", "*", "list"))[1]
_URLS = _role("ClusterRole", "x", {"nonResourceURLs": ["/logs/*"], "verbs": ["get"]})[1]
_JOINS = _role("ClusterRole", "x")[1] | {
    "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
}


def _about(verb: str, resource: str, *, group: str = "", part: str = "", name: str = "") -> Any:
    wanted = {"verb": verb, "resource": resource, "namespace": "team", "group": group}
    more = {"subresource": part, "name": name}
    return wanted | {key: one for key, one in more.items() if one}


REQUESTS: list[tuple[str, str, str, Any]] = [
    ("reader", "GET", f"{_TEAM}/pods", None),
    ("reader", "GET", f"{_TEAM}/pods?watch=1&timeoutSeconds=1", None),
    ("reader", "GET", f"{_TEAM}/pods/x", None),
    ("reader", "GET", f"{_TEAM}/pods/x/log", None),
    ("reader", "GET", f"{_TEAM}/pods/x/status", None),
    ("reader", "GET", f"{_CORE}/pods", None),
    ("reader", "GET", f"{_CORE}/pods?watch=1&timeoutSeconds=1", None),
    ("reader", "GET", f"{_OTHER}/pods", None),
    ("reader", "DELETE", f"{_TEAM}/pods/x", None),
    ("reader", "DELETE", f"{_TEAM}/pods", None),
    ("reader", "POST", f"{_TEAM}/pods?dryRun=All", {"metadata": {"name": "x"}}),
    ("reader", "PATCH", f"{_TEAM}/pods/x", {}),
    ("reader", "GET", f"{_TEAM}/services", None),
    ("reader", "GET", f"{_APPS}/namespaces/team/deployments", None),
    ("reader", "GET", f"{_APPS}/namespaces/team/deployments/x/scale", None),
    ("reader", "GET", f"{_CORE}/nodes", None),
    ("reader", "GET", f"{_CORE}/nodes/n", None),
    ("reader", "GET", f"{_CORE}/namespaces/team", None),
    ("reader", "DELETE", f"{_CORE}/namespaces/team", None),
    ("reader", "GET", f"{_OTHER}/services", None),
    ("reader", "POST", f"{_TEAM}/pods/x/eviction", {}),
    ("reader", "POST", f"{_TEAM}/serviceaccounts/x/token", {}),
    ("reader", "GET", "/version", None),
    ("reader", "GET", "/api", None),
    ("reader", "GET", "/apis/apps/v1", None),
    ("reader", "GET", "/openapi/v3", None),
    ("reader", "GET", "/metrics", None),
    ("reader", "GET", "/", None),
    ("reader", "POST", "/version", {}),
    ("someone", "GET", f"{_TEAM}/pods", None),
    ("someone", "GET", f"{_OTHER}/pods", None),
    ("nobody", "GET", f"{_TEAM}/configmaps/one", None),
    ("named", "GET", f"{_TEAM}/configmaps/one", None),
    ("named", "GET", f"{_TEAM}/configmaps/two", None),
    ("named", "GET", f"{_TEAM}/configmaps", None),
    ("named", "GET", f"{_TEAM}/configmaps?fieldSelector=metadata.name%3Done", None),
    ("named", "GET", f"{_TEAM}/configmaps?fieldSelector=metadata.name%3Dtwo", None),
    ("named", "GET", f"{_TEAM}/configmaps?fieldSelector=metadata.name%21%3Dtwo", None),
    ("named", "GET", f"{_TEAM}/configmaps?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Done",
     None),
    ("named", "DELETE", f"{_TEAM}/configmaps?dryRun=All&fieldSelector=metadata.name%3Done", None),
    ("named", "POST", f"{_TEAM}/configmaps?dryRun=All", {"metadata": {"name": "one"}}),
    ("named", "PATCH", f"{_TEAM}/configmaps/one?dryRun=All", {"data": {"a": "b"}}),
    ("named", "PATCH", f"{_TEAM}/configmaps/two?dryRun=All", {"data": {"a": "b"}}),
    ("scaler", "GET", f"{_APPS}/namespaces/team/deployments/x/scale", None),
    ("scaler", "PATCH", f"{_APPS}/namespaces/team/statefulsets/x/scale", {}),
    ("scaler", "GET", f"{_APPS}/namespaces/team/deployments/x", None),
    ("scaler", "GET", f"{_APPS}/namespaces/other/deployments/x/scale", None),
    ("apps", "GET", f"{_APPS}/deployments", None),
    ("apps", "GET", f"{_APPS}/namespaces/other/deployments/x/scale", None),
    ("apps", "GET", f"{_CORE}/pods", None),
    ("nodes", "GET", f"{_CORE}/nodes", None),
    ("nodes", "GET", f"{_CORE}/nodes?watch=1&timeoutSeconds=1", None),
    ("nodes", "GET", f"{_CORE}/namespaces/team", None),
    ("inside", "GET", f"{_CORE}/nodes", None),
    ("inside", "GET", f"{_CORE}/namespaces/team", None),
    ("inside", "GET", f"{_CORE}/namespaces/other", None),
    ("inside", "GET", f"{_CORE}/namespaces", None),
    ("urls", "GET", "/logs/kube.log", None),
    ("urls", "POST", "/logs/kube.log", {}),
    ("urls", "GET", "/logs", None),
    ("subs", "GET", f"{_TEAM}/pods/x/status", None),
    ("subs", "GET", f"{_TEAM}/services/x/status", None),
    ("subs", "GET", f"{_TEAM}/pods/x/log", None),
    ("lost", "GET", f"{_TEAM}/pods", None),
    ("lost", "GET", f"{_CORE}/pods", None),
    ("creator", "PATCH-APPLY", f"{_TEAM}/configmaps/three?dryRun=All&fieldManager=x",
     {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "three"}}),
    ("named", "PATCH-APPLY", f"{_TEAM}/configmaps/two?dryRun=All&fieldManager=x",
     {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "two"}}),
    ("reader", "POST", f"{_HERE}/roles?dryRun=All", _GRANT),
    ("granting", "POST", f"{_HERE}/roles?dryRun=All", _GRANT),
    ("granting", "POST", f"{_HERE}/roles?dryRun=All", _MORE),
    ("granting", "POST", f"{_ROLES}/clusterroles?dryRun=All", _URLS),
    ("granting", "POST", f"{_ROLES}/clusterroles?dryRun=All", _JOINS),
    ("granting", "PATCH", f"{_HERE}/roles/reads?dryRun=All", {"metadata": {"labels": {"a": "b"}}}),
    ("granting", "PATCH", f"{_HERE}/roles/reads?dryRun=All",
     {"rules": [_rule("", "secrets", "get")]}),
    ("escalator", "POST", f"{_HERE}/roles?dryRun=All", _MORE),
    ("escalator", "POST", f"{_ROLES}/clusterroles?dryRun=All", _JOINS),
    ("binder", "POST", f"{_HERE}/rolebindings?dryRun=All",
     _bound("scales", "reader", kind="ClusterRole")[1]),
    ("binder", "POST", f"{_ROLES}/clusterrolebindings?dryRun=All",
     _bound("scales", "reader", kind="ClusterRole", inside="")[1]),
    ("binder", "POST", f"{_HERE}/rolebindings?dryRun=All",
     _bound("all-apps", "reader", kind="ClusterRole")[1]),
    ("binder", "POST", f"{_HERE}/rolebindings?dryRun=All", _bound("reads", "reader")[1]
     | {"metadata": {"name": "new"}}),
    ("binder", "POST", f"{_HERE}/rolebindings?dryRun=All", _bound("gone", "reader")[1]),
    ("granting", "POST", f"{_HERE}/rolebindings?dryRun=All",
     _bound("cluster-admin", "granting", kind="ClusterRole")[1]),
    ("granting", "PATCH", f"{_HERE}/rolebindings/reads-reader?dryRun=All", {"subjects": []}),
    ("granting", "PATCH", f"{_HERE}/rolebindings/named-named?dryRun=All", {"subjects": []}),
    ("reader", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
     {"spec": {"resourceAttributes": _about("list", "pods")}}),
    ("reader", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
     {"spec": {"resourceAttributes": _about("get", "pods", part="log", name="x")}}),
    ("reader", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
     {"spec": {"resourceAttributes": _about("delete", "pods")}}),
    ("reader", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
     {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/api/v1"}}}),
    ("someone", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
     {"spec": {"resourceAttributes": _about("list", "pods")}}),
    ("apps", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
     {"spec": {"resourceAttributes": _about("list", "deployments", group="apps")}}),
    ("lost", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
     {"spec": {"resourceAttributes": _about("list", "pods")}}),
    ("reader", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {}}),
    ("reader", "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
     {"spec": {"namespace": "team"}}),
    ("urls", "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
     {"spec": {"namespace": "team"}}),
    ("reader", "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {}}),
    ("reader", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
     {"spec": {"user": "x", "resourceAttributes": _about("list", "pods")}}),
    ("reader", "POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x"}}),
    ("admin", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
     {"spec": {"user": "system:serviceaccount:team:reader",
               "resourceAttributes": _about("list", "pods")}}),
    ("admin", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
     {"spec": {"user": "me", "groups": ["system:serviceaccounts:team"],
               "resourceAttributes": {"verb": "list", "resource": "services",
                                      "namespace": "other"}}}),
    ("admin", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
     {"spec": {"resourceAttributes": _about("list", "pods")}}),
    ("admin", "POST", "/apis/authorization.k8s.io/v1/namespaces/team/localsubjectaccessreviews",
     {"spec": {"user": "system:serviceaccount:team:reader",
               "resourceAttributes": _about("list", "pods")}}),
    ("admin", "POST", "/apis/authorization.k8s.io/v1/namespaces/other/localsubjectaccessreviews",
     {"spec": {"user": "system:serviceaccount:team:reader",
               "resourceAttributes": _about("list", "pods")}}),
    ("admin", "POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x"}}),
    ("reader", "IMPERSONATE", f"{_TEAM}/pods", None),
]  # fmt: skip


def answer(code: int, reply: Any) -> dict[str, Any]:
    """What of a reply is compared: refusals to the letter, reviews by what they say."""
    found: dict[str, Any] = {"code": code}
    if not isinstance(reply, dict):
        return found
    if code == 403:
        found["message"] = reply["message"]
        found["details"] = reply.get("details")
    if reply.get("kind", "").endswith("Review"):
        found["status"] = reply.get("status")
    return found
