"""A kubeconfig becomes Secrets: the only module that imports the `kubernetes` package.

The package reads contexts, users and their plugins; its API client and models are never touched
(100 MB). It would run an exec plugin for every request and hide its failure: here the plugin is
run once for as long as its credential lasts, and what it complains of is the line that is logged.
It would write the keys that stand in the file to a disk, and needs one: here they stay in memory.
"""

import os
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from kubernetes.client import Configuration
from kubernetes.config import ConfigException
from kubernetes.config.dateutil import parse_rfc3339
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from kdns.cluster.api import tls
from kdns.cluster.api.credentials import EARLY_S, Secrets
from kdns.cluster.api.failures import SourceError


def check(name: str, context: str) -> None:
    """Raises SourceError where the file, or its context, can name no cluster. Runs no plugin."""
    with _told(name):
        os.stat(name)  # the package takes a file that is not there for an empty one
        _loader(name, context)


class Kubeconfig:
    """A file and one of its contexts."""

    def __init__(self, name: str, context: str) -> None:
        self._name = name
        self._context = context
        self._seen: tuple[int, int, int] | None = None
        self._last: Secrets | None = None
        """What a plugin gave, to be used until it expires, is refused or the file changes."""

    def read(self, refused: bool) -> Secrets:
        """Reads the file and all that it names, and runs its plugin if that is due."""
        with _told(self._name):
            found = os.stat(self._name)
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._last is not None and seen == self._seen and not refused and self._lasts():
                return self._last
            secrets, has_plugin = self._load()
        self._seen, self._last = seen, secrets if has_plugin else None
        return secrets

    def _lasts(self) -> bool:
        """True while a plugin's credential need not be renewed."""
        assert self._last is not None
        # The wall clock of the credential itself, not the program's: the plugin shares only that.
        return not self._last.expires or time.time() < self._last.expires - EARLY_S

    def _load(self) -> tuple[Secrets, bool]:
        loader = _loader(self._name, self._context)
        found = Configuration()
        loader.load_and_set(found)
        pair = tls.read(
            found.ssl_ca_cert or "",
            found.cert_file or "",
            found.key_file or "",
            is_verified=bool(found.verify_ssl),
        )
        secrets = Secrets(
            str(found.host).rstrip("/"),
            " ".join(str(found.api_key.get("BearerToken") or "").split()),
            loader.pair(pair),
            found.tls_server_name or "",
            found.proxy or "",
            loader.expires,
            f"the user's credentials in {self._name}",
        )
        return secrets, loader.has_plugin


class _Loader(KubeConfigLoader):
    """Runs a plugin in the open: its failure is raised. No certificate touches a disk."""

    has_plugin = False
    expires = 0.0
    _pems = ("", "")
    _inline: dict[str, Any]  # Any: fields of a Pair
    _user: Any  # Any: parts of a file of no known shape
    _cluster: Any  # Any: the same

    def _load_from_exec_plugin(self) -> bool:
        if "exec" not in self._user:
            return False
        self.has_plugin = True
        base = self._get_base_path(self._cluster.path)
        status: dict[str, Any] = ExecProvider(self._user["exec"], base, self._cluster).run()
        # Any: whatever the plugin prints
        if "token" in status:
            self.token = f"Bearer {status['token']}"
        self._pems = (status.get("clientCertificateData", ""), status.get("clientKeyData", ""))
        if "token" not in status and not all(self._pems):
            raise ConfigException("its exec plugin gave neither a token nor a certificate and key")
        if "expirationTimestamp" in status:
            self.expires = parse_rfc3339(status["expirationTimestamp"]).timestamp()
        return True

    def _load_cluster_info(self) -> None:
        """Takes out what stands in the file itself before the package sees it."""
        self._inline = {}
        for part in (self._cluster, self._user):
            given = part.value if part is not None else {}
            for name, field in _PARTS.items():
                if text := given.pop(f"{name}-data", ""):
                    given.pop(name, None)  # the package, too, takes the data where both are given
                    self._inline |= {field: b64decode(text), f"{field}_file": f"{name}-data"}
        super()._load_cluster_info()

    def pair(self, found: tls.Pair) -> tls.Pair:
        """What the file names and holds, with the plugin's certificate where it gave one."""
        found = replace(found, **self._inline)
        cert, key = self._pems
        if not cert:
            return found
        of = "the exec plugin's certificate"
        return replace(
            found, cert=cert.encode(), key=key.encode(), cert_file=of, key_file="its key"
        )


_PARTS = {"certificate-authority": "ca", "client-certificate": "cert", "client-key": "key"}


def _loader(name: str, context: str) -> _Loader:
    config = KubeConfigMerger(name).config
    return _Loader(config_dict=config, active_context=context or None, config_base_path=None)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Whatever is wrong with the file is a SourceError."""
    try:
        yield
    except OSError as error:
        raise SourceError(f"kubeconfig {name}: {_said(error, name)}") from None
    except ConfigException as error:
        raise SourceError(f"kubeconfig {name}: {_line(str(error))}") from None
    except Exception as error:  # the package meets a wrong file with any exception there is
        raise SourceError(f"kubeconfig {name} cannot be read: {_line(str(error))}") from None


def _said(error: OSError, name: str) -> str:
    """What is wrong, with the file that is not this one."""
    other = f"{error.filename}: " if error.filename and error.filename != name else ""
    return f"{other}{error.strerror or error}"


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
