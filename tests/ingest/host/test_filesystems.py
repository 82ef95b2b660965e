"""Network file systems are told from local ones by the kernel's own table of mounts, and refused where promises need a disk."""

import os
import sys
from pathlib import Path

import pytest

from dashboard.commands import app
from ingest.host import filesystems
from ingest.work import limited

# As Linux writes it: optional fields before the dash, blanks in octal, a mount over a mount, a folder that only looks alike.
MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
28 27 0:30 / /data rw,relatime - nfs4 filer:/export rw,vers=4.2
29 28 0:31 / /data/local rw,relatime - xfs /dev/vdb rw
30 27 0:32 / /with\040blank rw - cifs //filer/share rw
31 27 0:33 / /auto rw - autofs systemd-1 rw
32 31 0:34 / /auto rw - nfs filer:/home rw
33 27 0:35 / /over rw - nfs filer:/x rw
34 33 0:36 / /over rw - tmpfs tmpfs rw
35 27 0:37 / /fuse rw - fuse.sshfs me@host: rw
36 27 0:38 / /merged rw - fuse.mergerfs a:b rw
"""
ROOTS = "1 0 0:1 / / rw - {} none rw"


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/var/lib/starttally", "ext4"),
        ("/data", "nfs4"),
        ("/data/spool/not/there/yet", "nfs4"),
        ("/data/local/spool", "xfs"),
        ("/database/x", "ext4"),
        ("/with blank/spool", "cifs"),
        ("/auto/spool", "nfs"),
        ("/over/spool", "tmpfs"),
        ("/data/../var", "ext4"),
    ],
)
def test_the_longest_mount_point_says_what_lies_below_it(place: str, kind: str) -> None:
    assert filesystems.kind_of(Path(place), MOUNTS) == kind


@pytest.mark.parametrize(
    "kind",
    [
        *("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "afs", "glusterfs", "ocfs2", "gfs2"),
        *(
            "fuse.sshfs",
            "fuse.glusterfs",
            "fuse.ceph-fuse",
            "fuse.rclone",
            "fuse.s3fs",
            "fuse.davfs2",
            "fuse.gvfsd-fuse",
        ),
    ],
)
def test_these_are_reached_over_a_network(kind: str) -> None:
    assert filesystems.network_kind(Path("/spool"), ROOTS.format(kind)) == kind


@pytest.mark.parametrize(
    "kind",
    [
        *("ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "f2fs", "bcachefs", "virtiofs", "fuseblk", "fakeowner"),
        *("fuse.mergerfs", "fuse.gocryptfs", "fuse.fuse-overlayfs", "fuse.bindfs", "fuse.grpcfuse", "unheard-of"),
    ],
)
def test_these_are_not(kind: str) -> None:
    assert filesystems.network_kind(Path("/spool"), ROOTS.format(kind)) is None


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "spool").symlink_to("/data/spool")
    assert filesystems.network_kind(tmp_path / "spool", MOUNTS) == "nfs4"


@pytest.mark.parametrize("mounts", ["", "no table of mounts", "1 2 - ext4"])
def test_where_mounts_are_not_told_nothing_is_refused(mounts: str) -> None:
    assert filesystems.network_kind(Path("/data"), mounts) is None


def test_the_table_of_this_machine_is_understood(tmp_path: Path) -> None:
    """The kernel's device number of a folder is that of the mount that was found."""
    text = Path("/proc/self/mountinfo").read_text()
    kind = filesystems.kind_of(tmp_path, text)
    device = f"{os.major(tmp_path.stat().st_dev)}:{os.minor(tmp_path.stat().st_dev)}"
    kinds = {line.split(" - ")[1].split()[0] for line in text.splitlines() if line.split()[2] == device}
    assert kind in kinds or kind in ("btrfs", "overlay")  # whose files have device numbers of their own


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder on NFS, as far as the table of mounts tells."""
    table = tmp_path / "mountinfo"
    (tmp_path / "far").mkdir()
    table.write_text(ROOTS.format("ext4") + f"\n2 1 0:2 / {tmp_path}/far rw - nfs4 filer:/ rw\n")
    monkeypatch.setattr(filesystems, "_MOUNTS", table)
    return tmp_path / "far"


def refusal(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["starttally", *arguments])
    monkeypatch.setattr(limited, "limit_process", lambda: None)  # later tests need more memory than a worker
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        *(["load", "."], ["work"], ["work", "--once"], ["serve"], ["dashboard"], ["db", "upgrade"], ["db", "check"]),
        *(["db", "backup", "copy.db"], ["db", "prune"], ["verdict"], ["export", "summary"], ["quarantine", "list"]),
    ],
    ids=" ".join,
)
def test_sqlite_on_a_network_is_refused_by_every_command(
    command: list[str], mounted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is there: nobody is told to make one."""
    (mounted / "starttally.db").touch()
    monkeypatch.setenv("STARTTALLY_DATABASE_URL", f"sqlite:///{mounted}/starttally.db")
    words = refusal(command, monkeypatch, capsys)
    assert f"{mounted}/starttally.db is on a network file system (nfs4), where SQLite loses data" in words
    assert "use PostgreSQL" in words
    assert [path.name for path in mounted.iterdir()] == ["starttally.db"]


@pytest.mark.parametrize("command", [["receive"], ["work"], ["work", "--once"], ["serve"]], ids=" ".join)
def test_a_spool_on_a_network_is_refused(
    command: list[str], mounted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STARTTALLY_SPOOL", str(mounted / "spool"))
    words = refusal(command, monkeypatch, capsys)
    assert f"STARTTALLY_SPOOL={mounted}/spool is on a network file system (nfs4)" in words
    assert "STARTTALLY_SPOOL_ON_NETWORK=true" in words
    assert list(mounted.iterdir()) == []


def test_a_spool_on_a_network_works_where_it_is_allowed(
    mounted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STARTTALLY_SPOOL", str(mounted / "spool"))
    monkeypatch.setenv("STARTTALLY_SPOOL_ON_NETWORK", "true")
    assert "is empty; run `starttally db upgrade`" in refusal(["work", "--once"], monkeypatch, capsys)


def test_sources_of_load_may_lie_anywhere(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "limit_process", lambda: None)  # the child has all that the tests have imported
    (mounted / "notes.txt").write_text("no report")
    monkeypatch.setattr(sys, "argv", ["starttally", "load", str(mounted)])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 0
