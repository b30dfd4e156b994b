"""TSIG: what dnspython signs verifies, what we sign it verifies, and nothing that was changed does."""

import dns.message
import dns.name
import dns.rcode
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire import names, tsig, types
from kdns.wire.message import WireError

SECRET = bytes(range(32))
NAME = "key.example."
KEY = names.parse_key(NAME)
NOW = 1_700_000_000
ALGORITHMS = ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"]


def ring() -> dict[dns.name.Name, dns.tsig.Key]:
    key = dns.name.from_text(NAME)
    return {key: dns.tsig.Key(key, SECRET, dns.tsig.HMAC_SHA256)}


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: float(NOW))


def signed(algorithm: str = "hmac-sha256") -> tuple[dns.message.Message, bytes]:
    query = dns.message.make_query("Web.Example.", "A", use_edns=0)
    name = dns.name.from_text(NAME)
    query.use_tsig(dns.tsig.Key(name, SECRET, algorithm + "."))
    return query, query.to_wire()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_another_signed_verifies_and_what_we_sign_verifies_there(algorithm: str) -> None:
    query, packet = signed(algorithm)
    found = tsig.find(packet)
    assert found is not None
    assert (found.key, names.format(found.algorithm)) == (KEY, algorithm + ".")
    assert tsig.verify(packet, found, SECRET, NOW) == 0
    reply = dns.message.make_response(dns.message.make_query("Web.Example.", "A", id=query.id))
    signer = tsig.Signer(found, SECRET, NOW)
    wire = signer.sign(reply.to_wire())
    assert len(wire) == len(reply.to_wire()) + signer.room
    read = dns.message.from_wire(wire, keyring=query.keyring, request_mac=query.mac)
    assert read.had_tsig
    with pytest.raises(dns.tsig.BadSignature):
        dns.message.from_wire(
            wire.replace(b"\3Web", b"\3Wen"), keyring=query.keyring, request_mac=query.mac
        )


@given(st.integers(0), st.integers(1, 255))
def test_a_signed_packet_with_one_changed_octet_never_verifies(place: int, change: int) -> None:
    _, packet = signed()
    at = place % len(packet)
    changed = packet[:at] + bytes((packet[at] ^ change,)) + packet[at + 1 :]
    try:
        found = tsig.find(changed)
    except WireError:
        return
    if found is None:
        return
    # The letter case of names that are signed in lower case, and the ID, are not protected.
    is_case = change == 0x20 and found.at <= at and changed[at : at + 1].isalpha()
    if at > 1 and not is_case:
        secret = SECRET if found.key == KEY else None
        assert tsig.verify(changed, found, secret, NOW) != 0


@given(st.binary(max_size=80))
def test_any_octets_are_read_or_refused(rest: bytes) -> None:
    _, packet = signed()
    for cut in (packet[:-20] + rest, packet[:12] + rest, packet[:11] + b"\3" + packet[12:] + rest):
        try:
            found = tsig.find(cut)
        except WireError:
            continue
        if found is not None:
            tsig.verify(cut, found, SECRET, NOW)


def test_what_is_wrong_is_told_apart() -> None:
    _, packet = signed()
    found = tsig.find(packet)
    assert found is not None
    assert tsig.verify(packet, found, None, NOW) == types.RCODES["BADKEY"]
    assert tsig.verify(packet, found, b"other", NOW) == tsig.BADSIG
    assert tsig.verify(packet, found, SECRET, NOW + 301) == types.RCODES["BADTIME"]
    assert tsig.verify(packet, found, SECRET, NOW - 301) == types.RCODES["BADTIME"]
    assert tsig.verify(packet, found, SECRET, NOW + 300) == 0
    for size, code in ((31, types.RCODES["BADTRUNC"]), (16, types.RCODES["BADTRUNC"]), (15, 16)):
        cut = tsig.Tsig(
            found.at, found.key, found.algorithm, found.time, found.fudge, found.mac[:size], 0
        )
        whole = tsig.append(packet[: found.at], cut, cut.mac)
        again = tsig.find(whole[:10] + packet[10:12] + whole[12:])
        assert again is not None
        id_ = tsig.Tsig(
            again.at,
            again.key,
            again.algorithm,
            again.time,
            again.fudge,
            again.mac,
            found.original_id,
        )
        assert tsig.verify(packet, id_, SECRET, NOW) == code


def test_a_tsig_that_is_not_the_last_record_is_malformed() -> None:
    _, packet = signed()
    more = packet[:10] + b"\0\3" + packet[12:] + b"\0\0\1\0\1\0\0\0\0\0\0"
    with pytest.raises(WireError) as caught:
        tsig.find(more)
    assert caught.value.rcode == types.FORMERR


def test_our_transfers_verify_elsewhere() -> None:
    query, packet = signed()
    found = tsig.find(packet)
    assert found is not None
    signer, context = tsig.Signer(found, SECRET, NOW), None
    for at in range(4):
        reply = dns.message.make_response(dns.message.make_query("example.", "AXFR", id=query.id))
        reply.answer = [dns.rrset.from_text(f"n{at}.example.", 5, "IN", "A", "10.0.0.1")]
        wire = signer.sign(reply.to_wire())
        read = dns.message.from_wire(
            wire, keyring=query.keyring, request_mac=query.mac, multi=True, tsig_ctx=context
        )
        context = read.tsig_ctx
        assert read.had_tsig
