"""One report is one report, by whatever ways it comes: mails, uploads and files through intake and store (docs/verdict.md)."""

import concurrent.futures
import gzip
import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard.exports import writing
from dashboard.exports.reading import Filters
from ingest import intake
from ingest.authentication.verdict import Authentication
from ingest.database import engines
from ingest.settings.settings import Settings
from ingest.spool import channels, trace
from ingest.store import saving
from ingest.store.upkeep import upgrades
from ingest.submissions import Decoded, Submission
from ingest.testimony.trust import UNSIGNED, VERIFIED
from tests.databases import create_database
from tests.goldens import detail, entry
from tests.reports import CAME, mail, report_json
from tests.stored import NOW
from tests.support import FIELD

# tlsrpt-reporter: an entry without a policy names no domain; only the mail's header and the id's end do.
NAMELESS = entry(5, policy_type="no-policy-found", policy_domain=..., policy_string=...)
POSTFIX_ID = "2026-03-14T00:00:00Z_idx1_receiver.example"
SIGNED = Authentication(VERIFIED, "", "sender.example", "s1", "v=DKIM1; p=abc")
UNCOVERED = Authentication(VERIFIED, "", "sender.example", "s1", "v=DKIM1; p=abc", names_domain=False)
Ways = dict[str, Callable[[dict[str, Any]], Submission]]


@pytest.fixture
def settings(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for()


def submitted(decoded: object, verdict: Authentication) -> Submission:
    assert isinstance(decoded, Decoded)
    return intake.authenticated(decoded, lambda _message, _now: verdict)


@pytest.fixture
def ways(settings: Settings) -> Ways:
    """How a report may come."""

    def by_mail(
        verdict: Authentication, door: str = channels.SMTP, **given: Any
    ) -> Callable[[dict[str, Any]], Submission]:
        def send(report: dict[str, Any]) -> Submission:
            message = mail(report, **given)
            arrival = trace.Arrival(door, CAME, trace.digest(message + door.encode()))
            return submitted(intake.decode_mail(message, arrival, settings), verdict)

        return send

    def upload(report: dict[str, Any]) -> Submission:
        body = gzip.compress(json.dumps(report).encode())
        wrapped = trace.for_upload(
            body, content_type="application/tlsrpt+gzip", filename="", peer="::1", hostname="r.example", now=CAME
        )
        arrival, message = trace.read(wrapped, CAME)
        return submitted(intake.decode_mail(message, arrival, settings), Authentication(UNSIGNED))

    def file(report: dict[str, Any], name: str = "tls-report.json") -> Submission:
        data = json.dumps(report, indent=1).encode()
        arrival = trace.Arrival(channels.LOAD, CAME, trace.digest(data))
        return submitted(intake.decode_file(data, name, arrival, settings), Authentication(UNSIGNED))

    return {
        "signed mail": by_mail(SIGNED),
        "unsigned mail": by_mail(Authentication(UNSIGNED)),
        "upload": upload,
        "saved attachment": file,
        "saved mail": by_mail(Authentication(UNSIGNED), channels.LOAD),
    }


def keep(engine: sa.Engine, submissions: Iterable[Submission]) -> saving.Tally:
    tally = saving.Tally()
    for submission in submissions:
        with engine.begin() as connection:
            tally += saving.save(connection, [submission], NOW)
    return tally


def sums(engine: sa.Engine) -> list[tuple[str, int, int]]:
    """(domain, successful, failed) of the rows of ``export reports``; those of ``export summary`` are the same."""
    with engine.connect() as connection:
        reports = [
            dict(zip(writing.EXPORTS["reports"].names, row, strict=True))
            for row in writing.EXPORTS["reports"].rows(connection, Filters())
        ]
        summary = [
            dict(zip(writing.EXPORTS["summary"].names, row, strict=True))
            for row in writing.EXPORTS["summary"].rows(connection, Filters())
        ]
    names = ("successful_sessions", "failed_sessions")
    totals = [sum(row[name] or 0 for row in reports) for name in names]
    assert totals == [sum(row[name] or 0 for row in summary) for name in names]
    return sorted((row["policy_domain"], row["successful_sessions"], row["failed_sessions"]) for row in reports)


USUAL = report_json(entry(41, 6, detail(sessions=6)))
POSTFIX = report_json(NAMELESS, report_id=POSTFIX_ID)
MIXED = report_json(entry(9, 1, detail()), NAMELESS, report_id="2026-03-14T00:00:00Z_x")


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (USUAL, [("receiver.example", 41, 6)]),
        (POSTFIX, [("receiver.example", 5, 0)]),
        (MIXED, [("receiver.example", 14, 1)]),
        (report_json(NAMELESS, report_id="no domain in it"), [("receiver.example", 5, 0)]),
        (USUAL | {"report-id": ""}, [("receiver.example", 41, 6)]),
    ],
    ids=["usual", "tlsrpt-reporter", "a nameless entry beside a named one", "nameless", "without an id"],
)
def test_by_any_two_ways_it_is_one_report(
    engine: sa.Engine, ways: Ways, report: dict[str, Any], expected: list[tuple[str, int, int]]
) -> None:
    for number, (way, other) in enumerate(itertools.permutations(ways, 2)):
        # A day of its own for each pair: the same database serves all.
        day = f"2026-{number // 28 + 1:02}-{number % 28 + 1:02}"
        copy = report_json(*report["policies"], day=day, report_id=report["report-id"].replace("2026-03-14", day))
        tally = keep(engine, [ways[way](copy), ways[other](copy)])
        assert (tally.stored, tally.duplicate) == (1, 1), (way, other)
    counted = sums(engine)
    unknown = [row for row in counted if row[0] == ""]
    assert [row for row in counted if row[0]] == expected * (20 - len(unknown))
    # Where nothing names the domain: two ways without a header, or only one that is trusted less than the file.
    assert len(unknown) == (4 if report["report-id"] == "no domain in it" else 0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda report: report["policies"].reverse(), "the order of entries"),
        (lambda report: report["policies"][0]["failure-details"].reverse(), "the order of details"),
        (
            lambda report: report["policies"][0]["policy"].update({"mx-host": "", "policy-string": "version: STSv1"}),
            "a policy's text",
        ),
        (
            lambda report: report["policies"][0]["failure-details"][0].update({"additional-information": ""}),
            "an empty member",
        ),
        (lambda report: report["policies"][1]["summary"].pop("total-failure-session-count"), "a count of zero"),
        (lambda report: report.update({"x-tool": 1}), "a member of a tool"),
        (lambda report: report["date-range"].update({"end-datetime": "2026-03-15T00:00:00Z"}), "the next midnight"),
    ],
)
def test_a_rewritten_copy_is_a_copy(
    engine: sa.Engine, ways: Ways, change: Callable[[dict[str, Any]], None], why: str
) -> None:
    whole = report_json(
        entry(3, 2, detail(sessions=1), detail("starttls-not-supported")), entry(1, 0, policy_type="tlsa")
    )
    rewritten = json.loads(json.dumps(whole))
    change(rewritten)
    tally = keep(engine, [ways["signed mail"](whole), ways["saved attachment"](rewritten)])
    assert (tally.stored, tally.duplicate) == (1, 1), why
    assert sums(engine) == [("receiver.example", 4, 2)]


def test_a_constant_id_is_told_apart_by_its_range(engine: sa.Engine, ways: Ways) -> None:
    days = [report_json(entry(5), day=f"2026-03-{day}", report_id="always") for day in (10, 11, 12)]
    assert keep(engine, map(ways["signed mail"], days)).stored == 3
    assert sums(engine) == [("receiver.example", 5, 0)] * 3


def test_other_senders_with_one_id_are_other_reports(engine: sa.Engine, ways: Ways) -> None:
    """Stalwart: an id of time and hash, the same from different servers on one day; no contact address."""
    reports = [
        report_json(entry(1), organization_name=name, contact_info=None) for name in ("mx.a.example", "mx.b.example")
    ]
    assert keep(engine, map(ways["saved attachment"], reports)).stored == 2
    assert sums(engine) == [("receiver.example", 1, 0)] * 2


def test_an_unsigned_header_names_no_domain_of_a_verified_report(
    engine: sa.Engine, ways: Ways, settings: Settings
) -> None:
    message = mail(report_json(NAMELESS, report_id="x"), domain="victim.example")
    message = message.replace(b"!victim.example!", b"-")
    decoded = intake.decode_mail(message, trace.Arrival(channels.SMTP, CAME, "x"), settings)
    assert keep(engine, [submitted(decoded, UNCOVERED)]).stored == 1
    assert sums(engine) == [("", 5, 0)]


OF_THE_FIELD = {
    "twice-counted-no-domain": [("nopol.example", 5, 0)],
    "tlsa-dropped-beside-sts": [(3, 1), (9, 0), (13, 3)],
}


@pytest.mark.skipif(not FIELD.exists(), reason="needs the inputs from the field beside the checkout")
def test_what_went_wrong_in_the_field(engine: sa.Engine, settings: Settings) -> None:
    def load(folder: str) -> list[Submission]:
        loaded = []
        for path in sorted((FIELD / folder).iterdir()):
            arrival = trace.Arrival(channels.LOAD, CAME, trace.digest(path.read_bytes()))
            if path.suffix == ".eml":
                decoded: object = intake.decode_mail(path.read_bytes(), arrival, settings)
            elif path.name != "README":
                decoded = intake.decode_file(path.read_bytes(), path.name, arrival, settings)
            else:
                continue
            loaded.append(submitted(decoded, Authentication(UNSIGNED)))
        return loaded

    assert keep(engine, load("twice-counted-no-domain")).stored == 1
    assert sums(engine) == OF_THE_FIELD["twice-counted-no-domain"]
    keep(engine, load("tlsa-dropped-beside-sts"))
    assert (
        sorted(row[1:] for row in sums(engine) if row[0] != "nopol.example") == OF_THE_FIELD["tlsa-dropped-beside-sts"]
    )


def test_two_workers_with_a_copy_each_see_each_other(postgresql_server: str, ways: Ways) -> None:
    """Both write at the same time: without a lock neither would see the other's row, and both would count. The report quotes no
    policy: the row of a common policy text would hold up the second one anyway.
    """
    report = report_json(entry(7, 2, policy_string=...))
    url = create_database(postgresql_server)
    upgrades.migrate(url)
    engine = engines.open_engine(url)
    with concurrent.futures.ThreadPoolExecutor() as pool, engine.begin() as connection:
        saving.save(connection, [ways["signed mail"](report)], NOW)
        other = pool.submit(keep, engine, [ways["upload"](report)])
        with pytest.raises(concurrent.futures.TimeoutError):
            other.result(0.5)
        connection.commit()
        assert other.result(20).duplicate == 1
    assert sums(engine) == [("receiver.example", 7, 2)]
    engine.dispose()
