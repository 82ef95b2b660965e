"""An SMTP session without network: the real session class on a transport in memory and a spool in memory."""

import asyncio
import functools
import re
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from ingest.doors.smtp.door import SmtpDoor
from ingest.doors.smtp.session import SmtpSession, prepare_process
from ingest.settings import settings

_REPLY = re.compile(rb"(?:[2-5]\d\d[ -][\x20-\x7e]*\r\n)*\Z")
_CODE = re.compile(rb"(?m)^[2-5]\d\d[ -]")
_MAX_SPINS = 2_000
_MAX_MAIL = 2_000
_QUIET_SPINS = 5


def chunks(body: bytes, sizes: bytes) -> list[bytes]:
    """``body`` cut into pieces of the ``sizes``, over and over; no sizes, one piece."""
    # A call for each octet of a large body costs as many calls: that would measure Python, not the reader.
    least = 1 + len(body) // 10_000
    lengths = [8 * size + least for size in sizes] or [len(body) or 1]
    pieces, at, turn = [], 0, 0
    while at < len(body):
        length = lengths[turn % len(lengths)]
        pieces.append(body[at : at + length])
        at, turn = at + length, turn + 1
    return pieces


def converse(data: bytes) -> None:
    """One dialogue, whole and in pieces: the same reply codes and mails, well-formed, each 250 backed by a mail, no exception."""
    # Beyond twice the largest mail a session is cut off, sooner or later by how its chunks fall.
    sizes, dialogue = data[:2], data[2 : 2 + 2 * _MAX_MAIL]
    replies, mails = _replies([dialogue])
    again, same_mails = _replies(chunks(dialogue, sizes))
    # Which of two reasons a refusal names may depend on the chunks; that it is one may not.
    assert (_CODE.findall(replies), mails) == (_CODE.findall(again), same_mails), "the chunks change the dialogue"


class _Incoming:
    def __init__(self, spool: "_Spool") -> None:
        self._spool = spool
        self._written = b""

    def write(self, data: bytes) -> None:
        self._written += data

    def commit(self) -> str:
        self._spool.mails.append(re.sub(rb"\A(?:[^\n]*\n){4}", b"", self._written))
        return "1"

    def abort(self) -> None:
        self._written = b""


class _Spool:
    path = Path("spool")

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    def receive(self) -> _Incoming:
        return _Incoming(self)


class _AtOnce(Executor):
    def submit(self, call: Any, /, *args: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(call(*args, **named))
        return done


class _Room:
    def lack(self) -> None:
        return None


class _Transport(asyncio.Transport):
    def __init__(self, session: SmtpSession) -> None:
        super().__init__()
        self._session = session
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 25) if name == "peername" else default

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._session.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Session(SmtpSession):
    fault: Exception | None = None

    async def handle_exception(self, error: Exception) -> str:
        self.fault = error
        return await super().handle_exception(error)


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@functools.cache
def _door() -> SmtpDoor:
    prepare_process()
    chosen = settings.load(hostname="receiver.example", recipients="receiver.example")
    # Below what operators may set, so that short dialogues come to it.
    door = SmtpDoor(chosen.model_copy(update={"max_message_bytes": _MAX_MAIL, "max_header_bytes": 1_000}), _Spool())  # type: ignore[arg-type]
    door.room.close()
    door.disk.shutdown()
    door.room, door.disk = _Room(), _AtOnce()  # type: ignore[assignment]
    return door


def _replies(pieces: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    return _loop().run_until_complete(_session(_door(), pieces))


async def _session(door: SmtpDoor, pieces: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """What was said to the client and what was stored, when it says ``pieces``."""
    door.spool = spool = _Spool()  # type: ignore[assignment]
    session = _Session(door, None)
    transport = _Transport(session)
    session.connection_made(transport)
    await _quiet(session, transport)
    for piece in pieces:
        if transport.closed:
            break
        session.data_received(piece)
        await _quiet(session, transport)
    if not transport.closed:
        session.eof_received()
        transport.close()
    await _ended(session)
    if session.fault:
        raise session.fault
    assert not door.sessions, "a session is not forgotten"
    assert _REPLY.match(transport.written), f"a malformed reply: {transport.written!r}"
    assert transport.written.count(b"250 2.0.0 Ok: queued") == len(spool.mails), (
        "250 without a mail, or a mail without 250"
    )
    return transport.written, spool.mails


async def _quiet(session: SmtpSession, transport: _Transport) -> None:
    """Until the session waits for the client."""
    quiet, before = 0, None
    for _ in range(_MAX_SPINS):
        await asyncio.sleep(0)
        now = len(transport.written), len(session._reader._buffer), transport.closed  # type: ignore[union-attr]
        quiet, before = (quiet + 1, before) if now == before else (0, now)
        if quiet > _QUIET_SPINS:
            return
    raise AssertionError("the session never comes to rest")


async def _ended(session: SmtpSession) -> None:
    task = session._handler_coroutine
    assert task is not None
    for _ in range(_MAX_SPINS):
        if task.done():
            if not task.cancelled() and (error := task.exception()):
                raise error
            return
        await asyncio.sleep(0)
    raise AssertionError("the session does not end")
