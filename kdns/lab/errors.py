"""What the lab refuses, as the Status objects that kubectl and client-go know from a real server.

Codes, reasons and messages are those of Kubernetes: kubectl prints the message, and client-go
decides by the reason whether to retry, to list again, or to give up.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]
"""A Kubernetes object as JSON; Any: its fields differ by kind, which Python does not know."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with a field: `reason` as FieldValueInvalid, and the message.

    A message begins with its reason in words, as in `Invalid value: 70000: must be …`.
    """

    field: str
    reason: str
    message: str


class ApiError(Exception):
    """A request that the API refuses; `status()` is the body of the reply."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Obj | None = None,
        metadata: Obj | None = None,
        retry_s: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}
        self._has_details = details is not None or retry_s > 0
        self.metadata = metadata or {}
        self.retry_s = retry_s

    def status(self) -> Obj:
        """The metav1.Status."""
        status: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self._has_details:
            again = {"retryAfterSeconds": self.retry_s} if self.retry_s else {}
            status["details"] = self.details | again
        return {key: value for key, value in status.items() if value != ""}


def not_found(plural: str, name: str, group: str = "") -> ApiError:
    """404 for an object; plural and group as in `deployments` and `apps`."""
    message = f'{_qualified(plural, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, details=_details(plural, name, group))


def no_such_path() -> ApiError:
    """404 for a path that no resource answers to."""
    message = "the server could not find the requested resource"
    return ApiError(404, "NotFound", message, details={})


def already_exists(plural: str, name: str, group: str = "") -> ApiError:
    """409 for a name that is taken."""
    message = f'{_qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_details(plural, name, group))


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def conflict(plural: str, name: str, group: str = "", why: str = MODIFIED) -> ApiError:
    """409 for a write that was made from another version than the current one."""
    message = f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_details(plural, name, group))


def invalid(kind: str, name: str, causes: Iterable[Cause], group: str = "") -> ApiError:
    """422 with one cause per field that is wrong."""
    listed = list(causes)
    words = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in listed))
    joined = words[0] if len(words) == 1 else f"[{', '.join(words)}]"
    details = _details(kind, name, group) | {
        "causes": [
            {"reason": cause.reason, "message": cause.message, "field": cause.field}
            for cause in listed
        ]
    }
    message = f'{_qualified(kind, group)} "{name}" is invalid: {joined}'
    return ApiError(422, "Invalid", message, details=details)


def forbidden(
    plural: str, name: str, why: str, group: str = "", causes: Iterable[Cause] = ()
) -> ApiError:
    """403; `why` follows `is forbidden: `."""
    quoted = f' "{name}"' if name else ""
    details = _details(plural, name, group)
    listed = [{"reason": one.reason, "message": one.message, "field": one.field} for one in causes]
    if listed:
        details["causes"] = listed
    message = f"{_qualified(plural, group)}{quoted} is forbidden: {why}"
    return ApiError(403, "Forbidden", message, details=details)


def unauthorized() -> ApiError:
    """401: no token, or one that the lab does not know."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> ApiError:
    """400 for what cannot be read."""
    return ApiError(400, "BadRequest", message)


def gone(message: str, *, token: str = "") -> ApiError:
    """410 for a version or a continue token that is too old; the token goes on from there."""
    return ApiError(410, "Expired", message, metadata={"continue": token} if token else None)


def too_large(wanted: int, current: int) -> ApiError:
    """504 for a version that the lab has not reached."""
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    details: Obj = {"causes": causes}
    return ApiError(504, "Timeout", message, details=details, retry_s=1)


def not_allowed(
    message: str = "the server does not allow this method on the requested resource",
) -> ApiError:
    """405 for a verb that a resource does not have."""
    return ApiError(405, "MethodNotAllowed", message, details={})


def unsupported(message: str) -> ApiError:
    """415 for a body in a form that is not read."""
    return ApiError(415, "UnsupportedMediaType", message)


def unprocessable(message: str) -> ApiError:
    """422 without causes, as for a patch that does not apply."""
    return ApiError(422, "Invalid", message, details={})


def _qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def _details(plural: str, name: str, group: str) -> Obj:
    pairs = {"name": name, "group": group, "kind": plural}
    return {key: value for key, value in pairs.items() if value}
