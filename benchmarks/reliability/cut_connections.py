"""Row 10: connections cut at every point, and the same report sent again by any channel: stored once, counted once."""

import asyncio
import random
import re
import signal
import sys
from collections import Counter

from .clients import BROKEN, HttpClient, SmtpClient, request, stuffed
from .figures import Figures, options
from .ledger import Ledger, Numbered, judge
from .site import Site, site

_SENDERS = 24
# A sender that loses its connection comes again with the same report, and may lose that one too.
_MOST_CUTS_EACH = 3


async def cut_mail(client: SmtpClient, report: Numbered, choose: random.Random) -> str:
    """Send a mail up to some point and cut the connection there; the point's name."""
    mail = stuffed(report.mail())
    point = choose.choice(
        ("smtp envelope", "smtp in DATA", "smtp before the dot", "smtp after the dot", "smtp after 250")
    )
    if point == "smtp envelope":
        for line in ("MAIL FROM:<a@sender.example>", "RCPT TO:<b@receiver.example>")[: choose.randrange(3)]:
            await client.say(line)
    else:
        await client.envelope()
        size = {"smtp in DATA": choose.randrange(len(mail) - 5), "smtp before the dot": len(mail) - 3}
        client.writer.write(mail[: size.get(point, len(mail))])
        await client.writer.drain()
        if point == "smtp after 250":
            await client.expect("250")
        else:
            await asyncio.sleep(choose.choice((0, 0.001, 0.004)))
    return point


async def cut_upload(client: HttpClient, report: Numbered, choose: random.Random) -> str:
    """The same with an upload."""
    whole = request(report.body())
    body = whole.index(b"\r\n\r\n") + 4
    point = choose.choice(("http in header", "http in body", "http after body", "http after 201"))
    size = {"http in header": choose.randrange(body), "http in body": choose.randrange(body, len(whole))}
    client.writer.write(whole[: size.get(point, len(whole))])
    await client.writer.drain()
    if point == "http after 201":
        await client.answer()
    else:
        await asyncio.sleep(choose.choice((0, 0.001, 0.004)))
    return point


class _Cutter:
    """Senders whose connections break until there have been enough cuts."""

    def __init__(self, run: Site, cuts: int, seed: int) -> None:
        self._run = run
        self._cuts = cuts
        self._choose = random.Random(seed)
        self.ledger = Ledger()
        self.points: Counter[str] = Counter()

    async def all(self) -> None:
        """Run them to the end."""
        async with asyncio.TaskGroup() as group:
            for number in range(_SENDERS):
                group.create_task(self._sender(f"127.0.0.{2 + number}"))

    async def _sender(self, source: str) -> None:
        while self.points.total() < self._cuts:
            report = self.ledger.new()
            for _ in range(self._choose.randint(1, _MOST_CUTS_EACH)):
                await self._cut(report, source)
            while report.number not in self.ledger.acknowledged:
                await self._honest(report, source)

    async def _cut(self, report: Numbered, source: str) -> None:
        client: SmtpClient | HttpClient
        if self._choose.random() < 0.6:
            client = await SmtpClient.connect(self._run.smtp, source)
            point = await cut_mail(client, report, self._choose)
        else:
            client = await HttpClient.connect(self._run.http, source)
            point = await cut_upload(client, report, self._choose)
        if self._choose.random() < 0.5:
            client.reset()
        else:
            client.close()
        self.points[point] += 1

    async def _honest(self, report: Numbered, source: str) -> None:
        kind, address = self._choose.choice(((SmtpClient, self._run.smtp), (HttpClient, self._run.http)))
        try:
            client = await kind.connect(address, source)
            await client.report(report)
            client.close()
            self.ledger.acknowledged.add(report.number)
        except BROKEN:
            await asyncio.sleep(0.05)


def run(figures: Figures, *, cuts: int, seed: int = 1, postgresql: bool = False) -> None:
    with site(postgresql=postgresql) as honest:
        honest.start_all()
        cutter = _Cutter(honest, cuts, seed)
        asyncio.run(cutter.all())
        honest.drain(600)
        for point, count in sorted(cutter.points.items()):
            figures.show(f"cut: {point}", count)
        figures.show("cut connections", cutter.points.total())
        again = sum(map(int, re.findall(rb"duplicate=(\d+)", honest.logged("work"))))
        figures.must("came again after they were stored", again, again > 0, "else nothing was tried")
        judge(figures, cutter.ledger, honest)
        left = len(list((honest.spool / "tmp").iterdir()))
        figures.must("unfinished files left in the spool", left, left == 0, "a cut mail leaves nothing")
        code, _ = honest.end("receive", signal.SIGTERM)
        figures.must("exit code of the doors", code, code == 0, "they lived through it")


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--postgresql", action="store_true", help="over PostgreSQL instead of SQLite")
    chosen = parser.parse_args()
    figures = Figures("cut_connections")
    run(figures, cuts=10_000 if chosen.long else 600, seed=chosen.seed, postgresql=chosen.postgresql)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
