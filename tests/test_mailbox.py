"""Sources of ``load``: told apart by content, read one message at a time, never touched."""

import datetime as dt
import gzip
import mailbox as standard_mailbox
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest import mailbox
from ingest.mailbox import Found, Mail, Problem, ReportFile, arrival_time, messages, total_bytes
from tests.goldens import INPUTS, packed, zipped

MAIL = INPUTS["google-usual.eml"]
JSON = INPUTS["google-empty-ip.json"]
LIMIT = 100_000


def read(*paths: Path, limit: int = LIMIT) -> list[Found]:
    return list(messages(paths, limit))


def mbox(*mails: bytes, end: bytes = b"\n") -> bytes:
    """mboxrd, written by hand."""
    quoted = [
        b"\n".join((b">" + line if line.lstrip(b">").startswith(b"From ") else line) for line in mail.split(b"\n"))
        for mail in mails
    ]
    return b"".join(
        b"From sender@sender.example Sat Mar 14 00:00:00 2026"
        + end
        + mail
        + (b"" if mail.endswith(b"\n") else end)
        + end
        for mail in quoted
    )


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("report.json", JSON, ReportFile),
        ("report.json.gz", packed(JSON), ReportFile),
        ("report", packed(JSON), ReportFile),
        ("one-line.json", b'{"organization-name":"x"}', ReportFile),
        ("mail.eml", MAIL, Mail),
        ("mail.txt", MAIL, Mail),
        ("mail.eml.gz", packed(MAIL), Mail),
        ("broken.json.gz", b"\x1f\x8bbroken", ReportFile),
        ("empty.json", b"", ReportFile),
    ],
)
def test_the_content_says_what_a_file_is(tmp_path: Path, name: str, data: bytes, kind: type) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    (found,) = read(path)
    assert isinstance(found, kind)
    assert not isinstance(found, Problem)
    assert found.origin == str(path)
    assert found.data == (MAIL if kind is Mail else data)
    assert found.bytes_done == total_bytes([path]) == len(data)


def test_a_report_keeps_its_file_name(tmp_path: Path) -> None:
    path = tmp_path / "sender.example!receiver.example!1!2.json.gz"
    path.write_bytes(packed(JSON))
    (found,) = read(path)
    assert isinstance(found, ReportFile)
    assert found.file_name == path.name


def test_an_archive_is_read_member_by_member(tmp_path: Path) -> None:
    inner = zipped(deep__json=JSON)
    (tmp_path / "all.zip").write_bytes(
        zipped(a__eml=MAIL, b__json=JSON, c__gz=packed(JSON), d__zip=inner, e__mbox=mbox(MAIL, MAIL))
    )
    found = read(tmp_path / "all.zip")
    assert [type(one).__name__ for one in found] == ["Mail", "ReportFile", "ReportFile", "ReportFile", "Mail", "Mail"]
    assert found[3].origin.endswith("all.zip: d.zip: deep.json")


def test_folders_are_read_in_order_without_hidden_files_and_loops(tmp_path: Path) -> None:
    for name in ("b/2.json", "a/1.json", ".hidden/3.json", "a/.4.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(JSON)
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert [Path(one.origin).name for one in read(tmp_path)] == ["1.json", "2.json"]


def test_a_maildir_is_read_and_stays_as_it_was(tmp_path: Path) -> None:
    box = standard_mailbox.Maildir(tmp_path / "Maildir")
    for folder, name in (("new", "1.new"), ("cur", "2.cur:2,S"), ("tmp", "3.unfinished")):
        (tmp_path / "Maildir" / folder / name).write_bytes(MAIL)
    sub = box.add_folder("Archive")
    sub.add(MAIL)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    found = read(tmp_path / "Maildir")
    assert [type(one) for one in found] == [Mail] * 3
    assert {"1.new", "2.cur:2,S"} < {Path(one.origin).name for one in found}
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("make", [lambda data: data, packed])
def test_an_mbox_is_read_message_by_message(tmp_path: Path, make: Callable[[bytes], bytes]) -> None:
    quoted = b"Subject: x\n\nFrom here on\n>From there\n"
    path = tmp_path / "archive.mbox"
    path.write_bytes(make(mbox(MAIL, quoted, b"Subject: y\n\nend")))
    found = read(path)
    assert [type(one) for one in found] == [Mail] * 3
    assert [one.data for one in found if isinstance(one, Mail)][1] == quoted
    assert found[2].origin == f"{path}, message 3"
    assert os.listdir(tmp_path) == ["archive.mbox"]  # noqa: PTH208  (no lock file)


def test_the_standard_librarys_mbox_is_read(tmp_path: Path) -> None:
    box = standard_mailbox.mbox(tmp_path / "box")
    for number in range(3):
        box.add(b"Subject: %d\n\nFrom x\n\nbody\n" % number)
    box.close()
    found = read(tmp_path / "box")
    assert [one.data.partition(b"\n")[0] for one in found if isinstance(one, Mail)] == [
        b"Subject: 0",
        b"Subject: 1",
        b"Subject: 2",
    ]


lines = st.sampled_from([b"Subject: x", b"", b"From a", b">From b", b"text", b">>From c"])


@given(st.lists(st.lists(lines, min_size=1, max_size=8), min_size=1, max_size=5))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_mbox_gives_back_what_was_put_in(tmp_path: Path, bodies: list[list[bytes]]) -> None:
    mails = [b"Subject: first\n\n" + b"\n".join(body) + b"\n" for body in bodies]
    path = tmp_path / "box"
    path.write_bytes(mbox(*mails))
    assert [one.data for one in read(path) if isinstance(one, Mail)] == mails


def test_one_too_large_is_a_problem_and_reading_goes_on(tmp_path: Path) -> None:
    large = b"Subject: large\n\n" + b"x\n" * LIMIT
    (tmp_path / "1.mbox").write_bytes(mbox(MAIL, large, MAIL))
    (tmp_path / "2.eml").write_bytes(large)
    (tmp_path / "3.zip").write_bytes(zipped(a__eml=large, b__eml=MAIL))
    found = read(tmp_path)
    assert [type(one).__name__ for one in found] == ["Mail", "Problem", "Mail", "Problem", "Problem", "Mail"]
    assert {one.reason for one in found if isinstance(one, Problem)} == {f"is larger than {LIMIT} bytes"}


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.json").write_bytes(JSON)
    (tmp_path / "secret.json").write_bytes(JSON)
    os.mkfifo(tmp_path / "pipe")
    plain_open = Path.open

    def guarded(self: Path, *arguments: object) -> object:
        if self.name == "secret.json":
            raise PermissionError(13, "Permission denied")
        return plain_open(self, *arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", guarded)
    found = read(tmp_path, tmp_path / "missing.json")
    problems = {Path(one.origin).name: one.reason for one in found if isinstance(one, Problem)}
    assert problems == {
        "pipe": "is no regular file",
        "secret.json": "cannot be read: Permission denied",
        "missing.json": "cannot be read: No such file or directory",
    }
    assert len(found) == 4


def test_damage_within_a_compressed_mbox_keeps_what_came_before(tmp_path: Path) -> None:
    whole = gzip.compress(mbox(*[MAIL] * 500), mtime=0)
    (tmp_path / "box.gz").write_bytes(whole[: len(whole) // 2])
    found = read(tmp_path / "box.gz")
    assert isinstance(found[0], Mail)
    assert isinstance(found[-1], Problem)
    assert "compressed data" in found[-1].reason


def test_broken_archives_are_problems(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(zipped(a=MAIL)[:-20])
    (found,) = read(tmp_path / "broken.zip")
    assert isinstance(found, Problem)
    assert "zip archive that cannot be read" in found.reason


@pytest.mark.parametrize(
    ("header", "moment"),
    [
        (
            b"Received: from a by b; Sat, 14 Mar 2026 10:00:00 +0200\r\nReceived: x; Fri, 13 Mar 2026 10:00:00 +0000",
            "2026-03-14T08:00:00",
        ),
        (b"Received: from a by b\r\n\twith ESMTP;\r\n\tSat, 14 Mar 2026 10:00:00 -0000 (PDT)", "2026-03-14T10:00:00"),
        (b"Received: nonsense\r\nDate: Sat, 14 Mar 2026 10:00:00 GMT", "2026-03-14T10:00:00"),
        (b"Received: x; Sat, 14 Mar 9999 10:00:00 +0000\r\nDate: 14 Mar 2026 10:00:00", "2026-03-14T10:00:00"),
        (b"Date: yesterday", None),
        (b"Date: Mon, 14 Mar 1960 00:00:00 +1400", None),
        (b"X-Nothing: here", None),
        (b"", None),
    ],
)
def test_when_a_mail_came(header: bytes, moment: str | None) -> None:
    expected = dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC) if moment else None
    assert arrival_time(header + b"\r\n\r\nDate: Mon, 1 Jan 2001 00:00:00 +0000\r\n") == expected


@given(st.binary(max_size=300))
def test_any_mail_has_an_arrival_or_none(mail: bytes) -> None:
    moment = arrival_time(b"Date: " + mail)
    assert moment is None or moment.tzinfo is dt.UTC


def test_memory_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "box").write_bytes(mbox(*[MAIL] * 200))
    reading = messages([tmp_path / "box"], LIMIT)
    first, second = next(reading), next(reading)
    assert first.bytes_done < second.bytes_done < total_bytes([tmp_path / "box"])
    assert mailbox.total_bytes([tmp_path / "nowhere"]) == 0
