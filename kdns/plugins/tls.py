"""tls: with which certificate a block's encrypted listeners answer, and whom they ask for one.

The files are looked at every few seconds. What has changed is loaded whole and tried before it
takes the place of what serves; connections that stand are not touched.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kdns.corefile.options import Settings, Shape, Syntax, choice, text
from kdns.observe.counters import Labels
from kdns.plugins.base import Life, Monitor, Site
from kdns.wire import certificate

MODES: Final = ("nocert", "request", "require", "verify_if_given", "require_and_verify")
"""What a client may or must show."""
LOOK_S: Final = 2.0
"""How often the files are looked at."""
DOT: Final = ("dot",)
WEB: Final = ("h2", "http/1.1")
GRPC: Final = ("h2",)
OFFERS: Final[tuple[tuple[str, ...], ...]] = (DOT, WEB, GRPC)
"""The protocols that listeners offer (ALPN)."""

log = logging.getLogger("kdns.tls")


@dataclass(frozen=True, slots=True)
class Keys:
    """The files of a certificate, and what clients have to show."""

    certificate: str
    key: str
    authority: str = ""
    """Who signs the certificates of clients; empty for those the system trusts."""
    client_auth: str = "nocert"
    keylog: str = ""
    """Where secrets are written for those who debug; empty for nowhere."""

    @property
    def asks(self) -> bool:
        """Clients are asked for a certificate; one that nobody checks need not be sent."""
        return self.client_auth not in {"nocert", "request"}

    @property
    def insists(self) -> bool:
        """Clients without a certificate are turned away."""
        return self.client_auth in {"require", "require_and_verify"}


class Broken(Exception):
    """The files make no certificate to serve with, and why."""


@dataclass(frozen=True, slots=True)
class Files:
    """What was in the files."""

    certificate: bytes
    key: bytes
    authority: bytes = b""


class Keyring:
    """The certificate that serves now, for all listeners of a block."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.files = Files(b"", b"")
        """What serves."""
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
        self._said = ""
        """What was last found wrong."""

    def load(self) -> None:
        """Serves with what is in the files; raises Broken."""
        found = self._read()
        made = {offers: self._made(offers) for offers in OFFERS}
        if found != self._read():
            raise Broken(f"{self.keys.certificate} is changing just now")
        self.files, self._contexts = found, made

    def context(self, offers: tuple[str, ...]) -> ssl.SSLContext:
        """What a handshake is made with now, for one of OFFERS."""
        return self._contexts[offers]

    async def watch(self) -> None:
        """Takes in what changes, as long as it runs."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Takes in what has changed; what is broken is said once, and the last good one stays."""
        try:
            if self._read() != self.files:
                self.load()
                log.info("%s has changed and is served from now on", self.keys.certificate)
            self._said = ""
        except Broken as error:
            if str(error) != self._said:
                log.error("%s; the certificate from before is served on", error)  # noqa: TRY400 - one line
            self._said = str(error)

    def _read(self) -> Files:
        keys = self.keys
        names = [keys.certificate, keys.key] + [keys.authority] * bool(keys.authority)
        found = []
        for name in names:
            try:
                with open(name, "rb") as file:
                    found.append(file.read())
            except OSError as error:
                raise Broken(f"cannot read {name}: {error.strerror}") from error
        return Files(*found)

    def _made(self, offers: tuple[str, ...]) -> ssl.SSLContext:
        keys = self.keys
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(list(offers))
        try:
            context.load_cert_chain(keys.certificate, keys.key, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise Broken(
                f"{keys.certificate} and {keys.key} are no certificate and its key: {_why(error)}"
            ) from error
        try:
            if keys.asks:
                self._ask(context)
        except (OSError, ValueError) as error:
            raise Broken(f"{keys.authority} holds no certificates: {_why(error)}") from error
        if keys.keylog:
            try:
                context.keylog_filename = keys.keylog
            except OSError as error:
                raise Broken(f"cannot write {keys.keylog}: {error.strerror}") from error
        return context

    def _ask(self, context: ssl.SSLContext) -> None:
        """Has clients asked for certificates, which are checked in any case."""
        if self.keys.authority:
            context.load_verify_locations(self.keys.authority)
        else:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        context.verify_mode = ssl.CERT_REQUIRED if self.keys.insists else ssl.CERT_OPTIONAL


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


class Tls(Monitor):
    """`tls CERT KEY [CA]`."""

    name = "tls"
    syntax = Syntax(
        args=Shape(maybe=(text, text, text)),
        options={
            "client_auth": Shape(words=(choice(*MODES),)),
            "keylog": Shape(words=(text,)),
            "acme": Shape(rest=text),
        },
        repeats=True,
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        if settings.has("acme") or not settings.args:
            raise settings.fail(
                "tls: certificates by ACME are not implemented",
                "let cert-manager or another client fetch them, and name the files: tls CERT KEY",
            )
        if len(settings.args) < 2:
            raise settings.fail(
                "tls: expected the file of the key, found the end of the line", "tls CERT KEY [CA]"
            )
        public, key, *authority = (os.path.join(site.root, one) for one in settings.args)
        self.keys = Keys(
            public,
            key,
            "".join(authority),
            client_auth=settings.get("client_auth", "nocert"),
            keylog=settings.get("keylog", ""),
        )
        self.keyring = Keyring(self.keys)
        site.beside["tls"] = self.keys

    def look(self) -> None:
        """Reads the files."""
        try:
            self.keyring.load()
        except Broken as error:
            raise self.settings.fail(f"tls: {error}") from error

    async def start(self) -> None:
        """Reads the files, and publishes when certificates end."""
        self.look()
        metric = "kdns_tls_certificate_end_timestamp_seconds"
        self.site.counters.ask(metric, partial(_ends, self.site.life))

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:  # Any: a coroutine's types
        """Watches them."""
        return (self.keyring.watch(),)


def _ends(life: Life) -> Iterator[tuple[Labels, float]]:
    """Until when the certificates hold that serve."""
    for tls in (one for one in life.plugins if isinstance(one, Tls)):
        with suppress(ValueError):
            yield (tls.keys.certificate,), certificate.end(tls.keyring.files.certificate)
