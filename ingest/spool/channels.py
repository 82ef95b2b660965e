"""The ways a report comes: what each can prove, in one table. A new way is one row here, and its words in ``dashboard.words``."""

from collections.abc import Mapping

import msgspec

from ingest.testimony.trust import IMPORTED, UNAUTHENTICATED, UNVERIFIED

SMTP, HTTPS, MAILDIR, LOAD = "smtp", "https", "maildir", "load"


class Channel(msgspec.Struct, frozen=True):
    """A way of reports, by the name that rows hold.

    ``protocols`` are those of our own trace headers (RFC 3848) that tell it. ``is_signed``: what comes is mail, which may carry
    a DKIM signature. ``trust`` is that of a report for which no signature speaks. ``waits_for_dns``: a mail whose key DNS could
    not give is looked at again later; otherwise the verdict of today is final.
    """

    name: str
    is_signed: bool
    trust: str
    waits_for_dns: bool
    protocols: tuple[str, ...] = ()

    @property
    def is_operators(self) -> bool:
        """Whether the operator himself brought it: it is vouched for, and comes from no stranger's network."""
        return self.trust == IMPORTED


CHANNELS: Mapping[str, Channel] = {
    channel.name: channel
    for channel in (
        Channel(SMTP, is_signed=True, trust=UNVERIFIED, waits_for_dns=True, protocols=("SMTP", "ESMTP", "ESMTPS")),
        # Nothing in RFC 8460 section 5.4 proves who uploads.
        Channel(HTTPS, is_signed=False, trust=UNAUTHENTICATED, waits_for_dns=False, protocols=("HTTP",)),
        # Mail that another server delivered into the spool.
        Channel(MAILDIR, is_signed=True, trust=UNVERIFIED, waits_for_dns=True),
        # Nobody looks at loaded mail again, and its time of arrival is not this host's word.
        Channel(LOAD, is_signed=True, trust=IMPORTED, waits_for_dns=False),
    )
}
OF_OPERATOR = tuple(channel.name for channel in CHANNELS.values() if channel.is_operators)
_BY_PROTOCOL = {protocol: channel for channel in CHANNELS.values() for protocol in channel.protocols}


def by_protocol(protocol: str) -> Channel | None:
    """The channel that writes this protocol into its trace header."""
    return _BY_PROTOCOL.get(protocol)
