"""The SMTP door's certificate, re-read when its files change: renewals need no restart."""

import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)


class CertificateUnusable(Exception):
    """The configured certificate cannot be used. The text names the setting and the file; exit with 2."""


class CertificateMissing(CertificateUnusable):
    """A file of the pair is not there. A new host gets its certificate later than its first mail: wait for it."""


class Certificate:
    """TLS context for STARTTLS from ``TLS_CERTIFICATE`` and ``TLS_KEY``. Raises CertificateUnusable for a broken pair.

    Until a pair is there for the first time, STARTTLS is not offered: senders of reports deliver all the same (RFC 8460
    section 3).
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._state()
        self._context: ssl.SSLContext | None = None
        try:
            self._context = self._load()
        except CertificateMissing as error:
            log.warning("%s; taking mail without STARTTLS until it is there", error)

    def context(self) -> ssl.SSLContext | None:
        """The context for a new connection. A new pair of files is picked up; a broken one keeps the old, aloud."""
        state = self._state()
        if state != self._seen:
            self._seen = state
            try:
                self._context = self._load()
                log.info("the certificate in %s is new, and used from now on", self._certificate)
            except CertificateUnusable as error:
                log.warning("%s; going on %s", error, "with the one before" if self._context else "without STARTTLS")
        return self._context

    def trouble(self) -> str | None:
        """What is wrong in one line, for /readyz: STARTTLS is configured and not offered."""
        if self.context() is None:
            return f"STARTTLS is not offered: no certificate in {self._certificate} yet"
        return None

    def _state(self) -> tuple[tuple[float, int, int] | None, ...]:
        stamps: list[tuple[float, int, int] | None] = []
        for path in (self._certificate, self._key):
            try:
                status = path.stat()
                stamps.append((status.st_mtime, status.st_size, status.st_ino))
            except OSError:
                stamps.append(None)
        return tuple(stamps)

    def _load(self) -> ssl.SSLContext:
        for setting, path in (("STARTTALLY_TLS_CERTIFICATE", self._certificate), ("STARTTALLY_TLS_KEY", self._key)):
            try:
                path.read_bytes()
            except FileNotFoundError as error:
                raise CertificateMissing(f"{setting}={path} is not there") from error
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
