"""How the dashboard is started: Streamlit's server with everything shut that a page of figures does not need.

``python -m dashboard.entrance.serving run ...`` is ``streamlit run ...`` on a server that believes no header about its peer.
"""

import json
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ingest.settings.settings import Settings

from .access import USER_HEADER, USER_KEY

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
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104
# Uvicorn would take a connection's address from X-Forwarded-For, which anybody on this machine may send. ``access`` needs to
# know who is really there.
BELIEVED = "FORWARDED_ALLOW_IPS"


def streamlit_arguments(settings: Settings) -> list[str]:
    """The whole command line of the dashboard's process, its interpreter first."""
    listen = settings.dashboard_listen
    options = _TIGHTENED | {"server.address": listen.host, "server.port": str(listen.port)}
    if settings.login == "proxy":
        # In st.user, so that a session whose connection breaks is taken up again by the same user only.
        options["server.trustedUserHeaders"] = json.dumps({USER_HEADER: USER_KEY})
    flags = [f"--{name}={value}" for name, value in options.items()]
    flags += [f"--server.allowedHosts={host}" for host in allowed_hosts(settings)]
    return [sys.executable, "-m", __name__, "run", str(_SERVED), *flags]


def allowed_hosts(settings: Settings) -> list[str]:
    """The Host names a browser may use; empty is any.

    On loopback a page of a stranger could point its own name at this machine (DNS rebinding) and read everything, so only
    this machine's names are answered. Beyond loopback DASHBOARD_URL says which name leads here; without it, whoever stands
    in front decides.
    """
    known = settings.dashboard_listen.is_loopback or settings.dashboard_url
    return list(dict.fromkeys(_hosts(settings))) if known else []


def _hosts(settings: Settings) -> Iterator[str]:
    yield from _LOOPBACK
    for name in (settings.dashboard_listen.host, settings.hostname, urlsplit(settings.dashboard_url).hostname):
        if name and name not in _ANY_ADDRESS:
            yield name


if __name__ == "__main__":
    os.environ[BELIEVED] = ""
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)
