"""Commands of the writing side. ``dashboard.cli`` adds those of the reading side and is the program's entry."""

import datetime as dt
import logging
import sys
import threading
import zlib
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from . import database, housekeeping, loading, mailbox, plaintext, retries, settings_table, worker
from . import settings as settings_module
from .authentication import Authentication, authenticate, signature_names
from .dkim_keys import Keys
from .models import quarantine
from .receiving import run as receive_until_stopped
from .settings import Address, Settings
from .spool import Spool

DONE, ANSWER_IS_NO, USAGE, AWAY = 0, 1, 2, 3

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
database_commands = typer.Typer(no_args_is_help=True, help="Look after the database.")
quarantine_commands = typer.Typer(no_args_is_help=True, help="Messages that could not be read: look, retry, discard.")
app.add_typer(database_commands, name="db")
app.add_typer(quarantine_commands, name="quarantine")


def configure_logging() -> None:
    """Log to standard error, one line an event; under a supervisor the time is its business, but a bare terminal has none."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    for chatty in ("alembic", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def ready_engine(settings: Settings) -> sa.Engine:
    """An engine on an up-to-date schema. The embedded SQLite is migrated here; a PostgreSQL schema is the operator's step."""
    if settings.database_url.startswith("sqlite"):
        database.upgrade(settings.database_url)
    engine = database.open_engine(settings.database_url)
    database.check(engine)
    return engine


@app.command()
def receive() -> None:
    """Run the SMTP door and the HTTP door until stopped."""
    configure_logging()
    settings = settings_module.load()
    log = logging.getLogger("starttally.receive")

    def announce(addresses: dict[str, Address]) -> None:
        log.info("ready: %s", ", ".join(f"{name} on {address}" for name, address in addresses.items()))

    receive_until_stopped(settings, Spool(settings.spool), announce)


@app.command()
def work(
    once: Annotated[bool, typer.Option("--once", help="Store what is in the spool now, then stop.")] = False,
) -> None:
    """Move messages from the spool into the database until stopped."""
    configure_logging()
    settings = settings_module.load()
    worker.limit_process()
    engine = database.open_engine(settings.database_url)
    hand = worker.Worker(settings, engine, Spool(settings.spool), Keys(settings.nameservers))
    if once:
        database.check(engine)
        tally = hand.run_once()
        typer.echo(f"stored={tally.stored} duplicate={tally.duplicate} quarantined={tally.quarantined}")
        raise typer.Exit(ANSWER_IS_NO if tally.quarantined else DONE)
    stop = threading.Event()
    worker.stop_on_signals(stop)
    hand.run(stop)


@app.command()
def load(
    paths: Annotated[list[Path], typer.Argument(help="Files (.json, .json.gz, .eml, .zip), folders, mbox, Maildir.")],
) -> None:
    """Load reports and report mails from files; the source is never changed, and loading twice stores nothing twice."""
    settings = settings_module.load()
    engine = ready_engine(settings)
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console
    )
    with bar:
        total = mailbox.total_bytes(paths)
        task = bar.add_task("loading", total=total)
        loaded = loading.load(
            paths, settings, engine, Keys(settings.nameservers), lambda done: bar.update(task, completed=done)
        )
        bar.update(task, completed=total)
    for problem in loaded.problems:
        console.print(Text(f"not read: {problem}"))
    if loaded.passed_over:
        console.print(f"passed over {loaded.passed_over} files that neither are named nor look like reports or mails")
    tally = loaded.tally
    typer.echo(f"stored={tally.stored} duplicate={tally.duplicate} quarantined={tally.quarantined}")
    if loaded.problems and not any((tally.stored, tally.duplicate, tally.quarantined)):
        raise typer.Exit(USAGE)
    raise typer.Exit(ANSWER_IS_NO if tally.quarantined or loaded.problems else DONE)


@app.command()
def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="As the table of docs/settings.md.")] = False,
) -> None:
    """Show every setting: name, value, default, meaning."""
    if markdown:
        typer.echo(settings_table.as_markdown(), nl=False)
        return
    for row in settings_table.current(settings_module.load()):
        typer.echo(f"{row.name}={row.value}\n    {row.help} (default: {row.default})")


@database_commands.command("upgrade")
def upgrade() -> None:
    """Create the tables, or bring them to this version."""
    database.upgrade(settings_module.load().database_url)
    typer.echo("the database is up to date")


@database_commands.command("check")
def check() -> None:
    """Say whether the database is reachable and has this version's tables."""
    database.check(database.open_engine(settings_module.load().database_url))
    typer.echo("the database is reachable and up to date")


@database_commands.command("backup")
def backup(target: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")]) -> None:
    """Copy the SQLite database into a file, while everything goes on running (PostgreSQL: use pg_dump)."""
    database.back_up(settings_module.load().database_url, target)
    typer.echo(f"the database is in {target}")


@database_commands.command("prune")
def prune() -> None:
    """Remove what the KEEP_* settings no longer keep (the worker does so every hour)."""
    settings = settings_module.load()
    gone = housekeeping.prune(ready_engine(settings), settings, dt.datetime.now(dt.UTC))
    typer.echo(f"removed raw={gone.raw} details={gone.details} reports={gone.reports} quarantined={gone.quarantined}")


@quarantine_commands.command("list")
def list_quarantined(
    discarded: Annotated[bool, typer.Option("--discarded", help="Those that were discarded, instead.")] = False,
) -> None:
    """List messages that could not be read, newest first, each with its reason."""
    engine = ready_engine(settings_module.load())
    columns = [
        quarantine.c[name]
        for name in ("message_digest", "received_at", "door", "reason", "explanation", "subject", "note")
    ]
    wanted = quarantine.c.state == ("discarded" if discarded else "waiting")
    with engine.connect() as connection:
        for row in connection.execute(
            sa.select(*columns).where(wanted).order_by(quarantine.c.received_at.desc())
        ).mappings():
            typer.echo(f"{row['message_digest']}  {row['received_at']:%Y-%m-%d %H:%M}Z  {row['door']}  {row['reason']}")
            for name in ("explanation", "subject", "note"):
                if row[name]:
                    typer.echo(f"    {name}: {plaintext.one_line(row[name])}")


@quarantine_commands.command("show")
def show_quarantined(
    message: Annotated[str, typer.Argument(help="Its number from `quarantine list`, or the beginning of it.")],
) -> None:
    """Write a quarantined message to standard output, byte by byte as it came."""
    engine = ready_engine(settings_module.load())
    with engine.connect() as connection:
        digest = _find(connection, message)
        stored = connection.execute(
            sa.select(quarantine.c.message).where(quarantine.c.message_digest == digest)
        ).scalar_one()
    sys.stdout.buffer.write(zlib.decompress(stored))


@quarantine_commands.command("retry")
def retry(
    messages: Annotated[
        list[str] | None, typer.Argument(help="Their numbers; all that wait, when none is given.")
    ] = None,
) -> None:
    """Read quarantined messages again, as after an upgrade or a change of DOMAINS. What can be read is stored."""
    settings = settings_module.load()
    engine = ready_engine(settings)
    with engine.connect() as connection:
        waiting = sa.select(quarantine.c.message_digest).where(quarantine.c.state == "waiting")
        digests = (
            [_find(connection, text) for text in messages] if messages else list(connection.execute(waiting).scalars())
        )
    keys = Keys(settings.nameservers)

    def verdict(message: bytes, now: dt.datetime) -> Authentication:
        keys.prefetch(signature_names(message), settings.dns_seconds)
        return authenticate(message, keys, now)

    tally = retries.retry_quarantined(engine, settings, verdict, digests, dt.datetime.now(dt.UTC))
    typer.echo(f"stored={tally.stored} duplicate={tally.duplicate} quarantined={tally.quarantined}")
    raise typer.Exit(ANSWER_IS_NO if tally.quarantined else DONE)


@quarantine_commands.command("discard")
def discard(
    messages: Annotated[list[str], typer.Argument(help="Their numbers from `quarantine list`.")],
    note: Annotated[str, typer.Option(help="Why; kept with the message.")] = "",
) -> None:
    """Take messages off the list. They are kept until retention (KEEP_QUARANTINE_DAYS) removes them."""
    engine = ready_engine(settings_module.load())
    with engine.begin() as connection:
        digests = [_find(connection, text) for text in messages]
        change = sa.update(quarantine).where(quarantine.c.message_digest.in_(digests))
        connection.execute(change.values(state="discarded", note=note))
    typer.echo(f"discarded={len(digests)}")


def _find(connection: sa.Connection, beginning: str) -> str:
    """The one quarantined message whose number begins so."""
    like = quarantine.c.message_digest.startswith(beginning.lower(), autoescape=True)
    found: list[str] = list(connection.execute(sa.select(quarantine.c.message_digest).where(like).limit(2)).scalars())
    if len(found) == 1:
        return found[0]
    raise typer.BadParameter(f"{'several messages' if found else 'no message'} in quarantine begin with {beginning!r}")
