"""`kdns lab exec POD -- COMMAND`: runs a command in a pod of a lab, as `kubectl exec` does.

It speaks kubectl's protocol, so that it works without kubectl, and with real clusters too.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec

from kdns.cli.whose import KUBECONFIG, named
from kdns.cluster.api import tls
from kdns.cluster.api.credentials import Secrets
from kdns.cluster.api.failures import SourceError
from kdns.cluster.api.kubeconfig import Kubeconfig
from kdns.lab.doors import caller, channels
from kdns.lab.errors import Obj

_DEFAULT = "kubectl.kubernetes.io/default-container"
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_connect=10)
_ANSWER_S = 30.0
_KINDS = {
    "deployments": ("deploy", "deployment", "deployments", "deployment.apps", "deployments.apps"),
    "statefulsets": ("sts", "statefulset", "statefulsets", "statefulset.apps", "statefulsets.apps"),
    "daemonsets": ("ds", "daemonset", "daemonsets", "daemonset.apps", "daemonsets.apps"),
    "replicasets": ("rs", "replicaset", "replicasets", "replicaset.apps", "replicasets.apps"),
    "services": ("svc", "service", "services"),
    "pods": ("po", "pod", "pods"),
}
_PLURALS = {word: plural for plural, words in _KINDS.items() for word in words}


class ExecError(Exception):
    """Why no command could run, in one line."""


@dataclass(frozen=True, slots=True)
class _Words:
    """The command line."""

    kubeconfig: str
    namespace: str
    kind: str
    name: str
    container: str
    command: tuple[str, ...]
    has_input: bool
    is_terminal: bool


def main(arguments: Sequence[str]) -> int:
    """The command's exit code; 1 when it could not run, 2 for bad usage."""
    words = _parse(arguments)
    try:
        secrets = Kubeconfig(words.kubeconfig, "").read(refused=False)
        return asyncio.run(_run(words, secrets))
    except KeyboardInterrupt:
        return 130
    except asyncio.CancelledError:
        return 143
    except (ExecError, SourceError, caller.LostError) as error:
        print(f"kdns lab exec: {error}", file=sys.stderr)
    except aiohttp.ClientConnectorError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        where = f"{error.host}:{error.port}"
        print(f"kdns lab exec: no lab answers on {where} ({why}): does it run?", file=sys.stderr)
    except aiohttp.ClientError as error:
        print(f"kdns lab exec: no answer from the lab ({error}): does it run?", file=sys.stderr)
    except TimeoutError:
        print("kdns lab exec: no answer from the lab: does it run?", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    """What may be said, up to `--`."""
    made = argparse.ArgumentParser(
        prog="kdns lab exec", allow_abbrev=False,
        usage="kdns lab exec [FLAG …] POD -- COMMAND …",
        description="Runs a command in a pod of a lab that is played, as kubectl exec does.",
    )  # fmt: skip
    flag = made.add_argument
    flag("pod", metavar="POD", help="NAME, NAMESPACE/NAME, or a ready one of deploy/NAME, svc/NAME")
    flag("-n", "--namespace", metavar="NAMESPACE", default="", help="of the pod (default)")
    flag("-c", "--container", metavar="NAME", default="", help="the pod's first one")
    flag("-i", "--stdin", action="store_true", help="pass stdin on")
    flag("-t", "--tty", action="store_true", help="with stdin, as a terminal, where it is one")
    flag(
        "--kubeconfig", metavar="FILE", default="",
        help=f"whose lab ($KUBECONFIG, or {KUBECONFIG})",
    )  # fmt: skip
    return made


def _parse(arguments: Sequence[str]) -> _Words:
    words = list(arguments)
    at = words.index("--") if "--" in words else len(words)
    grammar = parser()
    options = grammar.parse_args(words[:at])
    command = tuple(words[at + 1 :])
    if not command:
        grammar.error("a command must follow, as in: kdns lab exec webapp -- env")
    kubeconfig = options.kubeconfig or named()
    if not kubeconfig:
        grammar.error(f"there is no {KUBECONFIG}: start a lab here, or name one by --kubeconfig")
    above, _, name = options.pod.rpartition("/")
    kind = _PLURALS.get(above, "pods")
    namespace = options.namespace or (above if above not in _PLURALS else "") or "default"
    has_input = options.stdin or options.tty
    is_terminal = has_input and sys.stdin.isatty() and sys.stdout.isatty()
    if options.tty and not is_terminal:
        print("kdns lab exec: stdin and stdout are no terminal: -t is left out", file=sys.stderr)
    return _Words(
        kubeconfig, namespace, kind, name, options.container, command, has_input, is_terminal
    )


async def _run(words: _Words, secrets: Secrets) -> int:
    headers = {"Authorization": secrets.authorization} if secrets.authorization else {}
    is_secure = secrets.url.startswith("https:")
    connector = aiohttp.TCPConnector(ssl=tls.context(secrets.pair) if is_secure else True)
    async with aiohttp.ClientSession(
        headers=headers, connector=connector, timeout=_TIMEOUT
    ) as session:
        api = _Api(session, secrets)
        pod = await _pod(api, words)
        container = words.container or _container(pod)
        name, namespace = pod["metadata"]["name"], words.namespace
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/exec"
        query = [("command", word) for word in words.command]
        query += [("container", container), ("stdout", "true")]
        query += [("stdin", "true")] if words.has_input else []
        query.append(("tty", "true") if words.is_terminal else ("stderr", "true"))
        async with api.socket(path, query) as socket:
            status = await caller.call(
                socket, has_input=words.has_input, is_terminal=words.is_terminal
            )
    code = channels.exit_code(status)
    if status.get("status") != "Success" and status.get("reason") != "NonZeroExitCode":
        raise ExecError(status.get("message") or "the command failed")
    return code


class _Api:
    """An API server, asked as a kubeconfig says."""

    def __init__(self, session: aiohttp.ClientSession, secrets: Secrets) -> None:
        self._session = session
        self._url = secrets.url
        self._name = secrets.server_name or None

    async def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Obj:
        """An object; raises ExecError with the server's words."""
        async with (
            asyncio.timeout(_ANSWER_S),
            self._session.get(self._url + path, params=query, server_hostname=self._name) as reply,
        ):
            body = await reply.read()
        try:
            found = msgspec.json.decode(body, type=dict)
        except msgspec.DecodeError:
            raise ExecError(f"the server says {reply.status} {reply.reason or ''}") from None
        if reply.status >= 400:
            raise ExecError(str(found.get("message") or reply.reason))
        return found

    @asynccontextmanager
    async def socket(
        self, path: str, query: Sequence[tuple[str, str]]
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket; raises ExecError with the server's words."""
        try:
            socket = await self._session.ws_connect(
                self._url + path,
                params=query,
                protocols=channels.PROTOCOLS,
                server_hostname=self._name,
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status not in {101, 200}:
                await self.get(path, query)  # the same refusal, with its words
            raise ExecError(f"the server opens no WebSocket: {error.message}") from None
        try:
            yield socket
        finally:
            await socket.close()


async def _pod(api: _Api, words: _Words) -> Obj:
    """The pod itself, or a ready one of those that a workload or service has."""
    place = f"/api/v1/namespaces/{words.namespace}"
    if words.kind == "pods":
        return await api.get(f"{place}/pods/{words.name}")
    is_core = words.kind == "services"
    above = place if is_core else f"/apis/apps/v1/namespaces/{words.namespace}"
    owner = await api.get(f"{above}/{words.kind}/{words.name}")
    selector = (owner.get("spec") or {}).get("selector") or {}
    query = _query({"matchLabels": selector} if is_core else selector)
    if not query:
        raise ExecError(f"{words.kind}/{words.name} has no selector, and so no pods")
    pods = (await api.get(f"{place}/pods", [("labelSelector", query)])).get("items") or []
    ready = [pod for pod in pods if _is_ready(pod)]
    if not ready:
        raise ExecError(f"no pod of {words.kind}/{words.name} is ready (of {len(pods)})")
    return min(ready, key=lambda pod: str(pod["metadata"]["name"]))


def _query(selector: Obj) -> str:
    """A LabelSelector as queries have it."""
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        key, listed = one["key"], ",".join(one.get("values") or ())
        shown = {"Exists": key, "DoesNotExist": f"!{key}"}
        terms.append(shown.get(one["operator"], f"{key} {one['operator'].lower()} ({listed})"))
    return ",".join(terms)


def _is_ready(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return is_ready and "deletionTimestamp" not in pod["metadata"]


def _container(pod: Obj) -> str:
    """The one that an annotation names, or the first; says which where there are several."""
    names = [str(one["name"]) for one in pod["spec"]["containers"]]
    found = (pod["metadata"].get("annotations") or {}).get(_DEFAULT, names[0])
    if len(names) > 1:
        print(f'Defaulted container "{found}" out of: {", ".join(names)}', file=sys.stderr)
    return str(found)
