"""What a new operator is told to publish and to run."""

import re
from collections.abc import Callable

import pytest

from dashboard.words import first_steps
from ingest.settings.settings import Settings

SettingsFor = Callable[..., Settings]
# RFC 8460 section 3, as far as these records use it.
RECORD = re.compile(r'_smtp\._tls\.\S+\. IN TXT "v=TLSRPTv1; rua=(mailto:[^,!;\s"]+|https://[^,!;\s"]+)"')


@pytest.mark.parametrize(
    ("recipients", "address"),
    [
        ("", "tlsrpt@mx.receiver.example"),
        ("rua@receiver.example", "rua@receiver.example"),
        ("receiver.example", "tlsrpt@receiver.example"),
        ("reports.example, rua@receiver.example", "tlsrpt@reports.example"),
    ],
)
def test_the_address_is_one_that_the_door_accepts(settings_for: SettingsFor, recipients: str, address: str) -> None:
    settings = settings_for(hostname="mx.receiver.example", recipients=recipients)
    assert first_steps.report_address(settings) == address
    assert first_steps.records(settings) == [f'_smtp._tls.example.com. IN TXT "v=TLSRPTv1; rua=mailto:{address}"']


def test_there_is_a_record_for_each_of_the_domains(settings_for: SettingsFor) -> None:
    settings = settings_for(domains="a.example b.example")
    assert [record.split(".")[2] for record in first_steps.records(settings)] == ["a", "b"]


def test_what_would_end_the_address_is_escaped(settings_for: SettingsFor) -> None:
    (record,) = first_steps.records(settings_for(recipients="tls;rpt!x@receiver.example"))
    assert "rua=mailto:tls%3Brpt%21x@receiver.example" in record


@pytest.mark.parametrize("recipients", ["", "a!b@receiver.example", "receiver.example"])
def test_the_records_are_valid(settings_for: SettingsFor, recipients: str) -> None:
    settings = settings_for(recipients=recipients)
    for record in (*first_steps.records(settings), *first_steps.https_records(settings)):
        assert RECORD.fullmatch(record)


def test_the_commands_name_the_doors_as_they_listen(settings_for: SettingsFor) -> None:
    settings = settings_for(
        smtp_listen="127.0.0.1:2525", http_listen="127.0.0.1:8081", recipients="rua@receiver.example"
    )
    commands = first_steps.commands(settings)
    assert "swaks --server 127.0.0.1 --port 2525 --to rua@receiver.example" in commands
    assert "http://127.0.0.1:8081/v1/tlsrpt" in commands
    assert "starttally load" in commands


@pytest.mark.parametrize(
    ("hostname", "local"), [("build-1", True), ("localhost", True), ("mx.receiver.example", False)]
)
def test_a_name_without_a_dot_is_pointed_out(settings_for: SettingsFor, hostname: str, local: bool) -> None:
    assert first_steps.hostname_is_local(settings_for(hostname=hostname)) is local
