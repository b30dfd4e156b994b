"""What stands at the API's door: who speaks, and whether he may; refusals in the API's words."""

from collections.abc import Mapping

from kdns.lab import errors, patch
from kdns.lab.calls import Call
from kdns.lab.errors import ApiError
from kdns.lab.resources import NAMESPACES, PODS
from kdns.lab.rights.rbac import Rights
from kdns.lab.rights.rules import Ask
from kdns.lab.stage import ADMIN_ONLY
from kdns.lab.storage import Storage
from kdns.lab.tokens import User

_INSIDE = {"exec", "attach", "portforward"}
_ACCOUNT = "system:serviceaccount:"
_NAME = "metadata.name"


def speaker(user: User, headers: Mapping[str, str], groups: list[str]) -> User:
    """Whom a request is made for: the admin may speak for others (`kubectl --as`)."""
    name = headers.get("Impersonate-User", "")
    if not name and not groups:
        return user
    if not name:
        raise errors.bad_request(f"requested groups {groups} without impersonating a user")
    if not user.is_admin:
        raise errors.forbidden("users", name, refusal(user, Ask("impersonate", "", "users")))
    if name.startswith(_ACCOUNT) and not groups:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}"]
    if name != "system:anonymous" and "system:authenticated" not in groups:
        groups = [*groups, "system:authenticated"]
    return User(name, tuple(groups))


def ask_of(call: Call) -> Ask:
    """What a call is, to RBAC."""
    aim = call.target
    resource = aim.resource.plural + (f"/{aim.part}" if aim.part else "")
    name = aim.name
    if call.verb in {"list", "watch"} and not name:
        name = _selected(call.query.get("fieldSelector", ""))
    namespace = aim.name if aim.resource is NAMESPACES else aim.namespace
    return Ask(call.verb, aim.resource.group, resource, namespace, name)


def _selected(selector: str) -> str:
    """The name that a field selector asks for: by it, a list may be allowed."""
    for term in selector.split(","):
        key, _, value = term.partition("=")
        if key == _NAME:
            return value.removeprefix("=")
    return ""


def check(rights: Rights, storage: Storage, call: Call) -> None:
    """Raises 403 unless whoever calls may."""
    aim = call.target
    if aim.resource is PODS and aim.part in _INSIDE and not call.is_admin:
        raise errors.forbidden(PODS.plural, aim.name, ADMIN_ONLY)
    ask = ask_of(call)
    require(rights, call.by, ask)
    is_apply = call.verb == "patch" and call.media in patch.APPLY
    if is_apply and storage.find(aim.resource, aim.namespace, aim.name) is None:
        require(rights, call.by, ask._replace(verb="create"))


def check_path(rights: Rights, user: User, method: str, path: str) -> None:
    """Raises 403 unless somebody may ask for what is no resource."""
    require(rights, user, Ask(method.lower(), path=path))


def require(rights: Rights, user: User, ask: Ask) -> None:
    """Raises 403 unless somebody may do this."""
    verdict = rights.judged(user, ask)
    if verdict.is_allowed:
        return
    why = refusal(user, ask) + (f": {verdict.reason}" if verdict.reason else "")
    if ask.path:
        raise ApiError(403, "Forbidden", f"forbidden: {why}", details={})
    plural = ask.resource.partition("/")[0]
    raise errors.forbidden(plural, ask.name, why, ask.group)


def refusal(user: User, ask: Ask) -> str:
    """What somebody cannot do."""
    if ask.path:
        return f'User "{user.name}" cannot {ask.verb} path "{ask.path}"'
    where = f'in the namespace "{ask.namespace}"' if ask.namespace else "at the cluster scope"
    what = f'resource "{ask.resource}" in API group "{ask.group}"'
    return f'User "{user.name}" cannot {ask.verb} {what} {where}'
