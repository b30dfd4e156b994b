"""Record text and rdata, with dnspython as the second opinion."""

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kdns.wire import fields, names, rare, types

RECORDS = {
    "A": "10.0.0.1",
    "AAAA": "fd00::1",
    "NS": "ns.example.org.",
    "CNAME": "b.example.org.",
    "SOA": "ns.example.org. host.example.org. 7 2h 30m 1w 5",
    "PTR": "a.example.org.",
    "HINFO": '"cpu" "an os"',
    "MX": "10 mail.example.org.",
    "TXT": '"two words" plain "a\\"quote" "\\001\\200" ""',
    "RP": "a.example.org. b.example.org.",
    "AFSDB": "1 a.example.org.",
    "X25": '"311061700956"',
    "RT": "1 a.example.org.",
    "PX": "10 a.example.org. b.example.org.",
    "SRV": "0 100 443 a.example.org.",
    "NAPTR": '100 10 "u" "E2U+sip" "!^.*$!sip:info@example.org!" .',
    "KX": "1 a.example.org.",
    "CERT": "1 2 8 AQID BAUG",
    "DNAME": "b.example.org.",
    "DS": "12345 8 2 " + "ab" * 32,
    "SSHFP": "4 2 " + "cd" * 32,
    "DNSKEY": "257 3 8 AQID BAUG",
    "CDS": "12345 8 2 " + "ab" * 32,
    "TLSA": "3 1 1 " + "ef" * 32,
    "SMIMEA": "3 1 1 " + "ef" * 32,
    "OPENPGPKEY": "AQIDBAUG",
    "DHCID": "AQIDBAUG",
    "ZONEMD": "7 1 1 " + "ab" * 48,
    "SVCB": "0 b.example.org.",
    "HTTPS": '1 . alpn="h2,h3" port=8443 ipv4hint=10.0.0.1,10.0.0.2 ipv6hint=fd00::1',
    "URI": '10 1 "https://example.org/"',
    "CAA": '0 issue "ca.example.org"',
    "EUI48": "00-00-5e-00-53-2a",
    "EUI64": "00-00-5e-ef-10-00-00-2a",
    "NID": "10 0014:4fff:ff20:ee64",
    "L32": "10 10.1.2.0",
    "L64": "10 2001:0db8:1140:1000",
    "LP": "10 l64.example.org.",
    "SPF": '"v=spf1 -all"',
    "LOC": "52 22 23.000 N 4 53 32.000 E -2.00m 1.00m 10000m 10m",
    "APL": "1:192.168.32.0/21 !1:192.168.38.0/28 2:fd00::/8",
    "IPSECKEY": "10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
    "AMTRELAY": "10 0 3 amt.example.org.",
    "CSYNC": "66 3 A NS AAAA",
    "NSEC3": "1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
    "NSEC3PARAM": "1 0 0 -",
    "ISDN": '"150862028003217" "004"',
    "GPOS": '"-32.6882" "116.8652" "10.0"',
    "NSAP": "0x47000580005a0000000001e133ffffff00016100",
    "NSAP-PTR": "a.example.org.",
    "NSEC": "b.example.org. A MX RRSIG NSEC TYPE1234",
    "RRSIG": "A 8 3 3600 20301231000000 20201231000000 1 example.org. AQIDBAUG",
    "TYPE65280": "\\# 3 abcdef",
}


def by_dnspython(type_: str, text: str) -> bytes:
    rdata = dns.rdata.from_text("IN", type_, text, origin=dns.name.root, relativize=False)
    return rdata.to_wire()


@pytest.mark.parametrize(("type_", "text"), RECORDS.items(), ids=RECORDS)
def test_text_becomes_the_octets_dnspython_makes(type_: str, text: str) -> None:
    rrset = rare.parse_record(f"a.example.org. 60 IN {type_} {text}")
    assert rrset.rdatas == (by_dnspython(type_, text),)
    assert (names.format(rrset.owner), rrset.ttl, rrset.cls) == ("a.example.org.", 60, types.IN)
    assert rrset.type == types.parse_type(type_)


@pytest.mark.parametrize(("type_", "text"), RECORDS.items(), ids=RECORDS)
def test_octets_become_text_that_dnspython_reads_as_the_same(type_: str, text: str) -> None:
    rdata = by_dnspython(type_, text)
    written = rare.format_rdata(types.parse_type(type_), rdata)
    assert by_dnspython(type_, written) == rdata
    assert not written.startswith("\\#") or type_ == "TYPE65280"


@pytest.mark.parametrize(("type_", "text"), RECORDS.items(), ids=RECORDS)
def test_every_type_may_be_written_in_hex(type_: str, text: str) -> None:
    rdata = by_dnspython(type_, text)
    generic = (
        f"a. TYPE{types.parse_type(type_)} \\# {len(rdata)} {rdata[:3].hex()} {rdata[3:].hex()}"
    )
    assert rare.parse_record(generic).rdatas == (rdata,)


@pytest.mark.parametrize(("type_", "text"), RECORDS.items(), ids=RECORDS)
def test_cut_rdata_is_written_in_hex_or_read_as_what_is_left(type_: str, text: str) -> None:
    rdata = by_dnspython(type_, text)
    number = types.parse_type(type_)
    for end in range(len(rdata)):
        written = rare.format_rdata(number, rdata[:end])
        assert "\n" not in written


@pytest.mark.parametrize(
    ("text", "owner", "ttl", "cls", "type_"),
    [
        pytest.param("a.org A 1.2.3.4", "a.org.", 3600, 1, 1, id="no TTL, no class"),
        pytest.param("a.org 5 A 1.2.3.4", "a.org.", 5, 1, 1, id="TTL"),
        pytest.param("a.org IN 5 A 1.2.3.4", "a.org.", 5, 1, 1, id="class first"),
        pytest.param("a.org 5 CH A 1.2.3.4", "a.org.", 5, 3, 1, id="TTL first"),
        pytest.param("a.org 1h30m IN A 1.2.3.4", "a.org.", 5400, 1, 1, id="TTL with units"),
        pytest.param("@ a 1.2.3.4 ; comment", ".", 3600, 1, 1, id="root and comment"),
        pytest.param("\n\nfoo A 1.2.3.4\nbar A 1.2.3.5", "foo.", 3600, 1, 1, id="first of two"),
        pytest.param("a (\n60 ; x\nIN A 1.2.3.4\n)", "a.", 60, 1, 1, id="parentheses"),
        pytest.param("in IN A 1.2.3.4", "in.", 3600, 1, 1, id="owner named as a class"),
    ],
)
def test_the_words_before_the_data(text: str, owner: str, ttl: int, cls: int, type_: int) -> None:
    rrset = rare.parse_record(text)
    assert (names.format(rrset.owner), rrset.ttl, rrset.cls) == (owner, ttl, cls)
    assert rrset.type == type_
    assert rrset.rdatas == (b"\1\2\3\4",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "no record", id="empty"),
        pytest.param("bogus", "no record type", id="name alone"),
        pytest.param("a A", "too early", id="no data"),
        pytest.param("a A 1.2.3.999", "A: ", id="bad address"),
        pytest.param("a A 1.2.3.4 x", "one word too many", id="too much"),
        pytest.param("a..b A 1.2.3.4", "label", id="bad owner"),
        pytest.param("a 5 6 A 1.2.3.4", "no record type", id="two TTLs"),
        pytest.param("a 99999999999 A 1.2.3.4", "32 bits", id="large TTL"),
        pytest.param("a FOO 1.2.3.4", "no TTL", id="unknown type"),
        pytest.param('a TXT "open', "never closed", id="open quote"),
        pytest.param("a TXT (x", "parentheses", id="open parenthesis"),
        pytest.param("a MX 70000 b", "16 bits", id="large number"),
        pytest.param("a TXT " + "x" * 256, "255", id="long string"),
        pytest.param("a TYPE65280 \\# 2 abcdef", "3 octets", id="wrong length"),
        pytest.param("a TYPE65280 x", "RFC 3597", id="unknown type without hex"),
        pytest.param("a OPT x", "no type of a record", id="OPT"),
        pytest.param("a LOC rubbish", "LOC: ", id="what dnslib cannot read"),
        pytest.param("a HTTPS 1 . port=x", "no port", id="bad port"),
        pytest.param("a HTTPS 1 . foo=x", "no service parameter", id="bad parameter"),
        pytest.param("a HTTPS 1 . mandatory=alpn", "missing", id="mandatory but missing"),
        pytest.param("a HTTPS 1 . port=1 port=2", "twice", id="parameter twice"),
    ],
)
def test_mistakes_say_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        rare.parse_record(text)


@pytest.mark.parametrize(
    "params",
    [
        "mandatory=alpn,port alpn=h2 port=1",
        "alpn=h2 no-default-alpn",
        'alpn="a\\\\\\\\b,c\\\\,d"',
        "ech=AAQBAgME",
        'dohpath="/q{?dns}"',
        "port=53 alpn=dot",
        "key65333=ab\\001c",
    ],
)
def test_service_parameters(params: str) -> None:
    rdata = by_dnspython("SVCB", f"1 a.example.org. {params}")
    assert rare.parse_record(f"x SVCB 1 a.example.org. {params}").rdatas == (rdata,)
    written = rare.format_rdata(types.SVCB, rdata)
    assert by_dnspython("SVCB", written) == rdata


@given(st.text(max_size=80))
def test_any_text_is_a_record_or_a_value_error(text: str) -> None:
    for prefix in ("", "a A ", "a TXT ", "a LOC ", "a HTTPS 1 . ", "a NSEC b "):
        try:
            rare.parse_record(prefix + text)
        except ValueError:
            continue


@given(st.sampled_from([*fields.TABLE, 29, 46, 47, 65280]), st.binary(max_size=60))
@example(257, b"\0\3\0\0(")
@example(257, b"\0\0")
def test_any_rdata_has_a_text_that_reads_back(type_: int, rdata: bytes) -> None:
    written = rare.format_rdata(type_, rdata)
    assert "\n" not in written
    if type_ in fields.TABLE and written and not written.startswith("\\#"):
        again = rare.parse_rdata(type_, rare.split(written))
        assert rare.format_rdata(type_, again) == written


def test_a_line_of_dig() -> None:
    rrset = rare.parse_record("a.org 60 IN MX 10 b.org")
    assert rare.format_rrset(rrset) == ["a.org.\t60\tIN\tMX\t10 b.org."]
