"""What the directives share that serve zones of records: no directive.

A zone says an answer, or that a chain of CNAMEs leads out of it; the end of such a chain is looked
up by the server itself.
"""

from collections.abc import Awaitable

from kdns.keeping.shelf import Shelf
from kdns.plugins.base import SKIP, Backend, Query, Result, as_of_now
from kdns.wire.message import Answer
from kdns.zone.files.answer import Alias, ended


class Zoned(Backend):
    """Answers from zones; a subclass defines `at_once`, with `_said`."""

    shelf: Shelf
    """Its zones."""

    async def answer(self, query: Query) -> Result:
        """Answers from the longest zone that holds the name."""
        found = self.at_once(query)
        if isinstance(found, Answer) or found is SKIP:
            return found
        return await found

    def _said(self, query: Query) -> Result | Awaitable[Result]:
        """What the shelf says; to be waited for where a chain leads out of the zone."""
        found = self.shelf.look(query)
        if found is None:
            return SKIP
        return self._ended(query, found) if isinstance(found, Alias) else found

    async def _ended(self, query: Query, alias: Alias) -> Answer:
        """A chain that leads out of its zone, with what this server says of its end."""
        there = await query.lookup(alias.target, query.type)
        answer = ended(alias, None if there is None else as_of_now(query, there))
        return answer.but(plugin=self.name)
