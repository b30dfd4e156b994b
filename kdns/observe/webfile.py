"""A web configuration file of Prometheus becomes what a listener for HTTP needs to speak TLS.

The keys are those of its exporters: `tls_server_config` and what stands below it. What would change
who may read a page and is not done here is an error, never passed over. The certificate is read
again when its files change.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
AUTHORITIES = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_TAKEN = (
    "cert_file", "key_file", "client_auth_type", "client_ca_file", "min_version", "max_version",
)  # fmt: skip


class WebError(Exception):
    """The file makes no listener, and why."""


@dataclass(frozen=True, slots=True)
class Web:
    """What a file asks for."""

    certificate: str
    key: str
    authority: str = ""
    client_auth: str = ""
    least: str = "TLS12"
    most: str = "TLS13"


def read(path: str) -> Web | None:
    """What a file asks for; None where that is plain HTTP."""
    try:
        whole = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise WebError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeError, yaml.YAMLError) as error:
        raise WebError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    return _web(path, whole) if whole else None


def _web(path: str, whole: object) -> Web | None:
    top = _mapping(path, "it", whole, ("tls_server_config", "http_server_config"))
    for name in _mapping(path, "http_server_config", top.get("http_server_config"), ("http2",)):
        assert name == "http2"  # HTTP/1.1 is what clients then use
    said = _mapping(path, "tls_server_config", top.get("tls_server_config"), _TAKEN)
    if not said:
        return None
    folder = Path(path).parent
    files = [
        str(folder / said[name]) if said.get(name) else ""
        for name in ("cert_file", "key_file", "client_ca_file")
    ]
    auth = said.get("client_auth_type", "")
    least, most = said.get("min_version", "TLS12"), said.get("max_version", "TLS13")
    if not (files[0] and files[1]):
        raise WebError(f"{path}: tls_server_config needs cert_file and key_file")
    if auth not in AUTHORITIES:
        raise WebError(f"{path}: client_auth_type can be {', '.join(filter(None, AUTHORITIES))}")
    if files[2] and AUTHORITIES[auth] is ssl.CERT_NONE:
        raise WebError(f"{path}: client_ca_file needs a client_auth_type that verifies")
    if not {least, most} <= set(VERSIONS):
        raise WebError(f"{path}: a version can be {', '.join(VERSIONS)}")
    return Web(files[0], files[1], files[2], auth, least, most)


# Any: whatever YAML says; texts are checked for
def _mapping(path: str, what: str, value: object, taken: tuple[str, ...]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise WebError(f"{path}: {what} is no mapping")
    for name, one in value.items():
        if name not in taken:
            raise WebError(f"{path}: {name} is not implemented; {what} takes {', '.join(taken)}")
        if not isinstance(one, str) and (name in _TAKEN):
            raise WebError(f"{path}: {name} is no text")
    return dict(value)


def secured(path: str) -> ssl.SSLContext | None:
    """What connections are to speak; None for plain HTTP. Raises WebError."""
    web = read(path)
    if web is None:
        return None
    context = _context(web)
    stood = _stood(web)

    def look(connection: ssl.SSLObject, _name: str | None, _outer: ssl.SSLContext) -> None:
        """Takes the certificate that is there now; a broken one leaves the last good."""
        nonlocal stood
        now = _stood(web)
        if now != stood:
            try:
                _context(web)
                context.load_cert_chain(web.certificate, web.key)
            except WebError:
                return
            stood = now
            fresh = _context(web)
            connection.context = fresh

    context.sni_callback = look
    return context


def _stood(web: Web) -> tuple[int, ...]:
    """What changes when a file of the certificate does."""
    out = []
    for name in (web.certificate, web.key):
        try:
            found = Path(name).stat()
        except OSError:
            return ()
        out += [found.st_mtime_ns, found.st_ino, found.st_size]
    return tuple(out)


def _context(web: Web) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = VERSIONS[web.least], VERSIONS[web.most]
    try:
        context.load_cert_chain(web.certificate, web.key)
        context.verify_mode = AUTHORITIES[web.client_auth]
        if web.authority:
            context.load_verify_locations(web.authority)
        elif context.verify_mode is not ssl.CERT_NONE:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    except (OSError, ssl.SSLError) as error:
        names = " ".join(filter(None, (web.certificate, web.key, web.authority)))
        raise WebError(f"no certificate can be made of {names}: {error}") from error
    return context
