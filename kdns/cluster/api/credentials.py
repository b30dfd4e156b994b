"""Who we are and where the API server is, from files: read anew each minute, and when refused.

A token or certificate that was renewed is used without a restart; a file that has vanished or is
broken leaves what was read before. All reading is done in a thread: a kubeconfig may run a plugin.
"""

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

from kdns.cluster.api import tls
from kdns.cluster.api.connection import Access
from kdns.cluster.api.failures import SourceError

log = logging.getLogger("kdns.kubernetes")

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
REREAD_S = 60.0
RENEW_S = 5.0
"""A refusal or failure makes us read again, but not sooner: a plugin may be behind it."""
LIMIT_S = 60.0
EARLY_S = 30.0
"""How long before it expires a credential is renewed."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """All that was read."""

    url: str
    authorization: str = ""
    """The header."""
    pair: tls.Pair = tls.NOTHING
    server_name: str = ""
    proxy: str = ""
    expires: float = 0
    """Unix time, 0 for never."""
    whose: str = ""
    """What to renew when the server refuses us, for messages."""

    @property
    def where(self) -> str:
        """The server, for messages: a path may hold a token, and what precedes @ a password."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Secrets, ready for use."""

    secrets: Secrets
    context: tls.Context | None
    """None for plain http."""


Reader = Callable[[bool], Secrets]
"""Reads everything; True when the server has refused what was read before."""


class Credentials:
    """The identity to use now."""

    def __init__(
        self, read: Reader, *, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._read = read
        self._clock = clock
        self._wall = wall
        self._lock = asyncio.Lock()
        self._identity: Identity | None = None
        self._making: asyncio.Future[Identity] | None = None
        self._read_at = 0.0
        self._trouble = ""

    async def current(self) -> Identity:
        """The identity for the next request; SourceError when there has never been one."""
        async with self._lock:
            if self._identity is not None and not self._is_due():
                return self._identity
            if self._identity is None and self._trouble and self._is_young():
                raise SourceError(self._trouble)
            return await self._renew(refused=False)

    async def renew(self, used: Identity, *, refused: bool) -> bool:
        """Reads again because this one did not help; True when it is another now."""
        async with self._lock:
            if self._identity is used and not self._is_young():
                await self._renew(refused=refused)
            return self._identity != used

    def _is_young(self) -> bool:
        return self._clock() - self._read_at < RENEW_S

    def _is_due(self) -> bool:
        assert self._identity is not None
        expires = self._identity.secrets.expires
        if self._clock() - self._read_at >= REREAD_S:
            return True
        # By a clock that is wrong everything has expired, what was given just now as well.
        return bool(expires) and self._wall() >= expires - EARLY_S and not self._is_young()

    async def _renew(self, *, refused: bool) -> Identity:
        self._read_at = self._clock()
        try:
            new = await self._make_in_thread(refused)
        except SourceError as error:
            is_new, self._trouble = str(error) != self._trouble, str(error)
            if self._identity is None:
                raise
            if is_new:
                log.warning("%s; what was read before is used on", error)
            return self._identity
        self._trouble = ""
        self._identity = new
        return new

    async def _make_in_thread(self, refused: bool) -> Identity:
        """One at a time: what takes too long goes on, and is asked for its result the next time."""
        if self._making is None:
            self._making = _in_thread(partial(self._make, refused))
        making = self._making
        try:
            async with asyncio.timeout(LIMIT_S):
                return await asyncio.shield(making)
        except TimeoutError:
            raise SourceError(
                f"reading the credentials took more than {LIMIT_S:g} s: does an exec plugin hang?"
            ) from None
        finally:
            if making.done():
                self._making = None

    def _make(self, refused: bool) -> Identity:
        """In a thread: reads, and makes a TLS context if what it is made of has changed."""
        secrets, old = self._read(refused), self._identity
        if old is not None and secrets == old.secrets:
            return old
        if not secrets.url.startswith("https:"):
            return Identity(secrets, None)
        if old is not None and old.context is not None and old.secrets.pair == secrets.pair:
            return Identity(secrets, old.context)
        return Identity(secrets, tls.context(secrets.pair))


def _in_thread(make: Callable[[], Identity]) -> asyncio.Future[Identity]:
    """Makes it in a thread of its own, which may hang for ever.

    The loop's own threads are a few, a reload needs one, and the process waits for them at its end.
    """
    done: concurrent.futures.Future[Identity] = concurrent.futures.Future()

    def run() -> None:
        try:
            done.set_result(make())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="credentials", daemon=True).start()
    return asyncio.wrap_future(done)


def reader(access: Access) -> Reader:
    """How the credentials of this access are read."""
    if access.kubeconfig:
        return _lazily(access)
    if access.endpoint:
        return lambda _: _from_files(access)
    return InCluster().read


def _lazily(access: Access) -> Reader:
    """In a thread, and when it is needed: the package behind it takes 20 MB and 0.3 s."""

    @cache
    def make() -> Reader:
        from kdns.cluster.api.kubeconfig import Kubeconfig  # noqa: PLC0415

        return Kubeconfig(access.kubeconfig, access.context).read

    def read(refused: bool) -> Secrets:
        return make()(refused)

    return read


def _from_files(access: Access) -> Secrets:
    url = access.endpoint.rstrip("/")
    if "://" not in url:
        url = f"{'https' if access.ca or access.cert else 'http'}://{url}"
    pair = tls.read(access.ca, access.cert, access.key)
    whose = f"the client certificate {access.cert}" if access.cert else "them: `tls` names none"
    return Secrets(url, pair=pair, whose=whose)


class InCluster:
    """The credentials that every pod is given: two files and two variables."""

    def __init__(self, folder: str = FOLDER, environ: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._environ = environ

    def read(self, refused: bool) -> Secrets:
        """Reads the files."""
        host = self._environ.get("KUBERNETES_SERVICE_HOST", "")
        port = self._environ.get("KUBERNETES_SERVICE_PORT", "")
        if not (host and port):
            raise SourceError(
                "no API server: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, "
                "so this is no pod: name one with `endpoint URL` or `kubeconfig FILE`"
            )
        token = os.path.join(self._folder, "token")
        ca = os.path.join(self._folder, "ca.crt")
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        pair = tls.read(ca, "", "")
        return Secrets(url, f"Bearer {_token(token)}", pair, whose=f"the token in {token}")


def _token(name: str) -> str:
    remedy = "mount the ServiceAccount's token (automountServiceAccountToken)"
    try:
        with open(name, encoding="ascii") as opened:
            found = opened.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SourceError(f"{name}: {said}: {remedy}") from None
    if not found:
        raise SourceError(f"{name}: it is empty: {remedy}")
    return found
