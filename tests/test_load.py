"""``starttally load`` as its users run it: what is read, what is passed over, what is kept, what is told."""

import base64
import gzip
import io
import json
import lzma
import mailbox
import os
import subprocess
import sys
import zipfile
import zlib
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.goldens import HUMAN, entry, mail, multipart, packed, part, report, tarred, text, usual
from tests.support import ROOT

FIELD = ROOT.parent / "shared" / "field" / "inputs"
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
        command = [sys.executable, "-m", "dashboard.cli", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False
        )

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
    return b"".join(b"From a@b Sat Mar 14 18:00:00 2026\n" + one.rstrip(b"\n") + b"\n\n" for one in mails)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["mbox", "Maildir", "folder", "zip", "tar"])
def test_private_mail_is_counted_and_never_kept(load: Loader, form: str) -> None:
    mails = [*LETTERS.values(), usual(json.loads(new_report()))]
    files = {f"{number}.eml": one for number, one in enumerate(mails)}
    if form == "Maildir":
        for one in mails:
            mailbox.Maildir(load.folder / "box").add(one)
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
