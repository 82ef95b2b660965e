"""``starttally quarantine``: messages that could not be read, on the command line."""

import datetime as dt
import getpass
import sys
from collections.abc import Sequence
from typing import Annotated

import sqlalchemy as sa
import typer

from ingest.authentication.dkim_keys import Keys
from ingest.database import engines
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings
from ingest.store import quarantine, quarantine_bounds
from ingest.store.saving import Tally
from ingest.text.plaintext import one_line
from ingest.work import limited, retrying
from ingest.work.reader import Reader

quarantine_commands = typer.Typer()

_ANSWER_IS_NO = 1
_Numbers = Annotated[list[str], typer.Argument(help="Their numbers from `quarantine list`, or the beginnings of them.")]
_Reason = Annotated[str, typer.Option(help="Those with this reason only, for example no-report.")]


@quarantine_commands.command("list")
def list_quarantined(
    discarded: Annotated[bool, typer.Option("--discarded", help="Those that were discarded, instead.")] = False,
    reason: _Reason = "",
) -> None:
    """List messages that could not be read, grouped by reason, newest first; and how many gave way, as quarantine is bounded."""
    engine = _engine(read_only=True)
    for group in quarantine.groups(engine, discarded=discarded, reason=reason):
        for row in quarantine.messages(engine, group.reason, discarded=discarded):
            line = f"{row['message_digest']}  {row['received_at']:%Y-%m-%d %H:%M}Z  {row['door']}  {row['reason']}"
            typer.echo(line + ("  (waits to be read again)" if row["state"] == quarantine.RETRYING else ""))
            for name in ("explanation", "subject", "note"):
                if row[name]:
                    typer.echo(f"    {name}: {one_line(row[name])}")
            if row["acted_at"]:
                what = "discarded" if discarded else "last touched"
                typer.echo(f"    {what}: {row['acted_at']:%Y-%m-%d %H:%M}Z by {one_line(row['acted_by'])}")
        typer.echo(f"    -- {group.messages} {'message' if group.messages == 1 else 'messages'} for this reason\n")
    for lost in quarantine.lost(engine):
        typer.echo(
            f"    -- gave way: {lost.messages} {'message' if lost.messages == 1 else 'messages'} of {lost.bytes} bytes with the "
            f"reason {lost.reason}, as {quarantine_bounds.WORDS.get(lost.bound, lost.bound)}; "
            f"{lost.first_at:%Y-%m-%d %H:%M}Z to {lost.last_at:%Y-%m-%d %H:%M}Z"
        )


@quarantine_commands.command("show")
def show_quarantined(
    message: Annotated[str, typer.Argument(help="Its number from `quarantine list`, or the beginning of it.")],
) -> None:
    """Write a quarantined message to standard output, byte by byte as it came."""
    engine = _engine(read_only=True)
    content = quarantine.content(engine, _digests(engine, [message])[0])
    if not content:
        typer.echo("nothing is left of this message: its content went when it was discarded", err=True)
        raise typer.Exit(_ANSWER_IS_NO)
    sys.stdout.buffer.write(content)


@quarantine_commands.command("retry")
def retry(
    messages: Annotated[
        list[str] | None, typer.Argument(help="Their numbers; all that wait, when none is given.")
    ] = None,
    reason: _Reason = "",
) -> None:
    """Read quarantined messages again, as after an upgrade or a change of DOMAINS. What can be read is stored."""
    settings = settings_module.load()
    engine = _engine(settings)
    digests = _digests(engine, messages) if messages else quarantine.waiting(engine, reason)
    engine.dispose()
    tally = _read_again(settings, digests)
    typer.echo(f"stored={tally.stored} duplicate={tally.duplicate} quarantined={tally.quarantined}")
    raise typer.Exit(_ANSWER_IS_NO if tally.quarantined else 0)


@quarantine_commands.command("discard")
def discard(
    messages: _Numbers,
    note: Annotated[str, typer.Option(help="Why; kept with the message.")] = "",
) -> None:
    """Take messages off the list and delete their content at once, for good. What they were is kept for KEEP_QUARANTINE_DAYS.

    In doubt write the message to a file first: `starttally quarantine show`.
    """
    engine = _engine()
    digests = _digests(engine, messages)
    typer.echo(f"discarded={quarantine.discard(engine, digests, note, os_user(), dt.datetime.now(dt.UTC))}")


def _engine(settings: Settings | None = None, *, read_only: bool = False) -> sa.Engine:
    return engines.open_existing((settings or settings_module.load()).database_url, read_only=read_only)


def _digests(engine: sa.Engine, beginnings: Sequence[str]) -> list[str]:
    try:
        return [quarantine.find(engine, beginning) for beginning in beginnings]
    except quarantine.NoSuchMessage as error:
        raise typer.BadParameter(str(error)) from error


def os_user() -> str:
    """The user of the operating system."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return "command line"


def _read_again(settings: Settings, digests: Sequence[str]) -> Tally:
    """Read messages in limited children: one that ends its reader stays in quarantine, and the rest is read."""
    total = Tally()
    done = 0

    def count(tally: Tally) -> None:
        nonlocal total, done
        total += tally
        done += 1

    while not limited.in_a_child(lambda say: _reader(settings, digests[done:], say), count):
        count(Tally(quarantined=1))
    return total


def _reader(settings: Settings, digests: Sequence[str], say: limited.Say) -> None:
    engine = engines.open_engine(settings.database_url)
    reader = Reader(settings, Keys(settings.nameservers), limited.allow_message)
    for digest in digests:
        say(retrying.retry(engine, reader, digest, dt.datetime.now(dt.UTC)))
