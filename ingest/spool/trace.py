"""Trace headers (RFC 5321 section 4.4): how a door writes what it knows on top of a message, and how the worker reads it back.

The spool therefore holds ordinary mails and nothing else. A stranger's own trace headers are always below ours.
"""

import base64
import datetime as dt
import email.utils
import hashlib
import re

import msgspec

from ingest.text import addresses

from .channels import CHANNELS, MAILDIR, Channel, by_protocol

_MARK = "(StartTally)"
# Of mail for postmaster and nobody else.
_LETTER_MARK = "(StartTally, for postmaster)"
_OURS = re.compile(
    rb"Return-Path: <(?P<sender>[ -~]*)>\r\n"
    rb"Received: from [!-~]* \(\[(?P<peer>[!-~]*)\]\)\r\n"
    rb"\tby [ -~]* \(StartTally(?P<letter>, for postmaster)?\) with (?P<protocol>[A-Z0-9]+)[ -~]*;\r\n"
    rb"\t(?P<date>[ -~]*)\r\n"
)
_UNSAFE = re.compile(r"[^\x21-\x7e]+")
_CONTAINER = re.compile(r"\W*(?:message|multipart)\b", re.IGNORECASE)
_MAX_WORD = 512
# The address that the server before us saw, in the trace that it wrote (RFC 5321 section 4.4): behind "from", in brackets.
_RECEIVED = re.compile(rb"^Received:(?P<value>[^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE | re.MULTILINE)
_ADDRESS = re.compile(rb"\[(?:IPv6:)?(?P<address>[0-9A-Fa-f.:]{2,45})\]", re.IGNORECASE)
_TOP_BYTES = 8 * 1024


class Arrival(msgspec.Struct, frozen=True):
    """How a message came: by which door, when (UTC), and whether that time is an estimate.

    ``message_digest`` is that of the message without our trace, so the same mail sent again has the same one. A ``letter`` is
    for postmaster and nobody else. ``network`` is the peer's, shortened as in logs (/24, /48): "unknown" where no trace tells,
    "" for what the operator loads.
    """

    door: str
    received_at: dt.datetime
    message_digest: str
    estimated: bool = False
    sender: str = ""
    letter: bool = False
    network: str = ""

    @property
    def channel(self) -> Channel:
        """What the way it came can prove."""
        return CHANNELS[self.door]


class Client(msgspec.Struct, frozen=True):
    """Whom a mail was taken from: the name that it gave itself, its address, and ESMTP or ESMTPS (RFC 3848)."""

    helo: str
    peer: str
    protocol: str


def for_mail(
    client: Client, *, sender: str, hostname: str, recipient: str, now: dt.datetime, letter: bool = False
) -> bytes:
    """The trace headers for a mail taken by SMTP (RFC 5321 section 4.4)."""
    return (
        f"Return-Path: <{_word(sender)}>\r\n"
        f"Received: from {_word(client.helo)} ([{_word(client.peer)}])\r\n"
        f"\tby {_word(hostname)} {_LETTER_MARK if letter else _MARK} with {client.protocol} for <{_word(recipient)}>;\r\n"
        f"\t{email.utils.format_datetime(now)}\r\n"
    ).encode("ascii")


def for_upload(body: bytes, *, content_type: str, filename: str, peer: str, hostname: str, now: dt.datetime) -> bytes:
    """An HTTP body wrapped as a mail, with its trace headers: the spool knows nothing but mails."""
    name = f'; filename="{_word(filename).replace(chr(34), "").replace(chr(92), "")}"' if filename else ""
    return (
        f"Return-Path: <>\r\n"
        f"Received: from http ([{_word(peer)}])\r\n"
        f"\tby {_word(hostname)} {_MARK} with HTTP;\r\n"
        f"\t{email.utils.format_datetime(now)}\r\n"
        f"MIME-Version: 1.0\r\n"
        f"Content-Type: {_content_type(content_type)}\r\n"
        f"Content-Disposition: attachment{name}\r\n"
        f"Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode("ascii") + base64.encodebytes(body)


def read(message: bytes, found_at: dt.datetime) -> tuple[Arrival, bytes]:
    """A spooled message's arrival, and the message as its sender wrote it.

    Mail that another server delivered into the spool has no trace of ours: its door is ``maildir``, its time is ``found_at``
    (the file's own), and its network is what the topmost trace says. So is a mail whose trace only looks like ours.
    """
    ours = _OURS.match(message)
    received_at = _written_by_us(ours["date"].decode("ascii")) if ours else None
    channel = by_protocol(ours["protocol"].decode("ascii")) if ours else None
    if ours is None or received_at is None or channel is None:
        return Arrival(MAILDIR, found_at, digest(message), network=_network_before(message)), message
    original = message[ours.end() :]
    sender, letter = ours["sender"].decode("ascii"), ours["letter"] is not None
    network = addresses.in_log(ours["peer"].decode("ascii"))
    return Arrival(channel.name, received_at, digest(original), sender=sender, letter=letter, network=network), original


def digest(message: bytes) -> str:
    """The identity of a message's bytes: 32 hexadecimal digits."""
    return hashlib.blake2b(message, digest_size=16).hexdigest()


def _network_before(message: bytes) -> str:
    """The network of the host that handed the mail to the server before us; "unknown" without a trace."""
    top = message[:_TOP_BYTES]
    header = top.partition(b"\r\n\r\n")[0].partition(b"\n\n")[0]
    newest = _RECEIVED.search(header)
    address = _ADDRESS.search(newest["value"]) if newest else None
    return addresses.in_log(address["address"].decode("ascii") if address else "")


def _written_by_us(date: str) -> dt.datetime | None:
    """The moment, when it is written exactly as we write it. What delivers into a Maildir may hand on anything."""
    try:
        moment = email.utils.parsedate_to_datetime(date)
    except (ValueError, OverflowError, TypeError, IndexError):  # what parsedate raises on garbage
        return None
    return moment if moment.tzinfo is not None and email.utils.format_datetime(moment) == date else None


def _content_type(claimed: str) -> str:
    """What the client said, unless a parser would look for other parts within: the body is one file, whatever its label."""
    word = _word(claimed)
    return word if word and not _CONTAINER.match(word) else "application/octet-stream"


def _word(text: str) -> str:
    """What a stranger said, fit for a header line: printable ASCII, bounded."""
    return _UNSAFE.sub("?", text)[:_MAX_WORD]
