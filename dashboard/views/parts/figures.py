"""From the tables of ``queries`` to what a page says: sums, the heat table, causes in order. Pure pandas, no page and no SQL."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pandas as pd

from dashboard.queries.question import TRUSTED, UNPROVEN, DayRange
from dashboard.words import wording
from ingest.rfc.policy_types import NO_POLICY_FOUND, STS, TLSA
from ingest.rfc.result_types import DANE_ONLY, POLICY_UNUSABLE, REFUSED, kind_of
from ingest.rfc.tlsrpt.fields import Defect


class Sessions(msgspec.Struct, frozen=True):
    """Sums of sessions of one policy type."""

    successful: float = 0.0
    failed: float = 0.0
    refused: float = 0.0

    @property
    def total(self) -> float:
        """All sessions."""
        return self.successful + self.failed


def sessions_of(rows: pd.DataFrame, lane: str, policy_type: str) -> Sessions:
    """The sums of one lane and policy type; ``rows`` has lane, policy_type and the three session columns."""
    chosen = rows[(rows["lane"] == lane) & (rows["policy_type"] == policy_type)]
    return Sessions(*(float(chosen[f"{name}_sessions"].sum()) for name in ("successful", "failed", "refused")))


def heard_of(reporters: pd.DataFrame, lane: str) -> tuple[int, int]:
    """Domains and reporters of one lane; ``reporters`` are the rows of ``fleet.reporter_counts``."""
    chosen = reporters[reporters["lane"] == lane]
    return int(chosen["domains"].sum()), int(chosen["reporters"].sum())


def counted_apart(totals: pd.DataFrame, reporters: pd.DataFrame) -> list[str]:
    """Sentences about what the main figures leave out: other policy types, and reports that nothing vouches for."""
    dane, nothing = sessions_of(totals, TRUSTED, TLSA), sessions_of(totals, TRUSTED, NO_POLICY_FOUND)
    known = totals["policy_type"].isin([STS, TLSA, NO_POLICY_FOUND])
    others = totals[(totals["lane"] == TRUSTED) & ~known]
    other = float(others["successful_sessions"].sum() + others["failed_sessions"].sum())
    parts = [_counts("under DANE", dane)] if dane.total else []
    parts += [_counts("without a policy", nothing)] if nothing.total else []
    parts += [f"{wording.sessions(other)} under other policy types"] if other else []
    sentences = [f"Counted apart: {'; '.join(parts)}."] if parts else []
    domains, unknown = heard_of(reporters, UNPROVEN)
    if domains:
        unproven = sessions_of(totals, UNPROVEN, STS)
        sentences.append(
            f"Not counted, because nothing vouches for them: reports of {unknown:,} reporters about {domains:,} "
            f"{'domain' if domains == 1 else 'domains'} ({_counts('under MTA-STS', unproven)})."
        )
    return sentences


def _counts(which: str, of: Sessions) -> str:
    return f"{wording.sessions(of.total)} sessions {which}, {wording.sessions(of.failed)} failed"


def within(days: pd.DataFrame, window: DayRange) -> pd.DataFrame:
    """The rows of ``days`` (with a column day) inside a window."""
    inside = pd.Series(data=True, index=days.index)
    if window.since:
        inside &= days["day"] >= pd.Timestamp(window.since)
    if window.until:
        inside &= days["day"] <= pd.Timestamp(window.until)
    return days[inside]


def policy_types(days: pd.DataFrame, lane: str, most: int) -> list[str]:
    """The policy types of a lane, MTA-STS first, then by sessions; at most ``most``, because senders invent words."""
    chosen = days[days["lane"] == lane]
    sums = (chosen["successful_sessions"] + chosen["failed_sessions"]).groupby(chosen["policy_type"]).sum()
    order = sorted(sums.index, key=lambda name: (name != STS, name not in wording.POLICY_TYPES, -sums[name], name))
    return order[:most] or [STS]


class Heat(msgspec.Struct, frozen=True):
    """Failed sessions by result type (rows) and MX host (columns ``mx0``, ``mx1``...: names are not to be trusted as keys).

    ``result_types`` and ``mx_hosts`` are what rows and columns stand for; ``left_out`` counts hosts beyond the last column.
    """

    table: pd.DataFrame
    result_types: Sequence[str]
    mx_hosts: Sequence[str]
    left_out: int


def heat(causes: pd.DataFrame, types: pd.DataFrame, most_mx: int) -> Heat:
    """The heat table from ``domain.causes`` and ``domain.result_types``, the most sessions first in both directions."""
    by_mx = causes.groupby("mx")["failed_sessions"].sum().sort_values(ascending=False, kind="stable")
    hosts, codes = list(by_mx.index[:most_mx]), list(types["result_type"])
    grid = causes.pivot_table(index="result_type", columns="mx", values="failed_sessions", aggfunc="sum")
    grid = grid.reindex(index=codes, columns=hosts)
    grid.columns = pd.Index([f"mx{number}" for number in range(len(hosts))])
    return Heat(grid.reset_index(drop=True), codes, hosts, len(by_mx) - len(hosts))


class ResultTypeFigures(msgspec.Struct, frozen=True):
    """One result type of a domain in a window. ``heard_by`` of ``of_reporters`` reporters saw it, on ``mx_hosts``."""

    code: str
    words: wording.ResultTypeWords
    consequence: str
    failed: float
    refused: float
    heard_by: int
    of_reporters: int
    first_day: pd.Timestamp
    last_day: pd.Timestamp
    mx_hosts: Sequence[str]


_URGENCY = (DANE_ONLY, REFUSED, POLICY_UNUSABLE)


def causes_in_order(causes: pd.DataFrame, types: pd.DataFrame, of_reporters: int) -> list[ResultTypeFigures]:
    """What failed, what is refused today first, then what would be, then what blocks the switch; each by its sessions."""
    failed = [_cause(row, causes, of_reporters) for row in types.to_dict("records")]
    return sorted(failed, key=lambda cause: (_URGENCY.index(cause.consequence), -cause.refused, -cause.failed))


def _cause(row: dict[Any, Any], causes: pd.DataFrame, of_reporters: int) -> ResultTypeFigures:
    hosts = causes.loc[(causes["result_type"] == row["result_type"]) & (causes["mx"] != ""), "mx"]
    return ResultTypeFigures(
        row["result_type"],
        wording.result_type(row["result_type"]),
        kind_of(row["result_type"]).consequence,
        row["failed_sessions"],
        row["refused_sessions"],
        int(row["reporters"]),
        of_reporters,
        row["first_day"],
        row["last_day"],
        list(hosts),
    )


def reporters_of(reporters: pd.DataFrame, trusts: Sequence[str]) -> int:
    """How many organisations of ``domain.reporters`` are trusted so."""
    return int(reporters.loc[reporters["trust"].isin(trusts), "organization"].nunique())


def quoted_by(policy: dict[Any, Any], quotes: pd.DataFrame) -> list[str]:
    """The organisations that quoted a policy; ``quotes`` is that of ``domain.policy_reporters``."""
    digest = policy["policy_digest"]
    same_text = quotes["policy_digest"].isna() if pd.isna(digest) else quotes["policy_digest"] == digest
    return list(quotes.loc[same_text & (quotes["policy_type"] == policy["policy_type"]), "organization"])


def listed(text: str) -> list[str]:
    """The texts in a JSON list from the database; none when it is cut or no list."""
    try:
        return [str(member) for member in msgspec.json.decode(text, type=list[Any])]
    except msgspec.MsgspecError:
        return []


def defects(text: str) -> pd.DataFrame:
    """The noted defects of a report (JSON from the table ``report``). Columns: where, what, value."""
    noted = msgspec.json.decode(text, type=list[Defect])
    return pd.DataFrame(
        {name: pd.Series([getattr(d, name) for d in noted], dtype="str") for name in ("where", "what", "value")}
    )


def indented(text: bytes) -> bytes:
    """A JSON text with its members on lines of their own; what is no JSON (or only its beginning) as it is."""
    try:
        return msgspec.json.format(text, indent=2)
    except (msgspec.MsgspecError, RecursionError):
        return text
