"""Mails taken a second by the SMTP door, beside a Postfix that puts them on hold: both acknowledge when the mail is safe.

``python -m benchmarks.door``, as root (Postfix starts as root only). smtp-source sends mails of 2 KB over 20 connections, kept
or one a mail; both receivers run on the same two processors as the sender. ``--doors N`` starts N door processes.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support import free_port

from .pairs import ROUNDS, head
from .reliability.site import Site, cpu_seconds

MAILS, CONNECTIONS, BYTES = 2_000, 20, 2_048
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
daemon_directory = /usr/lib/postfix/sbin
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = receiver.example
mydestination = receiver.example
local_recipient_maps =
smtpd_client_restrictions = static:HOLD
smtpd_recipient_restrictions = permit_auth_destination, reject
default_database_type = texthash
alias_maps =
alias_database =
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
local unix - n n - - local
error unix - - n - - error
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
"""


@contextlib.contextmanager
def postfix(folder: Path) -> Iterator[int]:
    """A Postfix that holds every mail; yields the port that it takes mail on."""
    folder.chmod(0o755)
    for name in ("etc", "queue", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    port = free_port()
    (folder / "etc" / "main.cf").write_text(_MAIN.format(folder=folder))
    (folder / "etc" / "master.cf").write_text(_MASTER.format(port=port))
    command = ["postfix", "-c", str(folder / "etc")]
    subprocess.run([*command, "start"], capture_output=True, check=True)
    try:
        yield port
    finally:
        subprocess.run([*command, "stop"], capture_output=True, check=False)


def held(folder: Path) -> int:
    """How many mails Postfix has on hold."""
    return sum(len(files) for _, _, files in os.walk(folder / "queue" / "hold"))


def spooled(site: Site) -> int:
    """How many mails lie in the spool."""
    return sum(1 for _ in (site.folder / "var" / "spool" / "new").iterdir())


def send(port: int, *, kept: bool) -> float:
    """Send all mails; the seconds it took."""
    options = ["-s", str(CONNECTIONS), "-m", str(MAILS), "-l", str(BYTES), *(["-d"] if kept else [])]
    addresses = ["-f", "tls-reports@sender.example", "-t", "tlsrpt@receiver.example"]
    began = time.monotonic()
    subprocess.run(["smtp-source", *options, *addresses, f"127.0.0.1:{port}"], check=True, capture_output=True)
    return time.monotonic() - began


def compare(site: Site, port: int, doors: list[int], count: Callable[[], tuple[int, int]], *, kept: bool) -> bool:
    ours, theirs, cpu = [], [], []
    for _ in range(ROUNDS):
        before, used = count(), sum(map(cpu_seconds, doors))
        ours.append(send(site.smtp[1], kept=kept))
        cpu.append(sum(map(cpu_seconds, doors)) - used)
        theirs.append(send(port, kept=kept))
        after = count()
        assert [new - old for new, old in zip(after, before, strict=True)] == [MAILS, MAILS], (before, after)
    ratio = statistics.median(their / our for our, their in zip(ours, theirs, strict=True))
    goal = 1.0 if kept else 0.8
    name = f"{len(doors)} doors, connections {'kept' if kept else 'for one mail each'}"
    our, their = MAILS / statistics.median(ours), MAILS / statistics.median(theirs)
    sys.stdout.write(f"{name:44} {our:10,.0f} {their:10,.0f} {ratio:8.2f}  goal {goal:g}: ")
    sys.stdout.write(
        f"{'reached' if ratio >= goal else 'MISSED'}; {MAILS / statistics.median(cpu):,.0f} a second of CPU\n"
    )
    return ratio >= goal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--doors", type=int, default=2)
    chosen = parser.parse_args()
    if os.geteuid() or not shutil.which("postfix") or not shutil.which("smtp-source"):
        sys.stdout.write("Door: not measured, Postfix and its smtp-source are needed, and root\n")
        return 0
    head("Door, mails a second", "ours", "Postfix")
    with contextlib.ExitStack() as stack:
        ours, theirs = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        site = stack.enter_context(Site(ours, door_processes=chosen.doors))
        port = stack.enter_context(postfix(theirs))
        doors = []
        for number in range(chosen.doors):
            doors.append(site.start("receive"))
            site.parts[f"receive {number}"] = site.parts.pop("receive")
        site.wait_for_smtp()
        reached = [
            compare(site, port, doors, lambda: (spooled(site), held(theirs)), kept=kept) for kept in (True, False)
        ]
    return not all(reached)


if __name__ == "__main__":
    sys.exit(main())
