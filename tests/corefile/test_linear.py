"""Regular expressions of bounded time: `re` where it is safe, the linear matcher where it is not."""

import re
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.corefile import patterns
from kdns.corefile.go import regex as gosyntax
from kdns.corefile.linear import Linear
from kdns.corefile.patterns import compile_go
from tests.waiting import least_cpu

ATOMS = ["a", "b", "[ab]", "[^a]", ".", r"\.", r"\w", "(?i:A)", "^", "$", r"\b", r"\B", "(?m:$)",
         "(?m:^)"]  # fmt: skip


def _row(parts: list[str]) -> str:
    return "".join(parts)


def _repeated(row: tuple[str, str]) -> str:
    return f"(?:{row[0]}){row[1]}"


TREES = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(_row),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        inner.map(lambda part: f"({part})"),
        st.tuples(inner, st.sampled_from(["?", "??", "{1,2}", "{2}", "*", "+", "*?", "{1,}"])).map(
            _repeated
        ),
    ),
    max_leaves=8,
)
TEXTS = st.text("abA.\n_", max_size=12)


def both(pattern: str) -> tuple[re.Pattern[str], Linear] | None:
    """The expression for `re` and as a program; None where an empty part repeats.

    There Python differs from Go, so `re` is never used for it.
    """
    tree, groups = gosyntax.parse(pattern)
    if patterns.repeats_nothing(tree):
        return None
    return re.compile(patterns.written(tree), re.ASCII), Linear(tree, groups)


@settings(max_examples=300, deadline=None)
@given(TREES, st.lists(TEXTS, min_size=1, max_size=6))
def test_the_linear_matcher_says_what_re_says(pattern, texts):
    made = both(pattern)
    if made is None:
        return
    for text in texts:
        expected, found = made[0].search(text), made[1].search(text)
        assert (found is None) == (expected is None), (pattern, text)
        if expected and found:
            assert found[0] == expected[0]
            assert found.groups() == expected.groups()


@settings(max_examples=150, deadline=None)
@given(TREES, TEXTS)
def test_a_pattern_says_the_same_for_short_and_long_texts(pattern, text):
    compiled = compile_go(pattern)
    short = compiled.search(text)
    compiled.limit = -1
    long = compiled.search(text)
    assert (short and (short[0], short.groups())) == (long and (long[0], long.groups()))


EVIL = [
    r"(a+)+$",
    r"^(a+)+$",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(a|aa)+$",
    r"(a|a?)+$",
    r"(.*)(.*)(.*)(.*)x$",
    r"(.*)*x",
    r"^(a?){60}a{60}$",
    r"([a-z]+)*!",
    r"(\w+\s?)*$!",
    r"(.*a){12}x",
    r"a*a*a*a*a*x",
    r"^(.*?,){11}P",
]


@pytest.mark.parametrize("pattern", EVIL)
def test_no_name_makes_an_expression_slow(pattern):
    compiled = compile_go(pattern)
    for name in ("a" * 249 + "!", "a" * 250, "a," * 125):
        compiled.search(name)
        most = 0.001 if pattern == r"(a+)+$" and name.endswith("!") else 0.03
        assert least_cpu(partial(compiled.search, name), most) < most


@pytest.mark.parametrize("pattern", EVIL)
def test_the_time_grows_with_the_length_only(pattern):
    linear = Linear(*gosyntax.parse(pattern))
    took = []
    for length in (1000, 8000):
        text = "a" * length + "!"
        linear.search(text)
        took.append(least_cpu(partial(linear.search, text), 0))
    assert took[1] < took[0] * 40 + 0.01


@pytest.mark.parametrize(
    ("pattern", "limit"),
    [
        (r"^ip-([0-9]+)-([0-9]+)\.example\.org\.$", 1 << 20),
        (r"example\.org", 1 << 20),
        (r"^(.*)\.example\.org\.$", 1 << 20),
        (r"(.*)\.example\.org", 1 << 20),
        (r"(.*)-(us-west-1)\.coredns\.org", 1 << 20),
        (r"^(.+)\.(.+)\.example\.$", 304),
        (r"[a-z]+\.example", 304),
        (r"(a+)+$", -1),
        (r"(a*)*", -1),
    ],
)
def test_re_is_used_up_to_the_length_where_it_is_quick(pattern, limit):
    assert compile_go(pattern).limit == limit


@settings(max_examples=100, deadline=None)
@given(TREES, st.text("ab.", min_size=1, max_size=3))
def test_what_re_may_do_is_done_soon(pattern, part):
    """Whatever an expression is judged to be, a text up to its limit is searched in no time."""
    compiled = compile_go(pattern)
    text = (part * 400)[: max(min(compiled.limit, 400), 1)]
    for tried in (text, text + "!", text + "\n"):
        assert least_cpu(partial(compiled.search, tried), 0.1) < 0.1


def test_a_match_is_asked_like_one_of_re():
    match = Linear(*gosyntax.parse(r"(?P<x>a)(b)?")).search("za")
    assert match is not None
    assert (match[0], match["x"], match[2]) == ("a", "a", None)
    assert match.groups() == ("a", None)
    assert match.groupdict() == {"x": "a"}
    assert match.string == "za"


def test_many_states_are_forgotten_not_kept():
    linear = Linear(*gosyntax.parse(r"(a|b)*a(a|b){12}$"))
    texts = [format(number, "014b").replace("0", "a").replace("1", "b") for number in range(3000)]
    for text in texts:
        assert linear.is_in(text) == (text[-13] == "a")
    assert len(linear._known) <= 1000  # the bound is what this is about


@pytest.mark.parametrize(
    "pattern", ["(a{1000}){1000}", "((a{100}){11})", "a{2,1}", "(?P<x>a)(?P<x>b)", "a|*", "(+)"]
)
def test_what_else_go_refuses(pattern):
    with pytest.raises(ValueError, match=r".+"):
        compile_go(pattern)
