"""A lab without controllers, and a client that asks it over HTTP."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from kdns.lab.lab import Lab
from kdns.lab.resources import CONFIGMAPS

MAPS = "/api/v1/namespaces/default/configmaps"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class Client:
    """The admin, in JSON."""

    def __init__(self, lab: Lab, session: aiohttp.ClientSession) -> None:
        self.lab = lab
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Status and object of a reply."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        if body is not None:
            named.setdefault("Content-Type", "application/json")
        sent = None if body is None else io.BytesIO(body)
        async with self.session.request(method, path, data=sent, headers=named) as reply:
            text = await reply.read()
            self.headers = reply.headers
            return reply.status, json.loads(text) if text[:1] in {b"{", b"["} else text.decode()

    async def get(self, path: str, **headers: str) -> Any:
        """The object of a reply that must be good."""
        code, obj = await self.ask("GET", path, **headers)
        assert code == 200, obj
        return obj

    @asynccontextmanager
    async def watch(
        self, path: str = MAPS, query: str = "", **headers: str
    ) -> AsyncIterator["Lines"]:
        """An open watch."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        url = f"{path}?watch=1&{query}"
        async with self.session.get(url, headers=named) as reply:
            assert reply.status == 200, await reply.text()
            yield Lines(reply)


class Lines:
    """What comes from a watch."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self.reply = reply

    async def next(self) -> Any:
        """The next line, None at the end."""
        line = await self.reply.content.readline()
        return json.loads(line) if line else None

    async def names(self, count: int) -> list[str]:
        """The next events, as `ADDED a`."""
        found = []
        for _ in range(count):
            line = await self.next()
            found.append(f"{line['type']} {line['object']['metadata'].get('name', '')}".strip())
        return found


@asynccontextmanager
async def client(lab: Lab) -> AsyncIterator[Client]:
    """A client of a lab that runs."""
    headers = {"Authorization": f"Bearer {lab.token}"}
    async with aiohttp.ClientSession(lab.url, headers=headers) as session:
        yield Client(lab, session)


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Client]:
    """A lab of its own, and its client."""
    async with Lab(has_controllers=False, **settings) as lab, client(lab) as found:
        yield found


def make(lab: Lab, *names: str, **labels: str) -> None:
    """Stores config maps."""
    for name in names:
        lab.storage.create(CONFIGMAPS, "default", {"metadata": {"name": name, "labels": labels}})


def change(lab: Lab, name: str, **data: str) -> None:
    """Changes one."""
    obj = lab.storage.get(CONFIGMAPS, "default", name)
    lab.storage.update(CONFIGMAPS, "default", name, obj | {"data": data})


def remove(lab: Lab, name: str) -> None:
    """Deletes one."""
    lab.storage.delete(CONFIGMAPS, "default", name)
