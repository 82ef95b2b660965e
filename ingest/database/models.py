"""The tables, for SQLite and PostgreSQL alike.

``policy_domain`` is part of every primary key of what grows, so that Citus can distribute by it and a domain's questions
touch one shard. ``report_key`` is derived from what a report says and who signed it, so writing twice is a no-op in every
process and on every engine.
"""

from typing import Any

import sqlalchemy as sa

from .columns import Digest, Domain, Word, key, text
from .columns import Instant as Instant
from .columns import metadata as metadata
from .rollup_tables import domain_day as domain_day
from .rollup_tables import domain_reporter as domain_reporter
from .rollup_tables import domain_trust as domain_trust
from .rollup_tables import fleet_day as fleet_day
from .rollup_tables import voice_month as voice_month

# Values of ``tlsa_sessions``: of a report that lists tlsa beside sts, as many sessions under both, or others.
TLSA_EQUAL, TLSA_OTHER = "equal", "other"


def _of_report() -> list[sa.Column[Any]]:
    return [sa.Column("policy_domain", Domain, nullable=False), sa.Column("report_key", Digest, nullable=False)]


# One reporter's word about one domain for one range. trust, signer, door and received_at are those of its best delivery.
report = sa.Table(
    "report",
    metadata,
    *_of_report(),
    sa.Column("organization", Word, nullable=False),
    sa.Column("report_id", Word, nullable=False),
    text("contact_info"),
    sa.Column("range_start", Instant, nullable=False),
    sa.Column("range_end", Instant, nullable=False),
    # Successes belong to ``day``, failures to ``failure_day``; they differ when the range is longer than 36 hours.
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("failure_day", sa.Date, nullable=False),
    sa.Column("long_range", sa.Boolean, nullable=False),
    sa.Column("trust", sa.String(16), nullable=False),
    sa.Column("signer", Word, nullable=False),
    # As it resolves without what other reports tell (ingest.testimony.voices); evidence resolves it anew.
    sa.Column("voice", Word, nullable=False),
    sa.Column("door", sa.String(16), nullable=False),
    sa.Column("received_at", Instant, nullable=False),
    sa.Column("arrival_estimated", sa.Boolean, nullable=False),
    sa.Column("stored_at", Instant, nullable=False),
    sa.Column("policies", sa.Integer, nullable=False),
    # Sessions of all entries. Where tlsa stands beside sts, tlsa_sessions says whether it lists as many ("equal": perhaps the
    # same ones, Microsoft) or others ("other"), and the tlsa counts are what a reader takes off in the first case.
    sa.Column("successful_sessions", sa.BigInteger),
    sa.Column("failed_sessions", sa.BigInteger),
    sa.Column("refused_sessions", sa.BigInteger, nullable=False),
    sa.Column("tlsa_sessions", sa.String(8), nullable=False),
    sa.Column("tlsa_successful_sessions", sa.BigInteger, nullable=False),
    sa.Column("tlsa_failed_sessions", sa.BigInteger, nullable=False),
    # Equal for reports with the same id and range; ``figures`` for those that say the same (ingest.rfc.tlsrpt.figures).
    sa.Column("same_id", Digest, nullable=False),
    sa.Column("figures", Digest, nullable=False),
    # The whole report's id, range and figures as stated, whatever domain was inferred; where the domain came from, "" from
    # the report itself (ingest.rfc.tlsrpt.report).
    sa.Column("document", Digest, nullable=False),
    sa.Column("domain_source", sa.String(16), nullable=False),
    # Among copies (ingest.testimony.folding): whether its sessions count, its failures accuse, and a trusted copy says otherwise.
    sa.Column("counts", sa.Boolean, nullable=False),
    sa.Column("accuses", sa.Boolean, nullable=False),
    sa.Column("contradicted", sa.Boolean, nullable=False),
    sa.Column("extra", sa.Text),
    sa.Column("defects", sa.Text),
    # The raw report, stored once under the first domain it speaks about.
    sa.Column("raw_domain", Domain, nullable=False),
    sa.Column("raw_domains", sa.Integer, nullable=False),
    key("policy_domain", "report_key"),
)
sa.Index(None, report.c.policy_domain, report.c.day)
sa.Index(None, report.c.policy_domain, report.c.same_id)
sa.Index(None, report.c.policy_domain, report.c.voice, report.c.tlsa_sessions)
sa.Index(None, report.c.day)
sa.Index(None, report.c.failure_day)
sa.Index(None, report.c.policy_domain, report.c.failure_day)
# The list of reports, newest first: of a trust, of a reporter, and those with failures. Down to the key, because of a file that
# was loaded every report may have arrived at one moment. Only the list asks for these rows in these words; SQLite, which has no
# statistics, would else take the index of trusts for a domain's reports that are trusted.
PLACE_IN_LIST = (report.c.day, report.c.received_at, report.c.policy_domain, report.c.report_key)
# A row whose sessions or failures are in the sums, the others being copies that one of these stands for; and what is listed:
# these, and trusted ones that another one contradicts.
STANDS = report.c.counts | report.c.accuses
LISTED = STANDS | report.c.contradicted
HAS_FAILURES = report.c.failed_sessions > sa.literal_column("0")
sa.Index("ix_report_of_trust", report.c.trust, *PLACE_IN_LIST, postgresql_where=LISTED, sqlite_where=LISTED)
sa.Index(
    "ix_report_of_organization", report.c.organization, *PLACE_IN_LIST, postgresql_where=LISTED, sqlite_where=LISTED
)
sa.Index("ix_report_with_failures", *PLACE_IN_LIST, postgresql_where=HAS_FAILURES, sqlite_where=HAS_FAILURES)
_inferred = report.c.domain_source != ""
sa.Index("ix_report_document", report.c.document, postgresql_where=_inferred, sqlite_where=_inferred)

policy_entry = sa.Table(
    "policy_entry",
    metadata,
    *_of_report(),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("policy_type", Word, nullable=False),
    sa.Column("policy_mode", sa.String(32), nullable=False),
    sa.Column("policy_digest", Digest),
    sa.Column("mx_hosts", sa.Text),
    sa.Column("successful_sessions", sa.BigInteger),
    sa.Column("failed_sessions", sa.BigInteger),
    sa.Column("refused_sessions", sa.BigInteger, nullable=False),
    sa.Column("unexplained_sessions", sa.BigInteger, nullable=False),
    sa.Column("extra", sa.Text),
    key("policy_domain", "report_key", "position"),
    sqlite_with_rowid=False,
)

failure_detail = sa.Table(
    "failure_detail",
    metadata,
    *_of_report(),
    sa.Column("entry_position", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("result_type", Word, nullable=False),
    sa.Column("failed_sessions", sa.BigInteger),
    sa.Column("refused", sa.Boolean, nullable=False),
    text("sending_mta_ip"),
    text("receiving_mx_hostname"),
    text("receiving_mx_helo"),
    text("receiving_ip"),
    text("failure_reason_code"),
    text("additional_information"),
    sa.Column("extra", sa.Text),
    key("policy_domain", "report_key", "entry_position", "position"),
    sqlite_with_rowid=False,
)

# Every way the report reached us: the evidence behind its trust. The same way twice is one row.
delivery = sa.Table(
    "delivery",
    metadata,
    *_of_report(),
    sa.Column("delivery_key", Digest, nullable=False),
    sa.Column("door", sa.String(16), nullable=False),
    sa.Column("trust", sa.String(16), nullable=False),
    sa.Column("received_at", Instant, nullable=False),
    sa.Column("arrival_estimated", sa.Boolean, nullable=False),
    sa.Column("dkim", sa.String(16), nullable=False),
    text("dkim_reason"),
    sa.Column("signer", Word, nullable=False, server_default=""),
    sa.Column("selector", Word, nullable=False, server_default=""),
    text("key_record"),
    text("sender"),
    text("submitter"),
    sa.Column("message_digest", Digest, nullable=False),
    key("policy_domain", "report_key", "delivery_key"),
    sqlite_with_rowid=False,
)

# A distinct policy text, as senders quote it (policy-string), with what it says.
policy_text = sa.Table(
    "policy_text",
    metadata,
    sa.Column("policy_domain", Domain, nullable=False),
    sa.Column("policy_digest", Digest, nullable=False),
    sa.Column("policy_type", Word, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("mode", sa.String(32), nullable=False),
    sa.Column("mx", sa.Text, nullable=False),
    sa.Column("mx_digest", Digest, nullable=False),
    sa.Column("max_age", sa.BigInteger),
    key("policy_domain", "policy_digest"),
)

raw_report = sa.Table(
    "raw_report",
    metadata,
    *_of_report(),
    sa.Column("stored_at", Instant, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    key("policy_domain", "report_key"),
)
sa.Index(None, raw_report.c.stored_at)

# Mails whose DKIM key could not be looked up, kept whole until it can be (3 days at most).
undetermined = sa.Table(
    "undetermined",
    metadata,
    sa.Column("message_digest", Digest, nullable=False),
    sa.Column("received_at", Instant, nullable=False),
    sa.Column("next_attempt", Instant, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    # Attempts in a row that were begun and have no end: the readers died, perhaps of this message.
    sa.Column("unfinished", sa.Integer, nullable=False, server_default="0"),
    sa.Column("door", sa.String(16), nullable=False),
    text("sender"),
    sa.Column("message", sa.LargeBinary, nullable=False),
    key("message_digest"),
)
sa.Index(None, undetermined.c.next_attempt)

# What could not be read, whole; empty (but compressed) where the content was discarded. ``reason`` groups (a short code),
# ``explanation`` is for people.
quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("message_digest", Digest, nullable=False),
    sa.Column("received_at", Instant, nullable=False),
    sa.Column("door", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("explanation", sa.Text, nullable=False),
    text("sender"),
    text("subject"),
    # Of a bare report file; null for a mail.
    sa.Column("file_name", sa.Text),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("message", sa.LargeBinary, nullable=False),
    # waiting | retrying (asked for; the worker does it) | discarded; what a retry could read leaves the table.
    sa.Column("state", sa.String(16), nullable=False, server_default="waiting"),
    text("note"),
    # When it came here: a file's own time may be years ago, and retention must not begin then. Null in older rows.
    sa.Column("stored_at", Instant),
    # Who discarded it, took it back or asked for it to be read again, and when.
    text("acted_by"),
    sa.Column("acted_at", Instant),
    key("message_digest"),
)
sa.Index(None, quarantine.c.state, quarantine.c.received_at)

# Of each message in quarantine whose content is held: who sent it, as far as known, and what it takes of the bounds. A table
# of its own, because sums over it must not read the messages (``quarantine_bounds``). A discarded message has no row here.
quarantine_origin = sa.Table(
    "quarantine_origin",
    metadata,
    sa.Column("message_digest", Digest, nullable=False),
    # The peer's /24 or /48, "unknown", or "" for what an older version stored.
    sa.Column("network", Word, nullable=False),
    # The domain whose signature holds, "" when none does, null when nobody could look.
    sa.Column("signer", Word),
    # Loaded by the operator, or signed by a known reporter: gives way to no stranger.
    sa.Column("vouched", sa.Boolean, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("came_at", Instant, nullable=False),
    key("message_digest"),
)
_origin = quarantine_origin.c
sa.Index("ix_quarantine_origin_bounds", _origin.vouched, _origin.network, _origin.came_at, _origin.size)

# Messages that gave way in quarantine, counted: by the reason why they could not be read, and by the bound that was met.
quarantine_lost = sa.Table(
    "quarantine_lost",
    metadata,
    sa.Column("reason", sa.String(32), nullable=False),
    # network | whole | disk
    sa.Column("bound", sa.String(16), nullable=False),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("first_at", Instant, nullable=False),
    sa.Column("last_at", Instant, nullable=False),
    key("reason", "bound"),
)

# Overrides, what the operator says about a domain: it changes verdicts, and no report can. A row is written once; taking one
# back fills its last three columns, once. Nothing is deleted, so that the verdict of a past day can be computed again.
operator_word = sa.Table(
    "operator_word",
    metadata,
    sa.Column("policy_domain", Domain, nullable=False),
    sa.Column("word_key", Digest, nullable=False),
    # accept | repaired | believe | dismiss | thresholds | policy | mx-hosts; ``content`` is its JSON (ingest.store.overrides).
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    text("note"),
    text("author"),
    sa.Column("given_at", Instant, nullable=False),
    # The last day on which it holds; null: until it is taken back.
    sa.Column("until_day", sa.Date),
    sa.Column("withdrawn_at", Instant),
    text("withdrawn_by"),
    text("withdrawal_note"),
    key("policy_domain", "word_key"),
)

# Domains whose verdict is to be decided anew, marked in the transaction that changed something about them
# (ingest.store.due). ``from_day`` is the first day whose verdict may have changed; ``marks`` counts, so that whoever decides
# sees a mark that came meanwhile. ``only_past``: today's is decided, earlier days are left. ``claimed_until``: somebody is at it.
domain_due = sa.Table(
    "domain_due",
    metadata,
    sa.Column("policy_domain", Domain, nullable=False),
    sa.Column("from_day", sa.Date, nullable=False),
    sa.Column("marks", sa.BigInteger, nullable=False),
    sa.Column("only_past", sa.Boolean, nullable=False),
    sa.Column("claimed_until", Instant),
    key("policy_domain"),
)
sa.Index(None, domain_due.c.only_past, domain_due.c.policy_domain)

# The verdict about a domain on a day, as ``starttally verdict --on`` says it. ``newest`` marks the last day decided; only that
# row has the whole verdict (``document``: JSON, compressed). ``asked`` tells the thresholds and the trusts that it was made for.
domain_verdict = sa.Table(
    "domain_verdict",
    metadata,
    sa.Column("policy_domain", Domain, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("newest", sa.Boolean, nullable=False),
    sa.Column("verdict", sa.String(32), nullable=False),
    # The most urgent verdict is 0.
    sa.Column("urgency", sa.SmallInteger, nullable=False),
    sa.Column("policy_mode", sa.String(32), nullable=False),
    sa.Column("window_start", sa.Date, nullable=False),
    sa.Column("window_end", sa.Date, nullable=False),
    sa.Column("reporters", sa.Integer, nullable=False),
    sa.Column("sessions", sa.BigInteger, nullable=False),
    sa.Column("refused_sessions", sa.BigInteger, nullable=False),
    sa.Column("refusal_bound", sa.Double, nullable=False),
    sa.Column("last_report_day", sa.Date),
    # JSON: a list of reasons, as ``verdict --json`` has them; the thresholds of this domain.
    sa.Column("reasons", sa.Text, nullable=False),
    sa.Column("thresholds", sa.Text, nullable=False),
    sa.Column("asked", Digest, nullable=False),
    sa.Column("decided_at", Instant, nullable=False),
    sa.Column("document", sa.LargeBinary),
    key("policy_domain", "day"),
)
# On SQLite the conditions of these are spelt as statements spell them, or no statement would use the index.
_newest = domain_verdict.c
sa.Index(
    "ix_domain_verdict_newest",
    *(_newest.urgency, _newest.refused_sessions.desc(), _newest.sessions.desc(), _newest.policy_domain),
    postgresql_where=_newest.newest,
    sqlite_where=_newest.newest,
)
sa.Index(None, domain_verdict.c.day)
sa.Index(
    "ix_domain_verdict_asked",
    *(_newest.asked, _newest.day, _newest.policy_domain),
    postgresql_where=_newest.newest,
    sqlite_where=_newest.newest,
)

# Work on stored rows that a migration leaves to the program (ingest.store.upkeep.rekeying); empty when all is done.
pending_upgrade = sa.Table(
    "pending_upgrade",
    metadata,
    sa.Column("task", sa.String(32), nullable=False),
    key("task"),
)
