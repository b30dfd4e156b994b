"""What a request for a command says, and whether the pod can have it; else the reply of a server.

The words are those of a real API server where kubectl's users know them.
"""

from dataclasses import dataclass

from aiohttp import web

from kdns.lab import errors
from kdns.lab.calls import Call
from kdns.lab.doors.channels import PROTOCOLS
from kdns.lab.doors.command import Wanted
from kdns.lab.errors import ApiError, Obj
from kdns.lab.rights.trust import author, is_trusted


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be granted."""

    pod: Obj
    container: Obj
    command: tuple[str, ...]
    """Of exec."""
    wanted: Wanted

    @property
    def uid(self) -> str:
        """Of the pod."""
        return str(self.pod["metadata"]["uid"])


def read(request: web.BaseRequest, call: Call, pod: Obj) -> Asked:
    """Raises 400 and 403."""
    name = pod["metadata"]["name"]
    if not is_trusted(pod):
        why = f"nothing runs in this pod, because {author(pod)} wrote its spec"
        raise errors.forbidden("pods", name, why)
    command = tuple(request.query.getall("command", ()))
    if call.target.part == "exec" and not command:
        raise errors.bad_request("you must specify at least one command for the container")
    if any("\0" in word for word in command):
        raise errors.bad_request("no word of a command can hold a NUL character")
    container = _container(pod, call.query.get("container", ""))
    _check_runs(pod, container["name"])
    return Asked(pod, container, command, _wanted(call))


def check_protocol(request: web.BaseRequest) -> None:
    """Raises 400 unless the client speaks a protocol of ours."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise errors.bad_request(
            "commands run over WebSockets only: kubectl speaks them since 1.31 (from 1.29 with "
            "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true)"
        )
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    if not {one.strip() for one in offered.split(",")} & set(PROTOCOLS):
        raise errors.bad_request(f"expected a protocol of {', '.join(PROTOCOLS)}")


def _wanted(call: Call) -> Wanted:
    is_terminal = call.is_set("tty")
    wanted = Wanted(
        call.is_set("stdin"),
        call.is_set("stdout"),
        call.is_set("stderr") and not is_terminal,
        is_terminal,
    )
    if not (wanted.stdin or wanted.stdout or wanted.stderr):
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return wanted


def _container(pod: Obj, name: str) -> Obj:
    found: list[Obj] = (pod.get("spec") or {}).get("containers") or []
    pod_name = pod["metadata"]["name"]
    if name:
        for one in found:
            if one["name"] == name:
                return one
        raise errors.bad_request(f"container {name} is not valid for pod {pod_name}")
    if len(found) > 1:
        listed = " ".join(one["name"] for one in found)
        raise errors.bad_request(
            f"a container name must be specified for pod {pod_name}, choose one of: [{listed}]"
        )
    return found[0]


def _check_runs(pod: Obj, container: str) -> None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if not (pod.get("spec") or {}).get("nodeName"):
        raise errors.bad_request(f"pod {name} does not have a host assigned")
    if status.get("phase") in {"Succeeded", "Failed"}:
        message = (
            f"cannot exec into a container in a completed pod; current phase is {status['phase']}"
        )
        raise errors.bad_request(message)
    states = {one["name"]: one.get("state") or {} for one in status.get("containerStatuses") or ()}
    state = states.get(container, {})
    if "running" in state:
        return
    if "terminated" in state:
        raise errors.bad_request(f"container {container} has ended: cannot exec in a stopped state")
    reason = (state.get("waiting") or {}).get("reason") or "ContainerCreating"
    raise errors.bad_request(
        f'container "{container}" in pod "{name}" is waiting to start: {reason}'
    )


def too_many(most: int) -> ApiError:
    """429."""
    message = f"{most} commands run in pods for clients already: end one of them first"
    return ApiError(429, "TooManyRequests", message, retry_s=1)
