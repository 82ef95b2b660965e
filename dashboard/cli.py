"""The program's entry: all commands, and the exit codes they end with."""

import datetime as dt
import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ingest import cli as ingest_cli
from ingest import settings as settings_module
from ingest.cli import AWAY, USAGE, app
from ingest.database import DatabaseAway, SchemaMismatch
from ingest.receiving import CertificateUnusable, PortBusy
from ingest.settings import SettingsError
from ingest.spool import SpoolUnavailable

from . import supervisor
from .serving import streamlit_arguments


@app.command()
def serve() -> None:
    """Run everything on this machine: both doors, the worker and the dashboard, over one database. Ctrl-C stops it."""
    ingest_cli.configure_logging()
    supervisor.serve(settings_module.load())


@app.command()
def dashboard() -> None:
    """Run the dashboard until stopped."""
    arguments = streamlit_arguments(settings_module.load())
    os.execv(arguments[0], arguments)  # noqa: S606  (no shell; the arguments are ours)


@app.command()
def export(
    kind: Annotated[str, typer.Argument(help="summary, failures, domains or reports")],
    format: Annotated[str, typer.Option(help="csv, json or parquet")] = "csv",  # noqa: A002  (the option's public name)
    domain: Annotated[str | None, typer.Option(help="Only this policy domain.")] = None,
    since: Annotated[str | None, typer.Option(help="First day, YYYY-MM-DD.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day, YYYY-MM-DD.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write; standard output otherwise.")] = None,
) -> None:
    """Write summaries, failures, domains or reports as CSV, JSON or Parquet."""
    raise NotImplementedError
