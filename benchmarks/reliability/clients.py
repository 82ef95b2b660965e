"""Senders of reports: SMTP sessions and HTTP connections that are reused, and that may end at any point."""

import asyncio
import contextlib
import socket
import struct
from typing import Self

from .ledger import Numbered

FROM, TO = "tls-reports@sender.example", "tlsrpt@receiver.example"
_SECONDS = 60


class Refused(Exception):
    """The answer was not the one that takes the report; ``code`` is the door's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# What ends a connection before its answer: a sender tries again later.
BROKEN = (OSError, EOFError, Refused, TimeoutError)


class _Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: tuple[str, int], source: str = "127.0.0.1") -> Self:
        """A connection from an address of this machine."""
        async with asyncio.timeout(_SECONDS):
            client = cls(*await asyncio.open_connection(*address, local_addr=(source, 0), limit=2**20))
            try:
                await client._begin()
            except BaseException:
                client.reset()
                raise
        return client

    async def _begin(self) -> None:
        """What comes before the first report."""

    def reset(self) -> None:
        """Cut the connection with RST: what the peer has not read is gone, and it notices."""
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


class SmtpClient(_Client):
    """An SMTP session."""

    async def _begin(self) -> None:
        await self.expect("220")
        await self.say("EHLO client.example")

    async def expect(self, code: str) -> str:
        """The reply. Raises Refused for another code."""
        async with asyncio.timeout(_SECONDS):
            while True:
                line = (await self.reader.readuntil(b"\r\n")).decode("ascii", "replace")
                if line[3:4] != "-":
                    break
        if not line.startswith(code):
            raise Refused(line[:3])
        return line

    async def say(self, line: str, code: str = "250") -> str:
        """A command and its reply."""
        self.writer.write(line.encode() + b"\r\n")
        return await self.expect(code)

    async def envelope(self) -> None:
        """Everything up to 354."""
        await self.say(f"MAIL FROM:<{FROM}>")
        await self.say(f"RCPT TO:<{TO}>")
        await self.say("DATA", "354")

    async def mail(self, mail: bytes) -> str:
        """Send a mail; the reply that takes it. Raises one of ``BROKEN``."""
        await self.envelope()
        self.writer.write(stuffed(mail))
        return await self.expect("250")

    async def report(self, numbered: Numbered) -> None:
        """Send a report."""
        await self.mail(numbered.mail())


class HttpClient(_Client):
    """An HTTP connection that is kept alive."""

    async def report(self, numbered: Numbered) -> None:
        """Upload a report."""
        await self.upload(numbered.body())

    async def upload(self, body: bytes, content_type: str = "application/tlsrpt+gzip") -> None:
        """POST a body. Raises one of ``BROKEN``."""
        self.writer.write(request(body, content_type))
        status = await self.answer()
        if status != "201":
            raise Refused(status)

    async def get(self, path: str) -> str:
        """GET; the status."""
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: receiver.example\r\n\r\n".encode())
        return await self.answer()

    async def answer(self) -> str:
        """The status of the next answer, whose body is read."""
        async with asyncio.timeout(_SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = next(
                (int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:")), 0
            )
            await self.reader.readexactly(length)
        if "\r\nconnection: close" in head:
            self.close()
        return head[9:12]


def stuffed(mail: bytes) -> bytes:
    """A mail as it stands after 354, its end included (RFC 5321 section 4.5.2)."""
    return (b"." + mail if mail.startswith(b".") else mail).replace(b"\r\n.", b"\r\n..").removesuffix(
        b"\r\n"
    ) + b"\r\n.\r\n"


def request(body: bytes, content_type: str = "application/tlsrpt+gzip") -> bytes:
    """A POST of one report."""
    head = (
        "POST /v1/tlsrpt HTTP/1.1\r\nHost: receiver.example\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
