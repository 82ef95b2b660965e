"""Settings: sources, and messages that name the setting and what is allowed."""

import os
from pathlib import Path

import pytest

from ingest.settings import settings
from ingest.settings import table as settings_table
from ingest.settings.settings import Address, SettingsError
from tests import programs


def test_defaults_listen_on_loopback_only() -> None:
    chosen = settings.load()
    assert all(address.is_loopback for address in (chosen.smtp_listen, chosen.http_listen, chosen.dashboard_listen))
    assert chosen.database_url == "sqlite:///var/starttally.db"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SMTP_LISTEN", "8025", "must be host:port"),
        ("SMTP_LISTEN", "127.0.0.1:99999", "port of 0 to 65535"),
        ("HTTP_LISTEN", ":80", "must be host:port"),
        ("DATABASE_URL", "mysql://x/y", "sqlite:/// or postgresql://"),
        ("DATABASE_URL", "no url", "sqlite:/// or postgresql://"),
        ("TLS_KEY", "/tmp/key.pem", "STARTTALLY_TLS_KEY is set without STARTTALLY_TLS_CERTIFICATE"),
        ("TLS_CERTIFICATE", "/tmp/cert.pem", "STARTTALLY_TLS_CERTIFICATE is set without STARTTALLY_TLS_KEY"),
        ("SMTP_LISTEN", "0.0.0.0:25", "set STARTTALLY_RECIPIENTS"),
        ("SMTP_LISTEN", "[::]:25", "set STARTTALLY_RECIPIENTS"),
        ("MAX_RECIPIENTS", "many", "valid integer"),
        ("VERDICT_SIGNERS", "google.com, Google Inc.", "'google' is no domain"),
        ("VERDICT_SIGNERS", "*.google.com", "is no domain"),
        ("MAX_REPORT_BYTES", "1", "greater than or equal to 65536"),
        ("HOSTNAME", "two words", "pattern"),
        ("NAMESERVERS", "1.1.1.1:dns", "must be host:port"),
        ("RECIPIENT", "x@example.com", "did you mean STARTTALLY_RECIPIENTS?"),
        ("ZZZZZ", "1", "is no setting of StartTally"),
        ("SMTP_PROXIES", "10.0.0.1/8", "has host bits set"),
        ("HTTP_PROXIES", "proxy.example", "write addresses or networks"),
        ("DASHBOARD_USER_HEADER", "X User", "pattern"),
        ("DASHBOARD_URL", "tlsrpt.example.com", "pattern"),
        ("OIDC_CLIENT_ID", "starttally", "STARTTALLY_OIDC_ISSUER"),  # half a login
        ("ACCESS", "alice@example.com=example.com", "STARTTALLY_DASHBOARD_PROXIES"),  # nobody logs in
        ("DASHBOARD_LISTEN", "0.0.0.0:8501", "set STARTTALLY_OIDC_ISSUER"),
        ("DASHBOARD_LISTEN", "[::]:8501", "STARTTALLY_DASHBOARD_PROXIES"),
        ("DASHBOARD_LISTEN", "192.0.2.1:8501", "STARTTALLY_DASHBOARD_OPEN=true"),
        ("DASHBOARD_LISTEN", "dashboard.example:8501", "which strangers can reach"),
        ("LOGIN_HOURS", "0", "greater than or equal to 1"),
        ("ACCESS", "alice@example.com", "must be user=pattern"),
        ("ACCESS", "alice=", "alice has no domain pattern"),
        ("ACCESS", "alice=exa*.com", "'exa*.com' of alice is no pattern"),
    ],
)
def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv("STARTTALLY_" + name, value)
    with pytest.raises(SettingsError) as raised:
        settings.load()
    assert says in str(raised.value)
    assert name in str(raised.value)


def test_lists_and_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARTTALLY_NAMESERVERS", "127.0.0.1:5353, 9.9.9.9,[::1]:54 ::1")
    monkeypatch.setenv("STARTTALLY_RECIPIENTS", "TLS@Example.com,@example.ORG.")
    chosen = settings.load(smtp_listen="[::1]:25")
    assert [str(server) for server in chosen.nameservers] == ["127.0.0.1:5353", "9.9.9.9:53", "[::1]:54", "[::1]:53"]
    assert chosen.recipients == ("tls@example.com", "example.org")
    assert (chosen.smtp_listen, str(chosen.smtp_listen)) == (Address("::1", 25), "[::1]:25")


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "starttally.toml").write_text(
        'hostname = "file.example"\nDOMAINS = ["a.example"]\nSTARTTALLY_MAX_RECIPIENTS = 7\n'
    )
    assert settings.load().hostname == "file.example"
    monkeypatch.setenv("STARTTALLY_HOSTNAME", "env.example")
    chosen = settings.load()
    assert (chosen.hostname, chosen.domains, chosen.max_recipients) == ("env.example", ("a.example",), 7)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hostname = ", "cannot be read as TOML"),
        ("hostnam = 'x'", "did you mean STARTTALLY_HOSTNAME?"),
        ("max_recipients = 0", "greater than"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    (tmp_path / "my.toml").write_text(text)
    monkeypatch.setenv("STARTTALLY_CONFIG", str(tmp_path / "my.toml"))
    with pytest.raises(SettingsError, match=says):
        settings.load()


def test_a_named_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARTTALLY_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"nowhere\.toml, which does not exist"):
        settings.load()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings.load().max_recipients = 3  # type: ignore[misc]


def test_the_table_shows_everything_but_the_password() -> None:
    chosen = settings.load(database_url="postgresql://user:secret@db/x", recipients="a@example.com,b@example.com")
    table = {row.name: row for row in settings_table.current(chosen)}
    assert table["STARTTALLY_DATABASE_URL"].value == "postgresql://user:***@db/x"
    assert table["STARTTALLY_RECIPIENTS"].value == "a@example.com,b@example.com"
    assert table["STARTTALLY_SMTP_LISTEN"].value == "127.0.0.1:8025"
    assert table["STARTTALLY_TLS_KEY"].value == "(empty)"
    assert all(row.help for row in table.values())
    assert not any("secret" in row.value for row in table.values())


def test_who_may_see_what(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STARTTALLY_DASHBOARD_PROXIES", "127.0.0.1, 2001:db8::/64")
    monkeypatch.setenv("STARTTALLY_ACCESS", "Alice@Example.com = Example.com. *.example.com; @example.org = *")
    wanted = (("alice@example.com", ("example.com", "*.example.com")), ("@example.org", ("*",)))
    assert settings.load().access == wanted
    monkeypatch.delenv("STARTTALLY_ACCESS")
    (tmp_path / "starttally.toml").write_text(
        '[access]\n"Alice@Example.com" = ["Example.com", "*.example.com"]\n"@example.org" = ["*"]\n'
    )
    assert settings.load().access == wanted


def test_two_ways_to_log_in_are_refused() -> None:
    oidc = {"oidc_issuer": "https://login.example", "oidc_client_id": "a", "oidc_client_secret": "b"}
    here = {"dashboard_url": "https://tlsrpt.example"}
    assert settings.load(**oidc, **here).login == "oidc"
    assert settings.load(dashboard_proxies="127.0.0.1").login == "proxy"
    assert settings.load().login is None
    with pytest.raises(SettingsError, match="one way or the other"):
        settings.load(**oidc, **here, dashboard_proxies="127.0.0.1")


@pytest.mark.parametrize(
    "login",
    [
        {"dashboard_open": True},
        {"dashboard_proxies": "192.0.2.7"},
        {
            "oidc_issuer": "https://login.example",
            "oidc_client_id": "a",
            "oidc_client_secret": "b",
            "dashboard_url": "https://tlsrpt.example",
        },
    ],
)
def test_the_dashboard_listens_beyond_loopback_with_a_login_or_when_told_to(login: dict[str, object]) -> None:
    chosen = settings.load(dashboard_listen="0.0.0.0:8501", **login)
    assert str(chosen.dashboard_listen) == "0.0.0.0:8501"


@pytest.mark.parametrize(
    "command", [["dashboard"], ["serve"], ["export", "summary"], ["settings"], ["receive"], ["work", "--once"]]
)
def test_no_command_runs_with_a_dashboard_that_anybody_could_read(command: list[str], tmp_path: Path) -> None:
    """The program itself: exit code 2, one line, nothing written, before anything listens."""
    listening = {"PATH": os.environ["PATH"], "STARTTALLY_DASHBOARD_LISTEN": "0.0.0.0:0"}
    done = programs.run(*command, cwd=tmp_path, env=listening)
    assert done.returncode == 2
    assert done.stderr.startswith(b"starttally: STARTTALLY_DASHBOARD_LISTEN is 0.0.0.0:0, which strangers can reach")
    assert done.stderr.count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_not_shown() -> None:
    chosen = settings.load(
        oidc_issuer="https://login.example",
        oidc_client_id="a",
        oidc_client_secret="hush-hush",
        dashboard_url="https://tlsrpt.example",
    )
    rows = settings_table.current(chosen)
    assert not [row for row in rows if "hush-hush" in f"{row}"]
    assert next(row.value for row in rows if row.name == "STARTTALLY_OIDC_CLIENT_SECRET") == "(hidden)"
