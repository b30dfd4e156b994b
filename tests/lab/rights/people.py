"""A lab with a ServiceAccount that may do everything, and yet is not the admin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from kdns.lab.errors import Obj
from kdns.lab.lab import Lab
from kdns.lab.resources import CLUSTERROLEBINDINGS, ROLEBINDINGS, SERVICEACCOUNTS
from kdns.lab.rights import defaults
from tests.lab.serving import Client

RBAC = "rbac.authorization.k8s.io"


def account(lab: Lab, name: str, *, role: str = "", inside: str = "") -> str:
    """The token of a new ServiceAccount in default, which has a ClusterRole, everywhere or in a
    namespace."""
    lab.storage.create(SERVICEACCOUNTS, "default", {"metadata": {"name": name}})
    if role:
        bind(lab, name, role, inside=inside)
    return lab.tokens.issue("default", name, seconds=None)


def bind(lab: Lab, name: str, role: str, *, inside: str = "") -> None:
    """Gives a ServiceAccount of default a ClusterRole."""
    binding = {
        "metadata": {"name": f"{name}-{role}"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
    }
    lab.storage.create(ROLEBINDINGS if inside else CLUSTERROLEBINDINGS, inside, binding)


async def sent(
    client: Client, method: str, path: str, body: Any, media: str = "application/json"
) -> Obj:
    """What the API has made of it."""
    code, obj = await client.ask(method, path, body, Content_Type=media)
    assert code in {200, 201}, obj
    return dict(obj)


@asynccontextmanager
async def asking(lab: Lab, token: str) -> AsyncIterator[Client]:
    """Whoever has a token."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(lab.url, headers=headers) as session:
        yield Client(lab, session)


@asynccontextmanager
async def two(**settings: Any) -> AsyncIterator[tuple[Client, Client]]:
    """The admin, and somebody who may do as much."""
    async with Lab(**settings) as lab:
        defaults.furnish(lab.storage)
        token = account(lab, "bot", role="cluster-admin")
        async with asking(lab, lab.token) as admin, asking(lab, token) as bot:
            yield admin, bot
