"""Sources of ``load``: told apart by content, read one message at a time, never touched."""

import bz2
import datetime as dt
import gzip
import inspect
import io
import lzma
import mailbox as standard_mailbox
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.loading import folders, mailbox
from ingest.loading.mail_dates import arrival_time
from ingest.loading.mailbox import Mail, MailboxEntry, Problem, ReportFile, TooLarge, messages, total_bytes
from tests.goldens import INPUTS, packed, tarred, zipped

MAIL = INPUTS["google-usual.eml"]
JSON = INPUTS["google-empty-ip.json"]
LIMIT = 100_000


def read(*paths: Path, limit: int = LIMIT) -> list[MailboxEntry]:
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


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, name: str) -> None:
    """Let ``os.open`` or ``os.scandir`` fail for files of that name: tests may run as root, whom no mode bits stop."""
    real = getattr(os, call)

    def guarded(path: Path, *arguments: int) -> object:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr(os, call, guarded)


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
        ("report.eml", JSON, ReportFile),  # the content says so, whatever the name
        ("bom.json", b"\xef\xbb\xbf" + JSON, ReportFile),
        ("notes.txt", b"no report either", ReportFile),  # quarantine says so
    ],
)
def test_the_content_says_what_a_file_is(tmp_path: Path, name: str, data: bytes, kind: type) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    (source,) = read(path)
    assert isinstance(source, kind)
    assert not isinstance(source, Problem)
    assert source.origin == str(path)
    assert source.data == (MAIL if kind is Mail else data)
    assert source.bytes_done == total_bytes([path]) == len(data)


def test_where_the_content_says_nothing_the_name_does(tmp_path: Path) -> None:
    (tmp_path / "odd.eml").write_bytes(b"no header at all")
    assert [type(source) for source in read(tmp_path)] == [Mail]


@pytest.mark.parametrize(
    ("name", "data", "becomes"),
    [
        ("mail.eml.xz", lzma.compress(MAIL), [MAIL]),
        ("box.bz2", bz2.compress(mbox(MAIL, MAIL)), [MAIL, MAIL]),
        ("r.json.xz", lzma.compress(JSON), [JSON]),
        ("r.tar", tarred(a=JSON, b=MAIL, **{".hidden": JSON}), [JSON, MAIL]),
        ("r.tar.gz", packed(tarred(a=zipped(b=JSON), c=mbox(MAIL, MAIL))), [JSON, MAIL, MAIL]),
        ("1.emlx", b"%d   \n%b<plist>" % (len(MAIL), MAIL), [MAIL]),
        ("bom.eml", b"\xef\xbb\xbf\r\n" + MAIL, [MAIL]),
        ("quoted.eml", b">From a@b\n" + MAIL, [MAIL]),
        ("bom.mbox", b"\xef\xbb\xbf" + mbox(MAIL), [MAIL]),
        ("wide.eml", MAIL.decode().encode("utf-16"), [MAIL]),
        ("wide.txt", MAIL.decode().encode("utf-16-be"), [MAIL]),
        ("wide-mbox", mbox(MAIL, MAIL).decode().encode("utf-16-le"), [MAIL, MAIL]),
        ("talk.pptx", zipped(**{"[Content_Types]__xml": JSON}), [zipped(**{"[Content_Types]__xml": JSON})]),
        ("odd.zip", zipped(**{"[Content_Types]__xml": JSON}), [JSON]),
        ("__init__.py", b"", [b""]),
    ],
)
def test_what_people_make_of_their_mail_is_read(tmp_path: Path, name: str, data: bytes, becomes: list[bytes]) -> None:
    (tmp_path / name).write_bytes(data)
    sources = read(tmp_path)
    assert [source.data for source in sources if not isinstance(source, Problem)] == becomes
    assert not any(source.named for source in sources if not isinstance(source, Problem))


def test_what_the_user_named_is_told_from_what_is_in_it(tmp_path: Path) -> None:
    for name, data in {
        "1.json": JSON,
        "2.eml.xz": lzma.compress(MAIL),
        "3.mbox": mbox(MAIL),
        "4.tar": tarred(a=JSON),
    }.items():
        (tmp_path / name).write_bytes(data)
    named = read(*sorted(tmp_path.iterdir()))
    assert [source.named for source in named if not isinstance(source, Problem)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("cut.xz", lzma.compress(MAIL)[:-30], "is damaged compressed data: it ends in the middle"),
        (
            "deep.xz",
            lzma.compress(lzma.compress(lzma.compress(lzma.compress(JSON)))),
            "is compressed more than 3 times over",
        ),
        ("deep.tar", tarred(a=tarred(b=tarred(c=JSON))), "is an archive within an archive within an archive"),
        ("cut.tar", tarred(a=b"x" * 600)[:700], "is damaged compressed data: it ends in the middle"),
        ("bad.tar", tarred(a=b"x" * 600)[:1536] + b"x" * 512, "is a damaged tar archive"),
        ("cut.tar.gz", packed(tarred(a=os.urandom(70_000)))[:66_000], "is damaged compressed data"),
        ("large.eml", (MAIL + b"x" * LIMIT).decode().encode("utf-16"), f"is larger than {LIMIT} bytes"),
        ("large.tar", tarred(**{"a.zip": zipped(a=b"x").ljust(LIMIT + 1)}), f"is larger than {LIMIT} bytes"),
    ],
)
def test_what_cannot_be_opened_is_a_problem(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert [source.reason[: len(reason)] for source in read(tmp_path) if isinstance(source, Problem)] == [reason]


def test_a_report_keeps_its_file_name(tmp_path: Path) -> None:
    path = tmp_path / "sender.example!receiver.example!1!2.json.gz"
    path.write_bytes(packed(JSON))
    (source,) = read(path)
    assert isinstance(source, ReportFile)
    assert source.file_name == path.name


def test_an_archive_is_read_member_by_member(tmp_path: Path) -> None:
    inner = zipped(deep__json=JSON)
    (tmp_path / "all.zip").write_bytes(
        zipped(a__eml=MAIL, b__json=JSON, c__gz=packed(JSON), d__zip=inner, e__mbox=mbox(MAIL, MAIL))
    )
    sources = read(tmp_path / "all.zip")
    assert [type(source).__name__ for source in sources] == [
        "Mail",
        "ReportFile",
        "ReportFile",
        "ReportFile",
        "Mail",
        "Mail",
    ]
    assert sources[3].origin.endswith("all.zip: d.zip: deep.json")
    done = [source.bytes_done for source in sources]
    assert done == sorted(done)
    assert done[-1] <= total_bytes([tmp_path])


def test_archive_members_are_read_like_files(tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_bytes(
        zipped(
            a__eml__gz=packed(MAIL),
            b__mbox__gz=packed(mbox(MAIL, MAIL)),
            c__json__gz=packed(JSON),
            d__json=b"",
            _x__json=JSON,
        ).replace(b"_x.json", b"._xjson")
    )
    sources = read(tmp_path / "all.zip")
    assert [type(source).__name__ for source in sources] == ["Mail", "Mail", "Mail", "ReportFile", "Problem"]
    assert isinstance(sources[3], ReportFile)
    assert sources[3].file_name == "c.json.gz"


def test_an_mbox_in_an_archive_may_be_larger_than_a_message(tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_bytes(zipped(box=mbox(*[MAIL] * 200)))
    assert len(read(tmp_path / "all.zip", limit=10_000)) == 200


def test_files_under_a_password_do_not_hide_the_others(tmp_path: Path) -> None:
    whole = bytearray(zipped(a__json=JSON, b__json=JSON, c__eml=MAIL))
    for place in (whole.index(b"PK\x01\x02"), whole.index(b"PK\x01\x02", whole.index(b"PK\x01\x02") + 1)):
        whole[place + 8] |= 1
    (tmp_path / "all.zip").write_bytes(whole)
    locked, open_one = read(tmp_path / "all.zip")
    assert isinstance(locked, Problem)
    assert locked.reason.startswith("is a zip archive with a password on 2 of its files: unpack it")
    assert open_one.origin.endswith("all.zip: c.eml")


def test_one_damaged_member_does_not_hide_the_others(tmp_path: Path) -> None:
    whole = zipped(a__eml=MAIL, b__eml=MAIL + b"more", c__eml=MAIL)
    (tmp_path / "all.zip").write_bytes(whole.replace(struct.pack("<L", zlib.crc32(MAIL + b"more")), b"\0\0\0\0"))
    sources = read(tmp_path / "all.zip")
    assert [type(source).__name__ for source in sources] == ["Mail", "Problem", "Mail"]
    assert isinstance(sources[1], Problem)
    assert sources[1].reason.startswith("is damaged compressed data: Bad CRC-32")


def other_method() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.json", JSON)
    return buffer.getvalue()


def overlapping() -> bytes:
    """Two names for the same bytes: the second member's place is set to the first one's."""
    whole = zipped(a=b"x" * 10, b=b"y" * 2000)
    second = whole.rindex(b"PK\x01\x02")
    claims = struct.pack("<LL", 5_000, 5_000)
    return whole[: second + 20] + claims + whole[second + 28 :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped(a=MAIL)[:-20], "is a zip archive that cannot be read"),
        (zipped(a__zip=zipped(b__zip=zipped(c=JSON))), "is an archive within an archive within an archive"),
        (zipped(a__zip=zipped(b=b"").ljust(LIMIT + 1)), f"is larger than {LIMIT} bytes"),
        (zipped(ä=JSON).replace("ä".encode(), b"\xc3("), "cannot be read: 'utf-8' codec"),
        (other_method(), "it uses method 12"),
        (overlapping(), "is a zip archive whose files overlap"),
    ],
    ids=["cut", "deep", "large inner", "name", "method", "overlap"],
)
def test_archives_that_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "all.zip").write_bytes(data)
    (source,) = read(tmp_path / "all.zip")
    assert isinstance(source, Problem)
    assert reason in source.reason


def test_names_are_shown_without_what_acts_on_a_terminal_or_fails_to_print(tmp_path: Path) -> None:
    name = os.fsdecode(b"\x1b[31m\xff.json")
    (tmp_path / name).write_bytes(JSON)
    (tmp_path / "a.zip").write_bytes(zipped(**{"in\x07side__json": JSON}))
    file, zip_member = read(tmp_path)
    assert isinstance(file, ReportFile)
    assert file.file_name == "\ufffd[31m\ufffd.json"
    assert file.origin.endswith(file.file_name)
    assert zip_member.origin.endswith("a.zip: in\ufffdside.json")


def test_folders_are_read_in_order_without_hidden_files_and_loops(tmp_path: Path) -> None:
    for name in ("b/2.json", "a/1.json", ".hidden/3.json", "a/.4.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(JSON)
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert [Path(source.origin).name for source in read(tmp_path)] == ["1.json", "2.json"]


def test_a_linked_folder_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.json").write_bytes(JSON)
    (tmp_path / "box").mkdir()
    for name in ("a", "b"):
        (tmp_path / "box" / name).symlink_to(tmp_path / "elsewhere")
    assert [source.origin for source in read(tmp_path / "box")] == [str(tmp_path / "box" / "a" / "1.json")]


def test_a_folder_of_more_names_than_are_kept_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_NAMES_AT_ONCE", 3)
    for number in range(9):
        (tmp_path / f"{number}.json").write_bytes(JSON)
    assert [Path(source.origin).name for source in read(tmp_path)] == [f"{number}.json" for number in range(9)]


def test_folders_may_lie_deeper_than_python_calls_nest(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    (deep / "1.json").write_bytes(JSON)
    nested = len(inspect.stack(0))
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(nested + 100)
    try:
        sources = read(tmp_path)
    finally:
        sys.setrecursionlimit(before)
    assert [type(source) for source in sources] == [ReportFile]


def test_what_a_mail_program_keeps_beside_a_maildir_is_left_out(tmp_path: Path) -> None:
    for name in ("new", "cur", "tmp", "locks", "Sub/new", "Sub/cur", ".cache"):
        (tmp_path / name).mkdir(parents=True)
    for name, data in {
        "dovecot-uidlist": b"3 V1 N2\n",
        "maildirfolder": b"",
        "report.json": JSON,
        "mail.eml": MAIL,
        "locks/0123": b"",
        "new/.nfs01": MAIL,
        "Sub/cur/1": MAIL,
        ".cache/2": MAIL,
    }.items():
        (tmp_path / name).write_bytes(data)
    assert [source.origin.removeprefix(f"{tmp_path}/") for source in read(tmp_path)] == [
        "Sub/cur/1",
        "mail.eml",
        "report.json",
    ]


def test_what_lies_in_a_maildir_is_mail_whatever_it_looks_like(tmp_path: Path) -> None:
    for name in ("new", "cur"):
        (tmp_path / name).mkdir()
    box = b"From x Sat Mar 14 00:00:00 2026\n" + MAIL
    (tmp_path / "cur" / "1").write_bytes(box)
    (tmp_path / "cur" / "2:2,S").write_bytes(packed(MAIL))  # Dovecot's zlib plugin
    assert [source.data for source in read(tmp_path) if isinstance(source, Mail)] == [box, MAIL]


def test_a_message_that_moves_from_new_to_cur_meanwhile_is_read_there(tmp_path: Path) -> None:
    for name in ("new", "cur"):
        (tmp_path / name).mkdir()
    for name in ("1", "2"):
        (tmp_path / "new" / name).write_bytes(MAIL)
    reading = messages([tmp_path], LIMIT)
    first = next(reading)
    (tmp_path / "new" / "2").rename(tmp_path / "cur" / "2:2,")
    assert [Path(source.origin).name for source in (first, *reading)] == ["1", "2:2,"]


def test_a_message_that_moves_just_before_it_is_opened_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("new", "cur"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1").write_bytes(MAIL)
    real = os.open

    def moving(path: Path, flags: int) -> int:
        if path.parent.name == "new":
            path.unlink()
        return real(path, flags)

    monkeypatch.setattr(os, "open", moving)
    (source,) = read(tmp_path)
    assert Path(source.origin).parent.name == "cur"


def test_a_pipe_in_place_of_a_file_does_not_hold_the_reader_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with folders.open_quietly(tmp_path / "pipe") as file:
        assert file.read() == b""


def test_reading_leaves_the_time_of_access(tmp_path: Path) -> None:
    if not hasattr(os, "O_NOATIME"):
        pytest.skip("needs a system with O_NOATIME")
    path = tmp_path / "box"
    path.write_bytes(mbox(MAIL))
    os.utime(path, (1_000_000_000, 1_100_000_000))  # older than the change, so that even relatime would update it
    read(path)
    assert path.stat().st_atime == 1_000_000_000


@pytest.mark.parametrize(("seconds", "year"), [(2**40, 1990), (1_700_000_000, 2023)])
def test_a_files_time_is_a_time_whatever_it_says(tmp_path: Path, seconds: int, year: int) -> None:
    stream = mailbox._stream_of(folders.Source(tmp_path, modified=float(seconds)), io.BytesIO(), "x", 0)
    assert stream.modified.year == year


def test_a_maildir_is_read_and_stays_as_it_was(tmp_path: Path) -> None:
    box = standard_mailbox.Maildir(tmp_path / "Maildir")
    for folder, name in (("new", "1.new"), ("cur", "2.cur:2,S"), ("tmp", "3.unfinished")):
        (tmp_path / "Maildir" / folder / name).write_bytes(MAIL)
    sub = box.add_folder("Archive")
    sub.add(MAIL)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    sources = read(tmp_path / "Maildir")
    assert [type(source) for source in sources] == [Mail] * 3
    assert {"1.new", "2.cur:2,S"} < {Path(source.origin).name for source in sources}
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("make", [lambda data: data, packed])
def test_an_mbox_is_read_message_by_message(tmp_path: Path, make: Callable[[bytes], bytes]) -> None:
    quoted = b"Subject: x\n\nFrom here on\n>From there\n"
    path = tmp_path / "archive.mbox"
    path.write_bytes(make(mbox(MAIL, quoted, b"Subject: y\n\nend")))
    sources = read(path)
    assert [type(source) for source in sources] == [Mail] * 3
    assert [source.data for source in sources if isinstance(source, Mail)][1] == quoted
    assert sources[2].origin == f"{path}, message 3"
    assert os.listdir(tmp_path) == ["archive.mbox"]  # noqa: PTH208  (no lock file)


def test_the_standard_librarys_mbox_is_read(tmp_path: Path) -> None:
    box = standard_mailbox.mbox(tmp_path / "box")
    for number in range(3):
        box.add(b"Subject: %d\n\nFrom x\n\nbody\n" % number)
    box.close()
    sources = read(tmp_path / "box")
    assert [source.data.partition(b"\n")[0] for source in sources if isinstance(source, Mail)] == [
        b"Subject: 0",
        b"Subject: 1",
        b"Subject: 2",
    ]


@pytest.mark.parametrize(
    ("text", "bodies", "why"),
    [
        (b"From a@b Sat Mar 14 10:00:00 2026\nA: 1\n\nx\n\nFrom c Sat Mar 14 10:00:00 2026\nA: 2\n\ny\n", [b"x", b"y"], "usual"),
        (b"From - Sat, 14 Mar 2026 10:00:00\nA: 1\n\nx\n\nFrom \nA: 2\n\ny\n", [b"x", b"y"], "Thunderbird leaves the date out"),
        (b"From a Sat Mar 14 10:00:00 2026\nA: 1\n\nx\nFrom a Sat Mar 14 10:00:00 2026\nA: 2\n\ny", [b"x", b"y"], "files put one after the other without a blank line"),
        (b"From a\nA: 1\n\nx\n\nFrom here on, text\nand more\n", [b"x\n\nFrom here on, text\nand more"], "text of a program that does not quote"),
        (b"From a\nA: 1\n\nx\nFrom b\nNote: c\n", [b"x\nFrom b\nNote: c"], "within a paragraph"),
        (b"From a\nA: 1\n\nx\nFrom: b\n", [b"x\nFrom: b"], "a header field in the text"),
        (b"From a\nA: 1\n\n" + b"x" * 70_000 + b"From a Sat Mar 14 10:00:00 2026\n", [b"x" * 70_000 + b"From a Sat Mar 14 10:00:00 2026"], "within a long line"),
        (b"From a\nA: 1\n\n" + b"x" * 65_536 + b"From a Sat Mar 14 10:00:00 2026\n", [b"x" * 65_536 + b"From a Sat Mar 14 10:00:00 2026"], "within a long line, where a piece of it begins"),
        (b"From a\r\nA: 1\r\n\r\nx\r\n\r\nFrom b\r\nA: 2\r\n\r\ny\r\n\r\n", [b"x", b"y"], "CRLF"),
        (b"\n\nFrom a\nA: 1\n\nx\n", [b"x"], "blank lines first"),
    ],
)  # fmt: skip
def test_where_messages_begin(tmp_path: Path, text: bytes, bodies: list[bytes], why: str) -> None:
    (tmp_path / "box").write_bytes(text)
    mails = [source.data for source in read(tmp_path / "box") if isinstance(source, Mail)]
    assert [data.replace(b"\r\n", b"\n").partition(b"\n\n")[2].rstrip(b"\n") for data in mails] == bodies, why


def test_the_name_says_mbox_when_its_first_line_is_lost(tmp_path: Path) -> None:
    (tmp_path / "cut.mbox").write_bytes(mbox(MAIL, MAIL).partition(b"\n")[2])
    assert [source.data for source in read(tmp_path / "cut.mbox") if isinstance(source, Mail)] == [MAIL, MAIL]


lines = st.sampled_from([b"Subject: x", b"", b"From a", b">From b", b"text", b">>From c"])


@given(st.lists(st.lists(lines, min_size=1, max_size=8), min_size=1, max_size=5))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_mbox_gives_back_what_was_put_in(tmp_path: Path, bodies: list[list[bytes]]) -> None:
    mails = [b"Subject: first\n\n" + b"\n".join(body) + b"\n" for body in bodies]
    path = tmp_path / "box"
    path.write_bytes(mbox(*mails))
    assert [source.data for source in read(path) if isinstance(source, Mail)] == mails


def test_one_too_large_is_a_problem_and_reading_goes_on(tmp_path: Path) -> None:
    large = b"Subject: large\n\n" + b"x\n" * LIMIT
    (tmp_path / "1.mbox").write_bytes(mbox(MAIL, large, MAIL))
    (tmp_path / "2.eml").write_bytes(large)
    (tmp_path / "3.zip").write_bytes(zipped(a__eml=large, b__eml=MAIL))
    sources = read(tmp_path)
    assert [type(source).__name__ for source in sources] == ["Mail", "TooLarge", "Mail", "TooLarge", "TooLarge", "Mail"]
    assert all(large.startswith(source.beginning) for source in sources if isinstance(source, TooLarge))
    assert {source.reason for source in sources if isinstance(source, Problem)} == {f"is larger than {LIMIT} bytes"}


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.json").write_bytes(JSON)
    (tmp_path / "secret.json").write_bytes(JSON)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "nowhere.json").symlink_to(tmp_path / "gone")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    refuse(monkeypatch, "open", "secret.json")
    sources = read(tmp_path, tmp_path / "missing.json")
    problems = {Path(source.origin).name: source.reason for source in sources if isinstance(source, Problem)}
    assert problems == {
        "pipe": "is no regular file",
        "secret.json": "cannot be read: Permission denied",
        "missing.json": "cannot be read: No such file or directory",
        "nowhere.json": "cannot be read: No such file or directory",
        "circle": "cannot be read: Too many levels of symbolic links",
        "empty.json": "is empty",
    }
    assert [Path(source.origin).name for source in sources if not isinstance(source, Problem)] == ["good.json"]


def test_a_folder_that_cannot_be_listed_is_named_and_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1/a.json", "2/b.json", "3/c.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(JSON)
    refuse(monkeypatch, "scandir", "2")
    sources = read(tmp_path)
    assert [(Path(source.origin).name, isinstance(source, Problem)) for source in sources] == [
        ("a.json", False),
        ("2", True),
        ("c.json", False),
    ]
    assert total_bytes([tmp_path]) == sources[-1].bytes_done == 2 * len(JSON)


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_limit_is_that_of_the_message_itself(tmp_path: Path, size: int, end: bytes) -> None:
    mail = b"A: 1" + end + end
    mail = mail + b"x" * (size - len(mail) - len(end)) + end
    (tmp_path / "box").write_bytes(b"From a" + end + mail + end + b"From b" + end + MAIL)
    (tmp_path / "mail.eml").write_bytes(mail)
    first, last, alone = read(tmp_path)
    assert isinstance(last, Mail)
    for source in (first, alone):
        assert source.data == mail if isinstance(source, Mail) else size > LIMIT


def test_damage_within_a_compressed_mbox_keeps_what_came_before(tmp_path: Path) -> None:
    whole = gzip.compress(mbox(*[MAIL] * 500), mtime=0)
    (tmp_path / "box.gz").write_bytes(whole[: len(whole) // 2])
    sources = read(tmp_path / "box.gz")
    assert isinstance(sources[0], Mail)
    assert isinstance(sources[-1], Problem)
    assert "compressed data" in sources[-1].reason


def test_broken_archives_are_problems(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(zipped(a=MAIL)[:-20])
    (source,) = read(tmp_path / "broken.zip")
    assert isinstance(source, Problem)
    assert "zip archive that cannot be read" in source.reason


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
        (
            b"received : x;\r\n Sat, 14 Mar 2026\r\n 10:00:00 +0000\r\nDate: Mon, 1 Jan 2001 00:00:00 +0000",
            "2026-03-14T10:00:00",
        ),
        (
            b"X-Received: by x; Sat, 14 Mar 2020 10:00:00 +0000\nDate: Sat, 14 Mar 2026 10:00:00 GMT",
            "2026-03-14T10:00:00",
        ),
        (b"Received: from a (b; c) by d; Sat, 14 Mar 2026 10:00:00 GMT", "2026-03-14T10:00:00"),
        (b"Subject: x\r\n Date: Sat, 14 Mar 2026 10:00:00 GMT", None),
        (b"Received: x; Sat, 14 Mar 2026 10:00:00 +9999", None),
        (b"Received: x; Sat, 14 Mar " + b"9" * 5_000 + b" 10:00:00 +0000", None),
        (b"X: " + b"x" * 70_000 + b"\r\nDate: Sat, 14 Mar 2026 10:00:00 GMT", None),  # beyond what is looked at
        (b"Date: yesterday", None),
        (b"Date: Mon, 14 Mar 1960 00:00:00 +1400", None),
        (b"X-Nothing: here", None),
        (b"", None),
    ],
)
def test_when_a_mail_came(header: bytes, moment: str | None) -> None:
    expected = dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC) if moment else None
    assert arrival_time(header + b"\r\n\r\nDate: Mon, 1 Jan 2001 00:00:00 +0000\r\n") == expected


start = st.sampled_from(
    [
        b"",
        b"From ",
        b"{",
        b"Subject: x\n",
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
        packed(MAIL)[:50],
        b"PK\x03\x04",
        zipped(a=JSON),
    ]
)


@given(st.binary(max_size=300))
def test_any_mail_has_an_arrival_or_none(mail: bytes) -> None:
    moment = arrival_time(b"Date: " + mail)
    assert moment is None or (moment.tzinfo is dt.UTC and 1990 <= moment.year < 2100)


@given(
    st.lists(st.sampled_from("0|1|9|99|2026|,|;|:|-|+|Mar|mar|Sat|GMT|10:00|10:00:00|+0000|-0000|+2400|(x)|\u00b2|\xa0".split("|"))),  # noqa: SIM905
    st.sampled_from([b"Date: ", b"Received: x; "]),
)  # fmt: skip
def test_any_words_of_a_date_are_a_moment_or_none(words: list[str], field: bytes) -> None:
    moment = arrival_time(field + " ".join(words).encode("latin-1"))
    assert moment is None or moment.tzinfo is dt.UTC


@given(st.binary(max_size=400), st.sampled_from(["x", "x.eml", "x.mbox", "x.zip", "x.json.gz"]), start)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_named(tmp_path: Path, data: bytes, name: str, start: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(start + data)
    for source in messages([path], 200):
        assert source.bytes_done <= len(start + data)
        assert source.reason if isinstance(source, Problem) else len(source.data) <= 200
    path.unlink()


def test_memory_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "box").write_bytes(mbox(*[MAIL] * 200))
    reading = messages([tmp_path / "box"], LIMIT)
    first, second = next(reading), next(reading)
    assert first.bytes_done < second.bytes_done < total_bytes([tmp_path / "box"])
    assert mailbox.total_bytes([tmp_path / "nowhere"]) == 0


def test_an_archive_whose_file_has_no_name_is_read(tmp_path: Path) -> None:
    """Python 3.11's ZipInfo.is_dir raises IndexError on it (found by fuzzing). A name ends at its first NUL."""
    (tmp_path / "a.zip").write_bytes(zipped(Q=b"{}").replace(b"Q", b"\0"))
    (source,) = messages([tmp_path / "a.zip"], 1_000)
    assert isinstance(source, ReportFile)
    assert source.data == b"{}"


def test_an_archive_that_points_behind_its_end_is_no_progress(tmp_path: Path) -> None:
    """Found by fuzzing: reading was said to have come to where the archive pointed, far behind the end."""
    archive = zipped(a=b"{}")
    entry = archive.index(b"PK\x01\x02")
    (tmp_path / "a.zip").write_bytes(archive[: entry + 42] + struct.pack("<L", 10**6) + archive[entry + 46 :])
    (source,) = messages([tmp_path / "a.zip"], 1_000)
    assert isinstance(source, Problem)
    assert source.bytes_done <= len(archive)
