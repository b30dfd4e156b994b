"""header: sets and clears AA, RA and RD, in the query that goes on and in the reply to it.

What a rule does to a query is in its own flags, so the rest of the chain and the reply see it; what
it does to a reply is noted on the answer (`Answer.forced`) and done last, whatever the server says.
"""

import logging
from collections.abc import Awaitable, Iterable
from typing import Any

from msgspec.structs import replace

from kdns.corefile.options import Line, Settings, Shape, Syntax, text
from kdns.corefile.tree import nearest
from kdns.plugins.base import DROP, SKIP, Filter, Query, Result, Site, Soon
from kdns.wire import types
from kdns.wire.message import Answer, Transfer

log = logging.getLogger("kdns.header")

FLAGS = {"aa": types.AA, "ra": types.RA, "rd": types.RD}


class Header(Filter):
    """The rules of a block, in the order of the file. Only the first directive counts (CoreDNS)."""

    name = "header"
    syntax = Syntax(args=Shape(rest=text), other=Shape(words=(text, text), rest=text), repeats=True)

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self._is_first = site.beside.setdefault("header", self) is self
        rules = [_rule(line) for line in settings.lines]
        if not rules:
            raise settings.fail("header: expected rules in a block, such as `response set aa`")
        self.asked = _joined(0, [bits for side, bits in rules if side == "query"])
        self.replied = _joined(0, [bits for side, bits in rules if side == "response"])

    async def start(self) -> None:
        """Warns of what counts for nothing."""
        if not self._is_first:
            log.warning("only the first header of a server block counts: put its rules there")
        if self.settings.args:
            log.warning("%s after header does nothing: rules stand in its block", self._args())

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """Goes on with the query's flags changed, and changes those of the reply."""
        if not self._is_first:
            return next_(query)
        if self.asked:
            flags = changed(query.question.flags, self.asked)
            if flags != query.question.flags:
                query.question = replace(query.question, flags=flags)
        answer = next_(query)
        if not self.replied or answer is SKIP:
            return answer
        if type(answer) is Answer:
            return self._edit(answer)
        waited: Any = answer  # Any: it is no Result, so it can be waited for
        return self._later(waited)

    async def _later(self, waited: Awaitable[Result]) -> Result:
        answer = await waited
        return SKIP if answer is SKIP else self._edit(answer)

    def _edit(self, answer: Answer) -> Answer:
        """The answer with the flags of its reply noted; a failure keeps the server's (CoreDNS)."""
        if answer is DROP or answer.error or type(answer) is Transfer:
            return answer
        return answer.but(forced=_joined(answer.forced, [self.replied]))

    def _args(self) -> str:
        return " ".join(self.settings.args)


def changed(flags: int, bits: int) -> int:
    """The flags with the upper 16 of `bits` set and the lower 16 cleared."""
    return (flags | bits >> 16) & ~(bits & 0xFFFF)


def _joined(bits: int, more: Iterable[int]) -> int:
    """What all of them do, one after the other."""
    for one in more:
        sets, clears = one >> 16, one & 0xFFFF
        bits = (bits >> 16 & ~clears | sets) << 16 | (bits & 0xFFFF & ~sets | clears)
    return bits


def _rule(line: Line) -> tuple[str, int]:
    side, action, *flags = line.values
    side, action = side.lower(), action.lower()
    if side not in ("query", "response"):
        hint = nearest(side, ("query", "response")) or "`response set aa`, `query clear rd` …"
        raise line.fail(f"header: expected query or response, found {line.values[0]!r}", hint)
    if action not in ("set", "clear"):
        raise line.fail(f"header: expected set or clear, found {line.values[1]!r}")
    if not flags:
        raise line.fail("header: expected a flag: aa, ra or rd")
    bits = 0
    for flag in flags:
        if flag.lower() not in FLAGS:
            raise line.fail(f"header: unknown flag {flag!r}", "it can be aa, ra or rd")
        bits |= FLAGS[flag.lower()]
    return side, bits << 16 if action == "set" else bits
