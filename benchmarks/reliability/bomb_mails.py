"""What is sent to exhaust memory or time: each as the octets of a mail, of an upload, or of both."""

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import msgspec

from tests.goldens import HUMAN, detail, entry, mail, multipart, packed, part, report, text, usual
from tests.signing import ed25519_key, signed

MIB = 1024 * 1024
_BLOCK = 64 * MIB


class Bomb(msgspec.Struct, frozen=True):
    """A mail, an upload, or both; made when asked for. ``cpu`` is the bound of reliability.md in seconds of processor time."""

    name: str
    mail: Callable[[], bytes] | None = None
    body: Callable[[], bytes] | None = None
    cpu: float = 1.0


def zeros(size: int) -> bytes:
    """A gzip file of so many zero bytes (a multiple of 64 MiB), made from one compressed block repeated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(_BLOCK)) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    return (
        b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
        + block * (size // _BLOCK)
        + b"\x03\0"
        + struct.pack("<II", checksum, size % 2**32)
    )


def zip_of_zips() -> bytes:
    """100 archives in an archive, each with 100 files of 1 MiB."""

    def archive(content: bytes, name: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as writer:
            for number in range(100):
                writer.writestr(f"{number}.{name}", content)
        return buffer.getvalue()

    return archive(archive(bytes(MIB), "json"), "zip")


def _attached(data: bytes) -> bytes:
    return mail(multipart(HUMAN, part(data)))


def _both(name: str, make: Callable[[], bytes], cpu: float = 1.0) -> Bomb:
    return Bomb(name, lambda: _attached(make()), make, cpu)


def _headed(fields: bytes) -> bytes:
    """The usual mail with more header fields on top."""
    return fields + b"\r\n" + usual(report(entry(1)))


@functools.cache
def _many_failures() -> bytes:
    return packed(
        text(report(entry(0, 90_000, *[detail(sessions=1, additional_information=f"{n}") for n in range(90_000)])))
    )


def _many(times: int, data: bytes) -> bytes:
    return mail(multipart(*[part(data)] * times))


def _crowd(policy: bytes, times: int) -> bytes:
    return packed(
        b'{"date-range":{"start-datetime":"2026-03-14T00:00:00Z"},"policies":[' + b",".join([policy] * times) + b"]}"
    )


def _list_of(reports: int) -> bytes:
    template = b'{"date-range":{"start-datetime":"2026-03-14T00:00:00Z"},"policies":[]}'
    return packed(b"[" + b",".join([template] * reports) + b"]")


def _spaces() -> bytes:
    body = b"Content-Type: text/plain\r\n\r\n" + (b" " * 900 + b"\r\n") * 15_000
    return signed(b"From: tls-reports@sender.example\r\nTo: b@receiver.example\r\n" + body, key=ed25519_key())


def _signatures() -> bytes:
    template = signed(usual(report(entry(1))), key=ed25519_key()).partition(b"From:")[0]
    return template * 2_000 + usual(report(entry(1)))


BOMBS = (
    Bomb(
        "endless line", lambda: b"From: a@sender.example\r\n\r\n" + b"x" * (19 * MIB), lambda: b"{" + b"x" * (19 * MIB)
    ),
    Bomb(
        "line beyond the limit",
        lambda: b"From: a@sender.example\r\n\r\n" + b"x" * (30 * MIB),
        lambda: b"{" * (30 * MIB),
    ),
    Bomb("CRLF flood", lambda: b"\r\n" * (9 * MIB), lambda: b"{" + b"\r\n" * (9 * MIB)),
    _both("gzip of 10 GiB", lambda: zeros(160 * _BLOCK)),
    _both("gzip in gzip of 10 GiB", lambda: packed(zeros(160 * _BLOCK))),
    _both("zip of zips", zip_of_zips),
    _both("19 MiB of [],", lambda: packed(b"[" + b"[]," * (19 * MIB // 3) + b"[]]")),
    _both("JSON 1,000,000 deep", lambda: packed(b'{"a":' + b"[" * 1_000_000)),
    _both("a number of 5,000,000 digits", lambda: packed(b'{"policies":[' + b"9" * 5_000_000 + b"]}")),
    # No bomb but a report, however large: it is stored, and takes the time that its rows take.
    _both("report of 90,000 failures", _many_failures, cpu=5),
    Bomb("200 attachments of 64 MiB", lambda: _many(200, zeros(64 * MIB))),
    Bomb("200 attachments of 31 MiB of blanks", lambda: _many(200, packed(b"[" + b" " * (31 * MIB) + b"x"))),
    Bomb("200 reports of 9,000 empty policies", lambda: _many(200, _crowd(b"{}", 9_000)), cpu=2),
    Bomb("180,000 reports in a list, 20 times", lambda: _many(20, _list_of(180_000)), cpu=5),
    Bomb("100,000 MIME parts", lambda: mail(multipart(*["Content-Type: text/plain\r\n\r\n"] * 100_000))),
    Bomb(
        "2,000 nested parts",
        lambda: mail(
            "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(2_000))
        ),
    ),
    Bomb("folded header of 10 MiB", lambda: _headed(b"Subject: x" + b"\r\n x" * (10 * MIB // 4)), cpu=2),
    Bomb("encoded words, 640 KB", lambda: _headed(b"Subject:" + b" =?utf-8?q?a?=\r\n" * 45_000), cpu=2),
    Bomb(
        "Content-Type of 200 KB",
        lambda: mail("Content-Type: multipart/report; " + "a=b; " * 40_000 + "\r\n\r\n"),
        cpu=2,
    ),
    Bomb("13 MiB of spaces, signed relaxed", _spaces, cpu=2),
    Bomb("2,000 signatures", _signatures, cpu=2),
)
