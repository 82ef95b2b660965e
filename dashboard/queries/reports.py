"""Reports: a filtered list, paged in SQL, and one report with everything under it."""

from typing import Any

import msgspec
import pandas as pd
import sqlalchemy as sa

from ingest.database.joins import OF_ENTRY, OF_TEXT, of_report
from ingest.database.models import delivery, failure_detail, policy_entry, policy_text, raw_report, report
from ingest.rfc.result_types import UNEXPLAINED
from ingest.testimony.trust import TRUST_ORDER

from . import copies
from .domain import LONGEST_POLICY
from .frames import COUNT, DAY, FLAG, INSTANT, SUM, TEXT, inflate, read, read_number, shortened
from .question import ALL_DAYS, DayRange, Scope

_ONCE = ("successful_sessions", "failed_sessions")
_COUNTS = (*_ONCE, "refused_sessions")


class FailureCell(msgspec.Struct, frozen=True):
    """What a number in a table of failures stands for: reports with such a failure under such a policy."""

    result_type: str
    policy_type: str
    mx: str | None = None


class ReportFilter(msgspec.Struct, frozen=True):
    """Which reports. ``domain`` is exact, or ``*.example.com`` for all below it; ``reporter`` is a part of the name,
    or with double quotes around it the whole name.

    ``cause`` needs a ``domain``: it is answered from that domain's failure details.
    """

    domain: str | None = None
    reporter: str = ""
    window: DayRange = ALL_DAYS
    trusts: tuple[str, ...] = TRUST_ORDER
    only_failures: bool = False
    cause: FailureCell | None = None


def any_report(engine: sa.Engine, scope: Scope) -> bool:
    """Whether there is a report at all (that the user may see)."""
    first_report = sa.select(sa.literal(1)).select_from(report).where(scope.allows(report.c.policy_domain)).limit(1)
    return bool(read_number(engine, sa.select(sa.func.count()).select_from(first_report.subquery())))


def count_reports(engine: sa.Engine, scope: Scope, wanted: ReportFilter, at_most: int) -> int:
    """How many reports there are; counting stops at ``at_most``, which bounds its cost."""
    matching = _matching(wanted)
    limited = sa.select(sa.literal(1)).select_from(_source(matching)).where(*_conditions(scope, wanted)).limit(at_most)
    return read_number(engine, sa.select(sa.func.count()).select_from(limited.subquery()))


def list_reports(engine: sa.Engine, scope: Scope, wanted: ReportFilter, *, limit: int, offset: int = 0) -> pd.DataFrame:
    """Reports, newest day first.

    Columns: policy_domain, report_key, day, organization, report_id, trust, signer, door, received_at, successful_sessions,
    failed_sessions, refused_sessions (none counted twice; missing when the report has no count), long_range, defective,
    contradicted (flags), matching_sessions (failed sessions of the filter's cause; missing without one). Copies that another
    row stands for are left out.
    """
    row = report.c
    matching = _matching(wanted)
    one_domain = None if wanted.domain is None or _is_pattern(wanted.domain) else wanted.domain
    query = (
        sa.select(
            *(row[name] for name in ("policy_domain", "report_key", "day", "organization", "report_id", "trust")),
            *(row[name] for name in ("signer", "door", "received_at")),
            *(copies.once(name, one_domain) for name in _ONCE),
            *(row.refused_sessions, row.long_range),
            row.defects.is_not(None).label("defective"),
            row.contradicted,
            (sa.null() if matching is None else matching.c.sessions).label("matching_sessions"),
        )
        .select_from(_source(matching))
        .where(*_conditions(scope, wanted))
        .order_by(row.day.desc(), row.received_at.desc(), row.policy_domain, row.report_key)
        .limit(limit)
        .offset(offset)
    )
    columns = dict.fromkeys(("policy_domain", "report_key"), TEXT) | {"day": DAY}
    columns |= dict.fromkeys(("organization", "report_id", "trust", "signer", "door"), TEXT) | {"received_at": INSTANT}
    columns |= dict.fromkeys(_COUNTS, COUNT) | dict.fromkeys(("long_range", "defective", "contradicted"), FLAG)
    return read(engine, query, columns | {"matching_sessions": SUM})


def _source(matching: sa.Subquery | None) -> sa.FromClause:
    if matching is None:
        return report
    return report.join(matching, of_report(matching))


def _matching(wanted: ReportFilter) -> sa.Subquery | None:
    """The reports with the wanted cause, and their failed sessions of it."""
    cause = wanted.cause
    if cause is None:
        return None
    if wanted.domain is None:
        raise ValueError("a cause without a domain would read the failures of all domains")
    entry, detail = policy_entry.c, failure_detail.c
    where = [entry.policy_domain == wanted.domain, entry.policy_type == cause.policy_type]
    if cause.result_type == UNEXPLAINED:
        source: sa.FromClause = policy_entry
        where.append(entry.unexplained_sessions > 0)
        sessions: sa.ColumnElement[Any] = entry.unexplained_sessions
    else:
        source = policy_entry.join(failure_detail, OF_ENTRY)
        where.append(detail.result_type == cause.result_type)
        if cause.mx is not None:
            where.append(sa.func.substr(detail.receiving_mx_hostname, 1, 254) == cause.mx)
        sessions = sa.func.coalesce(detail.failed_sessions, 0)
    return (
        sa.select(
            entry.policy_domain,
            entry.report_key,
            sa.func.sum(sa.cast(sessions, sa.Double)).label("sessions"),
        )
        .select_from(source)
        .where(*where)
        .group_by(entry.policy_domain, entry.report_key)
        .subquery("matching")
    )


def _conditions(scope: Scope, wanted: ReportFilter) -> list[sa.ColumnElement[bool]]:
    row = report.c
    conditions = [scope.allows(row.policy_domain), wanted.window.holds(row.day), copies.LISTED]
    if wanted.domain is not None:
        asked = Scope((wanted.domain,)).allows(row.policy_domain) if _is_pattern(wanted.domain) else None
        conditions.append(row.policy_domain == wanted.domain if asked is None else asked)
    if wanted.reporter:
        conditions.append(_named(wanted.reporter))
    if set(wanted.trusts) != set(TRUST_ORDER):
        conditions.append(row.trust.in_(wanted.trusts))
    if wanted.only_failures:
        entry = policy_entry.c
        conditions.append(sa.exists().where(of_report(policy_entry), entry.failed_sessions > 0))
    return conditions


def _is_pattern(domain: str) -> bool:
    return domain.startswith("*.")


def exactly(name: str) -> str:
    """A reporter's name for ``ReportFilter.reporter``, when nothing but the whole name is meant."""
    return f'"{name}"'


def _named(reporter: str) -> sa.ColumnElement[bool]:
    if len(reporter) > 1 and reporter[0] == reporter[-1] == '"':
        return report.c.organization == reporter[1:-1]
    return report.c.organization.icontains(reporter, autoescape=True)


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
