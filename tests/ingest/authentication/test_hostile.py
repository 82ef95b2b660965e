"""Mails made to break the verifier: each has a verdict, none raises, and none takes time by the square.

The large ones would take minutes and more with an expression that backtracks, and so run into the suite's time limit.
"""

import datetime as dt
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.authentication import signatures as authentication
from ingest.authentication.dkim_keys import KeyAnswer, Keys
from ingest.authentication.dkim_message import MAX_FIELD_BYTES, MAX_FIELDS, MAX_HEADER_BYTES
from ingest.authentication.signatures import authenticate, signature_names
from ingest.authentication.verdict import Authentication
from ingest.testimony.trust import FAILED, UNSIGNED, VERIFIED
from tests.ingest.authentication.test_signatures import MAIL, NOW
from tests.signing import ed25519_key, record, rsa_key, signed, signed_content

MIB = 1024 * 1024
BODY = 20 * MIB
HEADER, _, _ = MAIL.partition(b"\r\n\r\n")
Make = Callable[[], bytes]


class Published(Keys):
    """DNS that has the same records everywhere."""

    def __init__(self, *records: str | bytes) -> None:
        super().__init__()
        self._records = tuple(text.encode() if isinstance(text, str) else text for text in records)

    def answer(self, name: str) -> KeyAnswer:
        return KeyAnswer(self._records)


def verdict(mail: bytes, *records: str | bytes) -> Authentication:
    signature_names(mail)
    return authenticate(mail, Published(*(records or (record(),))), NOW)


def with_tag(text: str) -> Make:
    """A signature whose tags end with ``text``."""
    return lambda: signed(MAIL).replace(b"v=1;", b"v=1; " + text.encode("utf-8", "surrogateescape") + b";", 1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        # What makes dkimpy raise something else than its own exceptions.
        pytest.param(lambda: b" x\r\n" + signed(MAIL), "no header field", id="the first line is a continuation"),
        pytest.param(with_tag("i=sender.example"), "i= is no address", id="i= equal to d="),
        pytest.param(with_tag("i=@"), "i= is no domain name", id="i= without a domain"),
        pytest.param(lambda: signed(MAIL, t="1" * 5000), "t= is no time", id="t= of 5000 digits"),
        pytest.param(lambda: signed(MAIL, x="1" * 5000), "x= is no time", id="x= of 5000 digits"),
        pytest.param(lambda: signed(MAIL, t="-1"), "t= is no time", id="negative t="),
        pytest.param(lambda: signed(MAIL, x="1e9"), "x= is no time", id="x= in another notation"),
        pytest.param(lambda: signed(MAIL, domain="a..b"), "d= is no domain name", id="empty label"),
        pytest.param(lambda: signed(MAIL, domain="."), "d= is no domain name", id="nothing but a dot"),
        pytest.param(lambda: signed(MAIL, domain="a" * 64 + ".example"), "d= is no domain name", id="label over 63"),
        pytest.param(lambda: signed(MAIL, domain="a." * 130 + "example"), "d= is no domain name", id="name over 253"),
        pytest.param(lambda: signed(MAIL, selector="a." * 120 + "a"), "make no domain name", id="s= and d= over 253"),
        pytest.param(lambda: signed(MAIL, domain="é" * 600), "d= is no domain name", id="d= of 600 U-characters"),
        pytest.param(lambda: signed(MAIL, domain="xn--\u0080.example"), "does not speak", id="bad IDNA"),
        pytest.param(lambda: signed(MAIL, domain="a b.example"), "d= is no domain name", id="blank in d="),
        pytest.param(lambda: signed(MAIL, domain="a\0b.example"), "d= is no domain name", id="NUL in d="),
        pytest.param(
            lambda: signed(MAIL).replace(b"d=sender", b"d=\xff\xfe", 1), "d= is no domain name", id="d= is no UTF-8"
        ),
        pytest.param(lambda: signed(MAIL, selector="*"), "s= is no domain name", id="s= is a wildcard"),
        pytest.param(lambda: signed(MAIL, a="\x1b[31m<b>" + "x" * 99), "algorithm ?[31m<b>xx", id="a= for a terminal"),
        # What the limits refuse.
        pytest.param(lambda: b"a: b\r\n" * (BODY // 6), "too large", id="20 MiB without a body"),
        pytest.param(lambda: b"DKIM-Signature: x" + b"\r\n " * (BODY // 3), "too large", id="20 MiB of folds"),
        pytest.param(
            lambda: b"X: " + b"x" * MAX_HEADER_BYTES + b"\r\n" + signed(MAIL),
            "too large to verify",
            id="a header over the limit",
        ),
        pytest.param(
            lambda: b"X: " + b"x" * MAX_FIELD_BYTES + b"\r\n" + signed(MAIL),
            "too large to verify",
            id="a field over the limit",
        ),
        pytest.param(lambda: b"x:\r\n" * MAX_FIELDS + signed(MAIL), "fields, too many", id="fields over the limit"),
        pytest.param(lambda: signed(MAIL, h=":".join(["from"] * 201)), "fields, too many", id="h= over the limit"),
        pytest.param(lambda: signed(MAIL, n="x" * 8192), "too large to verify", id="a signature over the limit"),
        pytest.param(lambda: signed(MAIL, n="x b" + "\r\n " * 2000 + "!"), "too many blanks", id="folds behind b"),
        # A header that other readers of the mail would read in another way.
        pytest.param(lambda: b"X: y\nFrom: a@b\r\n" + signed(MAIL), "no header field|2 From", id="LF first"),
        pytest.param(lambda: b"X: x\r\nY: y\nFrom: a@b\r\n" + signed(MAIL), "not CRLF", id="a bare LF in the header"),
        pytest.param(lambda: b"X: x\r\nY: y\rFrom: a@b\r\n" + signed(MAIL), "not CRLF", id="a bare CR in the header"),
        pytest.param(lambda: b"From : a@b\r\n" + signed(MAIL), "no header field", id="a blank before the colon"),
        pytest.param(lambda: b"X: x\r\nno field\r\n" + signed(MAIL), "no header field", id="a line without a colon"),
    ],
)
def test_failed_with_a_reason(make: Make, reason: str) -> None:
    authenticated = verdict(make())
    assert authenticated.dkim == FAILED
    assert any(part in authenticated.reason for part in reason.split("|")), authenticated.reason
    assert authenticated.reason.isprintable()


def test_a_broken_header_without_signature_is_unsigned() -> None:
    assert verdict(b" x\r\n" + MAIL).dkim == UNSIGNED


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(b" ", id="blanks"),
        pytest.param(b"a ", id="single blanks"),
        pytest.param(b"  a", id="pairs of blanks"),
        pytest.param(b" \t", id="blanks and tabs"),
        pytest.param(b"\r\n", id="blank lines"),
        pytest.param(b" \r\n", id="lines of one blank"),
        pytest.param(b"\n", id="LF"),
        pytest.param(b"\r", id="CR"),
        pytest.param(b"\n\r", id="LF CR"),
        pytest.param(b" " * 4095 + b"a", id="long runs of blanks"),
        pytest.param(b"\r\n" * 4095 + b"a", id="long runs of blank lines"),
        pytest.param(b"x\r\n", id="short lines"),
    ],
)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_twenty_megabytes_under_ten_signatures(unit: bytes, line_end: bytes) -> None:
    """Half of the signatures want the relaxed body, half the simple one; none holds, so all are tried."""
    styles = ["relaxed/relaxed", "simple/simple"] * 5
    signatures = [signed(MAIL, canonicalization=style).partition(b"From:")[0] for style in styles]
    header = (b"".join(signatures) + HEADER + b"\r\n\r\n").replace(b"\r\n", line_end)
    assert "body hash does not match" in verdict(header + unit * (BODY // len(unit))).reason


@pytest.mark.parametrize(
    ("body", "style"),
    [
        (b"a \t b" * 100_000 + b"\r\n", "relaxed"),
        (b" " * 500_000 + b"x \r\n" + b" \r\n" * 100_000, "relaxed"),
        (b"\r\n" * 100_000 + b"x\r\n" + b"\r\n" * 100_000, "simple"),
        (b"x\r\r\n\r\n", "simple"),
        (b"x\n\r\n\r\n", "simple"),
        (b"x\r\n\n", "simple"),
        (b"x\r\n\r", "simple"),
        (b"\r\n \r\n\t", "relaxed"),
        (b" ", "relaxed"),
        (b" ", "simple"),
    ],
)
def test_odd_bodies_verify(body: bytes, style: str) -> None:
    """The hash is that of a line-by-line reading of the RFC."""
    assert verdict(signed(HEADER + b"\r\n\r\n" + body, canonicalization=f"relaxed/{style}")).dkim == VERIFIED


def test_want_of_memory_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is our fault, and the mail must be read again."""

    def fails(_data: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(authentication, "parse_public_key", fails)
    with pytest.raises(MemoryError):
        verdict(signed(MAIL))


# --- fuzzing ---

PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b";",
    b"=",
    b"@",
    b"<",
    b",",
    b"\0",
    b"\xff",
    b"From: a@evil.example\r\n",
    b"DKIM-Signature: ",
    b"; l=1",
    b"; i=sender.example",
    b"; d=a..b",
    b"9" * 5000,
    b"\r\n\r\n",
    b"\r\n ",
    b" b=",
    b"xn--",
]
STYLES = ["relaxed/relaxed", "simple/simple"]
changes = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.sampled_from(PIECES), st.binary(max_size=8))),
    min_size=1,
    max_size=3,
)


def changed(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """``data`` with pieces cut out and put in."""
    for where, length, piece in edits:
        at = int(where * len(data))
        data = data[:at] + piece + data[at + length :]
    return data


@given(changes, st.sampled_from(STYLES))
@settings(max_examples=300, deadline=None, database=None)
@example([(0.0, 1, b"")], STYLES[0])
@example([(1.0, 0, b"\r\n")], STYLES[1])
def test_altered_mails_are_never_verified(edits: list[tuple[float, int, bytes]], style: str) -> None:
    original = signed(MAIL, key=ed25519_key(), canonicalization=style)
    altered = changed(original, edits)
    authenticated = verdict(altered, record(ed25519_key()))
    assert authenticated.reason.isprintable()
    if authenticated.dkim == VERIFIED:
        assert signed_content(altered, style) == signed_content(original, style)


@given(changes)
@settings(max_examples=200, deadline=None, database=None)
def test_altered_keys_never_raise(edits: list[tuple[float, int, bytes]]) -> None:
    authenticated = verdict(signed(MAIL), changed(record(rsa_key(1024), t="s", s="tlsrpt").encode(), edits))
    assert authenticated.dkim in (FAILED, UNSIGNED)


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=30).map(b"".join))
@settings(max_examples=200, deadline=None, database=None)
def test_any_bytes_have_a_verdict(data: bytes) -> None:
    assert verdict(data).dkim in (FAILED, UNSIGNED)
    assert verdict(b"DKIM-Signature:" + data + b"\r\n" + MAIL).dkim in (FAILED, UNSIGNED)


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None, database=None)
def test_any_author_has_a_verdict(value: bytes) -> None:
    mail = MAIL.replace(b"TLS reports <tls-reports@sender.example>", value.replace(b"\r", b"").replace(b"\n", b""))
    assert verdict(signed(mail)).dkim in (FAILED, VERIFIED)


def test_the_time_of_arrival_may_be_in_any_zone() -> None:
    elsewhere = NOW.astimezone(dt.timezone(dt.timedelta(hours=14)))
    assert authenticate(signed(MAIL), Published(record()), elsewhere).dkim == VERIFIED
