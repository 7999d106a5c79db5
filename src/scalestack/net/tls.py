"""Certificates for listeners, by the standard library's ssl. A certificate that can't be read replaces none."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


class TlsError(Exception):
    """A certificate or key that can't be used; its text names the files."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    certificate: Path  # PEM, with those that vouch for it
    key: Path | None = None  # PEM; None where it is in the same file

    def __str__(self) -> str:
        return f"'{self.certificate}'" + (f" and '{self.key}'" if self.key else "")


class Tls:
    """A certificate and key from files, which `reload` reads again for the connections to come."""

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self.context = self._read()

    def reload(self) -> None:
        """Read the files again; where they are no good, `TlsError`, and the certificate in use stays."""
        self.context = self._read()

    def _read(self) -> ssl.SSLContext:
        files = self._files
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        for path in filter(None, (files.certificate, files.key)):
            if not path.is_file():
                raise TlsError(f"the TLS certificate in {files} can't be used: there is no file '{path}'")
        try:
            context.load_cert_chain(files.certificate, files.key)
        except (OSError, ssl.SSLError) as error:
            hint = "" if files.key else "; the file must hold the key as well, or a file with the key be named"
            raise TlsError(f"the TLS certificate in {files} can't be used: {error}{hint}") from error
        return context
