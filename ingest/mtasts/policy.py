"""Placeholder to unblock the store while the real module is being written (helper 3 overwrites this file)."""

from collections.abc import Sequence
from typing import NamedTuple


class Policy(NamedTuple):
    mode: str
    mx: tuple[str, ...]
    max_age: int | None


def parse(text: str | Sequence[str]) -> Policy:
    lines = text.splitlines() if isinstance(text, str) else text
    pairs = [tuple(part.strip() for part in line.partition(":")[::2]) for line in lines]
    mode = next((v.lower() for k, v in pairs if k == "mode"), "")
    age = next((v for k, v in pairs if k == "max_age"), "")
    return Policy(mode, tuple(v for k, v in pairs if k == "mx"), int(age) if age.isdigit() else None)


def mx_key(policy: Policy) -> tuple[str, ...]:
    return tuple(sorted({mx.lower().rstrip(".") for mx in policy.mx}))
