"""The units in docs/deploy/systemd: systemd finds them sound, and they give no privilege away."""

import configparser
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT, need

UNITS = ROOT / "docs" / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))


class Repeating(dict[str, str]):
    """systemd allows a key several times; the values add up."""

    def __setitem__(self, key: str, value: object) -> None:
        before = self.get(key)
        super().__setitem__(key, before + value if isinstance(value, list) and before else value)  # type: ignore[operator, assignment]


def service(path: Path) -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=False, interpolation=None, dict_type=Repeating)
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read(path)
    return unit["Service"]


def test_the_units_are_there() -> None:
    assert {path.stem for path in SERVICES} == {
        f"starttally-{name}" for name in ("receive", "work", "assess", "dashboard")
    }


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_no_service_has_a_privilege(path: Path) -> None:
    unit = service(path)
    assert unit["User"] == "starttally"
    assert (unit["CapabilityBoundingSet"], unit["NoNewPrivileges"], unit["ProtectSystem"]) == ("", "yes", "strict")
    assert unit["EnvironmentFile"] == "/etc/starttally/starttally.env"


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_systemd_rates_each_service_as_safe(path: Path) -> None:
    program = need("systemd-analyze", "systemd")
    ended = subprocess.run(
        [program, "security", "--offline=yes", "--threshold=20", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-500:] + ended.stderr


@pytest.mark.parametrize("name", ["starttally-receive.socket", "starttally-receive-http.socket"])
def test_sockets_carry_the_names_that_the_doors_look_for(name: str) -> None:
    text = (UNITS / name).read_text()
    assert f"FileDescriptorName={'http' if 'http' in name else 'smtp'}" in text
    assert "Service=starttally-receive.service" in text
