"""A door on [::] takes IPv4 and IPv6, and knows either client by its own address: that is what Compose and systemd set."""

import contextlib
import smtplib
from collections.abc import Callable

from ingest.settings.settings import Settings
from tests.doors import running_doors

MakeSettings = Callable[..., Settings]


def test_each_address_has_the_limit_of_one_client(settings_for: MakeSettings) -> None:
    settings = settings_for(smtp_listen="[::]:0", recipients="tlsrpt@receiver.example", max_connections_per_client=1)
    with running_doors(settings) as doors, contextlib.ExitStack() as guests:
        port = doors["smtp"].port

        def greeting(host: str) -> int:
            client = guests.enter_context(contextlib.closing(smtplib.SMTP()))
            return client.connect(host, port)[0]

        assert [greeting(host) for host in ("127.0.0.1", "::1", "127.0.0.1", "::1")] == [220, 220, 421, 421]
