"""A real Postfix as the sender: it queues a mail and relays it to the SMTP door, with and without STARTTLS."""

import contextlib
import datetime as dt
import os
import pwd
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.settings.settings import Settings
from ingest.spool import trace
from tests.certificates import write_certificate
from tests.doors import running_doors, spooled
from tests.goldens import INPUTS
from tests.support import eventually, free_port, need

MakeSettings = Callable[..., Settings]
MAIL = INPUTS["google-usual.eml"]

_MAIN = """
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = {daemons}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = sender.example
mydestination =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{door}
smtp_tls_security_level = {tls}
smtp_dns_support_level = disabled
smtp_host_lookup = native
default_database_type = texthash
alias_maps =
alias_database =
minimal_backoff_time = 2s
queue_run_delay = 2s
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
"""

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@contextlib.contextmanager
def postfix(door: int, tls: str) -> Iterator[int]:
    """A Postfix of its own that relays everything to the port ``door``; yields the port it takes mail on."""
    program = need("postfix", "postfix")
    if os.geteuid() != 0:
        pytest.skip("needs root: Postfix starts as root only")
    folder = Path(tempfile.mkdtemp(prefix="starttally-postfix-"))
    folder.chmod(0o755)
    config, queue, data = folder / "etc", folder / "queue", folder / "data"
    for path in (config, queue, data):
        path.mkdir()
    shutil.chown(data, "postfix")
    port = free_port()
    daemons = "/usr/lib/postfix/sbin" if Path("/usr/lib/postfix/sbin/master").exists() else "/usr/libexec/postfix"
    (config / "main.cf").write_text(
        _MAIN.format(queue=queue, data=data, daemons=daemons, door=door, tls=tls, folder=folder)
    )
    (config / "master.cf").write_text(_MASTER.format(port=port))
    assert pwd.getpwnam("postfix").pw_uid
    command = [program, "-c", str(config)]
    started = subprocess.run([*command, "start"], capture_output=True, text=True, check=False)
    log = folder / "postfix.log"
    assert started.returncode == 0, started.stderr + (log.read_text() if log.exists() else "")
    try:
        yield port
    finally:
        subprocess.run([*command, "stop"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def send_by(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.sendmail("tls-reports@sender.example", ["tlsrpt@receiver.example"], MAIL)


@pytest.mark.parametrize("tls", ["none", "encrypt"])
def test_postfix_relays_a_report_to_the_door(settings_for: MakeSettings, tmp_path: Path, tls: str) -> None:
    certificate, key = write_certificate(tmp_path)
    settings = settings_for(tls_certificate=certificate, tls_key=key, recipients="tlsrpt@receiver.example")
    with running_doors(settings) as addresses, postfix(addresses["smtp"].port, tls) as port:
        send_by(port)
        eventually(lambda: spooled(settings), 60)
    (message,) = spooled(settings)
    assert (b" with ESMTPS for" in message) is (tls == "encrypt")
    _, original = trace.read(message, dt.datetime.now(dt.UTC))
    # Postfix adds its own trace above the mail and leaves the rest as it was.
    assert original.endswith(MAIL.partition(b"\r\n\r\n")[2])
    assert b"by sender.example (Postfix)" in original


def test_postfix_tries_again_when_we_cannot_store(settings_for: MakeSettings, tmp_path: Path) -> None:
    """452 is temporary for Postfix too: the mail waits in its queue and arrives when there is room again."""
    settings = settings_for(min_free_bytes=2**62)
    with contextlib.ExitStack() as first:
        addresses = first.enter_context(running_doors(settings))
        port = addresses["smtp"].port
        with postfix(port, "none") as relay:
            send_by(relay)
            eventually(lambda: _deferred(relay), 60)
            assert spooled(settings) == []
            first.close()
            healed = settings_for(smtp_listen=f"127.0.0.1:{port}")
            with running_doors(healed):
                eventually(lambda: spooled(healed), 90)


def _deferred(_relay: int) -> bool:
    """Whether a running Postfix of ours has noted the deferral."""
    logs = Path(tempfile.gettempdir()).glob("starttally-postfix-*/postfix.log")
    return any("status=deferred" in log.read_text() and "452 4.3.1" in log.read_text() for log in logs)
