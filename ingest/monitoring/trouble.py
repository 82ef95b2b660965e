"""What can keep the worker from storing although no message is to blame: the database's troubles and the spool's, in words.

Doors read the reason that a worker publishes, so this module knows neither database nor driver (see blame.py).
"""

import errno

import msgspec

# Reasons as a metric has them, and as people read them.
_OF_DATABASE = {
    "database-away": "the database is away",
    "database-read-only": "the database is read-only",
    "database-tables": "tables of the database are missing: is a restore under way?",
    "database-schema": "the database has another version's tables",
    "database-rights": "the database refuses the right to read or write its tables",
    "database-locked": "another program holds a lock on the database",
    "database-full": "the database's disk is full",
    "database-damaged": "the database is damaged",
    "database-replaced": "the database's file was replaced by another",
    "database-gone": "the database's file is gone",
}
_OF_SPOOL = {
    "spool-full": "the spool's disk is full",
    "spool-read-only": "the spool is read-only",
    "spool-gone": "a folder of the spool is missing",
    "spool-rights": "the spool belongs to somebody else: its folders cannot be changed",
    "too-many-files": "too many files are open",
    "disk-fault": "the disk has a fault",
}
WORDS = _OF_DATABASE | _OF_SPOOL
_OF_ERRNO = {
    errno.ENOSPC: "spool-full",
    errno.EDQUOT: "spool-full",
    errno.EROFS: "spool-read-only",
    errno.ENOENT: "spool-gone",
    errno.ENOTDIR: "spool-gone",
    errno.EACCES: "spool-rights",
    errno.EPERM: "spool-rights",
    errno.EMFILE: "too-many-files",
    errno.ENFILE: "too-many-files",
    errno.EIO: "disk-fault",
    errno.ESTALE: "disk-fault",
    errno.ENODEV: "disk-fault",
}


class Trouble(msgspec.Struct, frozen=True):
    """Why nothing can be stored now: ``reason`` is one of WORDS, ``detail`` what the driver or the system said."""

    reason: str
    detail: str = ""

    @property
    def of_database(self) -> bool:
        """Whether it is the database's, not the spool's."""
        return self.reason in _OF_DATABASE

    def __str__(self) -> str:
        return f"{WORDS[self.reason]} ({self.detail})" if self.detail else WORDS[self.reason]


def of_spool(error: OSError) -> Trouble | None:
    """The trouble behind an error of the operating system. None for those that no disk and no limit explains: libraries
    raise OSError over what a stranger wrote, too (gzip.BadGzipFile).
    """
    reason = _OF_ERRNO.get(error.errno or 0)
    return Trouble(reason, error.strerror or "") if reason else None
