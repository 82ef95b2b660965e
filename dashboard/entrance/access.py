"""Who may enter the dashboard, who that is, and which domains they may see. Pure rules; ``asgi.py`` and the pages ask them."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote

from ingest.settings.settings import Settings
from ingest.settings.values import Network

RawHeaders = Iterable[tuple[bytes, bytes]]

# How the entrance tells the pages who came. It drops whatever a browser sends under this name, so nobody can forge it.
USER_HEADER = "X-Starttally-User"
USER_KEY = "starttally_user"
HEALTH = "/_stcore/health"
# A mail address has at most 254 characters (RFC 5321 section 4.5.3.1.3); a directory's names can be a little longer.
_LONGEST_USER = 320


class RefusedVisitor(Exception):
    """The request ends here, with 403 and this text."""


def admit(settings: Settings, peer: str | None, path: str, headers: RawHeaders) -> str:
    """The user's name as the proxy gives it, or an empty text where no proxy logs users in. Raises RefusedVisitor.

    ``peer`` is the address that the connection comes from, never one that a header claims.
    """
    address = _address(peer)
    if settings.login == "proxy":
        # The health check runs beside the dashboard, not behind the proxy, and learns nothing but "ok".
        if path == HEALTH and address is not None and address.is_loopback:
            return ""
        if not _within(address, settings.dashboard_proxies):
            raise RefusedVisitor("refused: this address is none of STARTTALLY_DASHBOARD_PROXIES")
        return _named(headers, settings.dashboard_user_header)
    if settings.login is None and not settings.dashboard_open and (address is None or not address.is_loopback):
        raise RefusedVisitor("refused: without a login the dashboard answers this machine only")
    return ""


def _address(peer: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The peer's address; an IPv4 one even when it came through an IPv6 socket (``::ffff:192.0.2.7``)."""
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, networks: Iterable[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _named(headers: RawHeaders, wanted: str) -> str:
    """The one user whom the proxy names.

    Some proxies do not tell ``Remote_User`` from ``Remote-User`` and pass a browser's on, others append theirs to it: whatever
    is not exactly one plain value was not set by the proxy alone.
    """
    name = wanted.lower().encode()
    values = [(key.lower(), value) for key, value in headers if key.lower().replace(b"_", b"-") == name]
    if len(values) != 1 or values[0][0] != name:
        raise RefusedVisitor(f"refused: the proxy must name the user once, in {wanted}")
    try:
        user = values[0][1].decode().strip()
    except UnicodeDecodeError:
        user = ""
    if not user or not user.isprintable() or "," in user or len(user) > _LONGEST_USER:
        raise RefusedVisitor(f"refused: {wanted} names no user")
    return user.lower()


def with_user(headers: RawHeaders, user: str) -> list[tuple[bytes, bytes]]:
    """The headers for the pages: nobody's word about the user but ``user`` (none when empty)."""
    header = USER_HEADER.lower().encode()
    others = [(key, value) for key, value in headers if key.lower().replace(b"_", b"-") != header]
    return [*others, (header, quote(user, safe="@").encode())] if user else others


def user_of_header(value: object) -> str | None:
    """The user whom ``with_user`` named; None when it named nobody."""
    return unquote(value) if isinstance(value, str) and value else None


def user_of_claims(claims: Mapping[str, Any], now: float, hours: int) -> str | None:
    """The user of an OpenID Connect login at most ``hours`` old (its ``iat``); None when nobody is logged in (any more).

    That is the mail address, unless the issuer says that it is not verified, else ``sub``: both in lower case.
    """
    issued = claims.get("iat")
    if claims.get("is_logged_in") is not True or not isinstance(issued, int | float):
        return None
    if now - issued > hours * 3600:
        return None
    email, subject = claims.get("email"), claims.get("sub")
    # Some issuers write the truth value as text. One that does not say has its reasons: its addresses are its own accounts.
    if isinstance(email, str) and "@" in email and claims.get("email_verified", True) in (True, "true", "True"):
        return email.strip().lower()
    if not isinstance(subject, str) or not subject:
        return None
    # A sub may be any text that its owner chose; it must not pass for somebody's address.
    return subject.lower() + (" (not a verified address)" if "@" in subject else "")


def expired(claims: Mapping[str, Any], now: float, hours: int) -> bool:
    """Whether somebody was logged in, but too long ago."""
    fresh = dict(claims) | {"iat": now}
    return user_of_claims(claims, now, hours) is None and user_of_claims(fresh, now, hours) is not None


def patterns_of(settings: Settings, user: str) -> tuple[str, ...] | None:
    """The patterns of policy domains that ``user`` may see: None is all of them, an empty tuple none.

    All entries of ACCESS that fit count together: the user's own, the one of the address's domain, and ``*``.
    """
    if not settings.access:
        return None
    local, _, domain = user.rpartition("@")
    keys = {"*"} | ({user, f"@{domain}"} if local else {user} if not user.startswith("@") else set())
    visible = {pattern: None for key, patterns in settings.access if key in keys for pattern in patterns}
    return None if "*" in visible else tuple(visible)
