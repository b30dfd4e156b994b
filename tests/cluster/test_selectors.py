"""Label selectors: Kubernetes' syntax, its meaning, and words for what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.cluster.selectors import EVERYTHING, equal, parse

WEB, DB, NONE = (("tier", "web"), ("n", "5")), (("tier", "db"),), (("tier", ""),)
OTHER = (("x", "y"),)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", {WEB, DB, NONE, OTHER}),
        ("tier=web", {WEB}),
        ("tier==web", {WEB}),
        (" tier = web ", {WEB}),
        ("tier!=web", {DB, NONE, OTHER}),
        ("tier=", {NONE}),
        ("tier", {WEB, DB, NONE}),
        ("!tier", {OTHER}),
        ("! tier", {OTHER}),
        ("tier in (web,db)", {WEB, DB}),
        ("tier in ( web , )", {WEB, NONE}),
        ("tier in (,web)", {WEB, NONE}),
        ("tier notin (web)", {DB, NONE, OTHER}),
        ("tier,n", {WEB}),
        ("tier=web,n in (5,6),!x", {WEB}),
        ("n>4", {WEB}),
        ("n > 5", set()),
        ("n<6", {WEB}),
        ("tier>1", set()),
    ],
)
def test_a_selector_matches_what_kubernetes_says(text, matches):
    selector = parse(text)
    assert {labels for labels in (WEB, DB, NONE, OTHER) if selector.matches(labels)} == matches


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("=web", "'=' is no label key"),
        ("tier web", "expected one of = == != in notin < > after 'tier', found 'web'"),
        ("tier=web db", "expected a comma before the next term, found 'db'"),
        ("tier=web,", "the selector ends in a comma"),
        ("tier in web", "expected ( after 'in', found 'web'"),
        ("tier in (web", "expected ) after the values of 'in', found 'the end'"),
        ("tier in (a b)", "expected a comma or ) in the values of 'in', found 'b'"),
        ("tier in ()", "'in' needs at least one value"),
        ("tier=-web", "'-web' after '=' is no label value"),
        ("tier=" + "a" * 64, "is no label value"),
        ("n>few", "expected a whole number after '>', found 'few'"),
        ("a/b/c", "its prefix is no DNS name"),
        ("/b", "its prefix is no DNS name"),
        ("!", "'' is no label key"),
        ("t" * 64, "is no label key"),
    ],
)
def test_a_wrong_selector_is_told_what_is_wrong(text, why):
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert why in str(caught.value)


def test_the_selector_of_a_service_asks_for_every_label():
    assert equal({"tier": "web", "n": "5"}).matches(WEB)
    assert not equal({"tier": "web", "n": "6"}).matches(WEB)
    assert EVERYTHING.matches(())


@given(st.text("ab=!<>(), inot/.-_", max_size=20))
def test_any_text_is_a_selector_or_a_value_error(text):
    try:
        parse(text).matches(WEB)
    except ValueError as error:
        assert str(error)
