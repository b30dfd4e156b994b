"""All groups of clauses, in the order they are reported, and the choice of some by their ids."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from kdns.conformance import (
    clients,
    kubernetes,
    kubernetes_changes,
    kubernetes_headless,
    kubernetes_services,
    kubernetes_stub,
    rfc1035,
    rfc2181,
    rfc2308,
    rfc4343,
    rfc6891,
    rfc7766,
    rfc8906,
)
from kdns.conformance.clauses import Clause, Group

GROUPS: tuple[Group, ...] = (
    kubernetes.GROUP,
    kubernetes_services.GROUP,
    kubernetes_headless.GROUP,
    kubernetes_services.EXTERNAL,
    kubernetes_stub.GROUP,
    kubernetes_changes.GROUP,
    rfc1035.MESSAGES,
    rfc2181.RRSETS,
    rfc2308.NEGATIVES,
    rfc4343.CASE,
    rfc6891.EDNS,
    rfc7766.TCP,
    rfc8906.ODD,
    clients.GROUP,
)


class UnknownError(Exception):
    """An id that no clause has, and the nearest that one has."""


def choose(groups: Sequence[Group], only: Sequence[str], skip: Sequence[str]) -> list[Group]:
    """The groups with the clauses that `only` names, if it names any, but not those of `skip`.

    A name is an id, or stands for several with a `*`; raises UnknownError.
    """
    known = [clause.id for group in groups for clause in group.clauses]
    for pattern in (*only, *skip):
        if not any(fnmatchcase(id_, pattern) for id_ in known):
            near = get_close_matches(pattern, known, 1)
            hint = f"; is {near[0]} meant?" if near else "; --list shows all"
            raise UnknownError(f"no clause is called {pattern!r}{hint}")

    def chosen(clause: Clause) -> bool:
        is_named = not only or any(fnmatchcase(clause.id, one) for one in only)
        return is_named and not any(fnmatchcase(clause.id, one) for one in skip)

    some = [replace(group, clauses=list(filter(chosen, group.clauses))) for group in groups]
    return [group for group in some if group.clauses]
