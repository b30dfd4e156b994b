"""A played lab that is restored from a snapshot: the same port, the same pods, connections again."""

import asyncio
from contextlib import suppress
from pathlib import Path

from kdns.lab import manifests, played
from kdns.lab.resources import PODS, SERVICES

PORT = 7080
WEB = """
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 7080}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, labels: {app: web}}, spec: {containers: [
  {name: web, image: nginx, ports: [{containerPort: 7080}]}]}}
"""


async def test_a_restored_lab_stands_where_it_stood(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(WEB)
    plan = played.Plan(0, 0, 0, None, has_page=False)
    async with asyncio.timeout(60), played.Played(plan, played.on_loopback("")) as play:
        play.open(manifests.read([tmp_path]))
        await answered(play)
        before = play.lab.url, uids(play)
        await play.lab.restore(play.lab.snapshot())
        await answered(play)
        assert (play.lab.url, uids(play)) == before


def uids(play: played.Played) -> list[str]:
    return [pod["metadata"]["uid"] for pod in play.lab.storage.list(PODS)]


async def answered(play: played.Played) -> None:
    """By the pod, at the address of its service."""
    address = play.lab.storage.get(SERVICES, "default", "web")["spec"]["clusterIP"]
    said = b""
    while not said:
        with suppress(ConnectionError):
            reader, writer = await asyncio.open_connection(address, PORT)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            said = await reader.read()
            writer.close()
        await asyncio.sleep(0.02)
    assert b"web" in said
