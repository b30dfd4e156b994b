"""What an upstream's reply is read as."""

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.client.reading import answered, carried
from kdns.wire.scan import scan


def spelled(message: dns.message.Message) -> bytes:
    """The message with every name whole, as CoreDNS sends what is short."""
    plain = message.to_wire()
    end = 12 + len(message.question[0].name.to_wire()) + 4
    return plain.replace(b"\xc0\x0c", plain[12 : end - 4]) if message.answer else plain


def reply(name: str, type_: str, texts: list[str], *, has_opt: bool, options=()):
    query = dns.message.make_query(name, type_, use_edns=0 if has_opt else -1)
    made = dns.message.make_response(query)
    if has_opt:
        made.use_edns(0, options=list(options))
    if texts:
        made.answer.append(dns.rrset.from_text(name, 60, "IN", type_, *texts))
    return query.to_wire(), made


@pytest.mark.parametrize("has_opt", [False, True])
@pytest.mark.parametrize(("type_", "text"), [("A", "192.0.2.1"), ("AAAA", "2001:db8::1")])
def test_an_address_with_its_whole_name_is_as_plain_as_one_that_points(type_, text, has_opt):
    packet, message = reply("a.Example.", type_, [text], has_opt=has_opt)
    question = scan(packet)
    end = 12 + len(question.name) + 4
    whole, pointing = spelled(message), message.to_wire()
    assert len(whole) > len(pointing)
    one, two = (carried(each, end, question.key, "x") for each in (whole, pointing))
    assert one is not None
    assert two is not None
    assert one.opened() == two.opened()
    assert one.write(question, 0x8180, 0.0).wire == two.write(question, 0x8180, 0.0).wire


@given(
    st.sampled_from(["A", "AAAA", "TXT", "CNAME"]),
    st.integers(0, 2),
    st.booleans(),
    st.binary(max_size=20),
    st.integers(0, 90),
)
def test_whatever_comes_is_read_the_same_both_ways(type_, count, has_opt, tail, cut):
    texts = {
        "A": ["192.0.2.1", "192.0.2.2"],
        "AAAA": ["2001:db8::1", "2001:db8::2"],
        "TXT": ['"a"', '"b"'],
        "CNAME": ["b.a.example.", "c.a.example."],
    }[type_][: min(count, 1) if type_ == "CNAME" else count]
    packet, message = reply("a.example.", type_, texts, has_opt=has_opt)
    question = scan(packet)
    wire = spelled(message) + tail
    wire = wire[: max(12 + len(question.name) + 4, len(wire) - cut)]
    found = carried(wire, 12 + len(question.name) + 4, question.key, "x")
    if found is not None:
        slow, _ = answered(wire, question, (question.key, question.type), "x", is_datagram=False)
        assert found.opened() == slow
