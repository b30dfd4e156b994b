"""All groups of clauses, in the order they are reported."""

from kdns.conformance.clauses import Group

GROUPS: tuple[Group, ...] = ()
