"""``starttally word``: the operator's word about a domain, on the command line."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Annotated

import sqlalchemy as sa
import typer

from ingest import database, operator_word
from ingest import settings as settings_module
from ingest.cli import app
from ingest.mtasts.faults import ERROR
from ingest.mtasts.lint import lint
from ingest.operator_word import AcceptedCause, Content, EnteredPolicy, MxHosts, NotFound, OwnThresholds, Refused, Word
from ingest.plaintext import one_line
from ingest.policy_cli import read_policy
from ingest.quarantine_cli import os_user
from ingest.settings import Settings
from ingest.tlsrpt import names

from .evidence import NO_MX
from .operator_word import IN_FORCE, state, what
from .queries.selection import EVERYTHING
from .verdict_cli import day_of, policy_domain

word_commands = typer.Typer(
    no_args_is_help=True, help="What you know and reports cannot: accept a cause, set thresholds, enter the policy."
)
app.add_typer(word_commands, name="word")

_LONGEST = 1_000
_SHORT_KEY = 12
_Domain = Annotated[str, typer.Argument(help="The policy domain.")]
_Note = Annotated[str, typer.Option(help="Why; kept with your name. Needed.")]
_Until = Annotated[
    str, typer.Option(metavar="DAY", help="The last day on which it holds, YYYY-MM-DD; else until it is taken back.")
]


@word_commands.command("list")
def list_words(
    domain: Annotated[str, typer.Argument(help="Those about this policy domain; all without it.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Those taken back, expired or replaced as well.")] = False,
) -> None:
    """List the words in force, by domain, oldest first: number, what, who, since and until when, and the note."""
    about = policy_domain(domain) if domain else ""
    today = _now().date()
    with _database(read_only=True) as (_, engine):
        in_force = operator_word.words(engine, about, today)
        listed = operator_word.words(engine, about) if every else in_force
    shown = [
        (word, how)
        for word in listed
        if (how := state(word, [one for one in in_force if one.domain == word.domain], today)) == IN_FORCE or every
    ]
    for word, how in shown:
        _print(word, how)
    if not shown:
        typer.echo(f"no word {'was ever given' if every else 'is in force'}")


@word_commands.command("accept")
def accept(
    domain: _Domain,
    result_type: Annotated[str, typer.Option(help="The result type, as `verdict` shows it; any without it.")] = "",
    mx: Annotated[
        str, typer.Option(metavar="HOST", help=f"The MX host; any without it; {NO_MX!r} for failures that name none.")
    ] = "",
    reporter: Annotated[
        str, typer.Option(metavar="NAME", help="The reporter, as `verdict` and the pages show it; any without it.")
    ] = "",
    note: _Note = "",
    until: _Until = "",
) -> None:
    """Accept a cause: its sessions no longer block, and are left out of the count."""
    _give(domain, AcceptedCause(result_type.strip(), _host(mx), reporter), note, until)


@word_commands.command("thresholds")
def thresholds(
    domain: _Domain,
    bound: Annotated[
        float | None, typer.Option(help="Share of sessions that enforce may refuse, above 0 and below 1.")
    ] = None,
    reporters: Annotated[int | None, typer.Option(help="Independent reporters, 1 to 100.")] = None,
    window_days: Annotated[int | None, typer.Option(help="Complete days to look at, 1 to 90.")] = None,
    late_days: Annotated[int | None, typer.Option(help="Newest complete days left out, 0 to 14.")] = None,
    confidence: Annotated[float | None, typer.Option(help="One-sided confidence of the bound, 0.5 to below 1.")] = None,
    note: _Note = "",
    until: _Until = "",
) -> None:
    """Set thresholds of this domain, instead of the settings VERDICT_*. What is not named stays as it is."""
    _give(domain, OwnThresholds(bound, reporters, window_days, late_days, confidence), note, until)


@word_commands.command("policy")
def policy(
    domain: _Domain,
    file: Annotated[str, typer.Argument(help="The policy file as it is served; - is standard input.")],
    mx: Annotated[
        list[str] | None, typer.Option("--mx", metavar="HOST", help="A host of the MX records; repeat it for each.")
    ] = None,
    note: _Note = "",
    until: _Until = "",
) -> None:
    """Enter the policy in force, when reports lag. It outranks what reports quote until senders change to another one."""
    try:
        text = read_policy(file).decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{one_line(file)} is no UTF-8 text, which senders cannot read") from error
    entered = EnteredPolicy(text, tuple(mx or ()))
    _give(domain, entered, note, until)
    for fault in lint(text.encode(), entered.mx_hosts).faults:
        if fault.severity == ERROR:
            place = f"line {fault.line}: " if fault.line else ""
            typer.echo(one_line(f"the policy is faulty: {place}{fault.text}; {fault.repair}", _LONGEST), err=True)


@word_commands.command("mx")
def mx_hosts(
    domain: _Domain,
    hosts: Annotated[list[str], typer.Argument(metavar="HOST", help="The hosts of the domain's MX records.")],
    note: _Note = "",
    until: _Until = "",
) -> None:
    """Name the MX hosts, so that those without evidence are seen, and a policy that does not cover them."""
    _give(domain, MxHosts(tuple(hosts)), note, until)


@word_commands.command("withdraw")
def withdraw(
    number: Annotated[str, typer.Argument(metavar="ID", help="Its number from `word list`, or the beginning of it.")],
    note: Annotated[str, typer.Option(help="Why; kept with the word.")] = "",
) -> None:
    """Take a word back, from today on. It is kept, and the verdicts of earlier days keep it."""
    with _database() as (settings, engine):
        try:
            word = operator_word.find(engine, number)
        except NotFound as error:
            raise typer.BadParameter(one_line(str(error))) from error
        _do(settings, engine, word.domain, lambda: _take_back(engine, word, note))


def _take_back(engine: sa.Engine, word: Word, note: str) -> None:
    if not operator_word.withdraw(engine, word.domain, word.key, note, os_user(), _now()):
        raise typer.BadParameter(f"{word.key[:_SHORT_KEY]} was taken back before")
    typer.echo(f"taken back: {word.key[:_SHORT_KEY]}  {one_line(what(word.content), _LONGEST)}")


def _give(domain: str, content: Content, note: str, until: str) -> None:
    about = policy_domain(domain)
    last = day_of(until, "--until") if until else None

    def give() -> None:
        try:
            key = operator_word.give(engine, about, content, note, os_user(), _now(), last)
        except Refused as error:
            raise typer.BadParameter(one_line(str(error))) from error
        typer.echo(f"kept: {key[:_SHORT_KEY]}  {one_line(what(content), _LONGEST)}")

    with _database() as (settings, engine):
        _do(settings, engine, about, give)


@contextlib.contextmanager
def _database(*, read_only: bool = False) -> Iterator[tuple[Settings, sa.Engine]]:
    settings = settings_module.load()
    engine = database.open_existing(settings.database_url, read_only=read_only)
    try:
        yield settings, engine
    finally:
        engine.dispose()


def _do(settings: Settings, engine: sa.Engine, domain: str, act: Callable[[], None]) -> None:
    """``act``, and what it makes of the verdict of today, if there is any."""
    before = _verdict(settings, engine, domain)
    act()
    after = _verdict(settings, engine, domain)
    changed = f"{before} -> {after}" if before != after else f"{after}, as before"
    typer.echo(f"verdict of {one_line(domain)} today: {changed}")


def _verdict(settings: Settings, engine: sa.Engine, domain: str) -> str:
    # Imported here: SciPy would cost doors and worker 90 MiB of memory each.
    from .queries.domain import is_known
    from .verdicts import verdicts

    today = _now().date()
    try:
        if not is_known(engine, EVERYTHING, domain):
            return "none without a report about it"
        (found,) = verdicts(engine, settings, [domain], today, today)
    except sa.exc.DBAPIError as error:
        raise database.as_away(error) from error
    refused = found.refused + found.refused_lately
    return f"{found.name} ({found.sessions:,} sessions, {refused:,} would be refused)"


def _host(typed: str) -> str:
    """As reports' hosts are stored: a name in its stored form, anything else as it is."""
    if typed == NO_MX:
        return typed
    try:
        return names.domain_name(typed)
    except ValueError:
        return typed


def _print(word: Word, how: str) -> None:
    until = f" until {word.until}" if word.until else ""
    typer.echo(f"{word.key[:_SHORT_KEY]}  {one_line(word.domain)}  {one_line(what(word.content), _LONGEST)}")
    typer.echo(f"    {how}, since {word.since}{until}, by {one_line(word.author)}: {one_line(word.note, _LONGEST)}")
    if word.withdrawn_at:
        why = f": {one_line(word.withdrawal_note, _LONGEST)}" if word.withdrawal_note else ""
        typer.echo(f"    taken back {word.withdrawn_at:%Y-%m-%d %H:%M}Z by {one_line(word.withdrawn_by)}{why}")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
