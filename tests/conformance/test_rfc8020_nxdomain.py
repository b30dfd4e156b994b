"""RFC 8020: NXDOMAIN means that there is nothing below either."""

import dns.rcode
import pytest

from tests.conformance.server import Server


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_2_names_below_a_name_error_are_name_errors(server: Server, depth: int) -> None:
    missing = server.missing()
    assert server.ask(missing).rcode() == dns.rcode.NXDOMAIN
    below = ".".join("abcdef"[:depth]) + "." + missing
    assert server.ask(below).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("type_", ["A", "AAAA", "SRV", "TXT", "NS", "SOA", "CNAME", "TYPE65280"])
def test_2_names_above_one_that_exists_are_no_name_errors(server: Server, type_: str) -> None:
    for name in (*server.ancestors(), server.zone):
        assert server.ask(name, type_).rcode() == dns.rcode.NOERROR, name


@pytest.mark.parametrize("type_", ["A", "AAAA", "SRV", "TXT", "MX", "CNAME", "TYPE65280"])
def test_2_whether_a_name_exists_does_not_depend_on_the_type(server: Server, type_: str) -> None:
    assert server.ask(server.name, type_).rcode() == dns.rcode.NOERROR
    assert server.ask(server.missing(), type_).rcode() == dns.rcode.NXDOMAIN
