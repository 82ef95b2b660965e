"""What a new operator does next: the DNS records to publish, and how a first report gets in. Pure text from the settings."""

from urllib.parse import quote

from ingest.settings.settings import Settings

EXAMPLE_DOMAIN = "example.com"


def report_address(settings: Settings) -> str:
    """The mail address for ``rua=mailto:``: the first one in RECIPIENTS, else ``tlsrpt`` at its first domain or HOSTNAME."""
    for name in settings.recipients:
        return name if "@" in name else f"tlsrpt@{name}"
    return f"tlsrpt@{settings.hostname}"


def records(settings: Settings) -> list[str]:
    """The TXT records (RFC 8460 section 3) that ask senders for reports, one for each of DOMAINS, for mail."""
    # Section 3: a comma, an exclamation mark and a semicolon in the address would end it.
    address = quote(report_address(settings), safe="@+-._~=/&'*")
    return [_record(domain, f"mailto:{address}") for domain in _domains(settings)]


def https_records(settings: Settings) -> list[str]:
    """The same for uploads over HTTPS."""
    return [_record(domain, f"https://{settings.hostname}/v1/tlsrpt") for domain in _domains(settings)]


def commands(settings: Settings) -> str:
    """Three ways to a first report, as lines for a terminal."""
    door = settings.smtp_listen
    server = f"[{door.host}]" if ":" in door.host else door.host
    return (
        "# report files, mails, mbox or Maildir you already have\n"
        "starttally load FILE...\n\n"
        "# a report mail, through the SMTP door\n"
        f"swaks --server {server} --port {door.port} --to {report_address(settings)} --data @report.eml\n\n"
        "# a report file, through the HTTP door\n"
        "curl --data-binary @report.json -H 'Content-Type: application/tlsrpt+json' "
        f"http://{settings.http_listen}/v1/tlsrpt\n"
    )


def hostname_is_local(settings: Settings) -> bool:
    """Whether HOSTNAME can be no name in the DNS (the machine's own short name), so that the records would not work."""
    return "." not in settings.hostname.strip(".")


def _record(domain: str, destination: str) -> str:
    return f'_smtp._tls.{domain}. IN TXT "v=TLSRPTv1; rua={destination}"'


def _domains(settings: Settings) -> tuple[str, ...]:
    return settings.domains or (EXAMPLE_DOMAIN,)
