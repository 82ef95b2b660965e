"""The grammar that the TXT records of RFC 8460 section 3 and RFC 8461 section 3.1 share: a version, then fields.

Texts are those of whole TXT records: the strings of one record joined without anything between them. Reading never fails.
"""

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from .faults import ERROR, WARNING, Fault, quoted

FIELD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[\x21-\x3a\x3c\x3e-\x7e]+")
_MOST_RECORDS = 10  # more are an accident of another kind, and would make the answer endless


class Grammar(msgspec.Struct, frozen=True):
    """The grammar of one kind of record.

    ``version`` begins it, such as ``v=STSv1``. ``near`` matches what seems to be meant as one. ``section`` is where it is
    written down, ``example`` a record to publish, and ``if_several`` the way out of several records.
    """

    version: str
    near: re.Pattern[str]
    section: str
    example: str
    if_several: str

    def choose(
        self, texts: Sequence[str], faults_of: Callable[[str], Sequence[Fault]]
    ) -> tuple[str | None, tuple[Fault, ...]]:
        """The one record among all TXT records at a name; or None, and why there is none.

        Records that do not begin with the version are discarded; if not exactly one is left, senders take it that there is none.
        A record that seems to be meant as one is chosen for its faults.
        """
        ours = [text for text in texts if ";" in text and self._beginning(text)]
        meant = ours or [text for text in texts if self.near.match(text)]
        if len(meant) == 1:
            return meant[0], ()
        if not meant:
            text = f"no TXT record begins with {self.version};"
            return None, (Fault("no-record", ERROR, text, f"publish one such as {self.example}"),)
        begin = "begin" if ours else "are meant to begin"
        text = f"{len(meant)} TXT records {begin} with {self.version}; there must be exactly one"
        # Nobody knows which one will stay, so the faults of each are told.
        others = dict.fromkeys(fault for record in meant[:_MOST_RECORDS] for fault in faults_of(record))
        return None, (Fault("several-records", ERROR, text, self.if_several), *others)

    def version_faults(self, text: str) -> Iterator[Fault]:
        """What is wrong with how the record begins."""
        begins = self._beginning(text)
        if begins and begins["blanks"]:
            # The grammar allows it; the rule for choosing a record wants the semicolon at once.
            yield Fault("version-blank", WARNING, "blanks before the first semicolon", f"write {self.version};")
        if not begins:
            marks = "; the quotation marks are part of it" if text.startswith(('"', "'")) else ""
            repair = "publish it without the quotation marks" if marks else f"begin it with {self.version};"
            yield Fault("version", ERROR, f"the record must begin with {self.version}; exactly so{marks}", repair)

    def field_fault(self, field: str) -> Fault:
        """For a field that is no name=value."""
        return Fault("field", ERROR, f"{quoted(field)} is no name=value ({self.section})", _field_repair(field))

    def _beginning(self, text: str) -> re.Match[str] | None:
        return re.match(rf"{re.escape(self.version)}(?P<blanks>[ \t]*)(?:;|\Z)", text)


def fields(text: str, faults: list[Fault]) -> Iterator[str]:
    """What stands between the semicolons after the version; one semicolon at the end is allowed."""
    pieces = [piece.strip(" \t") for piece in text.split(";")[1:]]
    if pieces and not pieces[-1]:
        pieces.pop()
    for piece in pieces:
        if piece:
            yield piece
        else:
            faults.append(Fault("empty-field", ERROR, "two semicolons with nothing between them", "remove one of them"))


def _field_repair(field: str) -> str:
    name, equals, value = field.partition("=")
    tight = f"{name.strip()}={value.strip()}"
    if equals and FIELD.fullmatch(tight):
        return f"write {quoted(tight)}, without blanks around ="
    return f"remove {quoted(field)}"
