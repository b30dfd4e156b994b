import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kdns.corefile import options
from kdns.corefile.options import Shape, Syntax, check_all
from kdns.corefile.tree import ConfigError
from tests.corefile.corpus import Case, load
from tests.corefile.strategies import Use, corefiles, some, soup, words

ENVIRON = {"A": "a}", "LOOP": "{$LOOP}{$LOOP}"}
SYNTAX = Syntax(
    Shape(maybe=(options.integer(),), rest=options.zones),
    {"log": Shape(rest=options.text), "s": Shape((options.duration(),))},
    other=Shape((options.address,)),
)
TABLE = {
    "whoami": [Use()],
    "errors": [Use(), Use(options={"stacktrace": words()})],
    "log": [Use(some(["a.", "b"])), Use(words("."), {"class": some(["all", "error"], least=1)})],
    "cache": [
        Use(words("30"), {"success": words("10", "20"), "disable": words("denial")},
            repeating=frozenset({"disable"})),
    ],
    "hosts": [Use(words("a b", 'say "x"'), {"1.2.3.4": words("a#b"), "ttl": words("{x}")})],
}  # fmt: skip


@settings(deadline=None)  # the bound is below, in CPU time
@given(text=soup, files=st.dictionaries(st.sampled_from(["f", "s", "a.x", "b.x"]), soup))
@example("(s) {\nimport s\nimport s\n}\nimport s", {})
@example("import f", {"f": "import f\n" * 50})
@example("a {\nb" + " {" * 200, {})
@example("{$LOOP}", {})
def test_any_text_is_parsed_or_a_mistake_with_its_place(text, files):
    started = time.process_time()
    outcome = load(Case(text, files, ENVIRON))
    errors = outcome.errors
    for block in outcome.blocks:
        assert block.keys or errors
        for directive in block.directives:
            check_all(directive, SYNTAX, errors, outcome.warnings.append)
    assert all(isinstance(error, ConfigError) and error.line > 0 for error in errors)
    assert time.process_time() - started < 2


@given(corefiles(TABLE, needed=["whoami"]))
def test_generated_corefiles_are_right(text):
    outcome = load(Case(text))
    assert list(map(str, outcome.errors)) == []
    assert outcome.warnings == []
    for block in outcome.blocks:
        assert block.named("whoami")
        for directive in block.named("hosts"):
            assert [word.text for word in directive.args] == ["a b", 'say "x"']
