"""``starttally assess``: decide verdicts ahead, so that whoever asks has them at once."""

import threading
from typing import Annotated

import typer

from ingest.commands.app import configure_logging, load_settings

# What a verdict needs is imported by the function: it would cost doors and worker memory.


def assess(
    once: Annotated[bool, typer.Option("--once", help="Decide what is due now, then stop.")] = False,
) -> None:
    """Decide the verdicts that are due, and store them, until stopped. Any number may run over one database."""
    from dashboard.assessing import Assessor
    from ingest.database import engines
    from ingest.work.worker import stop_on_signals

    configure_logging()
    settings = load_settings()
    engine = engines.open_existing(settings.database_url) if once else engines.open_engine(settings.database_url)
    assessor = Assessor(engine, settings)
    if once:
        typer.echo(f"verdicts={assessor.run_once()}")
        return
    stop = threading.Event()
    stop_on_signals(stop)
    assessor.run(stop)
