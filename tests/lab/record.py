"""Asks a real Kubernetes API server what our lab is compared with, and writes it down.

    python -m tests.lab.record KUBECONFIG schema GO  kdns/lab/schema.txt, the fields of every kind;
                                                     GO: a folder with a go.mod that has k8s.io/api
    python -m tests.lab.record KUBECONFIG patches    tests/lab/recorded/patches.json, what it answers to cases.PATCHES
    … creates, updates, tables                      the same for creates.yaml, updates.yaml …

The kubeconfig is that of an administrator, with a token. Objects are made in namespaces of their
own and deleted again.
"""

import base64
import json
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kdns.lab import resources
from tests.lab import cases

TOP = Path(__file__).parents[2]
RECORDED = Path(__file__).parent / "recorded"

GROUPS = """
api/v1 apis/apps/v1 apis/discovery.k8s.io/v1 apis/networking.k8s.io/v1 apis/policy/v1
apis/autoscaling/v1 apis/autoscaling/v2 apis/rbac.authorization.k8s.io/v1 apis/events.k8s.io/v1
apis/authorization.k8s.io/v1 apis/authentication.k8s.io/v1 apis/coordination.k8s.io/v1
apis/batch/v1 apis/storage.k8s.io/v1 apis/scheduling.k8s.io/v1
"""

KINDS = """
core.v1.Namespace core.v1.Service core.v1.Endpoints core.v1.Pod core.v1.Node core.v1.ConfigMap
core.v1.Secret core.v1.ServiceAccount core.v1.Event core.v1.PersistentVolumeClaim
core.v1.PersistentVolume core.v1.LimitRange core.v1.ResourceQuota core.v1.Binding
apps.v1.Deployment apps.v1.ReplicaSet apps.v1.StatefulSet apps.v1.DaemonSet
apps.v1.ControllerRevision discovery.v1.EndpointSlice networking.v1.Ingress
networking.v1.IngressClass networking.v1.NetworkPolicy policy.v1.PodDisruptionBudget
policy.v1.Eviction autoscaling.v1.Scale autoscaling.v1.HorizontalPodAutoscaler
autoscaling.v2.HorizontalPodAutoscaler rbac.v1.Role rbac.v1.RoleBinding rbac.v1.ClusterRole
rbac.v1.ClusterRoleBinding events.v1.Event authorization.v1.SelfSubjectAccessReview
authorization.v1.SubjectAccessReview authorization.v1.SelfSubjectRulesReview
authorization.v1.LocalSubjectAccessReview authentication.v1.TokenRequest
authentication.v1.TokenReview authentication.v1.SelfSubjectReview coordination.v1.Lease
batch.v1.Job batch.v1.CronJob storage.v1.StorageClass scheduling.v1.PriorityClass
meta.v1.DeleteOptions
"""


@dataclass
class Server:
    """A real API server, asked as its administrator."""

    url: str
    token: str
    trust: ssl.SSLContext

    @classmethod
    def of(cls, path: str) -> "Server":
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        trust = ssl.create_default_context()
        if "certificate-authority-data" in cluster:
            trust.load_verify_locations(
                cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
            )
        else:
            trust.load_verify_locations(cluster["certificate-authority"])
        return cls(cluster["server"], user["token"], trust)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        kind: str = "application/json",
        accept: str = "application/json",
    ) -> tuple[int, Any]:
        """The status and the decoded body of one request."""
        data = None if body is None else json.dumps(body).encode()
        headers = {
            "Authorization": f"Bearer {self.token}", "Content-Type": kind, "Accept": accept,
        }  # fmt: skip
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self.trust, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


# The fields of every kind, as compact as can be


PLAIN = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intstr",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
}
SCALARS = {"string": "string", "boolean": "bool", "number": "float", "object": "any"}


def short(name: str) -> str:
    """`core.v1.ServiceSpec` for the long name of a definition."""
    return ".".join(name.split(".")[-3:])


def type_of(schema: dict[str, Any]) -> str:
    """`string`, `[]core.v1.ServicePort`, `{}string` and so on."""
    if "allOf" in schema:
        schema = schema["allOf"][0]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return PLAIN.get(name) or short(name)
    if schema.get("type") == "array":
        return "[]" + type_of(schema["items"])
    if schema.get("type") == "object" and "additionalProperties" in schema:
        return "{}" + type_of(schema["additionalProperties"])
    if schema.get("type") == "integer":
        return {"int64": "int64"}.get(schema.get("format", ""), "int32")
    if schema.get("format") in {"byte", "int-or-string"}:
        return {"byte": "bytes", "int-or-string": "intstr"}[schema["format"]]
    return SCALARS[schema.get("type", "object")]


def notes_of(schema: dict[str, Any]) -> list[str]:
    """How lists and maps are merged, and which values there are."""
    inner = schema["allOf"][0] if "allOf" in schema else schema
    notes = []
    if "x-kubernetes-patch-strategy" in schema:
        strategies = schema["x-kubernetes-patch-strategy"].split(",")
        if "merge" in strategies and schema.get("type") == "array":
            notes.append("merge=" + schema.get("x-kubernetes-patch-merge-key", ""))
        if "retainKeys" in strategies:
            notes.append("retain")
    if "x-kubernetes-list-map-keys" in schema:
        notes.append("keys=" + ",".join(schema["x-kubernetes-list-map-keys"]))
    elif schema.get("x-kubernetes-list-type") == "set":
        notes.append("set")
    if schema.get("x-kubernetes-map-type") == "atomic":
        notes.append("atomic")
    if "enum" in inner:
        notes.append("enum=" + ",".join(inner["enum"]))
    return notes


def part_of(schema: dict[str, Any], layout: dict[str, list[str]]) -> list[str]:
    """The fields of a type whose members stand in the JSON of another."""
    known = {name: one for name, one in schema["properties"].items() if name in layout}
    return [
        "  " + " ".join([name, type_of(one), *layout[name], *notes_of(one)])
        for name, one in sorted(known.items())
    ]


def layouts(module: str) -> dict[str, dict[str, list[str]]]:
    """By type and field: `#7` for its number in protobuf, `?` for one told apart from zero."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("go.mod", "go.sum"):
            shutil.copy(Path(module) / name, folder)
        shutil.copy(Path(__file__).with_name("fields.go"), Path(folder) / "main.go")
        Path(folder, "go.mod").chmod(0o644)
        Path(folder, "go.sum").chmod(0o644)
        said = subprocess.run(
            ["go", "run", "-mod=mod", "."], cwd=folder, capture_output=True, text=True, check=True
        )
    found: dict[str, dict[str, list[str]]] = {}
    for line in said.stdout.splitlines():
        if not line.startswith(" "):
            fields = found[line] = {}
            continue
        field, number, *rest = line.split()
        if field == "+" and rest[-1].startswith((".", "util.")):
            continue
        if field == "+":
            fields.setdefault("+", []).append(f"#{number} {rest[-1]}")
        else:
            fields[field] = [f"#{number}", *(["?"] if "optional" in rest else [])]
    return found


def record_schema(server: Server, module: str) -> None:
    """Writes the fields of the kinds and of all that they are made of."""
    found: dict[str, Any] = {}
    for group in GROUPS.split():
        _, answer = server.ask("GET", f"/openapi/v3/{group}")
        for name, schema in answer["components"]["schemas"].items():
            found[short(name)] = schema
    layout = layouts(module)
    types: dict[str, list[str]] = {}
    wanted = KINDS.split()
    while wanted:
        name = wanted.pop()
        if name in types:
            continue
        lines = types[name] = []
        schema = found[name]
        if schema.get("x-kubernetes-map-type") == "atomic":
            lines.append("  atomic")
        for field, inner in sorted(schema.get("properties", {}).items()):
            kind = type_of(inner)
            number = layout.get(name, {}).get(field, [])
            lines.append("  " + " ".join([field, kind, *number, *notes_of(inner)]))
            wanted += [part for part in [kind.replace("[]", "").replace("{}", "")] if "." in part]
        for one in layout.get(name, {}).get("+", []):  # its members stand in the holder's JSON
            lines.append(f"  + {one}")
            within = one.split(" ")[1]
            types.setdefault(within, part_of(schema, layout[within]))
    path = TOP / "kdns" / "lab" / "schema.txt"
    text = "".join("\n".join([name, *lines, ""]) for name, lines in sorted(types.items()))
    path.write_text(text, encoding="utf-8")
    print(f"{path}: {len(types)} types, {len(text)} bytes")


# What a server answers to the cases


def record_patches(server: Server) -> None:
    """Asks for each patch of cases.PATCHES without doing it (dryRun), and writes down the answers."""
    server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "lab-record"}})
    places: dict[str, str] = {}
    for name, base in cases.BASES.items():
        group = base["apiVersion"]
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        places[name] = f"{root}/namespaces/lab-record/{cases.PATHS[name]}"
        code, said = server.ask("POST", places[name], base)
        assert code in {201, 409}, said
        places[name] += "/" + base["metadata"]["name"]
    time.sleep(1)  # controllers have their say first
    bases = {name: plain(server.ask("GET", place)[1]) for name, place in places.items()}
    answers = {}
    for title, (base, media, patch) in cases.PATCHES.items():
        code, body = server.ask("PATCH", places[base] + "?dryRun=All", patch, media)
        answers[title] = {"code": code, "body": plain(body)}
    for place in places.values():
        server.ask("PATCH", place, {"metadata": {"finalizers": None}}, cases.MERGE)
        server.ask("DELETE", place)
    write("patches", {"bases": bases, "answers": answers})


def place_of(obj: Any) -> str:
    """Where objects of this kind are made."""
    group, resource = obj["apiVersion"], resources.by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    inside = "/namespaces/lab-record" if resource.is_namespaced else ""
    return f"{root}{inside}/{resource.plural}"


def record_creates(server: Server) -> None:
    """Asks to make every object of creates.yaml."""
    server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "lab-record"}})
    answers = {}
    for title, obj in loaded("creates").items():
        code, body = server.ask("POST", place_of(obj) + "?dryRun=All", obj)
        answers[title] = {"code": code, "body": plain(body)}
    write("creates", answers)


def record_updates(server: Server) -> None:
    """Makes every object of updates.yaml and asks for each of its patches."""
    server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "lab-record"}})
    answers = {}
    for title, case in loaded("updates").items():
        place = place_of(case["object"])
        code, before = server.ask("POST", place, case["object"])
        assert code == 201, before
        place += "/" + case["object"]["metadata"]["name"]
        time.sleep(0.5)  # controllers have their say first
        _, before = server.ask("GET", place)
        for name, patch in case["patches"].items():
            code, body = server.ask("PATCH", place + "?dryRun=All", patch, cases.MERGE)
            answers[f"{title}: {name}"] = {"code": code, "body": plain(body)}
        server.ask("DELETE", place + "?gracePeriodSeconds=0&propagationPolicy=Background")
    write("updates", answers)


def record_tables(server: Server) -> None:
    """Makes every object of tables.yaml, gives it its status, and asks for its row."""
    server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "lab-record"}})
    answers = {}
    form = "application/json;as=Table;v=v1;g=meta.k8s.io"
    for title, obj in loaded("tables").items():
        place = place_of(obj)
        code, body = server.ask("POST", place, obj)
        assert code == 201, body
        place += "/" + obj["metadata"]["name"]
        time.sleep(0.3)  # controllers have their say first
        if "status" in obj:
            part = {"status": obj["status"]}
            code, body = server.ask("PATCH", place + "/status", part, cases.MERGE)
            assert code == 200, body
        _, table = server.ask("GET", place + "?includeObject=Object", accept=form)
        told = ("name", "type", "format", "priority")
        (row,) = table["rows"]
        row["object"]["metadata"].pop("managedFields", None)
        answers[title] = {
            "columns": [[one[name] for name in told] for one in table["columnDefinitions"]],
            "cells": row["cells"],
            "object": row["object"],
        }
        server.ask("PATCH", place, {"metadata": {"finalizers": None}}, cases.MERGE)
        server.ask("DELETE", place + "?gracePeriodSeconds=0&propagationPolicy=Background")
        time.sleep(0.2)
    write("tables", answers)


def loaded(name: str) -> Any:
    """The cases of a file."""
    return yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text(encoding="utf-8"))


def plain(body: Any) -> Any:
    """An answer without what differs from one run to the next."""
    for field in ("managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"):
        body.get("metadata", {}).pop(field, None)
    if body.get("kind") == "Status":
        causes = body.get("details", {}).get("causes", [])
        return {
            "message": body.get("message"),
            "reason": body.get("reason", ""),
            "causes": [cause.get("reason", "") for cause in causes],
        }
    return {key: value for key, value in body.items() if key != "status"}


def write(name: str, found: Any) -> None:
    """Keeps answers for the tests."""
    path = RECORDED / f"{name}.json"
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(path)


def main() -> None:
    _, kubeconfig, what, *rest = sys.argv
    server = Server.of(kubeconfig)
    tasks = {
        "schema": record_schema,
        "patches": record_patches,
        "creates": record_creates,
        "updates": record_updates,
        "tables": record_tables,
    }
    tasks[what](server, *rest)


if __name__ == "__main__":
    main()
