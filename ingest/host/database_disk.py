"""Free space where the database is: of SQLite's file. How full a server's disk is cannot be known from here."""

import shutil

from ingest.settings.settings import PREFIX, Settings


def lack(settings: Settings) -> str | None:
    """Why the file system of SQLite's file is nearly full, in words; None when there is room, or nobody here can tell."""
    file = settings.database_file
    if file is None:
        return None
    try:
        free = shutil.disk_usage(file.absolute().parent).free
    except OSError:  # the folder is another host's or container's, or not made yet
        return None
    if free >= settings.min_free_bytes:
        return None
    return f"less than {PREFIX}MIN_FREE_BYTES free where the database is; quarantine takes nothing more from strangers"
