"""`kubectl auth can-i` and `whoami`: what a user may do, which here is all or, unknown, to read."""

from kdns.lab import bodies, errors, protobuf
from kdns.lab.errors import Obj
from kdns.lab.tokens import ANYBODY, User

_READS = {"get", "list", "watch"}
_ACCESS = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": "SubjectAccessReview",
}
_RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_KINDS = _ACCESS | {_RULES: "SelfSubjectRulesReview", _WHO: "SelfSubjectReview"}
_EVERYTHING = ["*"]


def reply(path: str, media: str, body: bytes, user: User) -> Obj:
    """The review with its answer; raises 404 for a path that is no review."""
    if path not in _KINDS:
        raise errors.no_such_path()
    group = path.split("/")[2]
    asked = bodies.fitted(_decoded(media, body), f"{group.partition('.')[0]}.v1.{_KINDS[path]}")
    review: Obj = {"apiVersion": f"{group}/v1", "metadata": {}, "spec": asked.get("spec") or {}}
    if path == _WHO:
        info = {"username": user.name, "groups": list(user.groups)}
        return review | {"kind": "SelfSubjectReview", "status": {"userInfo": info}}
    if path == _RULES:
        verbs = sorted(_READS) if user is ANYBODY else _EVERYTHING
        rule = {"verbs": verbs, "apiGroups": _EVERYTHING, "resources": _EVERYTHING}
        urls = {"verbs": verbs, "nonResourceURLs": _EVERYTHING}
        status = {"resourceRules": [rule], "nonResourceRules": [urls], "incomplete": False}
        return review | {"kind": "SelfSubjectRulesReview", "status": status}
    kind = _ACCESS[path]
    wanted = review["spec"].get("resourceAttributes") or {}
    is_allowed = user is not ANYBODY or wanted.get("verb") in _READS
    return review | {"kind": kind, "status": {"allowed": is_allowed}}


def _decoded(media: str, body: bytes) -> Obj:
    if media == protobuf.MEDIA:
        return protobuf.decode(body)
    try:
        found = bodies.value(media, body)
    except ValueError as error:
        raise errors.bad_request(f"the body cannot be read as JSON: {error}") from None
    return found if isinstance(found, dict) else {}
