"""Whom the SMTP door takes mail from and for: aiosmtpd's hooks."""

import logging
from collections.abc import Callable
from typing import Any

from . import metrics, plaintext, trace
from .limits import in_log
from .room import Room
from .settings import Settings

log = logging.getLogger(__name__)

NO_SPACE = "452 4.3.1 Insufficient system storage, please try again later"
DOOR = trace.SMTP


class Policy:
    """aiosmtpd's hooks: whom mail is taken from and for."""

    def __init__(self, settings: Settings, room: Room, accepts: Callable[[str], bool]) -> None:
        self._settings = settings
        self._room = room
        self._accepts = accepts

    async def handle_EHLO(
        self, _server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """No AUTH: there is nothing to log in to (aiosmtpd offers it as soon as TLS is up)."""
        session.host_name = hostname
        return [line for line in responses if not line.startswith("250-AUTH")]

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Any sender, as long as there is room."""
        if lack := self._room.lack():
            log.error("%s", lack)
            metrics.refused.labels(DOOR, "storage").inc()
            return NO_SPACE
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Only our own recipients; this door never relays."""
        if len(envelope.rcpt_tos) >= self._settings.max_recipients:
            return "452 4.5.3 Too many recipients"
        if not self._accepts(address):
            metrics.refused.labels(DOOR, "recipient").inc()
            log.info("%s: no mail for %s", in_log(server.peer), plaintext.one_line(address, 100))
            return "550 5.7.1 This receiver takes TLS reports for its own addresses only and does not relay"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"
