"""`kdns explain NAME`: why a name resolves, or does not, as pods would look it up.

Asked is the server that `--status` names; else one in this process for manifests, a Corefile or a
cluster; or, with `--server`, any DNS server from outside.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import msgspec

from kdns.cli.explaining import Told
from kdns.cli.terminal import columns, is_colored
from kdns.client.search import parse_resolv
from kdns.client.targets import parse_address
from kdns.cluster.api.connection import Access
from kdns.cluster.api.failures import SourceError
from kdns.corefile.tree import ConfigError
from kdns.explain import scenes, shapes, text
from kdns.explain.answer import Question, QuestionError, Scene, explain
from kdns.explain.gather import Unreadable
from kdns.explain.reasons.words import command
from kdns.explain.said import Explanation
from kdns.observe import logs
from kdns.server.begin import corefile, new_loop
from kdns.status.reader import Reader, ReadError, Where
from kdns.wire.shown import plain

WIDEST: Final = 140
STATUS: Final = "127.0.0.1:9154"
PATIENCE_S: Final = 30.0
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
RESOLV: Final = Path("/etc/resolv.conf")
_SELF: Final = "kdns explain "
_KEPT: Final = re.compile(r"(\x1b\[[0-9;]{0,9}m|\n)")
_NEXT: Final = re.compile(rf"^  \$ {_SELF}.*$", re.MULTILINE)
ASKED: Final = ". {\n    kubernetes cluster.local in-addr.arpa ip6.arpa {\n%s\n    }\n}\n"


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when the name resolves and can be used, 1 when not, 2 for what is no question."""
    options = parser().parse_args(arguments)
    try:
        question = _question(options)
        if _is_remote(options):
            return _remote(question, options)
        logs.quieten()
        with asyncio.Runner(loop_factory=new_loop) as runner:
            found = _next_there(runner.run(_explained(question, options)), options)
    except (QuestionError, Unreadable, ConfigError) as error:
        print(
            error if isinstance(error, ConfigError) else f"kdns explain: {error}", file=sys.stderr
        )
        return 2
    except ReadError as error:
        print(f"kdns explain: {error}", file=sys.stderr)
        return 1
    print(shapes.encode(found).decode() if options.json else _text(found), end="")
    return _code(found.reasons[0].id)


def parser() -> argparse.ArgumentParser:
    """The command's words."""
    made = argparse.ArgumentParser(
        prog="kdns explain",
        allow_abbrev=False,
        usage="kdns explain NAME [TYPE] [--from WHO] [WHERE] [--connect] [--json]",
        description="Why a name resolves, or does not. More: kdns help explain",
    )
    flag = made.add_argument
    flag("name", metavar="NAME", help="as an application has it: web, web.shop, example.org")
    flag("type", nargs="?", default="", metavar="TYPE", help="A, AAAA, SRV … (A and AAAA)")
    flag("--from", dest="asker", default="", metavar="WHO",
         help="who asks: NAMESPACE/POD, NAMESPACE or an address")  # fmt: skip
    flag("--status", metavar="URL", help="a kdns with `status` (127.0.0.1:9154 if it is there)")
    flag("--manifests", nargs="+", metavar="PATH", help="files, or what kubectl get -o yaml says")
    flag("--kubeconfig", metavar="FILE", help="a cluster")
    flag("--context", default="", help="of the kubeconfig")
    flag("-conf", "--conf", metavar="COREFILE", help="ask this Corefile, without a socket")
    flag("--server", metavar="ADDRESS", help="a DNS server, seen from outside")
    flag("--resolv-conf", metavar="FILE", help="look names up as this file says")
    flag("--connect", nargs="?", const="", metavar="PORT", help="try to connect, too")
    flag("--token-file", default="", metavar="FILE", help="the token of the status port")
    flag("--ca", default="", metavar="FILE", help="whom to trust for https:// of the status port")
    flag("--json", action="store_true", help="as JSON")
    return made


def _question(options: argparse.Namespace) -> Question:
    if options.kubeconfig:
        _check(options)
    resolv = _read(options.resolv_conf) if options.resolv_conf else ""
    if not options.name.strip():
        raise QuestionError("give a name, such as web.shop")
    port = options.connect or "0"
    if not (port.isdecimal() and len(port) < 6 and int(port) < 65536):
        raise QuestionError(f"--connect {port}: expected a port from 1 to 65535")
    asker = options.asker or ("" if _has_place(options) or options.resolv_conf else _own_asker())
    question = Question(
        options.name, options.type.upper(), asker, resolv, options.connect is not None, int(port)
    )
    _ = question.types  # raises where it is none
    return question


def _check(options: argparse.Namespace) -> None:
    """Reads the kubeconfig now, not when a server in this process has waited for it."""
    from kdns.cluster.api.kubeconfig import check  # noqa: PLC0415 - 20 MB and 0.3 s

    try:
        check(options.kubeconfig, options.context)
    except SourceError as error:
        raise QuestionError(str(error)) from error


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise QuestionError(f"{path}: {error.strerror}") from error


def _own_asker() -> str:
    """In a pod, the pod."""
    space = ACCOUNT.with_name("namespace")
    return space.read_text().strip() if space.exists() else ""


def _has_place(options: argparse.Namespace) -> bool:
    """True where somebody was named who knows."""
    named = (options.status, options.manifests, options.kubeconfig, options.conf, options.server)
    return any(named)


def _next_there(found: Explanation, options: argparse.Namespace) -> Explanation:
    """With the commands to type next asking where this one asked."""
    flags = {"--manifests": options.manifests or (), "--kubeconfig": (options.kubeconfig,),
             "--context": (options.context,), "-conf": (options.conf,),
             "--server": (options.server,)}  # fmt: skip
    where = "".join(f" {command(flag, *words)}" for flag, words in flags.items() if any(words))
    reasons = [
        replace(one, next=tuple(f"{it}{where}" if it.startswith(_SELF) else it for it in one.next))
        for one in found.reasons
    ]
    return replace(found, reasons=tuple(reasons))


# By a server that runs


def _is_remote(options: argparse.Namespace) -> bool:
    if options.status:
        return True
    return not _has_place(options) and _is_there(Where.parse(STATUS))


def _is_there(where: Where) -> bool:
    """True when somebody listens there."""
    try:
        socket.create_connection((where.host, where.port), timeout=0.5).close()
    except OSError:
        return False
    return True


def _remote(question: Question, options: argparse.Namespace) -> int:
    """Has a running server explain it."""
    if question.port:
        raise QuestionError("a running server tries the ports of the service only: --connect")
    asked = {"name": question.name, "type": question.type, "from": question.asker}
    asked |= {"resolv": question.resolv_conf, "connect": "1" if question.connects else ""}
    if not options.json:
        asked |= {"format": "told", "width": str(columns(WIDEST))}
        asked |= {"colour": "1"} if is_colored() else {}
    try:
        reader = Reader.of(options.status or STATUS, options.token_file, options.ca)
    except (OSError, ValueError) as error:
        raise QuestionError(str(error)) from error
    words = urlencode({key: value for key, value in asked.items() if value})
    said = reader.octets(f"/explain?{words}", PATIENCE_S)
    try:
        if options.json:
            found = msgspec.json.decode(said, type=shapes.ExplanationShape)
            print(json.dumps(msgspec.json.decode(said), separators=(",", ":")))  # ASCII alone
            return _code(found.reasons[0].id)
        told = msgspec.json.decode(said, type=Told)
    except msgspec.MsgspecError as error:
        raise ReadError(f"{reader.where}: what it says is no explanation of a kdns") from error
    where = f" {command('--status', options.status)}" if options.status else ""
    print(_NEXT.sub(lambda line: line[0] + where, _shown(told.text)), end="")
    return _code(told.reason)


def _shown(said: str) -> str:
    """What somebody else's server wants printed: text and styles, nothing that a terminal obeys."""
    parts = _KEPT.split(said)
    parts[::2] = map(plain, parts[::2])
    return "".join(parts)


# By a server for the occasion


async def _explained(question: Question, options: argparse.Namespace) -> Explanation:
    async with AsyncExitStack() as stack:
        scene = await _scene(question, options, stack)
        return await explain(question, scene)


async def _scene(question: Question, options: argparse.Namespace, stack: AsyncExitStack) -> Scene:
    access = _access(options)
    gather: scenes.Gather | None = None
    if options.manifests:
        gather = scenes.of_files(options.manifests)
    if options.server or not (options.manifests or options.conf or access):
        if gather is None and (access or ACCOUNT.exists()):
            gather = await stack.enter_async_context(scenes.of_api(access or Access()))
        return scenes.Outside(_servers(question, options), gather or scenes.nothing)
    text_, path = _corefile(options, access)
    return await stack.enter_async_context(scenes.of_corefile(text_, path, gather))


def _access(options: argparse.Namespace) -> Access | None:
    """The cluster that was named, or the one kubectl would ask."""
    given = options.kubeconfig or os.environ.get("KUBECONFIG", "").partition(":")[0]
    usual = Path("~/.kube/config").expanduser()
    if not given and not options.manifests and not ACCOUNT.exists() and usual.exists():
        given = str(usual)
    return Access(kubeconfig=given, context=options.context) if given else None


def _servers(question: Question, options: argparse.Namespace) -> tuple[tuple[str, int], ...]:
    """Who is asked over the network; nobody in particular where a resolv.conf was given."""
    if options.server:
        try:
            return (parse_address(options.server),)
        except ValueError as error:
            raise QuestionError(f"--server {options.server}: expected {error}") from error
    if question.resolv_conf or not RESOLV.exists():
        return ()
    return parse_resolv(RESOLV.read_text(encoding="utf-8", errors="replace"), "glibc").nameservers


def _corefile(options: argparse.Namespace, access: Access | None) -> tuple[str, str]:
    if options.conf:
        return corefile(options.conf, 53)
    if options.manifests:
        return ASKED % f"        manifests {_quoted(options.manifests)}", "--manifests"
    assert access is not None
    words = [access.kubeconfig, access.context] if access.context else [access.kubeconfig]
    return ASKED % f"        kubeconfig {_quoted(words)}", "--kubeconfig"


def _quoted(words: Sequence[str]) -> str:
    """Words of a Corefile, whatever is in them."""
    return " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)


def _code(reason: str) -> int:
    return 0 if reason in text.GOOD | text.MIXED else 1


def _text(found: Explanation) -> str:
    return text.render(found, width=columns(WIDEST), colour=is_colored())
