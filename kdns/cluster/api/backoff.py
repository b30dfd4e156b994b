"""How long to wait before the next try: longer each time up to a cap, never the same, for ever."""

from collections.abc import Callable

FIRST_S = 0.1
BASE_S = 0.25


class Backoff:
    """The delays between failures; the first is short, but not the same for everybody."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._failures = 0

    def delay(self, cap_s: float) -> float:
        """The delay after one more failure."""
        tries, self._failures = self._failures, min(self._failures + 1, 20)
        if not tries:
            return self._chance() * FIRST_S
        longest = min(cap_s, BASE_S * 2.0**tries)
        return longest * (0.5 + self._chance() / 2)

    def reset(self) -> None:
        """All is well."""
        self._failures = 0
