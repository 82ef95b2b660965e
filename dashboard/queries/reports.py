"""One report with everything under it (``report_pages``: the list of them)."""

from typing import Any

import pandas as pd
import sqlalchemy as sa

from ingest.database import copies
from ingest.database.joins import OF_TEXT
from ingest.database.models import delivery, domain_trust, failure_detail, policy_entry, policy_text, raw_report, report

from .domain import LONGEST_POLICY
from .frames import COUNT, DAY, FLAG, INSTANT, TEXT, inflate, read, read_number, shortened
from .question import Scope

_ONCE = ("successful_sessions", "failed_sessions")
_COUNTS = (*_ONCE, "refused_sessions")


def any_report(engine: sa.Engine, scope: Scope) -> bool:
    """Whether there is a report at all (that the user may see)."""
    domain = domain_trust.c.policy_domain
    first_domain = sa.select(sa.literal(1)).select_from(domain_trust).where(scope.allows(domain)).limit(1)
    return bool(read_number(engine, sa.select(sa.func.count()).select_from(first_domain.subquery())))


def one_report(engine: sa.Engine, scope: Scope, domain: str, key: str) -> pd.DataFrame:
    """A report's own fields; no row when there is no such report (that the user may see).

    Columns: those of the table ``report``; extra and defects are JSON or missing; shared (flag) says that the report speaks
    about other domains too. What it says about all of them at once is then shown only to who may see everything.
    """
    row = report.c
    shared = row.raw_domains > 1
    expressions: dict[str, sa.ColumnElement[Any]] = {name: shortened(row[name]) for name in ("contact_info", "extra")}
    if not scope.is_everything:
        for name in ("extra", "defects"):
            expressions[name] = sa.case((shared, sa.null()), else_=expressions.get(name, row[name])).label(name)
        expressions |= {
            "raw_domain": row.policy_domain.label("raw_domain"),
            "raw_domains": sa.null().label("raw_domains"),
        }
    expressions |= {name: copies.once(name, domain) for name in _ONCE}
    columns = [expressions.get(column.name, column) for column in row]
    query = sa.select(*columns, shared.label("shared")).where(*_is(report, scope, domain, key))
    return read(engine, query, {column.name: _kind(column) for column in report.columns} | {"shared": FLAG})


def _kind(column: sa.Column[Any]) -> str:
    if isinstance(column.type, sa.Integer):
        return COUNT
    if isinstance(column.type, sa.Boolean):
        return FLAG
    if isinstance(column.type, sa.Date):
        return DAY
    return INSTANT if isinstance(column.type, sa.types.TypeDecorator) else TEXT


def entries(engine: sa.Engine, scope: Scope, domain: str, key: str, *, limit: int = 200) -> pd.DataFrame:
    """The policy entries of a report, in its order.

    Columns: position, policy_type, policy_mode, text (the policy as quoted, missing without), mx_hosts (JSON), the three
    session counts, unexplained_sessions, extra (JSON).
    """
    entry, text = policy_entry.c, policy_text.c
    query = (
        sa.select(
            entry.position,
            entry.policy_type,
            entry.policy_mode,
            shortened(text.text, LONGEST_POLICY),
            shortened(entry.mx_hosts),
            *(entry[name] for name in (*_COUNTS, "unexplained_sessions")),
            shortened(entry.extra),
        )
        .select_from(policy_entry.outerjoin(policy_text, OF_TEXT))
        .where(*_is(policy_entry, scope, domain, key))
        .order_by(entry.position)
        .limit(limit)
    )
    columns = {"position": COUNT, "policy_type": TEXT, "policy_mode": TEXT, "text": TEXT, "mx_hosts": TEXT}
    return read(engine, query, columns | dict.fromkeys((*_COUNTS, "unexplained_sessions"), COUNT) | {"extra": TEXT})


_DETAIL_TEXTS = (
    "sending_mta_ip",
    "receiving_mx_hostname",
    "receiving_mx_helo",
    "receiving_ip",
    "failure_reason_code",
    "additional_information",
    "extra",
)


def count_details(engine: sa.Engine, scope: Scope, domain: str, key: str) -> int:
    """How many failure details a report has (about this domain)."""
    counted = sa.select(sa.func.count()).select_from(failure_detail)
    return read_number(engine, counted.where(*_is(failure_detail, scope, domain, key)))


def details(engine: sa.Engine, scope: Scope, domain: str, key: str, *, limit: int, offset: int = 0) -> pd.DataFrame:
    """Failure details in the report's order.

    Columns: entry_position, position, result_type, failed_sessions, refused, sending_mta_ip, receiving_mx_hostname,
    receiving_mx_helo, receiving_ip, failure_reason_code, additional_information, extra (JSON).
    """
    detail = failure_detail.c
    names = ("entry_position", "position", "result_type", "failed_sessions", "refused")
    query = (
        sa.select(*(detail[name] for name in names), *(shortened(detail[name]) for name in _DETAIL_TEXTS))
        .where(*_is(failure_detail, scope, domain, key))
        .order_by(detail.entry_position, detail.position)
        .limit(limit)
        .offset(offset)
    )
    columns = {"entry_position": COUNT, "position": COUNT, "result_type": TEXT, "failed_sessions": COUNT}
    return read(engine, query, columns | {"refused": FLAG} | dict.fromkeys(_DETAIL_TEXTS, TEXT))


def deliveries(engine: sa.Engine, scope: Scope, domain: str, key: str, *, limit: int = 100) -> pd.DataFrame:
    """Every way a report came, first one first: the evidence behind its trust.

    Columns: received_at, arrival_estimated, door, trust, dkim, dkim_reason, signer, selector, key_record, sender, submitter,
    message_digest.
    """
    row = delivery.c
    texts = ("dkim_reason", "key_record", "sender", "submitter")
    names = (
        "received_at",
        "arrival_estimated",
        "door",
        "trust",
        "dkim",
        *texts,
        "signer",
        "selector",
        "message_digest",
    )
    query = (
        sa.select(*(shortened(row[name]) if name in texts else row[name] for name in names))
        .where(*_is(delivery, scope, domain, key))
        .order_by(row.received_at, row.delivery_key)
        .limit(limit)
    )
    return read(engine, query, {"received_at": INSTANT, "arrival_estimated": FLAG} | dict.fromkeys(names[2:], TEXT))


def copies_of(engine: sa.Engine, scope: Scope, domain: str, key: str, same_id: str) -> pd.DataFrame:
    """Other stored reports about the domain with the same id and range: copies, contradictions, other senders' and forgeries.

    Columns: report_key, organization, trust, signer, received_at, successful_sessions, failed_sessions, refused_sessions,
    counts, accuses, contradicted (flags).
    """
    row = report.c
    names = ("report_key", "organization", "trust", "signer", "received_at")
    flags = ("counts", "accuses", "contradicted")
    query = (
        sa.select(*(row[name] for name in names), *(copies.once(name, domain) for name in _ONCE), row.refused_sessions)
        .add_columns(*(row[name] for name in flags))
        .where(row.policy_domain == domain, row.same_id == same_id, row.report_key != key)
        .where(scope.allows(row.policy_domain))
        .order_by(row.received_at, row.report_key)
        .limit(100)
    )
    columns = dict.fromkeys(names[:-1], TEXT) | {"received_at": INSTANT}
    return read(engine, query, columns | dict.fromkeys(_COUNTS, COUNT) | dict.fromkeys(flags, FLAG))


def raw_size(engine: sa.Engine, scope: Scope, domain: str, key: str) -> pd.DataFrame:
    """The kept raw report. Columns: size (bytes), stored_at; no row once it is pruned, nor for who may not see it."""
    row = raw_report.c
    query = sa.select(row.size, row.stored_at).where(_is_raw_of(engine, scope, domain, key))
    return read(engine, query, {"size": COUNT, "stored_at": INSTANT})


def raw_document(engine: sa.Engine, scope: Scope, domain: str, key: str, *, longest: int | None = None) -> bytes | None:
    """The report as it was read (JSON text), or its first ``longest`` bytes; None once it is pruned.

    A report about several domains is given only to who may see everything.
    """
    query = sa.select(raw_report.c.document).where(_is_raw_of(engine, scope, domain, key))
    with engine.connect() as connection:
        document = connection.execute(query).scalar_one_or_none()
    return None if document is None else inflate(document, longest)


def _whole(scope: Scope) -> sa.ColumnElement[bool]:
    """The condition on reports whose whole text the user may see."""
    return sa.true() if scope.is_everything else report.c.raw_domains == 1


def _is_raw_of(engine: sa.Engine, scope: Scope, domain: str, key: str) -> sa.ColumnElement[bool]:
    """The condition on the raw report, which lies with the first domain that the report is about: on Citus perhaps on another
    server than the report's row, so the two are no join.
    """
    home = sa.select(report.c.raw_domain).where(*_is(report, scope, domain, key), _whole(scope))
    with engine.connect() as connection:
        # Without such a report it is NULL, which no domain equals.
        first_domain = sa.literal(connection.scalar(home), report.c.raw_domain.type)
    return sa.and_(raw_report.c.policy_domain == first_domain, raw_report.c.report_key == key)


def _is(table: sa.Table, scope: Scope, domain: str, key: str) -> list[sa.ColumnElement[bool]]:
    row = table.c
    return [row.policy_domain == domain, row.report_key == key, scope.allows(row.policy_domain)]
