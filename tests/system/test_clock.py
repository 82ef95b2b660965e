"""A wrong clock deletes nothing and condemns nothing for good (reliability.md row 22): 500 days ahead and behind, on both engines."""

import datetime as dt
import logging
from collections.abc import Iterator, Sequence

import msgspec
import pytest
import sqlalchemy as sa

from ingest import intake, submissions
from ingest.authentication.dkim_keys import Keys
from ingest.authentication.signatures import authenticate, signature_names
from ingest.database import models
from ingest.settings import settings
from ingest.spool import channels, trace
from ingest.store import saving
from ingest.store.upkeep import arrivals, retention
from ingest.testimony.trust import FAILED, UNDETERMINED, VERIFIED
from ingest.work import second_looks
from tests import signing
from tests.goldens import entry, report, usual
from tests.ingest.store.test_saving import CAME, NOW, SIGNED, USUAL, everything, rows, save, submission
from tests.ingest.work.test_second_looks import WAITING, Resolver, quarantine_file
from tests.nameserver import SILENT, NameServer, txt
from tests.readers import ToldReader
from tests.system.test_end_to_end import Installation

DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
JUMP = 500 * DAY
KEEP = {"keep_raw_days": 400, "keep_details_days": 450, "keep_reports_days": 480, "keep_quarantine_days": 400}
# The end of what USUAL and ``genuine`` are about.
END = dt.datetime(2026, 3, 14, 23, 59, 59, tzinfo=dt.UTC)


def report_about(day: dt.date, number: int = 0) -> dict[str, object]:
    given = {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"}
    return report(entry(1), report_id=f"{day} {number}", date_range=given)


def filled(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, verdict=SIGNED), submission(report_about(dt.date(2026, 3, 10))))
    quarantine_file(engine, b"nothing", "nothing.json")


def test_a_clock_that_is_ahead_deletes_nothing(engine: sa.Engine, caplog: pytest.LogCaptureFixture) -> None:
    filled(engine)
    chosen = settings.load(**KEEP)
    # Mail goes on arriving, at times that are as wrong.
    with engine.begin() as connection:
        late = submission(report_about(dt.date(2026, 3, 15)), verdict=SIGNED, arrived_at=CAME + JUMP)
        saving.save(connection, [late], NOW + JUMP)
    before = everything(engine)
    for hours in range(3):
        pruned = retention.prune(engine, chosen, NOW + JUMP + hours * HOUR)
        assert "2027-07-29" in pruned.refused
        assert "about 2026-03-15" in pruned.refused
    assert everything(engine) == before
    assert "nothing is pruned by its age" in caplog.text


def test_a_clock_that_is_behind_deletes_nothing(engine: sa.Engine) -> None:
    filled(engine)
    before = everything(engine)
    pruned = retention.prune(engine, settings.load(**KEEP), NOW - JUMP)
    assert (pruned.raw, pruned.reports, pruned.quarantined, everything(engine)) == (0, 0, 0, before)


def test_when_the_clock_is_right_what_is_old_goes_and_the_log_says_so(
    engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    filled(engine)
    then = NOW + JUMP
    with engine.begin() as connection:
        fresh = submission(report_about(then.date() - 2 * DAY), verdict=SIGNED, arrived_at=then)
        saving.save(connection, [fresh], then)
    pruned = retention.prune(engine, settings.load(**KEEP), then)
    assert (pruned.raw, pruned.reports, pruned.quarantined, pruned.refused) == (2, 2, 1, "")
    assert "pruned raw=2 details=2 reports=2 quarantined=1" in caplog.text
    assert "kept since raw 2026-06-24, details 2026-05-05, reports 2026-04-05, quarantined 2026-06-24" in caplog.text


def test_a_site_that_gets_no_reports_is_pruned_when_the_operator_insists(engine: sa.Engine) -> None:
    filled(engine)
    assert retention.prune(engine, settings.load(**KEEP), NOW + JUMP).refused
    assert retention.prune(engine, settings.load(**KEEP), NOW + JUMP, force=True).reports == 2


def test_no_stranger_vouches_for_the_clock(engine: sa.Engine) -> None:
    filled(engine)
    save(
        engine,
        submission(report_about(dt.date(2027, 7, 28))),
        submission(report_about(dt.date(2099, 1, 1)), verdict=SIGNED),
    )
    assert retention.prune(engine, settings.load(**KEEP), NOW + JUMP).refused
    # Where nothing is proven, what there is must do.
    with engine.begin() as connection:
        connection.execute(sa.update(models.report).values(trust="unverified"))
    assert not retention.prune(engine, settings.load(), NOW + JUMP).refused


def test_a_quarantine_alone_tells_the_day_too(engine: sa.Engine) -> None:
    assert not retention.prune(engine, settings.load(), NOW).refused
    quarantine_file(engine, b"nothing", "nothing.json")
    assert retention.prune(engine, settings.load(), NOW + JUMP).refused


def test_the_command_says_why_and_how_to_insist(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("old")
    installation = Installation(folder, f"sqlite:///{folder}/starttally.db", "127.0.0.1:9")
    (folder / "old.eml").write_bytes(usual(report_about(dt.date(2020, 1, 1))))
    installation.run("load", "old.eml")
    refused = installation.run("db", "prune", expect=1)
    assert refused.startswith("removed raw=0 details=0 reports=0 quarantined=0 discarded=0 bytes=0")
    assert installation.run("db", "prune", "--force", "--compact").startswith("removed raw=0 ")


# Signatures


class Post:
    """Genuine mail from a signer whose key DNS has; ``silent`` makes DNS answer nothing."""

    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._key = {f"{signing.SELECTOR}._domainkey.{signing.DOMAIN}": txt(signing.record(signing.ed25519_key()))}
        self.speaks()

    def silent(self) -> None:
        self._server.zone.clear()
        self._patience = 0.1

    def speaks(self) -> None:
        self._server.zone.update(self._key)
        self._patience = 20.0  # of which an answer takes nothing

    def keys(self) -> Keys:
        return Keys((self._server.address,))

    def arrives(self, engine: sa.Engine, clock: dt.datetime, **tags: int) -> None:
        """A report of 14 March, signed at noon of the 15th for 7 days as Google does; it arrives while our clock says ``clock``."""
        made = {"t": int((END + 12 * HOUR).timestamp()), "x": int((END + 12 * HOUR + 7 * DAY).timestamp())}
        mail = signing.signed(usual(USUAL), key=signing.ed25519_key(), **(made | tags))
        decoded = intake.decode_mail(mail, trace.Arrival(channels.SMTP, clock, trace.digest(mail)), settings.load())
        assert isinstance(decoded, submissions.Decoded)
        keys = self.keys()
        keys.prefetch(signature_names(mail), self._patience)
        ready = intake.authenticated(decoded, lambda message, now: authenticate(message, keys, now))
        with engine.begin() as connection:
            saving.save(connection, [ready], clock)

    def looked_at_again(self, engine: sa.Engine, clock: dt.datetime) -> int:
        keys = self.keys()

        def look_up(headers: Sequence[bytes]) -> None:
            keys.prefetch([name for header in headers for name in signature_names(header)], self._patience)

        def verdict(message: bytes, now: dt.datetime) -> object:
            return authenticate(message, keys, now)

        return second_looks.retry_undetermined(engine, ToldReader(settings.load(), verdict, look_up), clock).decided


@pytest.fixture
def post() -> Iterator[Post]:
    with NameServer({}, otherwise=SILENT) as server:
        yield Post(server)


RIGHT = END + 13 * HOUR


@pytest.mark.parametrize("error", [JUMP, -JUMP, 8 * DAY, -2 * DAY])
def test_a_genuine_signature_is_verified_when_the_clock_is_right(
    engine: sa.Engine, post: Post, error: dt.timedelta
) -> None:
    post.arrives(engine, RIGHT + error)
    (way,) = rows(engine, models.delivery)
    assert way["dkim"] == UNDETERMINED
    for hour in (1, 2, 20):  # the clock is wrong still
        assert post.looked_at_again(engine, RIGHT + error + hour * HOUR) == 0
    now = RIGHT + 81 * HOUR
    assert post.looked_at_again(engine, now) == 1
    (stored,) = rows(engine, models.report)
    (way,) = rows(engine, models.delivery)
    assert (stored["trust"], way["dkim"], stored["arrival_estimated"]) == ("verified", VERIFIED, True)
    assert END <= stored["received_at"] <= now
    assert rows(engine, models.undetermined) == []


def test_without_an_expiry_too(engine: sa.Engine, post: Post) -> None:
    post.arrives(engine, RIGHT - JUMP, x=int((RIGHT + 3000 * DAY).timestamp()))
    assert post.looked_at_again(engine, RIGHT + 100 * DAY) == 1
    assert rows(engine, models.report)[0]["trust"] == "verified"


@pytest.mark.parametrize("error", [JUMP, -JUMP])
def test_what_waits_for_dns_outlives_a_jump(engine: sa.Engine, post: Post, error: dt.timedelta) -> None:
    post.silent()
    post.arrives(engine, RIGHT)
    for hour in range(1, 5):
        post.looked_at_again(engine, RIGHT + error + hour * HOUR)
    assert len(rows(engine, models.undetermined)) == 1, "it was given up"
    post.speaks()
    # Set right again, it is due at once and not when the wrong clock said.
    assert post.looked_at_again(engine, RIGHT + 6 * HOUR) == 1
    assert [row["trust"] for row in rows(engine, models.report)] == ["verified"]


@pytest.mark.parametrize(
    ("arrived_at", "attempts", "after", "decided"),
    [
        (CAME, 23, 100 * DAY, 0),
        (CAME, 24, 3 * DAY - HOUR, 0),
        (CAME, 24, 3 * DAY, 1),
        (CAME + JUMP, 71, 3 * DAY, 0),
        (CAME + JUMP, 72, 3 * DAY, 1),
    ],
)
def test_giving_up_takes_time_and_attempts(
    engine: sa.Engine, arrived_at: dt.datetime, attempts: int, after: dt.timedelta, decided: int
) -> None:
    save(engine, submission(USUAL, verdict=WAITING, arrived_at=arrived_at))
    tried(engine, attempts)
    resolver = Resolver(WAITING)
    assert second_looks.retry_undetermined(engine, resolver.reader(), CAME + after).decided == decided


def tried(engine: sa.Engine, attempts: int) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(models.undetermined).values(attempts=attempts, next_attempt=CAME))


def test_a_signature_that_stays_outside_its_time_has_failed_after_a_month(engine: sa.Engine, post: Post) -> None:
    arrived_at = RIGHT + 9 * DAY
    post.arrives(engine, arrived_at)
    for attempts, after, decided in ((239, 31 * DAY, 0), (240, 29 * DAY, 0), (240, 30 * DAY, 1)):
        tried(engine, attempts)
        assert post.looked_at_again(engine, arrived_at + after) == decided
    (way,) = rows(engine, models.delivery)
    assert (way["dkim"], way["trust"]) == (FAILED, "unverified")
    assert "it expired before the mail arrived" in way["dkim_reason"]
    assert rows(engine, models.undetermined) == []


def test_loaded_mail_has_its_verdict_at_once() -> None:
    mail = signing.signed(usual(USUAL), key=signing.ed25519_key())
    decoded = intake.decode_mail(mail, trace.Arrival(channels.LOAD, NOW, trace.digest(mail)), settings.load())
    assert isinstance(decoded, submissions.Decoded)
    untimely = msgspec.structs.replace(WAITING, untimely=True)
    ready = intake.authenticated(decoded, lambda _message, now: untimely)
    assert (ready.authentication.dkim, ready.trust) == (FAILED, "imported")


# Arrivals after today


def test_arrivals_after_today_are_named_and_mended(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        saving.save(connection, [submission(USUAL, verdict=SIGNED, arrived_at=CAME + JUMP)], NOW + JUMP)
        quarantine = submissions.Quarantined(trace.Arrival(channels.SMTP, CAME, "0" * 32), b"x", "no-report", "x")
        saving.save(connection, [quarantine], NOW + JUMP)
    save(engine, submission(report_about(dt.date(2026, 3, 13)), verdict=SIGNED, arrived_at=CAME))
    with engine.connect() as connection:
        assert arrivals.in_the_future(connection, NOW) == 1
        assert arrivals.in_the_future(connection, NOW + JUMP) == 0
    assert arrivals.mend(engine, NOW) == 1
    estimate = END + DAY
    arrival_times = sorted((row["received_at"], row["arrival_estimated"]) for row in rows(engine, models.report))
    assert arrival_times == [(CAME, False), (min(NOW, estimate), True)]
    assert max(row["received_at"] for row in rows(engine, models.delivery)) == min(NOW, estimate)
    assert rows(engine, models.domain_reporter)[0]["last_received_at"] == min(NOW, estimate)
    for table, column in ((models.quarantine, "stored_at"), (models.quarantine_origin, "came_at")):
        assert rows(engine, table)[0][column] == NOW
    assert {row["stored_at"] for row in rows(engine, models.raw_report)} == {NOW}
    assert arrivals.mend(engine, NOW) == 0


def test_a_clock_that_is_behind_mends_nothing(engine: sa.Engine) -> None:
    filled(engine)
    before = everything(engine)
    with pytest.raises(arrivals.ClockBehind, match="reports about later days"):
        arrivals.mend(engine, NOW - JUMP)
    assert everything(engine) == before
