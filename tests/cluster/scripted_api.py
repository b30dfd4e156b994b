"""An API server that does what a test says: lists, pages, watches, and every fault on command.

It behaves as facts about the real one have it: a watch from its future is silent, a WatchList ends
in an annotated bookmark, the history before `oldest` is gone.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Json = dict[str, Any]
KINDS = {
    "namespaces": ("Namespace", "v1"),
    "services": ("Service", "v1"),
    "pods": ("Pod", "v1"),
    "endpointslices": ("EndpointSlice", "discovery.k8s.io/v1"),
    "serviceimports": ("ServiceImport", "multicluster.x-k8s.io/v1alpha1"),
    "nodes": ("Node", "v1"),
    "ingresses": ("Ingress", "networking.k8s.io/v1"),
    "gateways": ("Gateway", "gateway.networking.k8s.io/v1"),
    "httproutes": ("HTTPRoute", "gateway.networking.k8s.io/v1"),
}


@dataclass
class Request:
    """What was asked."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    resource: str
    namespace: str

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") == "true"

    @property
    def verb(self) -> str:
        if not self.is_watch:
            return "metadata" if "PartialObject" in self.headers.get("accept", "") else "list"
        return "watchlist" if "sendInitialEvents" in self.query else "watch"

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


@dataclass
class Reply:
    """An answer that a test wants instead of the right one."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False
    """True to break the connection after the body."""
    is_stuck: bool = False
    """True to stop in the middle of the body, the connection open."""
    pause_s: float = 0
    """Between any two bytes."""
    when: asyncio.Event | None = None
    """Held back until this is set."""
    is_silent: bool = False
    """True to say nothing at all."""


def refused(code: int, message: str = "no", **headers: str) -> Reply:
    status = {"kind": "Status", "status": "Failure", "code": code, "message": message}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(code, json.dumps(status).encode(), named)


@dataclass
class Watch:
    """A watch that is open."""

    request: Request
    writer: asyncio.StreamWriter
    is_over: bool = False

    def send(self, kind: str, thing: Json) -> None:
        self.send_raw(json.dumps({"type": kind, "object": thing}).encode() + b"\n")

    def send_raw(self, text: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(text), text))

    def end(self) -> None:
        """In good order."""
        self.is_over = True
        self.writer.write(b"0\r\n\r\n")

    def cut(self) -> None:
        self.writer.transport.abort()

    def close_half(self) -> None:
        """Our direction only, as a proxy that dies."""
        self.is_over = True
        self.writer.write_eof()


class ScriptedApi:
    """The server."""

    def __init__(self, context: ssl.SSLContext | None = None, *, version: int = 100) -> None:
        self.context = context
        self.version = version
        self.oldest = 0
        """Watches from before are answered with 410."""
        self.authorization: str | None = None
        self.serves_imports = True
        self.has_watch_lists = True
        self.faults: list[tuple[Callable[[Request], bool], Reply, list[int]]] = []
        self.requests: list[Request] = []
        self.watches: list[Watch] = []
        self.objects: dict[str, dict[tuple[str, str], Json]] = {name: {} for name in KINDS}
        self.history: list[tuple[int, str, str, Json]] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pages: dict[str, tuple[list[Json], int]] = {}

    # Its life

    async def __aenter__(self) -> "ScriptedApi":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self.context
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Goes away, every connection with it."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0.001)

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    # Its data

    def put(self, resource: str, thing: Json, *, tell: bool = True) -> int:
        """Creates or changes an object; watches are told unless the event is to be lost."""
        self.version += 1
        kind, api = KINDS[resource]
        meta = thing["metadata"] | {"resourceVersion": str(self.version)}
        made = {"kind": kind, "apiVersion": api} | thing | {"metadata": meta}
        at = (meta.get("namespace", ""), meta["name"])
        event = "MODIFIED" if at in self.objects[resource] else "ADDED"
        self.objects[resource][at] = made
        self._tell(event, resource, made, tell=tell)
        return self.version

    def delete(self, resource: str, namespace: str, name: str, *, tell: bool = True) -> None:
        self.version += 1
        gone = self.objects[resource].pop((namespace, name))
        meta = gone["metadata"] | {"resourceVersion": str(self.version)}
        self._tell("DELETED", resource, gone | {"metadata": meta}, tell=tell)

    def _tell(self, event: str, resource: str, thing: Json, *, tell: bool) -> None:
        if tell:
            self.history.append((self.version, event, resource, thing))
        for watch in self.open(resource) if tell else ():
            if self.version > int(watch.request.query.get("resourceVersion") or 0):
                watch.send(event, thing)

    def open(self, resource: str) -> list[Watch]:
        """The watches of a resource that are open."""
        return [
            one
            for one in self.watches
            if one.request.resource == resource and not (one.is_over or one.writer.is_closing())
        ]

    def bookmark(self, resource: str, version: int | None = None) -> None:
        for watch in self.open(resource):
            watch.send("BOOKMARK", bookmark(resource, version or self.version))

    # Its faults

    def fail(self, match: str, reply: Reply, *, times: int = 1) -> None:
        """Answers requests whose text begins with `match` otherwise, so many times."""
        self.faults.append((lambda request: str(request).startswith(match), reply, [times]))

    def asked(self, match: str) -> list[Request]:
        return [one for one in self.requests if str(one).startswith(match)]

    # HTTP

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    if not await self._answer(_parse(head), writer):
                        # Until the client goes, or a test cuts it.
                        await reader.read()
                        return
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """False when this was the last answer on the connection."""
        self.requests.append(request)
        reply = self._fault(request)
        if reply is None and self.authorization not in {None, request.headers.get("authorization")}:
            reply = refused(401, "Unauthorized")
        if reply is None and request.is_watch:
            reply = self._refuse_watch(request)
            if reply is None:
                self._watch(request, writer)
                return False
        reply = reply or self._list(request)
        if reply.is_silent:
            return False
        if reply.when is not None:
            await reply.when.wait()
        length = len(reply.body) + (100 if reply.is_cut or reply.is_stuck else 0)
        head = [f"HTTP/1.1 {reply.status} X", f"Content-Length: {length}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join([*head, "", ""]).encode())
        step = 1 if reply.pause_s else max(1, len(reply.body))
        for at in range(0, len(reply.body), step):
            writer.write(reply.body[at : at + step])
            await writer.drain()
            await asyncio.sleep(reply.pause_s)
        if reply.is_cut:
            writer.close()
        return not (reply.is_cut or reply.is_stuck)

    def _fault(self, request: Request) -> Reply | None:
        for matches, reply, left in self.faults:
            if left[0] and matches(request):
                left[0] -= 1
                return reply
        return None

    def _refuse_watch(self, request: Request) -> Reply | None:
        if request.resource == "serviceimports" and not self.serves_imports:
            return refused(404)
        if request.verb == "watchlist":
            good = {"allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
            is_good = request.query.items() >= good.items()
            return None if self.has_watch_lists and is_good else refused(422, "sendInitialEvents")
        if int(request.query["resourceVersion"]) < self.oldest:
            return refused(410, "too old resource version")
        return None

    def _watch(self, request: Request, writer: asyncio.StreamWriter) -> None:
        head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        watch = Watch(request, writer)
        self.watches.append(watch)
        if request.verb == "watchlist":
            for thing in self.objects[request.resource].values():
                watch.send("ADDED", thing)
            watch.send("BOOKMARK", bookmark(request.resource, self.version, ends_list=True))
            return
        since = int(request.query["resourceVersion"])
        for version, event, resource, thing in self.history:
            if resource == request.resource and version > since:
                watch.send(event, thing)

    def _list(self, request: Request) -> Reply:
        if request.resource == "serviceimports" and not self.serves_imports:
            return refused(404)
        token = request.query.get("continue")
        if token:
            items, version = self._pages.pop(token)
        else:
            items, version = [*self.objects[request.resource].values()], self.version
        fields = dict(
            term.split("=", 1)
            for term in request.query.get("fieldSelector", "").split(",")
            if "!=" not in term and term
        )
        if "metadata.name" in fields:
            at = (request.namespace, fields["metadata.name"])
            items = [one for one in items if _at(one) == at]
        limit = int(request.query.get("limit", len(items) or 1))
        page, rest = items[:limit], items[limit:]
        meta: Json = {"resourceVersion": str(version)}
        if rest:
            meta["continue"] = f"{request.resource} {len(rest)}+/="
            self._pages[meta["continue"]] = rest, version
        if request.verb == "metadata":
            page = [{"metadata": one["metadata"]} for one in page]
        return Reply(body=json.dumps({"metadata": meta, "items": page}).encode())


def bookmark(resource: str, version: int, *, ends_list: bool = False) -> Json:
    meta: Json = {"resourceVersion": str(version)}
    if ends_list:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": KINDS[resource][0], "metadata": meta}


def _at(thing: Json) -> tuple[str, str]:
    return thing["metadata"].get("namespace", ""), thing["metadata"]["name"]


def _parse(head: str) -> Request:
    first, *lines = head.rstrip().split("\r\n")
    url = urlsplit(first.split(" ")[1])
    headers = dict(line.split(": ", 1) for line in lines)
    parts = unquote(url.path).split("/")
    namespace = parts[-2] if len(parts) > 2 and parts[-3] == "namespaces" else ""
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    lower = {name.lower(): value for name, value in headers.items()}
    return Request(url.path, query, lower, parts[-1], namespace)


# Objects


def namespace(name: str) -> Json:
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}


def service(name: str, address: str = "10.96.0.1", **meta: Any) -> Json:
    spec = {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}]}
    return {"metadata": {"name": name, "namespace": "default", **meta}, "spec": spec}


def slice_(name: str, *addresses: str, owner: str = "web", **meta: Any) -> Json:
    labels = {"kubernetes.io/service-name": owner} if owner else {}
    return {
        "metadata": {"name": name, "namespace": "default", "labels": labels, **meta},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [one]} for one in addresses],
        "ports": [{"name": "http", "port": 80}],
    }


def pod(name: str, address: str, **meta: Any) -> Json:
    return {
        "metadata": {"name": name, "namespace": "default", **meta},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    }
