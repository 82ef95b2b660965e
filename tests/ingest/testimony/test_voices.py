"""Whose voice a report is: tables (docs/verdict.md, "Who says what, once")."""

import pytest

from ingest.testimony import reporters, voices


@pytest.mark.parametrize(
    ("signer", "submitter", "contact", "organization", "voice", "why"),
    [
        ("mail.google.com", "x.example", "a@y.example", "Z", "google.com", "the signer goes before all"),
        ("", "mx1.sender.example", "a@y.example", "Z", "sender.example", "then the submitter"),
        ("", "not a name", "a@mail.y.example", "Z", "y.example", "then the contact address"),
        ("", "", "mailto:tls@y.example?subject=x", "Z", "y.example", "a contact as a URI"),
        ("", "", "TLS team <tls@y.example>", "Z", "y.example", "a contact with a name"),
        ("", "", "tls@[192.0.2.1]", "Z Ltd", "z", "an address is no domain"),
        ("", "", "", "mail.small.example", "small.example", "an organisation named by its host"),
        ("", "", "", "Google Inc.", "google.com", "a name on the list"),
        ("", "", "", "Stalwart  Labs, LLC", "stalwart labs", "a name alone"),
        ("", "", "", "", "", "nobody is named"),
        ("sender.co.uk", "", "", "", "sender.co.uk", "a public suffix of two labels"),
        ("a.github.io", "", "", "", "github.io", "customers of one host are one voice"),
        ("b\u00fccher.example", "", "", "", "xn--bcher-kva.example", "a U-label"),
        ("co.uk", "", "", "", "co.uk", "a public suffix stands for itself"),
    ],
)
def test_a_voice(signer: str, submitter: str, contact: str, organization: str, voice: str, why: str) -> None:
    assert voices.voice_of(signer, submitter, contact, organization, reporters.voice_of_name) == voice, why


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        (("Google Inc.", "google inc. ", "GOOGLE, LLC", "Google"), "google"),
        (("Beispiel GmbH", "beispiel gmbh & co. kg", "Beispiel  GmbH"), "beispiel"),
        (("Ma\u00df AG", "MASS A.G."), "mass"),
        (("Co",), "co"),
        (("", " ", "--"), ""),
    ],
)
def test_spellings_of_a_name(names: tuple[str, ...], folded: str) -> None:
    assert {voices.folded(name) for name in names} == {folded}


@pytest.mark.parametrize(
    ("text", "domain"),
    [("a.example", True), ("google", False), ("1.2.3.4", False), ("", False), ("a b.example", False)],
)
def test_a_domain_is_told_from_a_name(text: str, domain: bool) -> None:
    assert voices.is_domain(text) is domain
