"""The SMTP door's certificate, re-read when its files change: renewals need no restart."""

import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)


class CertificateUnusable(Exception):
    """The configured certificate cannot be used. The text names the setting and the file; exit with 2."""


class Certificate:
    """TLS context for STARTTLS from ``TLS_CERTIFICATE`` and ``TLS_KEY``."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._state()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """The context for a new connection. A renewed pair of files is picked up; a broken one keeps the old, aloud."""
        state = self._state()
        if state != self._seen:
            self._seen = state
            try:
                self._context = self._load()
                log.info("the certificate in %s was renewed", self._certificate)
            except CertificateUnusable as error:
                log.warning("%s; going on with the one before", error)
        return self._context

    def _state(self) -> tuple[tuple[float, int, int] | None, ...]:
        found: list[tuple[float, int, int] | None] = []
        for path in (self._certificate, self._key):
            try:
                status = path.stat()
                found.append((status.st_mtime, status.st_size, status.st_ino))
            except OSError:
                found.append(None)
        return tuple(found)

    def _load(self) -> ssl.SSLContext:
        for setting, path in (("STARTTALLY_TLS_CERTIFICATE", self._certificate), ("STARTTALLY_TLS_KEY", self._key)):
            try:
                path.read_bytes()
            except OSError as error:
                raise CertificateUnusable(f"{setting}={path} cannot be read: {error.strerror}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Reports must get through: senders deliver them despite TLS trouble (RFC 8460 section 3), so nothing is asked of them
        # but TLS 1.2, which RFC 8461 section 7.2 wants of a receiver anyway.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._certificate, self._key, password=lambda: b"")
        except (ssl.SSLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            files = f"STARTTALLY_TLS_CERTIFICATE={self._certificate} and STARTTALLY_TLS_KEY={self._key}"
            raise CertificateUnusable(f"{files} do not work together: {reason}") from error
        return context
