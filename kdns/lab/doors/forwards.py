"""`kubectl port-forward`: a request becomes connections into a pod, by the protocol it asks for.

SPDY/3.1, plainly or within a WebSocket (kubectl from 1.31 on), and `v4.channel.k8s.io`, which
client libraries speak. A forward ends with its pod, and with its client.
"""

from aiohttp import web

from kdns.lab import errors
from kdns.lab.calls import Call
from kdns.lab.doors import channels, ports
from kdns.lab.doors.crossing import Ways
from kdns.lab.doors.duties import until_first
from kdns.lab.doors.streams import Streams
from kdns.lab.doors.wires import LEAVE_S, Messages, Upgraded
from kdns.lab.errors import ApiError, Obj
from kdns.lab.ground.base import Ground
from kdns.lab.resources import PODS
from kdns.lab.storage import Storage

MOST = 100
"""Clients at once."""
SPDY = "SPDY/3.1"
FORWARD = "portforward.k8s.io"
TUNNEL = f"{SPDY}+{FORWARD}"
_SPOKEN = "X-Stream-Protocol-Version"
_LARGEST = 1 << 20
"""Of a message; kubectl's have 32 KiB."""
_OVER = {"Succeeded", "Failed"}


class Forwards:
    """All of a lab."""

    def __init__(self, storage: Storage, ground: Ground) -> None:
        self._storage = storage
        self._ways = Ways(ground)
        self._open = 0

    async def reply(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """Forwards until one side ends; raises ApiError."""
        aim = call.target
        pod = self._storage.get(PODS, aim.namespace, aim.name)
        _check_runs(pod)
        protocol = _protocol(request)
        wanted = ports.wanted(request) if protocol == channels.V4 else []
        if self._open >= MOST:
            message = f"{MOST} clients forward ports already: end one of them first"
            raise ApiError(429, "TooManyRequests", message, retry_s=1)
        self._open += 1
        try:
            if protocol == FORWARD:
                return await self._plain(request, pod)
            return await self._in_socket(request, pod, protocol, wanted)
        finally:
            self._open -= 1

    async def _plain(self, request: web.BaseRequest, pod: Obj) -> web.StreamResponse:
        headers = {"Connection": "Upgrade", "Upgrade": SPDY, _SPOKEN: FORWARD}
        response = web.StreamResponse(status=101, headers=headers)
        wire = await Upgraded.take(request, response)
        try:
            await until_first(Streams(wire, self._ways, pod).run(), self._gone(pod))
        finally:
            await wire.close()
        return response

    async def _in_socket(
        self, request: web.BaseRequest, pod: Obj, protocol: str, wanted: list[int]
    ) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            protocols=(protocol,), timeout=LEAVE_S, max_msg_size=_LARGEST, compress=False
        )
        await socket.prepare(request)
        wire = Messages(socket)
        if protocol == TUNNEL:
            carried = Streams(wire, self._ways, pod).run()
        else:
            carried = ports.carry(socket, self._ways, pod, wanted)
        await until_first(carried, self._gone(pod))
        await wire.close()
        return socket

    async def _gone(self, pod: Obj) -> None:
        """Waits for the end of a pod."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        watch = self._storage.watch(PODS, namespace, since=self._storage.version)
        while True:
            found = self._storage.find(PODS, namespace, name)
            if found is None or found["metadata"]["uid"] != pod["metadata"]["uid"]:
                return
            if _phase(found) in _OVER:
                return
            try:
                await watch.batch()
            except ApiError:  # it fell behind: the pod itself says what has become of it
                watch = self._storage.watch(PODS, namespace, since=self._storage.version)


def _phase(pod: Obj) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _check_runs(pod: Obj) -> None:
    name = pod["metadata"]["name"]
    if not (pod.get("spec") or {}).get("nodeName"):
        raise errors.bad_request(f"pod {name} does not have a host assigned")
    if _phase(pod) in _OVER:
        raise errors.bad_request(
            f"cannot forward ports of a completed pod; current phase is {_phase(pod)}"
        )
    if not (pod.get("status") or {}).get("podIP"):
        raise errors.bad_request(f"pod {name} is waiting to start: it has no address yet")


def _protocol(request: web.BaseRequest) -> str:
    """What the client speaks and we do; raises 400."""
    upgrade = request.headers.get("Upgrade", "").lower()
    known: tuple[str, ...] = (FORWARD,)
    if upgrade == "websocket":
        offered, known = _words(request, "Sec-WebSocket-Protocol"), (TUNNEL, channels.V4)
    elif upgrade == SPDY.lower():
        offered = _words(request, _SPOKEN)
    else:
        raise errors.bad_request(f"ports are forwarded over WebSockets or {SPDY}: upgrade to one")
    for one in offered:
        if one in known:
            return one
    raise errors.bad_request(f"expected a protocol of {', '.join(known)}")


def _words(request: web.BaseRequest, header: str) -> list[str]:
    found = ",".join(request.headers.getall(header, ()))
    return [one.strip() for one in found.split(",")]
