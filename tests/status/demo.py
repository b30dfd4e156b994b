"""The demo cluster of `config/demo` in a lab, and a kdns with `status` that watches it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp

from kdns.cli.furnish import furnish
from kdns.lab import manifests
from kdns.lab.controllers.desk import Desk
from kdns.lab.lab import Lab
from tests.serving import Serving

DEMO = Path(__file__).parents[2] / "config" / "demo"
PATCH = {"Content-Type": "application/merge-patch+json"}


@dataclass
class Demo:
    """Where it is, and the API of the lab."""

    serving: Serving
    lab: Lab
    api: aiohttp.ClientSession

    @property
    def url(self) -> str:
        [door] = [one for one in self.serving.service._http.values() if "/explain" in one.routes]
        return f"http://127.0.0.1:{door.port}/"

    async def scale(self, deployment: str, replicas: int) -> None:
        """Through the lab's API, as kubectl would."""
        space, _, name = deployment.partition("/")
        path = f"/apis/apps/v1/namespaces/{space}/deployments/{name}"
        body = {"spec": {"replicas": replicas}}
        async with self.api.patch(path, json=body, headers=PATCH) as reply:
            assert reply.status == 200, await reply.text()


def corefile(kubeconfig: Path, status: str = "") -> str:
    """The demo's, on free ports, as a pod would be served."""
    text = (DEMO / "Corefile").read_text()
    text = re.sub(r"(?m)^ +(health|ready|prometheus|reload)\b.*\n", "", text)
    told = {
        "_KUBECONFIG": str(kubeconfig),
        "_DNS_PORT": "0",
        "_DNS": "127.0.0.1",
        "_NODE": "127.0.0.1",
        "_PAGE": f"127.0.0.1:0 {status}",
    }
    return re.sub(r"\{\$KDNS_LAB(\w+)\}", lambda word: told[word[1]], text)


@asynccontextmanager
async def demo(folder: Path, status: str = "") -> AsyncIterator[Demo]:
    """All of it, in this process; `status` are options of the directive."""
    async with Lab() as lab:
        manifests.apply(lab.storage, manifests.read([DEMO]), Desk(lab.storage, Random(1).randrange))
        serving = Serving(corefile(lab.kubeconfig(folder / "kubeconfig"), status), folder)
        furnish(serving.service)
        headers = {"Authorization": f"Bearer {lab.token}"}
        async with serving, aiohttp.ClientSession(lab.url, headers=headers) as api:
            yield Demo(serving, lab, api)
