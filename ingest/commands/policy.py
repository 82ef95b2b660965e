"""``starttally policy``: look over a policy before it is published, and write one. No database, no network."""

import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import dns.exception
import dns.rdata
import msgspec
import typer

from ingest.rfc import names, publication
from ingest.rfc.faults import ERROR, NOTE, WARNING
from ingest.rfc.mtasts import lint as linter
from ingest.rfc.mtasts import record as mta_sts_record
from ingest.rfc.mtasts.patterns import is_host
from ingest.rfc.mtasts.policy import MAX_BYTES, Policy
from ingest.rfc.publication import Publication, TxtRecord, Unpublishable
from ingest.rfc.tlsrpt import record as tlsrpt_record
from ingest.text.plaintext import one_line

policy_commands = typer.Typer()

_ANSWER_IS_NO = 1
_LONGEST = 1_000
_UTF_8_TAIL = 4  # so that a file over the limit is seen to be


class Finding(msgspec.Struct, frozen=True):
    """One line of the answer. ``place`` is ``file``, ``change`` or the name of a TXT record; ``line`` 0 is the whole of it."""

    place: str
    line: int
    severity: str
    code: str
    text: str
    repair: str


@policy_commands.command("lint")
def lint(
    file: Annotated[str, typer.Argument(help="The policy file; - is standard input.")],
    mx: Annotated[
        list[str] | None,
        typer.Option("--mx", metavar="HOST", help="A host of the domain's MX records; repeat it for each."),
    ] = None,
    previous: Annotated[str, typer.Option(help="The policy file published until now, to look at the change.")] = "",
    record: Annotated[
        str | None, typer.Option(help="The TXT record at _mta-sts that goes with FILE, as text or as dig prints it.")
    ] = None,
    previous_record: Annotated[str | None, typer.Option(help="The TXT record published until now.")] = None,
    tlsrpt: Annotated[
        str | None, typer.Option("--tlsrpt-record", help="The TXT record at _smtp._tls, to look over as well.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> None:
    """Say everything that is wrong with a policy file, by line, and what to write instead. Exit code 1 when there are errors."""
    hosts = [_host(host) for host in mx or []]
    policy = linter.lint(read_policy(file), hosts)
    findings = _findings("file", policy.faults)
    old, new = _sts_record(previous_record), _sts_record(record)
    if previous:
        before = linter.lint(read_policy(previous))
        fresh = mta_sts_record.new_id(dt.datetime.now(dt.UTC))
        findings += _findings("change", linter.change_faults(before, policy, old.id, new.id, fresh, hosts))
    if record is not None:
        findings += _findings("_mta-sts record", new.faults)
    if tlsrpt is not None:
        findings += _findings("_smtp._tls record", tlsrpt_record.choose(_texts(tlsrpt)).faults)
    _print_json(policy, findings) if as_json else _print(findings)
    counts = _counts(findings)
    raise typer.Exit(_ANSWER_IS_NO if counts[ERROR] or (strict and counts[WARNING]) else 0)


@policy_commands.command("build")
def build(
    domain: Annotated[str, typer.Argument(help="The policy domain: what follows the @ of its addresses.")],
    mode: Annotated[str, typer.Option(help="testing, enforce or none.")],
    mx: Annotated[
        list[str] | None,
        typer.Option(
            "--mx", metavar="HOST", help="An MX host, or *.domain for one label below it; repeat it for each."
        ),
    ] = None,
    max_age: Annotated[
        int | None, typer.Option(help="Seconds that senders keep the policy; else 604800, and 86400 for none.")
    ] = None,
    rua: Annotated[
        list[str] | None,
        typer.Option("--rua", metavar="URI", help="Where reports go, mailto: or https:; repeat it for each."),
    ] = None,
    policy_id: Annotated[str, typer.Option("--id", help="The id of the TXT record; else the time, in UTC.")] = "",
    policy_only: Annotated[bool, typer.Option("--policy-only", help="Print the policy file and nothing else.")] = False,
) -> None:
    """Print all that a domain publishes for a policy, ready to paste: the file, the TXT records, and the order of the steps."""
    fresh = policy_id or mta_sts_record.new_id(dt.datetime.now(dt.UTC))
    try:
        planned = publication.plan(domain, publication.PolicyDraft(mode, mx or [], max_age), fresh, rua or [])
    except Unpublishable as error:
        raise typer.BadParameter(one_line(str(error), _LONGEST)) from error
    if mx and mode == "none":
        typer.echo("the mx lines are left out: mode none has none", err=True)
    for finding in _findings("file", linter.lint(planned.policy_text.encode()).faults):
        typer.echo(_line(finding), err=True)
    sys.stdout.write(planned.policy_text) if policy_only else print_publication(planned)


def read_policy(path: str) -> bytes:
    """What a linter needs of a file: no more than senders read of it, and a little."""
    try:
        if path == "-":
            return sys.stdin.buffer.read(MAX_BYTES + _UTF_8_TAIL)
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + _UTF_8_TAIL)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise typer.BadParameter(f"cannot read {one_line(path)}: {one_line(reason)}") from error


def _host(text: str) -> str:
    try:
        name = names.domain_name(text)
    except ValueError as error:
        raise typer.BadParameter(f"--mx {one_line(text)}: {error}") from error
    if not is_host(name):
        raise typer.BadParameter(f"--mx {one_line(text)}: give the name of an MX host, without its preference")
    return name


def _sts_record(text: str | None) -> mta_sts_record.StsRecord:
    return mta_sts_record.StsRecord() if text is None else mta_sts_record.choose(_texts(text))


def _texts(typed: str) -> list[str]:
    """The records in what was typed: one as it is, or those that ``dig +short`` printed, quoted and perhaps in pieces."""
    return [_text(line.strip()) for line in typed.splitlines() if line.strip()]


def _text(line: str) -> str:
    if not line.startswith('"'):
        return line
    try:
        strings: Sequence[bytes] = dns.rdata.from_text("IN", "TXT", line).strings  # type: ignore[attr-defined]
    except dns.exception.DNSException:
        return line
    return b"".join(strings).decode("utf-8", "replace")


def _findings(place: str, faults: Sequence[Any]) -> list[Finding]:
    """Faults of a policy or of either record, told apart by where they are."""
    return [
        Finding(place, getattr(fault, "line", 0), fault.severity, fault.code, fault.text, fault.repair)
        for fault in faults
    ]


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    return {kind: sum(finding.severity == kind for finding in findings) for kind in (ERROR, WARNING, NOTE)}


def _line(finding: Finding) -> str:
    """What is wrong, and on a line of its own what to do about it."""
    place = f"line {finding.line}" if finding.line else finding.place
    words = one_line(finding.text, _LONGEST)
    return f"{place}: {finding.severity}: {words}\n    {one_line(finding.repair, _LONGEST)}"


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        typer.echo(_line(finding))
    counts = _counts(findings)
    totals = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items() if count)
    typer.echo(f"{totals or 'nothing to say'}: {_meaning(counts)}")


def _meaning(counts: dict[str, int]) -> str:
    if counts[ERROR]:
        return "do not publish it so"
    return "it can be published, and could be better" if counts[WARNING] else "it can be published"


def _print_json(policy: Policy, findings: Sequence[Finding]) -> None:
    counts = _counts(findings)
    answer = {
        "usable": policy.usable,
        "mode": policy.mode,
        "mx": policy.mx,
        "max_age": policy.max_age,
        "errors": counts[ERROR],
        "warnings": counts[WARNING],
        "notes": counts[NOTE],
        "findings": findings,
    }
    typer.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())


def print_publication(planned: Publication) -> None:
    """Write everything to publish to standard output, ready to paste."""
    typer.echo(f"# Policy file: {planned.policy_url}\n")
    typer.echo(planned.policy_text.replace("\r\n", "\n"))
    _print_record("MTA-STS", planned.mta_sts_record)
    if planned.tlsrpt_record:
        _print_record("TLS reports", planned.tlsrpt_record)
    typer.echo("# In this order\n")
    for number, step in enumerate(planned.steps, start=1):
        typer.echo(f"{number}. {step}")


def _print_record(what: str, record: TxtRecord) -> None:
    typer.echo(f"# TXT record, {what}: {record.name}\n\n{record.value}\n\n# The same as a line of a zone file\n")
    typer.echo(f"{record.zone_line}\n")
