"""One installation for the runs: doors and worker as processes of their own, which may be ended in any way."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from ingest.database import engines, models
from ingest.store.upkeep import upgrades
from tests.databases import PostgreSQL, create_database
from tests.support import ROOT
from tests.system.test_end_to_end import Installation

PARTS = ("receive", "work")
# Nobody listens there, so a look-up of a key ends at once.
_NO_NAMESERVER = "127.0.0.1:9"
_QUIET_PORTS = 20_000, 32_000


class Site(Installation):
    """Doors and worker over one folder and one database. A context manager: at its end no process is left."""

    def __init__(
        self, folder: Path, database_url: str = "", nameserver: str = _NO_NAMESERVER, **settings: object
    ) -> None:
        super().__init__(folder, database_url or f"sqlite:///{folder}/var/starttally.db", nameserver)
        # Fixed while a door is down, and so outside the range from which clients' ports are taken.
        self.smtp, self.http = ("127.0.0.1", quiet_port()), ("127.0.0.1", quiet_port())
        self.environment |= {
            "STARTTALLY_SMTP_LISTEN": "{}:{}".format(*self.smtp),
            "STARTTALLY_HTTP_LISTEN": "{}:{}".format(*self.http),
        }
        self.environment |= {f"STARTTALLY_{name.upper()}": str(value) for name, value in settings.items()}
        self.environment["PYTHONPATH"] = str(ROOT)
        self.parts: dict[str, subprocess.Popen[bytes]] = {}
        upgrades.migrate(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for part in list(self.parts):
            self.end(part, signal.SIGKILL)

    def start(self, part: str, alteration: str = "", *, under: Sequence[str] = ()) -> int:
        """Start ``receive`` or ``work``, altered as ``altered`` describes, ``under`` another program; its process id."""
        command = [*under, sys.executable, "-m"]
        command += ["benchmarks.reliability.altered", alteration] if alteration else ["dashboard.commands.app"]
        with self.log(part).open("ab") as log:
            self.parts[part] = subprocess.Popen(
                [*command, part], cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        return self.parts[part].pid

    def start_all(self, alteration: str = "") -> None:
        """Start doors and worker, and wait until the doors answer. The alteration is the doors'."""
        self.start("receive", alteration)
        self.start("work")
        self.wait_for_smtp()

    def end(self, part: str, number: int, seconds: float = 30) -> tuple[int, float]:
        """End a process by a signal: its exit code, and how long it took. SIGKILL follows when it does not end in time."""
        process = self.parts.pop(part)
        began = time.monotonic()
        process.send_signal(number)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        return code, time.monotonic() - began

    def log(self, part: str) -> Path:
        """Where a part's processes write."""
        return self.folder / f"{part}.log"

    def logged(self, part: str, since: int = 0) -> bytes:
        """What a part's processes have written, from a position on."""
        with contextlib.suppress(FileNotFoundError), self.log(part).open("rb") as log:
            log.seek(since)
            return log.read()
        return b""

    def drain(self, seconds: float) -> float:
        """Wait until the spool is empty; the seconds it took. A worker that has died is started again, as by serve."""
        began = time.monotonic()
        while self.waiting():
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"{self.waiting()} messages still in the spool after {seconds} s")
            if "work" in self.parts and self.parts["work"].poll() is not None:
                self.start("work")
            time.sleep(0.1)
        return time.monotonic() - began

    def rows(self, statement: sa.Select[tuple[object, ...]]) -> list[sa.Row[tuple[object, ...]]]:
        """What a query finds now."""
        engine = engines.open_engine(self.url)
        try:
            with engine.connect() as connection:
                return list(connection.execute(statement).all())
        finally:
            engine.dispose()

    def quarantined(self) -> dict[str, int]:
        """Messages in quarantine, by reason."""
        reason = models.quarantine.c.reason
        return dict(self.rows(sa.select(reason, sa.func.count()).group_by(reason)))  # type: ignore[arg-type]

    def sums(self) -> dict[str, tuple[int, int]]:
        """Reports and successful sessions by trust, as the sums that pages and exports read have them."""
        table = models.domain_day
        by_trust = sa.select(
            table.c.trust, sa.func.sum(table.c.reports), sa.func.sum(table.c.successful_sessions)
        ).group_by(table.c.trust)
        return {str(trust): (int(reports), int(sessions)) for trust, reports, sessions in self.rows(by_trust)}


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder for one run."""
    with tempfile.TemporaryDirectory(prefix="starttally-reliability-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextlib.contextmanager
def site(*, postgresql: bool | str = False, **settings: object) -> Iterator[Site]:
    """An installation in a folder of its own, over SQLite, over a PostgreSQL of its own, or on the server of that URL."""
    with contextlib.ExitStack() as stack:
        url = create_database(postgresql) if isinstance(postgresql, str) else ""
        if postgresql is True:
            server = PostgreSQL()
            stack.callback(server.remove)
            url = server.new_database()
        nameserver = str(settings.pop("nameserver", _NO_NAMESERVER))
        yield stack.enter_context(Site(stack.enter_context(folder()), url, nameserver, **settings))


def quiet_port() -> int:
    """A free loopback port that the kernel gives to no client by itself (ip_local_port_range begins above)."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(*_QUIET_PORTS)))
            return int(probe.getsockname()[1])


def until(look: Callable[[], object], seconds: float, what: str) -> None:
    """Return when ``look`` is true; TimeoutError otherwise."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid: int) -> int:
    """The most memory a process has held since it began, or since ``forget_peak``."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024


def forget_peak(pid: int) -> None:
    """Let the peak begin anew at what the process holds now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descriptors(pid: int) -> int:
    """Open file descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
