"""columns: the short cut says what parse.py says one endpoint at a time, or leaves it to it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kdns.cluster import parse, raw
from kdns.cluster.columns import columns

texts = st.sampled_from(
    ["10.0.0.1", "255.255.255.255", "010.0.0.1", "1.2.3", "4.5.6.7.8", "256.1.1.1", "1.2.3.4,5.6.7.8",
     "", "fd00::1", "::ffff:1.2.3.4", "fe80::1%eth0", "\u0661.2.3.4", "1.2.3.4\n", "x"]
)  # fmt: skip
names = st.sampled_from(
    [None, "", "web-0", "Web-0", "a.b", "a,b", "-a", "a-", "x" * 63, "x" * 64, "x" * 253, "x" * 254, "a\n", "é"]
)  # fmt: skip
endpoints = st.builds(
    raw.Endpoint,
    addresses=st.one_of(st.none(), st.lists(texts, max_size=2), texts.map(lambda one: [one])),
    conditions=st.one_of(
        st.none(), st.builds(raw.Conditions, ready=st.sampled_from([None, True, False]))
    ),
    hostname=names,
    target_ref=st.one_of(
        st.none(), st.builds(raw.Reference, kind=st.sampled_from(["Pod", "Node", None]), name=names)
    ),
    zone=st.sampled_from([None, "", "a", "z" * 300]),
)
plain = st.builds(
    raw.Endpoint,
    addresses=st.sampled_from([["10.0.0.1"], ["10.0.0.2"]]),
    hostname=st.sampled_from([None, "a", "b-1"]),
)


@example([raw.Endpoint(["10.0.0.1"], target_ref=raw.Reference("Pod", "a,b"))], 4)
@example([raw.Endpoint(["10.0.0.1"], hostname="a,b")], 4)
@example([raw.Endpoint(["1.2.3.4,5.6.7.8"])], 4)
@example([raw.Endpoint([""])], 4)
@example([raw.Endpoint(["fe80::1%eth0"])], 16)
@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(plain, plain, endpoints), max_size=6), st.sampled_from([4, 16]))
def test_both_ways_agree(listed: list[raw.Endpoint], width: int) -> None:
    short = columns(listed, width)
    try:
        whole = parse._columns(listed, width)
    except ValueError:
        assert short is None
    else:
        assert short in (None, whole)


@pytest.mark.parametrize(("width", "text"), [(4, "10.0.0.1"), (16, "fd00::1")])
def test_the_common_case_is_short(width: int, text: str) -> None:
    pod = raw.Reference("Pod", "web-0")
    listed = [
        raw.Endpoint([text], raw.Conditions(ready=False), "h", pod, "a"),
        raw.Endpoint([text]),
    ]
    found = columns(listed, width)
    assert found is not None
    assert found == parse._columns(listed, width)
    assert (found[1], found[2:]) == ({0}, (["h", ""], ["web-0", ""], ["a", ""]))
