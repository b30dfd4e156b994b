"""What well-known images of the tutorials answer, as far as somebody who follows one looks for it.

hello-app            Hello, world!, its version, the pod
serve_hostname       the pod's name, and nothing else
echoserver           client_address, as "Using Source IP" looks for it
kubernetes-bootcamp  Hello Kubernetes bootcamp!, the pod, its version
agnhost              /hostname and /clientip (netexec); `liveness` fails after ten seconds
"""

from collections.abc import Callable
from typing import NamedTuple

from kdns.lab.kubelet.programs import images
from kdns.lab.kubelet.programs.base import Role
from kdns.lab.kubelet.programs.requests import Request

HEALTHY_S = 10.0
"""How long the image of the liveness tutorial is well."""


class Heard(NamedTuple):
    """A request, who asked, and how long the program has run."""

    request: Request
    peer: str
    age_s: float


Reply = tuple[int, str] | None
"""A code and a text; None: as any other web server of the lab."""


def reply(role: Role, heard: Heard) -> Reply:
    """What the image of a container says."""
    voice = _VOICES.get(images.name_of(_image(role)))
    return voice(role, heard) if voice else None


def _image(role: Role) -> str:
    return str(role.container.get("image", ""))


def _hello_app(role: Role, heard: Heard) -> Reply:
    del heard
    version = images.tag_of(_image(role)) or "1.0"
    return 200, f"Hello, world!\nVersion: {version}.0\nHostname: {role.name}\n"


def _bootcamp(role: Role, heard: Heard) -> Reply:
    del heard
    version = images.tag_of(_image(role)).removeprefix("v") or "1"
    return 200, f"Hello Kubernetes bootcamp! | Running on: {role.name} | v={version}\n"


def _hostname(role: Role, heard: Heard) -> Reply:
    del heard
    return 200, f"{role.name}\n"


def _echo(role: Role, heard: Heard) -> Reply:
    lines = [
        f"Hostname: {role.name}",
        "",
        "CLIENT VALUES:",
        f"client_address={heard.peer}",
        f"command={heard.request.method}",
        f"real path={heard.request.target}",
        "",
        "HEADERS RECEIVED:",
        *(f"{name.lower()}={value}" for name, value in heard.request.headers),
    ]
    return 200, "\n".join(lines) + "\n"


def _agnhost(role: Role, heard: Heard) -> Reply:
    path = heard.request.path
    if "liveness" in role.words and path == "/healthz" and heard.age_s > HEALTHY_S:
        return 500, f"error: {heard.age_s:.0f} s\n"
    if "serve-hostname" in role.words or path == "/hostname":
        return _hostname(role, heard)
    if path == "/clientip":
        return 200, f"{heard.peer}\n"
    return None


_VOICES: dict[str, Callable[[Role, Heard], Reply]] = {
    "hello-app": _hello_app,
    "kubernetes-bootcamp": _bootcamp,
    "serve_hostname": _hostname,
    "serve-hostname": _hostname,
    "echoserver": _echo,
    "agnhost": _agnhost,
}
