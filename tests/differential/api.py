"""Kubernetes objects become a read-only list-and-watch API on loopback that client-go can use.

Lists, watches with bookmarks, WatchList (`sendInitialEvents`), label selectors, and the field
selectors `metadata.name` and `status.phase`. Every put and delete reaches the open watches, as the
selectors of each see it.
"""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
Matches = Callable[[Object], bool]

KINDS = {
    "/api/v1/namespaces": ("v1", "Namespace"),
    "/api/v1/services": ("v1", "Service"),
    "/api/v1/pods": ("v1", "Pod"),
    "/api/v1/endpoints": ("v1", "Endpoints"),
    "/apis/discovery.k8s.io/v1/endpointslices": ("discovery.k8s.io/v1", "EndpointSlice"),
    "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports": (
        "multicluster.x-k8s.io/v1alpha1",
        "ServiceImport",
    ),
}
"""What can be listed, by path: apiVersion and kind."""

INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True)
class Event:
    """A change of one object: before and after, either of them None."""

    version: int
    kind: str
    before: Object | None
    after: Object | None

    def seen_by(self, matches: Matches) -> tuple[str, Object] | None:
        """The watch event for a watcher with these selectors."""
        was = self.before is not None and matches(self.before)
        if self.after is not None and matches(self.after):
            return ("MODIFIED" if was else "ADDED"), self.after
        gone = self.after or self.before
        return ("DELETED", gone) if was and gone else None


class Api:
    """The API server; a context manager that serves from entry to exit."""

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.events: list[Event] = []
        self.version = 100
        self.changed = threading.Condition()
        self.is_open = True
        for each in objects:
            self.put(each)
        api = self

        class Handler(_Handler):
            server_api = api

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "Api":
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open = False
        with self.changed:
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def put(self, each: Object) -> None:
        """Creates or replaces an object."""
        self._change(_key(each), each)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Deletes an object."""
        self._change((kind, namespace, name), None)

    def _change(self, key: tuple[str, str, str], after: Object | None) -> None:
        with self.changed:
            self.version += 1
            version = {"resourceVersion": str(self.version)}
            before = self.objects.pop(key, None)
            if after is not None:
                after = {**after, "metadata": {**after["metadata"], **version}}
                self.objects[key] = after
            elif before is not None:
                before = {**before, "metadata": {**before["metadata"], **version}}
            self.events.append(Event(self.version, key[0], before, after))
            self.changed.notify_all()

    def list(self, kind: str, matches: Matches) -> tuple[int, list[Object]]:
        """The objects of a kind, and the version this is the state of."""
        with self.changed:
            mine = [each for key, each in self.objects.items() if key[0] == kind]
            return self.version, [each for each in mine if matches(each)]

    def watch(self, kind: str, since: int, quiet_s: float) -> Iterator[Event | None]:
        """The events of a kind after a version, as they come; None after each quiet while."""
        at = next((i for i, event in enumerate(self.events) if event.version > since), None)
        at = len(self.events) if at is None else at
        while self.is_open:
            with self.changed:
                if at == len(self.events) and not self.changed.wait(quiet_s):
                    fresh = None
                else:
                    fresh = self.events[at:]
                    at = len(self.events)
            yield from [None] if fresh is None else [e for e in fresh if e.kind == kind]


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server_api: Api

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        known = KINDS.get(url.path)
        if known is None:
            self._reply(200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}) if (
                url.path == "/version"
            ) else self._reply(404, _status(404, "NotFound", url.path))
        elif query.get("watch") in ("1", "true"):
            self._watch(*known, query)
        else:
            self._list(*known, query)

    def _list(self, group: str, kind: str, query: dict[str, str]) -> None:
        version, items = self.server_api.list(kind, _matches(query))
        head = {"apiVersion": group, "kind": f"{kind}List"}
        self._reply(200, {**head, "metadata": {"resourceVersion": str(version)}, "items": items})

    def _watch(self, group: str, kind: str, query: dict[str, str]) -> None:
        api, matches = self.server_api, _matches(query)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            since = int(query.get("resourceVersion") or 0)
            if query.get("sendInitialEvents") == "true":
                since, items = api.list(kind, matches)
                for each in items:
                    self._send("ADDED", each)
                self._send("BOOKMARK", _bookmark(group, kind, since, INITIAL_END))
            elif since == 0:
                since = api.version
            for event in api.watch(kind, since, 5.0):
                seen = event and event.seen_by(matches)
                if seen:
                    self._send(*seen)
                elif event is None:
                    self._send("BOOKMARK", _bookmark(group, kind, api.version, {}))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass
        self.close_connection = True

    def _send(self, type_: str, each: Object) -> None:
        line = json.dumps({"type": type_, "object": each}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def _reply(self, code: int, body: Object) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Says nothing: the asker's own log tells more."""


def selects(selector: str, labels: dict[str, str]) -> bool:
    """True when labels satisfy a label selector as Kubernetes writes them."""
    terms = re.findall(r"[^,(]+(?:\([^)]*\))?", selector)
    return all(_selects_one(term.strip(), labels) for term in terms)


def _selects_one(term: str, labels: dict[str, str]) -> bool:
    if inside := re.fullmatch(r"(\S+)\s+(in|notin)\s+\((.*)\)", term):
        key, word, values = inside.groups()
        is_in = labels.get(key) in [value.strip() for value in values.split(",")]
        return is_in if word == "in" else not is_in
    if term.startswith("!"):
        return term[1:].strip() not in labels
    parts = re.split(r"\s*(!=|==|=)\s*", term)
    if len(parts) == 1:
        return term in labels
    return (labels.get(parts[0]) == parts[2]) != (parts[1] == "!=")


def _matches(query: dict[str, str]) -> Matches:
    selector, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")

    def matches(each: Object) -> bool:
        flat = {
            "metadata.name": each["metadata"]["name"],
            "status.phase": (each.get("status") or {}).get("phase", ""),
        }
        labels = each["metadata"].get("labels") or {}
        return selects(selector, labels) and selects(fields, flat)

    return matches


def _key(each: Object) -> tuple[str, str, str]:
    meta = each["metadata"]
    return each["kind"], meta.get("namespace", ""), meta["name"]


def _bookmark(group: str, kind: str, version: int, annotations: dict[str, str]) -> Object:
    meta: Object = {"resourceVersion": str(version)}
    if annotations:
        meta["annotations"] = annotations
    return {"apiVersion": group, "kind": kind, "metadata": meta}


def _status(code: int, reason: str, path: str) -> Object:
    head = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "metadata": {}}
    return {**head, "code": code, "reason": reason, "message": f"{path} is not served"}
