"""Certificates of the test's own: an authority, and what it signs, as files of PEM."""

import os
import ssl
from pathlib import Path

import trustme


class Authority:
    """A CA and the files of what it signs, in one folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self._ca = trustme.CA()
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, name: str = "server", host: str = "localhost") -> tuple[Path, Path]:
        """A new certificate for a host, in files that are replaced as a whole."""
        made = self._ca.issue_cert(host, "127.0.0.1")
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        chain = b"".join(one.bytes() for one in made.cert_chain_pems)
        for path, octets in ((key, made.private_key_pem.bytes()), (certificate, chain)):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(octets)
            os.replace(fresh, path)
        return certificate, key

    def client(self, *files: Path, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """What a client trusts this CA with, and shows of himself."""
        context = ssl.create_default_context(cafile=str(self.file))
        if files:
            context.load_cert_chain(*map(str, files))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context
