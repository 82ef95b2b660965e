"""An upgrade of a database in a child process, which is killed at a step of choice."""

import itertools
import multiprocessing
import os
import signal

import sqlalchemy as sa

from ingest.store.upkeep import upgrades


def upgrade_until(url: str, last: int) -> None:
    """Upgrade, and end by SIGKILL before the ``last``-th statement or commit. What a child process does."""
    steps = itertools.count(1)

    def step(*_arguments: object) -> None:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "before_cursor_execute", step)
    sa.event.listen(sa.Engine, "commit", step)
    upgrades.migrate(url)


def killed(url: str, last: int) -> bool:
    """Whether an upgrade that is to be killed at this step came so far."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    child = context.Process(target=upgrade_until, args=(url, last))
    child.start()
    child.join(60)
    if child.exitcode not in (0, -signal.SIGKILL):
        child.kill()
        raise RuntimeError(f"the upgrade ended with {child.exitcode} at step {last}")
    return child.exitcode != 0
