"""The end of a certificate, as openssl's own words have it; other bytes are a ValueError."""

import ssl
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire.certificate import end

CA = trustme.CA()


@pytest.mark.parametrize("year", [2027, 2049, 2050, 2100])
def test_the_end_is_that_of_the_first_certificate(year: int) -> None:
    until = datetime(year, 6, 30, 12, 34, 56, tzinfo=UTC)
    issued = CA.issue_cert("dns.example", not_after=until)
    pem = b"".join(blob.bytes() for blob in issued.cert_chain_pems) + CA.cert_pem.bytes()
    assert end(b"# a comment\n" + pem) == until.timestamp()


def test_the_ssl_module_agrees() -> None:
    """Of authorities it says when they end."""
    context = ssl.create_default_context(cadata=CA.cert_pem.bytes().decode())
    (known,) = [one for one in context.get_ca_certs() if "trustme" in str(one["subject"])]
    assert end(CA.cert_pem.bytes()) == ssl.cert_time_to_seconds(str(known["notAfter"]))


def test_a_private_key_is_no_certificate() -> None:
    with pytest.raises(ValueError, match="no certificate"):
        end(CA.private_key_pem.bytes())


@given(st.integers(0, 600), st.integers(0, 255))
def test_a_certificate_with_a_wrong_octet_never_fails_otherwise(at: int, octet: int) -> None:
    der = bytearray(ssl.PEM_cert_to_DER_cert(CA.cert_pem.bytes().decode()))
    der[at % len(der)] = octet
    with suppress(ValueError):
        end(ssl.DER_cert_to_PEM_cert(bytes(der)).encode())


@given(st.binary(max_size=60))
def test_other_octets_are_no_certificate(der: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        end(ssl.DER_cert_to_PEM_cert(der).encode())
