"""Every directive that is there has a page that says how it differs, and CoreDNS's are all known."""

from kdns.cli.topics import differences
from kdns.plugins import ORDER, OURS
from kdns.server.registry import implemented
from tests.differential import directives

MISSING = {"route53", "azure", "clouddns", "nomad", "etcd", "dnssec", "sign"}


def test_every_directive_says_how_it_differs():
    for name in implemented():
        assert differences(name) is not None, name
    assert {name for name in ORDER if differences(name) is None} == MISSING


def test_the_table_has_each_directive_once():
    same, missing, ours, *differ = directives.table()
    named = [line.partition(": ")[2].split(", ") for line in (same, missing, ours)]
    named.append([line.partition(":")[0] for line in differ])
    assert sorted(name for row in named for name in row) == sorted(ORDER)
    assert set(named[1]) == MISSING
    assert set(named[2]) == OURS
