"""The signs of a TLS report: in names, in subjects, in the beginning of a text. They are generous: a report may be damaged."""

import binascii
import enum
import re
from collections.abc import Iterator

from ingest.rfc.packing import kinds

from . import archives


class Sign(enum.IntEnum):
    """How strongly bytes speak; what is inside counts more than what is written on it."""

    NONE = 0
    # Written on it: a name or subject, which DMARC reports have too, or a label that a sender took over for them.
    HINT = 1
    DMARC = 2
    REPORT = 3


# RFC 8460 section 5.1, and RFC 7489 section 7.2.1.1 alike: sender "!" domain "!" begin "!" end ...
_REPORT_NAME = re.compile(r"(?:^|[/\\])[^!/\\]+![^!/\\]+!\d{6,11}!\d{6,11}(?:![^/\\]*|\.[^/\\]*)?$")
_NAMED_TLSRPT = re.compile(r"(?:tls-?rpt|smtp-?tls).*\.json(?:\.\w+)?$", re.IGNORECASE)
_XML_NAME = re.compile(r"\.xml(?:\.\w+)?$", re.IGNORECASE)
_PACKED_NAME = re.compile(r"\.(?:gz|gzip|xz|bz2|z|zip|zst|lz4|7z)$", re.IGNORECASE)
_PACKED_JSON_NAME = re.compile(r"\.json\.\w{1,8}$", re.IGNORECASE)
_PLAIN_REPORT_NAME = re.compile(r"\.(?:json|jsn|txt|gz)$|^[^.]*$", re.IGNORECASE)
# Forwarded, or through a mailing list; an answer ("Re:") is a letter, and brings no report.
_SUBJECT = re.compile(r"\s*(?:(?:\[[^\]]*\]|fwd?:|wg:|tr:|rv:|doorst:)\s*)*report domain:", re.IGNORECASE)

_MEMBER_NAME = re.compile(rb'\\?"([A-Za-z][A-Za-z _-]{4,40})\\?"\s*:')
_MAX_MEMBER_NAMES = 2_000
# RFC 8460 section 4.4: members that no other document is known to have, in the RFC's spelling.
_RFC_MEMBERS = frozenset(
    (
        *("organization-name", "date-range", "policy-type", "policy-string", "policy-domain", "failure-details"),
        *("total-successful-session-count", "total-failure-session-count", "failed-session-count", "start-datetime"),
        *("end-datetime", "sending-mta-ip", "receiving-mx-hostname", "receiving-mx-helo", "failure-reason-code"),
    )
)
# The same in any spelling, and members that others have, too: two of them are a sign.
_FOLDED = frozenset(
    name.replace("-", "") for name in (*_RFC_MEMBERS, "contact-info", "report-id", "result-type", "receiving-ip")
)
_POLICIES = re.compile(rb'\\?"policies\\?"\s*:\s*(?:\[|null)')
# In a text that does not begin like JSON, people may write about members of a report.
_QUOTED_MEMBERS = 3

_CUT_JSON = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{\s*(?:"[a-z -]{0,40}"?)?\s*', re.IGNORECASE)
_TOO_SHORT = 200

_DMARC = re.compile(rb"<(?:\w+:)?feedback[\s>]", re.IGNORECASE)
_DMARC_TOO = re.compile(rb"<(?:\w+:)?(?:report_metadata|policy_published)[\s>]", re.IGNORECASE)

_RAW = re.compile(
    rb"^TLS-Report-(?:Domain|Submitter)[ \t]*:|application/tlsrpt|report-type=\"?tlsrpt|"
    rb"![\w.-]{1,253}!\d{9,11}!\d{9,11}(?![^\r\n\"]{0,80}\.xml)",
    re.IGNORECASE | re.MULTILINE,
)
# OLE2 (Outlook's .msg), TNEF (winmail.dat), DER (S/MIME): containers that keep attachments as they are.
_OPAQUE = (b"\xd0\xcf\x11\xe0", b"\x78\x9f\x3e\x22", b"\x30\x80", b"\x30\x82", b"\x30\x83", b"\x30\x84")
_GZIP = re.compile(rb"\x1f\x8b\x08")
_MAX_PLACES = 8

# What base64 makes of the first bytes of gzip, zip and JSON.
_BASE64 = re.compile(rb"(?<![A-Za-z0-9+/])(?:H4sI|UEsD|eyJ|ewo|ew0K|eyAi|ICB7|77u/)[A-Za-z0-9+/=\s>]{60,}")
_ONLY_BASE64 = re.compile(rb"\s*[A-Za-z0-9+/=\r\n \t]{60,}\Z")
_UUENCODED = re.compile(rb"^begin [0-7]{3,4} (\S[^\r\n]{0,200})\r?\n", re.MULTILINE)
_MAX_ENCODED = 4
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


def in_name(name: str) -> Sign:
    """What a file name says."""
    if _REPORT_NAME.search(name[-500:]):
        return Sign.DMARC if _XML_NAME.search(name) else Sign.HINT
    return Sign.HINT if _NAMED_TLSRPT.search(name[-500:]) else Sign.NONE


def is_subject(subject: str) -> bool:
    """Whether a mail's subject is that of a report (RFC 8460 section 5.3), perhaps forwarded."""
    return bool(_SUBJECT.match(subject))


def unpacked_name(name: str) -> str:
    """The name of a compressed file without what says so."""
    return _PACKED_NAME.sub("", name)


def is_packed_json(name: str) -> bool:
    """Whether a name says JSON in a compressed form."""
    return bool(_PACKED_JSON_NAME.search(name[-500:]))


def may_be_damaged_report(name: str) -> bool:
    """Whether compressed data from which nothing can be had may have been a report, by its name."""
    return bool(_PLAIN_REPORT_NAME.search(unpacked_name(name)))


def is_cut_short(start: bytes) -> bool:
    """Whether JSON ends within the first member's name, so that nobody can tell what it was."""
    return bool(_CUT_JSON.fullmatch(start[:_TOO_SHORT]))


def is_compressed(data: bytes) -> bool:
    """Whether ``data`` is one compressed file: gzip, zlib, xz, bzip2."""
    return kinds.is_zlib_or_gzip(data) or archives.is_xz_or_bzip2(data[:16])


def is_opaque(start: bytes) -> bool:
    """Whether ``start`` begins a container that is not opened here, but keeps what is in it as it is."""
    return start.startswith(_OPAQUE)


def in_text(start: bytes) -> Sign:
    """What the beginning of an uncompressed file says, in whatever Unicode."""
    text = start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\v\f\xa0\xc2")
    if text.startswith(b"<"):
        return Sign.DMARC if _DMARC.search(text) and _DMARC_TOO.search(text) else Sign.NONE
    members = [match[1] for match, _ in zip(_MEMBER_NAME.finditer(text), range(_MAX_MEMBER_NAMES), strict=False)]
    names = {name.decode().strip() for name in members}
    if not text.startswith((b"{", b"[", b'"')):
        return Sign.REPORT if len(names & _RFC_MEMBERS) >= _QUOTED_MEMBERS else Sign.NONE
    folded = {re.sub("[ _-]", "", name).lower() for name in names}
    is_report = names & _RFC_MEMBERS or len(folded & _FOLDED) > 1 or _POLICIES.search(text)
    return Sign.REPORT if is_report else Sign.NONE


def in_raw(data: bytes) -> Sign:
    """What labels say in bytes that are not taken apart."""
    return Sign.REPORT if _RAW.search(data) else Sign.NONE


def gzip_places(data: bytes) -> Iterator[int]:
    """Where gzip data may begin within a container."""
    for match, _ in zip(_GZIP.finditer(data), range(_MAX_PLACES), strict=False):
        yield match.start()


def encoded_in(text: bytes) -> Iterator[tuple[str, bytes]]:
    """The names (or ``""``) and beginnings of what a text holds in base64 or uuencode."""
    blocks = [text] if _ONLY_BASE64.match(text) else [match[0] for match, _ in _first(_BASE64, text)]
    for block in blocks:
        plain = _NOT_BASE64.sub(b"", block)
        yield "", binascii.a2b_base64(plain[: len(plain) // 4 * 4])
    for match, _ in _first(_UUENCODED, text):
        yield match[1].decode("latin-1").strip(), _uudecoded(text[match.end() :])


def _first(pattern: re.Pattern[bytes], text: bytes) -> Iterator[tuple[re.Match[bytes], int]]:
    return zip(pattern.finditer(text), range(_MAX_ENCODED), strict=False)


def _uudecoded(text: bytes) -> bytes:
    plain = b""
    for line in text.splitlines():
        try:
            plain += binascii.a2b_uu(line)
        except binascii.Error:
            break
    return plain
