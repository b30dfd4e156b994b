"""Records what a real control plane says to the requests in `cases`.

python -m tests.lab.rights.record URL ADMIN-TOKEN > tests/lab/rights/recorded.json
"""

import asyncio
import json
import sys
from typing import Any

import aiohttp

from tests.lab.rights.cases import ACCOUNTS, REQUESTS, SETUP, answer

MEDIA = {"PATCH": "application/merge-patch+json", "PATCH-APPLY": "application/apply-patch+yaml"}
_TOKEN = "/api/v1/namespaces/team/serviceaccounts/{}/token"


async def answers(session: aiohttp.ClientSession, admin: str) -> list[dict[str, Any]]:
    """Makes the objects as the admin, and asks as everybody."""

    async def ask(token: str, method: str, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        if method == "IMPERSONATE":
            method, headers["Impersonate-User"] = "GET", "somebody"
        headers["Content-Type"] = MEDIA.get(method, "application/json")
        method = method.partition("-")[0]
        sent = None if body is None else json.dumps(body)
        async with session.request(method, path, data=sent, headers=headers, ssl=False) as reply:
            text = await reply.text()
            is_json = text.startswith("{") and "watch=1" not in path
            return reply.status, json.loads(text) if is_json else text

    for path, obj in SETUP:
        code, made = await ask(admin, "POST", path, obj)
        assert code == 201, (path, made)
    tokens = {"admin": admin}
    for name in ACCOUNTS:
        code, made = await ask(admin, "POST", _TOKEN.format(name), {})
        assert code == 201, made
        tokens[name] = made["status"]["token"]
    found = []
    for who, method, path, body in REQUESTS:
        found.append(answer(*await ask(tokens[who], method, path, body)))
    return found


async def main(url: str, token: str) -> None:
    """Prints them."""
    async with aiohttp.ClientSession(url) as session:
        found = await answers(session, token)
    keyed = [
        {"ask": f"{who} {method} {path}", **one}
        for (who, method, path, _), one in zip(REQUESTS, found, strict=True)
    ]
    json.dump(keyed, sys.stdout, indent=1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
