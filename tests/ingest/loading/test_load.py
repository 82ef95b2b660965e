"""``starttally load`` as its users run it: what is read, what is passed over, what is kept, what is told."""

import base64
import bz2
import gzip
import io
import json
import lzma
import mailbox
import os
import pty
import subprocess
import sys
import tarfile
import zipfile
import zlib
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import programs
from tests.goldens import HUMAN, entry, mail, multipart, packed, part, report, tarred, text, usual
from tests.support import FIELD

_REPORTS = iter(range(10**6))


def new_report() -> bytes:
    """A report like no other."""
    return text(report(entry(1), report_id=f"report-{next(_REPORTS)}"))


def damaged_report() -> bytes:
    return new_report()[:-40]


class Outcome(NamedTuple):
    stored: int
    duplicate: int
    ignored: int
    quarantined: int
    code: int
    told: str


class Loader:
    """A folder with files to load, and a database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder.parent / "load.db"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")} | {
            "STARTTALLY_DATABASE_URL": f"sqlite:///{self.database}",
            "STARTTALLY_NAMESERVERS": "127.0.0.1:1",
        }

    def put(self, **files: bytes) -> None:
        for name, data in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        done = programs.run(*arguments, cwd=self.folder, env=self.environment)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def __call__(self, *paths: str) -> Outcome:
        done = self.run("load", *paths)
        names, figures = zip(*(word.split("=") for word in done.stdout.split()), strict=True)
        assert names == ("stored", "duplicate", "ignored", "quarantined"), done.stdout
        assert "Traceback" not in done.stderr
        return Outcome(*map(int, figures), done.returncode, done.stderr)


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    folder = tmp_path / "files"
    folder.mkdir()
    return Loader(folder)


# --- private mail


def letter(subject: str = "dinner", *attachments: tuple[str, str, bytes], body: str = "See you at eight.\n") -> bytes:
    """An ordinary mail; an attachment is its type, its name and its content."""
    message = EmailMessage()
    message["From"], message["To"] = "friend@private.example", "me@receiver.example"
    message["Date"], message["Subject"] = "Sat, 14 Mar 2026 18:00:00 +0000", subject
    message.set_content(body)
    for content_type, name, data in attachments:
        main, _, sub = content_type.partition("/")
        message.add_attachment(data, maintype=main, subtype=sub, filename=name)
    return message.as_bytes()


PHOTO = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + zlib.compress(b"a photo")
OTHER_JSON = json.dumps({"name": "a-package", "version": "1.0.0", "dependencies": {"left-pad": "*"}}).encode()
SIGNED_IN_BASE64 = "eyJhbGciOiJIUzI1NiJ9." + base64.b64encode(b'{"sub": "friend", "admin": true}' * 4).decode()
LETTERS = {
    "plain": letter(),
    "photo": letter("photo", ("image/jpeg", "photo.jpg", PHOTO)),
    "JSON of another kind": letter("package", ("application/json", "package.json", OTHER_JSON)),
    "gzip": letter("log", ("application/gzip", "syslog.gz", gzip.compress(b"Mar 14 10:00:00 host cron\n" * 50))),
    "gzipped JSON": letter("data", ("application/gzip", "data.json.gz", gzip.compress(OTHER_JSON))),
    "damaged back-up": letter("back-up", ("application/gzip", "back-up.sql.gz", b"\x1f\x8b\x08\0garbage")),
    "zip": letter("photos", ("application/zip", "photos.zip", b"")) + b"",
    "tar": letter("sources", ("application/gzip", "src.tar.gz", gzip.compress(tarred(**{"main.c": b"int main;"})))),
    "xz": letter("dump", ("application/x-xz", "dump.xz", lzma.compress(b"INSERT INTO x\n"))),
    "PDF": letter("invoice", ("application/pdf", "invoice.pdf", b"%PDF-1.7\n...")),
    "winmail.dat": letter("meeting", ("application/ms-tnef", "winmail.dat", b"\x78\x9f\x3e\x22\0\0agenda")),
    "Outlook message": letter("fwd", ("application/vnd.ms-outlook", "a.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 600)),
    "token in the text": letter("your token", body=SIGNED_IN_BASE64 + "\n"),
    "text about reports": letter("Re: TLS reports", body='Do you get "application/tlsrpt" mails? Mine lack "policies".\n'),
    "answer to a report": letter("Re: Report Domain: receiver.example", body="Thank you for the report.\n"),
    "forwarded letter": letter("fwd", ("application/octet-stream", "letter.eml", letter())),
    "calendar": letter("invitation", ("text/calendar", "invite.ics", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")),
    "empty attachment": letter("oops", ("application/octet-stream", "report.json", b"")),
    "web page": letter("page", ("text/html", "page.html", b"<html><body>feedback</body></html>")),
    "signature": letter("signed", ("application/pkcs7-signature", "smime.p7s", b"\x30\x82\x01\x02\x06\x09*\x86H" + bytes(99))),
    "uuencoded": letter("old times", body="begin 644 photo.gif\n$1TE&.#\n`\nend\n"),
}  # fmt: skip


def as_mbox(*mails: bytes) -> bytes:
    return b"".join(b"From a@b Sat Mar 14 18:00:00 2026\n" + each.rstrip(b"\n") + b"\n\n" for each in mails)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["mbox", "Maildir", "folder", "zip", "tar"])
def test_private_mail_is_counted_and_never_kept(load: Loader, form: str) -> None:
    mails = [*LETTERS.values(), usual(json.loads(new_report()))]
    files = {f"{number}.eml": each for number, each in enumerate(mails)}
    if form == "Maildir":
        for each in mails:
            mailbox.Maildir(load.folder / "box").add(each)
    elif form == "folder":
        load.put(**{f"box/{name}": data for name, data in files.items()})
    else:
        load.put(
            box={"mbox": as_mbox, "zip": lambda *_: zipped(**files), "tar": lambda *_: tarred(**files)}[form](*mails)
        )
    outcome = load("box")
    assert outcome[:5] == (1, 0, len(LETTERS), 0, 0), outcome.told
    assert f"ignored: {len(LETTERS)} mails without a sign of a TLS report" in outcome.told
    assert load.run("quarantine", "list").stdout == ""


def test_an_mbox_of_400_letters_leaves_the_database_as_it_is(load: Loader) -> None:
    load("nothing")
    before = load.database.stat().st_size
    photos = [os.urandom(20_000) for _ in range(400)]
    load.put(
        mbox=as_mbox(*(letter(f"private {n}", ("image/jpeg", "p.jpg", PHOTO + data)) for n, data in enumerate(photos)))
    )
    outcome = load("mbox")
    assert outcome[:5] == (0, 0, 400, 0, 0)
    assert sum(path.stat().st_size for path in load.folder.parent.glob("load.db*")) - before < 100_000
    assert load.run("quarantine", "list").stdout == ""


def test_letters_too_large_to_be_read_are_private_too(load: Loader) -> None:
    load.environment["STARTTALLY_MAX_MESSAGE_BYTES"] = load.environment["STARTTALLY_MAX_REPORT_BYTES"] = "65536"
    film = letter("holidays", ("video/mp4", "film.mp4", bytes(4) + b"ftypisom" + bytes(90_000)))
    large_report = mail(multipart(HUMAN, part(os.urandom(90_000))))
    load.put(mbox=as_mbox(film, large_report))
    outcome = load("mbox")
    assert outcome[:5] == (0, 0, 1, 0, 1)
    assert "not read: mbox, message 2: is larger than 65536 bytes" in outcome.told


# --- what shows a sign of a report


SIGNS = {
    "headers only": b"From: a@sender.example\r\nTLS-Report-Domain: receiver.example\r\n\r\nlost\r\n",
    "subject only": letter("Report Domain: receiver.example Submitter: sender.example Report-ID: <1>"),
    "subject in an encoded word": letter("x").replace(b"Subject: x", b"Subject: =?utf-8?q?Fwd:_Report_Domain:_a?="),
    "report-type only": mail(multipart(HUMAN), domain="", submitter="").replace(b"Report Domain", b"x"),
    "content type": letter("x", ("application/tlsrpt+gzip", "", b"garbage")),
    "name": letter("x", ("application/octet-stream", "s.example!r.example!1773446400!1773532799.json.gz", b"?")),
    "damaged JSON": letter("x", ("application/json", "data", damaged_report())),
    "damaged gzip": letter("x", ("application/gzip", "r.json.gz", packed(new_report())[:60])),
    "damaged zip": letter("x", ("application/zip", "r.zip", zipped(**{"r.json": new_report()})[:150])),
    "near report": letter("x", ("application/json", "r", b'{"reportId": 1, "dateRange": {}, "list": []}')),
    "damaged, in tar.gz": letter("x", ("application/gzip", "r.tgz", gzip.compress(tarred(r=damaged_report())))),
    "base64 in the text": letter("x", body=base64.encodebytes(damaged_report()).decode()),
    "forwarded in a zip": letter("x", ("application/zip", "z", zipped(**{"a.eml": letter("Report Domain: a")}))),
    "in an Outlook message": letter("x", ("application/octet-stream", "a.msg", b"\xd0\xcf\x11\xe0" + packed(damaged_report()))),
    "uuencoded": letter("x", body="begin 644 s.example!r.example!1773446400!1773532799.json\n#>WT*\n`\nend\n"),
}  # fmt: skip


def test_what_may_be_a_report_is_never_passed_over(load: Loader) -> None:
    """A sign is enough to be kept, or, by programs that can read more, to be stored."""
    load.put(mbox=as_mbox(letter(), *SIGNS.values()))
    outcome = load("mbox")
    stored = {line.split()[3].strip(":") for line in outcome.told.splitlines() if line.startswith("quarantined: mbox")}
    unseen = [why for number, why in enumerate(SIGNS, start=2) if str(number) not in stored]
    assert (outcome.ignored, outcome.stored + outcome.quarantined) == (1, len(SIGNS)), unseen


# --- reports of other kinds


DMARC = b"""<?xml version="1.0" encoding="UTF-8" ?>
<feedback><report_metadata><org_name>sender.example</org_name><report_id>1</report_id></report_metadata>
<policy_published><domain>receiver.example</domain></policy_published></feedback>
"""
DMARC_NAME = "sender.example!receiver.example!1773446400!1773532799"


def notification(kind: str, returned: bytes, told: bool = True) -> bytes:
    """A multipart/report mail with what it returns; ``told=False`` leaves the report-type out."""
    part_type = kind if kind == "feedback-report" else {"delivery-status": kind}.get(kind, kind)
    parameter = f"report; report-type={kind}" if told else "report"
    status = f"Content-Type: message/{part_type}\r\n\r\nReporting-MTA: dns; mx.sender.example\r\n"
    original = "Content-Type: message/rfc822\r\n\r\n" + returned.decode()
    return mail(multipart(HUMAN, status, original, kind=parameter, boundary="outer"), domain="", submitter="").replace(
        b"Report Domain", b"Undelivered"
    )


def test_reports_of_other_kinds_are_recognised_and_ignored(load: Loader) -> None:
    attached = ("application/gzip", f"{DMARC_NAME}.xml.gz", packed(DMARC))
    returned = usual(json.loads(new_report()))
    others = [
        letter("Report Domain: receiver.example Submitter: sender.example", attached),
        letter("Report Domain: a", ("application/zip", f"{DMARC_NAME}.zip", zipped(**{f"{DMARC_NAME}.xml": DMARC}))),
        letter("dmarc", ("application/xml", "a.xml", b"\xef\xbb\xbf" + DMARC)),
        letter("dmarc, cut", (*attached[:2], packed(DMARC)[:40])),
        notification("delivery-status", returned),
        notification("delivery-status", returned, told=False),
        letter("failure notice", body="Hi. This is the qmail-send program at mx.sender.example.\n" + returned.decode("ascii")),
        notification("disposition-notification", letter()),
        notification("feedback-report", returned),
    ]  # fmt: skip
    load.put(**{
        "mbox": as_mbox(*others),
        f"dmarc/{DMARC_NAME}.xml": DMARC,
        f"dmarc/{DMARC_NAME}.xml.gz": packed(DMARC),
        "dmarc/all.zip": zipped(a=DMARC),
    })  # fmt: skip
    outcome = load("mbox", "dmarc")
    assert outcome[:5] == (0, 0, len(others) + 3, 0, 0), outcome.told
    assert outcome.told == (
        "ignored: 7 DMARC aggregate reports, 3 delivery status notifications (DSN), 1 read receipt (MDN), "
        "1 abuse or DMARC failure report (ARF)\n"
    )


def test_a_forwarded_report_is_a_report(load: Loader) -> None:
    forwarded = "Content-Type: message/rfc822\r\n\r\n" + usual(json.loads(new_report())).decode()
    load.put(**{"a.eml": mail(multipart(HUMAN, forwarded, kind="mixed", boundary="outer"))})
    assert load("a.eml")[:5] == (1, 0, 0, 0, 0)


# --- what is read


def emlx(message: bytes) -> bytes:
    return b"%-10d\n" % len(message) + message + b'<?xml version="1.0"?><plist><dict/></plist>\n'


def deep_name(data: bytes) -> bytes:
    """A tar archive whose member has a long name, in pax's way, beside a link and a device."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("null", tarfile.CHRTYPE), ("folder", tarfile.DIRTYPE)):
            header = tarfile.TarInfo(name)
            header.type, header.linkname = kind, "/etc/passwd"
            archive.addfile(header)
        header = tarfile.TarInfo("reports/" + "ö" * 120 + ".json")
        header.size = len(data)
        archive.addfile(header, io.BytesIO(data))
    return buffer.getvalue()


def test_files_and_archives_in_many_forms(load: Loader) -> None:
    message = usual(json.loads(new_report()))
    files = {
        "r.json.xz": lzma.compress(new_report()),
        "r.json.bz2": bz2.compress(new_report()) + bytes(512),
        "r.tar": tarred(a=new_report(), **{"sub/b.eml": usual(json.loads(new_report()))}),
        "pax.tar": deep_name(new_report()),
        "r.tar.gz": gzip.compress(tarred(a=new_report(), b=new_report())),
        "r.tgz": gzip.compress(tarred(**{"n" * 150: new_report()})),
        "r.tar.xz": lzma.compress(tarred(a=packed(new_report()))),
        "r.tar.bz2": bz2.compress(tarred(a=zipped(b=new_report()))),
        "archive.mbox.xz": lzma.compress(as_mbox(*(usual(json.loads(new_report())) for _ in range(3)))),
        "1.emlx": emlx(usual(json.loads(new_report()))),
        "bom.eml": b"\xef\xbb\xbf" + usual(json.loads(new_report())),
        "blank.eml": b"\r\n\r\n" + usual(json.loads(new_report())),
        "quoted.eml": b">From a@b Sat Mar 14 18:00:00 2026\r\n" + usual(json.loads(new_report())),
        "utf16.eml": usual(json.loads(new_report())).decode().encode("utf-16"),
        "utf16-no-bom.eml": usual(json.loads(new_report())).decode().encode("utf-16-le"),
        "utf16.json": new_report().decode().encode("utf-16"),
        "bom.mbox": b"\xef\xbb\xbf" + as_mbox(message, message),
        "zip.zip": zipped(**{"t.tar.gz": gzip.compress(tarred(a=new_report()))}),
    }
    load.put(**files)
    outcome = load(*files)
    assert outcome[:5] == (22, 1, 0, 0, 0), outcome.told
    assert outcome.told == ""


# --- what is named


FILES_WITH_ADVICE = {
    "report.msg": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + packed(b"{}"), "is an Outlook message (.msg): "),
    "report.doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "is an Office document: "),
    "archive.pst": (b"!BDN" + bytes(600), "is an Outlook data file (.pst or .ost): `mkdir mails && readpst"),
    "r.json.zst": (b"\x28\xb5\x2f\xfd" + bytes(60), "is a file compressed with Zstandard (zstd): `zstd -d FILE`"),
    "r.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(60), "is a 7z archive: `7z x FILE`"),
    "r.rar": (b"Rar!\x1a\x07\x01\0" + bytes(60), "is a RAR archive: `unar FILE`"),
    "winmail.dat": (b"\x78\x9f\x3e\x22" + bytes(60), "is a winmail.dat of Outlook (TNEF): `tnef"),
    "smime.p7m": (b"\x30\x82\x01\x02\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", "is an S/MIME envelope (.p7m): "),
    "photo.jpg": (PHOTO, "is a picture"),
    "r.docx": (zipped(**{"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<x/>"}), "is an Office document: "),
    "invoice.pdf": (b"%PDF-1.7", "is a PDF document: "),
    "page.html": (b"<!DOCTYPE html><html>", "is an HTML page"),
    "package.json": (OTHER_JSON, "is JSON without any member of a TLS report"),
    "notes.txt": (b"nothing of interest", "is a text without a TLS report in it"),
    "todo.txt": (b"milk: two\nbread: one\n", "is a text without a TLS report in it"),
    "noise.bin": (b"\x00\x01\x02\x03" * 50, "is none of what can be read here: reports are read as JSON"),
    "log.gz": (gzip.compress(b"Mar 14 cron\n"), "is a gzip file without a TLS report in it"),
    "empty.json": (b"", "is empty"),
    "empty": (b"", "is empty"),
    "cut.json.xz": (lzma.compress(OTHER_JSON)[:-20], "is damaged compressed data: it ends in the middle"),
    "cut.tar": (tarred(a=b"x" * 2000)[:1200], "is damaged compressed data: it ends in the middle"),
}


def test_a_named_file_that_cannot_be_read_is_named_with_what_to_do(load: Loader) -> None:
    load.put(**{name: data for name, (data, _) in FILES_WITH_ADVICE.items()})
    outcome = load(*FILES_WITH_ADVICE)
    assert outcome[:3] == (0, 0, 0)
    assert outcome[3:5] == (0, 1), outcome.told
    told = dict(line.removeprefix("not read: ").split(": ", 1) for line in outcome.told.splitlines())
    for name, (_, says) in FILES_WITH_ADVICE.items():
        assert told[name].startswith(says), (name, told[name])
    assert load.run("quarantine", "list").stdout == ""


def test_named_mails_without_a_report_are_named_too(load: Loader) -> None:
    load.put(**{"a.eml": letter(), "b.eml": letter(), "d.xml": DMARC})
    outcome = load("a.eml", "b.eml", "d.xml")
    assert outcome[:5] == (0, 0, 3, 0, 0)
    assert "ignored: a.eml: mail without a sign of a TLS report\n" in outcome.told
    assert "ignored: d.xml: DMARC aggregate report\n" in outcome.told


def test_in_a_folder_only_what_may_be_a_report_is_named(load: Loader) -> None:
    files = {name: data for name, (data, _) in FILES_WITH_ADVICE.items() if not name.startswith(("cut", "empty"))}
    del files["r.json.zst"]
    report_in_msg = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + packed(new_report())
    load.put(**{f"all/{name}": data for name, data in files.items()})
    load.put(**{"all/sub/__init__.py": b"", "all/sub/mail.msg": report_in_msg, "all/a.json": damaged_report()})
    load.put(**{f"all/{DMARC_NAME}.json.zst": b"\x28\xb5\x2f\xfd" + bytes(60)})
    outcome = load("all")
    assert outcome[:5] == (0, 0, len(files) + 1, 1, 1), outcome.told
    lines = outcome.told.splitlines()
    assert [line.split(": ")[1] for line in lines[:2]] == [f"all/{DMARC_NAME}.json.zst", "all/sub/mail.msg"]
    assert lines[2].startswith("quarantined: all/a.json: is no JSON")
    assert "ignored: all/archive.pst is an Outlook data file (.pst or .ost): `mkdir mails && readpst" in outcome.told
    assert "1 Outlook message (.msg)" in lines[-1]


def test_what_is_quarantined_is_named_with_its_place_and_reason(load: Loader) -> None:
    broken = [
        letter("Report Domain: receiver.example", ("application/json", "r.json", damaged_report())) for _ in range(25)
    ]
    load.put(mbox=as_mbox(*broken, broken[0]), zip=zipped(**{"a/\x1b[31m.json": damaged_report()}))
    outcome = load("zip", "mbox")
    assert (outcome.quarantined, outcome.code) == (26, 1)  # what came twice is kept once
    lines = outcome.told.splitlines()
    assert lines[0].startswith("quarantined: zip: a/\ufffd[31m.json: is no JSON: ")
    assert lines[1].startswith("quarantined: mbox, message 1: the part application/json (r.json) is no JSON: ")
    assert lines[20:] == ["and 6 more; see `starttally quarantine list`"]
    assert load.run("quarantine", "list").stdout.count("no-report") >= 26


def test_a_pipe_gets_no_progress_bar(load: Loader) -> None:
    load.put(**{f"{number}.json": new_report() for number in range(3)}, bad=damaged_report())
    outcome = load(".")
    assert not [character for character in outcome.told if character != "\n" and not character.isprintable()]
    assert "loading" not in outcome.told
    assert "%" not in outcome.told


def test_a_terminal_gets_one(load: Loader) -> None:
    load.put(**{"a.json": new_report()})
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "dashboard.commands.app", "load", "a.json"],
        env=load.environment | {"TERM": "xterm"},
        cwd=load.folder,
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    assert done.stdout == b"stored=1 duplicate=0 ignored=0 quarantined=0\n"
    assert b"loading" in os.read(ours, 10_000)
    os.close(ours)


def test_what_cannot_be_opened_at_all_is_a_mistake_of_usage(load: Loader) -> None:
    assert load("missing.json")[:5] == (0, 0, 0, 0, 2)
    load.put(**{"a.json": new_report()})
    assert load("missing.json", "a.json")[:5] == (1, 0, 0, 0, 1)


# --- bombs


def test_bombs_in_archives_end_early_and_hide_nothing(load: Loader) -> None:
    """10 GiB of zeros in a tar.xz, as nobody has them on a disk; a name without end; an archive in itself."""
    header = tarfile.TarInfo("zeros")
    header.size = 10 * 2**30
    zeros = header.tobuf(tarfile.GNU_FORMAT) + bytes(40 * 2**20)
    endless = tarfile.TarInfo("././@LongLink")
    endless.type, endless.size = tarfile.GNUTYPE_LONGNAME, 2**40
    load.put(**{
        "1.tar.xz": lzma.compress(zeros),
        "2.tar.gz": gzip.compress(endless.tobuf(tarfile.GNU_FORMAT) + bytes(2**20)),
        "3.tar": tarred(a=tarred(b=tarred(c=new_report()))),
        "4.xz": lzma.compress(lzma.compress(lzma.compress(lzma.compress(new_report())))),
        "5.json.bz2": bz2.compress(bytes(2**27)),
        "6.json": new_report(),
    })  # fmt: skip
    outcome = load(*(f"{number}" for number in os.listdir(load.folder)))  # noqa: PTH208
    assert (outcome.stored, outcome.quarantined, outcome.code) == (1, 0, 1)
    reasons = sorted(line.removeprefix("not read: ") for line in outcome.told.splitlines())
    assert reasons == [
        "1.tar.xz: holds a file of more than 536870912 bytes; what follows it was not read",
        "2.tar.gz: is a tar archive with a name longer than any",
        "3.tar: a: b: is an archive within an archive within an archive",
        "4.xz: is compressed more than 3 times over",
        "5.json.bz2: is larger than 33554432 bytes",
        "ignored: 1 file without a sign of a TLS report",
    ]


# --- the inputs from the field


@pytest.mark.skipif(not FIELD.is_dir(), reason="needs the inputs from the field beside the checkout")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("passed-over-silently/report.msg", (0, 0, 0, 0, 1)),
        ("private-mail-in-quarantine/inbox.mbox", (1, 0, 3, 0, 0)),
        ("tar-gz/file-tar_gz.tar.gz", (1, 0, 0, 0, 0)),
        ("eml-with-bom/bom-first.eml", (1, 0, 0, 0, 0)),
    ],
)
def test_inputs_from_the_field(load: Loader, name: str, expected: tuple[int, ...]) -> None:
    assert load(str(FIELD / name))[:5] == expected
