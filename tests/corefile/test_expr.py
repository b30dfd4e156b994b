"""The expression language: every row was seen from the library CoreDNS 1.15.0 uses for it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.corefile.expr.expressions import (
    BOOL,
    INT,
    STRING,
    ExprError,
    Expression,
    Signature,
    parse,
)
from kdns.corefile.expr.values import text
from tests.waiting import least_cpu

ENVIRONMENT = {
    "name": Signature((), STRING),
    "client_ip": Signature((), STRING),
    "id": Signature((), INT),
    "do": Signature((), BOOL),
    "incidr": Signature((STRING, STRING), BOOL),
}
ASK = {
    "name": lambda: "a.example.org.",
    "client_ip": lambda: "10.0.0.1",
    "id": lambda: 7,
    "do": lambda: False,
    "incidr": lambda address, block: block.startswith(address[:3]),
}


def value(expression: str) -> str:
    return text(parse(expression, ENVIRONMENT).evaluate(ASK))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1/2", "0.5"), ("7 % 2", "1"), ("-7 % 3", "-1"), ("1 / 0", "+Inf"), ("0 / 0", "NaN"),
        ("2 ** 3", "8"), ("-2 ** 2", "-4"), ("2 ^ 0.5", "1.4142135623730951"),
        ("9223372036854775807 + 1", "-9223372036854775808"), ("017", "17"), ("0x1F", "31"),
        ("1_000", "1000"), (".5", "0.5"), ("5.", "5"), ("1e3", "1000"), ("1..3", "[1 2 3]"),
        ("5..1", "[]"), ("-1 .. 1", "[-1 0 1]"), ("1 .. 2 + 1", "[1 2 3]"),
        ("'a' + 'b'", "ab"), (r"'it\'s'", "it's"), (r'"a\u0041\x41\t"', "aAA\t"), (r"`a\n`", r"a\n"),
        ("1 < 2 < 3 < 4", "true"), ("1 == 1 == true", "true"), ("nil == false", "false"),
        ("[1,2] == [1.0,2]", "true"), ("{a: 1} == {a: 1}", "true"), ("id() == 7.0", "true"),
        ("1 not in [1] == false", "true"), ("'a' not contains 'b'", "true"),
        ("!true == false", "true"), ("true or false and false", "true"), ("not do()", "true"),
        ("name() matches '^a[.]' ? 1 : 2", "1"), ("'a' not matches 'b'", "true"),
        ("true ?: 3", "true"), ("nil ?? 1", "1"), ("1 == 1 ?? 2", "true"),
        ("true or 1 / 0 > 1 and id() % 0 == 1", "true"),
        ("[1,2,3][-1]", "3"), ("'abc'[1:]", "bc"), ("'abc'[:-1]", "ab"), ("'abc'[2:1]", ""),
        ("[1,2,3][1:2]", "[2]"), ("{a: {b: 2}}.a.b", "2"), ("{a: 1}.b", "<nil>"),
        ("{a: nil}?.a?.b", "<nil>"), ("{'a b': 1, (name()): 2}['a b']", "1"),
        ("'a' in {a: 1}", "true"), ("1 in 1..3", "true"), ("1 in []", "false"),
        ("name() | trimSuffix('.') | split('.') | last()", "org"), ("'abc' | len() > 2", "true"),
        ("1 | string() + 'a'", "1a"), ("let x = 1; let y = 2; x + y", "3"), ("1; 2", "2"),
        ("if do() { 1 } else if true { 2 } else { 3 }", "2"), ("1 /* c */ + 2 // d", "3"),
        ("any([1,2], # > 1)", "true"), ("all([1,2], {# > 1})", "false"), ("none([1], # > 1)", "true"),
        ("one([1,2], # > 1)", "true"), ("filter(1..3, # > 1)", "[2 3]"),
        ("map([{a: 1}], .a)", "[1]"), ("map([5,6], #index)", "[0 1]"), ("count([true,false])", "1"),
        ("find([1,2], # > 5)", "<nil>"), ("findLastIndex([1,2], # > 0)", "1"),
        ("groupBy([1,2,3], # % 2)", "map[0:[2] 1:[1 3]]"), ("sum([1,2.5])", "3.5"),
        ("sum([1,2], # * 2)", "6"), ("reduce([1,2,3], #acc + #)", "6"),
        ("reduce([1,2,3], #acc + #index, 10)", "13"), ("sortBy(['bb','a'], len(#))", "[a bb]"),
        ("any([[1],[2]], any(#, # == 2))", "true"), ("filter(1..3, {let x = #; x > 1})", "[2 3]"),
        ("any(['10.0.0.0/8', 'fd00::/8'], incidr(client_ip(), #))", "true"),
        ("lower('AB') + upper('a')", "abA"), ("trim('xax','x')", "a"), ("split('a,b',',',1)", "[a,b]"),
        ("splitAfter('a,b',',')", "[a, b]"), ("replace('aab','a','x',1)", "xab"),
        ("repeat('ab',3)", "ababab"), ("indexOf('abc','x')", "-1"), ("int('42') + int(4.9)", "46"),
        ("float('1.5')", "1.5"), ("string([1,nil,'a',1e6])", "[1 <nil> a 1e+06]"),
        ("round(2.5)", "3"), ("median([1,2])", "1.5"), ("mean([])", "0"), ("max([])", "<nil>"),
        ("min(1, 2.5)", "1"), ("first([])", "<nil>"), ("take([1,2],9)", "[1 2]"),
        ("uniq([1,1,2])", "[1 2]"), ("flatten([1,[2,[3]]])", "[1 2 3]"), ("sort([3,1],'desc')", "[3 1]"),
        ("join(['a','b'],',')", "a,b"), ("fromPairs([['a',1]])", "map[a:1]"),
        ("fromJSON('{\"a\": [1, 2.5]}')", "map[a:[1 2.5]]"), ("toBase64('abc')", "YWJj"),
        ("bitushr(-8,1)", "9223372036854775804"), ("bitnand(6,3)", "4"), ("get([1],5)", "<nil>"),
    ],
)  # fmt: skip
def test_values(expression, expected):
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("foo", "unknown name foo (1:1)"), ("foo()", "unknown function foo (1:1)"),
        ("do() and\n bar", "unknown name bar (2:2)"), ("name() == 1", "string == int (1:8)"),
        ("1 + 'a'", "int + string (1:3)"), ("'a' + nil", "string + nil"), ("true and 1", "found int"),
        ("not 1", "found int"), ("not 1 in [1]", "found int"), ("-'a'", "found string"),
        ("1 ? 2 : 3", "found int"), ("(1 < 2) < 3", "bool < int"), ("7.5 % 2", "float % int"),
        ("1 % 0", "divide by zero"), ("1 in ['a']", "int in array of string"),
        ("'a' in 'abc'", "string in string"), ("'a' matches '['", "never closed"),
        ("[1]['a']", "numbered elements"), ("{a: 1}[1]", "texts for keys"), ("'a'.b", "has no b"),
        ("'abc'[0]", "has no"), ("1[0]", "unexpected [ (1:2)"), ("name().x", "has no x (1:8)"),
        ("incidr('a')", "takes 2 arguments"), ("incidr(name(), 1)", "needs string, found int (1:16)"),
        ("len(1)", "a text, array or map, found int"), ("len()", "wrong number of arguments"),
        ("any([1], #)", "neither true nor false"), ("any(1, true)", "needs an array"),
        ("map(['a'], #)[0] + 1", "string + int"), ("filter(['a'], # == 1)", "string == int (1:17)"),
        ("let x = 1; x == 'a'", "int == string"), ("let x = 1; let x = 2; x", "redeclare x"),
        ("let len = 1; len", "redeclare len"), ("# > 1", "unexpected #"), ("'a", "never closed"),
        (r"'a\q'", "is no escape"), ("1abc", "bad number"), ("99999999999999999999", "64 bits"),
        ("1 +", "unexpected the end (1:4)"), ("1 2", "unexpected 2 (1:3)"), ("()", "unexpected )"),
        ("@", "unexpected '@'"), ("{a}", "expected `:`"), ("name() | upper", "expected `(`"),
        ("if true { 1 }", "expected `else`"), ("name == 'a'", "function == string"),
        ("nil ?? 1 == 2", "needs parentheses (1:10)"), ("now()", "depend on the time"), ("(" * 60 + "1" + ")" * 60, "nested too deeply"),
        ("1" + "+1" * 6000, "more than 10000 characters"), ("$env.foo()", "unknown function foo"),
    ],
)  # fmt: skip
def test_mistakes_are_found_when_it_is_read(expression, why):
    with pytest.raises(ExprError) as error:
        parse(expression, ENVIRONMENT)
    assert why in str(error.value)


@pytest.mark.parametrize(
    "expression",
    [
        "id() % 0", "[1,2][5]", "[1,'a'][1] + 1", "{a: 1}.b + 1", "(true ? 1 : 'a') + 'x'",
        "any([1,'a'], #)", "count([1])", "int('x')", "int('0x10')", "repeat('a', -1)", "join([1])",
        "sort([1,'a'])", "sort([1],'x')", "fromJSON('x')", "fromBase64('!')", "bitshl(1,-1)",
        "reduce([], #)", "take([1],-1)", "{a: nil}.a.b", "sum(['a'])", "mean([1,'a'])",
        "name() matches '[' + name()", "not {a: 1}.a", "1..100000000", "repeat('ab', 10000000)",
        "toJSON(name)",
    ],
)  # fmt: skip
def test_what_only_shows_when_it_is_evaluated_is_an_error_then(expression):
    made = parse(expression, ENVIRONMENT)
    with pytest.raises(ExprError):
        made.evaluate(ASK)


@pytest.mark.parametrize(
    "expression",
    [
        "len(map(1..90, map(1..90, map(1..90, # * 2))))", "any(1..9999, any(1..9999, # < 0))",
        "reduce(1..5000, #acc + string(#) + repeat('x', 900), '')", "repeat(name(), 100000000)",
        "count(1..2000, 9999 in (1..2000))", "toJSON(map(1..9000, 1..9000))",
    ],
)  # fmt: skip
def test_no_expression_takes_long(expression):
    made = parse(expression, ENVIRONMENT)

    def evaluate():
        with pytest.raises(ExprError, match="more than 10000 steps"):
            made.evaluate(ASK)

    assert least_cpu(evaluate, 0.2) < 0.2


def test_long_lists_are_no_depth():
    assert value(" or ".join(f"name() == 'n{at}'" for at in range(400))) == "false"
    assert value(" and ".join(["not do()"] * 400)) == "true"
    with pytest.raises(ExprError, match="nested too deeply"):
        parse("+".join(["1"] * 400), ENVIRONMENT)


def parts(expression: str) -> tuple[list[frozenset[str]], frozenset[str]]:
    apart: list[Expression] = []
    made = parse(expression, ENVIRONMENT, apart=frozenset({"client_ip", "incidr"}), parts=apart)
    return [part.reads for part in apart], made.reads


@pytest.mark.parametrize(
    ("expression", "count", "reads"),
    [
        ("incidr(client_ip(), '10.0.0.0/8')", 1, {"part of the class"}),
        ("not incidr(client_ip(), '10.0.0.0/8') and do()", 1, {"part of the class", "do"}),
        ("incidr(client_ip(), 'a') or incidr(client_ip(), 'b')", 1, {"part of the class"}),
        ("do() ? incidr(client_ip(), 'a') : client_ip() == 'b'", 2, {"part of the class", "do"}),
        ("any(['a','b'], incidr(client_ip(), #))", 1, {"part of the class"}),
        ("any([name()], incidr(client_ip(), #))", 0, {"name", "client_ip", "incidr"}),
        ("client_ip() == name()", 0, {"client_ip", "name"}),
        ("let x = client_ip(); x == 'a' and do()", 0, {"client_ip", "do"}),
        ("do() and 1 == 1", 0, {"do"}),
    ],
)
def test_what_reads_only_the_address_is_kept_apart(expression, count, reads):
    found, read = parts(expression)
    assert (len(found), read) == (count, reads)


WORDS = ["name()", "id()", "do()", "1", "0", "2.5", "'a'", "nil", "true", "[1, 2]", "{a: 1}", "#",
         "+", "-", "*", "/", "%", "**", "==", "<", "and", "or", "not", "in", "contains", "matches",
         "..", "?", ":", "??", "|", "(", ")", "[", "]", ".a", "len(", "any(", "map(", "upper(", ",",
         "let x =", ";", "x", "sum(", "string(", "{", "}"]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join))
def test_any_text_is_an_error_or_a_value(expression):
    try:
        text(parse(expression, ENVIRONMENT).evaluate(ASK))
    except ExprError as error:
        assert str(error)


@given(st.text(max_size=30))
def test_any_characters_are_an_error_or_a_value(expression):
    try:
        text(parse(expression, ENVIRONMENT).evaluate(ASK))
    except ExprError as error:
        assert str(error)
