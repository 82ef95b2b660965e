"""Single values of a report, read as their senders mean them; every tolerance used is noted as a defect."""

import datetime as dt
import functools
from collections.abc import Collection
from typing import Any

import msgspec

from ingest.rfc import names

# RFC 8259 section 6: integers beyond this are not interoperable (and would not fit the store).
MAX_COUNT = 2**53 - 1
# Names that are keys in the store. RFC 8460 gives no limit; the longest seen in a real report has 60 characters.
MAX_SHORT_TEXT = 255
_MAX_QUOTED = 200
# The longest usual time, with a fraction and a zone.
_MAX_MOMENT = 40
# A small bomb could have millions, at 500 bytes of memory each.
MAX_DEFECTS = 1_000
# A report from before the RFC's drafts or from the far future has a broken clock or a bad intention.
_EARLIEST, _LATEST = dt.datetime(2010, 1, 1, tzinfo=dt.UTC), dt.datetime(2200, 1, 1, tzinfo=dt.UTC)


class Defect(msgspec.Struct, frozen=True):
    """Something in a report that departs from RFC 8460: where (a path such as ``policies[0].summary``), what, the value."""

    where: str
    what: str
    value: str = ""


class Notes(list[Defect]):
    """The defects of one report, in the order they were met; the first MAX_DEFECTS of them."""

    def add(self, where: str, what: str, value: object = None) -> None:
        """Note a defect, quoting at most the beginning of the offending value."""
        if len(self) >= MAX_DEFECTS:
            if len(self) == MAX_DEFECTS:
                self.append(Defect("", f"departs from RFC 8460 in more than {MAX_DEFECTS} places"))
            return
        quoted = "" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()
        self.append(Defect(where, what, quoted[:_MAX_QUOTED]))


def unknown_members(table: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """The members of ``table`` that RFC 8460 does not name: kept, not interpreted."""
    return {key: value for key, value in table.items() if key not in known} if not known.issuperset(table) else {}


def table(parent: dict[str, Any], key: str, where: str, notes: Notes) -> dict[str, Any]:
    """An object inside an object; ``{}`` and a note when it is missing or something else."""
    value = parent.get(key)
    if isinstance(value, dict):
        return value
    notes.add(f"{where}.{key}", "missing" if value is None else "is no object", value)
    return {}


def flat_table(
    parent: dict[str, Any], key: str, members: Collection[str], where: str, notes: Notes
) -> tuple[dict[str, Any], set[str]]:
    """An object inside an object, or its ``members`` where they stand in the outer one, and the names of those.

    A worker for Cloudflare (2024) writes ``policy-type`` and the like beside ``summary`` instead of in ``policy``.
    """
    value = parent.get(key)
    if isinstance(value, dict) and value:
        return value, set()
    flat = {name: parent[name] for name in members if name in parent}
    if not flat:
        return table(parent, key, where, notes), set()
    notes.add(f"{where}.{key}", f"missing; its members stand in {where} itself")
    return flat, set(flat)


def text(parent: dict[str, Any], key: str, notes: Notes, where: str = "", alias: str = "") -> str:
    """A text; absent and null are ``""``, anything else becomes its JSON text. ``alias`` is read when ``key`` is absent."""
    value = parent.get(key)
    if value is None and alias and parent.get(alias) is not None:
        notes.add(where + key, f"is named {alias}")
        value = parent[alias]
    if value is None or isinstance(value, str):
        return value or ""
    notes.add(where + key, "is no text", value)
    return msgspec.json.encode(value).decode()


def short_text(parent: dict[str, Any], key: str, notes: Notes, where: str = "") -> str:
    """A text of at most MAX_SHORT_TEXT characters; a longer one is cut, and the note says so (the raw report has it whole)."""
    value = text(parent, key, notes, where)
    if len(value) > MAX_SHORT_TEXT:
        notes.add(where + key, f"is {len(value)} characters long; cut to {MAX_SHORT_TEXT}", value)
        return value[:MAX_SHORT_TEXT]
    return value


def count(parent: dict[str, Any], key: str, where: str, notes: Notes) -> int | None:
    """A session count within 0..2^53-1, or None. Counts as strings ("42") and as 42.0 are read."""
    value = parent.get(key)
    number: object = value
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        notes.add(where + key, "is a text instead of a number", value)
        number = int(value)
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= MAX_COUNT:
        return number
    notes.add(where + key, "missing" if value is None else "is no count within 0..2^53-1", value)
    return None


def texts(parent: dict[str, Any], key: str, where: str, notes: Notes, alias: str = "") -> tuple[str, ...]:
    """A list of texts. One text instead of a list is a list of one (the RFC's own appendix, erratum 6241)."""
    value = parent.get(key)
    if value is None and alias and parent.get(alias) is not None:
        notes.add(where + key, f"is named {alias}")
        value = parent[alias]
    if value is None:
        return ()
    if isinstance(value, str):
        notes.add(where + key, "is one text instead of a list", value)
        value = [value]
    if not isinstance(value, list):
        notes.add(where + key, "is no list", value)
        return (msgspec.json.encode(value).decode(),)
    return tuple(item if isinstance(item, str) else msgspec.json.encode(item).decode() for item in value)


def policy_lines(policy: dict[str, Any], where: str, notes: Notes) -> tuple[str, ...]:
    """``policy-string`` as lines. Google leaves ``\\r`` at their ends; Microsoft puts a JSON list inside one text (tlsa)."""
    lines: list[str] = []
    for item in texts(policy, "policy-string", where, notes):
        inner = _list_inside(item)
        if inner is not None:
            notes.add(f"{where}policy-string", "is a JSON list inside a text")
        for line in inner if inner is not None else [item]:
            lines.extend(part for part in line.splitlines() if part)
    return tuple(lines)


def _list_inside(item: str) -> list[str] | None:
    if not item.lstrip().startswith("["):
        return None
    try:
        return msgspec.json.decode(item, type=list[str])
    except (msgspec.MsgspecError, RecursionError):
        return None


def domain(parent: dict[str, Any], key: str, where: str, notes: Notes) -> str:
    """A domain name as A-labels, lower case, no trailing dot; ``""`` when absent or impossible (noted, with the value)."""
    value = text(parent, key, notes, where)
    try:
        return names.domain_name(value)
    except ValueError as error:
        notes.add(where + key, str(error), value)
        return ""


def host(parent: dict[str, Any], key: str, where: str, notes: Notes, alias: str) -> str:
    """A host name, normalised where it is one and kept as it came where it is not (an address, a text)."""
    return names.host_name(text(parent, key, notes, where, alias))


def address(parent: dict[str, Any], key: str, where: str, notes: Notes) -> str:
    """An IP address in its usual short form, or the text as it came."""
    return names.ip_address(text(parent, key, notes, where))


def instant(parent: dict[str, Any], key: str, where: str, notes: Notes) -> dt.datetime | None:
    """An RFC 3339 time in UTC; None when absent, unreadable or absurd. Microsoft (2023) omits the zone: UTC."""
    value = text(parent, key, notes, where).strip()
    if not value:
        notes.add(where + key, "missing")
        return None
    try:
        moment = dt.datetime.fromisoformat(value.upper())
        if moment.tzinfo is None:
            notes.add(where + key, "has no time zone; read as UTC", value)
            moment = moment.replace(tzinfo=dt.UTC)
        moment = moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        notes.add(where + key, "is no time of RFC 3339", value)
        return None
    if not plausible(moment):
        notes.add(where + key, f"is not between {_EARLIEST.year} and {_LATEST.year}", value)
        return None
    return moment


@functools.lru_cache(2_000)
def _usual_moment(value: str) -> dt.datetime | None:
    notes = Notes()
    moment = instant({"": value}, "", "", notes)
    return None if notes else moment


def moment(value: str) -> dt.datetime | None:
    """The time that ``instant`` reads there without a note; None for anything else."""
    return _usual_moment(value) if len(value) <= _MAX_MOMENT else None


def plausible(moment: dt.datetime) -> bool:
    """Whether a report can be about this time at all."""
    return _EARLIEST <= moment < _LATEST
