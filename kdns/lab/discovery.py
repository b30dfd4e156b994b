"""What the lab serves, as kubectl and client-go find out: groups, versions, resources and verbs.

Both ways are here: the plain documents one by one, and the aggregated ones (apidiscovery.k8s.io/v2)
that say everything in two.
"""

from collections.abc import Iterator
from itertools import groupby

from kdns.lab.errors import Obj
from kdns.lab.resources import RESOURCES, Resource

VERSION = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.1+kdns-lab",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_CHANGE = ["get", "patch", "update"]
_SCALE = ("autoscaling", "v1", "Scale")
_EXTRA: dict[str, tuple[tuple[str, tuple[str, str, str], list[str]], ...]] = {
    "pods": (
        ("eviction", ("policy", "v1", "Eviction"), ["create"]),
        ("log", ("", "v1", "Pod"), ["get"]),
    ),
    "serviceaccounts": (("token", ("authentication.k8s.io", "v1", "TokenRequest"), ["create"]),),
    "namespaces": (("finalize", ("", "v1", "Namespace"), ["update"]),),
}


def document(path: str, *, is_aggregated: bool) -> Obj | None:
    """The document under a path of discovery; None when there is none."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["version"]:
            return dict(VERSION)
        case ["api"]:
            return _aggregated([""]) if is_aggregated else _core_versions()
        case ["apis"]:
            named = [group for group in _groups() if group]
            return _aggregated(named) if is_aggregated else _group_list(named)
        case ["api", version]:
            return _resource_list("", version)
        case ["apis", group] if group in _groups():
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group)
        case ["apis", group, version]:
            return _resource_list(group, version)
    return None


def subresources(resource: Resource) -> Iterator[tuple[str, tuple[str, str, str], list[str]]]:
    """Name, kind and verbs of what is below an object."""
    if resource.has_status:
        yield "status", (resource.group, resource.version, resource.kind), _CHANGE
    if resource.has_scale:
        yield "scale", _SCALE, _CHANGE
    yield from _EXTRA.get(resource.plural, ())


def _groups() -> list[str]:
    return list(dict.fromkeys(one.group for one in RESOURCES))


def _core_versions() -> Obj:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _group_list(groups: list[str]) -> Obj:
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(group) for group in groups],
    }


def _group(group: str) -> Obj:
    versions = [{"groupVersion": f"{group}/{one}", "version": one} for one in _versions(group)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _versions(group: str) -> list[str]:
    return list(dict.fromkeys(one.version for one in RESOURCES if one.group == group))


def _resource_list(group: str, version: str) -> Obj | None:
    found = [one for one in RESOURCES if (one.group, one.version) == (group, version)]
    if not found:
        return None
    entries = [entry for resource in found for entry in _entries(resource)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": entries,
    }


def _entries(resource: Resource) -> Iterator[Obj]:
    entry: Obj = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.is_namespaced,
        "kind": resource.kind,
        "verbs": _VERBS,
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    yield entry
    for name, (group, version, kind), verbs in subresources(resource):
        below = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.is_namespaced,
            "kind": kind,
            "verbs": verbs,
        }
        if group != resource.group:
            below |= {"group": group, "version": version}
        yield below


def _aggregated(groups: list[str]) -> Obj:
    items = []
    for group in groups:
        of_group = [one for one in RESOURCES if one.group == group]
        versions = [
            {
                "version": version,
                "resources": [_aggregated_entry(one) for one in found],
                "freshness": "Current",
            }
            for version, found in groupby(of_group, key=lambda one: one.version)
        ]
        metadata = {"name": group} if group else {}
        items.append({"metadata": metadata, "versions": versions})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_entry(resource: Resource) -> Obj:
    entry: Obj = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.is_namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": _VERBS,
        "subresources": [
            {"subresource": name, "responseKind": _kind(*kind), "verbs": verbs}
            for name, kind, verbs in subresources(resource)
        ],
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _kind(group: str, version: str, kind: str) -> Obj:
    return {"group": group, "version": version, "kind": kind}
