"""Row 1, the part that SIGKILL cannot show: 250 and 201 come after file and folder are on stable storage.

strace writes down what door and worker ask of the kernel; a model of the disk (``disk``) says for each acknowledgement
whether a power cut at that moment would have left the mail, and for each removal from the spool whether the database had
the mail on disk. Doors that sync nothing or acknowledge early, and a database that does not sync, must fail.
"""

import asyncio
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from .clients import HttpClient, SmtpClient
from .disk import Call, Disk, calls, strace
from .figures import Figures, options
from .ledger import Ledger, judge
from .site import Site, site, until

_SENDS = ("write", "writev", "sendto", "sendmsg")
_QUEUED = re.compile(r"250 2\.0\.0 Ok: queued as ([^\\\"]+)")
_CLAIMED = re.compile(r'spool/cur/([^"]+)"')
_STORED = "HTTP/1.1 201"


class Acknowledged(msgspec.Struct):
    """Acknowledgements by SMTP and by HTTP, and how many of them a power cut at that moment would have made untrue."""

    smtp: int = 0
    http: int = 0
    untrue: int = 0


async def send(run: Site, ledger: Ledger, mails: int) -> None:
    """Mails through several sessions at the same time, then uploads one by one (their answers carry no name)."""

    async def session() -> None:
        client = await SmtpClient.connect(run.smtp)
        for _ in range(mails // 4):
            report = ledger.new()
            await client.report(report)
            ledger.acknowledged.add(report.number)
        client.close()

    await asyncio.gather(*(session() for _ in range(4)))
    client = await HttpClient.connect(run.http)
    for _ in range(mails):
        report = ledger.new()
        await client.report(report)
        ledger.acknowledged.add(report.number)
    client.close()


def traced(run: Site, part: str, alteration: str = "") -> Path:
    """Start a part under strace; where its trace is written."""
    trace = run.folder / f"{part}.strace"
    run.start(part, alteration, under=strace(trace))
    return trace


def finished(run: Site, part: str, trace: Path) -> Iterator[Call]:
    """End a traced part; its calls."""
    pid = run.parts[part].pid
    run.end(part, signal.SIGTERM)
    until(lambda: re.search(rf"^{pid} +\+\+\+ ", trace.read_text(errors="replace"), re.MULTILINE), 30, "the trace ends")
    yield from calls(trace.read_text(errors="replace").splitlines())


def door(mails: int, alteration: str = "", ledger: Ledger | None = None) -> Acknowledged:
    """Send to a traced door and ask the model about each acknowledgement."""
    acknowledged = Acknowledged()
    with site() as run:
        trace = traced(run, "receive", alteration)
        run.wait_for_smtp()
        asyncio.run(send(run, ledger or Ledger(), mails))
        disk, new = Disk(run.folder), run.spool / "new"
        named: set[str] = set()
        for call in finished(run, "receive", trace):
            if call.result is None and call.name in _SENDS:
                survivors = disk.survivors(new)
                if queued := _QUEUED.search(call.arguments):
                    acknowledged.smtp += 1
                    acknowledged.untrue += queued[1] not in survivors
                    named.add(queued[1])
                elif _STORED in call.arguments:
                    acknowledged.http += 1
                    acknowledged.untrue += len(survivors - named) < acknowledged.http
            disk.follow(call)
    return acknowledged


def worker(figures: Figures | None, mails: int, alteration: str = "") -> tuple[int, int]:
    """Files that a traced worker took out of the spool, and how many of them the database did not have on disk yet."""
    ledger = Ledger()
    with site(batch_messages=10) as run:
        run.start("receive")
        run.wait_for_smtp()
        asyncio.run(send(run, ledger, mails))
        trace = traced(run, "work", alteration)
        run.drain(60)
        disk = Disk(run.folder)
        removed = early = 0
        # What the database had on disk when the worker took a message: it must have more when the file goes.
        had: dict[str, int] = {}
        for call in finished(run, "work", trace):
            taken = _CLAIMED.search(call.arguments)
            if taken and call.name.startswith("rename"):
                had[taken[1]] = disk.safe_writes("starttally.db-wal")
            elif taken and call.result is None and call.name.startswith("unlink"):
                removed += 1
                early += disk.unsafe("starttally.db-wal") or disk.safe_writes("starttally.db-wal") <= had[taken[1]]
            disk.follow(call)
        if figures:
            judge(figures, ledger, run)
    return removed, early


def run(figures: Figures, *, mails: int) -> None:
    if shutil.which("strace") is None:
        figures.show("strace", "not installed: nothing was checked")
        return
    honest = door(mails)
    figures.show("acknowledged by SMTP (250)", honest.smtp)
    figures.show("acknowledged by HTTP (201)", honest.http)
    whole = honest.smtp == mails // 4 * 4 and honest.http == mails
    figures.must("every acknowledgement is in the trace", whole, whole, "else nothing was checked")
    figures.must(
        "lost by a power cut after the answer", honest.untrue, honest.untrue == 0, "file and folder synced first"
    )
    for alteration in ("unsynced", "early"):
        control = door(mails, alteration)
        # The early door gives its mails no name in the answer; none of them can be found on the disk then.
        figures.must(
            f"lost by the {alteration} control", control.untrue, control.untrue > 0, "the control must lose mails"
        )
    removed, early = worker(figures, mails)
    figures.must("files removed by the worker", removed, removed >= mails, "else nothing was checked")
    figures.must("removed before the database was synced", early, early == 0, "commit on disk first")
    removed, early = worker(None, mails, "careless")
    figures.must("removed early by the careless control", early, early > 0, "the control must fail")


def main() -> int:
    chosen = options(__doc__).parse_args()
    figures = Figures("power_cut")
    run(figures, mails=400 if chosen.long else 40)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
