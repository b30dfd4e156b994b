"""Manifest text: YAML and JSON, many documents, Lists; hostile text costs an error and no time."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.cluster import documents, yaml_values
from kdns.cluster.documents import Document
from tests.waiting import least_cpu

LINE = st.text("abc019 .:-_/~#&*!|>'\"%@`{}[],?\\\té€", max_size=8)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), LINE)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LINE, inner, max_size=3)
)
OBJECT = {"kind": "Service", "metadata": {"name": "s"}}


def parse(text: str) -> list[Document]:
    """The documents with plain values for objects."""
    return list(documents.parse(text, lambda body: body))


def bodies(text: str) -> list[object]:
    found = parse(text)
    assert not [one.error for one in found if one.error]
    return [one.thing for one in found]


@given(st.dictionaries(LINE, VALUES, max_size=4), st.booleans())
def test_what_pyyaml_writes_reads_the_same(value, flow):
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    assert bodies(text) == [value]


@given(st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), min_size=1, max_size=3))
def test_what_json_writes_reads_the_same(values):
    values = [value | {"kind": "x"} for value in values]
    assert bodies("\n".join(map(json.dumps, values))) == values


@given(st.lists(VALUES, max_size=4))
def test_a_json_list_is_read_item_by_item(items):
    whole = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {}}
    assert bodies(json.dumps(whole, indent=1)) == bodies(yaml.safe_dump(whole, allow_unicode=True))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None), ("true", True), ("Yes", True),
        ("on", True), ("FALSE", False), ("no", False), ("Off", False), ("y", "y"), ("nULL", "nULL"),
        ("0", 0), ("-7", -7), ("+7", 7), ("010", 8), ("0o10", 8), ("0x1F", 31), ("-0x1f", -31), ("08", "08"),
        ("1.5", 1.5), ("1e3", "1e3"), ("1.0e+3", 1000.0), (".5", 0.5), ("1.", 1.0), ("10.0.0.1", "10.0.0.1"), ("1_000", "1_000"),
        ("9" * 40, "9" * 40), ("2001-13-45", "2001-13-45"), ("fd00::1", "fd00::1"), ("None", "None"), (".inf", ".inf"),
    ],
)  # fmt: skip
def test_a_plain_scalar_means(text, value):
    found = yaml_values.resolve(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: '1'\nb: \"true\"\nc: !!str 5", {"a": "1", "b": "true", "c": "5"}),
        ("a: !!int '5'\nb: !!map {c: !!seq [d]}", {"a": 5, "b": {"c": ["d"]}}),
        ("1: a\ntrue: b\n~: c", {"1": "a", "true": "b", "~": "c"}),
        ("a: &x [1, &y z]\nb: *x\nc: *y", {"a": [1, "z"], "b": [1, "z"], "c": "z"}),
        ("&k a: 1\n*k : 2", {"a": 2}),
        ("a: &x {p: 1, q: 2}\nb: {p: 0, <<: *x}\nc: {<<: *x, p: 3}", {
            "a": {"p": 1, "q": 2}, "b": {"p": 0, "q": 2}, "c": {"p": 3, "q": 2}}),
        ("a: {<<: [{p: 1}, {p: 2, q: 2}]}", {"a": {"p": 1, "q": 2}}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
        ("a: {\"<<\": 5}", {"a": {"<<": 5}}),
        ("a: |\n  x\n  y\nb: >\n  x\n  y\n", {"a": "x\ny\n", "b": "x y\n"}),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_yaml_values(text, value):
    assert bodies(text) == [value]


def test_documents_are_split_at_their_marks_and_counted():
    text = "\ufeff# first\n---\n# nothing\n--- # a\nkind: A\n...\n---\nkind: B\nx: a---b\n---x: 1\n--- {kind: C}\n---\n"
    found = parse(text.replace("\n---x: 1", ""))
    assert [(one.where, one.thing["kind"]) for one in found] == [
        ("document 1", "A"), ("document 2", "B"), ("document 3", "C"),
    ]  # fmt: skip


def test_windows_line_ends_and_directives_are_fine():
    assert bodies("%YAML 1.1\r\n---\r\nkind: A\r\n---\r\nkind: B\r\n") == [
        {"kind": "A"},
        {"kind": "B"},
    ]


def test_a_broken_document_hides_none_of_the_others():
    first, broken, last = parse("kind: A\n---\nx: [\n---\nkind: B\n")
    assert (first.thing, last.thing) == ({"kind": "A"}, {"kind": "B"})
    assert broken.where == "document 2"
    assert "line " in broken.error
    assert not broken.is_readable


def test_lists_are_taken_apart_and_typed_ones_tell_their_items():
    found = parse(json.dumps({
        "kind": "List", "items": [
            OBJECT, {"kind": "PodList", "apiVersion": "v1", "items": [{"a": 1}, {"kind": "Own"}, 5]}, None,
        ]}))  # fmt: skip
    assert found == [
        Document("document 1, items[0]", OBJECT),
        Document("document 1, items[1], items[0]", {"kind": "Pod", "apiVersion": "v1", "a": 1}),
        Document("document 1, items[1], items[1]", {"kind": "Own", "apiVersion": "v1"}),
        Document("document 1, items[1], items[2]", 5),
    ]


@pytest.mark.parametrize("items", [None, [], "absent"])
def test_an_empty_list_holds_nothing(items):
    assert (
        parse(
            json.dumps({"kind": "List", "items": items} if items != "absent" else {"kind": "List"})
        )
        == []
    )


def test_items_that_are_no_list_are_an_error():
    (one,) = parse("kind: List\nitems: {a: b}\n")
    assert one.error == "Expected `array` - at `$.items`"
    assert one.is_readable


def test_flow_yaml_that_looks_like_json_is_yaml():
    assert bodies("{kind: A, 'b': 1}\n---\nkind: B\n") == [{"kind": "A", "b": 1}, {"kind": "B"}]


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {k0: 1, l0: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 20)}], k{n}: 1}}\n" for n in range(1, 12)
)
HOSTILE = {
    "open brackets": ("[" * 300_000, "nested deeper than 100 levels"),
    "brackets": ("[" * 5000 + "]" * 5000, "nested deeper than 100 levels"),
    "open mappings": ("{a: " * 100_000, "nested deeper than 100 levels"),
    "lists in lists": ("- " * 100_000, "nested deeper than 100 levels"),
    "JSON objects in objects": ('{"a":' * 100_000, "nested deeper than 100 levels"),
    "an alias bomb": (BOMB, "aliases repeat more than 100000 values"),
    "a merge bomb": (MERGES, "aliases repeat more than 100000 values"),
    "an alias of itself": ("a: &a [*a]", "'a' names nothing that is complete"),
    "an unknown alias": ("a: *b", "'b' names nothing that is complete"),
    "a key that is a list": ("? [a]\n: b", "a key is no text"),
    "an alias of a list as key": ("a: &a [b]\n*a : 1", "a key is no text"),
    "a merge of text": ("a: {<<: b}", "what is merged is no mapping"),
    "an object of Python": ("!!python/object/apply:os.system [x]", "python/object/apply:os.system' is not known"),
    "a scalar of Python": ("a: !!python/name:os.system x", "python/name:os.system' is not known"),
    "bytes": ("a: !!binary aGk=", "is not known"),
    "a control character": ("a: \x01", "control characters are not allowed"),
    "a lone surrogate": ("b: c\na: \udcff", "no UTF-8 text, line 2 of the document"),
    "a tab for indentation": ("a:\n\t- b", "cannot start any token"),
    "a bad indentation": ("a: b\n c: d", "mapping values are not allowed in this context, line 2"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "why"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_costs_an_error_and_no_time(text, why):
    assert least_cpu(lambda: parse(text), 2) < 2
    (one,) = parse(text)
    assert why in one.error
    assert len(one.error) < 200
    assert not one.is_readable


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "1" * 5000], ids=["huge", "minus huge"])
def test_a_number_of_any_length_is_a_value(number):
    (one,) = parse(f"kind: A\nx: {number}")
    assert one.thing["x"] == number
    (one,) = parse(f'{{"kind": "A", "x": {number}}}')
    assert one.thing["kind"] == "A"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text("abc:-*&<>{}[]\"'!|#%\n\t 0~", max_size=60))
def test_any_text_is_documents(text):
    for one in parse(text):
        assert (one.thing is None) == bool(one.error)
