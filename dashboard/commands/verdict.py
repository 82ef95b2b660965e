"""``starttally verdict``: the answer on the command line."""

import datetime as dt
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ingest.commands.app import ANSWER_IS_NO, DONE, load_settings
from ingest.text import plaintext

if TYPE_CHECKING:
    import sqlalchemy as sa
    from rich.console import JustifyMethod

    from dashboard.decision.verdict import Verdict
    from dashboard.queries.question import Question

_LONGEST = 2_000
_USUAL_WIDTH, _ANY_WIDTH = 80, 10_000
# Columns of the table that are left out first, from the right; those that hold words.
_LESS, _WORDS = 2, ("domain", "verdict", "mode")

# What a verdict needs (pandas) is imported by the functions: it would cost doors and worker 60 MiB of memory each.


class UnknownDomain(Exception):
    """Nobody has reported about the domain, so there is no verdict. Show the text; exit with 1."""


def verdict(
    domain: Annotated[str, typer.Argument(help="The policy domain; all domains in one table without it.")] = "",
    as_data: Annotated[bool, typer.Option("--json", help="Everything that the verdict rests on, as JSON.")] = False,
    on: Annotated[
        str, typer.Option("--on", help="The verdict as of that day (UTC), YYYY-MM-DD; from what had arrived by then.")
    ] = "",
) -> None:
    """Say whether a domain's policy may go to enforce. Exit code 1 when the named one is not ready, or has no report."""
    import sqlalchemy as sa

    from dashboard.decision.verdict import urgency
    from dashboard.queries.question import Question
    from dashboard.verdicts import as_json, is_fine, verdicts
    from ingest.database import engines

    settings = load_settings()
    today = dt.datetime.now(dt.UTC).date()
    day = day_of(on, "--on") if on else today
    name = policy_domain(domain) if domain else ""
    question = Question.of(settings, today).about(day)
    engine = engines.open_existing(settings.database_url, read_only=True)
    try:
        if name:
            refuse_unknown(engine, name)
            (decided,) = verdicts(engine, question, [name])
            _print_json(as_json(decided)) if as_data else _explain(decided)
            raise typer.Exit(DONE if is_fine(decided) else ANSWER_IS_NO)
        every = sorted(_all(engine, question), key=urgency)
        _print_json([as_json(decided) for decided in every]) if as_data else _table(every)
    except sa.exc.DBAPIError as error:
        raise engines.as_away(error) from error
    finally:
        engine.dispose()


def _all(engine: "sa.Engine", question: "Question") -> "Iterator[Verdict]":
    from dashboard.queries.evidence import domains_of
    from dashboard.verdicts import current

    return current(engine, question, domains_of(engine, question.scope))


def day_of(text: str, option: str) -> dt.date:
    """A day as typed for ``option``. Raises typer.BadParameter."""
    from ingest.text import days

    try:
        return days.read_day(text)
    except days.NoDay as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def policy_domain(domain: str) -> str:
    """A domain as typed, in its stored form. Raises typer.BadParameter."""
    from ingest.rfc import names

    try:
        return names.domain_name(domain)
    except ValueError as error:
        raise typer.BadParameter(f"{domain!r} is no policy domain: {error}") from error


def refuse_unknown(engine: "sa.Engine", domain: str) -> None:
    """Return when there is a report about ``domain``, whether it counts as evidence or not. Raises UnknownDomain."""
    from dashboard.queries.domain import is_known
    from dashboard.queries.question import EVERYTHING

    if not is_known(engine, EVERYTHING, domain):
        raise UnknownDomain(f"no report about {plaintext.one_line(domain)}")


def _print_json(value: object) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _explain(decided: "Verdict") -> None:
    """One domain, in sentences."""
    from dashboard.words import verdict_words

    typer.echo(f"{plaintext.one_line(decided.domain)}: {decided.name}")
    for line in verdict_words.lines(decided):
        typer.echo(plaintext.one_line(line, _LONGEST))


def _table(every: "Sequence[Verdict]") -> None:
    """All domains: a table, of fewer columns where it is narrow, else a paragraph each; a domain name is never cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not every:
        typer.echo("no domain has a report yet")
        return
    console = Console()
    # Where nothing says how wide it is shown, as wide as a terminal is.
    width = console.width if console.is_terminal else min(console.width, _USUAL_WIDTH)
    columns = _columns(every)
    for number, gap in ((len(columns), 2), (len(columns), 1), (len(columns) - _LESS, 2), (len(columns) - _LESS, 1)):
        table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
        for heading, _ in columns[:number]:
            justify: JustifyMethod = "left" if heading in _WORDS else "right"
            table.add_column(heading, justify=justify, no_wrap=True)
        for cells in zip(*(cells for _, cells in columns[:number]), strict=True):
            table.add_row(*(Text(plaintext.one_line(cell)) for cell in cells))
        measure = Console(width=_ANY_WIDTH).measure(table).maximum
        if measure <= width:
            Console(width=measure).print(table)
            return
    for decided in every:
        _paragraph(decided, width)


def _columns(every: "Sequence[Verdict]") -> "Sequence[tuple[str, Sequence[str]]]":
    """Headings and cells. What was refused in the newest days is not among the sessions: it has a column of its own."""
    from dashboard.words.phrases import at_most

    lately = [f"+{decided.refused_lately:,}" if decided.refused_lately else "" for decided in every]
    return [
        ("domain", [decided.domain for decided in every]),
        ("verdict", [decided.name for decided in every]),
        ("mode", [decided.mode for decided in every]),
        ("sessions", [f"{decided.sessions:,}" for decided in every]),
        ("refused", [f"{decided.refused:,}" for decided in every]),
        *([("newest", lately)] if any(lately) else []),
        ("at most", [at_most(decided.bound) if decided.sessions else "-" for decided in every]),
        ("reporters", [str(decided.reporters) for decided in every]),
    ]


def _paragraph(decided: "Verdict", width: int) -> None:
    from rich.cells import cell_len

    from dashboard.words.verdict_words import in_brief

    domain = plaintext.one_line(decided.domain)
    head = f"{domain}  {decided.name}"
    typer.echo(head if cell_len(head) <= width else f"{domain}\n  {decided.name}")
    for line in textwrap.wrap(
        plaintext.one_line(in_brief(decided), _LONGEST), width, initial_indent="  ", subsequent_indent="  "
    ):
        typer.echo(line)
