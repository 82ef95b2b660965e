"""`starttally policy lint` and `policy build` as a user gives them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dashboard.commands.app import app
from ingest.rfc.mtasts.policy import MAX_BYTES
from tests.support import ROOT

GOOD = b"version: STSv1\nmode: testing\nmx: mx1.receiver.example\nmax_age: 604800\n"
BUILD = ["build", "receiver.example", "--mx", "mx1.receiver.example", "--mode"]


def policy(*arguments: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["policy", *arguments], input=given)


def test_a_good_file_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "mta-sts.txt"
    path.write_bytes(GOOD)
    ran = policy("lint", str(path), "--mx", "MX1.receiver.example.")
    assert (ran.exit_code, ran.stdout) == (0, "nothing to say: it can be published\n")


def test_each_finding_has_its_line_and_repair() -> None:
    file = b"version: STSv1\nmode: enforced\nmx: mx1.receiver.example.\nmx: mx2.receiver.example\nmax_age: 60"
    ran = policy("lint", "-", "--mx", "mx1.receiver.example", given=file)
    assert ran.exit_code == 1
    assert [line for line in ran.stdout.splitlines() if not line.startswith(" ")] == [
        "line 2: error: mode: enforced is a common mistake (even in Google's help)",
        "line 3: error: mx mx1.receiver.example. ends in a dot",
        "line 4: warning: mx mx2.receiver.example covers none of the MX hosts: out of date, or a slip of the pen",
        "line 5: warning: max_age of 60 seconds; below 86400 (one day), Google's least, it protects hardly anybody",
        "line 5: note: the last line has no line end; legal, and easily joined with a line that is added later",
        "2 errors, 2 warnings, 1 note: do not publish it so",
    ]
    assert "    write mode: enforce\n" in ran.stdout


@pytest.mark.parametrize(
    ("given", "options", "code", "summary"),
    [
        (GOOD.replace(b"604800", b"86400"), (), 0, "1 warning: it can be published, and could be better"),
        (GOOD.replace(b"604800", b"86400"), ("--strict",), 1, "1 warning: it can be published, and could be better"),
        (GOOD.rstrip(), ("--strict",), 0, "1 note: it can be published"),
        (GOOD, ("--mx", "mx2.receiver.example"), 1, "1 error, 1 warning: do not publish it so"),
        (b"", (), 1, "1 error: do not publish it so"),
        (GOOD + b"x: " + b"\xc3\xb6" * MAX_BYTES, (), 1, "1 error, 1 warning: do not publish it so"),
    ],
)
def test_the_exit_code_and_the_last_line(given: bytes, options: tuple[str, ...], code: int, summary: str) -> None:
    ran = policy("lint", "-", *options, given=given)
    assert (ran.exit_code, ran.stdout.splitlines()[-1]) == (code, summary)


def test_a_forgotten_id_is_an_error(tmp_path: Path) -> None:
    previous = tmp_path / "old.txt"
    previous.write_bytes(GOOD)
    enforce = GOOD.replace(b"testing", b"enforce")
    records = ("--previous", str(previous), "--previous-record", "v=STSv1; id=1;", "--record")
    ran = policy("lint", "-", *records, "v=STSv1; id=1;", given=enforce)
    assert ran.exit_code == 1
    assert "senders will not notice the change until their copy of the old one ends, up to 1 week" in ran.stdout
    assert re.search(r'publish "v=STSv1; id=\d{14};" after the file', ran.stdout)
    ran = policy("lint", "-", *records, "v=STSv1; id=2;", given=enforce)
    assert (ran.exit_code, ran.stdout) == (0, "nothing to say: it can be published\n")


def test_the_old_id_is_told_from_the_new_one(tmp_path: Path) -> None:
    previous = tmp_path / "old.txt"
    previous.write_bytes(GOOD)
    ids = ("--previous-record", "v=STSv1; id=1;", "--record", "v=STSv1; id=2;")
    ran = policy("lint", "-", "--previous", str(previous), *ids, given=GOOD)
    assert "    keep id=1, unless the file should have changed too\n" in ran.stdout


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ('"v=STSv1; id=1;"', ""),  # as dig +short prints it
        ('"v=STSv1; " "id=1;"', ""),  # in pieces
        ("v=STSv1; id=1;", ""),
        ('"v=spf1 -all"\n"v=STSv1; id=1;"\n', ""),  # others at the same name
        ('"v=STSv1; id=1;"\n"v=STSv1; id=2;"', "2 TXT records begin with v=STSv1"),
        ('"\\"v=STSv1; id=1;\\""', "the quotation marks are part of it"),
        ('"v=STSv1; id=1;', "the quotation marks are part of it"),  # one only
        ("", "no TXT record begins with v=STSv1;"),
    ],
)
def test_the_txt_record_as_text_or_as_dig_prints_it(typed: str, says: str) -> None:
    ran = policy("lint", "-", "--record", typed, given=GOOD)
    assert ran.exit_code == (1 if says else 0)
    assert says in ran.stdout
    assert not says or "_mta-sts record: error: " in ran.stdout


def test_the_record_for_reports() -> None:
    ran = policy("lint", "-", "--tlsrpt-record", "v=TLSRPTv1; rua=reports@receiver.example", given=GOOD)
    assert ran.exit_code == 1
    assert "_smtp._tls record: error: reports@receiver.example lacks its scheme\n" in ran.stdout
    assert "    write mailto:reports@receiver.example\n" in ran.stdout


def test_the_findings_as_json() -> None:
    ran = policy("lint", "-", "--json", given=GOOD.replace(b"604800", b"7d"))
    printed = json.loads(ran.stdout)
    assert ran.exit_code == 1
    assert (printed["usable"], printed["mode"], printed["mx"], printed["max_age"]) == (
        False,
        "testing",
        ["mx1.receiver.example"],
        None,
    )
    assert (printed["errors"], printed["warnings"], printed["notes"]) == (1, 0, 0)
    (finding,) = printed["findings"]
    assert (finding["place"], finding["line"], finding["severity"], finding["code"]) == ("file", 4, "error", "max-age")
    assert finding["repair"] == "write max_age: 604800"


def test_text_from_the_file_does_nothing_to_the_terminal() -> None:
    ran = policy("lint", "-", given=GOOD + b"\x1b[31mred\nmx: \xe2\x80\xaemoc.live\n")
    assert "\x1b" not in ran.stdout
    assert "\u202e" not in ran.stdout
    assert "\\x1b[31mred" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lint", "/no/such/file"], "cannot read /no/such/file"),
        (["lint", "/"], "cannot read /"),
        (["lint", "a\0b"], "cannot read a\\x00b"),
        (["lint", "-", "--previous", "/no/such/file"], "cannot read /no/such/file"),
        (["lint", "-", "--mx", "10 mx1.receiver.example"], "has blanks"),
        (["lint", "-", "--mx", "192.0.2.1"], "give the name of an MX host"),
        (["lint", "-", "--mx", "*.receiver.example"], "give the name of an MX host"),
        (["lint", "-", "--mx", ""], "give the name of an MX host"),
        (["lint"], "Missing argument"),
        ([*BUILD, "enforced"], "the mode is one of"),
        (["build", "receiver.example", "--mode", "enforce"], "no mx line"),
        ([*BUILD, "enforce", "--max-age", "31557601"], "max_age: 31557601"),
        ([*BUILD, "enforce", "--max-age", "week"], "should be a valid integer"),
        ([*BUILD, "enforce", "--id", "a-b"], "1 to 32 letters and digits"),
        ([*BUILD, "enforce", "--rua", "reports@receiver.example"], "write mailto:"),
        (["build", "receiver", "--mode", "none"], "no domain that can have a policy"),
        (["build", "\x1b[31m.example", "--mode", "none"], "\\x1b[31m"),
    ],
)
def test_wrong_use_is_exit_code_2_and_words(arguments: list[str], says: str) -> None:
    ran = policy(*arguments, given=GOOD)
    assert ran.exit_code == 2
    assert says in ran.stderr
    assert "Traceback" not in ran.output


def test_all_that_is_published() -> None:
    ran = policy(*BUILD, "testing", "--rua", "mailto:tlsrpt@receiver.example", "--id", "20260314120000")
    assert (ran.exit_code, ran.stderr) == (0, "")
    for block in (
        "# Policy file: https://mta-sts.receiver.example/.well-known/mta-sts.txt\n",
        "version: STSv1\nmode: testing\nmx: mx1.receiver.example\nmax_age: 604800\n\n",
        '_mta-sts.receiver.example. 3600 IN TXT "v=STSv1; id=20260314120000;"\n',
        '_smtp._tls.receiver.example. 3600 IN TXT "v=TLSRPTv1; rua=mailto:tlsrpt@receiver.example"\n',
        "1. Serve the policy file",
        "3. Only then publish the TXT record at _mta-sts",
    ):
        assert block in ran.stdout


def test_a_new_id_is_the_time() -> None:
    assert re.search(r"^v=STSv1; id=20\d{12};$", policy(*BUILD, "enforce").stdout, re.MULTILINE)


def test_what_is_unwise_is_said_beside_the_result() -> None:
    ran = policy(*BUILD, "testing", "--max-age", "60", "--policy-only")
    assert ran.exit_code == 0
    assert "line 4: warning: max_age of 60 seconds" in ran.stderr
    ran = policy(*BUILD, "none", "--policy-only")
    assert (ran.exit_code, ran.stderr) == (0, "the mx lines are left out: mode none has none\n")


def test_the_file_alone_goes_through_a_pipe_into_the_linter(tmp_path: Path) -> None:
    """In real processes: what `build` writes, `lint` finds good, CRLF and all."""
    starttally = [sys.executable, "-m", "dashboard.commands.app", "policy"]
    built = subprocess.run([*starttally, *BUILD, "enforce", "--policy-only"], capture_output=True, check=True)
    assert built.stdout == b"version: STSv1\r\nmode: enforce\r\nmx: mx1.receiver.example\r\nmax_age: 604800\r\n"
    looked = subprocess.run(
        [*starttally, "lint", "-", "--strict", "--mx", "mx1.receiver.example"], input=built.stdout, capture_output=True
    )
    assert (looked.returncode, looked.stdout) == (0, b"nothing to say: it can be published\n")


def test_the_guide_shows_what_the_commands_print(tmp_path: Path) -> None:
    """docs/policies.md, command by command; only the id that is the time differs."""
    blocks = re.findall(r"^```\n(.*?)^```$", (ROOT / "docs/policies.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "wrong.txt").write_text(next(block for block in blocks if "mode: enforced\n" in block))
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    compared = 0
    for command, output in zip(blocks, [*blocks[1:], ""], strict=True):
        if not re.fullmatch(r"starttally policy .*\n", command):
            continue
        ran = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert ran.stderr == ""
        if ran.stdout:
            printed, expected = (re.sub(r"id=20\d{12}", "id=NOW", text) for text in (ran.stdout, output))
            assert printed == expected
            compared += 1
    assert compared == 4
