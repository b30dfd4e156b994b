"""What a user may do and who somebody is, for `kubectl auth can-i` and `whoami`: answers of RBAC.

The reviews are asked for like objects and stored nowhere.
"""

from dataclasses import dataclass

from kdns.lab import bodies, errors, protobuf
from kdns.lab.errors import Cause, Obj
from kdns.lab.rights import door
from kdns.lab.rights.rbac import Rights
from kdns.lab.rights.rules import Ask
from kdns.lab.tokens import ANYBODY, ISSUER, Tokens, User

_AUTHORIZATION, _AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"
_SELF_ACCESS, _ACCESS = "SelfSubjectAccessReview", "SubjectAccessReview"
_LOCAL_ACCESS, _RULES = "LocalSubjectAccessReview", "SelfSubjectRulesReview"
_WHO, _TOKEN = "SelfSubjectReview", "TokenReview"
_KINDS = {
    f"{kind.lower()}s": (group, kind)
    for group, kinds in (
        (_AUTHORIZATION, (_SELF_ACCESS, _ACCESS, _LOCAL_ACCESS, _RULES)),
        (_AUTHENTICATION, (_WHO, _TOKEN)),
    )
    for kind in kinds
}


@dataclass(frozen=True, slots=True)
class _Review:
    """A review that somebody asks for."""

    kind: str
    group: str
    namespace: str
    spec: Obj


def is_one(path: str) -> bool:
    """True for the path of a review."""
    return _named(path) is not None


def reply(path: str, media: str, body: bytes, user: User, rights: Rights, tokens: Tokens) -> Obj:
    """The review with its answer; raises 403 for who may not ask, 422 for what says too little."""
    named = _named(path)
    if named is None:
        raise errors.no_such_path()
    group, kind, namespace = named
    ask = Ask("create", group, f"{kind.lower()}s", namespace)
    if user is not ANYBODY or not kind.startswith("Self"):
        door.require(rights, user, ask)
    asked = bodies.fitted(_decoded(media, body), f"{group.partition('.')[0]}.v1.{kind}")
    review = _Review(kind, group, namespace, asked.get("spec") or {})
    status = _status(review, user, rights, tokens)
    metadata = {"namespace": namespace} if namespace else {}
    named_as = {"kind": kind, "apiVersion": f"{group}/v1"}
    return named_as | {"metadata": metadata, "spec": review.spec, "status": status}


def _named(path: str) -> tuple[str, str, str] | None:
    """Group, kind and namespace of the review under a path."""
    match path.strip("/").split("/"):
        case ["apis", group, "v1", plural]:
            namespace = ""
        case ["apis", group, "v1", "namespaces", namespace, plural]:
            pass
        case _:
            return None
    found = _KINDS.get(plural)
    if found is None or found[0] != group or bool(namespace) != (found[1] == _LOCAL_ACCESS):
        return None
    return group, found[1], namespace


def _decoded(media: str, body: bytes) -> Obj:
    if media == protobuf.MEDIA:
        return protobuf.decode(body)
    try:
        found = bodies.value(media, body)
    except ValueError as error:
        raise errors.bad_request(f"the body cannot be read as JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def _status(review: _Review, user: User, rights: Rights, tokens: Tokens) -> Obj:
    spec = review.spec
    if review.kind == _WHO:
        return {"userInfo": _shown(user)}
    if review.kind == _TOKEN:
        return _token(spec, tokens)
    if review.kind == _RULES:
        return _rules(spec, user, rights)
    if review.kind != _SELF_ACCESS:
        user = _subject(review)
    verdict = rights.judged(user, _ask(review))
    reason = {"reason": verdict.reason} if verdict.reason else {}
    return {"allowed": verdict.is_allowed} | reason


def _shown(user: User) -> Obj:
    return {"username": user.name, "groups": list(user.groups)}


def _token(spec: Obj, tokens: Tokens) -> Obj:
    token = spec.get("token") or ""
    wanted = spec.get("audiences") or [ISSUER]
    audiences = [one for one in wanted if tokens.user(token, [one])]
    found = tokens.user(token, audiences)
    if found is None:
        return {"user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": _shown(found), "audiences": audiences}


def _rules(spec: Obj, user: User, rights: Rights) -> Obj:
    namespace = spec.get("namespace") or ""
    if not namespace:
        raise errors.bad_request("no namespace on request")
    rules = rights.rules_of(user, namespace)
    return {
        "resourceRules": [one for one in rules if one.get("resources")],
        "nonResourceRules": [one for one in rules if one.get("nonResourceURLs")],
        "incomplete": False,
    }


def _subject(review: _Review) -> User:
    """Whom the review is about."""
    name, groups = review.spec.get("user") or "", review.spec.get("groups") or ()
    if not name and not groups:
        raise _invalid(review, "spec.user", '""', "at least one of user or group must be specified")
    return User(name, tuple(groups))


def _ask(review: _Review) -> Ask:
    wanted = review.spec.get("resourceAttributes")
    path = review.spec.get("nonResourceAttributes")
    at = "spec.resourceAttributes"
    if (wanted is None) is (path is None):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid(review, at, "null", why)
    if wanted is None:
        path = path or {}
        return Ask(path.get("verb") or "", path=path.get("path") or "/")
    inside = wanted.get("namespace") or ""
    if review.namespace and inside != review.namespace:
        raise _invalid(review, f"{at}.namespace", f'"{inside}"', "must match metadata.namespace")
    part = wanted.get("subresource")
    resource = (wanted.get("resource") or "") + (f"/{part}" if part else "")
    verb, group, name = (wanted.get(key) or "" for key in ("verb", "group", "name"))
    return Ask(verb, group, resource, inside, name)


def _invalid(review: _Review, field: str, value: str, why: str) -> errors.ApiError:
    cause = Cause(field, "FieldValueInvalid", f"Invalid value: {value}: {why}")
    return errors.invalid(review.kind, "", [cause], review.group)
