import pytest

from kdns.corefile.environment import expand
from kdns.corefile.lexer import scan
from kdns.corefile.tree import ConfigError, Word


def lines(text):
    """The words of a text, one list per line that has any."""
    out = []
    for token in scan(text, "C"):
        if token.is_first:
            out.append([])
        out[-1].append(token.word.text)
    return out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a b\tc\n d", [["a", "b", "c"], ["d"]], id="white space"),
        pytest.param("a\u00a0b\u2028c\u3000d\x85e", [list("abcde")], id="white space of Unicode"),
        pytest.param("a\x1cb", [["a\x1cb"]], id="separators of ASCII are none"),
        pytest.param("a\r\nb\rc \r d", [["a"], ["bc", "d"]], id="carriage returns vanish"),
        pytest.param('\r"a b"', [["a b"]], id="carriage return before a quote"),
        pytest.param("\ufeffa", [["a"]], id="byte order mark"),
        pytest.param("a # b c\nd", [["a"], ["d"]], id="comment"),
        pytest.param("#a\nb#c d\ne", [["b", "d"], ["e"]], id="comment in a word ends with it"),
        pytest.param("a#b\nc", [["a"], ["c"]], id="comment in the last word"),
        pytest.param('"a b" "" c', [["a b", "", "c"]], id="quotes"),
        pytest.param('"a"b', [["a", "b"]], id="a closed quote ends the word"),
        pytest.param('a"b c"', [['a"b', 'c"']], id="a quote inside a word is a sign"),
        pytest.param(r'"a\"b"', [['a"b']], id="escaped quote"),
        pytest.param(r'"a\nb\\"', [[r"a\nb\\"]], id="no other escape"),
        pytest.param(r'"a\\\"b"', [[r"a\\" + '"b']], id="escaped quote after backslashes"),
        pytest.param('"a#b\r"', [["a#b\r"]], id="quoted text is kept"),
        pytest.param('"a\nb" c\nd', [["a\nb", "c"], ["d"]], id="the line goes on behind quotes"),
        pytest.param('a "\n\n"\nb', [["a", "\n\n"], ["b"]], id="and ends after them"),
    ],
)
def test_words(text, expected):
    assert lines(text) == expected


def test_lines_are_counted_through_quotes_and_comments():
    tokens = scan('a\n"b\n\nc" d # x\n\n\ne', "C")
    assert [token.word.line for token in tokens] == [1, 2, 4, 7]


@pytest.mark.parametrize("text", ['\n"a', '\n"a\\"', '\n"a\\', '\n"'])
def test_an_open_quote_is_told_where_it_begins(text):
    with pytest.raises(ConfigError, match='C:2: quoted text is never closed by `"`'):
        lines(text)


ENVIRON = {
    "A": "x",
    "EMPTY": "",
    "NEST": "{$A}",
    "PERCENT": "{%A%}",
    "DOLLAR": "{$A}",
    "SELF": "{$SELF}x",
    "ONE": "{$TWO}",
    "TWO": "{$ONE}",
    "GROW": "{$GROW}{$GROW}",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{$A}", "x"),
        ("{%A%}", "x"),
        ("1{$A}2{%A%}3{$A}", "1x2x3x"),
        ("{$NONE}y{$EMPTY}", "y"),
        ("{%A}", "{%A}"),
        ("{$A", "{$A"),
        ("{$}", "{$}"),
        ("{%%}", "{%%}"),
        ("{$}{$A}", "{$}{$A}"),
        ("{$A}{$}", "x{$}"),
        ("{%%}{$A}", "{%%}x"),
        ("{$A%}", ""),
        ("{{$A}}", "{x}"),
        ("{$A{$A}}", "}"),
        ("{%A{$A}", "{%Ax"),
        ("{$NEST}", "x"),
        ("{$PERCENT}", "{%A%}"),
        ("{%DOLLAR%}", "x"),
    ],
)
def test_references_to_the_environment(text, expected):
    assert expand(Word(text, "C", 3), ENVIRON) == Word(expected, "C", 3)


@pytest.mark.parametrize("text", ["{$SELF}", "{$ONE}", "{$GROW}"])
def test_variables_that_refer_to_themselves_are_an_error(text):
    with pytest.raises(
        ConfigError, match=r"C:3: the environment variables in .* refer to themselves"
    ):
        expand(Word(text, "C", 3), ENVIRON)
