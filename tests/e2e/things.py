"""The objects that the tests create, and the truth about them: which addresses were ready when."""

import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from tests.referee.asking import Reading
from tests.referee.kube import Kube, Object, path_of


def service(space: str, name: str, **spec: Any) -> Object:
    """A service that selects app=NAME, unless told otherwise."""
    body = {"selector": {"app": name}, "ports": [port("http", 80)], **spec}
    meta = {"name": name, "namespace": space}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": body}


def port(name: str, number: int, protocol: str = "TCP") -> Object:
    """A port of a service."""
    return {"name": name, "port": number, "protocol": protocol}


def external(space: str, name: str, target: str) -> Object:
    """An ExternalName service."""
    spec = {"type": "ExternalName", "externalName": target}
    meta = {"name": name, "namespace": space}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def pod_spec(**spec: Any) -> Object:
    """What every pod here runs: nothing."""
    return {"containers": [{"name": "one", "image": "none"}], **spec}


def pod(space: str, name: str, app: str, **spec: Any) -> Object:
    """A pod labelled app=APP."""
    meta = {"name": name, "namespace": space, "labels": {"app": app}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod_spec(**spec)}


def deployment(space: str, name: str, replicas: int) -> Object:
    """A deployment of pods labelled app=NAME."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod_spec()}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    meta = {"name": name, "namespace": space}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def slice_(space: str, service_: str, *addresses: str, number: int = 0) -> Object:
    """A slice of ready endpoints, written by hand."""
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": f"{service_}-{number}", "namespace": space,
            "labels": {"kubernetes.io/service-name": service_},
        },
        "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
        "ports": [port("http", 80)],
    }  # fmt: skip


@dataclass
class Truth:
    """A watch of our own on the slices of a namespace: what was ready, and from when on."""

    kube: Kube
    space: str
    service: str
    history: list[tuple[float, frozenset[str]]] = field(default_factory=list)

    def __enter__(self) -> "Truth":
        at = urlsplit(self.kube.url)
        kind = HTTPSConnection if self.kube.context else HTTPConnection
        more: Any = {"context": self.kube.context} if self.kube.context else {}
        self._connection = kind(at.hostname or "", at.port, **more)
        label = f"kubernetes.io/service-name={self.service}"
        query = f"?watch=1&labelSelector={label}"
        headers = {"Authorization": f"Bearer {self.kube.token}"}
        path = path_of("EndpointSlice", self.space)
        self._connection.request("GET", path + query, headers=headers)
        self._reply = self._connection.getresponse()
        self._slices: dict[str, frozenset[str]] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._connection.sock is not None or self._reply.fp is not None
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._connection.close()

    def _run(self) -> None:
        try:
            while line := self._reply.readline():
                self._apply(json.loads(line))
        except (OSError, ValueError):
            return

    def _apply(self, event: Object) -> None:
        name = event["object"]["metadata"]["name"]
        self._slices[name] = frozenset(
            address
            for each in event["object"].get("endpoints") or ()
            for address in each["addresses"]
            if event["type"] != "DELETED" and each["conditions"].get("ready") is not False
        )
        now = frozenset().union(*self._slices.values())
        self.history.append((time.monotonic(), now))

    @property
    def ready(self) -> frozenset[str]:
        """What is ready now."""
        return self.history[-1][1] if self.history else frozenset()

    def between(self, start: float, end: float) -> list[frozenset[str]]:
        """Every state that held at some moment of a while."""
        before = [state for when, state in self.history if when <= start][-1:]
        return before + [state for when, state in self.history if start < when <= end]

    def allows(self, reading: Reading, slack_s: float) -> bool:
        """True when an answer was right at some moment around the question, and not empty for
        nothing."""
        assert reading.got is not None
        states = self.between(reading.sent - slack_s, reading.got + slack_s)
        known = frozenset[str]().union(*states)
        has_some = all(states) and bool(states)
        if has_some and (reading.rcode != "NOERROR" or not reading.addresses):
            return False
        return reading.addresses <= known and reading.rcode in ("NOERROR", "NXDOMAIN")
