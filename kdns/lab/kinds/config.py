"""ConfigMaps, Secrets and ServiceAccounts: keys, types, and what `immutable` forbids."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from kdns.lab import checks, tables
from kdns.lab.errors import Cause, Obj
from kdns.lab.kinds.kind import Kind
from kdns.lab.rules import Column

_FIXED = "field is immutable when `immutable` is set"
_ACCOUNT = "kubernetes.io/service-account.name"
_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
"""What data a type of Secret cannot be without."""


class ConfigMaps(Kind):
    """The rules of ConfigMaps."""

    columns = (tables.NAME, Column("Data"), tables.AGE)

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, DATA, AGE."""
        count = len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
        return [obj["metadata"]["name"], count, tables.age(obj, now)]

    def check(self, obj: Obj) -> Iterable[Cause]:
        """Keys, once each."""
        binary = obj.get("binaryData") or {}
        for key in sorted(obj.get("data") or {}):
            yield from checks.text_of(f"data[{key}]", key, checks.config_key)
            if key in binary:
                yield checks.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        for key in sorted(binary):
            yield from checks.text_of(f"binaryData[{key}]", key, checks.config_key)

    def changed(self, obj: Obj, old: Obj) -> Iterable[Cause]:
        """Nothing, once it is immutable."""
        return _unchanged(obj, old, ("data", "binaryData"))


class Secrets(Kind):
    """The rules of Secrets."""

    columns = (tables.NAME, Column("Type"), Column("Data"), tables.AGE)

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, TYPE, DATA, AGE."""
        count = len(obj.get("data") or {})
        return [obj["metadata"]["name"], obj.get("type", ""), count, tables.age(obj, now)]

    def default(self, obj: Obj) -> None:
        """The type; and stringData becomes data."""
        obj.setdefault("type", "Opaque")
        texts = obj.pop("stringData", None) or {}
        if texts:
            given = {key: b64encode(text.encode()).decode() for key, text in texts.items()}
            obj["data"] = (obj.get("data") or {}) | given

    def check(self, obj: Obj) -> Iterable[Cause]:
        """Keys, and those that a type cannot be without."""
        found = obj.get("data") or {}
        for key in sorted(found):
            yield from checks.text_of(f"data[{key}]", key, checks.config_key)
        for key in _NEEDED.get(obj["type"], ()):
            if key not in found:
                yield checks.required(f"data[{key}]")
        if obj["type"] == "kubernetes.io/basic-auth" and not {"username", "password"} & set(found):
            yield checks.required("data[username]")
            yield checks.required("data[password]")
        if obj["type"] == "kubernetes.io/service-account-token":
            annotations = obj["metadata"].get("annotations") or {}
            if not annotations.get(_ACCOUNT):
                yield checks.required(f"metadata.annotations[{_ACCOUNT}]")

    def changed(self, obj: Obj, old: Obj) -> Iterable[Cause]:
        """The type stays, and all of it once it is immutable."""
        yield from checks.kept("type", obj["type"], old["type"])
        yield from _unchanged(obj, old, ("data",))

    def fields(self, obj: Obj) -> dict[str, str]:
        """By type."""
        return {"type": obj.get("type", "")}


class ServiceAccounts(Kind):
    """The rules of ServiceAccounts."""

    columns = (tables.NAME, Column("Secrets"), tables.AGE)

    def cells(self, obj: Obj, now: float) -> list[Any]:
        """NAME, SECRETS, AGE."""
        count = len(obj.get("secrets") or [])
        return [obj["metadata"]["name"], count, tables.age(obj, now)]


def _unchanged(obj: Obj, old: Obj, names: Iterable[str]) -> Iterable[Cause]:
    if not old.get("immutable"):
        return
    if not obj.get("immutable"):
        yield checks.forbidden("immutable", _FIXED)
    for name in names:
        if (obj.get(name) or {}) != (old.get(name) or {}):
            yield checks.forbidden(name, _FIXED)
