import re
from ipaddress import ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kdns.corefile import options as o

CONVERTERS = {
    "integer": o.integer(),
    "number": o.number(),
    "duration": o.duration(),
    "duration or seconds": o.duration(bare_seconds=True),
    "percent": o.percent,
    "choice": o.choice("a", "b", "c"),
    "zone": o.zone,
    "zones": o.zones,
    "address": o.address,
    "network": o.network,
    "host_port": o.host_port,
    "type": o.type_,
    "class": o.class_,
    "rcode": o.rcode,
    "regex": o.regex(20),
}


@pytest.mark.parametrize(
    ("convert", "word", "value"),
    [
        (o.text, "", ""),
        (o.text, "{}", "{}"),
        (o.integer(), "0", 0),
        (o.integer(), "+7", 7),
        (o.integer(), "007", 7),
        (o.integer(None, 5), "-3", -3),
        (o.integer(-3), "-3", -3),
        (o.number(), "1.5", 1.5),
        (o.number(0, 1), ".5e0", 0.5),
        (o.duration(), "0", 0),
        (o.duration(), "-0", 0),
        (o.duration(), "5s", 5),
        (o.duration(), "+5s", 5),
        (o.duration(), "-5s", -5),
        (o.duration(), "1h20m", 4800),
        (o.duration(), "1h20m.5s", 4800.5),
        (o.duration(), "1.5m", 90),
        (o.duration(), "5.s", 5),
        (o.duration(), "250ms", 0.25),
        (o.duration(), "3us", 3e-6),
        (o.duration(), "3µs", 3e-6),
        (o.duration(), "3μs", 3e-6),
        (o.duration(), "4ns", 4e-9),
        (o.duration(bare_seconds=True), "15", 15),
        (o.duration(1, 2, bare_seconds=True), "2", 2),
        (o.percent, "10%", 10),
        (o.choice("x"), "x", "x"),
        (o.zone, "Example.org", b"\7example\3org\0"),
        (o.zone, "10.0.0.0/15", b"\x010\x0210\7in-addr\4arpa\0"),
        (o.zones, "dns://a:53", (b"\1a\0",)),
        (o.zones, "10.0.0.0/8", (b"\x0210\7in-addr\4arpa\0",)),
        (o.zones, "}", (b"\1}\0",)),
        (o.address, "1.2.3.4", b"\1\2\3\4"),
        (o.address, "::1", bytes(15) + b"\1"),
        (o.network, "10.1.2.3/8", ip_network("10.0.0.0/8")),
        (o.network, "::1", ip_network("::1/128")),
        (o.host_port, ":9153", ("", 9153)),
        (o.host_port, "localhost:0", ("localhost", 0)),
        (o.host_port, "[::1]:53", ("::1", 53)),
        (o.type_, "AAAA", 28),
        (o.type_, "TYPE65", 65),
        (o.class_, "CH", 3),
        (o.rcode, "nxdomain", 3),
    ],
)
def test_a_word_becomes_a_value(convert, word, value):
    assert convert(word) == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("convert", "word", "expected"),
    [
        (o.integer(), "x", "a whole number, at least 0"),
        (o.integer(), "1_0", "a whole number, at least 0"),
        (o.integer(), "0x10", "a whole number, at least 0"),
        (o.integer(), "٣", "a whole number, at least 0"),
        (o.integer(), "9" * 20, "a whole number, at least 0"),
        (o.integer(), "-1", "a whole number, at least 0"),
        (o.integer(1, 65535), "65536", "a whole number from 1 to 65535"),
        (o.integer(None, 5), "6", "a whole number, at most 5"),
        (o.integer(None), "", "a whole number"),
        (o.number(0, 1), "1.1", "a number from 0 to 1"),
        (o.number(), "nan", "a number, at least 0"),
        (o.number(), "1e9999", "a number, at least 0"),
        (o.duration(), "5", "a duration such as 5s"),
        (o.duration(), "", "a duration such as 5s"),
        (o.duration(), "s", "a duration such as 5s"),
        (o.duration(), ".s", "a duration such as 5s"),
        (o.duration(), "1d", "a duration such as 5s"),
        (o.duration(), "5s5", "a duration such as 5s"),
        (o.duration(), "--5s", "a duration such as 5s"),
        (o.duration(), "99999999h", "a duration such as 5s"),
        (o.duration(1), "1ms", "a duration such as 5s, at least 1s"),
        (o.duration(1, 60), "61s", "a duration such as 5s from 1s to 60s"),
        (o.duration(0, bare_seconds=True), "-1", "a duration such as 5s, at least 0s"),
        (o.percent, "10", "a percentage such as 10%"),
        (o.percent, "101%", "a percentage such as 10%"),
        (o.percent, "%", "a percentage such as 10%"),
        (o.choice("a", "b", "c"), "d", "a, b or c"),
        (o.choice("a", "b"), "d", "a or b"),
        (o.choice("a"), "d", "a"),
        (o.zone, "", "a zone"),
        (o.zones, "dns://", "a zone"),
        (o.zones, "a..b", "a zone (name 'a..b' has a label of 0 octets, not 1 to 63)"),
        (o.address, "1.2.3", "an IP address"),
        (o.network, "1.2.3.4/33", "an address block such as 10.0.0.0/8, or an address"),
        (o.host_port, "9153", "an address with a port such as 127.0.0.1:8080 or :8080"),
        (o.host_port, "::1:53", "an address with a port such as 127.0.0.1:8080 or :8080"),
        (o.host_port, "a:65536", "an address with a port such as 127.0.0.1:8080 or :8080"),
        (o.host_port, "a:x", "an address with a port such as 127.0.0.1:8080 or :8080"),
        (o.type_, "FOO", "a record type"),
        (o.class_, "FOO", "a class"),
        (o.rcode, "FOO", "a response code such as NXDOMAIN"),
        (o.regex(3), "abcd", "a regular expression of at most 3 characters"),
        (o.regex(), "(", "a regular expression (a `(` is never closed)"),
    ],
)
def test_a_wrong_word_tells_what_was_expected(convert, word, expected):
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        convert(word)


@pytest.mark.parametrize("name", CONVERTERS)
@given(word=st.text() | st.text("0123456789.:/[]%+-hms", max_size=12))
@example("²")
@example("9" * 5000)
@example("1.2.3.4/" + "9" * 5000)
@example("a:" + "9" * 5000)
def test_any_word_is_a_value_or_a_valueerror(name, word):
    try:
        CONVERTERS[name](word)
    except ValueError as error:
        assert str(error)
