"""`kdns lab rules [[NAMESPACE/]SVC]`: what kube-proxy makes of the services of a cluster.

Services, slices, nodes and ingresses are read over the API, of a lab or of any cluster, and become
rules as in the played kube-proxy.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from random import random
from time import monotonic, time

import msgspec

from kdns.cli.whose import KUBECONFIG, named
from kdns.cluster.api.connection import Access
from kdns.cluster.api.credentials import Credentials, reader
from kdns.cluster.api.failures import Refused, SourceError
from kdns.cluster.api.relay import Relay
from kdns.cluster.api.session import Session
from kdns.cluster.api.throttle import Throttle
from kdns.lab.errors import Obj
from kdns.lab.proxy.listing import Cluster, lines
from kdns.observe.counters import Counters

_PAGE = 500
_ALL_S = 60.0
_SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
_INGRESSES = "/apis/networking.k8s.io/v1/ingresses"


def main(arguments: Sequence[str]) -> int:
    """Exit code 0; 1 when the cluster cannot be read or has no such service; 2 for bad usage."""
    words = _parse(arguments)
    try:
        found = asyncio.run(_read(words.kubeconfig))
    except SourceError as error:
        print(f"kdns lab rules: {error}", file=sys.stderr)
        return 1
    except TimeoutError:
        print("kdns lab rules: no answer from the API server: does the lab run?", file=sys.stderr)
        return 1
    rows = found.rows(words.service)
    if words.output == "json":
        print(msgspec.json.format(msgspec.json.encode([row.plain() for row in rows])).decode())
    else:
        for line in lines(rows):
            print(line)
    if rows or not words.service:
        return 0
    why = found.why_none(words.service)
    if why:
        print(f"kdns lab rules: {words.service} has no rules: {why}", file=sys.stderr)
        return 0
    name = words.service.partition("/")[2]
    others = [key for key in sorted(found.table.services) if key.partition("/")[2] == name]
    hint = f"; did you mean {' or '.join(others)}?" if others else ""
    print(f"kdns lab rules: there is no service {words.service}{hint}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    made = argparse.ArgumentParser(
        prog="kdns lab rules", allow_abbrev=False,
        usage="kdns lab rules [FLAG …] [[NAMESPACE/]SVC]",
        description="Prints address:port → endpoints as kube-proxy has them.",
    )  # fmt: skip
    flag = made.add_argument
    flag("service", metavar="SVC", nargs="?", default="", help="NAME (in default), NAMESPACE/NAME")
    flag("-n", "--namespace", metavar="NAMESPACE", default="default", help="of SVC (default)")
    flag("-o", "--output", metavar="FORMAT", choices=("text", "json"), default="text",
         help="text or json")  # fmt: skip
    flag(
        "--kubeconfig", metavar="FILE", default="",
        help=f"whose cluster ($KUBECONFIG, or {KUBECONFIG})",
    )  # fmt: skip
    return made


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    grammar = parser()
    words = grammar.parse_args(arguments)
    words.kubeconfig = words.kubeconfig or named()
    if not words.kubeconfig:
        grammar.error(f"there is no {KUBECONFIG}: start a lab here, or name one by --kubeconfig")
    if words.service and "/" not in words.service:
        words.service = f"{words.namespace}/{words.service}"
    return words


async def _read(kubeconfig: str) -> Cluster:
    """Everything that rules are made of; raises SourceError, and TimeoutError."""
    access = Access(kubeconfig=kubeconfig)
    credentials = Credentials(reader(access), clock=monotonic, wall=time)
    throttle = Throttle(0, 0, 0, monotonic)
    session = Session(credentials, throttle, Counters(), Relay(), clock=monotonic, chance=random)
    try:
        async with asyncio.timeout(_ALL_S):
            return Cluster(
                await _list(session, "/api/v1/services"),
                await _list(session, _SLICES),
                await _spare(session, "/api/v1/nodes", "node ports are left out"),
                await _spare(session, _INGRESSES, "ingresses are left out"),
            )
    finally:
        session.close()


async def _spare(session: Session, path: str, without: str) -> list[Obj]:
    """A list that may be missing or forbidden."""
    try:
        return await _list(session, path)
    except Refused as error:
        print(f"kdns lab rules: {error}; {without}", file=sys.stderr)
        return []


async def _list(session: Session, path: str) -> list[Obj]:
    found: list[Obj] = []
    query = {"limit": str(_PAGE)}
    while True:
        what = f"list {path.rpartition('/')[2]}"
        body = await session.get(path, query, what=what)
        try:
            page = msgspec.json.decode(body, type=dict)
            found += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue")
        except (msgspec.DecodeError, AttributeError, TypeError) as error:
            raise SourceError(f"what the API server says to {path} is no list ({error})") from None
        if not more:
            return found
        query = {**query, "continue": more}
