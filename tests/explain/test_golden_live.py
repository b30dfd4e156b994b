"""Every broken cluster of tests/golden/explain, explained by a running server on its status port.

The server reads the cluster from an API server, which has the objects as kubectl printed them: no
controller changes them. What it says of the name must begin with the same reason as from files.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from kdns.cli.furnish import furnish
from kdns.cluster import documents
from kdns.lab import resources
from kdns.lab.lab import Lab, Snapshot
from kdns.server.assembly import Services, built
from kdns.server.service import Service
from tests.golden.explain.case import corefile, explained, folders, question

KINDS = {
    one.kind: one
    for one in vars(resources).values()
    if isinstance(one, resources.Resource) and one.kind != "Event"
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
OF_FILES = {"stale"}
"""What a server says of itself, tried below."""


def objects(folder: Path) -> Snapshot:
    """The cluster of a case, as storage holds it."""
    text = recent((folder / "cluster.yaml").read_text())
    stored = []
    names = set()
    for number, found in enumerate(documents.parse(text, lambda body: body), 1):
        assert not found.error
        read: Any = found.thing
        # Storage has these two first, as it writes them itself.
        body = {name: read[name] for name in ("apiVersion", "kind")} | read
        meta = body["metadata"]
        meta.setdefault("uid", f"00000000-0000-0000-0000-{number:012}")
        meta["resourceVersion"] = str(number)
        stored.append((KINDS[body["kind"]], body))
        names.add((body["kind"], meta.get("namespace", ""), meta["name"]))
    for number, space in enumerate(("default", "kube-system"), len(stored) + 1):
        if ("Namespace", "", space) not in names:
            meta = {"name": space, "uid": f"n{number}", "resourceVersion": str(number)}
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}
            stored.append((KINDS["Namespace"], body))
    return Snapshot(len(stored) + 1, tuple(stored))


@asynccontextmanager
async def serving(folder: Path, tmp_path: Path) -> AsyncIterator[tuple[Lab, str]]:
    """The API server, and the URL of the status port of a kdns that watches it."""
    async with Lab(has_controllers=False) as lab:
        await lab.restore(objects(folder))
        kubeconfig = lab.kubeconfig(tmp_path / "kubeconfig")
        text = re.sub(r'manifests ".*"', f'kubeconfig "{kubeconfig}"', corefile(folder))
        text = re.sub(r"(?m)^([^\s#].*):53(?=.*\{)", r"\1:0", text).replace(":53 ", ":0 ")
        text = re.sub(r"(?m)^(\S.*\{)$", r"\1\n    bind 127.0.0.1\n    status 127.0.0.1:0", text)
        services = Services()
        service = Service(built(text, "Corefile", services), services)
        furnish(service)
        await service.start()
        try:
            [port] = [port for path, port in web(service) if path == "/explain"]
            yield lab, f"http://127.0.0.1:{port}/explain"
        finally:
            await service.stop()


def web(service: Service) -> list[tuple[str, int]]:
    return [(path, door.port) for door in service._http.values() for path in door.routes]


def recent(text: str) -> str:
    """A dump as if it had been printed just now."""
    times = [datetime.fromisoformat(one) for one in TIME.findall(text)]
    late = datetime.now(UTC) - max(times, default=datetime.now(UTC))

    def moved(found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(found[0]) + late
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    return TIME.sub(moved, text)


def lasting(says: str) -> str:
    """A sentence without what is different each time: ports of sockets, how long ago it was."""
    says = re.sub(r"\((\d+ (s|min|h|d)|\d+\.\d+ s)\)", "(a while)", says)
    says = re.sub(r"127\.0\.0\.1:\d+->", "", says).replace(" .:0", " .:53")
    return TIME.sub("(then)", says)


async def asked(url: str, folder: Path) -> dict[str, Any]:
    what = question(folder)
    words = {"name": what.name, "type": what.type, "from": what.asker}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}?{urlencode(words)}") as reply,
    ):
        assert reply.status == 200, await reply.text()
        return await reply.json()


@pytest.mark.parametrize(
    "folder", [one for one in folders() if one.name not in OF_FILES], ids=lambda one: one.name
)
async def test_a_running_server_gives_the_same_reason(folder: Path, tmp_path: Path) -> None:
    expected = (await explained(folder)).reasons[0]
    async with serving(folder, tmp_path) as (_, url):
        first = (await asked(url, folder))["reasons"][0]
        assert (first["id"], lasting(first["says"])) == (expected.id, lasting(expected.says))


async def test_a_server_whose_api_is_away_says_how_old_its_answer_is(tmp_path: Path) -> None:
    [folder] = [one for one in folders() if one.name == "stale"]
    async with asyncio.timeout(60), serving(folder, tmp_path) as (lab, url):
        await lab.stop_serving()
        while (found := await asked(url, folder))["reasons"][0]["id"] != "stale":
            await asyncio.sleep(0.2)
        said = re.sub(r"it is [\d.]+ m?s old", "it is old", found["reasons"][0]["says"])
        assert said.startswith("the answer is stale: it is old, the server has lost")
