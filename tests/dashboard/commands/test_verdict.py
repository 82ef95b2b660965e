"""The answer on a terminal: one domain in sentences, all domains in a table that fits, and no text that takes effect."""

import datetime as dt
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len

from dashboard.commands import verdict as verdict_cli
from dashboard.decision.verdict import Verdict, decide
from ingest.store.upkeep import upgrades
from tests.dashboard.decision.scenes import SCENES, bad, scene
from tests.dashboard.decision.worlds import GOOGLE, ON, TESTING, daily, evidence
from tests.support import ROOT

NAMES = ("ready", "not-ready-lately", "enforcing-past", "no-policy", "policy-unknown", "clean-days")


def named(name: str, domain: str) -> Verdict:
    return msgspec.structs.replace(scene(name), domain=domain)


def table_of(capsys: pytest.CaptureFixture[str], *every: Verdict) -> list[str]:
    verdict_cli._table(every)
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def test_short_names_fit_into_a_whole_table(capsys: pytest.CaptureFixture[str]) -> None:
    heading, *rows = table_of(capsys, named("not-ready-lately", "b.example"), named("ready", "a.example"))
    assert heading.split() == ["domain", "verdict", "mode", "sessions", "refused", "newest", "at", "most", "reporters"]
    assert rows[0].split() == ["b.example", "not-ready", "testing", "560", "0", "+2", "0.54", "%", "2"]
    assert rows[1].split() == ["a.example", "ready", "testing", "560", "0", "0.54", "%", "2"]


def test_longer_names_leave_room_for_fewer_columns(capsys: pytest.CaptureFixture[str]) -> None:
    heading, row = table_of(capsys, named("ready", "quite-a-long-name-of-a.receiver.example"))
    assert heading.split() == ["domain", "verdict", "mode", "sessions", "refused"]
    assert row.split() == ["quite-a-long-name-of-a.receiver.example", "ready", "testing", "560", "0"]


LONG = f"{'long-label-' * 5}x.{'another-label-' * 3}y.example"


@pytest.mark.parametrize("columns", ["", "30", "60", "80", "500"])
def test_nothing_is_wider_than_80_columns_but_a_single_name(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    domains = (LONG, "receiver.example", "a.b", "x" * 60 + ".example")
    every = [named(name, domain) for name in SCENES for domain in domains]
    huge = msgspec.structs.replace(scene("ready"), domain="huge.example", sessions=2**53, refused=2**53 - 1)
    told = table_of(capsys, *every, huge)
    limit = min(int(columns or 80), 80)
    for line in told:
        assert cell_len(line) <= limit or line.strip() in domains
    for domain in domains:
        assert any(re.match(rf"{re.escape(domain)}(\s|$)", line) for line in told)


def test_a_paragraph_has_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert table_of(capsys, named("not-ready-lately", LONG)) == [
        LONG,
        "  not-ready",
        "  testing: none of 560 sessions refused, at most 0.54 %, 2 more in the newest",
        "  days; 2 reporters",
    ]


def test_one_domain_begins_with_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    verdict_cli._explain(scene("not-ready"))
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert (first, second[:31]) == ("receiver.example: not-ready", "Do not switch to enforce yet: 3")


HOSTILE = "\x1b[2J\u202eevil\nNext: nothing"


def test_text_of_strangers_takes_no_effect(capsys: pytest.CaptureFixture[str]) -> None:
    known = evidence(*daily(), bad(ON - dt.timedelta(days=5)))
    voices = {name: msgspec.structs.replace(voice, organization=HOSTILE) for name, voice in known.voices.items()}
    strange = msgspec.structs.replace(known.entries[-1].failures[0], result_type=HOSTILE, mx_host=HOSTILE)
    entry = msgspec.structs.replace(known.entries[-1], failures=(strange,))
    verdict = decide(msgspec.structs.replace(known, voices=voices, entries=(*known.entries[:-1], entry)))
    verdict_cli._explain(verdict)
    verdict_cli._table([verdict])
    told = capsys.readouterr().out
    assert "evil" in told
    assert not {"\x1b", "\u202e"} & set(told)
    assert [line for line in told.splitlines() if line.startswith("Next: nothing")] == []
    assert (GOOGLE, TESTING.mode) == ("google.com", verdict.mode)


def test_parquet_is_not_written_to_a_terminal(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/t.db"
    upgrades.migrate(url)
    environment = os.environ | {"STARTTALLY_DATABASE_URL": url}
    command = [sys.executable, "-m", "dashboard.commands.app", "export", "summary", "--format"]
    ours, theirs = pty.openpty()
    try:
        refused = subprocess.run(
            [*command, "parquet"], cwd=ROOT, env=environment, stdout=theirs, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert refused.returncode == 2
    assert (
        refused.stderr.decode() == "starttally: Parquet is no text: write it to a file with -o FILE, or into a pipe\n"
    )
    piped = subprocess.run([*command, "parquet"], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert piped.stdout[:4] == b"PAR1"
