"""The settings as a table, for ``starttally settings`` and docs/settings.md: both come from the fields themselves."""

from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from sqlalchemy.engine import make_url

from ingest.text import confidential
from ingest.text.shares import percent

from .settings import PREFIX, Settings


class SettingRow(msgspec.Struct, frozen=True):
    """One setting: its environment variable, the value in force, the default, the meaning. All text."""

    name: str
    value: str
    default: str
    help: str


def current(settings: Settings) -> list[SettingRow]:
    """Every setting with the value in force. The database password and secrets are not shown."""
    return [_row(name, field, getattr(settings, name)) for name, field in Settings.model_fields.items()]


def as_markdown() -> str:
    """The table of docs/settings.md."""
    lines = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        row = _row(name, field, field.default)
        default = f"`{row.default}`" if row.default and row.default[0] != "(" else row.default
        lines.append(f"| `{row.name}` | {default} | {row.help.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def _row(name: str, field: FieldInfo, value: Any) -> SettingRow:  # noqa: ANN401
    default = "(this machine's name)" if field.default_factory else _text(name, field.default)
    return SettingRow(PREFIX + name.upper(), _text(name, value), default, field.description or "")


def _text(name: str, value: Any) -> str:  # noqa: ANN401
    if name == "database_url":
        return confidential.without_secrets(make_url(value).render_as_string(hide_password=True))
    if isinstance(value, SecretStr):
        return "(hidden)" if value.get_secret_value() else "(empty)"
    if value is None or value in ((), ""):
        return "(empty)"
    if name == "verdict_bound":
        return percent(value)
    if name == "access":
        return "; ".join(f"{user}={' '.join(patterns)}" for user, patterns in value)
    if isinstance(value, tuple) and not hasattr(value, "port"):
        return ",".join(map(str, value))
    return value.as_posix() if isinstance(value, Path) else str(value)
