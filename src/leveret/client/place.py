"""Where a URL leads, and how the server there proves that it is the one. Asks nobody."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from leveret.client.errors import InvalidUrl


@dataclass(frozen=True)
class Place:
    """Where a URL leads."""

    url: str
    socket: str | None = None  # path of a Unix socket
    near: bool = False  # whether it is this machine: then no proxy is asked

    @classmethod
    def of(cls, url: str) -> Place:
        """`InvalidUrl` for one that is none of http, https and unix, and for one that has a secret in it."""
        refuse_credentials(url)
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise InvalidUrl(f"'{url}' has a query or a fragment; the address alone is expected")
        if parts.scheme == "unix":
            if parts.netloc or not parts.path.startswith("/"):
                raise InvalidUrl(f"'{url}' names no socket; unix:///path/to.sock is expected")
            return cls("http://localhost", unquote(parts.path), near=True)
        try:
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidUrl(f"'{url}' has no port that could be: {error}") from error
        if parts.scheme not in {"http", "https"} or not host:
            raise InvalidUrl(f"'{url}' names no server; http://host:port is expected")
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise InvalidUrl(f"'{url}' has a host that can't be named so: {error}") from error
        version = re.search(r"/v\d+\.\d+(/|$)", parts.path)
        if version:
            raise InvalidUrl(f"'{url}' leads into the API; give the server alone: {url[: url.index(version[0])]}")
        return cls(url.rstrip("/"), near=is_loopback(host))

    @property
    def shown(self) -> str:
        return f"unix://{self.socket}" if self.socket else self.url

    @property
    def is_private(self) -> bool:
        """Whether nobody can read what is sent there."""
        return self.near or self.url.startswith("https:")

    def context(self, ca: str | None = None) -> ssl.SSLContext:
        """What is asked of the server's certificate; `ca` as in `connect`."""
        # Without https none is used, and to load the authorities takes longer than all else.
        return trusting(ca) if self.url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def refuse_credentials(url: str) -> None:
    """`InvalidUrl`, which doesn't say it, for a URL with a name or a password: such a URL is shown everywhere."""
    if "@" in url and not url.startswith(("unix:", "sqlite:")):  # whose paths may have one
        raise InvalidUrl(
            f"the URL …@{url.rpartition('@')[2]} has a name or a password in it, which would be shown with it; give "
            "the key by itself"
        )


def trusting(ca: str | None) -> ssl.SSLContext:
    """What trusts the authorities in a file or a directory alone; without one, those of the system, or those of
    SSL_CERT_FILE and SSL_CERT_DIR. `ValueError` where there are none."""
    if ca is None:
        return ssl.create_default_context()
    try:
        if Path(ca).is_dir():
            return ssl.create_default_context(capath=ca)
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise ValueError(f"'{ca}' holds no certificate of an authority; a file in PEM is expected") from error
    except OSError as error:
        raise ValueError(f"the authorities in '{ca}' can't be read: {error.strerror or error}") from error


def why_untrusted(error: BaseException | None) -> str | None:
    """What was wrong with a server's certificate, where that made for the error; None where it was something else."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            what = error.verify_message.rstrip(".") or "it can't be verified"
            return f"its certificate is not trusted: {what}; for an authority of your own give its file as ca"
        error = error.__cause__ or error.__context__
    return None


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
