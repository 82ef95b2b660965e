"""Report mails decoded a second of processor time, beside parsedmarc: mail in, report out, no database and no network.

``python -m benchmarks.decoding``. Each side reads the same files in a process of its own, whose start is not counted.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.goldens import detail, entry, report, usual

from .pairs import ROUNDS, head, peer_python, printed_seconds, show

SMALL, LARGE, DETAILS = 1_000, 200, 200
_PEER = """
import logging, pathlib, sys, time
import parsedmarc
logging.disable(logging.CRITICAL)
mails = [path.read_bytes() for path in sorted(pathlib.Path(sys.argv[1]).iterdir())]
parsedmarc.parse_report_email(mails[0], offline=True)
began = time.process_time()
for mail in mails:
    assert parsedmarc.parse_report_email(mail, offline=True)["report_type"] == "smtp_tls"
print(time.process_time() - began)
"""


def small(number: int) -> bytes:
    """One policy, nothing failed: what most senders send on most days."""
    return usual(report(entry(number, policy_domain=f"d{number % 50}.example"), report_id=f"r{number}"))


def large(number: int) -> bytes:
    """One policy, 200 failure details of different hosts and addresses."""
    details = (
        detail(
            ("certificate-expired", "starttls-not-supported", "validation-failure")[place % 3],
            sessions=1,
            **{"receiving-ip": f"192.0.2.{place}", "receiving-mx-hostname": f"mx{place % 7}.receiver.example"},
        )
        for place in range(DETAILS)
    )
    return usual(report(entry(5, DETAILS, *details), report_id=f"r{number}"))


def measure_ours(folder: Path) -> float:
    """Seconds of processor time for all mails in the folder."""
    from ingest.rfc.tlsrpt import message

    mails = [path.read_bytes() for path in sorted(folder.iterdir())]
    message.read_mail(mails[0], 10**7)
    began = time.process_time()
    for mail in mails:
        assert message.read_mail(mail, 10**7).reports
    return time.process_time() - began


def compare(name: str, make: Callable[[int], bytes], count: int, goal: float) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            (Path(folder) / f"{number:05}.eml").write_bytes(make(number))
        ours, peers = [], []
        for _ in range(ROUNDS):
            ours.append(printed_seconds([sys.executable, "-m", "benchmarks.decoding", folder]))
            peers.append(printed_seconds([peer_python(), "-c", _PEER, folder]))
    return show(name, ours, peers, count, goal)


def main() -> int:
    if len(sys.argv) > 1:
        sys.stdout.write(f"{measure_ours(Path(sys.argv[1]))}\n")
        return 0
    head("Decoding, mails a second of processor time", "ours", "parsedmarc")
    reached = [
        compare("small mail (1 policy, no failure)", small, SMALL, 20),
        compare("large mail (200 failure details)", large, LARGE, 5),
    ]
    return not all(reached)


if __name__ == "__main__":
    sys.exit(main())
