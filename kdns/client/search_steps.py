"""The questions of a walk as they are asked: each is noted, then what the libc makes of it."""

from dataclasses import replace

from kdns.client.search_replies import Query
from kdns.client.search_terms import Asked, Heard
from kdns.wire import names


class Steps:
    """All questions of one walk, in the order they were sent."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    @property
    def here(self) -> int:
        """Where the next one will stand."""
        return len(self.asked)

    def add(self, query: Query, server: tuple[str, int], because: str, heard: Heard) -> int:
        """Notes a question; says where it stands."""
        name = names.format(query.name)
        self.asked.append(Asked(name, query.type, server, heard, because, ""))
        return len(self.asked) - 1

    def hear(self, at: int, heard: Heard) -> None:
        """Notes what came of one."""
        self.asked[at] = replace(self.asked[at], heard=heard)

    def settle_one(self, at: int, then: str) -> None:
        """Says what one question leads to."""
        self.asked[at] = replace(self.asked[at], then=then)

    def settle(self, since: int, then: str) -> None:
        """Says what all questions from there on lead to that nothing was said of yet."""
        for at in range(since, len(self.asked)):
            if not self.asked[at].then:
                self.asked[at] = replace(self.asked[at], then=then)


def as_written(name: str, ndots: int, place: str) -> str:
    """Why a name is asked as it is."""
    if name.endswith("."):
        return "as written (it ends with a dot)"
    dots = name.count(".")
    plural = "" if dots == 1 else "s"
    return f"as written, {place} (it has {dots} dot{plural}, ndots is {ndots})"


def searched(at: int, search: tuple[str, ...]) -> str:
    """Why a name is asked with a search domain."""
    return f"search domain {at + 1} of {len(search)}: {search[at]}"
