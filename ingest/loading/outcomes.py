"""What becomes of a mail or file that ``load`` comes across: a report, a message for quarantine, or none of ours."""

import msgspec

from ingest.rfc.tlsrpt.document import may_hold_report
from ingest.spool import channels, trace
from ingest.spool.trace import Arrival
from ingest.submissions import Decoded, Quarantined
from ingest.testimony import unread
from ingest.work.reader import Reader

from . import file_formats, mail_dates, recognition, signs
from .mailbox import NAMED_AS_REPORTS, Mail, Problem, ReportFile, TooLarge
from .recognition import SourceKind

_LOOK = 64 * 1024


class Ignored(msgspec.Struct, frozen=True):
    """A source that is no report and is not stored: its kind in singular and plural, and advice in case a report is in it."""

    singular: str
    plural: str
    advice: str = ""


class Unread(msgspec.Struct, frozen=True):
    """Cannot be read here, and not kept, because the user has it: why, and what to do. Completes "FILE ..."."""

    reason: str


Outcome = Decoded | Quarantined | Ignored | Unread


def of_source(source: Mail | ReportFile, reader: Reader) -> Outcome:
    """Read a source, and say what it is when there is no report in it.

    What shows a sign of a report goes to quarantine. Of the rest nothing is kept, because it may be private; what the user
    named himself and is no mail is Unread.
    """
    return _of_mail(source, reader) if isinstance(source, Mail) else _of_file(source, reader)


def of_problem(source: Problem) -> Ignored | Unread:
    """The same for what could not be read; of what is too large, the beginning says whether anybody misses it."""
    if not isinstance(source, TooLarge):
        return Unread(source.reason)
    if source.file_name is None:
        kind = recognition.of_mail(source.beginning)
    else:
        kind = recognition.of_file(source.beginning, source.file_name)
    return Unread(source.reason) if source.named or kind == SourceKind.REPORT else Ignored(kind.singular, kind.plural)


def arrival_of(source: Mail | ReportFile) -> Arrival:
    """When and how a source came, as far as it says so itself."""
    stated = mail_dates.arrival_time(source.data) if isinstance(source, Mail) else None
    return Arrival(channels.LOAD, stated or source.modified, trace.digest(source.data), estimated=stated is None)


def _of_mail(source: Mail, reader: Reader) -> Outcome:
    kind = recognition.notification(source.data)
    if kind is None:
        decoded = reader.decode(source.data, arrival_of(source))
        if not _is_refused(decoded):
            return decoded
        kind = recognition.of_mail(source.data)
        if kind == SourceKind.REPORT:
            return decoded
    return _of_none(source, "") if kind == SourceKind.FILE else Ignored(kind.singular, kind.plural)


def _of_file(source: ReportFile, reader: Reader) -> Outcome:
    name = source.file_name
    decoded = None
    if may_hold_report(source.data) or name.lower().endswith(NAMED_AS_REPORTS):
        decoded = reader.decode(source.data, arrival_of(source), name)
        if not _is_refused(decoded):
            return decoded
    kind = recognition.of_file(source.data, name)
    if kind == SourceKind.DMARC:
        return Ignored(kind.singular, kind.plural)
    if kind != SourceKind.REPORT:
        return _of_none(source, name)
    form = file_formats.format_of(source.data[:_LOOK], name)
    if form.holds:
        return Unread(form.explanation)
    return decoded or reader.decode(source.data, arrival_of(source), name)


def _is_refused(decoded: Decoded | Quarantined) -> bool:
    return isinstance(decoded, Quarantined) and decoded.reason == unread.NO_REPORT


def _of_none(source: Mail | ReportFile, name: str) -> Ignored | Unread:
    """Without a sign of a report: one of many in a folder, or what the user meant to be read."""
    form = file_formats.format_of(source.data[:_LOOK], name)
    if source.named or (form.holds and signs.is_packed_json(name)):
        return Unread(form.explanation)
    if form.holds:
        return Ignored(form.singular.partition(" ")[2], form.plural, f"{source.origin} {form.explanation}")
    return Ignored(SourceKind.FILE.singular, SourceKind.FILE.plural)
