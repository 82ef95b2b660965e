"""Whom the SMTP door takes mail for: the addresses that reports go to, and postmaster, to whom people write."""

from ingest.settings.settings import Settings


class Recipients:
    """The addresses of one receiver, as STARTTALLY_RECIPIENTS lists them; never anybody else's."""

    def __init__(self, settings: Settings) -> None:
        self._listed = settings.recipients
        self._domains = {name.rpartition("@")[2] for name in self._listed} | {settings.hostname.lower()}

    def accepts(self, recipient: str) -> bool:
        """Whether mail for this address is for us, be it a report or a letter."""
        return self.is_postmaster(recipient) or self._takes_reports(recipient)

    def is_postmaster(self, recipient: str) -> bool:
        """Whether people write to this address (RFC 5321 section 4.5.1): postmaster, in any case, without a domain, of this
        host, or of any domain served; unless it is listed itself, and so gets reports.
        """
        local, domain = _split(recipient)
        if local != "postmaster" or f"{local}@{domain}" in self._listed:
            return False
        return not self._listed or domain in ("", *self._domains)

    def _takes_reports(self, recipient: str) -> bool:
        """A listed address (also with a +tag), or any at a listed domain."""
        if not self._listed:
            return True  # only possible while listening on loopback
        local, domain = _split(recipient)
        if not domain:
            return False
        untagged = local.partition("+")[0]
        return any(name in self._listed for name in (domain, f"{local}@{domain}", f"{untagged}@{domain}"))


def _split(recipient: str) -> tuple[str, str]:
    """Local part and domain, ``""`` when there is none. Case means nothing here, nor a dot at the end."""
    local, at, domain = recipient.lower().rstrip(".").rpartition("@")
    return (local, domain) if at else (domain, "")
