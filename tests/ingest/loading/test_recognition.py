"""What a mail or file is in which no report could be read: judged by names, labels and beginnings, within bounds."""

import bz2
import datetime as dt
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pytest

from ingest.authentication.dkim_keys import Keys
from ingest.loading import archives, file_formats, mailbox, outcomes, recognition, signs
from ingest.loading.recognition import SourceKind, notification, of_file, of_mail
from ingest.loading.signs import Sign
from ingest.settings import settings
from ingest.work.reader import Reader
from tests.goldens import HUMAN, INPUTS, mail, multipart, packed, part, tarred
from tests.ingest.loading.test_load import (
    DMARC,
    DMARC_NAME,
    FILES_WITH_ADVICE,
    LETTERS,
    PHOTO,
    SIGNS,
    damaged_report,
    letter,
    zipped,
)

NOW = dt.datetime(2026, 3, 15, tzinfo=dt.UTC)


@pytest.mark.parametrize("why", LETTERS)
def test_a_letter_is_a_letter(why: str) -> None:
    assert of_mail(LETTERS[why]) == SourceKind.MAIL


@pytest.mark.parametrize("why", SIGNS)
def test_a_sign_is_seen(why: str) -> None:
    assert of_mail(SIGNS[why]) == SourceKind.REPORT


@pytest.mark.parametrize("name", [name for name in INPUTS if name.endswith(".eml")])
def test_every_report_mail_shows_a_sign_and_is_no_notification(name: str) -> None:
    assert notification(INPUTS[name]) is None
    assert of_mail(INPUTS[name]) == SourceKind.REPORT


@pytest.mark.parametrize(
    "name", [name for name in INPUTS if not name.endswith(".eml") and not name.startswith("none-")]
)
@pytest.mark.parametrize(
    "pack", [bytes, lzma.compress, bz2.compress, lambda data: zipped(a=data), lambda data: tarred(a=data)]
)
def test_every_report_file_shows_a_sign(name: str, pack: Callable[[bytes], bytes]) -> None:
    assert of_file(pack(INPUTS[name]), "x") == SourceKind.REPORT


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("google.com!example.com!1773446400!1773532799!001.json.gz", Sign.HINT),
        ("sub/google.com!example.com!1773446400!1773532799", Sign.HINT),
        ("google.com!example.com!1773446400!1773532799.zip", Sign.HINT),
        ("google.com!example.com!1773446400!1773532799.xml.gz", Sign.DMARC),
        ("tlsrpt-2026-03-14.json", Sign.HINT),
        ("SMTP-TLS-report.json.gz", Sign.HINT),
        ("tlsrpt-talk.pdf", Sign.NONE),
        ("report.json", Sign.NONE),
        ("what!a!day.jpg", Sign.NONE),
        ("a!" * 5_000, Sign.NONE),
    ],
)
def test_names(name: str, sign: Sign) -> None:
    assert signs.in_name(name) == sign


@pytest.mark.parametrize(
    ("subject", "is_one"),
    [
        ("Report Domain: a Submitter: b Report-ID: <c>", True),
        ("[tls] Fwd: [ext] FW: report domain: a", True),
        ("Re: Report Domain: a", False),
        ("AW: Report Domain: a", False),
        ("Weekly report", False),
        ("[" * 2_000, False),
    ],
)
def test_subjects(subject: str, is_one: bool) -> None:
    assert signs.is_subject(subject) == is_one


@pytest.mark.parametrize(
    ("text", "sign", "why"),
    [
        (b'{"organization-name": "Goo', Sign.REPORT, "cut"),
        (b'{"Report Id": 1, "date_range": {}}', Sign.REPORT, "other spellings"),
        (b'{"report-id": 1, "name": 2}', Sign.NONE, "one member that others have, too"),
        (b'{"policies": []}', Sign.REPORT, "a list of policies"),
        (b'{"policies": {"DisableTelemetry": true}}', Sign.NONE, "Firefox's settings"),
        (b'"{\\"date-range\\": 1}"', Sign.REPORT, "JSON in a string"),
        ('{"date-range": 1}'.encode("utf-16"), Sign.REPORT, "UTF-16"),
        ('{"date-range": 1}'.encode("utf-32-be"), Sign.REPORT, "UTF-32 without a mark"),
        (b'see "date-range": 1', Sign.NONE, "a letter about a report"),
        (b'see {"date-range": 1, "policy-type": 2, "policy-domain": 3}', Sign.REPORT, "a report in a letter"),
        (DMARC, Sign.DMARC, "DMARC"),
        (b"<x:feedback xmlns:x='a'><x:report_metadata>", Sign.DMARC, "a namespace"),
        (b"<feedback>nice shop</feedback>", Sign.NONE, "other XML"),
        (b"", Sign.NONE, "nothing"),
    ],
)
def test_texts(text: bytes, sign: Sign, why: str) -> None:
    assert signs.in_text(text) == sign, why


def test_damaged_uuencode_is_read_up_to_the_damage() -> None:
    assert list(signs.encoded_in(b"begin 644 a\n\xff\xff\n")) == [("a", b"")]
    assert list(signs.encoded_in(b"begin 644 a\n#>WT*\n")) == [("a", b"{}\n")]


def test_cut_json_without_a_name_goes_by_its_file_name() -> None:
    assert of_file(b'{"organiz', "r.json") == SourceKind.REPORT
    assert of_file(packed(b'{"organization-name": 1}')[:20], "r.json.gz") == SourceKind.REPORT
    assert of_file(b'{"organiz', "sketch.psd") == SourceKind.FILE
    assert of_file(b'{"eyes": 2', "r.json") == SourceKind.FILE


@pytest.mark.parametrize(
    ("mangled", "kind"),
    [
        (b"X-Failed-Recipients: a@b.example\r\nTLS-Report-Domain: a\r\n\r\n", SourceKind.DELIVERY),
        (b"From: MAILER-DAEMON@a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n", SourceKind.DELIVERY),
        (b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n", None),
        (b'Content-Type: multipart/report; report-type="Delivery-Status"; boundary=b\r\n\r\n', SourceKind.DELIVERY),
        (b"Content-Type: multipart/report; report*" + b"9" * 5_000 + b"=delivery-status\r\n\r\n", None),
        (b"Content-Type: text/plain; report*" + b"9" * 5_000 + b"=delivery-status\r\n\r\n", None),
        (b"Content-Type: multipart/report; report-type=tlsrpt\r\n\r\nContent-Type: message/delivery-status\r\n", None),
        (b"X: " + b"x" * 300_000 + b"\r\nX-Failed-Recipients: a@b.example\r\n\r\n", None),
        (b"", None),
    ],
)  # fmt: skip
def test_notifications(mangled: bytes, kind: SourceKind | None) -> None:
    assert notification(mangled) == kind
    assert kind in (None, of_mail(mangled))


def test_what_is_written_on_it_does_not_make_a_dmarc_report_ours() -> None:
    attached = part(zipped(a=DMARC), "application/tlsrpt+gzip", f"{DMARC_NAME}.json.gz")
    assert of_mail(mail(multipart(HUMAN, attached))) == SourceKind.DMARC
    both = multipart(part(damaged_report()), part(packed(DMARC), "application/gzip", f"{DMARC_NAME}.xml.gz"))
    assert of_mail(mail(both)) == SourceKind.REPORT


@pytest.mark.parametrize(
    "mail",
    [
        b"X: " + b"x" * 300_000 + b"\r\nTLS-Report-Domain: a\r\n\r\n",
        b"Subject: a\r\n\r\n" + b"\n" * 400_001 + b"Content-Type: application/tlsrpt+gzip",
        b"Subject: a\r\n\r\n" + b"\n--b" * 1_001 + b'\nname="s.example!r.example!1773446400!1773532799.json"',
    ],
    ids=["header", "lines", "parts"],
)
def test_a_mail_beyond_all_bounds_is_searched_as_it_is(mail: bytes) -> None:
    assert of_mail(mail) == SourceKind.REPORT
    harmless = mail.replace(b"TLS-", b"X-").replace(b"/tlsrpt", b"/gzip").replace(b".json", b".xml")
    assert of_mail(harmless) in (SourceKind.MAIL, SourceKind.FILE)


def test_a_mail_nested_without_end_is_searched_as_it_is() -> None:
    nested = b"Content-Type: message/rfc822\n\n" * 5_000
    assert of_mail(nested + b"TLS-Report-Domain: a\n\n") == SourceKind.REPORT
    assert of_mail(nested) == SourceKind.MAIL


def test_a_mail_that_the_parser_gives_up_over_is_searched_as_it_is() -> None:
    """Python 3.11's parser raises ValueError over a number of 5,000 digits (found by these tests)."""
    absurd = b"Content-Type: multipart/mixed; a*" + b"9" * 5_000 + b"=b\r\n"
    assert of_mail(absurd + b"TLS-Report-Domain: a\r\n\r\n") == SourceKind.REPORT
    assert of_mail(absurd + b"\r\n") == SourceKind.MAIL


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: =?x-unknown?q?Report?=",
        b"Subject: =?utf-8?b?UmVwb3J0?= =?utf-8?b?!?=",
        b"Subject: " + b"=?utf-8?q?x?= " * 500,
        b"Content-Disposition: attachment; filename*=x-unknown''%ff",
        b"Content-Disposition: attachment; filename*0*=utf-8''%00; filename=" + b"a" * 3_000,
        b"Content-Disposition: attachment; filename*=idna''%ff.%ff",
        b"Content-Disposition: attachment; filename*=a\0''x",
    ],
)
def test_broken_headers_are_no_fault(header: bytes) -> None:
    assert of_mail(b"From: a@b.example\r\n" + header + b"\r\n\r\nx") == SourceKind.MAIL


def test_a_look_ends_when_its_budget_is_spent() -> None:
    flood = multipart(
        *[part(gzip.compress(b"x"), "application/gzip", "")] * 300, part(damaged_report(), "text/plain", "x")
    )
    assert (
        of_mail(mail(flood, domain="", submitter="").replace(b"Report Domain", b"x").replace(b"tlsrpt", b"y"))
        == SourceKind.MAIL
    )
    deep = damaged_report()
    for _ in range(8):
        deep = gzip.compress(deep)
    assert of_file(deep, "x.bin") == SourceKind.FILE


@pytest.mark.parametrize("cut", [20, 40, 100, 200])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_archives_tell_what_they_can(cut: int, method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(f"{DMARC_NAME}.json", damaged_report())
    assert of_file(buffer.getvalue()[:cut], "x.zip") == (SourceKind.REPORT if cut >= 100 else SourceKind.FILE)


def test_an_archive_with_members_that_cannot_be_opened_goes_by_their_names() -> None:
    whole = zipped(**{"photo.jpg": b"x", f"{DMARC_NAME}.json": b"y"})
    locked = whole.replace(b"PK\x03\x04\x14\0\0\0", b"PK\x03\x04\x14\0\1\0").replace(
        b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\1\0"
    )
    assert of_file(locked, "x.zip") == SourceKind.REPORT
    assert (
        of_file(
            zipped(**{"photo.jpg": b"x"}).replace(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\1\0"), "x"
        )
        == SourceKind.FILE
    )


def test_a_damaged_tar_is_looked_at_up_to_the_damage() -> None:
    whole = tarred(a=damaged_report(), b=b"x" * 600)
    assert of_file(whole[:1200], "x") == SourceKind.REPORT
    assert of_file(tarred(a=b"x" * 600)[:700], "x") == SourceKind.FILE
    assert of_file(whole[:1024] + b"garbage" * 100, "x") == SourceKind.REPORT


@pytest.mark.parametrize("name", FILES_WITH_ADVICE)
def test_formats_are_told_by_their_first_bytes(name: str) -> None:
    data, says = FILES_WITH_ADVICE[name]
    if not name.startswith(("cut", "empty")):
        assert file_formats.format_of(data, name).explanation.startswith(says.removesuffix(": "))


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (zipped(**{"META-INF/MANIFEST.MF": b""}), "is a program or book (zip)"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "is an XML text"),
        ("__substg1.0_".encode("utf-16-le").join([b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b""]), "is an Outlook message"),
        (b"RIFF\0\0\0\0WEBP", "is a picture"),
        (b"RIFF\0\0\0\0WAVE", "is a sound or a film"),
        (b"#!/bin/sh", "is a program"),
    ],
)
def test_formats(start: bytes, says: str) -> None:
    assert file_formats.format_of(start, "x").explanation.startswith(says)


# --- archives


def test_compressed_streams_one_after_the_other_and_padding() -> None:
    for pack in (lzma.compress, bz2.compress):
        data = pack(b"one ") + pack(b"two") + bytes(700)
        with archives.decompressed(io.BytesIO(data), data) as file:
            assert file.read() == b"one two"


def test_what_came_before_the_damage_is_read() -> None:
    data = bz2.compress(b"whole\n" * 200_000, compresslevel=1)
    with archives.decompressed(io.BytesIO(data[:-10]), data) as file:
        assert file.readline() == b"whole\n"
        with pytest.raises(archives.DAMAGED):
            file.read()
    assert archives.first_bytes(data[:-10], 6) == b"whole\n"
    assert archives.first_bytes(b"BZh91AY&SYgarbage", 6) == b""
    assert archives.first_bytes(b"\x1f\x8bgarbage", 6) == b""
    assert archives.first_of_zip(b"PK\x03\x04") == ("", b"", False)


def test_xz_with_a_dictionary_beyond_reason_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 * 2**20, "preset": 0}]
    data = lzma.compress(b"{}", filters=filters)
    with archives.decompressed(io.BytesIO(data), data) as file, pytest.raises(archives.DAMAGED, match=r"[Mm]emory"):
        file.read()


def members(data: bytes, *, seeks: bool = True) -> dict[str, bytes]:
    return {member.name: member.file.read() for member in archives.tar_members(io.BytesIO(data), seeks=seeks)}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("seeks", [True, False])
def test_tar_in_all_its_forms(form: int, seeks: bool) -> None:
    files = {"a": b"1" * 513, "b/" + "c" * 90: b"", "d" * 80 + "/" + "e" * 90: b"2" * 512, "last": b"3"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    assert members(buffer.getvalue(), seeks=seeks) == files


def header(**changes: object) -> bytes:
    info = tarfile.TarInfo("a")
    for name, value in changes.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (header() + b"x" * 512, "is a damaged tar archive"),
        (header(type=tarfile.GNUTYPE_SPARSE), "holes"),
        (header(size=-1), "holes, or no size"),
        (header(type=tarfile.GNUTYPE_LONGNAME, size=2**40), "a name longer than any"),
        (header(type=b"V", size=2**30), "holds a file of more than"),
    ],
)
def test_tar_archives_that_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(archives.ArchiveError, match=reason):
        members(data, seeks=False)


def test_a_tar_that_ends_early_says_so() -> None:
    with pytest.raises(EOFError):
        members(tarred(a=b"x" * 600)[:700])
    assert members(tarred(a=b"x")[:1024]) == {"a": b"x"}  # without the two blocks at its end


def test_deflated_data_damaged_at_once_is_nothing() -> None:
    assert archives.inflated(b"\xff\xff\xff", 10) == b""


def test_what_is_no_tar_is_none() -> None:
    assert not archives.is_tar(b"")
    assert not archives.is_tar(bytes(512))
    assert not archives.is_tar(INPUTS["google-usual.eml"])
    assert not archives.is_tar(header(size=-1))
    assert recognition.is_mail(letter())


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        (mailbox.Mail(LETTERS["photo"], "o", NOW, 0), "Ignored mail without"),
        (mailbox.Mail(LETTERS["photo"], "o", NOW, 0, named=True), "Ignored mail without"),
        (mailbox.Mail(SIGNS["name"], "o", NOW, 0), "Quarantined"),
        (mailbox.Mail(INPUTS["google-usual.eml"], "o", NOW, 0), "Decoded"),
        (mailbox.Mail(b"X-Failed-Recipients: a\n\n" + INPUTS["google-usual.eml"], "o", NOW, 0), "Ignored delivery"),
        (mailbox.Mail(b"milk: two\n", "o", NOW, 0), "Ignored file without"),
        (mailbox.Mail(b"milk: two\n", "o", NOW, 0, named=True), "Unread is a text"),
        (mailbox.ReportFile(INPUTS["google-empty-ip.json"], "r", "o", NOW, 0), "Decoded"),
        (mailbox.ReportFile(damaged_report(), "r", "o", NOW, 0), "Quarantined"),
        (mailbox.ReportFile(b"garbage", f"{DMARC_NAME}.txt", "o", NOW, 0), "Quarantined"),
        (mailbox.ReportFile(DMARC, "a.xml", "o", NOW, 0, named=True), "Ignored DMARC"),
        (mailbox.ReportFile(PHOTO, "p.jpg", "o", NOW, 0), "Ignored file without"),
        (mailbox.ReportFile(PHOTO, "p.jpg", "o", NOW, 0, named=True), "Unread is a picture"),
        (mailbox.ReportFile(b"!BDN", "a.pst", "o", NOW, 0), "Ignored Outlook data file"),
        (mailbox.ReportFile(b"!BDN", f"{DMARC_NAME}.json", "o", NOW, 0), "Unread is an Outlook data file"),
        (mailbox.ReportFile(b"\x28\xb5\x2f\xfd", "a.json.zst", "o", NOW, 0), "Unread is a file compressed with Zstandard"),
        (mailbox.ReportFile(b"\x28\xb5\x2f\xfd", "a.sql.zst", "o", NOW, 0), "Ignored file compressed with Zstandard"),
        (mailbox.Problem("o", "is broken", 0), "Unread is broken"),
        (mailbox.TooLarge("o", "is too large", 0, beginning=LETTERS["photo"]), "Ignored mail without"),
        (mailbox.TooLarge("o", "is too large", 0, beginning=SIGNS["name"]), "Unread is too large"),
        (mailbox.TooLarge("o", "is too large", 0, beginning=PHOTO, file_name="p.jpg"), "Ignored file"),
        (mailbox.TooLarge("o", "is too large", 0, beginning=PHOTO, file_name="p.jpg", named=True), "Unread is too"),
    ],
)  # fmt: skip
def test_what_becomes_of_what_load_comes_across(source: mailbox.MailboxEntry, becomes: str) -> None:
    reader = Reader(settings.load(), Keys())
    outcome = outcomes.of_problem(source) if isinstance(source, mailbox.Problem) else outcomes.of_source(source, reader)
    words = getattr(outcome, "singular", "") or getattr(outcome, "reason", "")
    assert f"{type(outcome).__name__} {words}".startswith(becomes)
