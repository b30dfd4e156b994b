"""The fields that objects share, checked: names, labels, addresses, hosts, ports.

Every function takes the field's JSON path and raises ValueError that ends in it, in the words
msgspec uses for a wrong type.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from sys import intern

from kdns.cluster import raw
from kdns.cluster.columns import OCTETS
from kdns.cluster.objects import Port
from kdns.wire import names

_LABEL = re.compile(r"[a-z0-9_](?:[-a-z0-9_]{0,61}[a-z0-9_])?")
_NAME = re.compile(r"[a-z0-9_](?:[-a-z0-9_.:]{0,251}[a-z0-9_])?")


def wrong(expected: str, found: object, path: str) -> str:
    """The message for a value that is not what a field takes."""
    return f"Expected {expected}, got {str(found)[:80]!r} - at `{path}`"


@lru_cache(maxsize=1024)
def _known(text: str) -> str | None:
    """What many objects have alike, folded; None where a closer look is needed."""
    folded = text.lower()
    return intern(folded) if _LABEL.fullmatch(folded) else None


def _matching(text: str | None, path: str, pattern: re.Pattern[str], what: str) -> str:
    folded = (text or "").lower()
    if not pattern.fullmatch(folded):
        raise ValueError(wrong(what, text, path))
    return intern(folded)


def label(text: str | None, path: str) -> str:
    """A name that is one DNS label, folded."""
    return _matching(text, path, _LABEL, "a name of at most 63 letters, digits and dashes")


def name(text: str | None, path: str) -> str:
    """The name of a pod or slice, folded."""
    what = "a name of at most 253 letters, digits, dashes and dots"
    return _matching(text, path, _NAME, what)


def maybe_label(text: str | None, path: str) -> str:
    """One DNS label, or nothing."""
    return label(text, path) if text else ""


def identity(meta: raw.Meta, check: Callable[[str | None, str], str]) -> tuple[str, str]:
    """Namespace and name; what names no namespace is in `default`."""
    said = meta.namespace or "default"
    where = _known(said) or label(said, "$.metadata.namespace")
    return where, check(meta.name, "$.metadata.name")


def labels(given: Mapping[str, str | None] | None) -> tuple[tuple[str, str], ...]:
    """Labels in the order of their keys."""
    if not given:
        return ()
    return tuple([(intern(key), intern(value or "")) for key, value in sorted(given.items())])


def address(text: str, path: str) -> bytes:
    """A packed address; one with a scope is none."""
    try:  # perf: an eighth of ip_address's time, and 150,000 come with a list
        one, two, three, four = text.split(".")
        return bytes((OCTETS[one], OCTETS[two], OCTETS[three], OCTETS[four]))
    except (KeyError, ValueError):
        pass
    try:
        return ip_address(text.replace("%", " ")).packed
    except ValueError:
        raise ValueError(wrong("an IP address", text, path)) from None


def addresses(texts: Sequence[str] | None, path: str) -> Iterable[bytes]:
    """Each address once, in order."""
    if texts and len(texts) == 1:
        return (address(texts[0], f"{path}[0]"),)
    found = [address(text, f"{path}[{at}]") for at, text in enumerate(texts or ())]
    return dict.fromkeys(found)


def host(text: str, path: str) -> str:
    """Text that is a DNS name, as it was written."""
    try:
        names.parse(text)
    except ValueError as error:
        raise ValueError(f"{error} - at `{path}`") from None
    return text


def ports(given: Iterable[raw.ServicePort] | None, path: str) -> Iterable[Port]:
    """The ports of a service or slice."""
    for at, one in enumerate(given or ()):
        found = _plain_port(one.name, one.port, one.protocol)
        yield found or port(one.name, one.port, one.protocol, f"{path}[{at}]")


@lru_cache(maxsize=1024)
def _plain_port(title: str | None, number: int | None, protocol: str | None) -> Port | None:
    """A port as most objects have it; None where `port` must say what is wrong."""
    try:
        return port(title, number, protocol, "$")
    except ValueError:
        return None


def port(title: str | None, number: int | None, protocol: str | None, path: str) -> Port:
    """One port; without a number it stands for all."""
    if number is not None and not 0 < number < 65536:
        raise ValueError(wrong("a port from 1 to 65535", number, path))
    return Port(
        maybe_label(title, f"{path}.name"),
        -1 if number is None else number,
        label(protocol or "tcp", f"{path}.protocol"),
    )


def pod_name(reference: raw.Reference | None, path: str) -> str:
    """The name of the pod that an endpoint refers to, empty when it is none."""
    if reference is None or reference.kind != "Pod" or not reference.name:
        return ""
    return name(reference.name, f"{path}.targetRef.name")
