"""errors: one ERROR line for each query that could not be answered, or a count of them per period.

The first `consolidate` rule whose expression is found in the error's text takes it; a period begins
with its first error and ends in one line. What is counted when the server stops is still said.
"""

import asyncio
import logging
from collections.abc import Sequence
from math import floor

from kdns.corefile.options import Line, Settings, Shape, Syntax, choice, duration, regex
from kdns.corefile.patterns import Pattern
from kdns.plugins.base import Observer, Seen, Site
from kdns.wire import names, types
from kdns.wire.scan import scan

log = logging.getLogger("kdns.errors")

LEVELS = {
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


_PATTERN = regex()


def _like(word: str) -> tuple[str, Pattern]:
    """An expression as written, and compiled."""
    return word, _PATTERN(word)


class Tally:
    """Counts the errors of one `consolidate` rule during a period."""

    def __init__(self, line: Line) -> None:
        self.period_s: float
        self.pattern: Pattern
        self.period_s, (self.like, self.pattern), *words = line.values
        if words[:1] == ["show_first"] and words[1:] not in ([], ["show_first"]):
            raise line.fail("errors: the level comes before show_first")
        self.shows_first = "show_first" in words
        self.level = LEVELS.get(words[0], logging.ERROR) if words else logging.ERROR
        self.count = 0
        self._ending: asyncio.TimerHandle | None = None

    def take(self, error: str, line: str) -> bool:
        """Counts an error if it is one of this rule's; `line` is what would be logged."""
        if not self.pattern.search(error):
            return False
        self.count += 1
        if self.count == 1:
            if self.shows_first:
                log.log(self.level, "%s", line)
            self._ending = asyncio.get_running_loop().call_later(self.period_s, self.end)
        return True

    def end(self) -> None:
        """Ends the period: says how many there were, unless the only one was shown."""
        if self._ending is not None:
            self._ending.cancel()
        count, self.count = self.count, 0
        if count > self.shows_first:
            last = format_duration(self.period_s)
            log.log(self.level, "%d errors like '%s' occurred in last %s", count, self.like, last)


class Errors(Observer):
    """Logs why queries failed. Replies that merely carry an error code are no errors."""

    name = "errors"
    wants_all = False
    syntax = Syntax(
        args=Shape(maybe=(choice("stdout"),)),
        options={
            "stacktrace": Shape(is_loose=True),
            "consolidate": Shape(
                words=(duration(0), _like),
                maybe=(choice(*LEVELS, "show_first"), choice("show_first")),
                repeats=True,
            ),
        },
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        self.tallies = [Tally(line) for line in settings.all("consolidate")]

    def observe(self, batch: Sequence[Seen]) -> None:
        """Logs or counts each error of the batch."""
        for seen in batch:
            if seen.error:
                line = _line(seen)
                if not any(tally.take(seen.error, line) for tally in self.tallies):
                    log.error("%s", line)

    async def stop(self) -> None:
        """Says what was counted so far."""
        for tally in self.tallies:
            tally.end()


def _line(seen: Seen) -> str:
    question = scan(seen.packet)
    rcode = seen.reply[3] & 0xF if seen.reply else types.SERVFAIL
    name, type_ = names.format(question.key), types.type_name(question.type)
    return f"{rcode} {name} {type_}: {seen.error}"


def format_duration(seconds: float) -> str:
    """A duration as Go prints it: 1h0m0s, 1m30s, 500ms."""
    for unit, size in (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3)):
        if 0 < seconds < size * 1000:
            return f"{seconds / size:.10g}{unit}"
    minutes = floor(seconds / 60)
    parts = f"{minutes // 60}h" if minutes >= 60 else ""
    parts += f"{minutes % 60}m" if minutes else ""
    return f"{parts}{seconds - 60 * minutes:.9g}s"
