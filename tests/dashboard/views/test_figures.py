"""From tables to what a page says."""

import datetime as dt

import pandas as pd
import pytest

from dashboard.queries.question import ALL_DAYS, TRUSTED, UNPROVEN, DayRange
from dashboard.views.parts import charts, figures


def totals(*rows: tuple[str, str, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        rows, columns=["lane", "policy_type", "successful_sessions", "failed_sessions", "refused_sessions"]
    )


def causes(*rows: tuple[str, str, float, float, int]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["result_type", "mx", "failed_sessions", "refused_sessions", "reporters"])
    return frame.assign(first_day=pd.Timestamp("2026-03-01"), last_day=pd.Timestamp("2026-03-02"))


def test_lanes_and_policy_types_are_never_added() -> None:
    rows = totals((TRUSTED, "sts", 10, 2, 1), (TRUSTED, "tlsa", 10, 2, 0), (UNPROVEN, "sts", 500, 400, 300))
    of = figures.sessions_of(rows, TRUSTED, "sts")
    assert (of.total, of.failed, of.refused) == (12, 2, 1)


def test_a_lane_without_rows_is_zero() -> None:
    assert figures.sessions_of(totals(), TRUSTED, "sts").total == 0


def test_what_is_counted_apart_is_said() -> None:
    rows = totals((TRUSTED, "tlsa", 7, 1, 0), (TRUSTED, "no-policy-found", 3, 0, 0), (TRUSTED, "new", 5, 0, 0))
    reporters = pd.DataFrame({"lane": [TRUSTED], "domains": [1], "reporters": [2]})
    assert figures.counted_apart(rows, reporters) == [
        "Counted apart: 8 sessions under DANE, 1 failed; 3 sessions without a policy, 0 failed; 5 under other policy types."
    ]


def test_unproven_reports_are_named_as_such() -> None:
    reporters = pd.DataFrame({"lane": [UNPROVEN], "domains": [1], "reporters": [2]})
    (sentence,) = figures.counted_apart(totals((UNPROVEN, "sts", 0, 5000, 5000)), reporters)
    assert sentence.startswith("Not counted, because nothing vouches for them: reports of 2 reporters about 1 domain")
    assert "5,000 failed" in sentence


@pytest.mark.parametrize(
    ("window", "count"),
    [
        (ALL_DAYS, 3),
        (DayRange(dt.date(2026, 3, 2), None), 2),
        (DayRange(dt.date(2026, 3, 2), dt.date(2026, 3, 2)), 1),
        (DayRange(None, dt.date(2026, 3, 2)), 2),
    ],
)
def test_days_within_a_window(window: DayRange, count: int) -> None:
    days = pd.DataFrame({"day": pd.to_datetime(["2026-03-01", "2026-03-02", "2026-03-03"])})
    assert len(figures.within(days, window)) == count


def test_mta_sts_comes_first_and_invented_types_last() -> None:
    rows = totals(
        (TRUSTED, "zzz", 9000, 0, 0), (TRUSTED, "tlsa", 50, 0, 0), (TRUSTED, "sts", 1, 0, 0), (TRUSTED, "", 0, 0, 0)
    )
    assert figures.policy_types(rows, TRUSTED, 6) == ["sts", "tlsa", "", "zzz"]


def test_a_forger_cannot_fill_the_page_with_policy_types() -> None:
    rows = totals(*((UNPROVEN, f"type{number}", 1, 0, 0) for number in range(500)))
    assert len(figures.policy_types(rows, UNPROVEN, 6)) == 6


def test_the_heat_table_has_the_worst_first_in_both_directions() -> None:
    host_causes = causes(
        ("certificate-expired", "mx2", 5, 5, 1),
        ("certificate-expired", "mx1", 9, 9, 1),
        ("validation-failure", "mx2", 20, 20, 1),
    )
    types = causes(("validation-failure", "", 20, 20, 1), ("certificate-expired", "", 14, 14, 1)).drop(columns="mx")
    heat = figures.heat(host_causes, types, 30)
    assert (heat.result_types, heat.mx_hosts) == (["validation-failure", "certificate-expired"], ["mx2", "mx1"])
    assert heat.table.fillna(0).to_numpy().tolist() == [[20, 0], [5, 9]]
    assert list(heat.table.columns) == ["mx0", "mx1"]


def test_hosts_beyond_the_last_column_are_counted() -> None:
    host_causes = causes(*((("certificate-expired", f"mx{number}", 1, 1, 1)) for number in range(40)))
    types = causes(("certificate-expired", "", 40, 40, 1)).drop(columns="mx")
    assert figures.heat(host_causes, types, 30).left_out == 10


def test_heat_is_transparent_where_nothing_failed() -> None:
    colours = charts.heat(pd.DataFrame({"mx0": [4.0, None], "mx1": [0.0, 2.0]}))
    assert colours["mx0"].tolist()[1] == colours["mx1"].tolist()[0] == ""
    assert colours["mx0"].tolist()[0] != colours["mx1"].tolist()[1]


def test_what_is_refused_today_comes_before_what_would_be() -> None:
    types = causes(
        ("sts-policy-fetch-error", "", 900, 0, 1), ("certificate-expired", "", 50, 50, 2), ("tlsa-invalid", "", 1, 0, 1)
    ).drop(columns="mx")
    ordered = figures.causes_in_order(causes(("certificate-expired", "mx1", 50, 50, 2)), types, 3)
    assert [cause.code for cause in ordered] == ["tlsa-invalid", "certificate-expired", "sts-policy-fetch-error"]
    assert (ordered[1].heard_by, ordered[1].of_reporters, ordered[1].mx_hosts) == (2, 3, ["mx1"])


def test_who_quoted_a_policy() -> None:
    quotes = pd.DataFrame(
        {"policy_type": ["sts", "sts", "tlsa"], "policy_digest": ["d", None, None], "organization": ["a", "b", "c"]}
    )
    assert figures.quoted_by({"policy_type": "sts", "policy_digest": "d"}, quotes) == ["a"]
    assert figures.quoted_by({"policy_type": "sts", "policy_digest": float("nan")}, quotes) == ["b"]


@pytest.mark.parametrize(("text", "listed"), [('["a","b"]', ["a", "b"]), ('["a', []), ('{"a":1}', []), ("[1]", ["1"])])
def test_a_json_list_from_the_database(text: str, listed: list[str]) -> None:
    assert figures.listed(text) == listed


@pytest.mark.parametrize("text", [b'{"a"', b"\xff", b"[" * 50_000])
def test_a_raw_text_that_is_no_json_is_shown_as_it_is(text: bytes) -> None:
    assert figures.indented(text) == text


@pytest.mark.parametrize(("days", "step"), [(14, "day"), (100, "day"), (101, "week"), (365, "week"), (5000, "month")])
def test_long_ranges_are_summed_by_week_or_month(days: int, step: str) -> None:
    frame = pd.DataFrame({"day": pd.to_datetime([])})
    until = dt.date(2026, 3, 14)
    assert charts.step(frame, DayRange(until - dt.timedelta(days=days), until)) == step


def test_a_chart_stacks_each_session_once() -> None:
    day = pd.Timestamp("2026-03-01")
    days = pd.DataFrame(
        {"day": [day], "successful_sessions": [90.0], "failed_sessions": [10.0], "refused_sessions": [7.0]}
    )
    data = charts.sessions_per_day(days, ALL_DAYS).data
    assert dict(zip(data["outcome"], data["sessions"], strict=True)) == {
        charts.SUCCESSFUL: 90,
        charts.OTHER_FAILED: 3,
        charts.WOULD_BE_REFUSED: 7,
    }
