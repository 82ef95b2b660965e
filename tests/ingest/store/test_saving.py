"""Writing: keys, trust, rollups and idempotence, on both engines."""

import datetime as dt
import gzip
import json
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from ingest import intake, submissions
from ingest.authentication.verdict import Authentication
from ingest.database import models
from ingest.settings import settings
from ingest.spool import channels, trace
from ingest.spool.channels import CHANNELS
from ingest.store import saving
from ingest.submissions import Quarantined, Submission
from ingest.testimony.trust import FAILED, UNDETERMINED, UNSIGNED, VERIFIED
from tests.goldens import INPUTS, detail, entry, mail, multipart, packed, part, report, text

NOW = dt.datetime(2026, 3, 16, 12, tzinfo=dt.UTC)
CAME = dt.datetime(2026, 3, 15, 10, tzinfo=dt.UTC)
SIGNED = Authentication(VERIFIED, "", "sender.example", "s1", "v=DKIM1; p=abc")


def submission(
    data: bytes | dict[str, Any],
    door: str = channels.SMTP,
    verdict: Authentication | None = None,
    arrived_at: dt.datetime = CAME,
) -> Submission:
    raw = data if isinstance(data, bytes) else text(data)
    message = mail(multipart(part(packed(raw))), domain="")
    arrival = trace.Arrival(door, arrived_at, trace.digest(message), sender="tls-reports@sender.example")
    decoded = intake.decode_mail(message, arrival, settings.load())
    assert isinstance(decoded, submissions.Decoded)
    chosen = verdict or Authentication(UNSIGNED)
    return Submission(decoded, chosen, intake.trust_of(chosen, CHANNELS[door]))


def save(engine: sa.Engine, *messages: Submission | Quarantined) -> tuple[int, int, int]:
    with engine.begin() as connection:
        return msgspec.structs.astuple(saving.save(connection, messages, NOW))


def rows(engine: sa.Engine, table: sa.Table) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [
            dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns)).mappings()
        ]


def everything(engine: sa.Engine) -> dict[str, list[dict[str, Any]]]:
    return {table.name: rows(engine, table) for table in models.metadata.sorted_tables}


USUAL = report(entry(41, 6, detail(sessions=4), detail("starttls-not-supported", 1), mx_host=["mx1.receiver.example"]))


def test_a_report_is_stored_whole(engine: sa.Engine) -> None:
    assert save(engine, submission(USUAL, verdict=SIGNED)) == (1, 0, 0)
    (stored,) = rows(engine, models.report)
    assert (stored["policy_domain"], stored["organization"], stored["report_id"]) == (
        "receiver.example",
        "Sender Inc.",
        "2026-03-14T00:00:00Z_receiver.example",
    )
    assert (stored["range_start"], stored["day"]) == (dt.datetime(2026, 3, 14, tzinfo=dt.UTC), dt.date(2026, 3, 14))
    assert (stored["trust"], stored["signer"], stored["door"], stored["received_at"]) == (
        "verified",
        "sender.example",
        "smtp",
        CAME,
    )
    assert (
        stored["policies"],
        stored["successful_sessions"],
        stored["failed_sessions"],
        stored["refused_sessions"],
    ) == (1, 41, 6, 6)
    (entry_row,) = rows(engine, models.policy_entry)
    assert (entry_row["policy_mode"], entry_row["unexplained_sessions"], json.loads(entry_row["mx_hosts"])) == (
        "testing",
        1,
        ["mx1.receiver.example"],
    )
    assert [row["result_type"] for row in rows(engine, models.failure_detail)] == [
        "certificate-expired",
        "starttls-not-supported",
    ]
    (way,) = rows(engine, models.delivery)
    assert (way["dkim"], way["selector"], way["key_record"], way["submitter"]) == (
        "verified",
        "s1",
        "v=DKIM1; p=abc",
        "sender.example",
    )
    (quoted,) = rows(engine, models.policy_text)
    assert json.loads(quoted["mx"]) == ["mx1.receiver.example", "*.backup.receiver.example"]
    assert (quoted["mode"], quoted["max_age"], quoted["policy_digest"]) == (
        "testing",
        604800,
        entry_row["policy_digest"],
    )
    (raw,) = rows(engine, models.raw_report)
    assert gzip.decompress(raw["document"]) == text(USUAL)  # as it came


@pytest.mark.parametrize("name", [name for name in INPUTS if name.endswith(".eml") and not name.startswith("none-")])
def test_storing_twice_changes_nothing(sqlite_engine: sa.Engine, name: str) -> None:
    arrival = trace.Arrival(channels.SMTP, CAME, trace.digest(INPUTS[name]))
    decoded = intake.decode_mail(INPUTS[name], arrival, settings.load())
    assert isinstance(decoded, submissions.Decoded)
    message = Submission(decoded, Authentication(UNSIGNED), "unverified")
    save(sqlite_engine, message)
    before = everything(sqlite_engine)
    stored, duplicate, _ = save(sqlite_engine, message)
    assert (stored, duplicate) == (0, len(decoded.reports))
    assert everything(sqlite_engine) == before


def test_twice_in_one_batch_is_once(engine: sa.Engine) -> None:
    assert save(engine, submission(USUAL), submission(USUAL)) == (1, 1, 0)
    assert len(rows(engine, models.report)) == 1
    assert rows(engine, models.domain_day)[0]["reports"] == 1


def test_an_interrupted_batch_leaves_nothing(engine: sa.Engine) -> None:
    def interrupted() -> None:
        with engine.begin() as connection:
            saving.save(connection, [submission(USUAL)], NOW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not any(everything(engine).values())


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_the_best_channel_gives_the_trust_in_any_order(engine: sa.Engine, order: Sequence[int]) -> None:
    ways = [
        submission(USUAL, channels.HTTPS),
        submission(USUAL, channels.SMTP),
        submission(USUAL, channels.LOAD),
        submission(USUAL, channels.SMTP, SIGNED, CAME + dt.timedelta(hours=5)),
    ]
    for index in order:
        save(engine, ways[index])
    # One row for what came signed and one for the rest: who signed is part of the key.
    (stored,) = [row for row in rows(engine, models.report) if row["counts"] or row["accuses"]]
    assert (stored["trust"], stored["signer"]) == ("verified", "sender.example")
    assert stored["received_at"] == CAME + dt.timedelta(hours=5)
    assert {row["contradicted"] for row in rows(engine, models.report)} == {False}
    assert sorted(row["trust"] for row in rows(engine, models.delivery)) == [
        "imported",
        "unauthenticated",
        "unverified",
        "verified",
    ]
    (day,) = rows(engine, models.domain_day)
    assert (day["trust"], day["reports"], day["failed_sessions"]) == ("verified", 1, 6)
    (reporter,) = rows(engine, models.domain_reporter)
    assert (reporter["trust"], reporter["reports"]) == ("verified", 1)


def test_several_channels_in_one_batch(engine: sa.Engine) -> None:
    assert save(engine, submission(USUAL, channels.HTTPS), submission(USUAL, channels.SMTP, SIGNED)) == (1, 1, 0)
    assert {row["trust"]: row["counts"] for row in rows(engine, models.report)} == {
        "verified": True,
        "unauthenticated": False,
    }
    assert [(row["trust"], row["reports"]) for row in rows(engine, models.domain_day)] == [("verified", 1)]


def test_a_forgery_sent_first_does_not_displace_the_genuine_report(engine: sa.Engine) -> None:
    forged = report(entry(10**6, 0))
    save(engine, submission(forged, channels.HTTPS))
    save(engine, submission(USUAL, verdict=SIGNED))
    stored_rows = rows(engine, models.report)
    assert sorted((row["trust"], row["successful_sessions"]) for row in stored_rows) == [
        ("unauthenticated", 10**6),
        ("verified", 41),
    ]
    assert len({row["same_id"] for row in stored_rows}) == 1
    assert {row["trust"]: row["successful_sessions"] for row in rows(engine, models.domain_day)} == {
        "unauthenticated": 10**6,
        "verified": 41,
    }


def test_another_sender_with_the_same_id_is_no_contradiction(engine: sa.Engine) -> None:
    other = submission(USUAL, verdict=Authentication(VERIFIED, "", "other.example", "s1", "v=DKIM1; p=abc"))
    assert save(engine, submission(USUAL, verdict=SIGNED), other) == (2, 0, 0)
    assert [(row["counts"], row["contradicted"]) for row in rows(engine, models.report)] == [(True, False)] * 2


def test_one_row_for_each_policy_domain_and_the_raw_report_once(engine: sa.Engine) -> None:
    value = report(
        entry(1),
        entry(2, policy_domain="second.example"),
        entry(0, 3, detail(sessions=3), policy_domain="second.example"),
    )
    assert save(engine, submission(value)) == (1, 0, 0)
    assert [
        (row["policy_domain"], row["policies"], row["successful_sessions"], row["failed_sessions"])
        for row in rows(engine, models.report)
    ] == [
        ("receiver.example", 1, 1, 0),
        ("second.example", 2, 2, 3),
    ]
    assert {(row["raw_domain"], row["raw_domains"]) for row in rows(engine, models.report)} == {("receiver.example", 2)}
    assert [row["policy_domain"] for row in rows(engine, models.raw_report)] == ["receiver.example"]
    assert [(row["policy_domain"], row["position"]) for row in rows(engine, models.policy_entry)] == [
        ("receiver.example", 0),
        ("second.example", 1),
        ("second.example", 2),
    ]


@pytest.mark.parametrize(("tlsa", "told"), [(6, "equal"), (5, "other")])
def test_a_report_row_says_what_tlsa_lists_beside_sts(engine: sa.Engine, tlsa: int, told: str) -> None:
    save(engine, submission(report(entry(7), entry(tlsa, 1, detail(), policy_type="tlsa"))))
    (stored,) = rows(engine, models.report)
    assert (stored["successful_sessions"], stored["failed_sessions"], stored["refused_sessions"]) == (7 + tlsa, 1, 0)
    of_tlsa = stored["tlsa_sessions"], stored["tlsa_successful_sessions"], stored["tlsa_failed_sessions"]
    assert of_tlsa == (told, tlsa, 1)
    assert [(row["policy_type"], row["successful_sessions"]) for row in rows(engine, models.domain_day)] == [
        ("sts", 7),
        ("tlsa", tlsa),
    ]


def test_missing_counts_stay_missing(engine: sa.Engine) -> None:
    save(engine, submission(report(entry(None, None, detail(sessions=None)))))
    (stored,) = rows(engine, models.report)
    assert (stored["successful_sessions"], stored["failed_sessions"], stored["refused_sessions"]) == (None, None, 0)
    assert rows(engine, models.failure_detail)[0]["failed_sessions"] is None


def test_absurd_sums_do_not_overflow(engine: sa.Engine) -> None:
    huge = [report(*[entry(2**53 - 1, 2**53 - 1)] * 50, report_id=str(number)) for number in range(30)]
    save(engine, *(submission(each) for each in huge))
    (day,) = rows(engine, models.domain_day)
    assert day["successful_sessions"] == pytest.approx(1500 * (2**53 - 1))


def test_empty_reports_are_kept(engine: sa.Engine) -> None:
    assert save(engine, submission(report())) == (1, 0, 0)
    assert [(row["policy_domain"], row["policies"]) for row in rows(engine, models.report)] == [("", 0)]


def test_what_postgresql_cannot_store_is_made_storable(engine: sa.Engine) -> None:
    raw = text(report(entry(1, 1, detail(additional_information="a\0b")), vendor={"k\0": ["\0"]}))
    assert save(engine, submission(raw)) == (1, 0, 0)
    assert rows(engine, models.failure_detail)[0]["additional_information"] == "a\ufffdb"


def test_quarantine_keeps_the_message_once(engine: sa.Engine) -> None:
    message = b"Subject: hello\r\n\r\nnothing here"
    refused = intake.decode_mail(message, trace.Arrival(channels.SMTP, CAME, trace.digest(message)), settings.load())
    assert isinstance(refused, Quarantined)
    assert save(engine, refused) == (0, 0, 1)
    assert save(engine, refused) == (0, 0, 1)
    (stored_row,) = rows(engine, models.quarantine)
    assert (zlib.decompress(stored_row["message"]), stored_row["subject"], stored_row["reason"]) == (
        message,
        "hello",
        "no-report",
    )


def test_a_broken_part_beside_a_good_one_is_kept_too(engine: sa.Engine) -> None:
    message = INPUTS["one-good-one-broken.eml"]
    decoded = intake.decode_mail(message, trace.Arrival(channels.SMTP, CAME, trace.digest(message)), settings.load())
    assert isinstance(decoded, submissions.Decoded)
    assert save(engine, Submission(decoded, Authentication(UNSIGNED), "unverified")) == (1, 0, 1)
    assert rows(engine, models.quarantine)[0]["reason"] == "partly-read"


@pytest.mark.parametrize(("verdict", "trust"), [(SIGNED, "verified"), (Authentication(FAILED, "no"), "unverified")])
def test_an_undetermined_message_is_settled_later(engine: sa.Engine, verdict: Authentication, trust: str) -> None:
    waiting = submission(USUAL, verdict=Authentication(UNDETERMINED, "no answer", "sender.example", "s1"))
    save(engine, waiting)
    (stored_row,) = rows(engine, models.undetermined)
    assert zlib.decompress(stored_row["message"]) == waiting.decoded.message
    with engine.begin() as connection:
        saving.settle(connection, waiting, Submission(waiting.decoded, verdict, trust), NOW)
    assert rows(engine, models.undetermined) == []
    (way,) = rows(engine, models.delivery)
    assert way["dkim"] == verdict.dkim
    assert [row["trust"] for row in rows(engine, models.report)] == [trust]
    assert len(rows(engine, models.raw_report)) == 1
    assert [(row["trust"], row["reports"]) for row in rows(engine, models.domain_day)] == [(trust, 1)]


def test_only_the_policy_domains_asked_for() -> None:
    chosen = settings.load(domains="receiver.example")
    value = report(
        entry(1, policy_domain="mx.receiver.example"),
        entry(2, policy_domain="notreceiver.example"),
        entry(3, policy_domain=...),
    )
    decoded = intake.decode_file(text(value), "r.json", trace.Arrival(channels.LOAD, CAME, "x"), chosen)
    assert isinstance(decoded, submissions.Decoded)
    assert [each.policy_domain for each in decoded.reports[0][0].entries] == ["mx.receiver.example", "receiver.example"]
    refused = intake.decode_file(
        text(report(entry(policy_domain="b.example"))), "r.json", trace.Arrival(channels.LOAD, CAME, "x"), chosen
    )
    assert isinstance(refused, Quarantined)
    assert (refused.reason, refused.file_name) == ("foreign-domain", "r.json")
    assert "b.example" in refused.explanation


def test_a_bare_file_arrives_one_day_after_its_range() -> None:
    decoded = intake.decode_file(text(USUAL), "r.json", trace.Arrival(channels.LOAD, NOW, "x"), settings.load())
    assert isinstance(decoded, submissions.Decoded)
    assert (decoded.arrival.received_at, decoded.arrival.estimated) == (
        dt.datetime(2026, 3, 15, 23, 59, 59, tzinfo=dt.UTC),
        True,
    )
