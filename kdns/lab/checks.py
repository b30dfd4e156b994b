"""What may stand in a field, in the words of a real server: names, labels, ports, addresses.

Functions named for a form (`label`, `subdomain`, …) give what is wrong with a text, as sentences;
the others give Causes for a field. Kinds put them together.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from kdns.lab.errors import Cause, Obj
from kdns.lab.ranges import USUAL, Ranges

Form = Callable[[str], list[str]]
Value = Any  # any JSON value

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_KEY = r"[-._a-zA-Z0-9]+"

_OPERATORS = {"In", "NotIn", "Exists", "DoesNotExist"}
PROTOCOLS = ("SCTP", "TCP", "UDP")
_LOCAL_MULTICAST = {4: ip_network("224.0.0.0/24"), 6: ip_network("ff02::/16")}
LOOPBACK = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
NO_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
IMMUTABLE = "field is immutable"


# Causes


def invalid(field: str, value: Value, why: str) -> Cause:
    """A value that does not do."""
    reason = f": {why}" if why else ""
    return Cause(field, "FieldValueInvalid", f"Invalid value: {_shown(value)}{reason}")


def required(field: str, why: str = "") -> Cause:
    """A value that is missing."""
    return Cause(field, "FieldValueRequired", "Required value" + (f": {why}" if why else ""))


def unsupported(field: str, value: Value, values: Iterable[str]) -> Cause:
    """A value that is none of those there are."""
    listed = ", ".join(f'"{one}"' for one in values)
    message = f"Unsupported value: {_shown(value)}: supported values: {listed}"
    return Cause(field, "FieldValueNotSupported", message)


def duplicate(field: str, value: Value) -> Cause:
    """A value that stands twice where it may stand once."""
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}")


def forbidden(field: str, why: str) -> Cause:
    """A field that may not be there, or not change."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {why}")


def missing(field: str, value: Value) -> Cause:
    """A reference to what is not there."""
    return Cause(field, "FieldValueNotFound", f"Not found: {_shown(value)}")


def _shown(value: Value) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# Forms of text


def label(text: str) -> list[str]:
    """RFC 1123 labels, 63 characters."""
    why = (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character "
        "(e.g. 'my-name',  or '123-abc', regex used for validation is "
        f"'{_LABEL}')"
    )
    return _formed(text, _LABEL, why, 63)


def label_1035(text: str) -> list[str]:
    """RFC 1035 labels: they do not begin with a digit."""
    why = (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
        "start with an alphabetic character, and end with an alphanumeric character "
        f"(e.g. 'my-name',  or 'abc-123', regex used for validation is '{_LABEL_1035}')"
    )
    return _formed(text, _LABEL_1035, why, 63)


def subdomain(text: str) -> list[str]:
    """RFC 1123 subdomains, 253 characters."""
    why = (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
        "'-' or '.', and must start and end with an alphanumeric character "
        f"(e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
    )
    return _formed(text, _SUBDOMAIN, why, 253)


def undotted(text: str) -> list[str]:
    """A label, with a plainer word about dots."""
    return ["must not contain dots"] if "." in text else label(text)


def path_segment(text: str) -> list[str]:
    """Names of roles and bindings: whatever fits between two slashes of a path."""
    if text in {".", ".."}:
        return [f"may not be '{text}'"]
    return [f"may not contain '{sign}'" for sign in "/%" if sign in text]


def qualified(text: str) -> list[str]:
    """Keys of labels and annotations: a name, or prefix/name."""
    alike = (
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
        "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', "
        f"regex used for validation is '{_QUALIFIED}')"
    )
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return [
            f"a qualified name {alike} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        ]
    found = []
    if slash and not prefix:
        found.append("prefix part must be non-empty")
    elif slash:
        found += [f"prefix part {why}" for why in subdomain(prefix)]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append("name part must be no more than 63 characters")
    if not re.fullmatch(_QUALIFIED, name):
        found.append(f"name part {alike}")
    return found


def label_value(text: str) -> list[str]:
    """Values of labels, which may be empty."""
    why = (
        "a valid label must be an empty string or consist of alphanumeric characters, "
        "'-', '_' or '.', and must start and end with an alphanumeric character "
        "(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
        f"'{_VALUE}')"
    )
    return _formed(text, _VALUE, why, 63)


def config_key(text: str) -> list[str]:
    """Keys of ConfigMaps and Secrets: names of files."""
    why = (
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
        "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
        f"'{_KEY}')"
    )
    found = _formed(text, _KEY, why, 253)
    if text in {".", ".."}:
        found.append(f"must not be '{text}'")
    elif text.startswith(".."):
        found.append("must not start with '..'")
    return found


def port_name(text: str) -> list[str]:
    """Names that stand for a port of a container (RFC 6335 §5.1)."""
    found = []
    if len(text) > 15:
        found.append("must be no more than 15 characters")
    if not re.fullmatch("[-a-z0-9]+", text):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        found.append("must contain at least one letter (a-z)")
    if "--" in text:
        found.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return found


def _formed(text: str, pattern: str, why: str, most: int) -> list[str]:
    found = [f"must be no more than {most} characters"] if len(text) > most else []
    return found if re.fullmatch(pattern, text) else [*found, why]


# Fields


def text_of(field: str, text: str, form: Form) -> list[Cause]:
    """A text of a form."""
    return [invalid(field, text, why) for why in form(text)]


def one_of(field: str, value: Value, values: Sequence[str]) -> list[Cause]:
    """One of several words."""
    return [] if value in values else [unsupported(field, value, values)]


def labels(field: str, given: Obj) -> Iterator[Cause]:
    """Labels, or a selector made of them."""
    for key in sorted(given):
        yield from text_of(field, key, qualified)
        yield from text_of(field, given[key], label_value)


def selector(field: str, given: Obj) -> Iterator[Cause]:
    """A label selector with labels and expressions."""
    yield from labels(f"{field}.matchLabels", given.get("matchLabels") or {})
    for place, term in enumerate(given.get("matchExpressions") or []):
        at, operator = f"{field}.matchExpressions[{place}]", term.get("operator", "")
        values = term.get("values") or []
        if operator in {"In", "NotIn"} and not values:
            why = "must be specified when `operator` is 'In' or 'NotIn'"
            yield required(f"{at}.values", why)
        elif operator in {"Exists", "DoesNotExist"} and values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield forbidden(f"{at}.values", why)
        elif operator not in _OPERATORS:
            yield invalid(f"{at}.operator", operator, "not a valid selector operator")
        yield from text_of(f"{at}.key", term.get("key", ""), qualified)
        for number, value in enumerate(values):
            yield from text_of(f"{at}.values[{number}]", value, label_value)


def port(field: str, number: Value) -> list[Cause]:
    """The number of a port."""
    if isinstance(number, int) and 1 <= number <= 65535:
        return []
    return [invalid(field, number, "must be between 1 and 65535, inclusive")]


def port_or_name(field: str, value: Value) -> list[Cause]:
    """A number, or the name that a container gives one."""
    return text_of(field, value, port_name) if isinstance(value, str) else port(field, value)


def least(field: str, value: Value, bound: int = 0) -> list[Cause]:
    """A number that is not below a bound."""
    if value is None or value >= bound:
        return []
    return [invalid(field, value, f"must be greater than or equal to {bound}")]


def kept(field: str, new: Value, old: Value) -> list[Cause]:
    """A value that cannot be changed."""
    return [] if new == old else [invalid(field, new, IMMUTABLE)]


def address(text: Value) -> IPv4Address | IPv6Address | None:
    """An address, also with the leading zeros that servers still read; None for anything else."""
    return _address(text) if isinstance(text, str) else None


@lru_cache(maxsize=1024)  # an address is looked at three times in a row
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        parts = text.split(".")
        bare = ".".join(part.lstrip("0") or "0" for part in parts)
        has_digits = all(part.isascii() and part.isdecimal() for part in parts)
        return _address(bare) if has_digits and bare != text else None


def endpoint_address(field: str, text: str, ranges: Ranges = USUAL) -> list[Cause]:
    """An address that something outside can be sent to."""
    found = address(text)
    if ranges.is_loopback and found is not None and ranges.has_end(found):
        return []
    why = NO_ADDRESS if found is None else _no_endpoint(found)
    return [invalid(field, text, why)] if why else []


@lru_cache(maxsize=1024)
def _no_endpoint(found: IPv4Address | IPv6Address) -> str:
    if found.is_unspecified:
        return f"may not be unspecified ({found})"
    if found.is_loopback:
        return LOOPBACK
    if found.is_link_local:
        return "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    if found in _LOCAL_MULTICAST[found.version]:
        return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    return ""
