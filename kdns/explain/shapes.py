"""An Explanation as JSON (`--json`, `/explain`): field names are stable, new ones may come.

What stands for nothing is empty, not absent. Names are as they were typed or answered: whoever
shows them escapes them.
"""

import msgspec
from msgspec import Struct

from kdns.client.search import Asked, Walk
from kdns.explain.reasons.replies import read
from kdns.explain.said import Explanation, Reason, Trace
from kdns.wire import types


class ReasonShape(Struct):
    """One thing that explains what happened; the first one is the reason."""

    id: str
    says: str
    evidence: list[str]
    next: list[str]
    """Commands."""


class VisitShape(Struct):
    """A plugin that the question came to, in the order they were asked."""

    plugin: str
    depth: int
    name: str
    type: str
    answered: str
    notes: list[str]


class StepShape(Struct):
    """One question to one nameserver."""

    name: str
    type: str
    nameserver: str
    """`10.96.0.10:53`."""
    transport: str
    took_ms: float
    rcode: str
    """Empty where there was no reply; `error` says why."""
    error: str
    answer: list[str]
    """Addresses, or what else was asked for."""
    aliases: list[str]
    """Where CNAMEs led."""
    ede: list[tuple[int, str]]
    """Extended DNS errors (RFC 8914)."""
    because: str
    then: str
    block: str
    """The server block; this and the next ones are empty where the server is no kdns."""
    plugin: str
    visits: list[VisitShape]


class WalkShape(Struct):
    """The look-up as one libc makes it."""

    libc: str
    outcome: str
    """answered, no data, no such name, failed."""
    says: str
    """What the application is told, EAI_NONAME …; empty when answered."""
    name: str
    canonical: str
    addresses: list[str]
    steps: list[StepShape]


class ConnectionShape(Struct):
    """What came of trying an address and port."""

    address: str
    port: int
    protocol: str
    outcome: str
    open: bool


class ExplanationShape(Struct):
    """The whole."""

    name: str
    type: str
    asker: str
    reasons: list[ReasonShape]
    walks: list[WalkShape]
    connections: list[ConnectionShape]
    unknown: list[str]
    """What could not be known, a line each."""


def encode(found: Explanation) -> bytes:
    """The JSON, one line without a newline."""
    return msgspec.json.encode(shaped(found))


def shaped(found: Explanation) -> ExplanationShape:
    """An explanation in its shape."""
    return ExplanationShape(
        _whole(found.name),
        _whole(found.type),
        _whole(found.asker),
        [_reason(one) for one in found.reasons],
        [_walk(one, found.traces) for one in found.walks],
        [
            ConnectionShape(
                _whole(one.address), one.port, one.protocol, _whole(one.outcome), one.is_open
            )
            for one in found.connections
        ],
        [_whole(one) for one in found.unknown],
    )


def _whole(text: str) -> str:
    """Text that has an encoding: a shell's odd octets come as surrogates, which have none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _reason(one: Reason) -> ReasonShape:
    evidence, commands = [_whole(e) for e in one.evidence], [_whole(e) for e in one.next]
    return ReasonShape(one.id, _whole(one.says), evidence, commands)


def _walk(one: Walk, traces: dict[tuple[str, int], Trace]) -> WalkShape:
    return WalkShape(
        one.libc,
        one.outcome,
        _whole(one.says),
        _whole(one.name),
        _whole(one.canonical),
        [_whole(address) for address in one.addresses],
        [_step(asked, traces) for asked in one.asked],
    )


def _step(asked: Asked, traces: dict[tuple[str, int], Trace]) -> StepShape:
    step = read(asked)
    trace = traces.get((asked.name, asked.type)) or Trace("")
    host, port = asked.nameserver
    return StepShape(
        name=_whole(step.name),
        type=types.type_name(step.type),
        nameserver=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        transport=asked.heard.transport,
        took_ms=round(asked.heard.took_s * 1000, 3),
        rcode=step.rcode,
        error=_whole(step.error or trace.error),
        answer=[_whole(value) for value in step.values],
        aliases=list(step.aliases),
        ede=list(dict.fromkeys((*step.ede, *((c, _whole(text)) for c, text in trace.ede)))),
        because=_whole(asked.because),
        then=_whole(asked.then),
        block=_whole(trace.block),
        plugin=trace.plugin,
        visits=[
            VisitShape(
                one.plugin, one.depth, _whole(one.name), one.type, _whole(one.answered),
                [_whole(note) for note in one.notes],
            )
            for one in trace.visits
        ],
    )  # fmt: skip
