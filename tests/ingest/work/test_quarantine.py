"""What is done with messages that could not be read, on both engines and with the program's own commands."""

import datetime as dt
import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from ingest import intake, submissions
from ingest.authentication.verdict import Authentication
from ingest.database import engines, models
from ingest.loading import loader
from ingest.settings import settings
from ingest.settings.settings import Settings
from ingest.spool import channels, trace
from ingest.store import quarantine
from ingest.testimony.trust import FAILED, UNSIGNED
from ingest.work import retrying
from ingest.work.reader import Reader
from tests import programs
from tests.goldens import INPUTS, entry, mail, multipart, packed, part, report, text, usual
from tests.ingest.store.test_saving import CAME, NOW, USUAL, rows, save
from tests.ingest.work.test_second_looks import WAITING, Resolver, quarantine_file
from tests.ingest.work.test_worker import NoKeys
from tests.readers import ToldReader

UNSIGNED_MAIL = Resolver(Authentication(UNSIGNED))


def states(engine: sa.Engine) -> list[tuple[str, str, str]]:
    return sorted((row["state"], row["note"], row["acted_by"]) for row in rows(engine, models.quarantine))


@pytest.mark.parametrize("name", [None, "report.json"])
def test_a_retry_after_a_change_of_settings_stores_and_clears(engine: sa.Engine, name: str | None) -> None:
    data = text(USUAL) if name else INPUTS["labelled-gzip-is-plain.eml"]
    digest = quarantine_file(engine, data, name, domains="other.example")
    tally = retrying.retry(engine, UNSIGNED_MAIL.reader(), digest, NOW)
    assert msgspec.structs.astuple(tally) == (1, 0, 0)
    assert rows(engine, models.quarantine) == []
    assert rows(engine, models.report)[0]["trust"] == ("imported" if name else "unverified")


def test_a_retry_in_vain_stays_with_todays_reason(engine: sa.Engine) -> None:
    digest = quarantine_file(engine, text(USUAL), "report.json", domains="other.example")
    chosen = settings.load(domains="third.example", max_report_bytes=65536)
    tally = retrying.retry(engine, Resolver(WAITING).reader(chosen), digest, NOW)
    assert msgspec.structs.astuple(tally) == (0, 0, 1)
    (stored_row,) = rows(engine, models.quarantine)
    assert (stored_row["reason"], stored_row["state"]) == ("foreign-domain", "waiting")


def test_a_letter_to_postmaster_stays_one_when_it_is_read_again(engine: sa.Engine) -> None:
    letter = b"Subject: help\r\n\r\nplease\r\n"
    arrival = trace.Arrival(channels.SMTP, CAME, trace.digest(letter), letter=True)
    save(engine, intake.decode_mail(letter, arrival, settings.load()))
    retrying.retry(engine, UNSIGNED_MAIL.reader(), trace.digest(letter), NOW)
    (stored_row,) = rows(engine, models.quarantine)
    assert (stored_row["reason"], stored_row["subject"]) == ("postmaster", "help")


def test_a_partly_read_message_stays_in_quarantine(engine: sa.Engine) -> None:
    message = INPUTS["one-good-one-broken.eml"]
    decoded = intake.decode_mail(message, trace.Arrival(channels.SMTP, CAME, trace.digest(message)), settings.load())
    assert isinstance(decoded, submissions.Decoded)
    save(engine, submissions.Submission(decoded, Authentication(FAILED), "unverified"))
    quarantine.ask_retry(engine, [trace.digest(message)], "alice", NOW)
    tally = retrying.retry(engine, Resolver(WAITING).reader(), trace.digest(message), NOW)
    assert (tally.stored, tally.duplicate) == (0, 1)
    (stored_row,) = rows(engine, models.quarantine)
    assert (stored_row["reason"], stored_row["state"], stored_row["acted_by"]) == ("partly-read", "waiting", "alice")


def test_before_it_is_read_again_a_message_says_that_it_ended_its_reader(engine: sa.Engine) -> None:
    digest = quarantine_file(engine, INPUTS["labelled-gzip-is-plain.eml"], None, domains="other.example")
    quarantine.ask_retry(engine, [digest], "alice", NOW)

    def dies(message: bytes, now: dt.datetime) -> Authentication:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrying.retry(engine, ToldReader(settings.load(), dies), digest, NOW)
    (stored_row,) = rows(engine, models.quarantine)
    assert (stored_row["reason"], stored_row["state"]) == ("killed-reader", "waiting")
    assert quarantine.asked_for(engine, 5) == []


def test_discarded_with_a_note_and_without_its_content(engine: sa.Engine) -> None:
    first = quarantine_file(engine, b"one", "one.json")
    quarantine_file(engine, b"two", "two.json")
    assert quarantine.discard(engine, [first], " not\0 ours ", "alice", NOW) == 1
    assert states(engine) == [("discarded", "not\ufffd ours", "alice"), ("waiting", "", "")]
    assert quarantine.discard(engine, [first], "again", "bob", NOW) == 0, "the first note stays"
    assert [group.messages for group in quarantine.groups(engine)] == [1]
    assert [row["acted_at"] for row in quarantine.messages(engine, "no-report", discarded=True)] == [NOW]
    assert quarantine.ask_retry(engine, [first], "bob", NOW) == 0, "a discarded message is not read again"
    assert quarantine.content(engine, first) == b""
    assert [row["size"] for row in rows(engine, models.quarantine)] == [3, 3]
    assert len(rows(engine, models.quarantine_origin)) == 1
    before = states(engine)
    retried = retrying.retry(engine, UNSIGNED_MAIL.reader(), first, NOW)
    assert (msgspec.structs.astuple(retried), states(engine)) == ((0, 0, 0), before)


def test_groups_by_reason_most_first(engine: sa.Engine) -> None:
    quarantine_file(engine, text(USUAL), "r.json", domains="other.example")
    for number in range(3):
        quarantine_file(engine, b"nothing %d" % number, "n.json")
    assert [(group.reason, group.messages) for group in quarantine.groups(engine)] == [
        ("no-report", 3),
        ("foreign-domain", 1),
    ]
    assert quarantine.ask_retry_of(engine, "no-report", "alice", NOW) == 3
    assert len(quarantine.asked_for(engine, 2)) == 2
    # What waits to be read again is still on the list.
    assert sum(group.messages for group in quarantine.groups(engine)) == 4
    assert len(quarantine.waiting(engine, "foreign-domain")) == 1


def test_a_message_is_found_by_the_beginning_of_its_number(engine: sa.Engine) -> None:
    digest = quarantine_file(engine, b"one", "one.json")
    assert quarantine.find(engine, digest[:6].upper()) == digest
    quarantine_file(engine, b"two", "two.json")
    for beginning, words in (("", "several messages"), ("%", "no message")):
        with pytest.raises(quarantine.NoSuchMessage, match=words):
            quarantine.find(engine, beginning)


def test_a_database_that_is_away_is_said_to_be() -> None:
    engine = engines.open_engine("postgresql://starttally@127.0.0.1:1/x")
    with pytest.raises(engines.DatabaseAway):
        quarantine.discard(engine, ["0"], "", "alice", NOW)
    engine.dispose()


# The commands


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")} | {
        "STARTTALLY_DATABASE_URL": f"sqlite:///{tmp_path}/q.db",
        "STARTTALLY_NAMESERVERS": "127.0.0.1:1",
        "LOGNAME": "alice",
    }

    def run_command(*arguments: str, expect: int = 0, program: str = "", **more: str) -> str:
        if program:
            command = [sys.executable, "-c", program + _MAIN, *arguments]
            ended = subprocess.run(command, env=environment | more, cwd=tmp_path, capture_output=True, check=False)
        else:
            ended = programs.run(*arguments, cwd=tmp_path, env=environment | more)
        assert ended.returncode == expect, (ended.returncode, ended.stdout, ended.stderr)
        return ended.stdout.decode()

    return run_command


_MAIN = "\nfrom dashboard.commands.app import main\nmain()\n"
# One message that takes all memory, one that takes all time.
_DEADLY = """
from ingest import intake
from ingest.loading import loader
from ingest.work import limited
limited.MAX_MESSAGE_CPU_SECONDS = loader._CPU_SECONDS = 1
decode = intake.decode_mail
def deadly(message, *others):
    hoard = []
    while b"hoard" in message:
        hoard.append(bytes(1 << 24))
    while b"spin" in message:
        pass
    return decode(message, *others)
intake.decode_mail = deadly
"""


def deadly_folder(folder: Path) -> None:
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.eml").write_bytes(usual(report(entry(1), report_id=str(number))))
    (folder / "3-hoard.eml").write_bytes(b"Subject: hoard\r\nTLS-Report-Domain: receiver.example\r\n\r\n")
    (folder / "7-spin.eml").write_bytes(b"Subject: spin\r\nTLS-Report-Domain: receiver.example\r\n\r\n")


def test_loading_survives_deadly_messages_and_loses_nothing(run: Callable[..., str], tmp_path: Path) -> None:
    deadly_folder(tmp_path / "mails")
    assert run("load", "mails", expect=1, program=_DEADLY) == "stored=10 duplicate=0 ignored=0 quarantined=2\n"
    listed = run("quarantine", "list")
    assert listed.count("killed-reader") == 2
    assert "-- 2 messages for this reason" in listed
    # They are read one by one; each ends its reader once, and stays.
    assert run("quarantine", "retry", expect=1, program=_DEADLY) == "stored=0 duplicate=0 quarantined=2\n"
    # Read by a program that stands them, they are what they are.
    assert "quarantined=2" in run("quarantine", "retry", expect=1)
    assert run("quarantine", "list", "--reason", "killed-reader") == ""
    assert run("quarantine", "list").count("no-report") == 2


def test_loading_real_bombs(run: Callable[..., str], tmp_path: Path) -> None:
    """Through the real limits: what is read of this takes gigabytes."""
    folder = tmp_path / "mails"
    folder.mkdir()
    flood = b'{"a":"\\u0000","policies":[' + b"{}," * 490_000 + b"{}]}"
    (folder / "1.json.gz").write_bytes(gzip.compress(flood))
    (folder / "2.eml").write_bytes(mail(multipart(part(packed(flood)))))
    (folder / "3.eml").write_bytes(usual(report(entry(1))))
    assert run("load", "mails", expect=1) == "stored=1 duplicate=0 ignored=0 quarantined=2\n"
    assert "quarantined=2" in run("quarantine", "retry", expect=1)


def test_quarantine_on_the_command_line(run: Callable[..., str], tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.json").write_bytes(b'{"report-id": "%d", "date-range": {}}' % number)
    (tmp_path / "foreign.json").write_bytes(text(report(entry(1))))
    files = ("0.json", "1.json", "2.json", "foreign.json")
    run("load", *files, expect=1, STARTTALLY_DOMAINS="other.example")
    numbers = [line.split()[0] for line in run("quarantine", "list").splitlines() if line[:1].strip()]
    assert len(numbers) == 4
    assert run("quarantine", "retry", "--reason", "foreign-domain") == "stored=1 duplicate=0 quarantined=0\n"
    assert run("quarantine", "discard", numbers[0], "--note", "spam") == "discarded=1\n"
    discarded = run("quarantine", "list", "--discarded")
    assert "note: spam" in discarded
    assert "by alice" in discarded
    assert run("quarantine", "show", numbers[0], expect=1) == ""
    assert run("quarantine", "list", "--reason", "no-report").count("no-report") == 2


def test_a_suspect_is_a_batch_of_its_own(tmp_path: Path, settings_for: Callable[..., Settings]) -> None:
    """A message that a reader ended over comes alone, however it is placed."""
    folder = tmp_path / "mails"
    deadly_folder(folder)
    reading = loader._Reading(Reader(settings_for(), NoKeys()), ends={4: 1, 8: 2})
    batches = list(reading.batches([folder], 2))
    assert [len(batch.ready) for batch in batches] == [2, 1, 3, 1, 3]
    assert batches[-1].sources == 12
