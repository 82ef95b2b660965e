"""The program's entry: all commands, and the exit codes they end with (docs/commands.md)."""

import datetime as dt
import functools
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ingest.commands import app as ingest_cli
from ingest.commands.app import ANSWER_IS_NO, AWAY, DONE, USAGE, app, load_settings
from ingest.commands.groups import add_group
from ingest.text.confidential import without_secrets

from .assess import assess
from .verdict import UnknownDomain, day_of, refuse_unknown, verdict

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ingest.settings.settings import Settings

__all__ = ["app", "main"]


@functools.cache
def _policy_commands() -> typer.Typer:
    from ingest.commands.policy import policy_commands

    from .policy_next import policy_next

    policy_commands.command("next")(policy_next)
    return policy_commands


def _override_commands() -> typer.Typer:
    from .override import override_commands

    return override_commands


add_group(app, "policy", "MTA-STS policies: look one over, write one.", _policy_commands)
add_group(
    app,
    "override",
    "What you know and reports cannot: accept or repair a cause, believe or dismiss a reporter, set thresholds, enter the "
    "policy.",
    _override_commands,
)
app.command()(verdict)
app.command()(assess)


def _show_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

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
        supervisor.serve(load_settings())
    except supervisor.PartRefused as error:
        _fail(error, USAGE)


@app.command()
def dashboard() -> None:
    """Run the dashboard until stopped."""
    from dashboard.entrance.serving import streamlit_arguments
    from ingest.database import engines

    settings = load_settings()
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
    import msgspec

    from dashboard.exports import writing as exports
    from dashboard.queries.question import Question

    first = day_of(since, "--since") if since else None
    last = day_of(until, "--until") if until else None
    settings = load_settings()
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


def _reader(settings: "Settings", domains: Sequence[str]) -> "sa.Engine":
    """A read-only engine on a database that holds a report about each of ``domains``."""
    import sqlalchemy as sa

    from ingest.database import engines

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
    except BrokenPipeError:  # `starttally export summary | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(DONE) from None
    except Exception as error:  # noqa: BLE001 - the outer door of the commands: a traceback may quote what it was given
        code = _exit_code(error)
        if code is not None:
            _fail(error, code)
        sys.stderr.write(without_secrets(traceback.format_exc()))
        raise SystemExit(1) from None


def _exit_code(error: Exception) -> int | None:
    """How the program ends by an error that one line explains; None for any other."""
    from ingest.database.distribution import CannotDistribute
    from ingest.database.engines import DatabaseAway, NotBackedUp, SchemaMismatch
    from ingest.doors.certificate import CertificateUnusable
    from ingest.doors.sockets import PortBusy
    from ingest.host.filesystems import OnNetwork
    from ingest.settings.settings import SettingsError
    from ingest.spool.maildir import SpoolUnavailable

    match error:
        case SettingsError() | SchemaMismatch() | NotBackedUp() | CannotDistribute():
            return USAGE
        case OnNetwork() | PortBusy() | CertificateUnusable():
            return USAGE
        case UnknownDomain():
            return ANSWER_IS_NO
        case DatabaseAway() | SpoolUnavailable():
            return AWAY
    return None


def _fail(error: Exception, code: int) -> NoReturn:
    sys.stderr.write(without_secrets(f"starttally: {error}\n"))
    raise SystemExit(code) from None


if __name__ == "__main__":
    main()
