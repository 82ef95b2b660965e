"""Who is to blame for an error while messages are stored: a message, or nobody's message because database or spool are away.

Only what a message itself causes counts against it: errors while it is read, and values that the database refuses.
"""

import sqlalchemy as sa

from ingest.database import engines
from ingest.monitoring import trouble
from ingest.monitoring.trouble import Trouble
from ingest.spool.files import SpoolUnavailable

from .opened import FileChanged

# SQLSTATE classes of what a value causes: data, constraints, two rows for one key, a value too long for an index.
_OF_VALUES = ("21", "22", "23", "54")
_OF_SQLSTATE = {
    "25006": "database-read-only",
    "42P01": "database-tables",
    "42703": "database-tables",
    "42704": "database-tables",
    # ON CONFLICT names a key that is not there: a restore makes keys last.
    "42P10": "database-tables",
    "3F000": "database-tables",
    "42501": "database-rights",
    "55P03": "database-locked",
    "57014": "database-locked",
    "40P01": "database-locked",
    "53100": "database-full",
    "XX001": "database-damaged",
    "XX002": "database-damaged",
    "58030": "database-damaged",
}
# SQLite's primary result codes (https://www.sqlite.org/rescode.html).
_OF_SQLITE = {
    3: "database-rights",
    5: "database-locked",
    6: "database-locked",
    8: "database-read-only",
    10: "database-damaged",
    11: "database-damaged",
    13: "database-full",
    14: "database-rights",
    23: "database-rights",
    26: "database-damaged",
}
_MISSING_IN_SQLITE = ("no such table", "no such column", "has no column", "does not match any PRIMARY KEY")


def trouble_behind(error: BaseException) -> Trouble | None:
    """The trouble of database or spool behind an error; None when a message's content, or a bug of ours, is behind it."""
    match error:
        case FileChanged():
            return Trouble(error.reason, error.path)
        case engines.DatabaseAway():
            cause = error.__cause__
            known = trouble_behind(cause) if isinstance(cause, sa.exc.DBAPIError) else None
            return known or Trouble("database-away", str(error))
        case engines.SchemaMismatch():
            return Trouble("database-schema", str(error))
        case sa.exc.DBAPIError():
            return None if _of_values(error) else Trouble(_reason(error), _driver_words(error))
        case sa.exc.TimeoutError() | sa.exc.DisconnectionError():
            return Trouble("database-away", str(error))
        case OSError():
            return trouble.of_spool(error)
    return None


def for_users(error: Exception) -> Exception:
    """The error that a command ends with: a trouble as DatabaseAway or SpoolUnavailable, in words; any other as it is."""
    of = trouble_behind(error)
    if of is None or isinstance(error, SpoolUnavailable):
        return error
    if isinstance(error, OSError):
        return SpoolUnavailable(error.errno, f"the spool cannot be used now: {of}")
    return engines.DatabaseAway(f"the database cannot be used now: {of}")


def _of_values(error: sa.exc.DBAPIError) -> bool:
    if _sqlstate(error):
        return _sqlstate(error).startswith(_OF_VALUES)
    if isinstance(error, sa.exc.DataError | sa.exc.IntegrityError):
        return True
    # So both SQLite drivers say that a value has a type they do not know.
    return "Error binding parameter" in str(error.orig)


def _reason(error: sa.exc.DBAPIError) -> str:
    if _sqlstate(error):
        return _OF_SQLSTATE.get(_sqlstate(error), "database-away")
    if any(words in str(error.orig) for words in _MISSING_IN_SQLITE):
        return "database-tables"
    code: int = getattr(error.orig, "sqlite_errorcode", 0)
    return _OF_SQLITE.get(code & 0xFF, "database-away")


def _sqlstate(error: sa.exc.DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _driver_words(error: sa.exc.DBAPIError) -> str:
    """The driver's words alone: the whole line of DatabaseAway says once more that the database cannot be used."""
    return str(engines.as_away(error)).partition("now: ")[2]
