"""The program's entry: all commands, and the exit codes they end with (docs/commands.md)."""

import datetime as dt
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import sqlalchemy as sa
import typer

from ingest.commands import app as ingest_cli
from ingest.commands.app import ANSWER_IS_NO, AWAY, DONE, USAGE, app
from ingest.commands.policy import policy_commands
from ingest.database import engines
from ingest.database.engines import DatabaseAway, NotBackedUp, SchemaMismatch
from ingest.doors.receiving import CertificateUnusable, PortBusy
from ingest.host.filesystems import OnNetwork
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings, SettingsError
from ingest.spool.maildir import SpoolUnavailable
from ingest.text.confidential import without_secrets

from .assess import assess
from .override import override_commands
from .policy_next import policy_next
from .verdict import UnknownDomain, day_of, refuse_unknown, verdict

__all__ = ["app", "main"]

policy_commands.command("next")(policy_next)
app.add_typer(override_commands, name="override")
app.command()(verdict)
app.command()(assess)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"starttally {importlib.metadata.version('starttally')}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """StartTally receives TLS reports (RFC 8460) and shows what they say about your domains."""


@app.command()
def serve() -> None:
    """Run everything on this machine: both doors, the worker and the dashboard, over one database. Ctrl-C stops it."""
    from . import supervisor

    ingest_cli.configure_logging()
    try:
        supervisor.serve(settings_module.load())
    except supervisor.PartRefused as error:
        _fail(error, USAGE)


@app.command()
def dashboard() -> None:
    """Run the dashboard until stopped."""
    from dashboard.entrance.serving import streamlit_arguments

    settings = settings_module.load()
    engines.open_engine(
        settings.database_url, read_only=True
    ).dispose()  # what can never work is said here, not on a page
    arguments = streamlit_arguments(settings)
    os.execv(arguments[0], arguments)  # noqa: S606


@app.command()
def export(
    kind: Annotated[str, typer.Argument(help="summary, failures, domains or reports")],
    format: Annotated[str, typer.Option(help="csv, json or parquet")] = "csv",  # noqa: A002
    domain: Annotated[str, typer.Option(help="Only this policy domain.", metavar="DOMAIN")] = "",
    since: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")] = "",
    until: Annotated[str, typer.Option(help="Last day, YYYY-MM-DD.")] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; default: standard output.")
    ] = None,
) -> None:
    """Write summaries, failures, domains or reports as CSV, JSON or Parquet. Exit code 1 when DOMAIN has no report."""
    from dashboard.exports import writing as exports
    from dashboard.queries.question import Question

    first = day_of(since, "--since") if since else None
    last = day_of(until, "--until") if until else None
    settings = settings_module.load()
    try:
        filters = msgspec.structs.replace(
            exports.Filters.read(domain, first, last),
            question=Question.of(settings, dt.datetime.now(dt.UTC).date()),
        )
        exports.choose(kind, format)
        if output is None and format == "parquet" and sys.stdout.isatty():
            raise exports.ExportRefused("Parquet is no text: write it to a file with -o FILE, or into a pipe")
        engine = _reader(settings, filters.domains)
        if output is None:
            exports.write(engine, kind, format, filters, sys.stdout.buffer)
            sys.stdout.flush()
        else:
            exports.write_file(engine, kind, format, filters, output)
    except (exports.ExportRefused, exports.FileNotWritable) as error:
        _fail(error, USAGE)


def _reader(settings: Settings, domains: Sequence[str]) -> sa.Engine:
    """A read-only engine on a database that holds a report about each of ``domains``."""
    engine = engines.open_existing(settings.database_url, read_only=True)
    try:
        for domain in domains:
            refuse_unknown(engine, domain)
    except sa.exc.DBAPIError as error:
        raise engines.as_away(error) from error
    return engine


def main() -> None:
    """Run a command and end with its exit code; what the user can put right is one line, not a traceback."""
    try:
        app()
    except (SettingsError, SchemaMismatch, NotBackedUp, OnNetwork, PortBusy, CertificateUnusable) as error:
        _fail(error, USAGE)
    except UnknownDomain as error:
        _fail(error, ANSWER_IS_NO)
    except (DatabaseAway, SpoolUnavailable) as error:
        _fail(error, AWAY)
    except BrokenPipeError:  # `starttally export summary | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(DONE) from None
    except Exception:  # noqa: BLE001 - the outer door of the commands: a traceback may quote what it was given
        sys.stderr.write(without_secrets(traceback.format_exc()))
        raise SystemExit(1) from None


def _fail(error: Exception, code: int) -> NoReturn:
    sys.stderr.write(without_secrets(f"starttally: {error}\n"))
    raise SystemExit(code) from None


if __name__ == "__main__":
    main()
