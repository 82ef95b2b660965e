"""Text from reports is data (docs/reliability.md row 14) in exports, in a terminal, in the log and in what the doors answer."""

import csv
import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dashboard.exports import writing
from dashboard.exports.schema import Type
from dashboard.exports.writing import EXPORTS, Filters
from ingest.database import engines
from ingest.text import plaintext
from tests.payload_mail import PEER, Delivered, deliver
from tests.payload_pages import as_stored, hidden_in
from tests.payloads import PAYLOADS, many

pytestmark = pytest.mark.timeout(180)
# What a spreadsheet takes for the beginning of a formula, and what it may skip before.
_TRIGGERS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
_SEPARATORS = ";\t\r\n"
_EVENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [\w.]+ (INFO|WARNING|ERROR) \S")


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len({payload.text for payload in PAYLOADS}) == len(PAYLOADS) >= 200
    assert len({payload.name for payload in PAYLOADS}) == len(PAYLOADS)
    assert all(payload.reason for payload in PAYLOADS)
    assert sum(1 for _ in many()) >= 1_000


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """Every payload in a database, by the doors and the worker."""
    return deliver(tmp_path_factory.mktemp("payloads"), PAYLOADS, many())


@pytest.fixture(scope="module")
def exported(delivered: Delivered) -> Iterator[dict[tuple[str, str], bytes]]:
    """Every export in every format."""
    engine = engines.open_engine(delivered.url, read_only=True)
    files = {}
    for kind in EXPORTS:
        for form in writing.FORMATS:
            target = io.BytesIO()
            writing.write(engine, kind, form, Filters(), target)
            files[kind, form] = target.getvalue()
    yield files
    engine.dispose()


def rows_of(csv_file: bytes) -> list[list[str]]:
    """A CSV file as a program reads it, without its first line."""
    return list(csv.reader(io.StringIO(csv_file.decode(), newline="")))[1:]


def test_json_and_parquet_hold_every_text_unchanged(exported: dict[tuple[str, str], bytes]) -> None:
    objects = json.loads(exported["failures", "json"])
    sent = {as_stored(payload.text) for payload in [*PAYLOADS, *many()]}
    assert {row["additional_information"] for row in objects} - {""} == sent
    assert {row["receiving_mx_helo"] for row in objects} - {""} == sent
    for kind in EXPORTS:
        table = pq.read_table(io.BytesIO(exported[kind, "parquet"])).to_pylist()
        as_json = json.loads(exported[kind, "json"])
        texts = [column.name for column in EXPORTS[kind].columns if column.type is Type.TEXT]
        assert [[row[name] for name in texts] for row in table] == [[row[name] for name in texts] for row in as_json]


@pytest.mark.parametrize("kind", EXPORTS)
def test_a_csv_cell_is_the_text_under_the_documented_guard(exported: dict[tuple[str, str], bytes], kind: str) -> None:
    objects = json.loads(exported[kind, "json"])
    rows = rows_of(exported[kind, "csv"])
    assert len(rows) == len(objects) > 100
    for row, told in zip(rows, objects, strict=True):
        for cell, column in zip(row, EXPORTS[kind].columns, strict=True):
            if column.type is Type.TEXT:
                assert cell == guarded(told[column.name] or ""), column.name


def guarded(text: str) -> str:
    """docs/exports.md, in other words than the program's."""
    if len(text) > 16_000:
        text = text[:15_999] + "\u2026"
    escaped = "".join(_escaped(character) for character in text)
    cell = ""
    for position, character in enumerate(escaped):
        begins = position == 0 or escaped[position - 1] in _SEPARATORS
        if begins and (looks_like_formula(escaped[position:]) or (position == 0 and _begins_with_separator(escaped))):
            cell += "'"
        cell += character
    return cell


def _escaped(character: str) -> str:
    acts = unicodedata.category(character) in ("Cc", "Zl", "Zp") and character not in "\t\r\n"
    directs = unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    marks = character in "\u200e\u200f\u061c"
    if not (acts or directs or marks):
        return character
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


def _skipped(character: str) -> bool:
    return character in "\"'`\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\uff02\uff07\ufeff\u00ad" or (
        unicodedata.category(character) in ("Zs", "Cf")
    )


def _begins_with_separator(text: str) -> bool:
    for character in text:
        if not _skipped(character):
            return character in "\t\r\n"
    return False


def looks_like_formula(text: str) -> bool:
    """Whether a spreadsheet that skips blanks and quotes finds a formula at the beginning."""
    for character in text:
        if not _skipped(character):
            return character in _TRIGGERS
    return False


@pytest.mark.parametrize("kind", EXPORTS)
def test_no_cell_begins_a_formula_whatever_separates_cells(exported: dict[tuple[str, str], bytes], kind: str) -> None:
    data = exported[kind, "csv"]
    cells = [cell for row in rows_of(data) for cell in row]
    text = data.decode()
    csv.field_size_limit(len(data))  # with another separator, a quote that ends nothing holds half a file
    for separator in (";", "\t"):
        cells += [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) for cell in row]
        cells += re.split(rf"[{separator}\r\n]", text)
    for cell in cells:
        guarded_by = cell.lstrip("\"' ")
        assert cell[:1] not in tuple(_TRIGGERS)
        assert "'" in cell[: len(cell) - len(guarded_by)] or not looks_like_formula(cell), cell


def test_a_terminal_shows_quarantine_without_being_commanded(delivered: Delivered) -> None:
    printed = on_terminal(delivered, "quarantine", "list")
    assert harmless(printed)
    assert printed.count("explanation: ") > len(PAYLOADS)
    assert "\\x1b[31mred\\x1b[0m" in printed
    assert "\\u202egnp.exe" in printed


def test_a_terminal_shows_what_load_could_not_read(delivered: Delivered, tmp_path: Path) -> None:
    for number, payload in enumerate(PAYLOADS):
        name = payload.text.encode("utf-8", "surrogatepass").replace(b"/", b"|").replace(b"\0", b"0")[:150]
        folder = os.fsencode(tmp_path) + b"/%d" % number
        os.mkdir(folder)  # noqa: PTH102  (names that are no text)
        with open(folder + b"/" + name + b".zip", "wb") as file:  # noqa: PTH123
            file.write(b"PK\x03\x04" + b"damaged")
        if number % 20 == 0:
            with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
                archive.writestr(zipfile.ZipInfo(as_stored(payload.text)[:100] + ".eml.gz"), b"\x1f\x8b" + b"damaged")
    printed = on_terminal(delivered, "load", str(tmp_path), expect=1)
    assert harmless(printed)
    assert printed.count("not read: ") > 300  # names that begin with a dot are passed over


@pytest.mark.parametrize("arguments", [("quarantine", "discard"), ("export",), ("export", "reports", "--domain")])
def test_a_terminal_shows_refusals_without_being_commanded(delivered: Delivered, arguments: tuple[str, ...]) -> None:
    typed = " ".join(as_stored(payload.text) for payload in PAYLOADS if payload.name.startswith(("control", "hidden")))
    printed = on_terminal(delivered, *arguments, typed.replace("\0", ""), expect=2)
    # The text is the operator's own: it may show nothing, but it must not act.
    assert {c for c in printed.replace("\r\n", "") if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")} == set()


@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_export_to_a_terminal_commands_nothing(delivered: Delivered, form: str) -> None:
    printed = on_terminal(delivered, "export", "failures", "--format", form)
    acting = {c for c in printed if c not in "\t\r\n" and _escaped(c) != c}
    assert acting == set()


def on_terminal(delivered: Delivered, *arguments: str, expect: int = 0) -> str:
    """What a command writes to a terminal. It is a dumb one, so that no colour or cursor movement is the program's own."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dashboard.commands.app", *arguments]
    environment = delivered.installation.environment | {"TERM": "dumb", "COLUMNS": "200"}
    process = subprocess.Popen(
        command, cwd=delivered.installation.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            break
        written += piece
    os.close(ours)
    assert process.wait(60) == expect, written[-2_000:]
    return written.decode()


def harmless(printed: str) -> bool:
    """Whether a terminal only shows it: no control, format or invisible character but line ends."""
    assert hidden_in(printed.replace("\r\n", "\n")) == []
    assert "\t" not in printed
    return True


def test_the_doors_log_one_line_an_event_and_no_full_address(delivered: Delivered) -> None:
    lines = delivered.log.split("\n")
    assert lines.pop() == ""
    assert len(lines) > 2 * len(PAYLOADS)
    assert [line for line in lines if not _EVENT.match(line)] == []
    assert hidden_in(delivered.log) == []
    assert PEER not in delivered.log
    assert f"{PEER.rpartition('.')[0]}.0/24: " in delivered.log


def test_the_http_door_repeats_nothing_that_it_was_told(delivered: Delivered) -> None:
    assert {answer.split(b"\r\n")[0].split()[1] for answer in delivered.answers} <= {b"201", b"400", b"404"}
    assert [answer for answer in delivered.answers if b"attacker" in answer or b"owned" in answer.lower()] == []


def test_a_fault_is_one_line_of_the_log_whatever_it_quotes() -> None:
    texts = [as_stored(payload.text) for payload in PAYLOADS]
    code = (
        "import json, logging, sys\n"
        "from ingest.text import plaintext\n"
        "plaintext.log_to_standard_error(logging.INFO)\n"
        "for text in json.load(sys.stdin):\n"
        "    try:\n"
        "        raise ValueError(text)\n"
        "    except ValueError:\n"
        "        logging.getLogger('ingest.work.worker').exception('failed on %s', text)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(texts).encode(), capture_output=True, check=True
    )
    lines = ran.stderr.decode().split("\n")
    assert len(lines) == len(texts) + 1
    assert [line for line in lines[:-1] if not _EVENT.match(line)] == []
    assert hidden_in(ran.stderr.decode()) == []


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.name)
def test_one_line_hides_nothing_and_does_nothing(payload: object) -> None:
    line = plaintext.one_line(payload.text, 5_000)  # type: ignore[attr-defined]
    assert hidden_in(line) == []
    assert "\n" not in line


def test_a_log_keeps_ordinary_text_as_it_is() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "stored=%d m\u00fcller", (1,), None)
    assert plaintext.one_line(record.getMessage()) == "stored=1 m\u00fcller"
