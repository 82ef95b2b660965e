"""The documentation says what the program does: settings, commands, columns, links, and the README's own commands."""

import re
import shlex
from pathlib import Path

import pytest

from dashboard.exports.writing import EXPORTS
from ingest.settings.settings import Settings
from tests.commands import commands, reference
from tests.support import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text()


def test_the_settings_page_is_what_the_settings_say():
    """Else run `make docs`."""
    assert (ROOT / "docs/settings.md").read_text() == reference().settings_page()


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_documented(name: str):
    assert f"| `STARTTALLY_{name.upper()}` |" in (ROOT / "docs/settings.md").read_text()
    assert Settings.model_fields[name].description


def test_the_commands_page_is_what_the_commands_say():
    """Else run `make docs`."""
    assert (ROOT / "docs/commands.md").read_text() == reference().commands_page()


def test_every_command_says_what_it_does():
    assert [name for name, command in commands().items() if not command.help] == []


def test_every_option_says_what_it_does():
    mute = [
        f"{name} {parameter.name}"
        for name, command in commands().items()
        for parameter in command.params
        if parameter.name != "help" and not parameter.help
    ]
    assert mute == []


def test_the_tables_of_columns_are_what_the_exports_have():
    """Else run `make docs`."""
    assert (ROOT / "docs/exports.md").read_text() == reference().exports_page()


@pytest.mark.parametrize("kind", ["summary", "failures", "domains", "reports"])
def test_every_column_of_an_export_is_explained(kind: str):
    """Each once, in the section of its export, so that `make docs` has found the table to write."""
    text = (ROOT / "docs/exports.md").read_text()
    section = text.split(f"\n## {kind}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [column.name for column in EXPORTS[kind].columns]
    assert all(column.meaning and column.empty and column.unit for column in EXPORTS[kind].columns)


def shell_lines(text: str) -> list[str]:
    """The lines of all code blocks, continued lines joined."""
    blocks = re.findall(r"^ *```\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def called(program: str) -> list[list[str]]:
    """The arguments of each call of a program in README, CONTRIBUTING and docs/."""
    collected = []
    for page in PAGES:
        for line in shell_lines(page.read_text()):
            words = shlex.split(line, comments=True) if re.match(rf"(?:\S*/)?{program}\b", line) else []
            if words and Path(words[0]).name == program:
                collected.append(words[1:])
    return collected


def test_the_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    documented = {arguments[0] for arguments in called("make")} | {
        target for page in PAGES for target in re.findall(r"`make ([a-z]+)", page.read_text())
    }
    assert documented <= targets
    assert {"run", "test"} <= documented


def test_the_documented_commands_exist():
    """With their options."""
    calls = called("starttally")
    assert calls
    for arguments in calls:
        names = [name for name in commands() if " ".join(["starttally", *arguments, ""]).startswith(name + " ")]
        assert names, f"starttally {' '.join(arguments)}"
        options = {option for parameter in commands()[names[0]].params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("-")} <= options


def test_the_files_of_the_readme_exist():
    """Those that its commands name: a first report to send."""
    files = set(re.findall(r"@?(docs/[\w./-]+)", README))
    assert files
    assert [name for name in files if not (ROOT / name).exists()] == []


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}"


def test_every_page_is_reachable_from_the_readme():
    linked = set(re.findall(r"\]\(([^)\s#]+)", README))
    assert [page.name for page in PAGES if page.name != "README.md" and str(page.relative_to(ROOT)) not in linked] == []


def test_the_changelog_knows_this_version():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert re.search(rf"^## {re.escape(version[1])}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_no_machine_and_no_registry(page: Path):
    assert re.findall(r"/root/|/home/\w|(?<!\w)/work/|file://|pypi\.|deb\.debian", page.read_text()) == []
