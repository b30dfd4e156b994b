"""Who a bearer token is: the lab's admin, or a ServiceAccount by a token signed with the lab's key.

Tokens of ServiceAccounts are JSON Web Tokens (RFC 7519, HS256), because clients look into them for
the time they end; they are good for as long as their account exists with the same uid, and the pod
that they are bound to, for those whom they name as their audience.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from kdns.lab.errors import ApiError, Obj
from kdns.lab.resources import PODS, SECRETS, SERVICEACCOUNTS, Resource
from kdns.lab.storage import Storage

ADMIN = "kubernetes-admin"
_HOLDER = "kubernetes.io/service-account-token"
_ACCOUNT = "kubernetes.io/service-account.name"
ISSUER = "https://kubernetes.default.svc"
_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    is_admin: bool = False
    """True for whoever holds the admin's token and speaks in his own name: commands that others
    write never run (rights/trust.py)."""


ANYBODY = User("system:anonymous", ("system:unauthenticated",))
"""Of a lab that is open to readers."""
STRANGER = User("system:anonymous", ("system:unauthenticated",))
"""Of any other: RBAC says what he may."""


class Tokens:
    """The tokens of one lab; `secret` is what they are made from."""

    def __init__(self, secret: bytes, storage: Storage) -> None:
        self._key = hashlib.sha256(b"tokens" + secret).digest()
        self._storage = storage
        self.admin = hashlib.sha256(b"admin" + secret).hexdigest()[:40]

    def issue(
        self,
        namespace: str,
        name: str,
        *,
        seconds: int | None,
        pod: Obj | None = None,
        audiences: Sequence[str] = (),
    ) -> str:
        """A token of an existing ServiceAccount; None: one without an end. With a pod, it is good
        for as long as that pod is there; without audiences, it is for the API."""
        account = self._storage.get(SERVICEACCOUNTS, namespace, name)
        bound = {"pod": _named(pod)} if pod else {}
        now = int(self._storage.now())
        claims = {
            "aud": list(audiences) or [ISSUER],
            "iat": now,
            "iss": ISSUER,
            "kubernetes.io": {
                "namespace": namespace,
                **bound,
                "serviceaccount": _named(account),
            },
            "nbf": now,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        if seconds is not None:
            claims["exp"] = now + seconds
        head = _armour(_ENCODE({"alg": "HS256", "typ": "JWT"}))
        body = f"{head}.{_armour(_ENCODE(claims))}"
        return f"{body}.{_armour(self._signature(body))}"

    async def fill(self) -> None:
        """Gives a token to every Secret that is made to hold one, without an end."""
        while True:
            with suppress(ApiError):  # a watch that fell behind begins again
                async for event in self._storage.watch(SECRETS):
                    if event.type != "DELETED" and event.object.get("type") == _HOLDER:
                        self._give(event.object)

    def _give(self, seen: Obj) -> None:
        namespace, name = seen["metadata"]["namespace"], seen["metadata"]["name"]
        account = seen["metadata"].get("annotations", {}).get(_ACCOUNT, "")
        secret = self._storage.find(SECRETS, namespace, name)
        if secret is None or "token" in secret.get("data", {}):
            return
        if self._storage.find(SERVICEACCOUNTS, namespace, account) is None:
            return
        token = self.issue(namespace, account, seconds=None)
        added = {"namespace": namespace, "token": token}
        data = {key: base64.b64encode(text.encode()).decode() for key, text in added.items()}
        new = secret | {"data": secret.get("data", {}) | data}
        self._storage.update(SECRETS, namespace, name, new)

    def user(self, token: str, audiences: Sequence[str] = (ISSUER,)) -> User | None:
        """Who has this token; None when it is not ours, for somebody else, has ended, or its
        account or pod is gone."""
        if not token.isascii():
            return None
        if hmac.compare_digest(token.encode(), self.admin.encode()):
            return User(ADMIN, ("system:masters", "system:authenticated"), is_admin=True)
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), _armour(self._signature(body)).encode()):
            return None
        try:
            claims = msgspec.json.decode(_bare(body.partition(".")[2]))
        except (ValueError, binascii.Error):
            return None
        is_over = claims.get("exp", float("inf")) < self._storage.now()
        if is_over or not set(claims["aud"]) & set(audiences):
            return None
        inside = claims["kubernetes.io"]
        namespace = inside["namespace"]
        if not self._is_there(SERVICEACCOUNTS, namespace, inside["serviceaccount"]):
            return None
        if "pod" in inside and not self._is_there(PODS, namespace, inside["pod"]):
            return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return User(claims["sub"], (*groups, "system:authenticated"))

    def _is_there(self, resource: Resource, namespace: str, named: Obj) -> bool:
        """True while that very object is."""
        found = self._storage.find(resource, namespace, named["name"])
        return found is not None and found["metadata"]["uid"] == named["uid"]

    def _signature(self, body: str) -> bytes:
        return hmac.digest(self._key, body.encode(), "sha256")


def _named(obj: Obj) -> Obj:
    return {key: obj["metadata"][key] for key in ("name", "uid")}


def _armour(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bare(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
