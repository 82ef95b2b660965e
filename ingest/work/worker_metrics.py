"""What the worker's metrics say: of each batch, and of what the database holds."""

import logging
from collections.abc import Iterable

import sqlalchemy as sa

from ingest.monitoring import metrics
from ingest.store import quarantine_bounds, saving
from ingest.submissions import Quarantined, Submission

from . import second_looks

log = logging.getLogger(__name__)


def of_batch(became: Iterable[object], tally: saving.Tally, seconds: float) -> None:
    """Count what became of the messages of a batch, which took so long; also in the log."""
    log.info("stored=%d duplicate=%d quarantined=%d", tally.stored, tally.duplicate, tally.quarantined)
    metrics.stored.inc(tally.stored)
    metrics.duplicate.inc(tally.duplicate)
    metrics.batch_seconds.observe(seconds)
    for item in became:
        refused = item if isinstance(item, Quarantined) else None
        if isinstance(item, Submission):
            if item.decoded.arrival.channel.is_signed:
                metrics.dkim.labels(item.authentication.dkim).inc()
            refused = item.unread
        if refused is not None:
            metrics.quarantined.labels(refused.reason).inc()


def of_database(engine: sa.Engine) -> None:
    """Set how many messages wait for DNS or lie in quarantine, and how many gave way there."""
    metrics.undetermined.set(second_looks.count(engine))
    with engine.connect() as connection:
        held, lost = quarantine_bounds.held(connection), quarantine_bounds.lost(connection)
    metrics.quarantine_messages.set(held.messages)
    metrics.quarantine_bytes.set(held.bytes)
    for bound in quarantine_bounds.WORDS:
        metrics.quarantine_lost.labels(bound).set(sum(loss.messages for loss in lost if loss.bound == bound))
