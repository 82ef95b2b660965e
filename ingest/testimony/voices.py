"""Who speaks: one voice is a registrable domain, whatever name and sub-domain it uses (docs/verdict.md). Pure.

Anybody can sign with a domain of their own, and write any name. So a name alone never makes a second voice of a sender.
"""

import functools
import re
import unicodedata
from collections.abc import Callable

from publicsuffixlist import PublicSuffixList

from ingest.rfc import names

# Legal forms at the end of an organisation's name: "Google Inc." and "Google LLC" are one.
_LEGAL_FORMS = frozenset(
    {
        *(
            "ab",
            "ag",
            "as",
            "bv",
            "co",
            "company",
            "corp",
            "corporation",
            "eg",
            "ev",
            "gmbh",
            "inc",
            "incorporated",
            "kg",
        ),
        *(
            "limited",
            "llc",
            "llp",
            "ltd",
            "nv",
            "oy",
            "plc",
            "pty",
            "sa",
            "sarl",
            "sas",
            "se",
            "spa",
            "srl",
            "sro",
            "ug",
        ),
    }
)
_DOTTED = re.compile(r"(?<=\b\w)\.(?=\w\b)")  # S.A., B.V.
_NO_WORD = re.compile(r"[^\w.-]+")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.[a-z0-9-]*[a-z][a-z0-9-]*")
_MAX_CONTACT = 2_000


def voice_of(
    signer: str, submitter: str, contact: str, organization: str, voice_of_name: Callable[[str], str] = lambda _name: ""
) -> str:
    """The voice of a report: the registrable domain of its DKIM signer; of what is not signed, of its submitter (the header
    TLS-Report-Submitter), then of its contact address; else its organisation's name, folded.

    ``voice_of_name`` gives the domain that a folded name is known to belong to, or ``""``. ``""`` when the report names nobody.
    """
    for domain in (signer, submitter, domain_of_address(contact)):
        if voice := registrable(domain):
            return voice
    name = folded(organization)
    return voice_of_name(name) or registrable(organization) or name


def is_domain(voice: str) -> bool:
    """Whether a voice is a domain; otherwise it is a name alone."""
    return bool(_HOST.fullmatch(voice))


@functools.lru_cache(maxsize=10_000)
def registrable(domain: str) -> str:
    """The domain that somebody registered (ICANN section of the public suffix list), as A-labels: ``mail.example.co.uk``
    gives ``example.co.uk``. A public suffix stands for itself; ``""`` for what is no domain name.
    """
    try:
        name = names.domain_name(domain)
    except ValueError:
        return ""
    if not _HOST.fullmatch(name):
        return ""
    return _suffixes().privatesuffix(name) or name


@functools.lru_cache(maxsize=10_000)
def folded(name: str) -> str:
    """An organisation's name without what its spellings differ in: case, blanks, punctuation, its legal form."""
    plain = _DOTTED.sub("", unicodedata.normalize("NFKC", name).casefold())
    words = [word.strip(".-") for word in _NO_WORD.sub(" ", plain).split()]
    words = [word for word in words if word]
    while len(words) > 1 and words[-1] in _LEGAL_FORMS:
        words.pop()
    return " ".join(words)


@functools.cache
def _suffixes() -> PublicSuffixList:
    """Without the private section: the customers of one host (github.io) are one voice, since in doubt it is one."""
    return PublicSuffixList(only_icann=True)


def domain_of_address(contact: str) -> str:
    """The domain of ``tls@example.com``, ``mailto:tls@example.com`` or ``TLS <tls@example.com>``; ``""`` without one."""
    _, at, after_at = contact[:_MAX_CONTACT].rpartition("@")
    return re.split(r"[>\s?;,]", after_at, maxsplit=1)[0] if at else ""
