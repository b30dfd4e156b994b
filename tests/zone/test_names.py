"""The grammar: labels below a zone, dashed addresses, and what metadata is told."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.cluster.objects import Slice
from kdns.zone.names import dash, describe, endpoint_label, parse_dashed, parse_exact


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_a_dashed_address_is_one_label_that_reads_back(address):
    text = dash(address)
    assert 0 < len(text) < 64
    plain = ip_address(address)
    mapped = getattr(plain, "ipv4_mapped", None)
    assert parse_dashed(text) == (mapped or plain).packed


@given(st.text(alphabet="0123456789abcdef-%.xg", max_size=63))
def test_any_label_is_an_address_or_none(text):
    found = parse_dashed(text)
    assert found == spelled(text)
    assert parse_exact(text) == (found if found and dash(found) == text else None)


@pytest.mark.parametrize(
    "text",
    ["1-2-3-4", "01-2-3-4", "1-2-3-256", "1--3-4", "-1-2-3", "1-2-3", "1-2-3-4-5", "1-2-3-\xb2",
     "a--b-c", "--ffff-1-2", "--ffff-102-304", "0-0-0-0-0-ffff-102-304", "fd00--", "fd00--0", "--",
     "--1", "1-2-3-4-5-6-7-8", "fd00-0--1", "1-2-3-f", "1-2--"],
)  # fmt: skip
def test_a_label_is_read_as_the_standard_library_reads_addresses(text):
    found = parse_dashed(text)
    assert found == spelled(text)
    assert parse_exact(text) == (found if found and dash(found) == text else None)


def spelled(text):
    """The address that a label spells, the long way."""
    if not set(text) <= set("0123456789abcdef-") or "-" not in text:
        return None
    is_v4 = text.count("-") == 3 and "--" not in text
    try:
        found = ip_address(text.replace("-", "." if is_v4 else ":"))
    except ValueError:
        return None
    return (getattr(found, "ipv4_mapped", None) or found).packed


@pytest.mark.parametrize(
    ("hostname", "pod", "pod_names", "label"),
    [
        ("h", "p", True, "h"),
        ("", "p", True, "p"),
        ("", "p", False, "1-2-3-4"),
        ("", "p" * 64, True, "1-2-3-4"),
        ("h" * 64, "", False, "1-2-3-4"),
    ],
)
def test_the_label_of_an_endpoint_is_hostname_then_pod_then_address(
    hostname, pod, pod_names, label
):
    one = Slice("a", "s", "s", 4, b"\1\2\3\4", hostnames=(hostname,), pods=(pod,))
    assert endpoint_label(one, 0, pod_names=pod_names) == label


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([], {"namespace": "", "kind": "", "service": ""}),
        (["svc"], {"namespace": "", "kind": "", "service": ""}),
        (["a", "svc"], {"namespace": "a", "kind": "svc", "service": ""}),
        (["web", "a", "svc"], {"namespace": "a", "kind": "svc", "service": "web"}),
        (["_h", "_tcp", "web", "a", "svc"], {"port-name": "h", "protocol": "tcp"}),
        (["e", "web", "a", "svc"], {"endpoint": "e"}),
        (["1-2-3-4", "a", "pod"], {"kind": "pod", "service": "1-2-3-4"}),
        (["ns", "dns"], {"parse-error": "invalid query name"}),
        (["x", "y", "z", "web", "a", "svc"], {"parse-error": "invalid query name"}),
    ],
)
def test_metadata_tells_what_the_labels_mean(parts, told):
    found = describe(parts, multicluster=False, zonal=False)
    assert told.items() <= found.items()
    assert ("parse-error" in told) == ("parse-error" in found)


def test_metadata_tells_of_clusters_and_zones_where_there_are_some():
    assert describe(["e", "c1", "w", "a", "svc"], multicluster=True, zonal=False)["cluster"] == "c1"
    pin = ["za", "b", "pin", "_zone", "w", "a", "svc"]
    assert describe(pin, multicluster=False, zonal=True)["zone"] == "za.b"
