"""A small client of the Kubernetes API: who we are from a kubeconfig or a pod's service account.

It makes, changes, lists and deletes objects; each call is one request, and a refusal says which.
"""

import ssl
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
import yaml

from kdns.conformance.objects import Body

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Service": "/api/v1/{}/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/{}/endpointslices",
}
MOST = 64 << 20
"""Octets of a reply."""
_LIMIT_S = 20.0


class ApiError(Exception):
    """A request that was refused, or not answered; `code` is its HTTP status, 0 without one."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class KubeconfigError(Exception):
    """A kubeconfig that names no server we can use, and why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Where the API server is, and who we are to it."""

    url: str
    authorization: str = ""
    context: ssl.SSLContext | None = None


class Api:
    """An open client; use it in `async with`."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        authorization = self._identity.authorization
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._identity.context or True),
            headers={"Authorization": authorization} if authorization else {},
            timeout=aiohttp.ClientTimeout(total=_LIMIT_S),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._session
        await self._session.close()

    async def create(self, body: Body) -> Body:
        """Makes an object; gives it as the server keeps it."""
        kind, namespace, _ = _place(body)
        return await self._send("POST", path(kind, namespace), body)

    async def change(self, kind: str, namespace: str, name: str, part: Body) -> Body:
        """Merges a part into an object."""
        return await self._send("PATCH", f"{path(kind, namespace)}/{name}", part)

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """Deletes an object; one that is gone already is no error."""
        with suppress(GoneError):
            await self._send("DELETE", f"{path(kind, namespace)}/{name}")

    async def list(self, kind: str, namespace: str = "", **query: str) -> tuple[list[Body], bool]:
        """The objects of a kind, and whether there are more than were asked for."""
        found = await self._send("GET", path(kind, namespace), query=query)
        items, metadata = found.get("items"), found.get("metadata")
        more = isinstance(metadata, dict) and bool(metadata.get("continue"))
        # A list's items do not name their kind.
        known = items if isinstance(items, list) else []
        return [{"kind": kind, **one} for one in known if isinstance(one, dict)], more

    async def _send(
        self,
        method: str,
        where: str,
        body: Body | None = None,
        *,
        query: dict[str, str] | None = None,
    ) -> Body:
        assert self._session
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        sent = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(
                method,
                self._identity.url + where,
                data=sent,
                params=query,
                headers={"Content-Type": kind, "Accept": "application/json"},
                allow_redirects=False,  # no API server does, and who else should hear of objects?
            ) as reply:
                text = await reply.content.read(MOST + 1)
                while len(text) <= MOST and (more := await reply.content.read(MOST)):
                    text += more
                if len(text) > MOST:
                    raise ApiError(0, f"{method} {where}: a reply of more than {MOST >> 20} MB")
                return _object(method, where, reply.status, text)
        except (aiohttp.ClientError, TimeoutError) as error:
            why = str(error) or f"no answer within {_LIMIT_S:g} s"
            raise ApiError(0, f"{method} {where}: {why}") from None


class GoneError(ApiError):
    """There is no such object."""


def _object(method: str, where: str, code: int, text: bytes) -> Body:
    try:
        found = msgspec.json.decode(text, type=dict[str, object])
    except msgspec.MsgspecError:
        found = {"message": text[:200].decode(errors="replace")}
    if code < 300:
        return found
    kind = GoneError if code == 404 else ApiError
    raise kind(code, f"{method} {where}: {code} {found.get('message', '')}")


def path(kind: str, namespace: str = "") -> str:
    """Where objects of a kind are listed and made; without a namespace, those of all."""
    inside = f"namespaces/{namespace}" if namespace else ""
    return PATHS[kind].format(inside).replace("//", "/")


def _place(body: Body) -> tuple[str, str, str]:
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    return str(body["kind"]), metadata.get("namespace", ""), metadata["name"]


# Who we are


def in_cluster(environment: dict[str, str]) -> Identity | None:
    """The identity of the pod that we run in; None outside of one."""
    host, port = (
        environment.get("KUBERNETES_SERVICE_HOST"),
        environment.get("KUBERNETES_SERVICE_PORT", "443"),
    )
    token = ACCOUNT / "token"
    if not host or not token.exists():
        return None
    where = f"[{host}]" if ":" in host else host
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    return Identity(f"https://{where}:{port}", f"Bearer {token.read_text().strip()}", context)


class _Cluster(msgspec.Struct, rename="kebab"):
    server: str
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False


class _User(msgspec.Struct, rename="camel"):
    token: str = ""
    token_file: str = ""
    client_certificate: str = msgspec.field(default="", name="client-certificate")
    client_certificate_data: str = msgspec.field(default="", name="client-certificate-data")
    client_key: str = msgspec.field(default="", name="client-key")
    client_key_data: str = msgspec.field(default="", name="client-key-data")
    exec: object = None
    auth_provider: object = msgspec.field(default=None, name="auth-provider")


class _Context(msgspec.Struct):
    cluster: str
    user: str = ""


class _NamedCluster(msgspec.Struct):
    name: str
    cluster: _Cluster


class _NamedUser(msgspec.Struct):
    name: str
    user: _User | None = None


class _NamedContext(msgspec.Struct):
    name: str
    context: _Context


class _Kubeconfig(msgspec.Struct):
    clusters: list[_NamedCluster]
    contexts: list[_NamedContext]
    users: list[_NamedUser] = []
    current_context: str = msgspec.field(default="", name="current-context")


def kubeconfig(file: Path, context: str = "") -> Identity:
    """The identity that a kubeconfig gives in one of its contexts; raises KubeconfigError."""
    try:
        found = msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), _Kubeconfig)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise KubeconfigError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    name = context or found.current_context
    chosen = next((one.context for one in found.contexts if one.name == name), None)
    if chosen is None:
        known = ", ".join(one.name for one in found.contexts) or "none"
        raise KubeconfigError(f"{file}: there is no context {name!r} (there are: {known})")
    cluster = next((one.cluster for one in found.clusters if one.name == chosen.cluster), None)
    if cluster is None:
        raise KubeconfigError(f"{file}: context {name!r} names a cluster that is not there")
    user = next((one.user for one in found.users if one.name == chosen.user), None) or _User()
    if (user.exec or user.auth_provider) and not (user.token or user.token_file):
        raise KubeconfigError(
            f"{file}: the user of context {name!r} is known to a plugin only; "
            "write a kubeconfig with a token (kubectl create token)"
        )
    try:
        return _identity(cluster, user, file.parent)
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"{file}: {error}") from None


def _identity(cluster: _Cluster, user: _User, folder: Path) -> Identity:
    token = user.token
    if not token and user.token_file:
        token = (folder / user.token_file).read_text().strip()
    context = None
    if cluster.server.startswith("https:"):
        context = ssl.create_default_context(
            cafile=str(folder / cluster.certificate_authority)
            if cluster.certificate_authority
            else None,
            cadata=b64decode(cluster.certificate_authority_data).decode() or None,
        )
        if cluster.insecure_skip_tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        _present(context, user, folder)
    return Identity(cluster.server.rstrip("/"), f"Bearer {token}" if token else "", context)


def _present(context: ssl.SSLContext, user: _User, folder: Path) -> None:
    """Loads the client certificate; OpenSSL reads it from a file only."""
    if user.client_certificate_data:
        pair = user.client_certificate_data, user.client_key_data
        with NamedTemporaryFile(suffix=".pem") as both:  # mode 0600, gone at once
            both.write(b"\n".join(map(b64decode, pair)))
            both.flush()
            context.load_cert_chain(both.name)
    elif user.client_certificate:
        key = folder / user.client_key if user.client_key else None
        context.load_cert_chain(folder / user.client_certificate, key)
