"""One SMTP session: aiosmtpd's, with what a receiver on port 25 must do differently.

aiosmtpd's defaults answer an exception with a permanent error and its text, hold a whole mail in memory, and never end a
talkative session; fuzzing (tests/fuzz/dialogue.py) and rude peers found slips in it. All that is overridden of aiosmtpd stands
here, each with its reason. tests/house/test_private_names.py says which names that are, and fails when aiosmtpd does not call
one any more.
"""

import asyncio
import asyncio.sslproto
import collections
import datetime as dt
import logging
import re
import ssl
from concurrent.futures import Executor
from typing import AnyStr, NoReturn, Protocol

from aiosmtpd.smtp import SMTP, TLSSetupException, syntax

from ingest.doors.admission import peer_of, two_way
from ingest.doors.connections import Connections
from ingest.doors.limits import Letters
from ingest.doors.room import Room
from ingest.monitoring import metrics
from ingest.settings.settings import Settings
from ingest.spool import channels, trace
from ingest.spool.maildir import Spool
from ingest.text.addresses import in_log

from .data import DataStream
from .hooks import Hooks
from .proxy import HeaderRefused, announced_client
from .reception import TRY_LATER, MessageWithoutEnd, Reception
from .recipients import Recipients
from .steps import Steps

log = logging.getLogger(__name__)

DOOR = channels.SMTP
_CHUNK = 1024 * 1024
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
# asyncio fills a buffer of 256 KiB for each TLS session before its handshake begins: 500 clients that say STARTTLS and no
# more would take 210 MiB. A TLS record has 16 KiB.
_TLS_BUFFER_BYTES = 32 * 1024
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_USUAL_ADDRESS = re.compile(rf" *<({_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)> *([A-Za-z][\x20-\x7e]*|)")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def prepare_process() -> None:
    """Tell asyncio and aiosmtpd, for this whole process, what they can be told in no other way; before the first session."""
    # aiosmtpd makes the object itself, so only the class can say this.
    asyncio.sslproto.SSLProtocol.max_size = _TLS_BUFFER_BYTES
    # aiosmtpd writes every command down with the peer's full address (privacy), and as much as the peer likes.
    for chatty in ("mail.log", "mail.debug"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)


class Door(Protocol):
    """What a session asks of the door that it came through."""

    settings: Settings
    spool: Spool
    connections: Connections
    room: Room
    recipients: Recipients
    letters: Letters
    sessions: "set[SmtpSession]"
    closing: bool

    @property
    def disk(self) -> Executor:
        """Syncing blocks; as many mails as it has threads may be on their way to the disk at once."""


class SmtpSession(SMTP):
    """One connection. Replies are printable ASCII, and a broken address or handshake is the client's doing."""

    # How much is buffered before the peer is made to wait; command lines have limits of their own.
    line_length_limit = 16 * 1024

    def __init__(self, door: Door, context: ssl.SSLContext | None) -> None:
        self.command_size_limits = collections.defaultdict(lambda: self.command_size_limit)  # the class's own is shared
        super().__init__(
            Hooks(door.settings, door.room, door.recipients, door.letters),
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

    def __dir__(self) -> list[str]:
        """The commands alone: aiosmtpd looks for them in every name of every session, which takes half a millisecond."""
        return _COMMANDS

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
        """Forget the session. The error is kept from asyncio's stream, which logs that nobody looked at it, by whim of the
        garbage collector.
        """
        if self in self._door.sessions:
            self._door.sessions.discard(self)
            self._door.connections.leave(self)
            metrics.connections.labels(DOOR).dec()
        if self._deadline:
            self._deadline.cancel()
        if isinstance(error, ssl.SSLError):
            self._tls_failed(error)
        super().connection_lost(None)

    def eof_received(self) -> bool:
        """Close, as nobody will answer any more: aiosmtpd has cancelled the task that would.

        It would keep the transport open and leave closing to that task, which has not begun when the peer hangs up at once.
        """
        super().eof_received()
        return False

    @syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str) -> None:
        """Begin TLS; once only, for within TLS there is nothing to protect from (aiosmtpd begins it in itself)."""
        if self._tls_protocol:
            await self.push("503 5.5.1 Error: TLS is active")
            return
        try:
            await super().smtp_STARTTLS(arg)
        except TLSSetupException as failure:
            self._end_handshake(failure.__cause__)
        # asyncio also says that a handshake is done when we have cut it short; only one that succeeded fills in this.
        if self._tls_protocol and self.session is not None and self.session.ssl is None:
            self._end_handshake(None)

    def _end_handshake(self, error: BaseException | None) -> NoReturn:
        """End the session: asyncio tells it nothing about a connection that is lost before TLS is up."""
        self._tls_failed(error)
        self.connection_lost(None)
        raise ConnectionResetError

    def _tls_failed(self, error: BaseException | None) -> None:
        """A stranger's TLS that fails is no fault of ours: one line, and a reason of its own in the metric.

        None when the connection was closed from our side meanwhile.
        """
        if error is not None:
            metrics.refused.labels(DOOR, "tls").inc()
            log.info("%s: TLS failed: %s", in_log(self.peer), getattr(error, "reason", None) or type(error).__name__)

    async def _handle_client(self) -> None:
        """Behind a load balancer, learn who the client is before a word is said (the PROXY protocol comes first)."""
        if self._behind_proxy and (refusal := await self._learn_client()):
            self._say_goodbye(refusal)
            return
        try:
            await super()._handle_client()
        except ConnectionResetError:
            return  # aiosmtpd lets it end the task, and asyncio logs that nobody looked at it

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
        """Our own faults are temporary for the sender, and none of its business (threats.md row 2)."""
        log.error("%s: fault in the SMTP door", in_log(self.peer), exc_info=error)
        metrics.refused.labels(DOOR, "fault").inc()
        return TRY_LATER

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        usual = _USUAL_ADDRESS.fullmatch(arg)
        if usual and not self.local_part_limit:  # the library takes fifty times as long to say the same
            return usual[1], usual[2]
        try:
            address, parameters = super()._getaddr(arg)
        except (IndexError, ValueError, AttributeError):
            # What the standard library's address parser raises on "<" and "<a@": no fault of ours, so no "try later".
            return None, None
        return address, parameters

    async def push(self, status: AnyStr) -> None:
        """Send a reply; a peer that collects errors is sent away.

        aiosmtpd quotes unknown commands as they came, with CR, NUL and escape sequences.
        """
        text = status.decode("ascii", "replace") if isinstance(status, bytes) else status
        if text[:1] in "45" and not text.startswith("421"):
            self._errors += 1
        await super().push(_UNPRINTABLE.sub("?", text))
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
        door = self._door
        reception = Reception(door.spool, door.disk, door.settings, self.steps, self.peer, is_letter=self._is_letter)
        try:
            reception.begin(self._trace())
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            try:
                await self._read_into(reception)
            except ConnectionResetError:
                raise
            except Exception as error:
                await self.handle_exception(error)
                # What follows is the rest of a mail and must not be read as commands.
                self._say_goodbye("4.3.0 temporary fault on our side")
                raise ConnectionResetError from error
            reply = await reception.end()
        finally:
            reception.abort()
        self.envelope = self._create_envelope()
        await self.push(reply)

    async def _read_into(self, reception: Reception) -> None:
        """Read a mail to its end.

        Memory is one chunk, however long a line is. Lines beyond RFC 5321's 998 octets are taken: some senders put a whole
        JSON report on one.
        """
        stream = DataStream()
        while not stream.ended:
            chunk = await self._reader.read(_CHUNK)
            if not chunk:
                raise ConnectionResetError
            self._reset_timeout()
            try:
                reception.take(stream.feed(chunk))
            except MessageWithoutEnd:
                self._say_goodbye("4.7.0 message without end")
                raise ConnectionResetError from None
        if stream.rest:  # commands that were sent ahead (RFC 2920)
            self._reader.feed_data(stream.rest)

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
        protocol = "ESMTPS" if self.session.ssl else "ESMTP"
        return trace.for_mail(
            trace.Client(self.session.host_name or "", self.peer, protocol),
            sender="" if sender == "<>" else sender,
            hostname=self._door.settings.hostname,
            recipient=recipients[0],
            letter=self._is_letter,
            now=dt.datetime.now(dt.UTC),
        )


_COMMANDS = [name for name in dir(SmtpSession) if name.startswith("smtp_")]
