"""Whom the SMTP door takes mail from and for: aiosmtpd's hooks."""

import logging
from typing import Any

from ingest.doors.limits import Letters
from ingest.doors.room import Room
from ingest.monitoring import metrics
from ingest.settings.settings import Settings
from ingest.spool import channels
from ingest.text.addresses import address_in_log, in_log

from .recipients import Recipients

log = logging.getLogger(__name__)

NO_SPACE = "452 4.3.1 Insufficient system storage, please try again later"
TOO_MANY_LETTERS = "450 4.2.1 Too many letters to postmaster at present, please try again later"
DOOR = channels.SMTP


class Hooks:
    """aiosmtpd's hooks: whom mail is taken from and for."""

    def __init__(self, settings: Settings, room: Room, recipients: Recipients, letters: Letters) -> None:
        self._settings = settings
        self._room = room
        self._recipients = recipients
        self._letters = letters

    async def handle_EHLO(
        self, server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """No AUTH: there is nothing to log in to (aiosmtpd offers it as soon as TLS is up)."""
        session.host_name = hostname
        server.steps.greeted(within_tls=session.ssl is not None)
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
        if not self._recipients.accepts(address):
            metrics.refused.labels(DOOR, "recipient").inc()
            log.info("%s: no mail for %s", in_log(server.peer), address_in_log(address))
            return "550 5.7.1 This receiver takes TLS reports for its own addresses only and does not relay"
        if self._recipients.is_postmaster(address) and not self._letters.take(server.peer):
            metrics.refused.labels(DOOR, "letters").inc()
            return TOO_MANY_LETTERS
        server.steps.addressed()
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"
