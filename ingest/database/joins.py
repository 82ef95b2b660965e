"""How the tables hang together: what belongs to a report, to one of its entries, to a text that an entry quotes."""

import sqlalchemy as sa

from .models import failure_detail, policy_entry, policy_text, report


def of_report(table: sa.FromClause, parent: sa.FromClause = report) -> sa.ColumnElement[bool]:
    """The rows of ``table`` that belong to the same report about the same domain as those of ``parent``."""
    return sa.and_(table.c.policy_domain == parent.c.policy_domain, table.c.report_key == parent.c.report_key)


# The failure details of a policy entry.
OF_ENTRY = sa.and_(of_report(failure_detail, policy_entry), failure_detail.c.entry_position == policy_entry.c.position)
# The policy text that an entry quotes.
OF_TEXT = sa.and_(
    policy_text.c.policy_domain == policy_entry.c.policy_domain,
    policy_text.c.policy_digest == policy_entry.c.policy_digest,
)
# Reports with their policy entries; one without entries is not among them.
REPORTS_AND_ENTRIES = report.join(policy_entry, of_report(policy_entry))
