"""The whole way, with the program's own processes and real clients: from the wire to rows, and through accidents."""

import contextlib
import datetime as dt
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ingest.database import engines, models
from tests import programs, signing
from tests.databases import PostgreSQL
from tests.goldens import INPUTS, entry, report, usual
from tests.nameserver import SILENT, NameServer, txt
from tests.support import CORPUS, eventually, free_port, need

FROM, TO = "tls-reports@sender.example", "tlsrpt@receiver.example"


class Installation:
    """A folder with settings, in which the program's commands are run as processes of their own."""

    def __init__(self, folder: Path, database_url: str, nameserver: str) -> None:
        self.folder = folder
        self.smtp, self.http = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
        self.dashboard = ("127.0.0.1", free_port())
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")} | {
            "STARTTALLY_DATABASE_URL": database_url,
            "STARTTALLY_HOSTNAME": "receiver.example",
            "STARTTALLY_MIN_FREE_BYTES": "0",
            "STARTTALLY_SMTP_LISTEN": "{}:{}".format(*self.smtp),
            "STARTTALLY_HTTP_LISTEN": "{}:{}".format(*self.http),
            "STARTTALLY_DASHBOARD_LISTEN": "{}:{}".format(*self.dashboard),
            "STARTTALLY_NAMESERVERS": nameserver,
            "HOME": str(folder),
        }
        self.url = database_url

    @property
    def spool(self) -> Path:
        return self.folder / "var" / "spool"

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run a command to its end; its standard output."""
        done = self.done(*arguments)
        assert done.returncode == expect, (arguments, done.returncode, done.stderr.decode())
        return done.stdout.decode()

    def refused(self, *arguments: str, expect: int) -> str:
        """Run a command that has to fail and to print nothing but its reason; its standard error."""
        done = self.done(*arguments)
        assert (done.returncode, done.stdout) == (expect, b""), (arguments, done)
        return done.stderr.decode()

    def done(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return programs.run(*arguments, cwd=self.folder, env=self.environment)

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that goes on; it is ended with SIGTERM."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                self._command(*arguments), cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
            try:
                yield process
            finally:
                process.terminate()
                process.wait(20)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dashboard.commands.app", *arguments]

    def wait_for_smtp(self) -> None:
        def greeted() -> bool:
            with contextlib.suppress(OSError), smtplib.SMTP(*self.smtp, timeout=5):
                return True
            return False

        eventually(greeted, 60)

    def send(self, *mails: bytes) -> None:
        with smtplib.SMTP(*self.smtp, timeout=60) as client:
            for mail in mails:
                client.sendmail(FROM, [TO], mail)

    def waiting(self) -> int:
        return sum(len(list((self.spool / folder).glob("*"))) for folder in ("new", "cur"))

    def count(self, table: sa.Table) -> int:
        engine = engines.open_engine(self.url)
        try:
            with engine.connect() as connection:
                return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        finally:
            engine.dispose()


@pytest.fixture
def nameserver() -> Iterator[str]:
    with NameServer({}) as server:
        yield str(server.address)


@pytest.fixture
def installation(tmp_path: Path, nameserver: str) -> Installation:
    return Installation(tmp_path, f"sqlite:///{tmp_path}/var/starttally.db", nameserver)


def numbered(*numbers: int) -> list[bytes]:
    return [usual(report(entry(number), report_id=f"number-{number}")) for number in numbers]


@pytest.mark.skipif(not CORPUS.exists(), reason="needs the shared corpus beside the checkout")
def test_the_corpus_from_the_wire_to_the_exports(installation: Installation) -> None:
    """The issue's own acceptance: every .eml by swaks, every .json and .json.gz by curl, all of it twice."""
    swaks, curl = need("swaks", "swaks"), need("curl", "curl")
    cases = [json.loads(line) for line in (CORPUS / "EXPECTED.jsonl").read_text().splitlines()]

    def send_all() -> None:
        for case in cases:
            path = CORPUS / case["file"]
            if path.suffix == ".eml":
                command = [
                    swaks,
                    "--server",
                    "127.0.0.1",
                    "--port",
                    str(installation.smtp[1]),
                    "--to",
                    TO,
                    "--from",
                    FROM,
                    "--data",
                    f"@{path}",
                ]
            else:
                url = f"http://127.0.0.1:{installation.http[1]}/v1/tlsrpt"
                command = [
                    curl,
                    "--silent",
                    "--fail",
                    "--data-binary",
                    f"@{path}",
                    "-H",
                    "Content-Type: application/tlsrpt+gzip",
                    url,
                ]
            subprocess.run(command, check=True, capture_output=True)

    def everything() -> dict[str, Any]:
        return {kind: installation.run("export", kind) for kind in ("summary", "failures", "reports")} | {
            "quarantine": installation.run("quarantine", "list")
        }

    installation.run("db", "upgrade")
    with installation.running("receive"), installation.running("work"):
        installation.wait_for_smtp()
        send_all()
        eventually(lambda: installation.waiting() == 0, 60)
        first = everything()
        send_all()
        eventually(lambda: installation.waiting() == 0, 60)
        assert everything() == first
    rows = json.loads(installation.run("export", "reports", "--format", "json"))
    exported = {(row["reporter"], row["report_id"], row["range_start"][:10]) for row in rows}
    wanted = {
        (c["report"]["organization"], c["report"]["report_id"], c["report"]["start"][:10]) for c in cases if c["report"]
    }
    assert exported == wanted
    assert first["quarantine"].count("no-report") == sum(case["report"] is None for case in cases)


def test_a_mail_is_in_the_database_soon_after_its_250(installation: Installation) -> None:
    installation.run("db", "upgrade")
    with installation.running("receive"), installation.running("work"):
        installation.wait_for_smtp()
        installation.send(*numbered(1))
        eventually(lambda: installation.count(models.report) == 1)


def test_killing_the_worker_again_and_again_loses_and_doubles_nothing(installation: Installation) -> None:
    installation.run("db", "upgrade")
    with installation.running("receive"):
        installation.wait_for_smtp()
        installation.send(*numbered(*range(300)))
        installation.environment["STARTTALLY_BATCH_MESSAGES"] = "40"
        for _ in range(4):
            with installation.running("work") as worker:
                before = installation.waiting()
                eventually(lambda before=before: installation.waiting() < before or before == 0, 60)
                worker.send_signal(signal.SIGKILL)
                worker.wait()
        with installation.running("work"):
            eventually(lambda: installation.waiting() == 0, 60)
    summary = json.loads(installation.run("export", "summary", "--format", "json"))
    assert sum(row["reports"] for row in summary) == 300
    assert sum(row["successful_sessions"] for row in summary) == sum(range(300))
    assert installation.count(models.quarantine) == 0


def test_mail_is_accepted_while_postgresql_is_down_and_stored_when_it_is_back(
    tmp_path: Path, own_postgresql: PostgreSQL, nameserver: str
) -> None:
    installation = Installation(tmp_path, own_postgresql.new_database(), nameserver)
    installation.run("db", "upgrade")
    with installation.running("receive"), installation.running("work"):
        installation.wait_for_smtp()
        installation.send(*numbered(1, 2))
        eventually(lambda: installation.count(models.report) == 2)
        own_postgresql.stop()
        installation.send(*numbered(*range(3, 40)))
        assert installation.run("db", "check", expect=3) == ""
        log = installation.folder / "work.log"
        eventually(lambda: b"mail waits in the spool" in log.read_bytes())
        assert installation.waiting() == 37
        own_postgresql.start()
        eventually(lambda: installation.waiting() == 0, 60)
    assert log.read_bytes().count(b"mail waits in the spool") == log.read_bytes().count(b"it works again") == 1
    assert installation.count(models.report) == 39
    assert installation.count(models.quarantine) == 0


def test_serve_runs_everything_and_ctrl_c_ends_it(installation: Installation) -> None:
    with installation.running("serve") as serving:
        log = installation.folder / "serve.log"
        eventually(lambda: b"StartTally is running" in log.read_bytes(), 90)
        assert b"127.0.0.1:%d" % installation.dashboard[1] in log.read_bytes()
        installation.send(*numbered(1))
        eventually(lambda: installation.count(models.report) == 1)
        installation.send(*numbered(2))
        serving.send_signal(signal.SIGINT)
        assert serving.wait(12) == 0
    assert installation.count(models.report) + installation.waiting() == 2
    with pytest.raises(OSError, match="refused"):
        smtplib.SMTP(*installation.smtp)


def test_serve_restarts_what_dies(installation: Installation) -> None:
    with installation.running("serve") as serving:
        eventually(lambda: b"StartTally is running" in (installation.folder / "serve.log").read_bytes(), 90)
        children = subprocess.run(
            ["pgrep", "-P", str(serving.pid), "-f", "commands.app work"], capture_output=True, text=True, check=True
        )
        os.kill(int(children.stdout.split()[0]), signal.SIGKILL)
        installation.send(*numbered(1))
        eventually(lambda: installation.count(models.report) == 1, 60)
    assert (
        b"the worker ended with signal SIGKILL; starting it again" in (installation.folder / "serve.log").read_bytes()
    )


@pytest.mark.parametrize(
    ("name", "value", "arguments", "code", "says"),
    [
        ("SMTP_LISTEN", "nowhere", ["settings"], 2, "STARTTALLY_SMTP_LISTEN=nowhere: must be host:port"),
        ("SMTP_LISTEN", "0.0.0.0:2525", ["serve"], 2, "set STARTTALLY_RECIPIENTS"),
        ("DATABASE_URL", "postgresql://127.0.0.1:1/x", ["export", "summary"], 3, "the database cannot be used now"),
        ("TLS_KEY", "key.pem", ["receive"], 2, "without STARTTALLY_TLS_CERTIFICATE"),
        ("HOSTNAME", "receiver.example", ["export", "nonsense"], 2, "summary"),
        ("HOSTNAME", "receiver.example", ["load", "no-such-file"], 2, "no-such-file"),
    ],
)
def test_mistakes_end_with_a_line_and_a_code(
    installation: Installation, name: str, value: str, arguments: list[str], code: int, says: str
) -> None:
    installation.environment["STARTTALLY_" + name] = value
    done = installation.done(*arguments)
    assert done.returncode == code, done
    assert says in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_loading_twice_stores_nothing_twice(installation: Installation) -> None:
    folder = installation.folder / "archive"
    folder.mkdir()
    for name, data in INPUTS.items():
        (folder / name).write_bytes(data)
    before = {path: path.read_bytes() for path in folder.rglob("*")}
    (folder / "README.md").write_text("Not every file in a folder is a report.")
    before[folder / "README.md"] = (folder / "README.md").read_bytes()
    first = installation.run("load", "archive", expect=1)
    second = installation.run("load", "archive", expect=1)
    assert "stored=0" in second
    assert first.rpartition("quarantined=")[2] == second.rpartition("quarantined=")[2]
    assert {path: path.read_bytes() for path in folder.rglob("*")} == before
    rows = json.loads(installation.run("export", "reports", "--format", "json"))
    assert {row["trust"] for row in rows} == {"imported"}


def test_quarantine_commands(installation: Installation) -> None:
    (installation.folder / "bad.json").write_bytes(b'{"date-range": "none\x1b[31m"}')
    assert "quarantined=1" in installation.run("load", "bad.json", expect=1)
    listed = installation.run("quarantine", "list")
    assert "no-report" in listed
    assert "has no 'policies'" in listed
    assert "\x1b" not in listed
    number = listed.split()[0]
    assert installation.run("quarantine", "show", number[:8]) == '{"date-range": "none\x1b[31m"}'
    assert "quarantined=1" in installation.run("quarantine", "retry", expect=1)
    assert "discarded=1" in installation.run("quarantine", "discard", number, "--note", "a test")
    assert installation.run("quarantine", "list") == ""
    assert "note: a test" in installation.run("quarantine", "list", "--discarded")
    installation.run("quarantine", "show", "ffff", expect=2)


@pytest.mark.parametrize("command", ["serve", "receive"])
def test_an_unusable_certificate_and_a_busy_port_are_said_once(installation: Installation, command: str) -> None:
    def fails(says: str) -> None:
        ran = subprocess.run(
            [sys.executable, "-m", "dashboard.commands.app", command],
            cwd=installation.folder,
            env=installation.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ran.returncode == 2, ran.stderr
        assert says in ran.stderr
        assert "Traceback" not in ran.stderr

    with socket.create_server(installation.smtp):
        fails("is in use by another program; set STARTTALLY_SMTP_LISTEN to another host:port")
    for name in ("cert.pem", "key.pem"):
        (installation.folder / name).write_text("nonsense")
    installation.environment |= {"STARTTALLY_TLS_CERTIFICATE": "cert.pem", "STARTTALLY_TLS_KEY": "key.pem"}
    fails("STARTTALLY_TLS_CERTIFICATE=cert.pem and STARTTALLY_TLS_KEY=key.pem do not work together")


SIGNED = signing.signed(usual(report(entry(7))))
KEY = {f"{signing.SELECTOR}._domainkey.{signing.DOMAIN}": txt(signing.record(signing.rsa_key()))}


def trust_of(installation: Installation) -> list[tuple[str, str]]:
    rows = json.loads(installation.run("export", "reports", "--format", "json"))
    return [(row["trust"], row["signer"]) for row in rows]


def test_a_signed_mail_is_verified_and_a_changed_one_is_not(tmp_path: Path) -> None:
    with NameServer(KEY) as server:
        installation = Installation(tmp_path, f"sqlite:///{tmp_path}/var/starttally.db", str(server.address))
        installation.run("db", "upgrade")
        with installation.running("receive"), installation.running("work"):
            installation.wait_for_smtp()
            installation.send(SIGNED.replace(b"tls-reports@sender.example", b"tls-reports@other.example"))
            eventually(lambda: installation.count(models.report) == 1)
            assert trust_of(installation) == [("unverified", "")]
            installation.send(SIGNED)
            eventually(lambda: trust_of(installation) == [("verified", signing.DOMAIN)])
        assert installation.count(models.report) == 2  # the changed copy stays beside it, and counts no more


def test_silent_dns_leaves_a_mail_undetermined_until_it_answers(tmp_path: Path) -> None:
    with NameServer({}, otherwise=SILENT) as server:
        installation = Installation(tmp_path, f"sqlite:///{tmp_path}/var/starttally.db", str(server.address))
        installation.run("db", "upgrade")
        with installation.running("receive"):
            installation.wait_for_smtp()
            installation.send(SIGNED)
        installation.run("work", "--once")
        assert trust_of(installation) == [("unverified", "")]
        server.zone.update(KEY)
        engine = engines.open_engine(installation.url)
        with engine.begin() as connection:  # a minute later
            connection.execute(sa.update(models.undetermined).values(next_attempt=dt.datetime.now(dt.UTC)))
        engine.dispose()
        installation.run("work", "--once")
        assert trust_of(installation) == [("verified", signing.DOMAIN)]
        assert installation.count(models.undetermined) == 0


def test_a_loaded_mail_is_verified_when_its_signature_still_holds(tmp_path: Path) -> None:
    with NameServer(KEY) as server:
        installation = Installation(tmp_path, f"sqlite:///{tmp_path}/var/starttally.db", str(server.address))
        (tmp_path / "signed.eml").write_bytes(SIGNED)
        (tmp_path / "unsigned.eml").write_bytes(usual(report(entry(8), report_id="another")))
        assert "stored=2" in installation.run("load", "signed.eml", "unsigned.eml")
        assert sorted(trust_of(installation)) == [("imported", ""), ("verified", signing.DOMAIN)]
