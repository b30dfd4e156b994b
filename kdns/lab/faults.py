"""What goes wrong between the lab and its clients, exactly when and as often as a test says.

    lab.faults.add(Fault("drop", resource="endpointslices", count=1))    the next event is lost

Fault says what there is. `Lab.stop_serving` and `Lab.restore` are the faults of a whole server.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from kdns.lab.errors import ApiError

What = Literal[
    "refuse",
    "delay",
    "hang",
    "reset",
    "slow",
    "cut",
    "garble",
    "drop",
    "mute",
    "endless",
    "silence",
    "error",
    "end",
    "half_close",
]
_WIDER = {"continue": "list", "watchlist": "watch"}


@dataclass(eq=False, slots=True)
class Fault:
    """One thing that goes wrong, where and how often.

    It matches requests by verb, resource, namespace and `text` (a part of the object's name for
    events, of the query for requests), lets `skip` of them pass and then applies `count` times
    (None: until it is removed; `hits` counts). Verbs are get, list, continue (a later page), watch,
    watchlist, create, update, patch, delete, deletecollection; `list` means later pages too,
    `watch` WatchLists too, "" any. They are tried in the order they were added; the first wins.

    For every request, before anything else:
        refuse      the reply is a Status of `code`, `reason`, `message`, with Retry-After `retry_s`
                    (410, 429, 5xx, 401, 403; 400 or 422 with verb="watchlist": WatchList refused;
                    410 with verb="continue": an expired token)
        delay       the reply begins `delay_s` later
        hang        no reply, the connection stays open
        reset       the connection is reset before the reply

    For bodies of lists and gets (the status is 200, headers are sent):
        slow        `delay_s` between pieces of `size` bytes
        cut         the connection is reset behind `size` bytes
        garble      bytes of the body are replaced behind `size` bytes

    For watches, those that are open too:
        drop        an event is never sent, and nothing says so
        mute        a bookmark is not sent; the one that ends the initial events is
        endless     the bookmark that ends the initial events is not sent
        silence     nothing at all is sent, the connection stays open; events and bookmarks are lost
        error       an ERROR of `code`, `reason`, `message` in the stream, which ends
        end         the stream ends in order, as at a time-out
        half_close  the server sends FIN in the middle of the stream, and reads on
        reset       the connection is reset
        garble      a line that is no JSON
    """

    what: What
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    text: str = ""
    count: int | None = None
    skip: int = 0
    code: int = 500
    reason: str = "InternalError"
    message: str = "a fault of the lab"
    retry_s: int = 0
    delay_s: float = 0.0
    size: int = 0
    hits: int = 0

    def error(self) -> ApiError:
        """What `refuse` and `error` say."""
        return ApiError(self.code, self.reason, self.message, retry_s=self.retry_s)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fault is matched with."""

    verb: str
    resource: str = ""
    namespace: str = ""
    text: str = ""


class Faults:
    """The faults that are set; tells open watches when that changes."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._open: dict[Callable[[], None], Subject] = {}

    def add(self, fault: Fault) -> Fault:
        """Sets a fault."""
        self._faults.append(fault)
        self._wake()
        return fault

    def strike(self, fault: Fault) -> Fault:
        """Sets one of error, end, half_close, reset, garble: once for each watch open now."""
        fault.count = sum(_matches(fault, subject) for subject in self._open.values())
        return self.add(fault)

    def remove(self, fault: Fault) -> None:
        """Takes a fault away; what it silenced is not sent later."""
        self._faults = [one for one in self._faults if one is not fault]
        self._wake()

    def clear(self) -> None:
        """Takes all faults away."""
        self._faults = []
        self._wake()

    def apply(self, whats: Iterable[What], subject: Subject) -> Fault | None:
        """The first of these faults that applies now; counts it."""
        if not self._faults:
            return None
        for fault in self._faults:
            if fault.what not in whats or not _matches(fault, subject):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.count is None or fault.count > fault.hits:
                fault.hits += 1
                return fault
        return None

    def follow(self, subject: Subject, wake: Callable[[], None]) -> None:
        """An open watch, told when faults change."""
        self._open[wake] = subject

    def leave(self, wake: Callable[[], None]) -> None:
        """The watch is over."""
        self._open.pop(wake, None)

    @property
    def watches(self) -> list[Subject]:
        """The watches that are open."""
        return list(self._open.values())

    def _wake(self) -> None:
        for wake in list(self._open):
            wake()


def _matches(fault: Fault, subject: Subject) -> bool:
    return (
        fault.verb in {"", subject.verb, _WIDER.get(subject.verb)}
        and fault.resource in {"", subject.resource}
        and fault.namespace in {"", subject.namespace}
        and fault.text in subject.text
    )
