"""The SMTP door: who may come in, and what all its sessions share."""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor

from ingest.doors.admission import Admission
from ingest.doors.certificate import Certificate
from ingest.doors.connections import Connections
from ingest.doors.limits import Letters
from ingest.doors.room import Room
from ingest.settings.settings import Settings
from ingest.spool.maildir import Spool

from .recipients import Recipients
from .session import DOOR, SmtpSession


class SmtpDoor:
    """What all sessions share. ``protocol`` makes a session; ``drain`` ends them when the receiver stops."""

    def __init__(self, settings: Settings, spool: Spool) -> None:
        self.settings = settings
        self.spool = spool
        self.connections = Connections(
            settings.max_connections, settings.max_connections_per_client, settings.smtp_proxies
        )
        self.room = Room(settings, spool)
        self.recipients = Recipients(settings)
        self.letters = Letters()
        self.sessions: set[SmtpSession] = set()
        self.certificate = (
            Certificate(settings.tls_certificate, settings.tls_key)
            if settings.tls_certificate and settings.tls_key
            else None
        )
        # Syncing blocks; as many mails may be on their way to the disk at once.
        self.disk = ThreadPoolExecutor(max_workers=16, thread_name_prefix="spool")
        self.closing = False

    def protocol(self) -> Admission:
        """What a new connection meets first."""
        return Admission(DOOR, self.connections, self._refusal, self._session)

    def _refusal(self, reason: str) -> bytes:
        return f"421 4.7.0 {self.settings.hostname} {reason}\r\n".encode()

    def _session(self) -> SmtpSession:
        context: ssl.SSLContext | None = self.certificate.context() if self.certificate else None
        return SmtpSession(self, context)

    async def drain(self, seconds: float) -> None:
        """Let mail in flight finish, at most so long; everybody else is sent away with 421."""
        self.closing = True
        self.connections.close()
        for session in list(self.sessions):
            session.leave_when_idle()
        deadline = asyncio.get_running_loop().time() + seconds
        while self.sessions and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        for session in list(self.sessions):
            session.abort()
        await asyncio.to_thread(self.disk.shutdown)
        self.room.close()
