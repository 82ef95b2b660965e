"""``starttally override``: what the operator knows about a domain, on the command line."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import sqlalchemy as sa
import typer

from dashboard.decision.evidence import NO_MX, Evidence
from dashboard.decision.overrides.coverage import coverage
from dashboard.decision.overrides.overrides import IN_FORCE, state
from dashboard.decision.overrides.subjects import typed_result_type, typed_voice
from dashboard.queries.question import EVERYTHING, Question
from dashboard.words import override_words
from dashboard.words.override_words import what
from dashboard.words.phrases import counted
from ingest.commands.policy import read_policy
from ingest.commands.quarantine import os_user
from ingest.database import engines
from ingest.rfc import names
from ingest.rfc.faults import ERROR
from ingest.rfc.mtasts.lint import lint
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings
from ingest.store import overrides
from ingest.store.overrides import Act, NoSuchOverride
from ingest.testimony.override_rules import (
    AcceptedCause,
    BelievedVoice,
    Content,
    DismissedVoice,
    EnteredPolicy,
    MxHosts,
    Override,
    OwnThresholds,
    RefusedOverride,
    RepairedCause,
)
from ingest.text.plaintext import one_line
from ingest.text.shares import NoShare, read_share

from .verdict import day_of, policy_domain

# What a verdict needs (pandas) is imported by the functions: it would cost doors and worker 60 MiB of memory each.

override_commands = typer.Typer()

_LONGEST = 1_000
_SHORT_KEY = 12
_NO_HOST = f"{NO_MX!r} for failures that name none"
_Domain = Annotated[str, typer.Argument(help="The policy domain.")]
_ResultType = Annotated[str, typer.Argument(help="The result type, as `verdict` shows it.")]
_Mx = Annotated[str, typer.Option(metavar="HOST", help=f"The MX host; any without it; {_NO_HOST}.")]
_Voice = Annotated[
    str, typer.Argument(help="The reporter, as `verdict` shows it: its domain, an address there, or a well-known name.")
]
_Note = Annotated[str, typer.Option(help="Why; kept with your name. Needed.")]
_Until = Annotated[
    str, typer.Option(metavar="DAY", help="The last day on which it holds, YYYY-MM-DD; else until it is taken back.")
]


@override_commands.command("list")
def list_overrides(
    domain: Annotated[str, typer.Argument(help="Those of this policy domain; all without it.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Those taken back, expired or replaced as well.")] = False,
) -> None:
    """List the overrides in force, by domain, oldest first: number, what, who, since and until when, the note, what it covers."""
    name = policy_domain(domain) if domain else ""
    today = _now().date()
    with _database(read_only=True) as (settings, engine):
        in_force = overrides.given(engine, name, today)
        listed = [
            (override, how)
            for override in (overrides.given(engine, name) if every else in_force)
            if (how := state(override, [other for other in in_force if other.domain == override.domain], today))
            == IN_FORCE
            or every
        ]
        domains = sorted({override.domain for override, how in listed if how == IN_FORCE})
        evidence = {known.domain: known for known in _evidence(settings, engine, domains)}
    for override, how in listed:
        covers = override_words.covers(coverage(evidence[override.domain], override)) if how == IN_FORCE else ""
        _print(override, how, covers)
    if not listed:
        typer.echo(f"no override {'was ever given' if every else 'is in force'}")


@override_commands.command("accept")
def accept(
    domain: _Domain,
    result_type: _ResultType,
    mx: _Mx = "",
    voice: Annotated[str, typer.Option(metavar="VOICE", help="The reporter that saw it; any without it.")] = "",
    note: _Note = "",
    until: _Until = "",
) -> None:
    """Accept a cause that needs no repair: its sessions no longer block, and are left out of the count."""

    def cause(case: _Case) -> AcceptedCause:
        return AcceptedCause(case.result_type(result_type), _host(mx), case.voice(voice) if voice else "")

    _give(domain, cause, note, until)


@override_commands.command("repaired")
def repaired(
    domain: _Domain,
    result_type: _ResultType,
    on: Annotated[str, typer.Option("--on", metavar="DAY", help="The day of the repair, YYYY-MM-DD; not after today.")],
    mx: _Mx = "",
    note: _Note = "",
) -> None:
    """Say that a cause was repaired: failures up to that day no longer block, later ones block again."""
    day = day_of(on, "--on")
    _give(domain, lambda case: RepairedCause(day, case.result_type(result_type), _host(mx)), note)


@override_commands.command("believe")
def believe(domain: _Domain, voice: _Voice, note: _Note = "", until: _Until = "") -> None:
    """Let the verdict of this domain rest on a reporter, too, although it is new. Takes the place of `dismiss`."""
    _give(domain, lambda case: BelievedVoice(case.voice(voice)), note, until)


@override_commands.command("dismiss")
def dismiss(domain: _Domain, voice: _Voice, note: _Note = "", until: _Until = "") -> None:
    """Leave a reporter out of the verdict of this domain, whoever it is. Takes the place of `believe`."""
    _give(domain, lambda case: DismissedVoice(case.voice(voice)), note, until)


@override_commands.command("thresholds")
def thresholds(
    domain: _Domain,
    bound: Annotated[
        str, typer.Option(help="Share of sessions that enforce may refuse, as 0.02 or 2%; below 1 and not 0.")
    ] = "",
    reporters: Annotated[int | None, typer.Option(help="Independent reporters, 1 to 100.")] = None,
    window_days: Annotated[int | None, typer.Option(help="Complete days to look at, 1 to 90.")] = None,
    late_days: Annotated[int | None, typer.Option(help="Newest complete days left out, 0 to 14.")] = None,
    confidence: Annotated[
        str, typer.Option(help="One-sided confidence of the bound, as 0.95 or 95%; 0.5 to below 1.")
    ] = "",
    note: _Note = "",
    until: _Until = "",
) -> None:
    """Set thresholds of this domain, instead of the settings VERDICT_*. What is not named stays as it is."""
    shares = _share(bound, "--bound"), _share(confidence, "--confidence")
    limits = OwnThresholds(shares[0], reporters, window_days, late_days, shares[1])
    _give(domain, lambda _case: limits, note, until)


@override_commands.command("policy")
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
    _give(domain, lambda _case: entered, note, until)
    for fault in lint(text.encode(), entered.mx_hosts).faults:
        if fault.severity == ERROR:
            place = f"line {fault.line}: " if fault.line else ""
            typer.echo(one_line(f"the policy is faulty: {place}{fault.text}; {fault.repair}", _LONGEST), err=True)


@override_commands.command("mx")
def mx_hosts(
    domain: _Domain,
    hosts: Annotated[list[str], typer.Argument(metavar="HOST", help="The hosts of the domain's MX records.")],
    note: _Note = "",
    until: _Until = "",
) -> None:
    """Name the MX hosts, so that those without evidence are seen, and a policy that does not cover them."""
    _give(domain, lambda _case: MxHosts(tuple(hosts)), note, until)


@override_commands.command("withdraw")
def withdraw(
    number: Annotated[
        str, typer.Argument(metavar="ID", help="Its number from `override list`, or the beginning of it.")
    ],
    note: Annotated[str, typer.Option(help="Why; kept with the override.")] = "",
) -> None:
    """Take an override back, from today on. It is kept, and the verdicts of earlier days keep it."""
    with _database() as (settings, engine):
        try:
            override = overrides.find(engine, number)
        except NoSuchOverride as error:
            raise typer.BadParameter(one_line(str(error))) from error
        before = _Case(settings, engine, override.domain)
        if not overrides.withdraw(engine, override.domain, override.key, Act(os_user(), _now(), note)):
            raise typer.BadParameter(f"{override.key[:_SHORT_KEY]} was taken back before")
        typer.echo(f"taken back: {override.key[:_SHORT_KEY]}  {one_line(what(override.content), _LONGEST)}")
        _say_verdict(before, _Case(settings, engine, override.domain))


class _Case:
    """A domain as it is now: its evidence and the verdict made from it."""

    def __init__(self, settings: Settings, engine: sa.Engine, domain: str) -> None:
        from dashboard.queries.domain import is_known

        self.domain = domain
        self._engine = engine
        (self.evidence,) = _evidence(settings, engine, [domain])
        with _reading():
            self._is_known = is_known(engine, EVERYTHING, domain)

    def result_type(self, typed: str) -> str:
        """A result type as it was typed. Raises RefusedOverride."""
        from dashboard.queries.overrides import has_result_type

        with _reading():
            return typed_result_type(typed, lambda name: has_result_type(self._engine, EVERYTHING, self.domain, name))

    def voice(self, typed: str) -> str:
        """A voice as it was typed, and another spelling said back. Raises RefusedOverride."""
        voice = typed_voice(self.evidence, typed)
        if voice != typed.strip():
            typer.echo(f"{one_line(typed.strip())!r} is the reporter {one_line(voice)}")
        return voice

    @property
    def verdict(self) -> str:
        """The verdict in a few words."""
        from dashboard.decision.verdict import decide

        if not self._is_known:
            return "none without a report about it"
        decided = decide(self.evidence)
        refused = decided.refused + decided.refused_lately
        return f"{decided.name} ({counted(decided.sessions, 'session')}, {refused:,} would be refused)"


def _give(domain: str, content_of: Callable[[_Case], Content], note: str, until: str = "") -> None:
    name = policy_domain(domain)
    last = day_of(until, "--until") if until else None
    with _database() as (settings, engine):
        before = _Case(settings, engine, name)
        try:
            content = content_of(before)
            key = overrides.give(engine, name, content, Act(os_user(), _now(), note), last)
        except RefusedOverride as error:
            raise typer.BadParameter(one_line(str(error), _LONGEST)) from error
        override = overrides.find(engine, key)
        after = _Case(settings, engine, name)
        typer.echo(f"kept: {key[:_SHORT_KEY]}  {one_line(what(override.content), _LONGEST)}")
        typer.echo(f"    {override_words.covers(coverage(after.evidence, override))}")
        _say_verdict(before, after)


def _say_verdict(before: _Case, after: _Case) -> None:
    """What became of the verdict of today, if there is any."""
    then, now = before.verdict, after.verdict
    typer.echo(
        f"verdict of {one_line(after.domain)} today: {f'{then} -> {now}' if then != now else f'{now}, as before'}"
    )


def _evidence(settings: Settings, engine: sa.Engine, domains: Sequence[str]) -> list[Evidence]:
    """Today's evidence about domains, in their order. Raises DatabaseAway."""
    from dashboard.verdicts import evidence_about

    with _reading():
        return list(evidence_about(engine, Question.of(settings, _now().date()), domains))


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise engines.as_away(error) from error


@contextlib.contextmanager
def _database(*, read_only: bool = False) -> Iterator[tuple[Settings, sa.Engine]]:
    settings = settings_module.load()
    engine = engines.open_existing(settings.database_url, read_only=read_only)
    try:
        yield settings, engine
    finally:
        engine.dispose()


def _share(typed: str, option: str) -> float | None:
    try:
        return read_share(typed) if typed else None
    except NoShare as error:
        raise typer.BadParameter(one_line(str(error)), param_hint=option) from error


def _host(typed: str) -> str:
    """As reports' hosts are stored: a name in its stored form, anything else as it is."""
    if typed == NO_MX:
        return typed
    try:
        return names.domain_name(typed)
    except ValueError:
        return typed


def _print(override: Override, how: str, covers: str) -> None:
    until = f" until {override.until}" if override.until else ""
    content = one_line(what(override.content), _LONGEST)
    note = one_line(override.note, _LONGEST)
    typer.echo(f"{override.key[:_SHORT_KEY]}  {one_line(override.domain)}  {content}")
    typer.echo(f"    {how}, since {override.since}{until}, by {one_line(override.author)}: {note}")
    if covers:
        typer.echo(f"    {covers}")
    if override.withdrawn_at:
        why = f": {one_line(override.withdrawal_note, _LONGEST)}" if override.withdrawal_note else ""
        typer.echo(f"    taken back {override.withdrawn_at:%Y-%m-%d %H:%M}Z by {one_line(override.withdrawn_by)}{why}")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
