"""A request's method, path, query and headers become a Call: a verb on a resource, as RBAC says it.

Nothing here knows HTTP's machinery; what cannot be read is refused with a real server's words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdns.cluster import selectors
from kdns.lab import errors
from kdns.lab.errors import Cause
from kdns.lab.forms import Form, accepted
from kdns.lab.resources import NAMESPACES, Resource, find
from kdns.lab.tokens import ANYBODY, User

_VERBS = {
    ("GET", True): "get",
    ("GET", False): "list",
    ("POST", False): "create",
    ("PUT", True): "update",
    ("PATCH", True): "patch",
    ("DELETE", True): "delete",
    ("DELETE", False): "deletecollection",
}
_YES = {"true", "1", "True", "TRUE", "t", "T"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    part: str = ""
    """A subresource: status, scale, token, …"""
    is_watch: bool = False
    """The old form of watches: /api/v1/watch/…"""


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    verb: str
    target: Target
    form: Form
    query: Mapping[str, str] = field(default_factory=dict)
    by: User = ANYBODY
    media: str = "application/json"
    body: bytes = b""

    @property
    def user(self) -> str:
        """The name of whoever calls."""
        return self.by.name

    @property
    def is_admin(self) -> bool:
        """True for the admin's own calls."""
        return self.by.is_admin

    @property
    def resource(self) -> Resource:
        """Of the target."""
        return self.target.resource

    def is_set(self, option: str) -> bool:
        """True when a boolean option of the query says so."""
        return self.query.get(option, "") in _YES

    def number(self, option: str) -> int:
        """A whole number of the query; 0 without one, raises 400 for something else."""
        text = self.query.get(option, "") or "0"
        try:
            return int(text)
        except ValueError:
            message = f'strconv.ParseInt: parsing "{text}": invalid syntax'
            raise errors.bad_request(message) from None


def target(path: str) -> Target | None:
    """What a path names; None when it is not one of the API's resources."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    is_watch = rest[0] == "watch"
    return _named(group, version, rest[is_watch:], is_watch=is_watch)


def _named(group: str, version: str, rest: list[str], *, is_watch: bool) -> Target | None:
    namespace = ""
    is_inside = len(rest) > 2 and rest[0] == "namespaces"
    if is_inside and (rest[2] not in {"status", "finalize"} or len(rest) > 3):
        namespace, rest = rest[1], rest[2:]
    resource = find(group, version, rest[0]) if rest else None
    if resource is None or len(rest) > 3 or (namespace and not resource.is_namespaced):
        return None
    name, part = [*rest[1:], "", ""][:2]
    if name and resource.is_namespaced and not namespace:
        return None
    return Target(resource, namespace, name, part, is_watch)


def verb(method: str, aim: Target, query: Mapping[str, str]) -> str:
    """The verb of a request; raises 405 when the target has none for this method."""
    if method == "GET" and not aim.part and (aim.is_watch or query.get("watch", "") in _YES):
        if not aim.name or aim.is_watch:
            return "watch"
        return "get"
    if method == "POST" and aim.part:
        return "create"
    is_nowhere = aim.resource.is_namespaced and not aim.namespace
    if method in {"POST", "DELETE"} and is_nowhere:
        raise errors.not_allowed()
    if method == "DELETE" and aim.resource is NAMESPACES and not aim.name:
        raise errors.not_allowed()
    try:
        return _VERBS[method, bool(aim.name)]
    except KeyError:
        raise errors.not_allowed() from None


def form(call_verb: str, accept: str) -> Form:
    """The form of the reply; raises 406 when none is possible."""
    return accepted(accept, is_list=call_verb in {"list", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind a call is about: labels, fields, and ("" for all) a namespace."""

    labels: selectors.Selector
    fields: tuple[tuple[str, str, bool], ...]
    resource: Resource
    namespace: str

    @property
    def is_whole(self) -> bool:
        """True when nothing but the namespace restricts it."""
        return not self.labels.terms and not self.fields

    def matches(self, obj: errors.Obj) -> bool:
        """True when the call is about this object."""
        metadata = obj["metadata"]
        if self.namespace and metadata.get("namespace") != self.namespace:
            return False
        if self.labels.terms:
            labels = metadata.get("labels") or {}
            if not all(term.matches(labels) for term in self.labels.terms):
                return False
        if not self.fields:
            return True
        found = _fields(self.resource, obj)
        return all((found[key] == value) is wanted for key, value, wanted in self.fields)


def _fields(resource: Resource, obj: errors.Obj) -> dict[str, str]:
    metadata = obj["metadata"]
    own = {"metadata.name": metadata["name"], "metadata.namespace": metadata.get("namespace", "")}
    return own | resource.rules.fields(obj)


def selection(call: Call) -> Selection:
    """The selectors of a call; raises 400 for what they cannot say."""
    try:
        labels = selectors.parse(call.query.get("labelSelector", ""))
    except ValueError as error:
        raise errors.bad_request(f"unable to parse requirement: {error}") from None
    terms = [term for term in call.query.get("fieldSelector", "").split(",") if term]
    fields = [_field_term(call.resource, term) for term in terms]
    if call.target.is_watch and call.target.name:
        fields.append(("metadata.name", call.target.name, True))
    return Selection(labels, tuple(fields), call.resource, call.target.namespace)


def _field_term(resource: Resource, term: str) -> tuple[str, str, bool]:
    for sign, wanted in (("!=", False), ("==", True), ("=", True)):
        key, found, value = term.partition(sign)
        if not found:
            continue
        empty: errors.Obj = {"metadata": {"name": ""}, "spec": {}, "status": {}}
        if key not in _fields(resource, empty):
            raise errors.bad_request(f"field label not supported: {key}")
        return key, value, wanted
    raise errors.bad_request(f"invalid selector: '{term}'; can't understand '{term}'")


def check_list_options(call: Call) -> None:
    """The rules that bind resourceVersion, resourceVersionMatch and sendInitialEvents; 422."""
    version = call.query.get("resourceVersion", "")
    match = call.query.get("resourceVersionMatch", "")
    sends = "sendInitialEvents" in call.query
    causes = list(_watch_rules(match, sends=sends)) if call.verb == "watch" else []
    if call.verb != "watch":
        causes += _match_rules(version, match, is_continued=bool(call.query.get("continue")))
        if sends:
            causes.append(_no("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if causes:
        raise errors.invalid("ListOptions", "", causes, "meta.k8s.io")


def _watch_rules(match: str, *, sends: bool) -> list[Cause]:
    where = "resourceVersionMatch"
    if sends and match != "NotOlderThan":
        return [
            _no(where, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        ]
    if match and not sends:
        return [_no(where, f"{where} is forbidden for watch unless sendInitialEvents is provided")]
    return []


def _match_rules(version: str, match: str, *, is_continued: bool) -> list[Cause]:
    where = "resourceVersionMatch"
    if not match:
        return []
    causes = []
    if is_continued:
        causes.append(_no(where, f"{where} is forbidden when continue is provided"))
    if not version:
        causes.append(_no(where, f"{where} is forbidden unless resourceVersion is provided"))
    if match not in {"Exact", "NotOlderThan"}:
        words = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan"'
        causes.append(Cause(where, "FieldValueNotSupported", words))
    if match == "Exact" and version == "0":
        causes.append(_no(where, f'{where} "exact" is forbidden for resourceVersion "0"'))
    return causes


def _no(where: str, words: str) -> Cause:
    return Cause(where, "FieldValueForbidden", f"Forbidden: {words}")
