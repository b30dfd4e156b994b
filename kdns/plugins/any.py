"""any: answers ANY with one record that says so, instead of all that there is (RFC 8482)."""

from kdns.corefile.options import Syntax
from kdns.plugins.base import SKIP, Backend, Query, Result
from kdns.wire import records, types
from kdns.wire.message import Answer, RRset

TTL = 8482
_SAYING = (records.txt(b"ANY obsoleted", b"See RFC 8482"),)
"""HINFO is two strings, as TXT is any number."""


class Any(Backend):
    """Takes ANY away from all that stand behind it."""

    name = "any"
    syntax = Syntax(repeats=True)

    def at_once(self, query: Query) -> Result:
        """The one answer, at every name."""
        if query.type != types.ANY:
            return SKIP
        return Answer(answer=(RRset(query.key, types.HINFO, TTL, _SAYING),), plugin=self.name)
