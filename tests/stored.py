"""Puts reports into a database the way the program does: intake, then store, with the trust that the test asks for."""

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest import intake
from ingest.authentication.verdict import Authentication
from ingest.settings.settings import Settings
from ingest.spool import channels, trace
from ingest.store import saving
from ingest.store.saving import Tally
from ingest.submissions import Decoded, Quarantined, Submission
from ingest.testimony.trust import IMPORTED, UNAUTHENTICATED, UNSIGNED, VERIFIED

from . import reports

NOW = dt.datetime(2026, 3, 16, 12, tzinfo=dt.UTC)
SIGNED = Authentication(VERIFIED, "", "sender.example", "s1", "v=DKIM1; p=abc")
NOT_SIGNED = Authentication(UNSIGNED)


def submission(
    report: dict[str, Any] | bytes,
    settings: Settings,
    *,
    trust: str = VERIFIED,
    arrived_at: dt.datetime = reports.CAME,
    signer: str = SIGNED.signer,
) -> Submission:
    """A report (or the mail around it) as a submission that ends with ``trust``, signed by ``signer`` if it is verified.

    Nothing is stored.
    """
    door = {IMPORTED: channels.LOAD, UNAUTHENTICATED: channels.HTTPS}.get(trust, channels.SMTP)
    message = reports.mail(report) if isinstance(report, dict) else report
    decoded = intake.decode_mail(message, trace.Arrival(door, arrived_at, trace.digest(message)), settings)
    assert isinstance(decoded, Decoded), decoded.explanation
    signed = msgspec.structs.replace(SIGNED, signer=signer)
    submitted = _authenticated(decoded, signed if trust == VERIFIED else NOT_SIGNED)
    assert submitted.trust == trust
    return submitted


def store_reports(engine: sa.Engine, submissions: Iterable[Submission | Quarantined]) -> Tally:
    """Write a batch in one transaction."""
    with engine.begin() as connection:
        return saving.save(connection, list(submissions), NOW)


def store_report(
    engine: sa.Engine,
    report: dict[str, Any] | bytes,
    settings: Settings,
    *,
    trust: str = VERIFIED,
    arrived_at: dt.datetime = reports.CAME,
) -> Tally:
    """Store one report, trusted as ``trust`` says."""
    return store_reports(engine, [submission(report, settings, trust=trust, arrived_at=arrived_at)])


def store_file(
    engine: sa.Engine,
    data: bytes | dict[str, Any],
    settings: Settings,
    *,
    name: str = "report.json",
    door: str = channels.LOAD,
    authentication: Authentication = NOT_SIGNED,
    arrived_at: dt.datetime = reports.CAME,
) -> Tally:
    """Store a file, whatever it is: a mail when ``name`` ends in .eml, else a bare report. Quarantines what cannot be read."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    arrival = trace.Arrival(door, arrived_at, trace.digest(raw))
    if name.endswith(".eml"):
        decoded = intake.decode_mail(raw, arrival, settings)
    else:
        decoded = intake.decode_file(raw, name, arrival, settings)
    ready = decoded if isinstance(decoded, Quarantined) else _authenticated(decoded, authentication)
    return store_reports(engine, [ready])


def _authenticated(decoded: Decoded, verdict: Authentication) -> Submission:
    return intake.authenticated(decoded, lambda _message, _now: verdict)
