"""Certificates in files become the TLS context to talk to an API server with."""

import os
import ssl
import tempfile
from dataclasses import dataclass
from typing import IO

from kdns.cluster.api.failures import SourceError

Context = ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Pair:
    """The CA we trust and the certificate we show, as bytes and with the files they came from."""

    ca: bytes = b""
    cert: bytes = b""
    key: bytes = b""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    is_verified: bool = True


NOTHING = Pair()


def read(ca: str, cert: str, key: str, *, is_verified: bool = True) -> Pair:
    """Reads the files that are named; SourceError names the one that cannot be read."""
    return Pair(_bytes(ca), _bytes(cert), _bytes(key), ca, cert, key, is_verified)


def context(pair: Pair) -> Context:
    """As strict as Go's TLS: a certificate in the CA file is trusted, whatever it lacks."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not pair.is_verified:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    elif pair.ca_file:
        _trust(made, pair)
    else:
        made.load_default_certs()
    if pair.cert:
        _show(made, pair)
    return made


def _trust(made: Context, pair: Pair) -> None:
    try:
        made.load_verify_locations(cadata=pair.ca.decode("ascii"))
    except (ssl.SSLError, ValueError):  # of what is no text or is empty
        raise SourceError(f"{pair.ca_file} holds no CA certificate in PEM form") from None


def _show(made: Context, pair: Pair) -> None:
    """Loads the client certificate. OpenSSL takes it from a file only: one in memory, where it can.

    Data of a kubeconfig then touches no disk, and a read-only root needs no /tmp.
    """
    with _private() as file:
        file.write(pair.cert + b"\n" + pair.key)
        file.flush()
        at = file.name if isinstance(file.name, str) else f"/proc/self/fd/{file.fileno()}"
        try:
            made.load_cert_chain(at, password=b"")  # or it would ask on the terminal
        except ssl.SSLError as error:
            said = error.reason or str(error)
            raise SourceError(
                f"{pair.cert_file} and {pair.key_file} are no certificate and its key ({said})"
            ) from None


def _private() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("kdns"), "w+b")
    return tempfile.NamedTemporaryFile()


def _bytes(name: str) -> bytes:
    if not name:
        return b""
    try:
        with open(name, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror}") from None
