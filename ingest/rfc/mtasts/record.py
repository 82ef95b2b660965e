"""The TXT record at ``_mta-sts.<domain>`` (RFC 8461 section 3.1): that there is a policy, and by its id, whether it changed.

Texts are those of whole TXT records: the strings of one record joined without anything between them. Reading never fails.
"""

import datetime as dt
import re
from collections.abc import Iterator, Sequence

import msgspec

from ingest.rfc.faults import ERROR, WARNING, Fault, quoted

VERSION = "v=STSv1"

_BEGINNING = re.compile(r"v=STSv1(?P<blanks>[ \t]*)(?:;|\Z)")
_NEAR = re.compile(r"[\"'\s]*v\s*=\s*[\"']?sts", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_FIELD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[\x21-\x3a\x3c\x3e-\x7e]+")
_OF_POLICY = ("version", "mode", "mx", "max_age")
_OF_REPORTS = ("rua", "ruf")
_EXAMPLE = f"{VERSION}; id=20160831085700Z;"
_MOST_RECORDS = 10  # more are an accident of another kind, and would make the answer endless


class Record(msgspec.Struct, frozen=True):
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


def choose(texts: Sequence[str]) -> Record:
    """The one record among all TXT records at the name. Never raises.

    Those that do not begin with ``v=STSv1;`` are discarded; if not exactly one is left, there is no policy. A record that
    seems to be meant as one is read for its faults.
    """
    ours = [text for text in texts if ";" in text and _BEGINNING.match(text)]
    meant = ours or [text for text in texts if _NEAR.match(text)]
    if len(meant) == 1:
        return parse(meant[0])
    if not meant:
        text = f"no TXT record begins with {VERSION};"
        return Record(faults=(Fault("no-record", ERROR, text, f"publish one such as {_EXAMPLE}"),))
    begin = "begin" if ours else "are meant to begin"
    text = f"{len(meant)} TXT records {begin} with {VERSION}; there must be exactly one"
    several = Fault("several-records", ERROR, text, "delete all but the one with the newest id")
    # Nobody knows which one will stay, so the faults of each are told.
    others = dict.fromkeys(fault for text in meant[:_MOST_RECORDS] for fault in parse(text).faults)
    return Record(faults=(several, *others))


def parse(text: str) -> Record:
    """Read one record. Never raises; see ``faults``."""
    faults = list(_version_faults(text))
    fields: dict[str, str] = {}
    meant = False
    for field in _fields(text, faults):
        name, _, value = field.partition("=")
        if name != "id" and not _FIELD.fullmatch(field):
            problem = f"{quoted(field)} is no name=value (RFC 8461 section 3.1)"
            faults.append(Fault("field", ERROR, problem, _field_repair(field)))
        elif name != "id":
            faults += _name_faults(name)
            fields.setdefault(name, value)
        elif "id" in fields:
            problem = "a second id; senders may differ in which one they take"
            faults.append(Fault("duplicate-id", WARNING, problem, "leave the newest id only"))
        else:
            fields["id"] = value if _ID.fullmatch(value) else ""
        if name.strip(" \t").lower() == "id":
            meant = True
            faults += _id_faults(value.strip(" \t"))
    if not meant:
        faults.append(Fault("no-id", ERROR, "no id (RFC 8461 section 3.1)", f"write it as in {_EXAMPLE}"))
    unknown = tuple(name for name in fields if name != "id")
    return Record(fields.get("id", ""), unknown, tuple(faults))


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


def _version_faults(text: str) -> Iterator[Fault]:
    begins = _BEGINNING.match(text)
    if begins and begins["blanks"]:
        # The grammar allows it; the rule for choosing a record wants "v=STSv1;" at once.
        yield Fault("version-blank", WARNING, "blanks before the first semicolon", f"write {VERSION};")
    if not begins:
        marks = "; the quotation marks are part of it" if text.startswith(('"', "'")) else ""
        repair = "publish it without the quotation marks" if marks else f"begin it with {VERSION};"
        yield Fault("version", ERROR, f"the record must begin with {VERSION}; exactly so{marks}", repair)


def _fields(text: str, faults: list[Fault]) -> Iterator[str]:
    """What stands between the semicolons after the version; one semicolon at the end is allowed."""
    pieces = [piece.strip(" \t") for piece in text.split(";")[1:]]
    if pieces and not pieces[-1]:
        pieces.pop()
    for piece in pieces:
        if piece:
            yield piece
        else:
            faults.append(Fault("empty-field", ERROR, "two semicolons with nothing between them", "remove one of them"))


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


def _field_repair(field: str) -> str:
    name, equals, value = field.partition("=")
    tight = f"{name.strip()}={value.strip()}"
    if equals and _FIELD.fullmatch(tight):
        return f"write {quoted(tight)}, without blanks around ="
    return f"remove {quoted(field)}"
