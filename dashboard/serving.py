"""How the dashboard is started: Streamlit's server with everything shut that a page of figures does not need."""

import sys
from collections.abc import Iterator
from pathlib import Path

from ingest.settings import Settings

_SERVED = Path(__file__).resolve().with_name("asgi.py")

# Streamlit's defaults, where they show too much, listen too far, write outside the project or ask the network.
_TIGHTENED = {
    "server.headless": "true",  # opens no browser, asks for no mail address
    "server.showEmailPrompt": "false",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    "server.enableStaticServing": "false",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.xsrfCookieSameSite": "strict",
    "server.maxUploadSize": "1",  # nothing is uploaded; MB, and 0 would be no limit
    "server.maxMessageSize": "50",
    "server.enableAgentApi": "false",
    "client.showErrorDetails": "none",  # details go to the log, never to the browser
    "client.showErrorLinks": "false",
    "client.toolbarMode": "viewer",
    "client.disableDataExport": "true",  # its CSV has no guard against formulas; the Export page's has
    "browser.gatherUsageStats": "false",
    "logger.level": "warning",
    # Set for both themes apart: a colour for all would switch the dark one off.
    "theme.light.primaryColor": "#1f6f8b",
    "theme.dark.primaryColor": "#4fb3d1",
    "theme.paddingTop": "1.5rem",
    "theme.paddingBottom": "3rem",
}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def streamlit_arguments(settings: Settings) -> list[str]:
    """The whole command line of the dashboard's process, its interpreter first."""
    listen = settings.dashboard_listen
    options = _TIGHTENED | {"server.address": listen.host, "server.port": str(listen.port)}
    flags = [f"--{name}={value}" for name, value in options.items()]
    flags += [f"--server.allowedHosts={host}" for host in allowed_hosts(settings)]
    return [sys.executable, "-m", "streamlit", "run", str(_SERVED), *flags]


def allowed_hosts(settings: Settings) -> list[str]:
    """The Host names a browser may use; empty is any.

    On loopback a page of a stranger could point its own name at this machine (DNS rebinding) and read everything, so only
    this machine's names are answered. Beyond loopback whoever stands in front decides which names lead here.
    """
    return list(_hosts(settings)) if settings.dashboard_listen.is_loopback else []


def _hosts(settings: Settings) -> Iterator[str]:
    yield from _LOOPBACK
    for name in (settings.dashboard_listen.host, settings.hostname):
        if name not in _LOOPBACK:
            yield name
