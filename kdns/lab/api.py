"""The lab's HTTP API: a request becomes a Call, the storage answers, and the reply is JSON.

A call goes through the same steps each time: who asks, what for, which fault is set for it, then
the verb. This module, `replies`, `lab`, `kubelet.logs` and those of `doors` are the only ones of
kdns that use aiohttp's server.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace

from aiohttp import web

from kdns.lab import (
    calls,
    discovery,
    errors,
    forms,
    openapi,
    reading,
    replies,
    reviews,
    subresources,
    watching,
)
from kdns.lab.calls import Call, Target
from kdns.lab.doors import admission
from kdns.lab.errors import ApiError
from kdns.lab.faults import Faults, Subject, What
from kdns.lab.history import Item
from kdns.lab.resources import PODS
from kdns.lab.rights import door
from kdns.lab.rights.rbac import Rights
from kdns.lab.stage import Stage
from kdns.lab.storage import Storage
from kdns.lab.tokens import ANYBODY, STRANGER, Tokens, User
from kdns.lab.watching import Broken, Pace, Stream
from kdns.lab.writing import Writer, Written

_LOG = logging.getLogger("kdns.lab")
BY_PATH = "/as/"
"""kubectl sends no credentials over plain HTTP: there the token stands in the server's URL."""
LARGEST = 3 * 1024 * 1024
"""Of a body, as on a real server."""
_HEALTH = {"/healthz", "/livez", "/readyz"}
_BODIES: tuple[What, ...] = ("slow", "cut", "garble")
_PLAYED = {"log", "exec", "attach", "portforward"}


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask: whoever has a token; `is_open` lets everybody read."""

    tokens: Tokens
    is_open: bool = False

    def user(self, header: str) -> User | None:
        """Who sends this Authorization header; None for a token that is not good."""
        scheme, _, token = header.partition(" ")
        if not header:
            return ANYBODY if self.is_open else None
        return self.tokens.user(token.strip()) if scheme.lower() == "bearer" else None


class Api:
    """Answers requests; `serve` is what aiohttp's server calls."""

    def __init__(
        self,
        storage: Storage,
        access: Access,
        faults: Faults,
        *,
        pace: Pace,
        chance: Callable[[int], int],
        stage: Stage | None = None,
    ) -> None:
        self._storage = storage
        self._access = access
        self._faults = faults
        self._pace = pace
        self._rights = Rights(storage)
        self._writer = Writer(storage, self._rights, chance)
        self._stage = stage

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """The reply to one request; failures that nobody foresaw are a 500 and one log line."""
        try:
            return await self._serve(request)
        except ApiError as error:
            return replies.failure(error)
        except ConnectionError:
            return web.Response()  # the client has gone; nobody reads this
        except Exception as error:
            _, path = _token_and_path(request.path)
            where = f"{request.method} {path}"
            _LOG.error("request failed: %s error=%r", where, error, exc_info=True)
            return replies.failure(
                ApiError(500, "InternalError", f"Internal error occurred: {error!r}")
            )

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        header = request.headers.get("Authorization", "")
        token, path = _token_and_path(request.path)
        header = f"Bearer {token}" if token else header
        if path in _HEALTH or path.rsplit("/", 1)[0] in _HEALTH:
            return web.Response(text="ok")
        user, aim = self._access.user(header), calls.target(path)
        if user is None and not header and aim is None:
            user = STRANGER  # who may ask for the version
        if user is None:
            raise errors.unauthorized()
        user = door.speaker(user, request.headers, request.headers.getall("Impersonate-Group", []))
        if aim is None and request.method == "POST" and reviews.is_one(path):
            media = request.headers.get("Content-Type", "")
            body = await _body(request)
            review = reviews.reply(path, media, body, user, self._rights, self._access.tokens)
            return replies.plain(review, code=201)
        if aim is None:
            door.check_path(self._rights, user, request.method, path)
            return _document(path, request.headers.get("Accept", ""))
        call = await _call(request, aim, user)
        door.check(self._rights, self._storage, call)
        await self._suffer(request, call)
        if call.verb == "watch":
            return await self._watch(request, call)
        if call.verb == "list":
            return await self._list(request, call)
        if self._stage and call.resource is PODS and call.target.part in _PLAYED:
            return await _played(self._stage, request, call, user)
        return await self._single(request, call)

    async def _suffer(self, request: web.BaseRequest, call: Call) -> None:
        """The faults that come before everything else."""
        subject = _subject(call, request.query_string)
        delayed = self._faults.apply(("delay",), subject)
        if delayed:
            await asyncio.sleep(delayed.delay_s)
        fault = self._faults.apply(("refuse", "hang"), subject)
        if fault is None and call.verb != "watch":
            fault = self._faults.apply(("reset",), subject)
        if fault is None:
            return
        if fault.what == "refuse":
            raise fault.error()
        if fault.what == "reset":
            await replies.reset(request)
        await replies.forever()

    # One object

    async def _single(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        if call.verb == "deletecollection":
            found = self._writer.delete_all(call)
            items = [Item(obj, int(obj["metadata"]["resourceVersion"])) for obj in found]
            metadata = {"resourceVersion": str(self._storage.version)}
            now = self._storage.now()
            pieces = forms.many(call.resource, items, call.form, now, metadata)
            return await self._written(request, call, pieces)
        if call.target.part not in {"", "status", "finalize"}:
            code, obj = subresources.reply(call, self._storage, self._access.tokens)
            return replies.plain(obj, code)
        if call.target.part and not _has_part(call.target):
            raise errors.no_such_path()
        if call.verb == "get":
            await self._reach(call)
            body = reading.one(call, self._storage)
            return await self._written(request, call, iter([body]))
        return self._reply(call, self._change(call))

    def _change(self, call: Call) -> Written:
        writer = self._writer
        verbs = {
            "create": writer.create,
            "update": writer.update,
            "patch": writer.patch,
            "delete": writer.delete,
        }
        if call.target.part and call.verb in {"create", "delete"}:
            raise errors.not_allowed()
        return verbs[call.verb](call)

    def _reply(self, call: Call, written: Written) -> web.Response:
        obj = written.obj
        if obj["kind"] == "Status":
            body = forms.encode(obj)
        else:
            version = int(obj["metadata"].get("resourceVersion") or 0)
            body = forms.one(call.resource, Item(obj, version), call.form, self._storage.now())
        response = replies.raw(body, written.code)
        for warning in written.warnings:
            text = warning.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{text}"')
        return response

    # Lists

    async def _list(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        await self._reach(call)
        page = reading.page(call, self._storage)
        pieces = reading.pieces(call, page, self._storage.now())
        return await self._written(request, call, pieces)

    async def _reach(self, call: Call) -> None:
        """A real server waits 3 s for a version that it has not reached."""
        if reading.is_ahead(call, self._storage):
            await asyncio.sleep(watching.TOO_LARGE_S)

    async def _written(
        self, request: web.BaseRequest, call: Call, pieces: Iterator[bytes]
    ) -> web.StreamResponse:
        fault = self._faults.apply(_BODIES, _subject(call, request.query_string))
        if fault:
            return await replies.spoiled(request, b"".join(pieces), fault)
        return await replies.written(request, pieces)

    # Watches

    async def _watch(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        stream = Stream(call, self._storage, self._faults, self._pace)
        response = await replies.begun(request)
        try:
            async with aclosing(stream.lines()) as lines:
                async for piece in lines:
                    await replies.put(response, piece)
        except TimeoutError:
            await replies.reset(request)
        except Broken as end:
            return await replies.broken(request, response, end.fault)
        await response.write_eof()
        return response


async def _played(
    stage: Stage, request: web.BaseRequest, call: Call, user: User
) -> web.StreamResponse:
    """What only a pod that is played has: its log, and ways into it."""
    if call.target.part == "log":
        return await stage.logs.reply(request, call)
    admission.check(request, user)
    return await stage.doors.reply(request, call)


async def _call(request: web.BaseRequest, aim: Target, user: User) -> Call:
    query = dict(request.query)
    verb = calls.verb(request.method, aim, query)
    form = calls.form(verb, request.headers.get("Accept", ""))
    if query.get("includeObject"):
        form = replace(form, rows_of=query["includeObject"])
    media = request.headers.get("Content-Type", "").partition(";")[0].strip()
    body = await _body(request) if request.method != "GET" else b""
    return Call(verb, aim, form, query, user, media, body)


def _token_and_path(path: str) -> tuple[str, str]:
    """The token that stands in a path, which is for nobody's log, and the path behind it."""
    if not path.startswith(BY_PATH):
        return "", path
    token, _, rest = path.removeprefix(BY_PATH).partition("/")
    return token or "-", f"/{rest}"


async def _body(request: web.BaseRequest) -> bytes:
    parts = bytearray()
    try:
        async for part in request.content.iter_any():
            parts += part
            if len(parts) > LARGEST:
                message = f"Request entity too large: limit is {LARGEST}"
                raise ApiError(413, "RequestEntityTooLarge", message)
    except web.RequestPayloadError as error:
        raise errors.bad_request(f"the body cannot be read: {error}") from None
    return bytes(parts)


def _subject(call: Call, query: str) -> Subject:
    verb = call.verb
    if verb == "list" and call.query.get("continue"):
        verb = "continue"
    if verb == "watch" and call.is_set("sendInitialEvents"):
        verb = "watchlist"
    return Subject(verb, call.resource.plural, call.target.namespace, query)


def _has_part(aim: Target) -> bool:
    if aim.part == "finalize":
        return aim.resource.plural == "namespaces"
    return aim.resource.has_status


def _document(path: str, accept: str) -> web.Response:
    is_aggregated = "apidiscovery.k8s.io" in accept
    found = discovery.document(path, is_aggregated=is_aggregated)
    if found is not None:
        has_all = found.get("kind") == "APIGroupDiscoveryList"
        return replies.plain(found, media=discovery.AGGREGATED if has_all else replies.JSON)
    if path == openapi.OLD_PATH and "protobuf" in accept:
        return replies.raw(openapi.OLD, media=openapi.OLD_MEDIA)
    found = openapi.document(path)
    if found is not None:
        return replies.plain(found)
    raise errors.no_such_path()
