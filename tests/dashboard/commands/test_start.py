"""What the program loads before it answers: each library costs processor time at every start, and memory that stays."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

PROGRAM = """
import json, sys
from dashboard.commands.app import main
try:
    main()
finally:
    print("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
READING = {"altair", "numpy", "pandas", "pyarrow", "scipy", "streamlit"}
DOORS = {"aiosmtpd", "prometheus_client", "starlette", "uvicorn"}
KEYS = {"dkim", "dns"}
STORE = {"pydantic_settings", "sqlalchemy"}  # typer itself reads arguments by pydantic


def loaded_by(*arguments: str, folder: Path) -> set[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")}
    environment |= {
        "STARTTALLY_DATABASE_URL": f"sqlite:///{folder}/start.db",
        "STARTTALLY_SPOOL": str(folder / "spool"),
    }
    command = [sys.executable, "-c", PROGRAM, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    return set(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("receive", "--help"), ("verdict", "--help")])
def test_help_loads_no_library_of_the_work(arguments: tuple[str, ...], tmp_path: Path) -> None:
    unwanted = {*READING, *DOORS, *KEYS, *STORE, "alembic", "asyncio", "msgspec"}
    assert not loaded_by(*arguments, folder=tmp_path) & unwanted


def test_a_verdict_needs_the_database_only(tmp_path: Path) -> None:
    report = ROOT / "tests" / "data"
    (file, *_) = sorted(path for path in report.rglob("*.eml"))
    loaded_by("load", str(file), folder=tmp_path)
    loaded = loaded_by("verdict", "example.com", folder=tmp_path)
    assert "sqlalchemy" in loaded
    assert not loaded & {*READING, *DOORS, *KEYS, "alembic", "rich"}


def test_doors_and_worker_carry_nothing_of_the_reading_side(tmp_path: Path) -> None:
    """pandas takes 60 MiB and a second; the bound on memory is for what strangers send."""
    loaded_by("load", str(tmp_path), folder=tmp_path)
    for arguments in (("work", "--once"), ("receive", "--help")):
        assert not loaded_by(*arguments, folder=tmp_path) & READING
