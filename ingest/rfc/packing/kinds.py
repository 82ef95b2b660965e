"""What bytes are, told by the bytes: labels of mail parts and endings of file names are often wrong.

Nothing is opened here. What is known but not opened has a name and an advice (``unopened``), for whoever sent it.
"""

import re

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
XZ_MAGIC = b"\xfd7zXZ\0"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")  # a block, or the end of an empty file
ZLIB_HEADERS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")

TAR_BLOCK = 512
_CHECKSUM = slice(148, 156)

BLANKS = " \t\r\n\v\f\xa0"
# What may stand before JSON: the no-break space comes with text that was pasted into a mail; NUL with UTF-16 and UTF-32.
_BLANK_BYTES = b"\xef\xbb\xbf\xff\xfe\0" + BLANKS.encode("latin-1") + BLANKS.encode()
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
# Without a byte order mark the first two characters, both ASCII, tell (RFC 4627 section 3).
_WIDE = (
    (re.compile(rb"[\t\n\r -~]\0\0\0[\t\n\r -~]\0\0\0"), "utf-32-le"),
    (re.compile(rb"\0\0\0[\t\n\r -~]\0\0\0[\t\n\r -~]"), "utf-32-be"),
    (re.compile(rb"[\t\n\r -~]\0[\t\n\r -~]\0"), "utf-16-le"),
    (re.compile(rb"\0[\t\n\r -~]\0[\t\n\r -~]"), "utf-16-be"),
)

# How far a mail's header is looked at; the fields below stand near its top.
_HEADER_LOOK = 16 * 1024
_BEFORE_A_HEADER = b"\xef\xbb\xbf\r\n"
_MAY_STAND_FIRST = b"\xef\xff\xfe\0\r\n"
_FIRST_LINE = re.compile(rb"From |[A-Za-z][A-Za-z0-9-]*[ \t]*:")
_END_OF_HEADER = re.compile(rb"\r?\n[ \t]*\r?\n")
_MAIL_FIELDS = re.compile(
    rb"^(from|to|date|subject|received|return-path|delivered-to|message-id|mime-version|content-[a-z-]+|dkim-signature"
    rb"|authentication-results|arc-[a-z-]+|tls-report-[a-z]+)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)

# CMS (RFC 5652): the object identifier 1.2.840.113549.1.7.2.
_CMS_SIGNED = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
_CMS_LOOK = 32
_SEQUENCE = b"\x30"

_PLAINLY = "or ask for the report as it is (.json or .json.gz, RFC 8460 section 5.3)"
_TNEF = (
    f"is Outlook's winmail.dat (TNEF), not opened here: save the report out of it with Outlook or `tnef`, {_PLAINLY}"
)
_MSG = f"is an Outlook message (.msg, OLE2), not opened here: save its attachment, or the mail as .eml, {_PLAINLY}"
_PGP = f"is encrypted with PGP, and only its recipient can open it: decrypt and load it, {_PLAINLY}"
_UNOPENED = {
    b"\x78\x9f\x3e\x22": _TNEF,
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": _MSG,
    b"!BDN": "is an Outlook mailbox (.pst), not opened here: convert it with `readpst` and load the mbox",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive, not opened here: unpack it (`7z x`) and load what is in it",
    b"Rar!\x1a\x07": "is a RAR archive, not opened here: unpack it (`unrar x`) and load what is in it",
    b"MSCF": "is a cabinet archive (.cab), not opened here: unpack it (`cabextract`) and load what is in it",
    b"\x04\x22\x4d\x18": "is compressed with lz4, not opened here: unpack it (`lz4 -d`) and load what is in it",
    b"LZIP": "is compressed with lzip, not opened here: unpack it (`lzip -d`) and load what is in it",
    b"\x1f\x9d": "is compressed with compress (.Z), not opened here: unpack it (`uncompress`) and load what is in it",
    b"-----BEGIN PGP MESSAGE-----": _PGP,
}
_ENCRYPTED = f"is encrypted S/MIME, and only its recipient can open it: save the mail decrypted as .eml, {_PLAINLY}"
_COMPRESSED = (
    f"is compressed S/MIME, not opened here: save the mail as .eml with a mail program that opens it, {_PLAINLY}"
)
# enveloped-data, authenticated-enveloped-data (RFC 5083), compressed-data (RFC 3274)
_CMS_UNOPENED = {
    b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03": _ENCRYPTED,
    b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17": _ENCRYPTED,
    b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09": _COMPRESSED,
}
_FIRST_BYTES = _SEQUENCE + b" \t\r\n" + b"".join(magic[:1] for magic in _UNOPENED)


def unopened(data: bytes) -> str:
    """For what is known but not opened, a text that completes "the attachment ..." and says what to do; else ``""``."""
    if data[:1] not in _FIRST_BYTES:
        return ""
    start = data[:64].lstrip()
    if start[:1] == _SEQUENCE:
        return next((text for kind, text in _CMS_UNOPENED.items() if kind in start[:_CMS_LOOK]), "")
    return next((text for magic, text in _UNOPENED.items() if start.startswith(magic)), "")


def is_zip(data: bytes) -> bool:
    """Whether ``data`` begins like a zip archive."""
    return data.startswith(ZIP_MAGIC)


def is_zlib(data: bytes) -> bool:
    """RFC 1950 section 2.2: method 8 and a check value. HTTP calls this 'deflate'; no JSON text begins so."""
    return len(data) > 2 and data[0] == 0x78 and int.from_bytes(data[:2], "big") % 31 == 0


def is_zlib_or_gzip(data: bytes) -> bool:
    """Whether zlib opens it."""
    return data.startswith(GZIP_MAGIC) or is_zlib(data)


def is_bzip2(data: bytes) -> bool:
    """Whether ``data`` begins like a bzip2 file."""
    return _BZIP2.match(data) is not None


def is_tar(data: bytes) -> bool:
    """Whether ``data`` begins with a tar header, told by its checksum (POSIX.1-1988 and older kinds alike)."""
    if len(data) < TAR_BLOCK:
        return False
    written = data[_CHECKSUM].strip(b" \0")
    if not written.isdigit() or len(written) > 7:
        return False
    # The sum is taken with the field itself as blanks.
    summed = sum(data[:TAR_BLOCK]) - sum(data[_CHECKSUM]) + 8 * ord(" ")
    return b"8" not in written and b"9" not in written and int(written, 8) == summed


def is_packed(data: bytes) -> bool:
    """Whether ``data`` begins like anything that is opened: compressed, or an archive."""
    return is_zlib_or_gzip(data) or data.startswith((ZIP_MAGIC, XZ_MAGIC, ZSTD_MAGIC)) or is_bzip2(data) or is_tar(data)


def begins_like_json(data: bytes) -> bool:
    """Whether the first thing in ``data`` begins a JSON object, list or text, in whatever Unicode encoding."""
    return data.lstrip(_BLANK_BYTES)[:1] in (b"{", b"[", b'"')


def begins_plainly(data: bytes) -> bool:
    """Whether ``data`` begins like anything that a report comes as, short of text encodings and mails."""
    return is_packed(data) or begins_like_json(data)


def encoding(data: bytes) -> tuple[str, int]:
    """The Unicode encoding of a text and the length of its byte order mark; ``("", 0)`` when neither mark nor NULs tell."""
    if data[:1] not in _MAY_STAND_FIRST and b"\0" not in data[:4]:
        return "", 0
    for bom, name in _BOMS:
        if data.startswith(bom):
            return name, len(bom)
    return next((name for pattern, name in _WIDE if pattern.match(data)), ""), 0


def is_mail(data: bytes) -> bool:
    """Whether ``mail_in`` finds one."""
    return bool(mail_in(data))


def without_preamble(mail: bytes) -> bytes:
    """A mail as ``mail_in`` gives it, or as it came when it does not begin with a header even so."""
    return mail if mail[:1].isalpha() and mail[1:2] != b"\0" else mail_in(mail) or mail


def mail_in(data: bytes) -> bytes:
    """The mail that ``data`` is, in UTF-8 and without the byte order mark and the empty lines that editors put before its
    header (RFC 5322 section 2.2, or for a bare MIME entity RFC 2045 section 3); ``b""`` when it is none.
    """
    if not data[:1].isalpha() and data[:1] not in _MAY_STAND_FIRST:
        return b""
    name, _ = encoding(data) if data[:1] in b"\0\xff\xfe" or data[1:2] == b"\0" else ("", 0)
    narrow = data.decode(name, "replace").encode("utf-8", "replace") if name else data
    bare = narrow.lstrip(_BEFORE_A_HEADER)
    if not _FIRST_LINE.match(bare):
        return b""
    end = _END_OF_HEADER.search(bare, 0, _HEADER_LOOK)
    if end is None and len(bare) <= _HEADER_LOOK:
        return b""
    known = {field.lower() for field in _MAIL_FIELDS.findall(bare, 0, end.start() if end else _HEADER_LOOK)}
    return bare if len(known) > 1 or b"content-type" in known else b""


def is_signed_cms(data: bytes) -> bool:
    """Whether ``data`` is a CMS message in DER or BER, signed and not encrypted (RFC 5652 section 5)."""
    return data[:1] == _SEQUENCE and _CMS_SIGNED in data[:_CMS_LOOK]
