"""The first start of a host: mail is taken before its certificate is there."""

import json
import logging
import smtplib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.doors.certificate import Certificate, CertificateUnusable
from ingest.settings.settings import Settings
from tests.certificates import write_certificate
from tests.doors import running_doors

MakeSettings = Callable[..., Settings]


def offers_starttls(address: tuple[str, int]) -> bool:
    with smtplib.SMTP(*address) as client:
        client.ehlo()
        return client.has_extn("starttls")


def readiness(address: tuple[str, int]) -> tuple[int, str | None]:
    try:
        with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/readyz") as answer:
            return answer.status, json.load(answer)["certificate"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["certificate"]


def test_mail_is_taken_until_the_certificate_comes(settings_for: MakeSettings, tmp_path: Path) -> None:
    """As with certbot, whose folder is not even there before its first run."""
    folder = tmp_path / "live"
    settings = settings_for(tls_certificate=folder / "cert.pem", tls_key=folder / "key.pem")
    with running_doors(settings) as doors:
        smtp, http = doors["smtp"], doors["http"]
        assert not offers_starttls(smtp)
        status, words = readiness(http)
        assert (status, words) == (503, f"STARTTLS is not offered: no certificate in {folder}/cert.pem yet")
        with smtplib.SMTP(*smtp) as client:
            client.sendmail("tls-reports@sender.example", ["tlsrpt@receiver.example"], b"Subject: early\r\n\r\n")
        folder.mkdir()
        write_certificate(folder)
        assert offers_starttls(smtp)
        assert readiness(http) == (200, None)
    assert len(list((settings.spool / "new").iterdir())) == 1


def test_half_a_pair_is_waited_for(tmp_path: Path) -> None:
    path, key = write_certificate(tmp_path)
    key_before = key.read_bytes()
    key.unlink()
    certificate = Certificate(path, key)
    assert certificate.context() is None
    key.write_bytes(key_before)
    assert certificate.context() is not None


def test_a_first_certificate_that_is_broken_is_said_and_mail_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nonsense")
    with caplog.at_level(logging.WARNING):
        assert certificate.context() is None
    assert "do not work together" in caplog.text
    assert "going on without STARTTLS" in caplog.text


def test_one_that_vanishes_stays_in_use(tmp_path: Path) -> None:
    path, key = write_certificate(tmp_path)
    certificate = Certificate(path, key)
    path.unlink()
    assert certificate.context() is not None
    assert certificate.trouble() is None


def test_one_that_is_there_and_broken_stops_the_start(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nonsense")
    with pytest.raises(CertificateUnusable, match="do not work together"):
        Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
