"""A kubeconfig becomes a small client of any Kubernetes API: one call, one answer, JSON both ways.

One connection per thread, kept open. Certificates by file or inline; tokens or client certificates.
"""

import base64
import http.client
import json
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

Object = dict[str, Any]

PATHS = {
    "Namespace": ("/api/v1", "namespaces"),
    "Node": ("/api/v1", "nodes"),
    "Service": ("/api/v1", "services"),
    "Endpoints": ("/api/v1", "endpoints"),
    "Pod": ("/api/v1", "pods"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Secret": ("/api/v1", "secrets"),
    "Ingress": ("/apis/networking.k8s.io/v1", "ingresses"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
}
"""Where each kind is kept."""
CLUSTER_WIDE = {"Namespace", "Node", "ClusterRole", "ClusterRoleBinding"}


class KubeError(Exception):
    """The API said no."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


class Kube:
    """A client of one API server."""

    def __init__(self, url: str, token: str = "", context: ssl.SSLContext | None = None) -> None:
        self.url = url
        self.token = token
        self.context = context
        self._local = threading.local()
        self._open: list[http.client.HTTPConnection] = []

    @classmethod
    def of(cls, kubeconfig: str | Path) -> "Kube":
        """The client of a kubeconfig's current context."""
        path = Path(kubeconfig)
        text = yaml.safe_load(path.read_text())
        chosen = _named(text["contexts"], text["current-context"])["context"]
        cluster = _named(text["clusters"], chosen["cluster"])["cluster"]
        user = _named(text.get("users") or [], chosen.get("user")).get("user") or {}
        context = None
        if cluster["server"].startswith("https"):
            context = ssl.create_default_context()
            if cluster.get("insecure-skip-tls-verify"):
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if (ca := _pem(path, cluster, "certificate-authority")) is not None:
                context.load_verify_locations(cadata=ca.decode())
            if (cert := _pem(path, user, "client-certificate")) is not None:
                with tempfile.NamedTemporaryFile() as both:
                    both.write(cert + b"\n" + (_pem(path, user, "client-key") or b""))
                    both.flush()
                    context.load_cert_chain(both.name)
        return cls(cluster["server"], user.get("token", ""), context)

    def call(self, method: str, path: str, body: Object | None = None, *, kind: str = "") -> Any:
        """One request; raises KubeError for an answer of 400 and more."""
        for attempt in (0, 1):
            connection = self._connection()
            try:
                connection.request(method, path, body and json.dumps(body), self._headers(kind))
                answer = connection.getresponse()
                data = answer.read()
                break
            except (OSError, http.client.HTTPException):
                connection.close()
                del self._local.connection
                if attempt:
                    raise
        if answer.status >= 400:
            raise KubeError(answer.status, data.decode(errors="replace")[:500])
        return json.loads(data) if data[:1] in (b"{", b"[") else data.decode()

    def _headers(self, kind: str) -> dict[str, str]:
        headers = {"Content-Type": kind or "application/json", "Accept": "application/json"}
        return headers | ({"Authorization": f"Bearer {self.token}"} if self.token else {})

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._local, "connection"):
            at = urlsplit(self.url)
            host, port = at.hostname or "", at.port or (443 if self.context else 80)
            self._local.connection = (
                http.client.HTTPSConnection(host, port, timeout=30, context=self.context)
                if self.context
                else http.client.HTTPConnection(host, port, timeout=30)
            )
            self._open.append(self._local.connection)
        found: http.client.HTTPConnection = self._local.connection
        return found

    def close(self) -> None:
        """Closes the connections of all threads."""
        while self._open:
            self._open.pop().close()

    def __enter__(self) -> "Kube":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(self, *objects: Object) -> Object:
        """Creates objects in turn; returns the last as the server has it."""
        made: Object = {}
        for each in objects:
            made = self.call("POST", path_of(each["kind"], each["metadata"].get("namespace")), each)
        return made

    def fill(self, objects: Iterable[Object], threads: int = 8) -> None:
        """Creates many objects, several at a time."""
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(self.create, objects, chunksize=16):
                pass

    def get(self, kind: str, namespace: str, name: str) -> Object:
        """One object."""
        return dict(self.call("GET", path_of(kind, namespace, name)))

    def list(self, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """The objects of a kind, in one namespace or all."""
        query = f"?labelSelector={selector}" if selector else ""
        return list(self.call("GET", path_of(kind, namespace) + query)["items"])

    def patch(self, kind: str, namespace: str, name: str, body: Object) -> Object:
        """A merge patch."""
        path = path_of(kind, namespace, name)
        return dict(self.call("PATCH", path, body, kind="application/merge-patch+json"))

    def edit(self, kind: str, namespace: str, name: str, change: Callable[[Object], None]) -> None:
        """Reads, changes in place and writes back, again when somebody else was quicker."""
        while True:
            thing = self.get(kind, namespace, name)
            change(thing)
            try:
                self.call("PUT", path_of(kind, namespace, name), thing)
            except KubeError as error:
                if error.code != 409:
                    raise
            else:
                return

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Deletes an object; that it is gone already is fine."""
        try:
            self.call("DELETE", path_of(kind, namespace, name))
        except KubeError as error:
            if error.code != 404:
                raise

    def token_of(self, namespace: str, account: str) -> str:
        """A token of a service account."""
        path = path_of("ServiceAccount", namespace, account) + "/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return str(self.call("POST", path, asked)["status"]["token"])


def path_of(kind: str, namespace: str | None = None, name: str | None = None) -> str:
    """The path of a collection, or of one object in it."""
    root, plural = PATHS[kind]
    if namespace and kind not in CLUSTER_WIDE:
        root += f"/namespaces/{namespace}"
    return f"{root}/{plural}" + (f"/{name}" if name else "")


def kubeconfig(path: Path, url: str, *, token: str = "", ca: str = "") -> Path:
    """Writes a kubeconfig for a server, a token and a CA file."""
    cluster = {"server": url} | ({"certificate-authority": ca} if ca else {})
    user = {"token": token} if token else {}
    text = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }  # fmt: skip
    path.write_text(yaml.safe_dump(text))
    return path


def ca_of(path: str | Path) -> str:
    """The CA file that a kubeconfig names; empty where it names none."""
    text = yaml.safe_load(Path(path).read_text())
    for each in text["clusters"]:
        return str(each["cluster"].get("certificate-authority", ""))
    return ""


def _named(things: list[Object], name: str | None) -> Object:
    return next((each for each in things if each["name"] == name), {})


def _pem(config: Path, where: Object, key: str) -> bytes | None:
    if key + "-data" in where:
        return base64.b64decode(where[key + "-data"])
    return (config.parent / where[key]).read_bytes() if key in where else None


def items(text: str) -> Iterator[Object]:
    """The objects of a YAML text of several documents."""
    yield from (each for each in yaml.safe_load_all(text) if each)
