"""What kind of file system a path lies on, and what StartTally refuses to keep on one that is reached over a network.

SQLite's write-ahead log lives in memory that all its processes share, which no network file system has. The spool's promise
rests on ``fsync`` of files and folders, on ``rename`` and on ``flock``, which some of these systems take for granted and some
only pretend.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ingest.settings.settings import PREFIX, Settings

_MOUNTS = Path("/proc/self/mountinfo")
# The kernel's names (proc(5), mountinfo).
_NETWORK = frozenset(
    {
        *(
            "9p",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "coda",
            "davfs",
            "fhgfs",
            "gfs",
            "gfs2",
            "glusterfs",
            "gpfs",
            "lustre",
        ),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb2", "smb3", "smbfs"),
    }
)
# FUSE: its file systems name themselves, and these speak to another machine.
_NETWORK_FUSE = (
    *(
        "afp",
        "blobfuse",
        "ceph",
        "cifs",
        "curlftpfs",
        "dav",
        "gcsfuse",
        "gluster",
        "goofys",
        "gvfsd",
        "hdfs",
        "juicefs",
    ),
    *("lizardfs", "mfs", "mountpoint-s3", "moosefs", "nfs", "objectivefs", "rclone", "s3", "seaweedfs", "smb", "sshfs"),
)
_OCTAL = re.compile(r"\\([0-7]{3})")


class OnNetwork(Exception):
    """A place is on a file system that does not keep our promises. The text names the setting and the way out; exit with 2."""


def refuse_database(place: Path) -> None:
    """Return when a SQLite file may lie there. Raises OnNetwork."""
    if kind := network_kind(place, _mounted()):
        raise OnNetwork(
            f"{PREFIX}DATABASE_URL: {place} is on a network file system ({kind}), where SQLite loses data; put it on a "
            "local disk, or use PostgreSQL"
        )


def refuse_spool(settings: Settings) -> None:
    """Return when the spool may lie where it is. Raises OnNetwork."""
    if not settings.spool_on_network and (kind := network_kind(settings.spool, _mounted())):
        raise OnNetwork(
            f"{PREFIX}SPOOL={settings.spool} is on a network file system ({kind}), which may lose a report that was "
            f"acknowledged; put it on a local disk, or read docs/operations.md and set {PREFIX}SPOOL_ON_NETWORK=true"
        )


def network_kind(path: Path, mounts: str) -> str | None:
    """The network file system that ``path`` lies on, by its kernel name; ``mounts`` is the text of mountinfo.

    None for a disk of this machine, and where the system does not tell its mounts as Linux does.
    """
    kind = kind_of(path, mounts)
    known = kind in _NETWORK or (kind.startswith("fuse.") and kind.removeprefix("fuse.").startswith(_NETWORK_FUSE))
    return kind if known else None


def kind_of(path: Path, mounts: str) -> str:
    """The kernel's name of the file system that ``path`` lies on (or will, where it is not there yet); "" when unknown.

    Links are followed. Of several mounts on one folder the last is seen.
    """
    real = os.path.realpath(path)
    kind, longest = "", -1
    for place, kind_there in _parsed(mounts):
        inside = real == place or real.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= longest:
            kind, longest = kind_there, len(place)
    return kind


def _parsed(mounts: str) -> Iterator[tuple[str, str]]:
    """Mount point and kind of each line; the optional fields in between end with a dash."""
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if dash and len(fields) >= 6:
            yield _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]), kinds[0]


def _mounted() -> str:
    try:
        return _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
