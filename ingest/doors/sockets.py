"""The doors' sockets: bound here, or handed over by systemd (socket activation), and shared by several processes if asked."""

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Mapping

from ingest.settings.settings import PREFIX, Address

# sd_listen_fds(3): the first descriptor that is handed over.
_FIRST_DESCRIPTOR = 3
# At either door a connection has a socket, and a file that its message is written into.
_FOR_EACH = 2 * 2
# For logs, libraries, and connections that are being closed.
_SPARE_DESCRIPTORS = 256


class PortBusy(Exception):
    """A port cannot be listened on. The text names the setting that changes it; exit with 2."""


def listen(setting: str, address: Address, *, shared: bool = False) -> socket.socket:
    """A bound socket for ``address``; ``shared`` ones may be bound by several processes of one user (SO_REUSEPORT).

    Raises PortBusy, which names ``setting``.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((address.host, address.port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise PortBusy(f"{_cannot(address, error)}; set {PREFIX}{setting} to another host:port") from error
    return bound


def handed_over(environment: Mapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """Listening sockets that systemd handed to this process, by their name (FileDescriptorName=): ``smtp``, ``http``.

    Raises PortBusy when they have no names to tell them apart.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(environment.get("LISTEN_FDS", "0"))
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    if count and (len(names) != count or not set(names) <= {"smtp", "http"} or len(set(names)) != count):
        raise PortBusy("the sockets handed over (LISTEN_FDNAMES) must be named smtp and http, each at most once")
    return {name: socket.socket(fileno=_FIRST_DESCRIPTOR + number) for number, name in enumerate(names[:count])}


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd (sd_notify(3)): ``READY=1``, ``STOPPING=1``. Nothing happens where nobody asked for it."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
        messenger.connect("\0" + path[1:] if path.startswith("@") else path)
        messenger.sendall(state.encode("ascii"))


def fitting(connections: int) -> int:
    """Raise this process's limit of descriptors, as far as it may; how many of ``connections`` then fit at each door."""
    wanted = _FOR_EACH * connections + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(0, (allowed - _SPARE_DESCRIPTORS) // _FOR_EACH)


def _cannot(address: Address, error: Exception) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        return f"{address} is in use by another program"
    if code == errno.EACCES:
        return f"{address} needs a privilege this process does not have (ports below 1024)"
    return f"{address} cannot be listened on ({error})"
