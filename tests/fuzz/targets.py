"""The targets: each reads bytes as a stranger could have sent them, and fails when a promise about them is broken.

The first byte of some inputs chooses among variants (how a report is packed, what DNS answers), the rest is the input proper.
"""

import base64
import datetime as dt
import email
import email.policy
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from unittest import mock

import msgspec
import sqlalchemy as sa

from ingest.authentication import dkim_rules
from ingest.authentication.dkim_keys import KeyAnswer, is_name
from ingest.authentication.dkim_message import ParsedMail, is_plainly_unsigned
from ingest.authentication.signatures import authenticate, signature_names
from ingest.authentication.verdict import Authentication
from ingest.database import models
from ingest.doors.smtp.data import DataStream, HeaderSize
from ingest.intake import trust_of
from ingest.loading import file_formats, mail_dates, mailbox, recognition
from ingest.loading.folders import Place
from ingest.rfc.mtasts import lint, policy
from ingest.rfc.mtasts import record as sts_record
from ingest.rfc.packing import inflate, kinds
from ingest.rfc.tlsrpt import figures, message
from ingest.rfc.tlsrpt import record as tlsrpt_record
from ingest.rfc.tlsrpt import report as report_reading
from ingest.rfc.tlsrpt.document import Document, NotAReport, documents_in, may_hold_report
from ingest.rfc.tlsrpt.report import MAX_ROWS, Report, read_reports
from ingest.rfc.tlsrpt.usual import mail as usual_mail
from ingest.rfc.tlsrpt.usual import report as usual_report
from ingest.spool import channels, trace
from ingest.store.rows import ReportRows, rows_of
from ingest.submissions import Decoded, Submission
from ingest.testimony.trust import FAILED, UNDETERMINED, UNSIGNED, VERIFIED
from tests import signing
from tests.fuzz.seeds import NOW

from . import dialogue, seeds

LIMIT = 1024 * 1024


class Target(NamedTuple):
    """A function that fails on a broken promise, inputs to begin with, and words worth inserting."""

    run: Callable[[bytes], None]
    seeds: list[bytes]
    words: Sequence[bytes]


# --- mails and reports


def mail(data: bytes) -> None:
    """MIME -> reports. NotAReport and nothing else; what is read fits the tables."""
    message.subject(data)
    try:
        report_mail = message.read_mail(data, LIMIT)
    except NotAReport as refusal:
        assert str(refusal)
        return
    arrival = trace.Arrival(channels.SMTP, NOW, trace.digest(data))
    _assert_storable(
        Decoded(
            arrival, data, report_mail.reports, report_mail.submitter, report_mail.author, unread=report_mail.unread
        )
    )


def report(data: bytes) -> None:
    """JSON -> reports, packed in one of several ways. Same content, same digest; what is read fits the tables."""
    packed = _packed(data)
    try:
        reports = read_reports(packed, LIMIT, message.hints_from("", "a!receiver.example!1773446400!1773532799.json"))
    except NotAReport as refusal:
        assert str(refusal)
        return
    assert may_hold_report(packed), "the HTTPS door would refuse what can be read"
    for parsed, document in reports:
        _assert_stable(parsed, document)
    arrival = trace.Arrival(channels.LOAD, NOW, trace.digest(packed))
    _assert_storable(Decoded(arrival, packed, tuple(reports), file_name="a.json"))


def usual(data: bytes) -> None:
    """What the quick readers of usual mails and reports read, the tolerant ones read likewise, without a defect."""
    way, plain = data[:1], data[1:]
    quick: object
    if way == b"m":
        mail_read = usual_mail.read(kinds.without_preamble(plain), LIMIT, MAX_ROWS)
        quick = mail_read and (
            ((mail_read.report, _bare(mail_read.document)),),
            mail_read.submitter,
            mail_read.author,
            "",
        )
    else:
        report_read = usual_report.read(_packed(plain), LIMIT, MAX_ROWS)
        quick = report_read and (((report_read[0], _bare(report_read[1])),), ())
    if quick:
        with mock.patch.object(usual_mail, "read", _nothing), mock.patch.object(usual_report, "read", _nothing):
            tolerant = message.read_mail(plain, LIMIT) if way == b"m" else report_reading.read(_packed(plain), LIMIT)
        assert msgspec.structs.astuple(tolerant) == quick


def _bare(document: Document) -> Document:
    return msgspec.structs.replace(document, packed=b"")


def _nothing(*_arguments: object) -> None:
    """A quick reader that leaves everything to the tolerant one."""


def unpacked(data: bytes) -> None:
    """Bounded inflation: InflateError and nothing else, and never more than the limit."""
    may_hold_report(data)
    total = 0
    try:
        for plain in inflate.documents(data, LIMIT):
            total += len(plain.data)
    except inflate.InflateError as error:
        assert str(error)
    assert total <= LIMIT


def _packed(data: bytes) -> bytes:
    way, plain = data[:1], data[1:]
    if way == b"g":
        return gzip.compress(plain, 1, mtime=0)
    if way == b"G":
        return gzip.compress(gzip.compress(plain, 1, mtime=0), 1, mtime=0)
    if way == b"z":
        return zlib.compress(plain, 1)
    if way == b"Z":
        return gzip.compress(zlib.compress(plain, 1), 1, mtime=0)
    if way == b"a":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo("a.json"), plain)
        return file.getvalue()
    return plain


def figures_of(parsed: Report) -> str:
    return figures.Figures(parsed.entries).of_report(figures.stated_domain)


def _assert_stable(parsed: Report, document: Document) -> None:
    (read_object,) = documents_in(document.text, 16 * LIMIT)
    assert isinstance(read_object, tuple)
    again = json.dumps(read_object[0], indent=1, allow_nan=False, ensure_ascii=False).encode()
    ((second, _),) = read_reports(
        again, 16 * LIMIT, message.hints_from("", "a!receiver.example!1773446400!1773532799.json")
    )
    assert figures_of(second) == figures_of(parsed), "the same content has other figures"


def _assert_storable(decoded: Decoded) -> None:
    verdict = Authentication(UNSIGNED)
    for domains in rows_of(Submission(decoded, verdict, trust_of(verdict, decoded.arrival.channel)), NOW):
        for rows in domains:
            for table, row in _tables(rows):
                for name, value in row.items():
                    _assert_fits(table.columns[name], value)


def _tables(rows: ReportRows) -> Iterator[tuple[sa.Table, dict[str, Any]]]:
    yield models.report, rows.report
    yield models.delivery, rows.delivery
    yield from ((models.policy_entry, row) for row in rows.entries)
    yield from ((models.failure_detail, row) for row in rows.details)
    yield from ((models.policy_text, row) for row in rows.policy_texts)
    if rows.raw:
        yield models.raw_report, rows.raw


def _assert_fits(column: sa.Column[Any], value: object) -> None:
    """PostgreSQL takes the value: no NUL, no lone surrogate, no word longer than its column, no number out of range."""
    assert value is not None or column.nullable, f"{column} is missing"
    if isinstance(value, str):
        assert "\0" not in value, f"{column} has a NUL"
        value.encode()
        assert len(value) <= (getattr(column.type, "length", None) or len(value)), f"{column} is too long"
    elif isinstance(value, int):
        bits = 63 if isinstance(column.type, sa.BigInteger) else 31
        assert -(2**bits) <= value < 2**bits, f"{column} is out of range"
    elif isinstance(value, dt.datetime):
        assert value.tzinfo is not None, f"{column} has no zone"


# --- DKIM


_RSA_TINY = base64.b64encode(bytes.fromhex("301a300d06092a864886f70d0101010500030900300602010f02011f")).decode()
_HOSTILE_RECORDS = (
    b"v=DKIM1; k=rsa; p=" + _RSA_TINY.encode(),
    b"v=DKIM1; k=rsa; p=" + base64.b64encode(b"\x30\x82\xff\xff" + bytes(300)),
    b"v=DKIM1; k=ed25519; p=" + base64.b64encode(bytes(32)),
    b"v=DKIM1; k=ed25519; p=" + base64.b64encode(b"\xff" * 32),
    b"v=DKIM1; k=ed25519; p=AA=A",
    b"k=\xff; p=\xff; t=y:\0",
    b"v=DKIM1; p=",
    b"p=" + b"A" * 5_000,
    b"",
)


class _Table:
    """Answers as DNS could give them."""

    def __init__(self, way: int) -> None:
        self._way = way

    def answer(self, name: str) -> KeyAnswer:
        good = signing.record(seeds.KEY).encode()
        if self._way % 4 == 0:
            return KeyAnswer((good,))
        if self._way % 4 == 1:
            return KeyAnswer((_HOSTILE_RECORDS[self._way // 4 % len(_HOSTILE_RECORDS)],))
        if self._way % 4 == 2:
            return KeyAnswer((_HOSTILE_RECORDS[self._way // 4 % len(_HOSTILE_RECORDS)], good))
        return KeyAnswer() if self._way // 4 % 2 else KeyAnswer(problem="no answer")


def dkim(data: bytes) -> None:
    """The verdict: never an exception, few names, and verified only with the signer's own content."""
    way, signed = data[0] if data else 0, data[1:]
    names = signature_names(signed)
    assert len(names) <= 10
    if is_plainly_unsigned(signed):
        parsed = ParsedMail(signed)
        assert not dkim_rules.signatures(parsed)
        assert parsed.fields
    assert all(map(is_name, names))
    verdict = authenticate(signed, _Table(way), NOW)  # type: ignore[arg-type]
    assert verdict.dkim in (VERIFIED, UNSIGNED, FAILED, UNDETERMINED)
    assert verdict.reason.isprintable()
    if verdict.dkim != VERIFIED:
        assert not verdict.signer
        return
    assert (verdict.signer, verdict.selector) == (signing.DOMAIN, signing.SELECTOR)
    _assert_genuine(signed)


def _assert_genuine(signed: bytes) -> None:
    """The body is one of those that were signed, but for blanks and line ends; so is the author."""
    text = (
        signed
        if b"\r\n" in signed.partition(b"\n")[0] + b"\n"
        else signed.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    )
    body = b"".join(text.partition(b"\r\n\r\n")[2].split())
    genuine = {b"".join(signed_mail.partition(b"\r\n\r\n")[2].split()) for signed_mail in seeds.signed_mails()}
    assert body in genuine, "verified with a body that nobody signed"
    assert len(re.findall(rb"(?im)^from:", text.partition(b"\r\n\r\n")[0])) == 1, "verified with several authors"


# --- policies and records


def policy_file(data: bytes) -> None:
    """Reading never fails, and what is usable can be written and read again."""
    linted = lint.lint(data, ("mx1.receiver.example", "mail.backup.receiver.example"))
    text = data.decode("utf-8", "surrogateescape")
    for parsed in (linted, policy.parse(text), policy.parse(text.split("\n"))):
        assert len(parsed.faults) <= 3 * policy.MAX_FAULTS  # of the file, of its patterns, of the hosts
        policy.match(parsed.mx, "mx1.receiver.example")
        policy.mx_key(parsed)
        lint.change_faults(parsed, linted, "1", "2", "3")
    if linted.usable and linted.max_age is not None:
        again = policy.parse(policy.render(linted.mode, linted.mx, linted.max_age))
        assert (again.mode, again.mx, again.max_age) == (linted.mode, linted.mx, linted.max_age)


def records(data: bytes) -> None:
    """Reading TXT records never fails, and a usable id or address can be published again."""
    texts = data.decode("utf-8", "surrogateescape").split("\n")
    sts_record.choose(texts)
    tlsrpt_record.choose(texts)
    for text in texts[:5]:
        record = sts_record.parse(text)
        if record.id:
            assert sts_record.parse(sts_record.render(record.id)).id == record.id
        tlsrpt_record.parse(text)


# --- the doors


def traced(data: bytes) -> None:
    """What a door writes on top is read back exactly, whatever the client said; other mail keeps all its bytes."""
    arrival, original = trace.read(data, NOW)
    assert data.endswith(original)
    assert arrival.received_at.tzinfo is not None
    words = [part.decode("utf-8", "surrogateescape") for part in data.split(b"\n", 3)]
    sender, helo, recipient, upload_text = (*words, "", "", "", "")[:4]
    head = trace.for_mail(
        trace.Client(helo, "192.0.2.1", "ESMTP"),
        sender=sender,
        hostname="receiver.example",
        recipient=recipient,
        now=NOW,
    )
    arrival, original = trace.read(head + data, dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    assert (arrival.door, arrival.received_at, original) == (channels.SMTP, NOW, data)
    assert arrival.message_digest == trace.digest(data)
    body = upload_text.encode("utf-8", "surrogateescape")
    wrapped = trace.for_upload(
        body, content_type=sender, filename=helo, peer=recipient, hostname="receiver.example", now=NOW
    )
    arrival, original = trace.read(wrapped, dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    assert (arrival.door, arrival.received_at) == (channels.HTTPS, NOW)
    parsed = email.message_from_bytes(original, policy=email.policy.compat32)
    assert parsed.is_multipart() or parsed.get_payload(decode=True) == body, "the upload is changed on its way"


def upload(data: bytes) -> None:
    """A report that came by HTTPS is read like the same report in a file, whatever its labels say."""
    labels, _, body = data.partition(b"\n")
    content_type, _, filename = labels.decode("latin-1").partition("\t")
    body = _packed(body)
    if not may_hold_report(body):
        return
    _, original = trace.read(
        trace.for_upload(body, content_type=content_type, filename=filename, peer="::1", hostname="r.example", now=NOW),
        NOW,
    )
    hints = message.hints_from("", "")
    try:
        expected = [figures_of(parsed) for parsed, _ in read_reports(body, LIMIT, hints)]
    except NotAReport:
        expected = []
    try:
        uploaded = [figures_of(parsed) for parsed, _ in message.read_mail(original, LIMIT).reports]
    except NotAReport:
        uploaded = []
    assert len(uploaded) >= len(expected), "a report is lost in an upload"


def data_stream(data: bytes) -> None:
    """DATA, in any chunks: the same mail, the same rest, as the definition of RFC 5321 section 4.5.2 gives."""
    sizes, body = data[:4], data[4:]
    whole = _streamed([body])
    assert whole == _streamed(dialogue.chunks(body, sizes))
    end = (b"\r\n" + body).find(b"\r\n.\r\n")
    if end >= 0:
        expected = (b"\r\n" + body)[: end + 2].replace(b"\r\n.", b"\r\n")[2:]
        assert whole == (expected, True, body[end + 3 :], _header_size(expected))


def _streamed(pieces: Sequence[bytes]) -> tuple[bytes, bool, bytes, int]:
    stream, header, decoded, after_end = DataStream(), HeaderSize(), b"", b""
    for piece in pieces:
        if stream.ended:
            after_end += piece
            continue
        plain = stream.feed(piece)
        header.feed(plain)
        decoded += plain
    return decoded, stream.ended, stream.rest + after_end, header.octets


def _header_size(mail: bytes) -> int:
    blank = re.search(rb"\r?\n\r?\n", mail)
    return blank.start() if blank else len(mail)


# --- files


def mailbox_file(data: bytes) -> None:
    """mbox, zip, gzip, mails and anything else: problems instead of exceptions, and no message beyond the limit."""
    names = ("a.eml", "a.mbox", "a.json", "a.zip", "a.gz", "a")
    place = (Place.ANYWHERE, Place.NEW, Place.BESIDE)[(data[0] if data else 0) // len(names) % 3]
    file = io.BytesIO(data[1:])
    name = names[(data[0] if data else 0) % len(names)]
    stream = mailbox._Stream(file, name, name, NOW, file.tell, place)  # what bounds its progress is in _stream_of
    for source in mailbox._contents(stream, 64 * 1024):
        if isinstance(source, mailbox.Problem):
            assert source.reason
            continue
        assert len(source.data) <= 64 * 1024
        moment = mail_dates.arrival_time(source.data)
        assert moment is None or 1990 <= moment.year < 2100


def recognised(data: bytes) -> None:
    """What no report was read from is something, as a mail and as a file."""
    names = ("a.eml", "a.json.gz", "a!b.example!1773446400!1773532799.zip", "a.msg", "a.tar", "")
    name = names[(data[0] if data else 0) % len(names)]
    kinds = {recognition.notification(data[1:]), recognition.of_mail(data[1:]), recognition.of_file(data[1:], name)}
    assert kinds - {None} <= set(recognition.SourceKind)
    assert file_formats.format_of(data[1:], name).explanation


def _before(prefixes: str, inputs: Sequence[bytes]) -> list[bytes]:
    return [prefixes[number % len(prefixes)].encode("latin-1") + data for number, data in enumerate(inputs)]


def _all() -> dict[str, Target]:
    mails, files = [*seeds.named(".eml"), *seeds.mail_forms()], [*seeds.named(".json", ".gz"), *seeds.document_forms()]
    wraps = trace.for_mail(trace.Client("b", "::1", "ESMTPS"), sender="a", hostname="c", recipient="d", now=NOW)
    mail_words, json_words = seeds.encoded(seeds.MAIL_WORDS), seeds.encoded(seeds.JSON_WORDS)
    archives = [file for file in seeds.mailboxes() if file.startswith(b"PK")]
    traces = [wraps + mails[0], b"sender@a\nhelo\nrcpt\n" + mails[1], wraps, b"application/json\na.json\n::1\n{}"]
    upload_seeds = [b"application/tlsrpt+json\ta.json\n" + body for body in _before(" gGzZa", seeds.named(".json"))]
    usual_seeds = [*_before("m", mails), *_before("j", _before(" g", seeds.named(".json")))]
    trace_words = [
        b"(StartTally) with HTTP;\r\n\t",
        b"Return-Path: <",
        b"Sun, 31 Feb 2026 25:61:61 +9999",
        wraps,
        *mail_words,
    ]
    signed = _before("\0\1\2\3\4\5", [*seeds.signed_mails(), *mails])
    return {
        "mail": Target(mail, mails, mail_words + json_words),
        "report": Target(report, _before(" gGzZa", [*seeds.named(".json"), *seeds.document_forms()]), json_words),
        "usual": Target(usual, usual_seeds, seeds.MAIL_WORDS + json_words),
        "inflate": Target(unpacked, [*files, *archives], seeds.PACKED_WORDS),
        "dkim": Target(dkim, signed, seeds.encoded(seeds.DKIM_WORDS)),
        "policy": Target(policy_file, seeds.policy_files(), seeds.encoded(seeds.POLICY_WORDS)),
        "records": Target(records, seeds.records(), seeds.encoded(seeds.RECORD_WORDS)),
        "trace": Target(traced, traces, trace_words),
        "upload": Target(upload, upload_seeds, mail_words + json_words),
        "data": Target(
            data_stream, [b"\0\1\0\2" + seed for seed in seeds.dialogues()], seeds.encoded(seeds.SMTP_WORDS)
        ),
        "dialogue": Target(
            dialogue.converse, [b"\0\5" + seed for seed in seeds.dialogues()], seeds.encoded(seeds.SMTP_WORDS)
        ),
        "mailbox": Target(mailbox_file, _before("\0\1\2\3\4\5\6\7", [*seeds.mailboxes(), *mails, *files]), mail_words),
        "recognition": Target(
            recognised, _before("\0\1\2\3\4\5", [*seeds.mailboxes(), *mails, *files]), mail_words + json_words
        ),
    }


TARGETS = _all()
