"""The lab's own certificates: an authority, and a server certificate of it (RFC 5280) in PEM files.

For learning and testing only (see `p256`). They are made anew at each start, without OpenSSL's
program or any package; the authority's key is never written and forgotten at once, so that nobody
can make another certificate that those who trust it would take.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path

from kdns.lab import der, p256
from kdns.lab.keeping import replace
from kdns.lab.lab import Tls
from kdns.lab.p256 import Key
from kdns.lab.ranges import Ranges

NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)
_AUTHORITY = "kdns lab authority"
_BEFORE_S = 3600
_AFTER_S = 10 * 365 * 24 * 3600
_SIGNATURE = der.sequence(der.oid("1.2.840.10045.4.3.2"))  # ecdsa-with-SHA256
_CURVE = der.oid("1.2.840.10045.3.1.7")
_SERVER_AUTH = der.oid("1.3.6.1.5.5.7.3.1")


def addresses_of(ranges: Ranges) -> tuple[str, ...]:
    """The addresses under which the API is reached: on this machine, in the cluster, at a node."""
    return "127.0.0.1", "::1", str(ranges.services[1]), ranges.api


def make(folder: Path, ranges: Ranges, *, clock: Callable[[], float] = time.time) -> Tls:
    """Writes a new authority, certificate and key of the API into a folder."""
    authority, server, now = p256.new_key(), p256.new_key(), clock()
    ca = _certificate(authority, authority, _AUTHORITY, now, _of_authority(authority))
    extensions = _of_server(server, authority, addresses_of(ranges))
    cert = _certificate(server, authority, "kube-apiserver", now, extensions)
    files = {
        "ca.crt": der.pem("CERTIFICATE", ca),
        "apiserver.crt": der.pem("CERTIFICATE", cert),
        "apiserver.key": der.pem("EC PRIVATE KEY", _private(server)),
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in files.items():
        replace(folder / name, [content])
    return Tls(
        cert=str(folder / "apiserver.crt"),
        key=str(folder / "apiserver.key"),
        ca=str(folder / "ca.crt"),
    )


def _certificate(
    key: Key, authority: Key, name: str, now: float, extensions: Sequence[bytes]
) -> bytes:
    """A certificate for a key, signed by an authority's."""
    body = der.sequence(
        der.value(0xA0, der.number(2)),  # version 3
        der.number(secrets.randbits(126) + 1),
        _SIGNATURE,
        _name(_AUTHORITY),
        der.sequence(der.time(now - _BEFORE_S), der.time(now + _AFTER_S)),
        _name(name),
        _public(key),
        der.value(0xA3, der.sequence(*extensions)),
    )
    signature = der.sequence(*map(der.number, p256.sign(authority, body)))
    return der.sequence(body, _SIGNATURE, der.bits(signature))


def _name(words: str) -> bytes:
    """A distinguished name that is a common name."""
    return der.sequence(der.value(0x31, der.sequence(der.oid("2.5.4.3"), der.text(words))))


def _public(key: Key) -> bytes:
    algorithm = der.sequence(der.oid("1.2.840.10045.2.1"), _CURVE)
    return der.sequence(algorithm, der.bits(key.point))


def _private(key: Key) -> bytes:
    """RFC 5915 §3."""
    return der.sequence(
        der.number(1),
        der.octets(key.secret.to_bytes(32)),
        der.value(0xA0, _CURVE),
        der.value(0xA1, der.bits(key.point)),
    )


def _of_authority(authority: Key) -> list[bytes]:
    no_more = der.sequence(der.true(), der.number(0))  # it signs no other authorities
    return [
        _extension("2.5.29.19", no_more, is_critical=True),
        _extension("2.5.29.15", der.bits(b"\x06", 1), is_critical=True),  # certificates and CRLs
        _extension("2.5.29.14", der.octets(_mark(authority))),
    ]


def _of_server(server: Key, authority: Key, addresses: Sequence[str]) -> list[bytes]:
    listed = [der.value(0x82, name.encode()) for name in NAMES]
    listed += [der.value(0x87, ip_address(one).packed) for one in addresses]
    return [
        _extension("2.5.29.19", der.sequence(), is_critical=True),
        _extension("2.5.29.15", der.bits(b"\x80", 7), is_critical=True),  # signatures
        _extension("2.5.29.37", der.sequence(_SERVER_AUTH)),
        _extension("2.5.29.14", der.octets(_mark(server))),
        _extension("2.5.29.35", der.sequence(der.value(0x80, _mark(authority)))),
        _extension("2.5.29.17", der.sequence(*listed)),
    ]


def _extension(dotted: str, content: bytes, *, is_critical: bool = False) -> bytes:
    critical = der.true() if is_critical else b""
    return der.sequence(der.oid(dotted), critical, der.octets(content))


def _mark(key: Key) -> bytes:
    """What tells keys apart: RFC 7093 §2, method 1."""
    return hashlib.sha256(key.point).digest()[:20]
