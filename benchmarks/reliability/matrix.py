"""Rows 19, 20 and 22: whatever befalls database, spool and clock, what was acknowledged is stored, and no message is blamed.

Each cell is an installation of its own: reports come before a trouble and while it lasts, and everything is stored after it.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import sqlalchemy as sa

from ingest.authentication.dkim_keys import Keys
from ingest.database import engines, models
from ingest.settings import settings as settings_module
from ingest.spool.maildir import Spool, SpoolUnavailable
from ingest.work.worker import Worker
from tests.databases import PostgreSQL

from .figures import Figures, options
from .ledger import Ledger, Numbered, compare
from .load import Load
from .site import Site, folder, until
from .troubles import ALL, POSTGRESQL, SQLITE, Stage, Trouble, small_disk

_RATE = 20
_LONG_SECONDS = {"lock held": 130.0, "frozen": 130.0}
# One line for each outage, and what a worker says of each batch and at its start.
_MOST_LOG_BYTES = 20_000


class Cell(msgspec.Struct, frozen=True):
    """What became of the reports. ``recovery`` is how long it took, after the trouble, until all were stored."""

    acknowledged: int
    stored: int
    lost: int
    quarantined: int
    log_bytes: int
    recovery: float


class Spread:
    """Reports for one cell, and the processes that take them in: put into the spool, or sent to doors (``long``)."""

    def __init__(self, stage: Stage, *, long: bool) -> None:
        self.stage = stage
        self.long = long
        self.ledger = Ledger()
        self._under: tuple[str, ...] = ()

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Reports arrive all the time, if they come by the doors."""
        if not self.long:
            yield
            return
        self.stage.run.start("receive")
        self.stage.run.wait_for_smtp()
        with Load(self.stage.run, self.ledger, rate=_RATE):
            yield

    def deliver(self, count: int) -> None:
        """So many more reports are acknowledged, or those that come in a second."""
        if self.long:
            time.sleep(1)
            return
        for _ in range(count):
            report = self.ledger.new()
            with contextlib.suppress(SpoolUnavailable):
                incoming = Spool(self.stage.run.spool).receive()
                incoming.write(report.mail())
                incoming.commit()
                self.ledger.acknowledged.add(report.number)

    def start(self, under: tuple[str, ...] = ()) -> None:
        """Start the worker; in short runs with time-outs of seconds."""
        self._under = under
        self.stage.run.start("work", "" if self.long else "hurried", under=under)

    def end(self) -> None:
        """End the worker, if it lives."""
        if "work" in self.stage.run.parts and self.stage.run.parts["work"].poll() is None:
            self.stage.run.end("work", signal.SIGTERM)

    def wait_for(self, look: Callable[[], object], seconds: float, what: str) -> None:
        """As ``until``; a worker that has ended is started again, as by serve."""

        def alive_and_true() -> object:
            if self.stage.run.parts["work"].poll() is not None:
                self.start(self._under)
            return look()

        until(alive_and_true, seconds, what)

    def all_stored(self) -> bool:
        """Whether everything is in the database that has been acknowledged until now."""
        return self.is_stored(set(self.ledger.acknowledged))

    def is_stored(self, numbers: set[int]) -> bool:
        """Whether these reports are in the database."""
        stored = {str(report_id) for (report_id,) in self.stage.run.rows(sa.select(models.report.c.report_id))}
        return stored >= {Numbered(number).report_id for number in numbers}


def cell(trouble: Trouble, server: PostgreSQL | None, *, long: bool = False) -> Cell:
    """One trouble, survived. Raises CalledProcessError where it needs a right that we have not got."""
    seconds = _LONG_SECONDS.get(trouble.name, 20.0) if long else 0.0 if trouble.noticed or trouble.harmless else 4.0
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(folder())
        disk = _disk(trouble, server, path)
        if trouble.small:
            stack.enter_context(small_disk(disk, "size=24m" if server and trouble.small == "database" else "size=4m"))
        stage = Stage(stack.enter_context(Site(path, _url(trouble, server, disk))), server, disk)
        if server and trouble.small == "database":
            stack.callback(_drop, stage)
        spread = Spread(stage, long=long)
        if trouble.cold and not long:
            spread.deliver(5)
            _store_here(stage.run)
        else:
            spread.start()
        with spread.sending():
            if not spread.ledger.acknowledged:
                spread.deliver(5)
                spread.wait_for(spread.all_stored, 60, "the first reports are stored")
            log_begins = len(stage.run.logged("work"))
            _suffer(trouble, spread, seconds)
            began = time.monotonic()
            goal = set(spread.ledger.acknowledged)
            spread.wait_for(lambda: spread.is_stored(goal), 180, "all is stored")
            recovery = time.monotonic() - began
        spread.wait_for(spread.all_stored, 180, "all is stored")
        comparison = compare(spread.ledger, stage.run)
        quarantined = sum(stage.run.quarantined().values())
        log_bytes = len(stage.run.logged("work", log_begins))
    return Cell(len(spread.ledger.acknowledged), comparison.stored, comparison.lost, quarantined, log_bytes, recovery)


def _suffer(trouble: Trouble, spread: Spread, seconds: float) -> None:
    since = len(spread.stage.run.logged("work"))
    if trouble.cold:
        spread.end()
    if trouble.waiting:
        spread.deliver(25)
    with trouble.on(spread.stage):
        if trouble.cold:
            spread.start(trouble.under())
        if not trouble.waiting:
            spread.deliver(25)
        noticed = trouble.noticed.encode()
        spread.wait_for(lambda: noticed in spread.stage.run.logged("work", since), 60, f"the log says {noticed!r}")
        until = time.monotonic() + seconds
        spread.wait_for(lambda: time.monotonic() >= until, seconds + 60, "the trouble is over")
        if trouble.harmless:
            spread.wait_for(spread.all_stored, 60, "reports are stored meanwhile")


def _store_here(run: Site) -> None:
    """What a worker would do; the start of a process takes longer."""
    settings = settings_module.load(spool=run.spool, database_url=run.url)
    engine = engines.open_engine(run.url)
    Worker(settings, engine, Spool(run.spool), Keys()).run_once()
    engine.dispose()


def _disk(trouble: Trouble, server: PostgreSQL | None, path: Path) -> Path:
    """Where a small file system is to be."""
    if trouble.small == "spool":
        return path / "var" / "spool"
    return server.folder / path.name if server else path / "disk"


def _drop(stage: Stage) -> None:
    """The server must not miss the file system when it is gone."""
    stage.run.end("work", signal.SIGKILL)
    name = stage.database_name
    stage.sql(f'DROP DATABASE "{name}" WITH (FORCE)', f"DROP TABLESPACE {name}", "CHECKPOINT", maintenance=True)


def _url(trouble: Trouble, server: PostgreSQL | None, disk: Path) -> str:
    small = trouble.small == "database"
    if server is None:
        return f"sqlite:///{disk}/starttally.db" if small else ""
    return server.new_database(disk) if small else server.new_database()


def run(figures: Figures, *, long: bool, only: str = "") -> None:
    """The whole matrix, or the cells whose names have these words in them."""
    server = PostgreSQL()
    try:
        for engine in (SQLITE, POSTGRESQL):
            for trouble in ALL[engine]:
                name = f"{engine}, {trouble.name}"
                if only not in name:
                    continue
                try:
                    outcome = cell(trouble, server if engine == POSTGRESQL else None, long=long)
                except subprocess.CalledProcessError as refused:
                    figures.show(name, f"not run: {refused}")
                    continue
                except TimeoutError as late:
                    figures.must(name, str(late), False, "all that was acknowledged is stored")
                    continue
                judge(figures, name, outcome)
    finally:
        server.remove()


def judge(figures: Figures, name: str, outcome: Cell) -> None:
    """The promise of a cell."""
    words = (
        f"{outcome.acknowledged} acknowledged, {outcome.stored} stored, {outcome.quarantined} quarantined, "
        f"{outcome.log_bytes} bytes of log, {outcome.recovery:.1f} s"
    )
    holds = outcome.lost == 0 and outcome.quarantined == 0 and outcome.stored >= outcome.acknowledged
    figures.must(name, words, holds, "all that was acknowledged is stored, nothing is set aside")
    figures.must(
        f"{name}: log", outcome.log_bytes, outcome.log_bytes < _MOST_LOG_BYTES + 200 * outcome.stored, "a line each"
    )


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--only", default="", help="of the cells those with these words in their names")
    chosen = parser.parse_args()
    figures = Figures("matrix")
    run(figures, long=chosen.long, only=chosen.only)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
