"""What an operator reads of the API: each failure once, again each minute, and when it is over."""

import logging
from collections.abc import Callable

from kdns.cluster.api.failures import Broken, Refused, SourceError, Stale, Unreachable

log = logging.getLogger("kdns.kubernetes")

REPEAT_S = 60.0
MAX_COMPLAINTS = 20
"""Objects that cannot be read, named in REPEAT_S; the metric and the next ones tell the rest."""


class Report:
    """The failures of now, by resource."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[str, str] = {}
        self._since = 0.0
        self._said: dict[str, float] = {}
        self._complaints: list[float] = []

    @property
    def failure(self) -> str:
        """The last failure that is not over, empty while all is well."""
        return next(reversed(self._failures.values()), "")

    def failed(self, who: str, error: SourceError) -> None:
        """A resource cannot be followed for now."""
        if not self._failures:
            self._since = self._clock()
        self._failures.pop(who, None)
        self._failures[who] = str(error)
        copes = isinstance(error, Unreachable | Broken | Stale)
        if isinstance(error, Refused):
            copes = error.status not in {401, 403, 404}
        level = logging.WARNING if copes else logging.ERROR
        self.say(level, str(error))

    def well(self, who: str) -> None:
        """A resource is followed."""
        if self._failures.pop(who, None) is not None and not self._failures:
            log.info("all resources are followed again, after %.0f s", self._clock() - self._since)
            self._said.clear()

    def say(self, level: int, line: str) -> None:
        """A line, unless it has been said within a minute."""
        now = self._clock()
        if now - self._said.get(line, -REPEAT_S) >= REPEAT_S:
            self._said = {one: at for one, at in self._said.items() if now - at < REPEAT_S}
            self._said[line] = now
            log.log(level, "%s", line)

    def complain(self, line: str) -> None:
        """A line on one object of many."""
        now = self._clock()
        self._complaints = [at for at in self._complaints if now - at < REPEAT_S]
        if len(self._complaints) < MAX_COMPLAINTS:
            self._complaints.append(now)
            log.warning("%s", line)
