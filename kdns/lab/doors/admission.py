"""Who may enter pods: the lab's admin, on this machine, with no browser in between.

A command runs as the user who has started the lab: a stolen token used from elsewhere, a page that
a browser shows, or a name that somebody has pointed to 127.0.0.1 must not be enough.
"""

from ipaddress import ip_address

from aiohttp import web

from kdns.lab.errors import ApiError
from kdns.lab.stage import ADMIN_ONLY
from kdns.lab.tokens import User


def check(request: web.BaseRequest, user: User) -> None:
    """Raises 403 with the reason."""
    if not user.is_admin:
        raise _refused(f'{ADMIN_ONLY}: "{user.name}" is not he')
    peer, own = _ends(request)
    is_here = _is_loopback(peer) or (peer != "" and peer == own)  # so in the lab's namespaces
    if not is_here:
        raise _refused(f"{ADMIN_ONLY}, from the machine where it runs: not from {peer or 'there'}")
    header = request.headers.get("Host", "")
    # Clients for Python call their own address so; a page cannot, for none comes from the API.
    if request.headers.get("Origin") not in {None, f"{request.scheme}://{header}"}:
        raise _refused(f"{ADMIN_ONLY}, and to no browser: leave the Origin header out")
    host = _host(header)
    if host not in {"localhost", own} and not _is_loopback(host):
        raise _refused(f"{ADMIN_ONLY}, at an address of this machine: {host or 'no host'} is none")


def _refused(message: str) -> ApiError:
    return ApiError(403, "Forbidden", message, details={"kind": "pods"})


def _ends(request: web.BaseRequest) -> tuple[str, str]:
    """The addresses of the other side and of ours."""
    transport = request.transport
    found = [
        transport.get_extra_info(name) if transport else None for name in ("peername", "sockname")
    ]
    peer, own = (str(one[0]) if isinstance(one, tuple) else "" for one in found)
    return peer, own


def _host(header: str) -> str:
    """Without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False
