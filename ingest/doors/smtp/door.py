"""The SMTP door: aiosmtpd, with what a receiver on port 25 must do differently.

aiosmtpd's defaults answer an exception with a permanent error and its text, hold a whole mail in memory, and never end a
talkative session; see the overrides below, each with its reason.
"""

import asyncio
import collections
import contextlib
import datetime as dt
import logging
import ssl
from concurrent.futures import ThreadPoolExecutor

from ingest.doors.admission import Admission, peer_of, two_way
from ingest.doors.certificate import Certificate
from ingest.doors.connections import Connections
from ingest.doors.limits import Letters
from ingest.doors.room import Room
from ingest.monitoring import metrics
from ingest.settings.settings import Settings
from ingest.spool import channels, trace
from ingest.spool.maildir import IncomingMessage, Spool, SpoolUnavailable
from ingest.text.addresses import in_log

from .base import CarefulSession
from .data import DataStream, HeaderSize
from .hooks import NO_SPACE, Policy
from .proxy import HeaderRefused, announced_client
from .recipients import Recipients
from .steps import Steps

log = logging.getLogger(__name__)
# aiosmtpd writes every command down with the peer's full address (privacy), and as much as the peer likes.
for _chatty in ("mail.log", "mail.debug"):
    logging.getLogger(_chatty).setLevel(logging.CRITICAL)

TRY_LATER = "451 4.3.0 Temporary fault on our side, please try again later"
_CHUNK = 1024 * 1024
# Letters to postmaster are text; RFC 5321 section 4.5.3.1.7 wants 64 KiB taken of any mail.
_MAX_LETTER_BYTES = 256 * 1024
# A sender makes a handful of mistakes; a scanner never stops.
_MAX_ERRORS = 20
_CALL_LIMITS = {
    "NOOP": 50,
    "HELP": 10,
    "VRFY": 20,
    "EXPN": 20,
    "EHLO": 20,
    "HELO": 20,
    "STARTTLS": 3,
    "RSET": 2_000,
    "*": 200_000,
}
_ABORT_AFTER = 2.0
DOOR = channels.SMTP


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

    def _session(self) -> "SmtpSession":
        return SmtpSession(self, self.certificate.context() if self.certificate else None)

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


class SmtpSession(CarefulSession):
    """One connection."""

    # How much is buffered before the peer is made to wait; command lines have limits of their own.
    line_length_limit = 16 * 1024

    def __init__(self, door: SmtpDoor, context: ssl.SSLContext | None) -> None:
        self.command_size_limits = collections.defaultdict(lambda: self.command_size_limit)  # the class's own is shared
        super().__init__(
            Policy(door.settings, door.room, door.recipients, door.letters),
            data_size_limit=door.settings.max_message_bytes,
            enable_SMTPUTF8=True,
            hostname=door.settings.hostname,
            ident="ESMTP",  # neither name nor version
            tls_context=context,
            timeout=door.settings.idle_seconds,
            command_call_limit=_CALL_LIMITS,
            loop=asyncio.get_running_loop(),
        )
        self._smtp_methods.pop("AUTH", None)
        self._door = door
        self._peer: str | None = None
        self._errors = 0
        self.steps = Steps(door.connections, self)
        self._receiving = False
        self._behind_proxy = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def peer(self) -> str:
        """The client's address."""
        return self._peer or ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it in. Called again when TLS is up."""
        if self._peer is not None:
            super().connection_made(transport)
            return
        self._peer = peer_of(transport)
        self._door.connections.enter(self._peer, self)
        self._behind_proxy = self._door.connections.is_proxy(self._peer)
        self._door.sessions.add(self)
        metrics.connections.labels(DOOR).inc()
        self._deadline = self.loop.call_later(
            self._door.settings.session_seconds, self._say_goodbye, "4.4.2 session too long"
        )
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the session."""
        if self in self._door.sessions:
            self._door.sessions.discard(self)
            self._door.connections.leave(self)
            metrics.connections.labels(DOOR).dec()
        if self._deadline:
            self._deadline.cancel()
        if isinstance(error, ssl.SSLError):
            self.tls_failed(error)
        super().connection_lost(error)

    def tls_failed(self, error: BaseException | None) -> None:
        """A stranger's TLS that fails is no fault of ours: one line, and a reason of its own in the metric."""
        if error is not None:
            metrics.refused.labels(DOOR, "tls").inc()
            log.info("%s: TLS failed: %s", in_log(self.peer), getattr(error, "reason", None) or type(error).__name__)

    async def _handle_client(self) -> None:
        """Behind a load balancer, learn who the client is before a word is said (the PROXY protocol comes first)."""
        if self._behind_proxy and (refusal := await self._learn_client()):
            self._say_goodbye(refusal)
            return
        await super()._handle_client()

    async def _learn_client(self) -> str | None:
        """Read the PROXY header; why the connection must end, or None.

        Without an address in it (LOCAL, UNKNOWN: the balancer's own health checks) the client is the proxy itself.
        """
        try:
            client = await announced_client(self._reader)
        except HeaderRefused as error:
            log.warning("%s: PROXY header refused: %s", in_log(self.peer), error)
            return "4.7.0 a PROXY header is expected here"
        if client is not None:
            if refusal := self._door.connections.identify(self, client):
                metrics.refused.labels(DOOR, "connections").inc()
                return f"4.7.0 {refusal}"
            self._peer = client
        return None

    def evict(self) -> None:
        """The door is full, and this session has brought nothing for longest."""
        self._say_goodbye("4.7.0 too many connections, and this one was idle")

    def _timeout_cb(self) -> None:
        self._say_goodbye("4.4.2 idle for too long")

    def _say_goodbye(self, why: str) -> None:
        """421 and close; a peer that does not even read that, or what was said before, is cut off a little later."""
        if self.transport is None:
            return
        transport = two_way(self.transport)
        self.loop.call_later(_ABORT_AFTER, transport.abort)
        if transport.is_closing():
            return
        metrics.refused.labels(DOOR, "time").inc()
        log.info("%s: 421 %s", in_log(self.peer), why)
        transport.write(f"421 {why}, closing\r\n".encode())
        transport.close()

    def leave_when_idle(self) -> None:
        """The receiver stops: go, unless a mail is being received."""
        if not self._receiving:
            self._say_goodbye("4.3.2 shutting down")

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            two_way(self.transport).abort()

    async def handle_exception(self, error: Exception) -> str:
        """Our own faults are temporary for the sender, and none of its business (docs/reliability.md row 2)."""
        log.error("%s: fault in the SMTP door", in_log(self.peer), exc_info=error)
        metrics.refused.labels(DOOR, "fault").inc()
        return TRY_LATER

    async def push(self, status: str | bytes) -> None:
        """Send a reply; a peer that collects errors is sent away."""
        text = status.decode() if isinstance(status, bytes) else status
        if text[:1] in "45" and not text.startswith("421"):
            self._errors += 1
        await super().push(text)
        if self._errors > _MAX_ERRORS:
            self._say_goodbye("4.7.0 too many errors")

    async def smtp_DATA(self, arg: str) -> None:
        """Receive a mail straight into the spool: bounded, streamed, acknowledged only when it is safe."""
        if not self.envelope or not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        self._receiving = True
        try:
            await self._receive()
        finally:
            self._receiving = False
        if self._door.closing:
            self._say_goodbye("4.3.2 shutting down")

    async def _receive(self) -> None:
        incoming: IncomingMessage | None = None
        problem: str | None = None
        with contextlib.ExitStack() as undo:
            try:
                incoming = self._door.spool.receive()
                undo.callback(incoming.abort)
                incoming.write(self._trace())
            except SpoolUnavailable as error:
                problem = self._no_space(error)
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            try:
                size, problem = await self._stream_into(incoming, problem)
            except ConnectionResetError:
                raise
            except Exception as error:
                await self.handle_exception(error)
                # What follows is the rest of a mail and must not be read as commands.
                self._say_goodbye("4.3.0 temporary fault on our side")
                raise ConnectionResetError from error
            reply = problem or TRY_LATER
            if problem is None and incoming:
                undo.pop_all()
                reply = await self._commit(incoming, size)
        self.envelope = self._create_envelope()
        await self.push(reply)

    async def _stream_into(self, incoming: IncomingMessage | None, problem: str | None) -> tuple[int, str | None]:
        """Read a mail to its end, into ``incoming`` as long as there is no problem: its size, and the reply that refuses it.

        Memory is one chunk, however long a line is. Lines beyond RFC 5321's 998 octets are taken: some senders put a whole
        JSON report on one. A mail that is refused is still read to its end, where the refusal belongs.
        """
        stream, header, size = DataStream(), HeaderSize(), 0
        while not stream.ended:
            chunk = await self._reader.read(_CHUNK)
            if not chunk:
                raise ConnectionResetError
            self._reset_timeout()
            decoded = stream.feed(chunk)
            header.feed(decoded)
            size += len(decoded)
            self.steps.received(size)
            if size > 2 * self._door.settings.max_message_bytes:
                self._say_goodbye("4.7.0 message without end")
                raise ConnectionResetError
            problem = problem or self._too_large(size, header.octets)
            if problem is None and incoming:
                problem = self._write(incoming, decoded)
        if stream.rest:  # commands that were sent ahead (RFC 2920)
            self._reader.feed_data(stream.rest)
        return size, problem

    def _too_large(self, size: int, header: int) -> str | None:
        limits = self._door.settings
        most = min(limits.max_message_bytes, _MAX_LETTER_BYTES) if self._is_letter else limits.max_message_bytes
        if size <= most and header <= limits.max_header_bytes:
            return None
        metrics.refused.labels(DOOR, "size").inc()
        if size > most:
            return f"552 5.3.4 {'Letter to postmaster' if self._is_letter else 'Message'} larger than {most} bytes"
        return f"552 5.3.4 Header larger than {limits.max_header_bytes} bytes"

    def _write(self, incoming: IncomingMessage, decoded: bytes) -> str | None:
        try:
            incoming.write(decoded)
        except SpoolUnavailable as error:
            return self._no_space(error)
        return None

    async def _commit(self, incoming: IncomingMessage, size: int) -> str:
        """The reply. A client that hangs up meanwhile does not stop the commit: at worst it sends the mail again."""
        self.steps.whole()
        writing = asyncio.get_running_loop().run_in_executor(self._door.disk, incoming.commit)
        stored = False
        try:
            name = await asyncio.shield(writing)
            stored = True
        except SpoolUnavailable as error:
            return self._no_space(error)
        except Exception:
            incoming.abort()
            raise
        finally:
            self.steps.ended(stored=stored)
        metrics.accepted.labels(DOOR).inc()
        metrics.accepted_bytes.labels(DOOR).inc(size)
        log.info("%s: accepted %s, %d bytes", in_log(self.peer), name, size)
        return f"250 2.0.0 Ok: queued as {name}"

    def _no_space(self, error: SpoolUnavailable) -> str:
        log.error("%s", error)
        metrics.refused.labels(DOOR, "storage").inc()
        return NO_SPACE

    @property
    def _is_letter(self) -> bool:
        """Whether the mail is for postmaster and nobody else."""
        return self.envelope is not None and all(map(self._door.recipients.is_postmaster, self.envelope.rcpt_tos))

    def _trace(self) -> bytes:
        assert self.envelope is not None  # noqa: S101
        assert self.session is not None  # noqa: S101
        sender = self.envelope.mail_from or ""
        # The address that makes a report of it comes first.
        recipients = sorted(self.envelope.rcpt_tos, key=self._door.recipients.is_postmaster)
        return trace.for_mail(
            sender="" if sender == "<>" else sender,
            helo=self.session.host_name or "",
            peer=self.peer,
            hostname=self._door.settings.hostname,
            protocol="ESMTPS" if self.session.ssl else "ESMTP",
            recipient=recipients[0],
            letter=self._is_letter,
            now=dt.datetime.now(dt.UTC),
        )
