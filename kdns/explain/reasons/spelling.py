"""Names that cannot be, or are not looked up as they were meant: dots, lengths, letters, ndots."""

import re
from ipaddress import ip_address

from kdns.explain.reasons.case import Case, again
from kdns.explain.reasons.subject import parse
from kdns.explain.reasons.words import command, counted, kubectl, nearest
from kdns.explain.said import Reason

SPACES = "kubectl get namespaces"
_SERVICE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PASTED = re.compile(
    r"(?P<scheme>[A-Za-z][-+.A-Za-z0-9]*://)?(?P<user>[^@/\s]*@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\]\[:/?#@\s]+)(?P<port>:[0-9]*)?(?P<path>[/?#].*)?"
)
"""What is copied from the configuration of an application, and the name in it."""


def pasted(case: Case) -> Reason | None:
    """More than a name: a URL, a port, a path."""
    found = _PASTED.fullmatch(case.name)
    if found is None or found["host"] == case.name:
        return None
    host = found["host"].strip("[]")
    parts = {"scheme": "a URL", "user": "a user", "port": "a port", "path": "a path"}
    what = next(said for part, said in parts.items() if found[part])
    said = "is a URL" if what == "a URL" else f"has {what} in it"
    return Reason(
        "not-a-hostname",
        f"{case.name} {said}, which DNS knows nothing of: what is looked up is {host}",
        (),
        (again(case, host),),
    )


def impossible(case: Case) -> Reason | None:
    """No name at all: too long, empty labels."""
    typed = case.name.removesuffix(".")
    labels = typed.split(".")
    octets = [len(label.encode("utf-8", "replace")) for label in labels]
    longest = max(octets)
    if not typed:
        return Reason("empty-label", "a dot alone is the root of all names: no host is called that")
    if longest > 63 or sum(octets) + len(octets) + 1 > 255:
        what = f"a label of {longest}" if longest > 63 else f"{sum(octets) + len(octets) + 1}"
        limit = "63 in a label" if longest > 63 else "255 in a name"
        return Reason("too-long", f"no name: {what} octets, and DNS allows {limit}")
    if not all(labels):
        return Reason(
            "empty-label",
            f"{case.name} is no name: there is nothing between two of its dots, or before the "
            "first",
        )
    if any(not label.isascii() or not label.isprintable() or " " in label for label in labels):
        return Reason(
            "not-a-hostname",
            f"{case.name} is no name of a host: it holds spaces, control characters or letters "
            "that are not ASCII",
        )
    return None


def address_as_name(case: Case) -> Reason | None:
    """An address needs no look-up."""
    try:
        address = ip_address(case.name.partition("%")[0])  # whatever its zone
    except ValueError:
        return None
    owner = case.facts.service_at(str(address))
    whose = f", of service {owner.namespace}/{owner.name}" if owner else ""
    return Reason(
        "address-not-name",
        f"{address} is an address{whose}: applications connect to it without asking DNS",
        (),
        (
            command("kdns", "explain", address.reverse_pointer + ".", "PTR"),
        ),
    )  # fmt: skip


def illegal_service(case: Case) -> Reason | None:
    """A label that no service or namespace can have, such as one with an underscore."""
    wanted = case.subject
    if not wanted.is_ours or case.is_answered or case.service:
        return None
    for what, label in (("service", wanted.service), ("namespace", wanted.namespace)):
        if _SERVICE.fullmatch(label):
            continue
        fixed = re.sub(r"[^a-z0-9-]+", "-", label).strip("-")
        own = [name for space, name in case.facts.names if space == wanted.namespace]
        near = [fixed] if fixed in own else nearest(fixed, own) if fixed else []
        says = f"no {what} can be called {label}: names are made of a-z, 0-9 and -"
        if what == "service" and near:
            says += f"; there is {near[0]}"
        return Reason(
            "illegal-name",
            says,
            ("an underscore begins the labels of SRV names only: _http._tcp.web",)
            if "_" in label
            else (),
            (kubectl(wanted.namespace, "get", "services") if what == "service" else SPACES,),
        )
    return None


def trailing_dot(case: Case) -> Reason | None:
    """The dot at the end keeps the search path away that the name needs."""
    if not case.name.endswith(".") or case.is_answered:
        return None
    bare = case.name[:-1].lower()
    for zone in case.facts.zones:
        for end in (f"{case.namespace}.svc.{zone}", f"svc.{zone}", zone):
            found = parse(f"{bare}.{end}", (zone,))
            if found and found.is_ours and found.key in case.facts.services:
                return Reason(
                    "trailing-dot",
                    f"the dot at the end of {case.name} makes it a whole name, so the search path "
                    f"is not used: {bare} without the dot is service {found.key}",
                    (f"asked: {bare}.; meant: {found.name}",),
                    (again(case, bare),),
                )
    return None


def libcs_differ(case: Case) -> Reason | None:
    """glibc finds what musl does not, or the other way."""
    by = {walk.libc: walk for walk in case.walks}
    if len(by) < 2:
        return None
    glibc, musl = by["glibc"], by["musl"]
    if (glibc.outcome == "answered") == (musl.outcome == "answered"):
        return None
    good, bad = (glibc, musl) if glibc.outcome == "answered" else (musl, glibc)
    who = {"glibc": "glibc (Debian, Red Hat)", "musl": "musl (Alpine)"}
    dots = counted(case.name.rstrip(".").count("."), "dot")
    why = f"it has {dots}; musl does not search when that is ndots or more, and stops at the first "
    why += "failure"
    if case.type not in ("", "A", "AAAA"):
        why = "musl searches for addresses only; res_search of any other type asks as written"
    return Reason(
        "libcs-differ",
        f"{case.name} resolves with {who[good.libc]} and not with {who[bad.libc]}, which ends with "
        f"{bad.says or bad.outcome} after {counted(len(bad.asked), 'question')}",
        (f"{good.libc} is answered for {good.name}", why),
        (again(case, good.name),),
    )
