"""What a file is when it is no report that can be read here, by its first bytes, and what its owner can do about it."""

import re
from typing import NamedTuple


class Format(NamedTuple):
    """A file format in words: one file of it, many, and what to do to get at a report in it.

    ``holds`` says that a report may well be in it, although it cannot be read here.
    """

    singular: str
    plural: str
    advice: str = ""
    holds: bool = True

    @property
    def explanation(self) -> str:
        """Completes "FILE ..."."""
        return f"is {self.singular}" + (f": {self.advice}" if self.advice else "")


_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MSG = Format(
    "an Outlook message (.msg)",
    "Outlook messages (.msg)",
    "open it in a mail program and save it as .eml, or convert it with `msgconvert` (Debian package "
    "libemail-outlook-message-perl), and load the .eml",
)
_OFFICE = Format(
    "an Office document",
    "Office documents",
    "if a report is attached to it, save that as a file and load it",
    holds=False,
)
_PICTURE = Format("a picture", "pictures", holds=False)
_MEDIA = Format("a sound or a film", "sounds and films", holds=False)
_PROGRAM = Format("a program", "programs", holds=False)

# In this order; the first that the beginning matches.
_BY_CONTENT: tuple[tuple[re.Pattern[bytes], Format], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), form)
    for pattern, form in (
        (
            rb"!BDN",
            Format(
                "an Outlook data file (.pst or .ost)",
                "Outlook data files (.pst, .ost)",
                "`mkdir mails && readpst -e -o mails FILE` (Debian package pst-utils) writes its mails as .eml; load that "
                "folder",
            ),
        ),
        (
            rb"\xcf\xad\x12\xfe",
            Format(
                "an Outlook Express folder (.dbx)",
                "Outlook Express folders (.dbx)",
                "import it into Thunderbird and load the mbox that this makes",
            ),
        ),
        (
            rb"\x78\x9f\x3e\x22",
            Format(
                "a winmail.dat of Outlook (TNEF)",
                "winmail.dat files (TNEF)",
                "`tnef -C FOLDER FILE` (Debian package tnef) writes what is attached; load that folder",
            ),
        ),
        (rb"7z\xbc\xaf\x27\x1c", Format("a 7z archive", "7z archives", "`7z x FILE`, then load what comes out")),
        (rb"Rar!\x1a\x07", Format("a RAR archive", "RAR archives", "`unar FILE`, then load what comes out")),
        (rb"MSCF\0\0\0\0", Format("a CAB archive", "CAB archives", "`cabextract FILE`, then load what comes out")),
        (
            rb"[\x22-\x28]\xb5\x2f\xfd",
            Format(
                "a file compressed with Zstandard (zstd)",
                "files compressed with Zstandard (zstd)",
                "`zstd -d FILE`, then load what comes out",
            ),
        ),
        (
            rb"\x04\x22\x4d\x18",
            Format(
                "a file compressed with LZ4", "files compressed with LZ4", "`lz4 -d FILE`, then load what comes out"
            ),
        ),
        (
            rb"LZIP\x01",
            Format(
                "a file compressed with lzip", "files compressed with lzip", "`lzip -d FILE`, then load what comes out"
            ),
        ),
        (
            rb"\x5d\0\0[\0-\x80]\0\xff\xff\xff\xff\xff\xff\xff\xff",
            Format(
                "a file compressed with LZMA", "files compressed with LZMA", "`xz -d FILE`, then load what comes out"
            ),
        ),
        (
            rb"\x1f[\x9d\xa0]",
            Format(
                "a file compressed with compress",
                "files compressed with compress",
                "`gzip -d FILE`, then load what comes out",
            ),
        ),
        (
            rb"-----BEGIN PGP MESSAGE",
            Format("a file encrypted with PGP", "files encrypted with PGP", "`gpg -d FILE > OUTPUT`, then load OUTPUT"),
        ),
        (
            rb"\x30[\x80-\x84].{0,4}\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07",
            Format(
                "an S/MIME envelope (.p7m)",
                "S/MIME envelopes (.p7m)",
                "if it is only signed, `openssl cms -verify -noverify -inform DER -in FILE -out mail.eml`; load mail.eml",
            ),
        ),
        (
            rb"SQLite format 3\0",
            Format(
                "a SQLite database",
                "SQLite databases",
                "if it is one of StartTally, name it in STARTTALLY_DATABASE_URL",
                holds=False,
            ),
        ),
        (rb"\x1f\x8b", Format("a gzip file without a TLS report in it", "gzip files", holds=False)),
        (rb"PAR1", Format("a Parquet file", "Parquet files", holds=False)),
        (rb"PK\x05\x06", Format("an empty zip archive", "empty zip archives", holds=False)),
        (
            rb"%PDF-",
            Format("a PDF document", "PDF documents", "a report is a JSON text; ask its sender for that", holds=False),
        ),
        (rb"\xff\xd8\xff|\x89PNG|GIF8|II\*\0|MM\0\*|BM.{4}\0\0\0\0|RIFF.{4}WEBP|.{4}ftyp(?:heic|avif|mif1)", _PICTURE),
        (rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF|OggS|ID3|\xff[\xf2\xf3\xfb]|fLaC", _MEDIA),
        (rb"\x7fELF|MZ.{58}|\xca\xfe\xba\xbe|\xfe\xed\xfa[\xce\xcf]|\xcf\xfa\xed\xfe|#!", _PROGRAM),
        (rb"\s*(?:<!doctype html|<html)", Format("an HTML page", "HTML pages", holds=False)),
        (rb"\s*<", Format("an XML text", "XML texts", "a TLS report is a JSON text", holds=False)),
        (
            rb"\s*[{\[]",
            Format(
                "JSON without any member of a TLS report (organization-name, date-range, policies; RFC 8460 section 4.4)",
                "JSON texts of another kind",
                holds=False,
            ),
        ),
    )
)
_TEXT = Format("a text without a TLS report in it", "texts", holds=False)
_UNKNOWN = Format(
    "none of what can be read here",
    "files",
    "reports are read as JSON (plain or gzip, xz, bzip2), mails as .eml, .emlx, mbox or Maildir, and all of them within zip "
    "and tar archives",
    holds=False,
)


def format_of(start: bytes, name: str) -> Format:
    """The format of a file that begins with ``start`` (64 KiB of it are enough) and has this name."""
    if start.startswith(_OLE2):
        return _ole2(start, name)
    if start.startswith(b"PK\x03\x04"):
        return (
            _OFFICE
            if b"[Content_Types].xml" in start[:1_000]
            else Format("a program or book (zip)", "programs and books", holds=False)
        )
    text = start.removeprefix(b"\xef\xbb\xbf")
    for pattern, form in _BY_CONTENT:
        if pattern.match(text):
            return form
    return _UNKNOWN if b"\0" in start else _TEXT


def _ole2(start: bytes, name: str) -> Format:
    """Messages and Office documents before 2007 are one format; the streams' names (UTF-16) tell them apart."""
    is_message = "__substg1.0".encode("utf-16-le") in start or name.lower().endswith((".msg", ".oft"))
    return _MSG if is_message else _OFFICE
