"""The fields that objects share become parts of facts: names, labels, addresses, times, words."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from kdns.cluster import fields
from kdns.cluster.columns import OCTETS
from kdns.explain import raw
from kdns.explain.facts import PortFact
from kdns.wire.names import format_address

MOST = 500
"""Characters of a text that anybody may write: a message, a command, a reason."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[-+]\d\d:\d\d)", re.ASCII)


def clean(text: str) -> str:
    """Text that does nothing to a terminal, and takes no more than a few lines of it."""
    if len(text) > MOST:
        text = f"{text[: MOST - 1]}…"
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else " " for sign in text)


def moment(text: str | None) -> str:
    """A time as RFC 3339 writes it; empty for anything else."""
    return text if text and _MOMENT.fullmatch(text) else ""


def identity(meta: raw.Meta, check: Callable[[str | None, str], str]) -> tuple[str, str]:
    """Namespace and name; what names no namespace is in `default`."""
    where = fields.label(meta.namespace or "default", "$.metadata.namespace")
    return where, check(meta.name, "$.metadata.name")


def labels(given: Mapping[str, str | None] | None) -> Mapping[str, str]:
    """Labels or a selector; null is the empty text."""
    return {key: value or "" for key, value in (given or {}).items()}


def written(meta: raw.Meta) -> str:
    """When an object was last written by anybody."""
    return max((moment(one.time) for one in meta.managed_fields or ()), default="")


def folded(text: str | None) -> str:
    """A name of DNS, as the Store has it."""
    return clean(text).lower() if text else ""


@lru_cache(maxsize=1024)
def port(name: str | None, number: int | None, protocol: str | None) -> PortFact:
    """A port of a slice or container."""
    return PortFact(clean(name or ""), number or 0, clean(protocol or "TCP"))


def addresses(given: Iterable[str] | None, path: str) -> tuple[str, ...]:
    """Addresses as the Store would print them; ValueError for what is none."""
    return tuple([_address(one, path) for one in given or ()])


def texts(given: Iterable[str] | None, path: str) -> tuple[str, ...]:
    """Addresses of a slice of names, which DNS does not serve."""
    del path
    return tuple(clean(one) for one in given or ())


def _address(text: str, path: str) -> str:
    octets = text.split(".")  # perf: 150,000 come with a dump; nearly all are IPv4
    if len(octets) == 4 and all(octet in OCTETS for octet in octets):
        return text
    return format_address(fields.address(text, path))
