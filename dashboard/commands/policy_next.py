"""``starttally policy next``: what the verdict asks for, ready to paste."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import sqlalchemy as sa
import typer

from dashboard.queries.question import Question
from ingest.commands.app import ANSWER_IS_NO
from ingest.commands.policy import print_publication
from ingest.database import engines
from ingest.rfc.mtasts.record import new_id
from ingest.rfc.publication import Unpublishable
from ingest.settings import settings as settings_module
from ingest.text.plaintext import one_line

from .verdict import policy_domain, refuse_unknown

if TYPE_CHECKING:
    from dashboard.decision.verdict import Verdict
    from dashboard.words.next_step import Step

_LONGEST = 2_000


def policy_next(
    domain: Annotated[str, typer.Argument(help="The policy domain.")],
    mx: Annotated[
        list[str] | None,
        typer.Option("--mx", metavar="HOST", help="An MX host to name instead of those in force; repeat it for each."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Print a policy in mode enforce although a host of --mx is untested.")
    ] = False,
) -> None:
    """Print the domain's next step: the policy file, the TXT record, the order, the way back.

    Exit code 1 when it is to wait, or when a host of --mx is untested and enforce would demand it: no policy that reports
    were made under names it, and you have not named it as an MX host.
    """
    from dashboard.words.verdict_words import sentence  # here, as in _decided

    verdict, step = _decided(policy_domain(domain), mx or ())
    typer.echo(
        f"{one_line(verdict.domain)}: {verdict.name}\n{sentence(verdict)}\nNext: {one_line(step.words, _LONGEST)}"
    )
    for remark in step.remarks:
        typer.echo(f"- {one_line(remark, _LONGEST)}")
    if step.unvouched and not force:
        typer.echo(_untested(verdict.domain, step.unvouched), err=True)
    if step.publication is None or (step.unvouched and not force):
        raise typer.Exit(ANSWER_IS_NO)
    typer.echo("")
    print_publication(step.publication)
    if step.way_back:
        typer.echo("\n# The way back, should mail be refused: the same in mode testing, with another new id\n")
        typer.echo(step.way_back.policy_text.replace("\r\n", "\n"))
        typer.echo(step.way_back.mta_sts_record.zone_line)


def _decided(domain: str, mx: Sequence[str]) -> "tuple[Verdict, Step]":
    """The verdict of today and its next step."""
    # Imported here: pandas would cost doors and worker 60 MiB of memory each.
    from dashboard import verdicts
    from dashboard.words.next_step import next_step

    settings = settings_module.load()
    engine = engines.open_existing(settings.database_url, read_only=True)
    now = dt.datetime.now(dt.UTC)
    try:
        refuse_unknown(engine, domain)
        evidence, verdict = verdicts.case_of(engine, Question.of(settings, now.date()), domain)
        return verdict, next_step(evidence, verdict, new_id(now), new_id(now + dt.timedelta(seconds=1)), mx)
    except sa.exc.DBAPIError as error:
        raise engines.as_away(error) from error
    except Unpublishable as error:
        raise typer.BadParameter(f"{one_line(str(error))}; name the hosts of your MX records with --mx") from error
    finally:
        engine.dispose()


def _untested(domain: str, hosts: Sequence[str]) -> str:
    names = one_line(", ".join(hosts), _LONGEST)
    return (
        f"Nothing is printed: {names} would be enforced untested. Publish the mx line in mode testing first and wait for "
        f"reports, or say that it is an MX host in order: starttally override mx {one_line(domain)} HOST --note WHY; to print "
        "the policy all the same, add --force."
    )
