"""Floors and purity, said in pyproject.toml and held by import-linter: the code keeps to them, and each of them bites."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import ROOT

CONTRACTS = {
    contract["id"]: contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of both packages, in which one module at a time may import what it must not."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("ingest", "dashboard"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_the_code_keeps_to_its_floors(checkout: Path) -> None:
    linted = lint(checkout)
    assert linted.returncode == 0, linted.stdout


BROKEN = [
    ("sides", "ingest/intake.py", "import dashboard.verdicts"),
    ("sides", "ingest/intake.py", "def late():\n    from dashboard import verdicts"),
    ("ingest-floors", "ingest/database/engines.py", "from ingest.store import saving"),
    ("ingest-floors", "ingest/spool/maildir.py", "from ingest.database.models import report"),
    ("ingest-floors", "ingest/store/saving.py", "from ingest.work import worker"),
    ("ingest-floors", "ingest/shelf.py", ""),
    ("rfc-floors", "ingest/rfc/tlsrpt/report.py", "from ingest.rfc.mtasts import policy"),
    ("dashboard-floors", "dashboard/queries/fleet.py", "from dashboard.words import wording"),
    ("dashboard-floors", "dashboard/shelf.py", ""),
    ("standards-pure", "ingest/rfc/tlsrpt/report.py", "import sqlalchemy"),
    ("decision-pure", "dashboard/decision/weighing.py", "import pandas"),
    ("decision-pure", "dashboard/decision/weighing.py", "from ingest.store import overrides"),
    ("decision-pure", "ingest/testimony/voices.py", "import dns.resolver"),
    ("doors-know-the-spool", "ingest/doors/http/upload.py", "from ingest.store import saving"),
    ("doors-know-the-spool", "ingest/spool/trace.py", "import sqlalchemy"),
    ("no-network", "dashboard/views/report.py", "from ingest.authentication import signatures"),
    ("no-network", "dashboard/queries/fleet.py", "import dns.resolver"),
]


@pytest.mark.parametrize(("contract", "path", "text"), BROKEN)
def test_each_contract_bites(checkout: Path, contract: str, path: str, text: str) -> None:
    module = checkout / path
    before = module.read_text(encoding="utf-8") if module.exists() else None
    module.write_text((before or '"""New."""\n') + "\n" + text + "\n", encoding="utf-8")
    try:
        linted = lint(checkout)
    finally:
        if before is None:
            module.unlink()
        else:
            module.write_text(before, encoding="utf-8")
    assert linted.returncode == 1, linted.stdout
    broken = "".join(linted.stdout.split()).partition("Brokencontracts")[2]
    assert "".join(CONTRACTS[contract].split()) in broken, linted.stdout


def test_no_contract_is_left_untried() -> None:
    assert {contract for contract, _, _ in BROKEN} == set(CONTRACTS)
