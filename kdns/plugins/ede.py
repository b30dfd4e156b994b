"""ede: whether replies say why they are no better: extended DNS errors (RFC 8914).

Every plugin notes its own reasons on its answers, and they leave for askers who use EDNS. Here they
are held back, or said of answers that found nothing, too.
"""

from collections.abc import Awaitable
from typing import Any

from kdns.corefile.options import Settings, Shape, Syntax, choice
from kdns.plugins.base import DROP, SKIP, Filter, Query, Result, Site, Soon
from kdns.wire import types
from kdns.wire.message import Answer, Transfer

_OTHERS = frozenset(("", "forward", "grpc", "cache"))
"""Who gives what others said: an answer of nothing is not ours then."""
_RAN_OUT = Answer(rcode=types.SERVFAIL, error="no next plugin found")


class Ede(Filter):
    """Stands around all that answers."""

    name = "ede"
    syntax = Syntax(args=Shape(maybe=(choice("on", "off", "verbose"),)))

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.mode: str = settings.args[0] if settings.args else "on"

    def at_once(self, query: Query, next_: Soon) -> Result | Awaitable[Result]:
        """The answer with its reasons, or without."""
        answer = next_(query)
        if type(answer) is Answer:
            return self._edit(answer)
        if answer is SKIP:
            return _RAN_OUT if self.mode == "off" else SKIP
        waited: Any = answer  # Any: it is no Result, so it can be waited for
        return self._later(waited)

    async def _later(self, waited: Awaitable[Result]) -> Result:
        answer = await waited
        if answer is SKIP:
            return _RAN_OUT if self.mode == "off" else SKIP
        return self._edit(answer)

    def _edit(self, answer: Answer) -> Answer:
        if answer is DROP or type(answer) is Transfer:
            return answer
        if self.mode == "off":
            return answer.but(ede=()) if answer.ede else answer
        if answer.ede:
            return answer
        if answer.rcode not in (types.NOERROR, types.NXDOMAIN):
            is_ours = bool(answer.error) or answer.plugin not in _OTHERS
            return answer.but(ede=((types.EDE_OTHER, ""),)) if is_ours else answer
        if self.mode != "verbose" or answer.answer or answer.plugin in _OTHERS:
            return answer
        missing = "such name" if answer.rcode else "records of this type"
        return answer.but(ede=((types.EDE_OTHER, f"{answer.plugin}: no {missing}"),))
