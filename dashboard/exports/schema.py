"""The columns of each export: name, type, where their values come from, and what they mean.

Headers, Parquet schemas, the rows' order and the tables of docs/exports.md (``make docs``) are made from these. Names and
order are binding: users' programs read them.
"""

import enum
from collections.abc import Sequence

import msgspec


class Type(enum.Enum):
    """What a column holds. Any of them may be null; absent text of a report is ``""``."""

    TEXT = "text"
    DAY = "day"
    INSTANT = "instant"
    COUNT = "count"
    FLAG = "flag"
    RATE = "rate"


class Column(msgspec.Struct, frozen=True):
    """A column of an export. ``unit``, ``meaning`` and ``empty`` (when its cell is) are for people, in Markdown.

    ``source`` is the stored column that it shows, as ``table.column``; "" for what is computed.
    """

    name: str
    type: Type
    unit: str
    meaning: str
    empty: str
    source: str = ""


def as_markdown(columns: Sequence[Column]) -> str:
    """The columns as a table of docs/exports.md."""
    lines = ["| column | unit | meaning | empty |", "|---|---|---|---|"]
    lines += [f"| `{each.name}` | {each.unit} | {each.meaning} | {each.empty} |" for each in columns]
    return "\n".join(lines) + "\n"


SUMMARY = (
    Column("day", Type.DAY, "date", "see above", "never", ""),
    Column("policy_domain", Type.TEXT, "name", "see above", "the report names none", "report.policy_domain"),
    Column("reporter", Type.TEXT, "text", "see above", "the report names none", "report.organization"),
    Column("policy_type", Type.TEXT, "word", "see above", "the report holds no policy", "policy_entry.policy_type"),
    Column("policy_mode", Type.TEXT, "word", "see above", "no policy is quoted", "policy_entry.policy_mode"),
    Column("trust", Type.TEXT, "word", "see above", "never", "report.trust"),
    Column(
        "reports",
        Type.COUNT,
        "reports",
        "how many reports have entries of this policy type and mode. A report with entries of two types "
        "counts in both rows; the export `reports` counts each once.",
        "never",
        "",
    ),
    Column(
        "successful_sessions", Type.COUNT, "sessions", "sum of the successful sessions", "no report gave a count", ""
    ),
    Column(
        "failed_sessions",
        Type.COUNT,
        "sessions",
        "sum of the failed sessions, as the senders' summaries have it",
        "no report gave a count",
        "",
    ),
    Column(
        "refused_sessions",
        Type.COUNT,
        "sessions",
        "sum over policy entries of the smaller of: failed sessions, and refused details plus unexplained "
        "failures. Details may overlap, so the summary's total is the cap.",
        "never",
        "",
    ),
)

FAILURES = (
    Column("day", Type.DAY, "date", "see above", "never", "report.failure_day"),
    Column("policy_domain", Type.TEXT, "name", "see above", "the report names none", "report.policy_domain"),
    Column("reporter", Type.TEXT, "text", "see above", "the report names none", "report.organization"),
    Column(
        "report_id",
        Type.TEXT,
        "text",
        "the sender's id of the report; different senders may use the same",
        "the report has none",
        "report.report_id",
    ),
    Column("policy_type", Type.TEXT, "word", "see above", "the report gives none", "policy_entry.policy_type"),
    Column("policy_mode", Type.TEXT, "word", "see above", "no policy is quoted", "policy_entry.policy_mode"),
    Column("trust", Type.TEXT, "word", "see above", "never", "report.trust"),
    Column(
        "result_type",
        Type.TEXT,
        "word",
        "one of RFC 8460 section 4.3 (`certificate-expired`, `starttls-not-supported`, ...), what else the "
        "sender wrote, or `unexplained`",
        "the detail gives none",
        "failure_detail.result_type",
    ),
    Column(
        "failed_sessions",
        Type.COUNT,
        "sessions",
        "sessions that failed so. Senders may list one session under two types, so the sum can exceed the summary's.",
        "the detail gives no count",
        "failure_detail.failed_sessions",
    ),
    Column(
        "refused",
        Type.FLAG,
        "true, false",
        "whether a policy in `enforce` mode would have refused such a session",
        "never",
        "failure_detail.refused",
    ),
    Column("sending_mta_ip", Type.TEXT, "address", "the sender's host", "not given", "failure_detail.sending_mta_ip"),
    Column(
        "receiving_mx_hostname",
        Type.TEXT,
        "name",
        "the MX host that the sender tried",
        "not given",
        "failure_detail.receiving_mx_hostname",
    ),
    Column(
        "receiving_mx_helo",
        Type.TEXT,
        "text",
        "what that host called itself in its greeting",
        "not given",
        "failure_detail.receiving_mx_helo",
    ),
    Column(
        "receiving_ip",
        Type.TEXT,
        "address",
        "the address that the sender connected to",
        "not given",
        "failure_detail.receiving_ip",
    ),
    Column(
        "failure_reason_code",
        Type.TEXT,
        "text",
        "the sender's own code or error message",
        "not given",
        "failure_detail.failure_reason_code",
    ),
    Column(
        "additional_information",
        Type.TEXT,
        "text",
        "a link or text of the sender's; never open it unseen",
        "not given",
        "failure_detail.additional_information",
    ),
)

DOMAINS = (
    Column("policy_domain", Type.TEXT, "name", "see above", "never", ""),
    Column("verdict", Type.TEXT, "word", "may the policy go to `enforce`? See [verdict.md](verdict.md)", "never", ""),
    Column("policy_mode", Type.TEXT, "word", "mode of the policy in force", "nobody has quoted one", ""),
    Column("window_start", Type.DAY, "date", "first day that the verdict looks at", "never", ""),
    Column(
        "window_end", Type.DAY, "date", "last day whose clean sessions count; later ones can only accuse", "never", ""
    ),
    Column(
        "reporters",
        Type.COUNT,
        "reporters",
        "independent reporters with sessions in the window; one DKIM signer is one",
        "never",
        "",
    ),
    Column("sessions", Type.COUNT, "sessions", "sessions in the window that count as evidence", "never", ""),
    Column(
        "refused_sessions",
        Type.COUNT,
        "sessions",
        "sessions that `enforce` would have refused, also on the days after the window",
        "never",
        "",
    ),
    Column(
        "refusal_bound",
        Type.RATE,
        "share, 0 to 1",
        "at 95 % confidence (or the one of `override thresholds`) no larger share would be refused; 1 without sessions",
        "never",
        "",
    ),
    Column("last_report_day", Type.DAY, "date", "newest `day` of any report", "never", ""),
    Column("reasons", Type.TEXT, "text", "`code=figure`, those that made the verdict first", "never", ""),
)

REPORTS = (
    Column(
        "received_at",
        Type.INSTANT,
        "instant, UTC",
        "when the door took it; for loaded mails their own Received or Date header, for bare files one day "
        "after the range's end",
        "never",
        "report.received_at",
    ),
    Column("policy_domain", Type.TEXT, "name", "see above", "the report names none", "report.policy_domain"),
    Column("reporter", Type.TEXT, "text", "see above", "the report names none", "report.organization"),
    Column(
        "report_id",
        Type.TEXT,
        "text",
        "the sender's id; not unique across senders",
        "the report has none",
        "report.report_id",
    ),
    Column(
        "range_start",
        Type.INSTANT,
        "instant, UTC",
        "begin of the range that the report covers",
        "never",
        "report.range_start",
    ),
    Column(
        "range_end",
        Type.INSTANT,
        "instant, UTC",
        "its end, as the sender wrote it (23:59:59 or the next midnight)",
        "never",
        "report.range_end",
    ),
    Column(
        "door",
        Type.TEXT,
        "word",
        "`smtp`, `https`, `maildir` (another mail server delivered it) or `load`",
        "never",
        "report.door",
    ),
    Column("trust", Type.TEXT, "word", "see above", "never", "report.trust"),
    Column(
        "signer",
        Type.TEXT,
        "domain",
        "the domain of the DKIM signature (`d=`) that made it `verified`",
        "not verified",
        "report.signer",
    ),
    Column("policies", Type.COUNT, "entries", "policy entries about this domain", "never", "report.policies"),
    Column(
        "successful_sessions",
        Type.COUNT,
        "sessions",
        "sum over these entries. `tlsa` entries beside `sts` entries are left out where they are the same "
        "sessions (Microsoft): as many sessions under both, in every report of this sender about the domain",
        "no entry gave a count",
        "",
    ),
    Column("failed_sessions", Type.COUNT, "sessions", "the same for failed sessions", "no entry gave a count", ""),
    Column(
        "contradicted",
        Type.FLAG,
        "true, false",
        "whether the same sender gave other figures under the same id and range, in another copy that is "
        "trusted too. The row is the copy with more sessions; the larger number of refused sessions is in "
        "`summary` and `failures`",
        "never",
        "report.contradicted",
    ),
)
