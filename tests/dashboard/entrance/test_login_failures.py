"""What is made of a failed login: a table of what issuers answer and of what the libraries raise."""

import ssl

import httpx
import pytest
from joserfc import errors

from dashboard.entrance.login_failures import FAILURES, of_answer, of_error
from ingest.text import confidential

REQUEST = httpx.Request("GET", "https://login.example/.well-known/openid-configuration")


def answered(status: int) -> httpx.HTTPStatusError:
    return httpx.HTTPStatusError("x", request=REQUEST, response=httpx.Response(status, request=REQUEST))


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (httpx.ConnectError("refused"), "away"),
        (httpx.ConnectTimeout("too late"), "away"),
        (httpx.ReadError("cut"), "away"),
        (ssl.SSLCertVerificationError("self-signed"), "away"),
        (answered(503), "away"),
        (answered(404), "issuer"),
        (httpx.InvalidURL("no URL"), "issuer"),
        (ValueError("Expecting value: line 1"), "issuer"),  # a page instead of JSON
        (RuntimeError('Missing "authorize_url" value'), "issuer"),
        (errors.ExpiredTokenError("exp"), "clock"),
        (errors.InvalidClaimError("iat"), "clock"),
        (errors.InvalidClaimError("iss"), "token"),
        (errors.BadSignatureError(), "token"),
        (KeyError("x"), "other"),
    ],
)
def test_what_the_libraries_raise(error: Exception, word: str) -> None:
    assert of_error(error)[0] == word


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("access_denied", "refused"),
        ("invalid_client", "secret"),
        ("unauthorized_client", "secret"),
        ("redirect_uri_mismatch", "address"),
        ("invalid_grant", "code"),
        ("temporarily_unavailable", "away"),
        ("invented by a stranger", "other"),
        ("", "other"),
    ],
)
def test_what_an_issuer_answers(code: str, word: str) -> None:
    assert of_answer(code)[0] == word
    assert FAILURES[word].then.endswith(".")


def test_the_detail_is_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confidential, "_secrets", set())
    monkeypatch.setattr(confidential, "_known", None)
    confidential.keep("hush-hush-hush")
    log_line = of_answer("x\x1b", f"id_token=aaa.bbb\nhush-hush-hush {'y' * 5_000}")[1]
    assert log_line == "x\\x1b: id_token=***"
    assert "hush" not in of_answer("x", "hush-hush-hush")[1]
    assert len(of_answer("x", "y" * 5_000)[1]) < 400
