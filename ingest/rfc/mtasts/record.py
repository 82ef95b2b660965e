"""The TXT record at ``_mta-sts.<domain>`` (RFC 8461 section 3.1): that there is a policy, and by its id, whether it changed.

What it shares with other records is in ``rfc.txt``. Reading never fails.
"""

import datetime as dt
import re
from collections.abc import Iterator, Sequence

import msgspec

from ingest.rfc.faults import ERROR, WARNING, Fault, quoted
from ingest.rfc.txt import FIELD, Grammar, fields

VERSION = "v=STSv1"

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_OF_POLICY = ("version", "mode", "mx", "max_age")
_OF_REPORTS = ("rua", "ruf")
_EXAMPLE = f"{VERSION}; id=20160831085700Z;"
_GRAMMAR = Grammar(
    VERSION,
    near=re.compile(r"[\"'\s]*v\s*=\s*[\"']?sts", re.IGNORECASE),
    section="RFC 8461 section 3.1",
    example=_EXAMPLE,
    if_several="delete all but the one with the newest id",
)


class StsRecord(msgspec.Struct, frozen=True):
    """What a record says. ``id`` is "" when there is no valid one; ``unknown`` are the fields that senders ignore.

    An id says nothing but "changed" when it differs from the one before: there is no order among ids.
    """

    id: str = ""
    unknown: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether senders take the domain to have a policy."""
        return not any(fault.severity == ERROR for fault in self.faults)


def choose(texts: Sequence[str]) -> StsRecord:
    """The one record among all TXT records at the name. Never raises.

    Those that do not begin with ``v=STSv1;`` are discarded; if not exactly one is left, there is no policy. A record that
    seems to be meant as one is read for its faults.
    """
    text, faults = _GRAMMAR.choose(texts, lambda text: parse(text).faults)
    return StsRecord(faults=faults) if text is None else parse(text)


def parse(text: str) -> StsRecord:
    """Read one record. Never raises; see ``faults``."""
    faults = list(_GRAMMAR.version_faults(text))
    values: dict[str, str] = {}
    meant = False
    for field in fields(text, faults):
        name, _, value = field.partition("=")
        if name != "id" and not FIELD.fullmatch(field):
            faults.append(_GRAMMAR.field_fault(field))
        elif name != "id":
            faults += _name_faults(name)
            values.setdefault(name, value)
        elif "id" in values:
            problem = "a second id; senders may differ in which one they take"
            faults.append(Fault("duplicate-id", WARNING, problem, "leave the newest id only"))
        else:
            values["id"] = value if _ID.fullmatch(value) else ""
        if name.strip(" \t").lower() == "id":
            meant = True
            faults += _id_faults(value.strip(" \t"))
    if not meant:
        faults.append(Fault("no-id", ERROR, "no id (RFC 8461 section 3.1)", f"write it as in {_EXAMPLE}"))
    unknown = tuple(name for name in values if name != "id")
    return StsRecord(values.get("id", ""), unknown, tuple(faults))


def new_id(now: dt.datetime) -> str:
    """An id for a policy changed at ``now`` (aware): its time in UTC to the second, 14 digits."""
    if now.tzinfo is None:
        raise ValueError(f"naive datetime {now!r}")
    return f"{now.astimezone(dt.UTC):%Y%m%d%H%M%S}"


def render(policy_id: str) -> str:
    """The record to publish. Raises ValueError for an id that is not 1 to 32 letters and digits."""
    if not _ID.fullmatch(policy_id):
        raise ValueError(f"the id {quoted(policy_id)} is not 1 to 32 letters and digits")
    return f"{VERSION}; id={policy_id};"


def _name_faults(name: str) -> Iterator[Fault]:
    if name.lower() == "id":
        yield Fault("field-case", ERROR, f"{name}: names are case-sensitive", "write id=")
    else:
        repair = f"remove {name}"
        if name.lower() in _OF_POLICY:
            repair += "; it belongs in the policy file"
        elif name.lower() in _OF_REPORTS:
            repair += "; it belongs in the TXT record at _smtp._tls"
        yield Fault("unknown-field", WARNING, f"{name} is no field of RFC 8461; senders ignore it", repair)


def _id_faults(value: str) -> Iterator[Fault]:
    if _ID.fullmatch(value):
        return
    legal = "".join(character for character in value if character.isascii() and character.isalnum())[:32]
    repair = f"write id={legal}" if legal else f"write it as in {_EXAMPLE}"
    yield Fault("id", ERROR, f"the id {quoted(value)} is not 1 to 32 letters and digits", repair)
