"""Forms that forwarders, gateways and people give to a report: read all the same, or named with what to do."""

import base64
import bz2
import gzip
import hashlib
import io
import lzma
import re
import tarfile
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rfc.packing import armour, inflate, kinds, streams, tar
from ingest.rfc.tlsrpt import message, signed
from ingest.rfc.tlsrpt.document import NotAReport, may_hold_report
from ingest.rfc.tlsrpt.report import read, read_reports
from tests import forms, goldens
from tests.forms import JSON, der, encoded_message, forward, lines, tarred, uuencoded, written
from tests.goldens import HUMAN, entry, mail, multipart, packed, part, report, text, usual, zipped
from tests.support import FIELD

LIMIT = 4 * 1024 * 1024


def reason(raw: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(NotAReport) as refusal:
        message.read_mail(raw, limit)
    return str(refusal.value)


# --- each form


@pytest.mark.parametrize("form", forms.MAILS)
def test_mails(form: str) -> None:
    report_mail = message.read_mail(forms.MAILS[form], LIMIT)
    ((read, _),) = report_mail.reports
    (policy,) = read.entries
    assert (policy.policy_domain, policy.successful_sessions, policy.failed_sessions) == ("receiver.example", 41, 6)
    assert report_mail.submitter in ("sender.example", "")
    assert report_mail.unread == ""


@pytest.mark.parametrize("form", forms.DOCUMENTS)
def test_documents(form: str) -> None:
    data = forms.DOCUMENTS[form]
    assert may_hold_report(data), "the HTTPS door would refuse it"
    ((read, document),) = read_reports(data, LIMIT)
    assert read.entries[0].successful_sessions == 41
    assert bool(document.name) == form.startswith("tar")
    attached = message.read_mail(mail(multipart(HUMAN, part(data, "application/octet-stream", "r"))), LIMIT)
    ((same, named),) = attached.reports
    assert (same, named) == (read, document)


@pytest.mark.parametrize("form", forms.UNOPENED)
def test_what_is_not_opened_is_named_with_what_to_do(form: str) -> None:
    data, content_type, advice = forms.UNOPENED[form]
    why = reason(mail(multipart(HUMAN, part(data, content_type, "attached"), kind="mixed")))
    kind = content_type.partition(";")[0]
    assert why.startswith(
        f"no report is attached; the mail has the parts text/plain, {kind}; the part {kind} (attached) is"
    )
    assert advice in why
    for packing in (bytes, packed, lambda plain: zipped(a=plain), lambda plain: tarred({"a": plain})):
        with pytest.raises(NotAReport, match=re.escape(advice)):
            read_reports(packing(data), LIMIT)
    assert advice in reason(mail(multipart(HUMAN, part(zipped(a=data), "application/zip", "a.zip"))))
    assert advice in reason(mail(multipart(HUMAN, part(data))))  # labelled as a report
    assert advice in reason(mail(multipart(HUMAN, written(lines(data + bytes(64)), content_type))))
    beside = message.read_mail(mail(multipart(part(packed(JSON)), part(data, content_type, "attached"))), LIMIT)
    assert (len(beside.reports), beside.unread) == (1, "")


FIELD_FORMS = (
    *("base64-declared-7bit", "encoded-word-domain", "eml-with-bom", "flat-policy", "forward-base64-rfc822"),
    *("forward-zip-of-eml", "multipart-no-boundary", "smime-opaque", "tar-gz"),
)


@pytest.mark.skipif(not FIELD.exists(), reason="needs the inputs from the field beside the checkout")
@pytest.mark.parametrize("name", FIELD_FORMS)
def test_inputs_from_the_field(name: str) -> None:
    for path in (path for path in FIELD.joinpath(name).iterdir() if path.name != "README"):
        reading = goldens.reading_of(path)
        domains = {policy["policy_domain"] for parsed in reading["reports"] for policy in parsed["entries"]}
        assert domains, path
        assert all(re.fullmatch(r"[a-z0-9-]+\.example", domain) for domain in domains), domains


@pytest.mark.skipif(not FIELD.exists(), reason="needs the inputs from the field beside the checkout")
@pytest.mark.parametrize(("name", "word"), [("winmail-dat", "TNEF"), ("passed-over-silently", ".msg, OLE2")])
def test_inputs_from_the_field_that_are_not_opened(name: str, word: str) -> None:
    (path,) = (path for path in FIELD.joinpath(name).iterdir() if path.name != "README")
    assert word in goldens.reading_of(path)["quarantine"]


# --- what a mail says about its reports


@pytest.mark.parametrize(
    ("header", "domain"),
    [
        ("=?utf-8?q?b=C3=BCcher=2Eexample?=", "xn--bcher-kva.example"),
        ("=?UTF-8?B?YsO8Y2hlci5leGFtcGxl?=", "xn--bcher-kva.example"),
        ("=?iso-8859-1?q?b=FCcher?=\r\n =?utf-8?q?=2Eexample?=", "xn--bcher-kva.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("=?utf-8?q?receiver?=.example", "receiver.example"),
        ("=?no-such-charset?q?receiver?=", "=?no-such-charset?q?receiver?="),
        ("=?utf-8?b?A?=", "=?utf-8?b?a?="),
        ("=?utf-8?q?two_words?=", ""),
        ("=?idna?q?=FF?=", "=?idna?q?=ff?="),
        ("=?utf-8?q?" + "a" * 5_000 + "?=", ""),
    ],
)
def test_names_in_headers(header: str, domain: str) -> None:
    nameless = multipart(HUMAN, part(packed(text(report(entry(1, policy_domain=...), report_id="x"))), name=""))
    report_mail = message.read_mail(mail(nameless, domain=header, submitter=header), LIMIT)
    assert report_mail.reports[0][0].entries[0].policy_domain == domain
    assert report_mail.submitter.isascii()
    assert report_mail.submitter in (domain, " ".join(header.split())[:2_000], "two words")


def test_a_file_name_with_encoded_words_names_the_domain() -> None:
    name = "filename*0*=utf-8''sender.example%21b%C3%BCcher.example%211773446400; filename*1*=%211773532799.json.gz"
    attached = part(packed(text(report(entry(1, policy_domain=...)))), name="").replace(
        "\r\n", f"\r\nContent-Disposition: attachment; {name}\r\n", 1
    )
    report_mail = message.read_mail(mail(multipart(attached), domain=""), LIMIT)
    assert report_mail.reports[0][0].entries[0].policy_domain == "xn--bcher-kva.example"


def _mail_about(domain: str, **changes: Any) -> bytes:
    nameless = part(packed(text(report(entry(1, policy_domain=...), **({"report_id": "x"} | changes)))), name="")
    return mail(multipart(nameless, boundary="b2"), domain=domain, submitter="")


def domains_of(raw: bytes) -> list[str]:
    return [read.entries[0].policy_domain for read, _ in message.read_mail(raw, LIMIT).reports]


@pytest.mark.parametrize("way", [lambda raw: written(raw, "message/rfc822", "8bit"), encoded_message])
def test_each_forwarded_message_speaks_for_its_own_report(way: Any) -> None:
    first, second, none = _mail_about("one.example"), _mail_about("two.example"), _mail_about("")
    assert domains_of(forward(way(first), way(second))) == ["one.example", "two.example"]
    assert domains_of(forward(way(first), way(none))) == [
        "one.example",
        "one.example" if way != encoded_message else "",
    ]
    around = mail(multipart(way(first), way(none), boundary="outer"), domain="outer.example")
    assert domains_of(around) == ["one.example", "outer.example"]


def test_an_attachment_that_was_moved_out_of_its_message() -> None:
    """The header of the message that it came in names the domain, unless there are several."""
    attachment = part(packed(text(report(entry(1, policy_domain=...), report_id="x"))), name="")
    empty = [
        written(mail(HUMAN, domain=domain).decode(), "message/rfc822", "8bit")
        for domain in ("one.example", "two.example")
    ]
    assert domains_of(forward(empty[0], attachment)) == ["one.example"]
    assert domains_of(forward(*empty, attachment)) == [""]


def test_the_name_of_a_file_in_an_archive_says_as_much_as_that_of_an_attachment() -> None:
    nameless = text(report(entry(1, policy_domain=...)))
    name = "sender.example!in-archive.example!1773446400!1773532799.json"
    assert domains_of(forward(part(tarred({f"folder/{name}": nameless}), "application/x-tar", "a.tar"))) == [
        "in-archive.example"
    ]


def test_a_preamble_hides_no_subject() -> None:
    assert message.subject(b"\xef\xbb\xbf\r\nSubject: Hello\r\nFrom: a@b.example\r\n\r\n") == "Hello"


# --- what is said when nothing is found


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (
            forward(written("<p>Hello", "text/html")),
            "no report is attached; the mail has the parts text/plain, text/html",
        ),
        (
            forward(encoded_message(mail(HUMAN))),
            "no report is attached; the mail has the parts text/plain, message/rfc822, text/plain",
        ),
        (
            forward(part(tarred({}), "application/x-tar", "a.tar")),
            "the part application/x-tar (a.tar) has nothing in it",
        ),
        (
            forward(part(tarred({"a": b"hello"}), "application/x-tar", "a.tar")),
            "the part application/x-tar (a.tar) is a tar archive whose file a is no JSON: Expecting value",
        ),
        (
            forward(part(tarred({"a.json": JSON})[:1_600], "application/x-tar", "a.tar")),
            "the part application/x-tar (a.tar) is a tar archive that cannot be read: it ends in the middle",
        ),
        (
            forward(part(zipped(a__eml=mail(HUMAN)), "application/zip", "a.zip")),
            "the part application/zip (a.zip) has no report in it",
        ),
        (
            forward(part(b"\x28\xb5\x2f\xfd" + bytes(60), "application/zstd", "a.json.zst")),
            "the part application/zstd (a.json.zst) is compressed with zstd, which this Python cannot open",
        ),
        (
            forward(encoded_message(b"From: a\r\nTo: b\r\nSubject: " + b"x" * 300_000 + b"\r\n\r\n")),
            "the part message/rfc822 was not read: the mail's header is larger than",
        ),
        (forward(part(b"\x30\x80" + forms.SIGNED_DATA, forms.PKCS7, "")), "is S/MIME that ends too early"),
    ],
)
def test_the_reason_is_true(raw: bytes, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_zstd", None)
    assert why in reason(raw)


def test_a_damaged_archive_beside_a_report_is_said() -> None:
    report_mail = message.read_mail(
        forward(part(packed(JSON)), part(zipped(a=JSON, b=JSON[:-9]), "application/zip", "a.zip")), LIMIT
    )
    assert len(report_mail.reports) == 2
    assert "the part application/zip (a.zip) is a zip archive whose file b is no JSON" in report_mail.unread


BROKEN = bytearray(zipped(a=b"{}" * 500, b=JSON))
BROKEN[45] ^= 0xFF


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (zipped(a=packed(JSON)[:-9], b=JSON), "whose file a ends in the middle of the compressed data"),
        (zipped(a=b"\x1f\x8bnonsense", b=JSON), "whose file a is damaged compressed data"),
        (zipped(a=packed(packed(packed(packed(b"{}")))), b=JSON), "whose file a is compressed more than 3 times over"),
        (zipped(a=packed(bytes(LIMIT + 1)), b=JSON), "whose file a inflates to more than"),
        (zipped(a=zipped(c=JSON)[:-9], b=JSON), "whose file a is a zip archive that cannot be read"),
        (bytes(BROKEN), "whose file a cannot be read"),
        (tarred({"a": lzma.compress(JSON)[:-9], "b": JSON}), "whose file a ends in the middle of the compressed data"),
    ],
)
def test_a_damaged_file_of_an_archive_does_not_cost_the_others(archive: bytes, why: str) -> None:
    report_mail = message.read_mail(forward(part(archive, "application/zip", "a.zip")), LIMIT)
    assert len(report_mail.reports) == 1
    assert why in report_mail.unread
    reading = read(archive, LIMIT)
    assert len(reading.reports) == 1
    assert why in str(reading.refusals[0])


def test_archives_within_archives_have_an_end() -> None:
    (content,) = inflate.documents(tarred({"a": tarred({"b": tarred({"c": tarred({"d": JSON})})})}), LIMIT)
    assert (content.name, content.failure) == ("c", "is a tar archive within too many others")


def test_bombs_in_an_archive_end_it() -> None:
    bombs = {f"n{number}": packed(bytes(LIMIT + 1)) for number in range(30)}
    with pytest.raises(inflate.InflateError, match="inflates to more than") as refusal:
        list(inflate.documents(zipped(**bombs, z=JSON), LIMIT))
    assert 2 * LIMIT < refusal.value.unpacked < 4 * LIMIT


# --- bounds


def nested(levels: int) -> bytes:
    inner = usual(goldens.GOOD)
    for _ in range(levels):
        inner = forward(encoded_message(inner))
    return inner


def test_mails_in_mails_have_an_end() -> None:
    assert len(message.read_mail(nested(message.MAX_DEPTH), LIMIT).reports) == 1
    assert "is a mail within more than 5 others" in reason(nested(message.MAX_DEPTH + 1))


def test_mails_within_share_the_limits_of_the_mail() -> None:
    inner = b"From: a\r\nTo: b\r\n\r\n" + b"\r\n--" * 400
    many = part(zipped(a=inner, b=inner, c=inner), "application/zip", "a.zip")
    assert "was not read: the mail has more than 1000 parts" in reason(forward(many))
    inner = b"From: a\r\nTo: b\r\n\r\n" + b"\n" * 150_000
    many = part(zipped(a=inner, b=inner, c=inner), "application/zip", "a.zip")
    assert "was not read: the mail has more than 400000 lines" in reason(forward(many))


def test_mails_within_are_parsed_up_to_so_many_bytes() -> None:
    inner = b"From: a\r\nTo: b\r\n\r\n" + b"x" * 900_000
    many = [part(zipped(a=inner), "application/zip", "a.zip")] * 3
    assert "the mails within are too large together" in reason(forward(*many), 1_000_000)


def test_so_many_things_are_looked_into() -> None:
    crowd = part(
        zipped(**{f"n{number}": b"hello" for number in range(99)}, r=text(report())), "application/zip", "a.zip"
    )
    report_mail = message.read_mail(forward(*[crowd] * 30), LIMIT)
    assert len(report_mail.reports) == 10
    assert "the mail has more than 1000 things in it" in report_mail.unread


@pytest.mark.parametrize("hostile", ["hopeless", "mails", "tars", "lines", "uu", "der", "bzip2"])
def test_hostile_mails_cost_a_second(hostile: str) -> None:
    """Threats 4 and 5, on a machine of any speed: twice the figure."""
    headers = tarred({})[:512] * 40_000
    raw = {
        "hopeless": forward(*[part(zipped(**{f"n{n}": b"{" for n in range(99)}), "application/zip", "a")] * 900),
        "mails": forward(*[part(zipped(**{f"n{n}": mail(HUMAN) for n in range(99)}), "application/zip", "a")] * 300),
        "tars": forward(*[part(packed(headers), "application/gzip", "a")] * 100),
        "lines": forward(written(("A" * 70 + "\r\n") * 100_000)),
        "uu": forward(written(("begin 644 a\r\n" + "!!!\r\n" * 200) * 900)),
        "der": forward(
            *[part(forms.signed(der(0x24, der(0x04, b"") * 40_000, indefinite=True)), forms.PKCS7, "a")] * 100
        ),
        "bzip2": forward(*[part(bz2.compress(bytes(32 * 1024 * 1024)), "application/x-bzip2", "a")] * 900),
    }[hostile]
    before = time.process_time()
    reason(raw, 32 * 1024 * 1024)
    assert time.process_time() - before < 2


# --- the openers


@given(st.dictionaries(st.text("abcö/.", min_size=1, max_size=150), st.binary(max_size=1_500), max_size=4))
def test_tar_archives_come_out(members: dict[str, bytes]) -> None:
    members = {name: data for name, data in members.items() if not name.endswith("/")}
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert dict(tar.members(tarred(members, kind))) == members


def _with(archive: bytes, where: slice, field: bytes) -> bytes:
    """The archive with another field in its first header, and the checksum that goes with it."""
    header = bytearray(archive[:512])
    header[where] = field.ljust(where.stop - where.start, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + archive[512:]


WHOLE = tarred({"a.json": JSON})[2 * 512 :]
SIZE = slice(124, 136)


def test_sizes_in_base_256() -> None:
    ((name, content),) = tar.members(_with(WHOLE, SIZE, b"\x80" + len(JSON).to_bytes(11, "big")))
    assert (name, content) == ("a.json", JSON)


def test_names_in_two_fields() -> None:
    ((name, _),) = tar.members(tarred({"p" * 90 + "/" + "n" * 90: JSON}))
    assert name == "p" * 90 + "/" + "n" * 90


def test_pax_headers_without_a_name() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        described = tarfile.TarInfo("a.json")
        described.size, described.pax_headers = len(JSON), {"comment": "none", "uname": "ö"}
        archive.addfile(described, io.BytesIO(JSON))
    assert list(tar.members(buffer.getvalue())) == [("a.json", JSON)]


def test_base64_with_other_characters_in_it() -> None:
    raw = forms.MAILS["message/rfc822 in base64"].replace(b"RnJvbT", b"R-n(J)v.bT\xc3\xbc")
    assert len(message.read_mail(raw, LIMIT).reports) == 1


def test_old_archives_have_no_magic() -> None:
    assert [name for name, _ in tar.members(_with(WHOLE, slice(257, 265), b""))] == ["a.json"]


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (_with(WHOLE, SIZE, b"-0000000001"), "ends in the middle of the file at byte 0"),
        (_with(WHOLE, SIZE, b"\xff" * 12), "ends in the middle of the file at byte 0"),
        (_with(WHOLE, SIZE, b"77777777777"), "ends in the middle of the file at byte 0"),
        (_with(WHOLE, SIZE, b"nonsense"), "ends in the middle of the file at byte 0"),
        (_with(WHOLE, SIZE, b"0"), "its header at byte 512 is damaged"),
        (tarred({})[:512] * 1_001, "more than 1000 entries"),
    ],
)
def test_damaged_tar_archives(archive: bytes, why: str) -> None:
    with pytest.raises(tar.TarError, match=why):
        list(tar.members(archive))


def test_a_tar_archive_of_too_many_files() -> None:
    with pytest.raises(inflate.InflateError, match="tar archive of more than 100 files"):
        list(inflate.documents(tarred({str(number): b"" for number in range(101)}), LIMIT))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            lines(lines(lines(lines(packed(JSON)).encode()).encode()).encode()).encode(),
            "encoded as text too many times",
        ),
        (bz2.compress(JSON)[:-20], "ends in the middle"),
        (lzma.compress(JSON)[:-20], "ends in the middle"),
        (bz2.compress(JSON)[:50] + bytes(50), "damaged compressed data"),
        (lzma.compress(JSON)[:50] + bytes(50), "damaged compressed data"),
        (bz2.compress(bytes(LIMIT)), "inflates to more than 262144 bytes"),
        (lzma.compress(bytes(LIMIT)), "inflates to more than 262144 bytes"),
        (lzma.compress(JSON, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28}]), "[Mm]emory"),
        (packed(bz2.compress(lzma.compress(packed(JSON)))), "compressed more than 3 times over"),
    ],
)
def test_what_cannot_be_opened(data: bytes, why: str) -> None:
    with pytest.raises(inflate.InflateError, match=why) as refusal:
        list(inflate.documents(data, LIMIT))
    assert refusal.value.unpacked <= LIMIT * 3


def test_bytes_after_a_slow_stream_are_noted() -> None:
    (content,) = inflate.documents(bz2.compress(JSON) + b"trailing", LIMIT)
    assert content.notes == ("8 bytes after the end of the compressed data were ignored",)


def test_zstd_is_opened_where_python_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.14's compression.zstd has the interface of bz2; here it stands in for it."""

    class Stored:
        """One zstd frame of raw blocks (RFC 8878 section 3.1.1.2) that are given as they are."""

        def __init__(self, options: dict[str, int]) -> None:
            assert options == {"window": 27}
            self.eof, self.needs_input, self.unused_data = False, True, b""

        def decompress(self, data: bytes, max_length: int) -> bytes:
            self.eof = True
            return data[4:][:max_length]

    module = SimpleNamespace(
        ZstdDecompressor=Stored, DecompressionParameter=SimpleNamespace(window_log_max="window"), ZstdError=ValueError
    )
    monkeypatch.setattr(streams, "_zstd", module)
    ((read, _),) = read_reports(kinds.ZSTD_MAGIC + JSON, LIMIT)
    assert read.entries[0].successful_sessions == 41


def test_libraries_of_newer_pythons() -> None:
    assert streams.library("bz2") is bz2
    assert streams.library("no_such_module") is None


PIECES = der(0x24, der(0x04, b"ab"), der(0x04, b"c"))


@pytest.mark.parametrize("octets", [der(0x04, b"abc"), PIECES, der(0x24, PIECES[2:], indefinite=True)])
@pytest.mark.parametrize("indefinite", [False, True])
def test_signed_content(octets: bytes, indefinite: bool) -> None:
    assert signed.content(forms.signed(octets, indefinite=indefinite)) == b"abc"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (forms.signed(der(0x04, b"abc"))[:40], "ends too early"),
        (forms.signed(der(0x04, b"abc"))[:-7], "ends too early"),
        (forms.signed(b"\x04\x85\0\0\0\0\1a"), "a length beyond 4 GiB"),
        (forms.signed(b"\x04\x80a\0\0"), "an indefinite length"),
        (forms.signed(b"\x05\0"), "no tag 0x24"),
        (forms.signed(b"").replace(b"\xa0\0", b"\x31\0"), "without the content it is about"),
        (forms.signed(der(0x24, der(0x04, b"") * 200)), "S/MIME in more than 1[0-9]{2} pieces"),
    ],
)
def test_signed_content_that_cannot_be_had(data: bytes, why: str) -> None:
    with pytest.raises(signed.SignedError, match=why):
        signed.content(data)


@pytest.mark.parametrize(
    ("data", "blocks"),
    [
        (b"A" * 80, []),
        (b"hello\n" + base64.b64encode(b"just some text, long enough for a line of base64"), []),
        (base64.b64encode(b'{"a": "' + b"x" * 40 + b'"}'), [b'{"a": "' + b"x" * 40 + b'"}']),
        (base64.b64encode(b'{"a": "' + b"x" * 40 + b'"}').rstrip(b"="), [b'{"a": "' + b"x" * 40 + b'"}']),
        (b"begin 644 a\n!!!\n", []),
        (b"begin 644 a\nM" + b"\xff" * 60 + b"\n", []),
        (b"begin 644 a\nM" + b"x" * 200 + b"\n", []),
        (uuencoded(JSON).encode().replace(b"\n`\nend\n", b""), [JSON]),
        (uuencoded(JSON).encode().replace(b"`\nend\n", b"\n-- \n"), [JSON]),
        ((GZ := lines(packed(JSON))).encode() + b"\n\n" + uuencoded(JSON).encode(), [packed(JSON), JSON]),
        (b"x " * 40_000 + b"\n" + GZ.encode(), []),
        (base64.b64encode(packed(JSON))[:101], [packed(JSON)[:75]]),
        (GZ.encode() + b"-\n" + (b"A" * 40 + b"\n") * 2_100 + GZ.encode(), [packed(JSON)]),  # not in so many tries
        (b"begin 644 a\n" + b"#>R(Q\n" * 400_001, [b'{"1' * 400_000]),
    ],
)
def test_text_encodings(data: bytes, blocks: list[bytes]) -> None:
    assert list(armour.blocks(data)) == blocks
    assert armour.begins(data) == bool(blocks)


@given(
    st.binary().map(lambda data: hashlib.shake_256(data).digest(60)),  # does not compress
    st.sampled_from([packed, lambda data: zipped(a=data), bz2.compress, lzma.compress]),
)
def test_what_is_encoded_comes_out(data: bytes, pack: Any) -> None:
    whole = pack(data)
    for encoded in (lines(whole), lines(whole, 64), uuencoded(whole), lines(lines(whole).encode())):
        plain = next(iter(armour.blocks(encoded.encode())))
        assert whole in (plain, next(iter(armour.blocks(plain)), b""))


@pytest.mark.parametrize(
    ("data", "is_mail"),
    [
        (b"From: a\r\nTo: b\r\n\r\n", True),
        (b"From a@b.example Sat Mar 14\nFrom: a\nTo: b\n\n", True),
        (b"\xef\xbb\xbf\r\nfrom: a\r\nto: b\r\n\r\n", True),
        (b"Content-Type: text/plain\r\n\r\n", True),
        (b"X-First: 1\r\nSubject : a\r\nDate: b\r\n\r\n", True),
        (b"From: a\r\nTo: b\r\n" + b"X: y\r\n" * 10_000, True),  # its end is not looked for
        (b"From: a\r\nTo: b\r\n", False),  # no end
        (b"From: a\r\nX: b\r\n\r\n", False),  # one field is a word and a colon
        (b"Dear all,\r\nFrom: a\r\nTo: b\r\n\r\n", False),
        (b'{"From": 1}\r\n\r\n', False),
        (b"\xff\xfeF\0r\0", False),
        (b"", False),
    ],
)
def test_what_is_a_mail(data: bytes, is_mail: bool) -> None:
    assert kinds.is_mail(data) is is_mail


def test_a_bare_document_that_is_a_mail_says_so() -> None:
    with pytest.raises(NotAReport, match="is a mail, and only report documents are looked for here"):
        read_reports(packed(usual(goldens.GOOD)), LIMIT)


def test_a_gzip_bomb_of_gzip_has_an_end() -> None:
    whole = JSON
    for _ in range(6):
        whole = gzip.compress(whole)
    assert may_hold_report(whole)


# --- flat policies


def _flat(**members: Any) -> dict[str, Any]:
    nested_entry = entry(50, 3, goldens.detail(sessions=3))
    flat = nested_entry["policy"] | nested_entry["summary"] | {"failure-details": nested_entry["failure-details"]}
    return flat | {name.replace("_", "-"): member for name, member in members.items()}


@pytest.mark.parametrize(
    "flat",
    [
        _flat(),
        _flat(vendor=1),
        _flat(policy={}, summary=None),
        entry(50, 3, goldens.detail(sessions=3))["policy"] | {"summary": entry(50, 3)["summary"]},
        {"policy": entry(1)["policy"]} | entry(50, 3)["summary"],
    ],
)
def test_flat_policies(flat: dict[str, Any]) -> None:
    ((read, _),) = read_reports(text(report(flat)), LIMIT)
    (policy,) = read.entries
    assert (policy.policy_type, policy.policy_domain) == ("sts", "receiver.example")
    assert (policy.successful_sessions, policy.failed_sessions) == (50, 3)
    assert policy.policy_strings == tuple(goldens.POLICY)
    assert policy.extra == ({"vendor": 1} if "vendor" in flat else {})
    noted = [defect.where for defect in read.defects if "its members stand in policies[0] itself" in defect.what]
    assert noted == [
        f"policies[0].{name}"
        for name in ("policy", "summary")
        if not isinstance(flat.get(name), dict) or not flat[name]
    ]


def test_an_entry_with_both_is_read_as_the_standard_has_it() -> None:
    ((read, _),) = read_reports(text(report(entry(7) | {"policy-domain": "other.example"})), LIMIT)
    assert read.entries[0].policy_domain == "receiver.example"
    assert read.entries[0].extra == {"policy-domain": "other.example"}
