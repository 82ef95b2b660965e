"""How far an SMTP session has come towards a report: what the door's limits are told, so that who moves keeps its place."""

from ingest.doors.connections import STEP_OCTETS, Connections, Guest

_GREETED, _GREETED_IN_TLS, _ADDRESSED, _BEGUN = range(1, 5)


class Steps:
    """One session's steps. Going in circles is none: each counts once until a mail is there."""

    def __init__(self, connections: Connections, session: Guest) -> None:
        self._connections = connections
        self._session = session
        self._furthest = 0

    def greeted(self, *, within_tls: bool) -> None:
        """The client has said its name."""
        self._reach(_GREETED_IN_TLS if within_tls else _GREETED)

    def addressed(self) -> None:
        """A mail has a recipient of ours."""
        self._reach(_ADDRESSED)

    def received(self, octets: int) -> None:
        """So much of a mail is there."""
        self._reach(_BEGUN + octets // STEP_OCTETS)

    def whole(self) -> None:
        """All of it is there, and is being stored."""
        self._connections.busy(self._session)

    def ended(self, *, stored: bool) -> None:
        """It was stored, or could not be."""
        if stored:
            self._furthest = _GREETED_IN_TLS
            self._connections.useful(self._session)
        else:
            self._connections.moved(self._session)

    def _reach(self, step: int) -> None:
        if step > self._furthest:
            self._furthest = step
            self._connections.moved(self._session)
