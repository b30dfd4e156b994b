"""Differences of two generations lead from one to the other, and only fit where they were made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.zone.files.changes import applied, differing, records
from kdns.zone.files.parse import ZoneError
from kdns.zone.files.zone import compiled, finish
from kdns.zone.transfers import Difference
from tests.keeping.masters import APEX, zone

lines = st.lists(
    st.builds(
        "{} {} {}\n".format,
        st.sampled_from(["a", "b", "c.a", "*.b"]),
        st.sampled_from(["5", "60"]),
        st.sampled_from(["A 192.0.2.1", "A 192.0.2.2", "TXT x", "TXT y"]),
    ),
    max_size=8,
).map("".join)


@given(lines, lines)
def test_a_zone_and_a_difference_make_the_next_zone(before: str, after: str) -> None:
    old, new = zone(1, before), zone(2, after)
    difference = finish(differing(old, new))
    made = compiled(APEX, applied(old, [difference]))
    assert set(records(made.rrsets())) == set(records(new.rrsets()))
    assert made.serial == 2


def test_a_difference_from_another_serial_or_with_other_records_does_not_fit() -> None:
    difference = finish(differing(zone(2, "a A 1.1.1.1\n"), zone(3)))
    for other in (zone(1), zone(2)):
        with pytest.raises(ZoneError, match=r"begins at serial|not there: A of a\.example\."):
            compiled(APEX, applied(other, [difference]))


def test_what_differs_by_too_much_is_not_remembered() -> None:
    many = "".join(f"host{n} A 10.0.{n >> 8}.{n & 255}\n" for n in range(6000))
    assert finish(differing(zone(1), zone(2, many))) is None
    assert isinstance(finish(differing(zone(1), zone(2))), Difference)
