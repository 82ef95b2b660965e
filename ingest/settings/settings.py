"""Every setting of StartTally: one declarative, frozen table, validated once at start and passed as an argument.

Sources, later ones win: the defaults below, a TOML file (``STARTTALLY_CONFIG``, else ``starttally.toml`` in the working
directory), environment variables with the prefix ``STARTTALLY_``.
"""

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ingest.text import confidential

from .values import Access, Address, Listen, Names, Networks, Resolvers, Share, sqlite_file

__all__ = ["PREFIX", "Address", "Settings", "SettingsError", "load"]

PREFIX = "STARTTALLY_"
# Read by the program and its tests, but no settings of their own.
_NOT_SETTINGS = {"STARTTALLY_CONFIG"}
_TEST_PREFIX = "STARTTALLY_TEST_"
_SECRET = ("database_url", "oidc_client_secret")

MIB = 1024 * 1024


class SettingsError(ValueError):
    """A setting is wrong. The text names it, its value and what is allowed; show it and exit with code 2."""


def config_file() -> Path:
    """The TOML file that the settings are read from, if it exists."""
    return Path(os.environ.get("STARTTALLY_CONFIG", "starttally.toml"))


class _TomlFile(PydanticBaseSettingsSource):
    """The TOML file, whose keys are the settings' names, with or without prefix, in either case."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ANN401, ARG002
        """Not used: ``__call__`` returns the whole file (the base class asks for both)."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = config_file()
        if not path.exists():
            if "STARTTALLY_CONFIG" in os.environ:
                raise SettingsError(f"STARTTALLY_CONFIG names {path}, which does not exist")
            return {}
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path} cannot be read as TOML: {error}") from error
        values = {key.upper().removeprefix(PREFIX).lower(): value for key, value in table.items()}
        _refuse_unknown((PREFIX + name.upper() for name in values), str(path))
        return values


class Settings(BaseSettings):
    """What the operator may choose. Each field's description is its documentation, printed by ``starttally settings``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: str = Field(
        "sqlite:///var/starttally.db",
        description="Where reports are stored: sqlite:///path or postgresql://user:password@host/database.",
        repr=False,
    )
    spool: Path = Field(
        Path("var/spool"),
        description="Maildir between doors and worker. Another mail server may deliver into it directly.",
    )
    spool_on_network: bool = Field(
        False, description="Allow SPOOL on a network file system, whose server then answers for what was acknowledged."
    )
    hostname: str = Field(
        default_factory=socket.gethostname,
        description="This receiver's name in greetings and trace headers, as your MX record has it.",
        min_length=1,
        max_length=255,
        pattern=r"^[A-Za-z0-9._:\[\]-]+$",
    )
    smtp_listen: Listen = Field(
        Address("127.0.0.1", 8025), description="host:port of the SMTP door, for rua=mailto: reports."
    )
    http_listen: Listen = Field(
        Address("127.0.0.1", 8080), description="host:port of the HTTP door, for rua=https: reports and health checks."
    )
    dashboard_listen: Listen = Field(Address("127.0.0.1", 8501), description="host:port of the dashboard.")
    tls_certificate: Path | None = Field(
        None,
        description="PEM certificate chain; the SMTP door then offers STARTTLS. Read again when it changes or comes late.",
    )
    tls_key: Path | None = Field(None, description="PEM private key that belongs to TLS_CERTIFICATE.")
    recipients: Names = Field(
        (),
        description="Mail addresses or domains the SMTP door accepts mail for, separated by commas. "
        "Empty accepts any, and is allowed only while listening on loopback.",
    )
    domains: Names = Field(
        (),
        description="Policy domains (with their subdomains) that reports are accepted about; empty accepts any.",
    )
    nameservers: Resolvers = Field(
        (), description="DNS servers for DKIM keys, host[:port] separated by commas; empty uses the system's."
    )
    max_message_bytes: int = Field(
        20 * MIB, ge=64 * 1024, le=64 * MIB, description="Largest mail or HTTP body a door accepts (announced as SIZE)."
    )
    max_header_bytes: int = Field(
        256 * 1024,
        ge=16 * 1024,
        description="Largest header of a mail; a real report mail's has some 13 KiB, and cutting up more costs CPU time.",
    )
    max_report_bytes: int = Field(
        32 * MIB, ge=64 * 1024, le=256 * MIB, description="Largest report after decompression; guards against bombs."
    )
    max_recipients: int = Field(100, ge=1, le=10_000, description="Recipients in one mail (RFC 5321 asks for 100).")
    max_connections: int = Field(
        500, ge=1, description="Connections a door serves at the same time; more get 421 or 503."
    )
    max_connections_per_client: int = Field(
        50, ge=1, description="Of these, connections from one address (IPv6: from one /64 network)."
    )
    session_seconds: int = Field(
        600, ge=10, description="Longest SMTP session or HTTP request, however busy it looks; cut with 421."
    )
    idle_seconds: int = Field(120, ge=5, description="Longest silence within an SMTP session or HTTP request.")
    min_free_bytes: int = Field(
        256 * MIB, ge=0, description="Free disk space below which the doors answer 'try later' instead of accepting."
    )
    max_backlog_messages: int = Field(
        1_000_000, ge=1, description="Messages waiting in the spool beyond which the doors answer 'try later'."
    )
    ready_backlog_seconds: int = Field(
        900, ge=1, description="Age of the oldest waiting message beyond which /readyz says that the worker is behind."
    )
    smtp_proxies: Networks = Field(
        (),
        description="Load balancers (addresses or networks) in front of the SMTP door. Their connections must begin with a "
        "PROXY protocol header (version 1 or 2), which names the client; nobody else's may.",
    )
    http_proxies: Networks = Field(
        (),
        description="Reverse proxies (addresses or networks) in front of the HTTP door, whose X-Forwarded-For is believed.",
    )
    door_processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Door processes that share the ports (SO_REUSEPORT). `serve` starts so many; where each part runs "
        "alone, start `receive` so many times. Connection limits count for each process.",
    )
    batch_messages: int = Field(200, ge=1, le=10_000, description="Messages the worker stores in one transaction.")
    poll_seconds: float = Field(0.25, gt=0, le=60, description="How often an idle worker looks into the spool.")
    dns_seconds: float = Field(
        1.0,
        gt=0,
        le=30,
        description="Time for DKIM key look-ups of one batch; what is late is retried in the background.",
    )
    keep_raw_days: int = Field(400, ge=0, description="Days to keep raw reports (the evidence); 0 keeps them for ever.")
    keep_details_days: int = Field(800, ge=0, description="Days to keep failure details; 0 keeps them for ever.")
    keep_reports_days: int = Field(0, ge=0, description="Days to keep reports and their sums; 0 keeps them for ever.")
    keep_verdicts_days: int = Field(
        400,
        ge=0,
        description="Days to keep the verdicts of past days, a row a domain and day; 0 keeps them for ever. The newest stays.",
    )
    keep_quarantine_days: int = Field(
        400, ge=0, description="Days to keep quarantined messages; 0 keeps them for ever."
    )
    keep_quarantine_unsigned_days: int = Field(
        30,
        ge=0,
        description="Days to keep those of them that strangers sent without a signature that holds; 0: as KEEP_QUARANTINE_DAYS.",
    )
    max_quarantine_bytes: int = Field(
        1024 * MIB,
        ge=MIB,
        description="Bytes of all quarantined messages, as they came. Beyond that, the oldest of the greediest network give way.",
    )
    max_quarantine_messages: int = Field(100_000, ge=1, description="Quarantined messages whose content is kept.")
    max_quarantine_network_bytes: int = Field(
        100 * MIB,
        ge=MIB,
        description="Of these, bytes from one network (IPv4 /24, IPv6 /48); exempt is what you load or a known reporter signed.",
    )
    max_quarantine_network_messages: int = Field(5_000, ge=1, description="Of these, messages from one network.")
    verdict_window_days: int = Field(
        14,
        ge=1,
        le=90,
        description="Complete days that a verdict looks at; so long the policy must have been the same.",
    )
    verdict_late_days: int = Field(
        2,
        ge=0,
        le=14,
        description="Newest complete days left out of them, because reports about these are still arriving.",
    )
    verdict_lookback_days: int = Field(
        90,
        ge=14,
        le=366,
        description="How many days the window of a verdict may reach back, when its days are too few for enough sessions.",
    )
    verdict_bound: Share = Field(
        0.01,
        gt=0,
        lt=1,
        description="Share of sessions that enforce may refuse, as 0.01 or 1%: the verdict is ready when, at 95 % confidence, it "
        "is no more.",
    )
    verdict_reporters: int = Field(2, ge=1, le=100, description="Independent reporters that a verdict of ready needs.")
    verdict_signers: Names = Field(
        (),
        description="The domains (with their subdomains) whose reports verdicts rest on, such as google.com,microsoft.com; then "
        "nobody else is known but whom you believe. Empty: well-known reporters, whom you load, who has reported for a month.",
    )
    trust_uploads: bool = Field(
        False, description="Let uploads over HTTPS count as evidence, although nothing proves who sent them."
    )

    dashboard_open: bool = Field(
        False,
        description="Allow the dashboard to listen beyond loopback without any login: everybody who can reach it sees all.",
    )
    dashboard_proxies: Networks = Field(
        (),
        description="Reverse proxies (addresses or networks) that log users in and name them in DASHBOARD_USER_HEADER. "
        "Requests from elsewhere are refused.",
    )
    dashboard_user_header: str = Field(
        "Remote-User",
        description="The request header in which DASHBOARD_PROXIES name the user, for example X-Forwarded-Email.",
        pattern=r"^[A-Za-z0-9-]{1,64}$",
    )
    dashboard_url: str = Field(
        "",
        description="The dashboard's public address, for example https://tlsrpt.example.com; OpenID Connect leads back to it.",
        pattern=r"^(https?://[^\s/?#]+)?/?$",
    )
    oidc_issuer: str = Field(
        "",
        description="OpenID Connect issuer that logs users of the dashboard in, for example https://login.example.com. "
        "Where anybody can have an account there, set ACCESS.",
        pattern=r"^(https?://[^\s?#]+)?$",
    )
    oidc_client_id: str = Field("", description="The dashboard's client id at OIDC_ISSUER.")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="The secret that belongs to OIDC_CLIENT_ID.")
    access: Access = Field(
        (),
        description="Who may see which domains, and give overrides about them: "
        "`alice@example.com=example.com *.example.com; bob@example.com=*` (a table of lists in TOML). *.example.com is every "
        "name below it; @example.com is every user of that domain, * every user who is logged in. Empty: all users see "
        "everything; otherwise who is not listed sees nothing.",
    )
    login_hours: int = Field(
        12, ge=1, le=720, description="Hours after which a user whom OIDC_ISSUER logged in must log in again."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the TOML file."""
        return init_settings, env_settings, _TomlFile(settings_cls)

    @field_validator("verdict_signers")
    @classmethod
    def _domains(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+", name):
                raise ValueError(
                    f"{name!r} is no domain; write those that sign reports, for example google.com,microsoft.com"
                )
        return value

    @field_validator("database_url")
    @classmethod
    def _known_engine(cls, value: str) -> str:
        if not re.match(r"sqlite://(/|$)|postgresql(\+\w+)?://", value):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        try:
            host = make_url(value).host or ""
        except (ArgumentError, ValueError):
            host = "@"
        if "@" in host:
            raise ValueError(
                "is no URL: write postgresql://user:password@host:port/database, and in user and password %40 for @, %2F for /, "
                "%25 for %"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            given, missing = ("TLS_CERTIFICATE", "TLS_KEY") if self.tls_certificate else ("TLS_KEY", "TLS_CERTIFICATE")
            raise ValueError(f"{PREFIX}{given} is set without {PREFIX}{missing}; STARTTLS needs both files")
        if not self.recipients and not self.smtp_listen.is_loopback:
            raise ValueError(
                f"{PREFIX}SMTP_LISTEN is {self.smtp_listen}, which strangers can reach: set {PREFIX}RECIPIENTS to the "
                "addresses or domains in your rua (for example tlsrpt@example.com)"
            )
        return self

    @model_validator(mode="after")
    def _login(self) -> Self:
        """One way to log in, or none; and none is only for whoever is on this machine, unless it was said aloud."""
        oidc = {"DASHBOARD_URL": self.dashboard_url, "OIDC_ISSUER": self.oidc_issuer}
        oidc |= {"OIDC_CLIENT_ID": self.oidc_client_id}
        oidc |= {"OIDC_CLIENT_SECRET": self.oidc_client_secret.get_secret_value()}
        if self.oidc_issuer or self.oidc_client_id or oidc["OIDC_CLIENT_SECRET"]:
            for name, value in oidc.items():
                if not value:
                    raise ValueError(f"{PREFIX}{name} is empty; a login by OpenID Connect needs {_listed(oidc)}")
            if self.dashboard_proxies:
                raise ValueError(
                    f"{PREFIX}OIDC_ISSUER and {PREFIX}DASHBOARD_PROXIES are both set; users log in one way or the other"
                )
        if self.access and self.login is None:
            raise ValueError(
                f"{PREFIX}ACCESS is set, but nobody logs in: set {PREFIX}OIDC_ISSUER or {PREFIX}DASHBOARD_PROXIES"
            )
        if self.login is None and not self.dashboard_open and not self.dashboard_listen.is_loopback:
            raise ValueError(
                f"{PREFIX}DASHBOARD_LISTEN is {self.dashboard_listen}, which strangers can reach, and nobody has to log in: "
                f"set {PREFIX}OIDC_ISSUER (OpenID Connect) or {PREFIX}DASHBOARD_PROXIES (a reverse proxy that logs users in), "
                f"listen on 127.0.0.1, or set {PREFIX}DASHBOARD_OPEN=true to show everything to everybody"
            )
        return self

    @property
    def database_file(self) -> Path | None:
        """SQLite's file; None where there is none."""
        return sqlite_file(make_url(self.database_url))

    @property
    def login(self) -> str | None:
        """How users of the dashboard log in: ``oidc``, ``proxy``, or None."""
        if self.oidc_issuer:
            return "oidc"
        return "proxy" if self.dashboard_proxies else None


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(PREFIX + name for name in names)


def load(**overrides: object) -> Settings:
    """Settings from file and environment; ``overrides`` (tests, command-line options) win over both.

    Raises SettingsError with one line for each mistake: the setting, its value, what is allowed.
    """
    _refuse_unknown((name for name in os.environ if name.startswith(PREFIX)), "the environment")
    try:
        chosen = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("\n".join(_in_words(dict(fault)) for fault in error.errors())) from error
    confidential.keep_url(chosen.database_url)
    confidential.keep(chosen.oidc_client_secret.get_secret_value())
    return chosen


def _in_words(fault: Mapping[str, Any]) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    if not fault["loc"]:
        return message
    name = str(fault["loc"][0])
    # Of a URL with a slip nobody can say where its password is.
    value = confidential.HIDDEN if name in _SECRET else confidential.without_secrets(str(fault["input"]))
    return f"{PREFIX}{name.upper()}={value}: {message}"


def _refuse_unknown(names: Any, where: str) -> None:  # noqa: ANN401
    """A misspelt setting that is silently ignored leaves a door open: refuse it, and name the nearest one."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | _NOT_SETTINGS
    for name in names:
        if name not in known and not name.startswith(_TEST_PREFIX):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; `starttally settings` lists them all"
            raise SettingsError(f"{name} in {where} is no setting of StartTally{hint}")
