import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.corefile.patterns import compile_go


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        (r"^(.*)\.example\.(com|org)$", ["a.example.org"], ["a.example.net", "aexample.org"]),
        (r"a$", ["a"], ["a\n"]),
        (r"(?m)a$", ["a\nb", "a"], ["ab"]),
        (r"(?m:a$)b|c$", ["c"], ["a\nb", "c\n"]),
        (r"a\z", ["a"], ["a\n"]),
        (r"\Aa\b", ["a"], ["ba", "ab"]),
        (r"\Bb", ["ab"], ["b"]),
        (r"(?i)abc", ["ABC"], ["ab"]),
        (r"^a(?i)b|c$", ["aB", "C"], ["AB"]),
        (r"^(x(?i)b|c)d$", ["xBd", "Cd"], ["xBD", "XBd"]),
        (r"^(?i:a)b$", ["Ab"], ["AB"]),
        (r"(?i)^a(?-i:b)$", ["Ab"], ["AB"]),
        (r"^(?s)a.b(?-s).c$", ["a\nb.c"], ["a\nb\nc"]),
        (r"^(?<x>a)(?P<y>b)(?:c)$", ["abc"], ["ab"]),
        (r"^[[:alpha:]_-]+$", ["a_-"], ["a1"]),
        (r"^[^[:digit:]]$", ["a"], ["1"]),
        (r"^[]a]$", ["]", "a"], ["b"]),
        (r"^[^]a]$", ["b"], ["]"]),
        (r"^[a-]$", ["-"], ["b"]),
        (r"^[+--]$", ["+", ",", "-"], ["."]),
        (r"^[\d-z]$", ["1", "-", "z"], ["y"]),
        (r"^[\n\x41\-[&~|]$", ["\n", "A", "-", "[", "&", "~", "|"], ["\\"]),
        (r"^\x{1F600}\x41$", ["\U0001f600A"], ["A"]),
        (r"^\Qa.b\E.$", ["a.bc"], ["axbc"]),
        (r"^\Qa.b", ["a.b"], ["axb"]),
        (r"^a{2}b{1,}c{,3}$", ["aabbc{,3}"], ["aab"]),
        (r"^a*?b+?c??d{1,2}?$", ["abd"], ["ac"]),
        (r"^\d\w\s$", ["1a "], ["٣a "]),
        (r"^ # a$", [" # a"], ["a"]),
        (r"^\.\-\_\/$", [".-_/"], ["a"]),
        (r"^\a\f\n\r\t\v$", ["\a\f\n\r\t\v"], ["a"]),
        (r"^*a\b?$+", ["a", "ba"], ["ab"]),
        (r"^\B$", [""], ["a"]),
        (r"^\07\101\0$", ["\aA\0"], ["A"]),
        (r"", [""], []),
        (r"^(a|)$", ["a", ""], ["b"]),
    ],
)
def test_a_pattern_means_what_it_means_in_go(pattern, matches, others):
    compiled = compile_go(pattern)
    assert [text for text in matches if not compiled.search(text)] == []
    assert [text for text in others if compiled.search(text)] == []


def test_groups_keep_their_numbers_and_names():
    match = compile_go(r"^(?i)(?P<a>x)(y|(?i)z(.))$").search("XZ1")
    assert match is not None
    assert match.groups() == ("X", "Z1", "1")
    assert match["a"] == "X"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?=a)", "look-around"),
        ("(?<=a)b", "look-around"),
        ("(?!a)", "look-around"),
        ("(?P=x)", "look-around"),
        ("(?#x)", "look-around"),
        ("(?>a)", "look-around"),
        ("(?)", "names no flag"),
        (r"(a)\1", "means nothing here"),
        (r"\Z", "means nothing here"),
        (r"\pL", "not supported"),
        (r"\ü", "means nothing here"),
        (r"[\b]", "means nothing here"),
        ("a**", "followed by another repetition"),
        ("a++", "followed by another repetition"),
        ("a{2}{3}", "followed by another repetition"),
        ("a{1001}", "repeats more than 1000 times"),
        ("a{1,1001}", "repeats more than 1000 times"),
        ("*", "nothing to repeat"),
        ("(", "never closed"),
        ("a)", "closes nothing"),
        ("[a", "never closed"),
        ("[a-", "never closed"),
        ("[", "never closed"),
        ("[z-a]", "bad character range"),
        ("[[:foo:]]", "there is no class"),
        ("\\", "ends in"),
        ("[\\", "ends in"),
        (r"\x{110000}", "chr"),
        ("(?P<1a>b)", "bad character in group name"),
        ("(" * 101 + ")" * 101, "over 100 parentheses"),
    ],
)
def test_what_go_refuses_is_refused(pattern, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        compile_go(pattern)


@given(st.text(r"ab|()[]{}?*+^$.\\:-<>Pims1,QEdz&~ ", max_size=20))
def test_any_text_compiles_or_is_a_valueerror(text):
    try:
        compile_go(text)
    except ValueError as error:
        assert str(error)
