"""Writes docs/settings.md, docs/commands.md and the tables of docs/exports.md from the code: ``make docs``.

A test fails when they differ from it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from dashboard.commands.app import app
from dashboard.exports.schema import as_markdown
from dashboard.exports.writing import EXPORTS
from ingest.settings import table

DOCS = Path(__file__).resolve().parent

# The table of columns in a section.
_COLUMNS = re.compile(r"\| column \|.*?\n(?=\n|\Z)", re.DOTALL)
_SETTINGS = """# Settings

Every setting is an environment variable. The same names, with or without the prefix `STARTTALLY_`, may stand in a TOML
file: `starttally.toml` in the working directory, or the file that `STARTTALLY_CONFIG` names. The environment wins over
the file, and both over the defaults. `starttally settings` shows the values in force.

A wrong value or an unknown name stops the program with exit code 2 and one line that says which setting it is and what
is allowed. Lists are separated by commas. Relative paths start at the working directory.

<!-- Written by `make docs` from ingest/settings/settings.py. -->

"""
_COMMANDS = """# Commands

Exit codes are the same for all: 0 done; 1 the answer is "no", or something was quarantined; 2 wrong usage or
configuration; 3 a service (database, spool) is away. Results go to standard output, everything else to standard error.
Only `db upgrade` and `serve` bring an older database to this version, after a copy of it beside it (SQLite; `serve` leaves an
older PostgreSQL to `db upgrade`); these two and `load` make one that is not there. All others name one that is missing (3) or
outdated (2), and make nothing. A day is written YYYY-MM-DD and in no other way (2).
[Settings](settings.md) come from the environment or a TOML file.

<!-- Written by `make docs` from ingest/commands/app.py and dashboard/commands/app.py. -->
"""


def settings_page() -> str:
    """The text of docs/settings.md."""
    return _SETTINGS + table.as_markdown()


def commands_page() -> str:
    """The text of docs/commands.md: each command with its arguments and options."""
    return _COMMANDS + "".join(_section(name, command) for name, command in commands())


def exports_page() -> str:
    """The text of docs/exports.md: the page as it is, with the tables of its columns written anew."""
    text = (DOCS / "exports.md").read_text(encoding="utf-8")
    for kind, export in EXPORTS.items():
        before, heading, section = text.partition(f"\n## {kind}\n")
        text = before + heading + _COLUMNS.sub(lambda _, of=export: as_markdown(of.columns), section, count=1)
    return text


def commands() -> list[tuple[str, Any]]:
    """Every command a user can give, by its full name, in alphabetical order."""
    return sorted(_below("starttally", typer.main.get_command(app)))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, child in inner.items():
        if not child.hidden:
            yield from _below(f"{name} {word}", child)


def _section(name: str, command: Any) -> str:  # noqa: ANN401
    shown = [parameter for parameter in command.params if parameter.name != "help" and not parameter.hidden]
    usage = " ".join([name, *map(_usage, shown)])
    lines = [f"\n## {name}\n", f"`{usage}`\n", " ".join((command.help or "").split())]
    if shown:
        lines += ["", "| argument or option | default | what it does |", "|---|---|---|", *map(_row, shown)]
    return "\n".join(lines) + "\n"


def _usage(parameter: Any) -> str:  # noqa: ANN401
    text = _title(parameter) if _is_argument(parameter) else f"{parameter.opts[-1]}{_value(parameter)}"
    return text if parameter.required else f"[{text}]"


def _row(parameter: Any) -> str:  # noqa: ANN401
    title = _title(parameter) if _is_argument(parameter) else ", ".join(parameter.opts) + _value(parameter)
    given = parameter.default not in (None, "", False) and not callable(parameter.default)
    default = f"`{parameter.default}`" if given else ""
    cells = (f"`{title}`", default, " ".join((parameter.help or "").split()))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _is_argument(parameter: Any) -> bool:  # noqa: ANN401
    return bool(parameter.param_type_name == "argument")


def _title(parameter: Any) -> str:  # noqa: ANN401
    return str(parameter.metavar or parameter.name).upper() + ("..." if parameter.nargs == -1 else "")


def _value(parameter: Any) -> str:  # noqa: ANN401
    return "" if parameter.is_flag else f" {parameter.metavar or parameter.name}".upper()


if __name__ == "__main__":
    for _name, _page in (("settings", settings_page), ("commands", commands_page), ("exports", exports_page)):
        (DOCS / f"{_name}.md").write_text(_page(), encoding="utf-8")
