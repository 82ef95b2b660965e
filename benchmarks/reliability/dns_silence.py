"""Row 13: the name servers are silent for a while; no verdict is wrong once they have answered again.

The worker's minutes until it asks again are a second here (``altered``), nothing else.
"""

import asyncio
import signal
import sys
import time

import sqlalchemy as sa

from ingest.database import models
from tests.nameserver import NXDOMAIN, SILENT, NameServer
from tests.signing import ed25519_key, signed

from .figures import Figures, options
from .forgeries import KEY, ZONE, mail, send, verified
from .site import Site, site, until

_SESSIONS = 7


def verdicts(run: Site) -> dict[tuple[str, str], int]:
    """Deliveries by trust and DKIM verdict."""
    table = models.delivery
    rows = run.rows(sa.select(table.c.trust, table.c.dkim, sa.func.count()).group_by(table.c.trust, table.c.dkim))
    return {(str(trust), str(dkim)): int(count) for trust, dkim, count in rows}  # type: ignore[call-overload]


def run(figures: Figures, *, mails: int, seconds: float) -> None:
    """Half as many forgeries (another key under the same name) as genuine mails arrive while DNS is silent."""
    forged = mails // 2
    with NameServer({}, otherwise=SILENT) as server, site(nameserver=server.address, dns_seconds=0.5) as honest:
        honest.start("receive")
        honest.start("work", "impatient")
        honest.wait_for_smtp()
        asyncio.run(send(honest, (signed(mail(number), key=KEY) for number in range(mails))))
        asyncio.run(send(honest, (signed(mail(10**6 + number), key=ed25519_key(1)) for number in range(forged))))
        honest.drain(300)
        time.sleep(seconds)
        silent = verdicts(honest)
        waiting = silent.get(("unverified", "undetermined"), 0)
        figures.show("mails, forged ones among them", mails + forged)
        figures.must(
            "undetermined while DNS is silent",
            waiting,
            silent == {("unverified", "undetermined"): mails + forged},
            "all",
        )
        server.zone, server.otherwise = dict(ZONE), NXDOMAIN
        began = time.monotonic()
        until(lambda: not honest.rows(sa.select(models.undetermined.c.message_digest).limit(1)), 600, "every verdict")
        figures.show("seconds until every verdict, DNS back", time.monotonic() - began)
        right = {("verified", "verified"): mails, ("unverified", "failed"): forged}
        judged = verdicts(honest)
        wrong = sum(abs(judged.get(key, 0) - right.get(key, 0)) for key in {*judged, *right})
        figures.must("wrong verdicts at the end", wrong, wrong == 0, "0")
        counted = verified(honest)
        figures.must("verified sessions", counted[1], counted == (mails, _SESSIONS * mails), "the genuine ones, once")
        code, _ = honest.end("work", signal.SIGTERM)
        figures.must("exit code of the worker", code, code == 0, "it lived through it")


def main() -> int:
    chosen = options(__doc__).parse_args()
    figures = Figures("dns_silence")
    run(figures, mails=2_000 if chosen.long else 100, seconds=60 if chosen.long else 2)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
