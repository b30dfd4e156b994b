import pytest

from kdns.corefile.blocks import Bound, check_names, check_overlap, read_blocks
from kdns.corefile.tree import ConfigError
from tests.corefile.corpus import Case, load


def told(text, *, known=(), implemented=(), repeatable=()):
    errors: list[ConfigError] = []
    directives = load(Case(text)).blocks[0].directives
    check_names(directives, errors, known=known, implemented=implemented, repeatable=repeatable)
    return list(map(str, errors))


def test_every_wrong_name_is_told():
    found = told(
        ". {\n forwrd\n file\n federation\n xyzzy\n log\n log\n forward\n forward\n log\n}\n",
        known=["file", "forward", "log"],
        implemented=["forward", "log"],
        repeatable=["forward"],
    )
    assert found == [
        "Corefile:2: unknown directive 'forwrd' (did you mean 'forward'?)",
        "Corefile:3: file: this plugin of CoreDNS is not implemented in kdns",
        "Corefile:4: federation is no plugin any more"
        " (CoreDNS 1.7.0 removed it; nothing takes its place)",
        "Corefile:5: unknown directive 'xyzzy'",
        "Corefile:7: log may stand once in a server block (first on line 6)",
        "Corefile:10: log may stand once in a server block (first on line 6)",
    ]


@pytest.mark.parametrize("name", ["proxy", "upstream", "reverse", "federation"])
def test_names_of_old_releases_come_with_a_hint(name):
    assert "is no plugin any more (" in told(f".\n{name}\n")[0]


def test_a_wrong_key_leaves_the_rest_to_be_checked():
    outcome = load(Case("a: b. {\n}\nc..d {\n}\nb\nfoo\n"))
    assert list(map(str, outcome.errors)) == [
        "Corefile:1: expected a port after the colon of 'a:'",
        "Corefile:3: expected a zone: name 'c..d' has a label of 0 octets, not 1 to 63",
        "Corefile:6: unknown directive 'foo'",
        "Corefile:5: cannot serve dns://b.:53: it is already served (line 1)",
    ]
    assert outcome.blocks[0].word.text == "a:"


def test_an_address_block_served_twice_is_told_once():
    outcome = load(Case("10.0.0.0/25\n{\n}\n10.0.0.0/24 10.0.0.0/25 {\n}\n"))
    assert [error.why for error in outcome.errors] == [
        "cannot serve dns://0.0.0.10.in-addr.arpa.:53: it is already served"
    ]


def test_a_conflict_names_the_other_file():
    outcome = load(Case("a {\n}\nimport f\n", {"f": "a {\n}\n"}))
    assert str(outcome.errors[0]).endswith("is already served (line 1 of Corefile)")


def test_one_server_block_may_be_bound_to_several_addresses():
    blocks = load(Case("a {\n}\na {\n}\n")).blocks
    errors: list[ConfigError] = []
    check_overlap([Bound(blocks[0], ("::1", "127.0.0.1")), Bound(blocks[1], ("::2",))], errors)
    assert errors == []


def test_no_blocks_make_no_server_blocks():
    assert read_blocks([], []) == []


def test_warnings_of_keys_may_be_left_unheard():
    errors: list[ConfigError] = []
    blocks = load(Case("a_b\n")).blocks
    assert blocks[0].keys
    assert errors == []
