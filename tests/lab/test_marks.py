"""What is found by marks is what a look at all objects finds, whatever was written before."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from kdns.lab.marks import Marks

LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))
NAMES = st.sampled_from(["one", "two", "three"])
WRITES = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from(["s", "t"]),
        LABELS,
        LABELS,
        st.sampled_from(["", "u1", "u2"]),
        st.booleans(),
    )
)


def written(writes: list[tuple[str, str, dict, dict, str, bool]]) -> SimpleNamespace:
    marks, there = Marks(), {}
    for name, namespace, labels, selector, owner, is_gone in writes:
        if old := there.pop((namespace, name), None):
            marks.drop(old)
        if is_gone:
            continue
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        if owner:
            metadata["ownerReferences"] = [{"uid": "other"}, {"uid": owner, "controller": True}]
        there[namespace, name] = {"metadata": metadata, "spec": {"selector": selector}}
        marks.add(there[namespace, name])
    return SimpleNamespace(marks=marks, there=there)


@given(WRITES, LABELS, st.sampled_from(["s", "t"]))
def test_they_find_what_a_look_at_all_finds(writes, wanted, namespace):
    found = written(writes)
    here = {name: one for (where, name), one in found.there.items() if where == namespace}
    if wanted:
        bearing = {
            n for n, one in here.items() if wanted.items() <= one["metadata"]["labels"].items()
        }
        assert found.marks.bearing(namespace, wanted) == bearing
    owned = {
        n for n, one in here.items()
        if any(ref["uid"] == "u1" for ref in one["metadata"].get("ownerReferences", ()))
    }  # fmt: skip
    assert found.marks.controlled(namespace, "u1") == owned
    selecting = {
        n for n, one in here.items()
        if one["spec"]["selector"] and one["spec"]["selector"].items() <= wanted.items()
    }  # fmt: skip
    assert found.marks.selecting(namespace, wanted) >= selecting


@given(WRITES)
def test_nothing_is_kept_of_what_is_gone(writes):
    found = written(writes)
    for one in found.there.values():
        found.marks.drop(one)
    assert not found.marks._names
