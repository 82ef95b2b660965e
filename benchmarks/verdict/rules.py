"""Three simple rules of others, fed from the same rows. None asks who signed a report; none waits for late ones."""

import datetime as dt
from typing import Any

import numpy as np
import sqlalchemy as sa

from ingest.models import failure_detail, policy_entry, report

DAYS = 14
NO_STS, SUCCESS, WAITING = "no sts-* failures", "success above 99 %", "14 days in testing"
NAMES = (NO_STS, SUCCESS, WAITING)

Array = np.ndarray[Any, Any]


class Others:
    """One domain's entries as plain columns: day and day of arrival (ordinals), counts, and whether testing was quoted."""

    def __init__(self, rows: list[Any]) -> None:
        columns = list(zip(*rows, strict=True)) if rows else [(), (), (), (), (), ()]
        self._day, self._came, self._ok, self._failed, self._sts = (np.array(one, np.int64) for one in columns[:5])
        self._testing = np.array(columns[5], bool)

    def ready(self, on: dt.date) -> dict[str, bool]:
        """What each rule says to "may it enforce?" at the end of a day."""
        waited = on.toordinal() - DAYS
        arrived = self._came <= on.toordinal()
        began = bool((self._day[arrived] <= waited).any())
        tested = bool((self._day[arrived & self._testing] <= waited).any())
        alarm = self.alarm(on)
        return {NO_STS: began and not alarm[NO_STS], SUCCESS: began and not alarm[SUCCESS], WAITING: tested}

    def alarm(self, on: dt.date) -> dict[str, bool]:
        """Whether a rule says that something is wrong. The third never looks."""
        lately = (self._came <= on.toordinal()) & (self._day >= on.toordinal() - DAYS)
        ok, failed = int(self._ok[lately].sum()), int(self._failed[lately].sum())
        low = ok + failed == 0 or ok / (ok + failed) <= 0.99
        return {NO_STS: bool(self._sts[lately].any()), SUCCESS: low, WAITING: False}


def read(engine: sa.Engine, domains: list[str]) -> dict[str, Others]:
    """The rows of each domain, whoever sent them."""
    entry, said, detail = policy_entry.c, report.c, failure_detail.c
    same = (entry.policy_domain == said.policy_domain) & (entry.report_key == said.report_key)
    of_entry = (detail.policy_domain == entry.policy_domain) & (detail.report_key == entry.report_key)
    sts = sa.func.coalesce(
        sa.select(sa.func.sum(detail.failed_sessions))
        .where(of_entry, detail.entry_position == entry.position, detail.result_type.like("sts-%"))
        .scalar_subquery(),
        0,
    )
    query = (
        sa.select(said.policy_domain, said.day, said.received_at, entry.successful_sessions, entry.failed_sessions)
        .add_columns(sts.label("sts"), entry.policy_mode)
        .select_from(report.join(policy_entry, same))
        .where(said.policy_domain.in_(domains))
    )
    rows: dict[str, list[Any]] = {domain: [] for domain in domains}
    with engine.connect() as connection:
        for row in connection.execute(query):
            came = row.received_at.date().toordinal()
            counts = row.successful_sessions or 0, row.failed_sessions or 0, row.sts
            rows[row.policy_domain].append((row.day.toordinal(), came, *counts, row.policy_mode == "testing"))
    return {domain: Others(members) for domain, members in rows.items()}
