"""`GET …/pods/NAME/log` becomes the lines of a container's record, as kubectl logs asks.

kubectl logs [-f] [-c NAME] [-p] [--tail N] [--since 5m] [--timestamps] [--limit-bytes N] POD
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from aiohttp import web

from kdns.lab import errors, replies
from kdns.lab.calls import Call
from kdns.lab.controllers.bodies import name_of, spec_of, status_of, uid_of
from kdns.lab.errors import ApiError, Cause, Obj
from kdns.lab.kubelet.journal import Journal, Line, Record
from kdns.lab.resources import PODS
from kdns.lab.storage import Storage


class PodLogs:
    """Answers for all pods."""

    def __init__(self, storage: Storage, journal: Journal) -> None:
        self._storage = storage
        self._journal = journal

    async def reply(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """The log that a call asks for; raises ApiError."""
        if call.verb != "get":
            raise errors.not_allowed()
        pod = self._storage.get(PODS, call.target.namespace, call.target.name)
        record = self._record(pod, call)
        view = _View(call, self._storage.now())
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        place = view.first(record)
        while view.has_room:
            has_ended, total = record.has_ended, record.total
            if piece := b"".join(view.shown(record, place)):
                await replies.put(response, piece)
            place = total
            if has_ended or not call.is_set("follow"):
                break
            if record.total == total and not record.has_ended:
                await record.more()  # a client that is gone cancels the request
        await response.write_eof()
        return response

    def _record(self, pod: Obj, call: Call) -> Record:
        container = _container(pod, call.query.get("container", ""))
        is_previous = call.is_set("previous")
        record = self._journal.find(uid_of(pod), container, is_previous=is_previous)
        if record is not None:
            return record
        if is_previous:
            why = f'previous terminated container "{container}" in pod "{name_of(pod)}" not found'
            raise errors.bad_request(why)
        why = _waiting(pod, container)
        message = f'container "{container}" in pod "{name_of(pod)}" is waiting to start: {why}'
        raise errors.bad_request(message)


def _container(pod: Obj, asked: str) -> str:
    """The container that is meant; raises 400."""
    usual = [str(one["name"]) for one in spec_of(pod).get("containers") or ()]
    first = [str(one["name"]) for one in spec_of(pod).get("initContainers") or ()]
    if asked:
        if asked not in [*usual, *first]:
            raise errors.bad_request(f"container {asked} is not valid for pod {name_of(pod)}")
        return asked
    others = f" or one of the init containers: [{' '.join(first)}]" if first else ""
    if len(usual) == 1:
        return usual[0]
    raise errors.bad_request(
        f"a container name must be specified for pod {name_of(pod)}, "
        f"choose one of: [{' '.join(usual)}]{others}"
    )


def _waiting(pod: Obj, container: str) -> str:
    status = status_of(pod)
    for listed in ("containerStatuses", "initContainerStatuses"):
        for one in status.get(listed) or ():
            if one["name"] == container:
                waiting = (one.get("state") or {}).get("waiting") or {}
                return str(waiting.get("reason") or "ContainerCreating")
    return "ContainerCreating"


class _View:
    """The lines that one call wants to see, as it wants to see them."""

    def __init__(self, call: Call, now: float) -> None:
        self._tail = _count(call, "tailLines", least=0)
        self._room = _count(call, "limitBytes", least=1)
        self._since = _since(call, now)
        self._has_times = call.is_set("timestamps")

    @property
    def has_room(self) -> bool:
        """False once as many bytes went out as were asked for."""
        return self._room is None or self._room > 0

    def first(self, record: Record) -> int:
        """The place to begin at."""
        return 0 if self._tail is None else max(0, record.total - self._tail)

    def shown(self, record: Record, place: int) -> Iterator[bytes]:
        """What to send of the lines from a place on."""
        for line in record.since(place):
            if line.at < self._since:
                continue
            text = self._text(line)
            if self._room is not None:
                text = text[: self._room]
                self._room -= len(text)
            yield text

    def _text(self, line: Line) -> bytes:
        if not self._has_times:
            return line.text + b"\n"
        at = datetime.fromtimestamp(line.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        return at.encode() + b" " + line.text + b"\n"


def _count(call: Call, option: str, *, least: int) -> int | None:
    if option not in call.query:
        return None
    found = call.number(option)
    if found < least:
        bound = "greater than 0" if least else "greater than or equal to 0"
        why = f"Invalid value: {found}: must be {bound}"
        raise errors.invalid("PodLogOptions", "", [Cause(option, "FieldValueInvalid", why)])
    return found


def _since(call: Call, now: float) -> float:
    if call.query.get("sinceSeconds") and call.query.get("sinceTime"):
        why = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        cause = Cause("sinceSeconds", "FieldValueForbidden", why)
        raise errors.invalid("PodLogOptions", "", [cause])
    if seconds := _count(call, "sinceSeconds", least=1):
        return now - seconds
    text = call.query.get("sinceTime", "")
    try:
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    except ValueError:
        raise _unreadable(text) from None


def _unreadable(text: str) -> ApiError:
    return errors.bad_request(f'parsing time "{text}": it is not written as RFC 3339 has it')
