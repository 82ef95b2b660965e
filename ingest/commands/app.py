"""Commands of the writing side. ``dashboard.commands.app`` adds those of the reading side and is the program's entry."""

import datetime as dt
import logging
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingest.text import plaintext

from .groups import add_group

if TYPE_CHECKING:
    from ingest.loading.loader import Loaded
    from ingest.settings.settings import Address, Settings

# What a command needs is imported when it runs: all of it together would cost --help two seconds of processor time.

DONE, ANSWER_IS_NO, USAGE, AWAY = 0, 1, 2, 3

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
database_commands = typer.Typer(no_args_is_help=True, help="Look after the database.")
app.add_typer(database_commands, name="db")


def _quarantine_commands() -> typer.Typer:
    from .quarantine import quarantine_commands

    return quarantine_commands


add_group(app, "quarantine", "Messages that could not be read: look, retry, discard.", _quarantine_commands)


def load_settings() -> "Settings":
    """The settings in force. Raises SettingsError."""
    from ingest.settings import settings as settings_module

    return settings_module.load()


def configure_logging() -> None:
    """Log to standard error, one line an event."""
    plaintext.log_to_standard_error(logging.INFO)
    for chatty in ("alembic", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@app.command()
def receive() -> None:
    """Run the SMTP door and the HTTP door until stopped."""
    from ingest.doors.receiving import run as receive_until_stopped
    from ingest.host import filesystems, rights
    from ingest.spool.maildir import Spool

    configure_logging()
    settings = load_settings()
    filesystems.refuse_spool(settings)
    rights.say(rights.said_of_secrets(settings))
    log = logging.getLogger("starttally.receive")

    def announce(addresses: "dict[str, Address]") -> None:
        log.info("ready: %s", ", ".join(f"{name} on {address}" for name, address in addresses.items()))

    receive_until_stopped(settings, Spool(settings.spool), announce)


@app.command()
def work(
    once: Annotated[bool, typer.Option("--once", help="Store what is in the spool now, then stop.")] = False,
) -> None:
    """Move messages from the spool into the database until stopped."""
    from ingest.authentication.dkim_keys import Keys
    from ingest.database import engines
    from ingest.host import filesystems, rights
    from ingest.spool import folders
    from ingest.spool.maildir import Spool
    from ingest.work import limited, worker

    configure_logging()
    settings = load_settings()
    filesystems.refuse_spool(settings)
    limited.limit_process()
    engine = engines.open_engine(settings.database_url)
    spool = Spool(settings.spool)
    folders.refuse_divided(spool.path)
    hand = worker.Worker(settings, engine, spool, Keys(settings.nameservers))
    rights.say(rights.said_of_storage(settings))
    if once:
        engines.check(engine)
        tally = hand.run_once()
        typer.echo(f"stored={tally.stored} duplicate={tally.duplicate} quarantined={tally.quarantined}")
        raise typer.Exit(ANSWER_IS_NO if tally.quarantined else DONE)
    stop = threading.Event()
    worker.stop_on_signals(stop)
    hand.run(stop)


@app.command()
def load(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Files (.json, .eml, .emlx; also as .gz, .xz, .bz2), zip and tar archives, folders, mbox, Maildir."
        ),
    ],
) -> None:
    """Load reports and report mails from files; the source is never changed, and loading twice stores nothing twice.

    What shows no sign of a TLS report is counted as ignored, and nothing of it is kept. Damaged reports go to quarantine.
    """
    from ingest.store.upkeep import upgrades

    settings = load_settings()
    upgrades.open_ready(settings.database_url).dispose()
    loaded = _load(paths, settings)
    _explain(loaded)
    tally, quarantined, ignored = loaded.tally, len(loaded.quarantined), loaded.ignored.total()
    typer.echo(f"stored={tally.stored} duplicate={tally.duplicate} ignored={ignored} quarantined={quarantined}")
    nothing_else = not any((tally.stored, tally.duplicate, ignored, quarantined))
    if loaded.unreachable and loaded.unreachable == len(loaded.problems) and nothing_else:
        raise typer.Exit(USAGE)
    raise typer.Exit(ANSWER_IS_NO if quarantined or loaded.problems else DONE)


def _load(paths: list[Path], settings: "Settings") -> "Loaded":
    """Load, with a progress bar for who sits at a terminal: in a pipe or a log it would be noise."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from ingest.loading import loader, mailbox

    if not sys.stderr.isatty():
        return loader.load_in_children(paths, settings)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    # No thread of its own may draw it: this process forks.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as bar:
        total = mailbox.total_bytes(paths)
        task = bar.add_task("loading", total=total)

        def show(done: int) -> None:
            bar.update(task, completed=done, refresh=True)

        loaded = loader.load_in_children(paths, settings, show)
        show(total)
    return loaded


def _explain(loaded: "Loaded") -> None:
    """Say on standard error what became of what was not stored."""
    lines = [f"not read: {problem}" for problem in loaded.problems]
    lines += [f"quarantined: {reason}" for reason in loaded.reasons.values()]
    if len(loaded.quarantined) > len(loaded.reasons):
        lines.append(f"and {len(loaded.quarantined) - len(loaded.reasons)} more; see `starttally quarantine list`")
    lines += [f"ignored: {remark}" for remark in (*loaded.remarks, *loaded.advice.values())]
    if loaded.ignored:
        lines.append(f"ignored: {loaded.in_words}")
    for line in lines:
        typer.echo(plaintext.one_line(line, 1_000), err=True)


@app.command()
def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="As the table of docs/settings.md.")] = False,
) -> None:
    """Show every setting: name, value, default, meaning."""
    from ingest.settings import table

    if markdown:
        typer.echo(table.as_markdown(), nl=False)
        return
    for row in table.current(load_settings()):
        typer.echo(f"{row.name}={row.value}\n    {row.help} (default: {row.default})")


@database_commands.command("upgrade")
def upgrade(
    no_copy: Annotated[
        bool, typer.Option("--no-copy", help="Without the copy of a SQLite database: you have a back-up.")
    ] = False,
) -> None:
    """Create the tables, or bring them to this version. An older SQLite database is copied first, beside itself."""
    from ingest.store.upkeep import upgrades

    upgrades.upgrade(load_settings(), lambda words: typer.echo(words, err=True), copy=not no_copy)
    typer.echo("the database is up to date")


@database_commands.command("check")
def check() -> None:
    """Say whether the database is reachable and has this version's tables; and whether reports arrived after today."""
    from ingest.database import engines
    from ingest.store.upkeep import arrivals

    engine = engines.open_existing(load_settings().database_url, read_only=True)
    with engines.connected(engine) as connection:
        later = arrivals.in_the_future(connection, dt.datetime.now(dt.UTC))
    typer.echo("the database is reachable and up to date")
    if later:
        typer.echo(
            f"{later} reports arrived after today: the clock is behind, or it was ahead when they came; "
            "when it is right, run `starttally db mend-arrivals`",
            err=True,
        )


@database_commands.command("distribute")
def distribute() -> None:
    """Spread the tables of a PostgreSQL database with Citus over its servers, by policy domain; what is spread stays as it is.

    Exit code 2 when the database cannot be distributed: SQLite, no extension Citus, or tables of another version.
    """
    from ingest.database import distribution

    spread = distribution.distribute(
        load_settings().database_url, lambda table: typer.echo(f"spreading the table {table}", err=True)
    )
    typer.echo(f"distributed={spread.by_domain} reference={spread.reference} new={spread.new}")


@database_commands.command("mend-arrivals")
def mend_arrivals(
    force: Annotated[bool, typer.Option("--force", help="Although there are reports about days after today.")] = False,
) -> None:
    """Give reports that arrived after today, as the clock was ahead, an estimated time: a day after what they are about."""
    from ingest.database import engines
    from ingest.store.upkeep import arrivals

    engine = engines.open_existing(load_settings().database_url)
    try:
        typer.echo(f"mended={arrivals.mend(engine, dt.datetime.now(dt.UTC), force=force)}")
    except arrivals.ClockBehind as problem:
        typer.echo(f"nothing was mended: {problem}. If the clock is right, add --force.", err=True)
        raise typer.Exit(ANSWER_IS_NO) from problem


@database_commands.command("backup")
def backup(target: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")]) -> None:
    """Copy the SQLite database into a file, while everything goes on running (PostgreSQL: use pg_dump)."""
    from ingest.database import engines

    engines.back_up(load_settings().database_url, target)
    typer.echo(f"the database is in {target}")


@database_commands.command("prune")
def prune(
    force: Annotated[bool, typer.Option("--force", help="Although the clock may be wrong: look at it first.")] = False,
    compact: Annotated[
        bool, typer.Option("--compact", help="Write SQLite's file anew, as small as it can be; writers wait meanwhile.")
    ] = False,
) -> None:
    """Remove what the KEEP_* settings no longer keep, and give freed pages of SQLite's file back (the worker does so every hour).

    Nothing goes by its age while the newest stored report is more than 30 days behind the clock; the answer is then no (1).
    """
    from ingest.database import compaction, engines
    from ingest.store.upkeep import retention

    settings = load_settings()
    engine = engines.open_existing(settings.database_url)
    gone = retention.prune(engine, settings, dt.datetime.now(dt.UTC), force=force)
    if compact:
        gone.given_back += compaction.rewrite(engine)
    typer.echo(f"removed {gone.in_words}")
    if gone.refused:
        typer.echo(f"nothing was removed by its age: {gone.refused}. If the clock is right, add --force.", err=True)
        raise typer.Exit(ANSWER_IS_NO)
