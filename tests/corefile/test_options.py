import pytest

from kdns.corefile import options
from kdns.corefile.options import Shape, Syntax, check, check_all
from kdns.corefile.tree import ConfigError
from tests.corefile.corpus import Case, load

SYNTAX = Syntax(
    Shape((options.zone,), (options.integer(1, 9),), rest=options.text),
    {
        "ttl": Shape((options.integer(0, 3600),)),
        "mode": Shape((options.choice("on", "off"),), (options.duration(),)),
        "bare": Shape(),
        "loose": Shape(is_loose=True),
        "zones": Shape(rest=options.zones, repeats=True),
        "some": Shape(rest=options.type_, at_least=2),
        "tail": Shape((options.text,), (options.text,), rest=options.address, at_least=1),
    },
    removed={"upstream": "delete the line"},
)
PLAIN = Syntax(Shape(rest=options.text))
TABLE = Syntax(other=Shape((options.address,), rest=options.text), options={"ttl": Shape()})


def directive(text):
    outcome = load(Case(f".\n{text}"))
    return outcome.blocks[0].directives[0]


def told(text, syntax=SYNTAX):
    errors: list[ConfigError] = []
    settings = check_all(directive(text), syntax, errors)
    return list(map(str, errors)), settings


def body(*lines):
    return "".join(["x . {\n", *(f" {line}\n" for line in lines), "}"])


def test_settings_hold_converted_values():
    settings = check(
        directive(body("ttl 30", "bare", "zones a 10.0.0.0/15", "zones b", "mode on 2m")), SYNTAX
    )
    assert settings.name == "x"
    assert settings.args == (b"\0",)
    assert settings.get("ttl") == 30
    assert settings.get("bare") is True
    assert settings.get("some", "nothing") == "nothing"
    assert settings.has("zones")
    assert not settings.has("some")
    assert [len(line.values) for line in settings.all("zones")] == [2, 1]
    assert list(map(len, settings.values("zones"))) == [1, 2, 1]
    assert settings.values("mode") == ("on", 120.0)
    assert [line.word.line for line in settings.lines] == [3, 4, 5, 6, 7]
    assert str(settings.fail("no", "do")) == "Corefile:2: no (do)"
    assert str(settings.lines[1].fail("no")) == "Corefile:4: no"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x .", (b"\0",)),
        ("x . 5", (b"\0", 5)),
        ("x . 5 a b", (b"\0", 5, "a", "b")),
    ],
)
def test_optional_arguments_come_in_order(text, values):
    assert check(directive(text), SYNTAX).args == values


def test_lines_without_a_known_option_go_to_the_other_shape():
    settings = check(directive("x {\n 1.2.3.4 a b\n ttl\n}"), TABLE)
    assert [(line.name, line.values) for line in settings.lines] == [
        ("", (b"\1\2\3\4", "a", "b")),
        ("ttl", ()),
    ]


@pytest.mark.parametrize(
    ("text", "syntax", "message"),
    [
        ("x", SYNTAX, "2: x: expected a zone, found the end of the line"),
        ("x a..b", SYNTAX, "2: x: expected a zone (name 'a..b' has a label of 0 octets, not 1 to"),
        ("x . y", SYNTAX, "2: x: expected a whole number from 1 to 9, found 'y'"),
        ("x . 10", SYNTAX, "2: x: expected a whole number from 1 to 9, found '10'"),
        (body("tt 5"), SYNTAX, "3: x: unknown option 'tt' (did you mean 'ttl'?)"),
        (body("qqqqq"), SYNTAX, "3: x: unknown option 'qqqqq'"),
        (body("upstream"), SYNTAX, "3: x: upstream is no option any more (delete the line)"),
        (body("ttl"), SYNTAX, "3: x ttl: expected a whole number from 0 to 3600, found the end"),
        (body("ttl 5 6"), SYNTAX, "3: x ttl: unexpected '6' at the end of the line"),
        (body("ttl 1s"), SYNTAX, "3: x ttl: expected a whole number from 0 to 3600, found '1s'"),
        (body("bare 1"), SYNTAX, "3: x bare: unexpected '1' at the end of the line"),
        (body("mode no"), SYNTAX, "3: x mode: expected on or off, found 'no'"),
        (body("some A"), SYNTAX, "3: x some: expected a record type, found the end of the line"),
        (body("tail"), SYNTAX, "3: x tail: expected an argument, found the end of the line"),
        (body("tail a"), SYNTAX, "3: x tail: expected an argument, found the end of the line"),
        (body("tail a b"), SYNTAX, "3: x tail: expected an IP address, found the end of the line"),
        (body("ttl 5 {", "}"), SYNTAX, "3: x ttl: unexpected `{` at the end of the line"),
        (body("bare {", "}"), SYNTAX, "3: x bare: unexpected `{` at the end of the line"),
        ("x . { bare }", SYNTAX, "2: x bare: unexpected '}' at the end of the line (`}` must"),
        ("x a {\n}", PLAIN, "2: x takes no block"),
        ("x a {\n b\n}", PLAIN, "2: x takes no block"),
        ("x {\n a\n}", TABLE, "3: x: expected an IP address, found 'a'"),
    ],
)
def test_a_mistake_is_told_with_place_option_and_what_was_expected(text, syntax, message):
    found, _ = told(text, syntax)
    assert [error[: len("Corefile:" + message)] for error in found] == ["Corefile:" + message]
    with pytest.raises(ConfigError) as caught:
        check(directive(text), syntax)
    assert str(caught.value) == found[0]


def test_every_mistake_is_told_and_the_rest_is_kept():
    found, settings = told("x . y z {\n tt\n bare\n ttl x\n zones a a..b c..d\n}")
    assert [error.split(": ", 1)[0] for error in found] == [
        f"Corefile:{n}" for n in (2, 3, 5, 6, 6)
    ]
    assert settings.args == ()
    assert [line.name for line in settings.lines] == ["bare"]


def test_a_brace_on_the_line_of_an_option_that_looks_at_nothing_passes():
    assert check(directive("x . { loose }"), SYNTAX).has("loose")
    with pytest.raises(ConfigError, match="unexpected 'y'"):
        check(directive("x . { loose y }"), SYNTAX)


def test_of_an_option_given_again_the_last_line_counts():
    warnings: list[str] = []
    settings = check_all(
        directive(body("ttl 1", "zones a", "ttl 2", "zones b", "ttl 3")),
        SYNTAX,
        [],
        warnings.append,
    )
    assert [(line.name, line.word.line) for line in settings.lines] == [
        ("zones", 4),
        ("zones", 6),
        ("ttl", 7),
    ]
    assert warnings == [
        "Corefile:3: ttl is given again on line 7, which counts",
        "Corefile:5: ttl is given again on line 7, which counts",
    ]
    assert check(directive(body("ttl 1", "ttl 2")), SYNTAX).get("ttl") == 2
